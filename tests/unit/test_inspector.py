"""The inspector: a responder in this process whose app is a Flask app, and what it tells of it."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastcgi_clients import Answer, Client
from fastcgi_clients import request as fastcgi_request
from flask import Flask, Response, request, session

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.kernel.exchanges import tracebacks
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchanges, current
from jupyter_flaskserve.kernel.inspector import exchange_json, sending
from jupyter_flaskserve.kernel.inspector.inspector import Inspector
from jupyter_flaskserve.kernel.responder import responder
from jupyter_flaskserve.kernel.responder.link import Link
from jupyter_flaskserve.kernel.responder.listener import Listener
from jupyter_flaskserve.kernel.responder.responder import Responder

JSON = "application/json"
SECRET = "hunter2"
GATES: dict[str, threading.Event] = {}


class Login:
    """An object whose repr cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Endless:
    """An object whose repr takes longer than anybody waits."""

    def __repr__(self) -> str:
        GATES["endless"].wait(30)
        return "at last"


def make_app() -> Flask:
    app = Flask("demo")
    app.secret_key = "a key"
    app.testing = True  # exceptions reach the responder

    @app.get("/users/<int:number>")
    def user(number: int) -> dict[str, Any]:
        """One user."""
        return {"number": number, "password": SECRET}

    @app.post("/form")
    def form() -> str:
        session["name"] = "ada"
        return f"{len(request.form)} {len(request.files)}"

    @app.post("/echo")
    def echo() -> Response:
        return Response(request.get_data(), content_type=request.content_type)

    @app.get("/packed")
    def packed() -> Response:
        data = gzip.compress(b'{"token": "%s"}' % SECRET.encode())
        return Response(data, content_type=JSON, headers={"Content-Encoding": "gzip"})

    @app.get("/fail")
    def fail() -> str:
        password, login = SECRET, Login()
        return str(1 // 0) + password + str(login)

    @app.get("/endless")
    def endless() -> str:
        thing = Endless()
        return str(1 // 0) + str(thing)

    @app.get("/wait")
    def wait() -> str:
        GATES["wait"].wait(30)
        return "waited"

    @app.get("/odd-numbers")
    def odd_numbers() -> str:
        session["numbers"] = [float("nan"), float("inf"), 0.5]
        return "odd"

    @app.get("/page")
    def page() -> Response:
        return Response("<script>alert(1)</script>", content_type="text/html")

    return app


class DemoMount:
    """What the inspector asks a mount, without the server and the notebook around it."""

    name = "demo"
    path = "/flaskserve/demo/"
    url = "http://127.0.0.1:8888/flaskserve/demo/"
    token = None
    variable = "app"
    notebook = "Lesson 1.ipynb"
    started = 1_777_901_820.5

    def __init__(self, threads: int) -> None:
        listener = Listener("unix", generation="g", backlog=64)
        self.app: Any = make_app()
        self.requests = Exchanges(mount="demo")
        self.stopped = False
        self.revision = 3
        self.inspector = Inspector(self)  # type: ignore[arg-type]
        self.responder = Responder(
            lambda environ, start_response: self.app(environ, start_response),
            name="demo",
            listener=listener,
            threads=threads,
            exchanges=self.requests,
            on_stop=self.stop,
            inspector=self.inspector,
        )
        self._address = listener.address
        self._clients: list[Client] = []

    def stop(self) -> None:
        self.stopped = True

    def connect(self) -> Client:
        self._clients.append(Client(self._address))
        return self._clients[-1]

    def close(self) -> None:
        for gate in GATES.values():
            gate.set()
        for client in self._clients:
            client.close()
        self.responder.stop(grace=0)

    def visit(self, path: str, method: str = "GET", body: bytes = b"", **params: str) -> Answer:
        """Ask the app."""
        bare_path, _, query = path.partition("?")
        known = {"SCRIPT_NAME": "/flaskserve/demo", "QUERY_STRING": query, "REMOTE_ADDR": "::1"}
        answer = self.connect().ask(method, bare_path, body, **{**known, **params})
        _wait_for(lambda: not any(exchange.is_open for exchange in self.requests[-1:]))
        return answer

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", **params: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask the inspector.

        :returns: status, headers with names in lower case, body.
        """
        answer = exchanged(self.connect(), question(path, method, body, **params))
        headers = dict(line.lower().split(": ", 1) for line in answer.head[1:])
        return int(answer.status[:3]), headers, answer.body

    def get(self, path: str) -> Any:
        """What the inspector answers in JSON."""
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, value: object) -> Any:
        status, _, body = self.ask(path, "POST", json.dumps(value).encode())
        assert status == 200, body
        return json.loads(body)

    def rows(self, **asked: Any) -> list[dict[str, Any]]:
        """The rows that a page gets that has had none."""
        found: list[dict[str, Any]] = self.post("/rows", asked)["rows"]
        return found

    def refusal(self, path: str, method: str = "GET", body: bytes = b"", **params: str) -> Any:
        """Status, word and sentence of a refusal."""
        status, headers, answer = self.ask(path, method, body, **params)
        assert headers["content-type"] == JSON
        document = json.loads(answer)
        assert set(document) == {"error", "message"}
        return status, document["error"], document["message"]


def exchanged(client: Client, data: bytes) -> Answer:
    """Send a request and read its answer."""
    client.send(data)
    return client.read()


def question(path: str, method: str = "GET", body: bytes = b"", **params: str) -> bytes:
    """A request to the inspector, as the gateway sends it."""
    bare_path, _, query = path.partition("?")
    if method == "POST":
        params = {"CONTENT_TYPE": JSON, **params}
    known = {fastcgi.CONTROL_PARAM.decode(): fastcgi.INSPECT.decode(), "QUERY_STRING": query}
    return fastcgi_request(method, bare_path, body, **{**known, **params})


@pytest.fixture
def mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[DemoMount]:
    """A mount with two threads, or as many as the test's parameter says."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    GATES.update(wait=threading.Event(), endless=threading.Event())
    mount = DemoMount(getattr(request, "param", 2))
    yield mount
    mount.close()


# What every answer has in common


QUESTIONS = [
    ("GET", "/state"),
    ("POST", "/rows"),
    ("GET", "/exchanges/1"),
    ("GET", "/exchanges/1/request-body"),
    ("GET", "/exchanges/1/response-body"),
    ("GET", "/exchanges/1/copy?as=curl"),
    ("GET", "/exchanges/1/resend"),
    ("GET", "/statistics"),
    ("GET", "/har"),
    ("GET", "/routes"),
    ("GET", "/match?url=/users/7"),
    ("GET", "/openapi"),
    ("GET", "/modules/header.js"),
    ("GET", "/modules/header.css"),
    ("POST", "/clear"),
    ("POST", "/stop"),
]


@pytest.mark.parametrize(("method", "path"), QUESTIONS)
def test_no_answer_can_be_run_kept_or_taken_for_another(
    method: str, path: str, mount: DemoMount
) -> None:
    mount.visit("/page")
    status, headers, _ = mount.ask(path, method, b"{}" if method == "POST" else b"")
    assert status == 200
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["cache-control"] == "no-store"
    assert headers["flaskserve-inspector"] == "demo"
    assert "set-cookie" not in headers
    assert not any(name.startswith("access-control-") for name in headers)


@pytest.mark.parametrize(("method", "path"), QUESTIONS)
def test_other_methods_are_refused(method: str, path: str, mount: DemoMount) -> None:
    mount.visit("/page")
    for other in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} - {method}:
        status, headers, _ = mount.ask(path, other, b"{}" if other == "POST" else b"")
        assert status == 405, other
        assert headers["allow"] == method.lower()
        assert headers["flaskserve-inspector"] == "demo"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/nothing",
        "/state/",
        "/exchanges/x",
        "/exchanges/-1",
        "/exchanges/" + "9" * 5000,
        "/modules/",
    ],
)
def test_of_what_there_is_not_a_sentence_says_so(path: str, mount: DemoMount) -> None:
    status, error, message = mount.refusal(path)
    assert (status, error) == (404, "not-found")
    assert message.endswith(" here.")


@pytest.mark.parametrize(("method", "path"), QUESTIONS)
def test_all_questions_can_be_put_without_a_server(
    method: str, path: str, mount: DemoMount
) -> None:
    mount.visit("/page")
    status, headers, body = mount.inspector.ask(method, path, b"{}" if method == "POST" else b"")
    over_link = mount.ask(path, method, b"{}" if method == "POST" else b"")
    assert (status, dict(headers)["Content-Type"].lower()) == (200, over_link[1]["content-type"])
    assert bool(body) == bool(over_link[2])


def test_what_is_asked_without_a_server_may_have_a_query_and_escapes(mount: DemoMount) -> None:
    mount.visit("/users/7?password=x")
    _, _, body = mount.inspector.ask("GET", "exchanges/1?reveal=1")
    assert json.loads(body)["request"]["args"] == [["password", "x", False]]
    assert mount.inspector.ask("GET", "/%73tate")[0] == 200
    assert mount.inspector.ask("GET", "/caf%C3%A9")[0] == 404


def test_a_failure_of_the_inspector_itself_is_told_and_logged(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exchanges, "first_number", property(lambda _: 1 // 0))
    answer = exchanged(mount.connect(), question("/state"))
    assert answer.status[:3] == "500"
    assert json.loads(answer.body)["error"] == "failed"
    assert "ZeroDivisionError" in answer.stderr
    status, _, body = mount.inspector.ask("GET", "state")
    assert (status, json.loads(body)["message"][:39]) == (
        500,
        "This cannot be told: ZeroDivisionError:",
    )


def test_what_would_end_the_program_is_a_failure_as_any_other(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_: object) -> bool:
        raise SystemExit

    monkeypatch.setattr(Flask, "debug", property(leave))
    status, headers, body = mount.ask("/state")
    assert (status, json.loads(body)["error"]) == (500, "failed")
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_numbers_that_json_does_not_have_are_texts(mount: DemoMount) -> None:
    mount.visit("/odd-numbers")
    _, _, body = mount.ask("/exchanges/1?reveal=1")
    found = json.loads(body, parse_constant=pytest.fail)
    assert found["session"]["after"] == {"numbers": ["NaN", "Infinity", 0.5]}


FIRST_QUESTIONS = """
import sys, threading, time
from types import SimpleNamespace
from flask import Flask
from jupyter_flaskserve.kernel.inspector.inspector import Inspector

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("jupyter_flaskserve.kernel.routes"):
            time.sleep(0.02)

sys.meta_path.insert(0, Slow())
mount = SimpleNamespace(
    app=Flask("a"), name="a", variable="app", path="/", url="http://a/", revision=0
)
inspector, answers = Inspector(mount), []
def ask(path):
    answers.append(inspector.ask("GET", path))
paths = ["/openapi", "/match?url=/", "/routes"] * 2
threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print([status for status, _, _ in answers])
"""


def test_the_first_questions_may_come_all_at_once() -> None:
    """They import what knows the answers, each in a thread of its own."""
    run = subprocess.run(
        [sys.executable, "-c", FIRST_QUESTIONS], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == f"{[200] * 6}\n", run.stderr


# Beside the app


def test_what_the_inspector_is_asked_is_no_exchange_of_the_app(mount: DemoMount) -> None:
    for _ in range(3):
        mount.get("/state")
    assert len(mount.requests) == 0
    assert mount.get("/statistics")["all"]["count"] == 0


def test_it_answers_while_all_threads_of_the_app_are_busy(mount: DemoMount) -> None:
    waiting = [mount.connect() for _ in range(5)]
    for client in waiting:
        client.send(fastcgi_request("GET", "/wait"))
    _wait_for(lambda: mount.get("/state")["requests"]["last"] == 2)
    assert [row["open"] for row in mount.rows()] == [True, True]
    GATES["wait"].set()
    for client in waiting:
        assert client.read().body == b"waited"


def test_it_answers_though_many_have_left_who_wait_for_the_app(mount: DemoMount) -> None:
    """A page that hangs is loaded again and again. Each time a link is left behind."""
    for client in [mount.connect() for _ in range(2)]:
        client.send(fastcgi_request("GET", "/wait"))
    _wait_for(lambda: mount.get("/state")["requests"]["last"] == 2)
    for _ in range(4):
        left = [mount.connect() for _ in range(10)]
        for client in left:
            client.send(fastcgi_request("GET", "/users/1"))
            client.close()
        assert mount.get("/state")["requests"]["last"] == 2
    GATES["wait"].set()
    _wait_for(lambda: not any(row["open"] for row in mount.rows()))
    assert mount.visit("/users/2").status == "200 OK"
    assert [row["path"] for row in mount.rows()] == ["/wait", "/wait", "/users/2"]


@pytest.mark.parametrize("mount", [12], indirect=True)
def test_it_answers_while_others_wait_for_what_nobody_reads(mount: DemoMount) -> None:
    """The clients of all that run have left, and a gateway has opened as many links again."""
    for _ in range(12):
        client = mount.connect()
        client.send(fastcgi_request("GET", "/wait"))
        client.close()
    _wait_for(lambda: mount.get("/state")["requests"]["last"] == 12)
    waiting = [mount.connect() for _ in range(12)]
    for client in waiting:
        client.send(fastcgi_request("GET", "/users/1"))
    links = [mount.connect() for _ in range(4)]
    for client in links:
        assert exchanged(client, question("/state")).status == "200 OK"
    GATES["wait"].set()
    for client in waiting:
        assert client.read().status == "200 OK"


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET], ids=["unix", "tcp"])
def test_a_link_tells_whether_its_peer_has_left(family: socket.AddressFamily) -> None:
    near, far = _connected(family)
    link = Link(near)
    assert not link.is_cut
    far.sendall(b"a request that is not read yet")
    assert not link.is_cut
    far.close()
    _wait_for(lambda: link.is_cut)
    link.close()
    assert link.is_cut


@pytest.mark.parametrize("control", ["", "inspect"], ids=["request", "question"])
def test_what_comes_as_the_responder_stops_is_declined(
    control: str, mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the gateway sends it to the responder that has come in this one's place."""
    receive = responder._receive_request

    def receive_and_stop(link: Link) -> Any:
        received = receive(link)
        mount.responder.stop()
        return received

    monkeypatch.setattr(responder, "_receive_request", receive_and_stop)
    params = {"FLASKSERVE_CONTROL": control} if control else {}
    client = mount.connect()
    client.send(fastcgi_request("POST", "/rows", b"{}", CONTENT_TYPE=JSON, **params))
    answer = client.read()
    assert (answer.protocol_status, answer.stdout) == (fastcgi.OVERLOADED, b"")


def test_a_question_that_stops_the_mount_is_answered(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mount, "stop", mount.responder.stop)
    client = mount.connect()
    answer = exchanged(client, question("/stop", "POST", b"{}"))
    assert json.loads(answer.body) == {"stopped": True}
    assert client.is_closed()


def test_a_link_carries_many_questions_and_requests(mount: DemoMount) -> None:
    client = mount.connect()
    for _ in range(3):
        assert exchanged(client, question("/state")).status == "200 OK"
        assert client.ask("GET", "/users/1").status == "200 OK"
        # One whose body is not read
        assert (
            exchanged(client, question("/rows", "POST", b"x", CONTENT_TYPE="a/b")).status[:3]
            == "400"
        )
    assert len(mount.requests) == 3


def test_no_header_of_a_client_leads_to_the_inspector(mount: DemoMount) -> None:
    answer = mount.visit("/state", HTTP_FLASKSERVE_CONTROL="inspect")
    assert answer.status == "404 NOT FOUND"
    assert "Flaskserve-Inspector" not in answer.stdout.decode()


def test_what_is_printed_on_the_way_is_no_cells(mount: DemoMount) -> None:
    seen: list[object] = []
    original = type(mount.requests).since

    def since(self: Exchanges, number: int) -> Any:
        seen.append(current())
        return original(self, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchanges, "since", since)
        mount.rows()
    assert seen
    assert all(found is not None for found in seen), "so that prints have somewhere to go"


def test_an_unknown_control_is_not_obeyed(mount: DemoMount) -> None:
    client = mount.connect()
    answer = client.ask("GET", "/state", FLASKSERVE_CONTROL="other")
    assert answer.status == "501 Not Implemented"
    assert not mount.stopped


# The mount


def test_the_state(mount: DemoMount) -> None:
    mount.visit("/users/1")
    assert mount.get("/state") == {
        "name": "demo",
        "path": "/flaskserve/demo/",
        "url": "http://127.0.0.1:8888/flaskserve/demo/",
        "variable": "app",
        "notebook": "Lesson 1.ipynb",
        "stopped": False,
        "started": 1_777_901_820.5,
        "generation": mount.requests.generation,
        "revision": 3,
        "recording": True,
        "debug": False,
        "is_flask": True,
        "requests": {"first": 1, "last": 1, "kept": 1, "cleared": 0},
        "failure": None,
    }


def test_a_failure_is_told_until_its_endpoint_answers_well(mount: DemoMount) -> None:
    mount.visit("/users/1")
    mount.visit("/fail?password=x")
    failure = mount.get("/state")["failure"]
    assert failure["number"] == 2
    assert failure["text"].startswith("GET /fail failed: ZeroDivisionError in ")
    mount.visit("/users/1")
    assert mount.get("/state")["failure"] == failure
    mount.app.view_functions["fail"] = lambda: "well"
    mount.visit("/fail")
    assert mount.get("/state")["failure"] is None


def test_an_app_that_is_not_flasks_has_a_state_too(mount: DemoMount) -> None:
    mount.app = lambda environ, start_response: start_response("204 No Content", []) and []
    state = mount.get("/state")
    assert (state["is_flask"], state["debug"]) == (False, False)
    assert mount.get("/routes")["routes"] == []
    assert mount.get("/routes")["is_flask"] is False


def test_clearing_forgets_the_exchanges_so_far(mount: DemoMount) -> None:
    for number in range(3):
        mount.visit(f"/users/{number}")
    state = mount.post("/clear", {})
    assert state["requests"] == {"first": 4, "last": 3, "kept": 0, "cleared": 3}
    assert mount.refusal("/exchanges/2") == (
        404,
        "not-found",
        "Request number 2 has been cleared.",
    )
    mount.visit("/users/9")
    assert [row["n"] for row in mount.rows()] == [4]


def test_stopping(mount: DemoMount) -> None:
    assert mount.post("/stop", {}) == {"stopped": True}
    assert mount.stopped


# The list


def test_a_row(mount: DemoMount) -> None:
    before = time.time()
    mount.visit("/users/7?page=2", HTTP_X_FLASKSERVE_TAG="t1")
    [row] = mount.rows()
    assert before <= row.pop("at") <= time.time()
    assert 0 < row.pop("ms") < 10_000
    assert row == {
        "n": 1,
        "method": "GET",
        "path": "/users/7?page=2",
        "status": 200,
        "size": len(b'{"number":7,"password":"hunter2"}\n'),
        "endpoint": "user",
        "kind": "http",
        "open": False,
        "failed": "",
        "in": 0,
        "out": 1,
        "tag": "t1",
    }


def test_rows_after_one_and_those_that_were_open(mount: DemoMount) -> None:
    client = mount.connect()
    client.send(fastcgi_request("GET", "/wait"))
    _wait_for(lambda: mount.rows())
    mount.visit("/users/1")
    mount.visit("/users/2")
    generation = mount.requests.generation
    assert [row["n"] for row in mount.rows(generation=generation, after=2)] == [3]
    [row, other] = mount.rows(generation=generation, after=2, open=[1])
    assert (row["n"], row["open"], row["ms"], row["status"]) == (1, True, None, None)
    assert other["n"] == 3
    GATES["wait"].set()
    client.read()
    _wait_for(lambda: not mount.requests[0].is_open)  # which is noted after the answer is sent
    [row] = mount.rows(generation=generation, after=3, open=[1, 77])
    assert (row["n"], row["open"], row["status"]) == (1, False, 200)


def test_a_page_of_another_generation_gets_all_rows(mount: DemoMount) -> None:
    mount.visit("/users/1")
    answer = mount.post("/rows", {"generation": "of another kernel", "after": 700, "open": [3]})
    assert answer.pop("rows")[0]["n"] == 1
    assert answer == {
        "generation": mount.requests.generation,
        "revision": 3,
        "stopped": False,
        "first": 1,
        "last": 1,
        "cleared": 0,
    }


def test_rows_with_a_tag(mount: DemoMount) -> None:
    mount.visit("/users/1", HTTP_X_FLASKSERVE_TAG="mine")
    mount.visit("/users/2", HTTP_X_FLASKSERVE_TAG="others")
    mount.visit("/users/3")
    assert [row["path"] for row in mount.rows(tag="mine")] == ["/users/1"]
    assert mount.rows(tag="nobodys") == []


def test_what_was_dropped_can_be_counted(mount: DemoMount) -> None:
    mount.requests.limit = 2
    for number in range(5):
        mount.visit(f"/users/{number}")
    answer = mount.post("/rows", {"generation": mount.requests.generation, "after": 1})
    assert [row["n"] for row in answer["rows"]] == [4, 5]
    assert (answer["first"], answer["last"], answer["cleared"]) == (4, 5, 0)
    status, _, message = mount.refusal("/exchanges/2")
    assert (status, message) == (
        404,
        "Request number 2 is not kept any more: there were too many since.",
    )
    assert mount.refusal("/exchanges/77")[2] == "There has been no request number 77."


def test_a_thousand_rows_come_at_once(mount: DemoMount) -> None:
    link = mount.connect()
    for number in range(1000):
        link.ask("GET", f"/users/{number}", QUERY_STRING="page=2&token=x")
    _, _, body = mount.inspector.ask("POST", "/rows", b"{}")
    assert len(json.loads(body)["rows"]) == 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b'{"after": -1}',
        b'{"after": "1"}',
        b'{"after": true}',
        b'{"after": 1.5}',
        b'{"after": 1e400}',
        b'{"open": 7}',
        b'{"open": ["1"]}',
        b'{"open": [null]}',
        b'{"tag": 7}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_malformed_question_is_refused(body: bytes, mount: DemoMount) -> None:
    status, error, message = mount.refusal("/rows", "POST", body)
    assert (status, error) == (400, "bad-request")
    assert "body" in message


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
@pytest.mark.parametrize("path", ["/rows", "/clear", "/stop", "/send"])
def test_what_a_form_can_send_is_refused(path: str, content_type: str, mount: DemoMount) -> None:
    status, error, _ = mount.refusal(path, "POST", b"{}", CONTENT_TYPE=content_type)
    assert (status, error) == (400, "bad-request")
    assert not mount.stopped


@pytest.mark.parametrize(
    ("path", "limit"), [("/rows", 2**20), ("/clear", 2**20), ("/stop", 2**20), ("/send", 2**24)]
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_question_that_is_too_long_is_refused(
    path: str, limit: int, announced: bool, mount: DemoMount
) -> None:
    body = b'{"x": "%s"}' % bytes(limit).replace(b"\0", b"a")
    client = mount.connect()
    raw = question(path, "POST", body, **({} if announced else {"CONTENT_LENGTH": ""}))
    sender = threading.Thread(target=client.send, args=(raw,))
    sender.start()
    answer = client.read()
    assert answer.status[:3] == "413"
    assert json.loads(answer.body)["error"] == "too-large"
    sender.join(10)
    assert exchanged(client, question("/state")).status == "200 OK", "the link goes on"
    assert not mount.stopped


# One exchange


def test_the_detail_of_a_request(mount: DemoMount) -> None:
    mount.visit(
        "/users/7?page=2&page=3",
        HTTP_HOST="127.0.0.1:8888",
        HTTP_USER_AGENT="A browser",
        SERVER_PROTOCOL="HTTP/1.1",
    )
    found = mount.get("/exchanges/1")
    assert found["row"] == mount.rows()[0]
    asked = found["request"]
    assert (asked["method"], asked["version"], asked["client"]) == ("GET", "HTTP/1.1", "::1")
    assert asked["url"] == "http://127.0.0.1:8888/flaskserve/demo/users/7?page=2&page=3"
    assert ["User-Agent", "A browser", False] in asked["headers"]
    assert asked["args"] == [["page", "2", False], ["page", "3", False]]
    assert asked["body"]["kind"] == "empty"
    answered = found["response"]
    assert (answered["status"], answered["reason"]) == (200, "OK")
    assert ["Content-Type", JSON, False] in answered["headers"]
    assert answered["body"] == {
        "size": 34,
        "kept": 34,
        "type": JSON,
        "charset": "",
        "kind": "json",
        "encoding": "",
        "masked": True,
        "fields": None,
    }
    timing = found["timing"]
    parts = [timing[part] for part in ("queue_ms", "view_ms", "streaming_ms")]
    assert timing["total_ms"] == pytest.approx(sum(parts), abs=0.01)
    assert (found["rule"], found["arguments"]) == ("/users/<int:number>", {"number": "7"})
    assert found["output"] == {"text": "", "before": 0}
    assert found["traceback"] is None
    assert found["session"]["before"] is None
    assert (found["revealed"], found["has_secrets"]) == (False, True)
    assert found["debug"] == "%flaskserve debug demo 1"


def test_an_exchange_that_is_open_has_no_response_yet(mount: DemoMount) -> None:
    client = mount.connect()
    client.send(fastcgi_request("GET", "/wait"))
    _wait_for(lambda: mount.rows())
    found = mount.get("/exchanges/1")
    assert found["response"] is None
    assert found["timing"]["view_ms"] is None
    assert found["timing"]["total_ms"] is None
    GATES["wait"].set()
    client.read()


SECRETS = {
    "HTTP_AUTHORIZATION": f"Bearer {SECRET}",
    "HTTP_COOKIE": f"sid={SECRET}; theme=dark",
    "HTTP_X_API_KEY": SECRET,
    "HTTP_REFERER": f"http://a/?token={SECRET}",
    "CONTENT_TYPE": "application/x-www-form-urlencoded",
}


@pytest.fixture
def secretive(mount: DemoMount) -> DemoMount:
    """A mount whose first exchange has secrets wherever there may be some."""
    body = f"name=ada&password={SECRET}".encode()
    mount.visit(f"/form?api_key={SECRET}&q=1", "POST", body, **SECRETS)
    return mount


@pytest.mark.parametrize(
    "path",
    [
        "/exchanges/1",
        "/exchanges/1?reveal=0",
        "/exchanges/1/request-body",
        "/exchanges/1/copy?as=curl",
        "/exchanges/1/copy?as=requests",
        "/exchanges/1/copy?as=test_client",
        "/har",
        "/state",
        "/statistics",
    ],
)
def test_secrets_are_masked_until_asked_for(path: str, secretive: DemoMount) -> None:
    status, _, body = secretive.ask(path)
    assert status == 200
    assert SECRET.encode() not in body
    assert b"ada" in body or "exchanges" not in path


def test_the_list_has_no_secrets(secretive: DemoMount) -> None:
    assert secretive.rows()[0]["path"] == "/form?api_key=********&q=1"


@pytest.mark.parametrize(
    "path",
    [
        "/exchanges/1?reveal=1",
        "/exchanges/1/request-body?reveal=1",
        "/exchanges/1/copy?as=curl&reveal=1",
        "/exchanges/1/copy?as=requests&reveal=1",
        "/exchanges/1/copy?as=test_client&reveal=1",
        "/har?reveal=1",
    ],
)
def test_secrets_are_shown_when_asked_for(path: str, secretive: DemoMount) -> None:
    assert SECRET.encode() in secretive.ask(path)[2]


def test_what_is_masked_is_marked(secretive: DemoMount) -> None:
    masked = secretive.get("/exchanges/1")
    asked = masked["request"]
    assert asked["args"] == [["api_key", "********", True], ["q", "1", False]]
    assert [cookie[2] for cookie in asked["cookies"]] == [True, True]
    assert ["Authorization", "Bearer ********", True] in asked["headers"]
    assert asked["body"]["masked"]
    assert asked["body"]["fields"] == [
        ["name", "ada", False, None],
        ["password", "********", True, None],
    ]
    [[name, value, attributes, is_masked]] = masked["response"]["cookies"]
    assert (name, value, is_masked) == ("session", "********", True)
    assert "HttpOnly" in attributes
    assert (masked["revealed"], masked["has_secrets"]) == (False, True)
    shown = secretive.get("/exchanges/1?reveal=1")
    assert shown["request"]["cookies"] == [["sid", SECRET, False], ["theme", "dark", False]]
    assert not shown["request"]["body"]["masked"]
    assert (shown["revealed"], shown["has_secrets"]) == (True, True)
    assert shown["session"]["after"] == {"name": "ada"}


def test_an_exchange_without_secrets_says_so(mount: DemoMount) -> None:
    mount.visit("/page?a=1")
    assert mount.get("/exchanges/1")["has_secrets"] is False
    assert mount.get("/exchanges/1?reveal=1")["has_secrets"] is False


@pytest.mark.parametrize("value", ["2", "yes", "", "true", "-1"])
def test_what_may_reveal_is_said_clearly(value: str, mount: DemoMount) -> None:
    mount.visit("/users/1")
    for path in ("/exchanges/1", "/exchanges/1/response-body", "/exchanges/1/copy", "/har"):
        status, error, message = mount.refusal(f"{path}?reveal={value}")
        assert (status, error) == (400, "bad-request")
        assert "reveal" in message


def test_a_traceback_with_variables_whose_repr_fails(mount: DemoMount) -> None:
    mount.visit("/fail")
    found = mount.get("/exchanges/1")
    trace = found["traceback"]
    assert trace["summary"].startswith("ZeroDivisionError: ")
    assert found["row"]["failed"].startswith("ZeroDivisionError in ")
    assert trace["frames"][-1]["name"] == "fail"
    assert SECRET not in json.dumps([frame["variables"] for frame in trace["frames"]])
    assert mount.get("/state")["requests"]["last"] == 1


def test_a_repr_that_does_not_end_keeps_nobody_waiting(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracebacks, "_PATIENCE", 0.2)
    mount.visit("/endless")
    begin = time.monotonic()
    assert mount.get("/exchanges/1")["traceback"]["summary"].startswith("ZeroDivisionError")
    assert time.monotonic() - begin < 5
    assert mount.get("/state")["requests"]["last"] == 1


def test_the_repr_of_an_argument_may_fail_and_never_end(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_json, "_PATIENCE", 0.2)
    mount.visit("/users/1")
    exchange = mount.requests[0]
    arguments = {"login": Login(), "thing": Endless(), "password": "x"}
    monkeypatch.setattr(type(exchange), "arguments", property(lambda _: arguments))
    found = mount.get("/exchanges/1")["arguments"]
    assert "repr failed" in found["login"]
    assert "too long" in found["thing"]
    assert set(found) == {"login", "thing", "password"}


# Bodies


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        (JSON, b"[1]", "json"),
        ("application/problem+json; charset=utf-8", b"{}", "json"),
        ("application/x-www-form-urlencoded", b"a=1", "form"),
        ("text/html; charset=latin-1", b"<p>", "html"),
        ("image/png", b"\x89PNG", "image"),
        ("image/svg+xml", b"<svg/>", "image"),
        ("text/csv", b"a,b", "text"),
        ("application/xml", b"<a/>", "text"),
        ("text/javascript", b"1", "text"),
        ("application/octet-stream", b"abc", "binary"),
        ("", b"plain words", "text"),
        ("", b"\0\1\2", "binary"),
        ("no media type", b"abc", "binary"),
        (JSON, b"", "empty"),
    ],
)
def test_the_kind_of_a_body(content_type: str, body: bytes, kind: str, mount: DemoMount) -> None:
    mount.visit("/echo", "POST", body, CONTENT_TYPE=content_type)
    assert mount.get("/exchanges/1")["request"]["body"]["kind"] == kind


def test_the_charset_of_a_body(mount: DemoMount) -> None:
    mount.visit("/echo", "POST", b"x", CONTENT_TYPE="Text/Plain; Charset=ISO-8859-1")
    body = mount.get("/exchanges/1")["request"]["body"]
    assert (body["type"], body["charset"]) == ("text/plain", "iso-8859-1")


def test_the_fields_of_a_form_with_files(mount: DemoMount) -> None:
    lines = [
        b"--x",
        b'Content-Disposition: form-data; name="a"',
        b"",
        b"1",
        b"--x",
        b'Content-Disposition: form-data; name="file"; filename="a.txt"',
        b"Content-Type: text/plain",
        b"",
        b"twelve bytes",
        b"--x--",
        b"",
    ]
    mount.visit(
        "/form", "POST", b"\r\n".join(lines), CONTENT_TYPE="multipart/form-data; boundary=x"
    )
    body = mount.get("/exchanges/1")["request"]["body"]
    assert body["kind"] == "multipart"
    assert body["fields"] == [
        ["a", "1", False, None],
        ["file", "12 bytes", False, "a.txt"],
    ]


def test_a_body_is_never_of_a_type_that_a_browser_runs(mount: DemoMount) -> None:
    mount.visit("/page")
    status, headers, body = mount.ask("/exchanges/1/response-body")
    assert (status, body) == (200, b"<script>alert(1)</script>")
    assert headers["content-type"] == "application/octet-stream"
    assert headers["flaskserve-total"] == str(len(body))


def test_a_body_comes_in_pieces(mount: DemoMount) -> None:
    body = bytes(range(256)) * 1000
    mount.visit("/echo", "POST", body, CONTENT_TYPE="application/octet-stream")
    pieces = []
    for offset in range(0, len(body), 65536):
        _, headers, piece = mount.ask(f"/exchanges/1/response-body?offset={offset}")
        assert headers["flaskserve-total"] == str(len(body))
        pieces.append(piece)
    assert b"".join(pieces) == body
    assert mount.ask("/exchanges/1/request-body?offset=5&limit=3")[2] == body[5:8]
    assert mount.ask(f"/exchanges/1/request-body?offset={len(body)}")[2] == b""
    assert mount.ask("/exchanges/1/request-body?limit=0")[2] == b""


@pytest.mark.parametrize(
    "query", ["offset=-1", "offset=x", "limit=", "limit=1.5", "limit=" + "9" * 99]
)
def test_where_a_piece_begins_is_a_whole_number(query: str, mount: DemoMount) -> None:
    mount.visit("/page")
    status, error, _ = mount.refusal(f"/exchanges/1/response-body?{query}")
    assert (status, error) == (400, "bad-request")


def test_of_a_body_that_was_cut_the_beginning_can_be_had(mount: DemoMount) -> None:
    mount.requests.body_limit = 10
    mount.visit("/echo", "POST", b"0123456789abc", CONTENT_TYPE="text/plain")
    body = mount.get("/exchanges/1")["response"]["body"]
    assert (body["size"], body["kept"]) == (13, 10)
    _, headers, piece = mount.ask("/exchanges/1/response-body")
    assert (piece, headers["flaskserve-total"]) == (b"0123456789", "10")
    assert mount.get("/exchanges/1/resend")["complete"] is False


def test_a_packed_body_is_unpacked_and_masked(mount: DemoMount) -> None:
    mount.visit("/packed")
    body = mount.get("/exchanges/1")["response"]["body"]
    assert (body["kind"], body["encoding"], body["masked"]) == ("json", "gzip", True)
    assert json.loads(mount.ask("/exchanges/1/response-body")[2]) == {"token": "********"}
    shown = mount.ask("/exchanges/1/response-body?reveal=1")[2]
    assert json.loads(shown) == {"token": SECRET}


def test_a_small_packed_body_does_not_become_a_huge_one(mount: DemoMount) -> None:
    bomb = gzip.compress(bytes(200_000_000), 9)
    mount.visit("/echo", "POST", bomb, CONTENT_TYPE="text/plain", HTTP_CONTENT_ENCODING="gzip")
    _, headers, piece = mount.ask("/exchanges/1/request-body")
    assert len(piece) == 65536
    assert int(headers["flaskserve-total"]) == 8 * 1024 * 1024


def test_what_is_not_packed_as_it_says_is_shown_as_it_is(mount: DemoMount) -> None:
    mount.visit("/echo", "POST", b"plain", CONTENT_TYPE="text/plain", HTTP_CONTENT_ENCODING="gzip")
    assert mount.get("/exchanges/1")["request"]["body"]["kind"] == "binary"
    assert mount.ask("/exchanges/1/request-body")[2] == b"plain"


# Again


def test_what_is_to_be_sent_again(secretive: DemoMount) -> None:
    found = secretive.get("/exchanges/1/resend")
    names = {name.lower() for name, _ in found["headers"]}
    assert not names & {"cookie", "host", "content-length", "connection"}
    assert ["Authorization", f"Bearer {SECRET}"] in found["headers"]
    assert (found["method"], found["target"]) == ("POST", f"/form?api_key={SECRET}&q=1")
    assert base64.b64decode(found["body_base64"]) == f"name=ada&password={SECRET}".encode()
    assert found["complete"] is True


@pytest.mark.parametrize("form", ["", "python", "CURL"])
def test_there_are_three_forms_to_copy(form: str, mount: DemoMount) -> None:
    mount.visit("/users/1")
    status, _, message = mount.refusal(f"/exchanges/1/copy?as={form}")
    assert (status, message) == (400, "It can be copied as curl, requests or test_client.")


def test_the_exports_are_json(mount: DemoMount) -> None:
    mount.visit("/users/1")
    assert mount.get("/har")["log"]["version"] == "1.2"
    assert mount.get("/statistics")["endpoints"][0]["endpoint"] == "user"


# The rules


def test_the_rules_of_the_app(mount: DemoMount) -> None:
    found = mount.get("/routes")
    assert (found["revision"], found["is_flask"]) == (3, True)
    assert "/users/<int:number>" in [route["rule"] for route in found["routes"]]


def test_which_rule_matches(mount: DemoMount) -> None:
    found = mount.get("/match?url=/users/7&method=get")
    assert (found["outcome"], found["method"], found["arguments"]) == (
        "match",
        "GET",
        {"number": "7"},
    )
    assert mount.get("/match?url=/users/x")["outcome"] == "not-found"
    assert mount.get("/match?url=/flaskserve/demo/users/7")["outcome"] == "match"


@pytest.mark.parametrize("query", ["", "?url=", "?url=/x&method=", "?method=GET"])
def test_to_match_takes_a_url_and_a_method(query: str, mount: DemoMount) -> None:
    assert mount.refusal(f"/match{query}")[:2] == (400, "bad-request")


def test_the_openapi_document(mount: DemoMount) -> None:
    document = mount.get("/openapi")
    assert document["openapi"].startswith("3.1")
    assert "/users/{number}" in document["paths"]


def test_an_app_that_takes_the_others_place_is_told_of(mount: DemoMount) -> None:
    mount.app = Flask("other")
    mount.app.add_url_rule("/other", view_func=lambda: "other")
    assert "/other" in [route["rule"] for route in mount.get("/routes")["routes"]]


# The panels' files


@pytest.mark.parametrize(("name", "kind"), [("header.js", "javascript"), ("header.css", "css")])
def test_a_file_of_a_known_version_is_kept_for_ever(name: str, kind: str, mount: DemoMount) -> None:
    from jupyter_flaskserve.widgets import modules

    version = modules.version("header")
    status, headers, body = mount.ask(f"/modules/{name}?v={version}")
    assert status == 200
    assert headers["content-type"] == f"text/{kind}; charset=utf-8"
    assert headers["cache-control"] == "private, max-age=31536000, immutable"
    assert body
    assert mount.ask(f"/modules/{name}?v=other")[1]["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["nothing", "..%2Fpanel", "shared", "Header"])
def test_there_are_no_other_files(name: str, mount: DemoMount) -> None:
    assert mount.refusal(f"/modules/{name}.js")[:2] == (404, "not-found")


# Sending for the page


def send(**changes: Any) -> bytes:
    return json.dumps(
        {"method": "GET", "target": "/", "headers": [], "tag": "t", **changes}
    ).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "/../../api/kernels"},
        {"target": "/a/%2e%2e/b"},
        {"target": "/a\\..\\b"},
        {"target": 7},
        {"method": []},
        {"method": ""},
        {"method": "GET /api/kernels"},
        {"method": "GET\r\nX: y"},
        {"headers": "x"},
        {"headers": [["a"]]},
        {"headers": [["a", 1]]},
        {"headers": ["ab"]},
        {"body_base64": "?"},
        {"body_base64": 5},
        {"tag": {}},
    ],
)
def test_what_cannot_be_sent_is_refused(
    changes: dict[str, Any], mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_flaskserve.kernel.client.client.send", _not_called)
    assert mount.refusal("/send", "POST", send(**changes))[:2] == (400, "bad-request")


def test_only_a_few_are_sent_at_once(mount: DemoMount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_flaskserve.kernel.client.client.send", _not_called)
    monkeypatch.setattr(sending, "_places", threading.BoundedSemaphore(1))
    with sending._places:
        assert mount.refusal("/send", "POST", send())[:2] == (409, "busy")


def test_an_app_that_cannot_be_reached_is_told(
    mount: DemoMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_flaskserve.kernel.client.client.known_home", lambda: None)
    status, error, message = mount.refusal("/send", "POST", send())
    assert (status, error) == (502, "no-answer"), message
    assert "server" in message


def _not_called(*args: object, **kwargs: object) -> Any:
    raise AssertionError("nothing is to be sent")


def _wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.01)


def _connected(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """The two ends of a connection."""
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        far = socket.create_connection(listening.getsockname())
        return listening.accept()[0], far
