"""What the panels ask about an app, through a real server: who may ask, and that it is answered
while everything else is busy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from jupyter_processes import Kernel, Reply, Server, wait_until

APP = """
import threading
from flask import Flask, Response, request

app = Flask(__name__)
begun, go = threading.Event(), threading.Event()

@app.route("/", methods=["GET", "POST"])
def hello():
    return "hello"

@app.get("/begun")
def wait_for_cell():
    begun.wait(20)
    return "begun"

@app.get("/go")
def let_go():
    go.set()
    return "gone"

@app.get("/wait")
def wait():
    go.wait(20)
    return "waited"

@app.get("/stream")
def stream():
    def body():
        yield "begun "
        go.wait(20)
        yield "ended"
    return Response(body())

@app.get("/state")
def state():
    return "the app's own state"

@app.get("/fail")
def fail():
    class Loud:
        def __repr__(self):
            print("printed by a repr")
            return "Loud()"
    loud = Loud()
    return 1 / 0
"""

JSON = ("Content-Type", "application/json")


class InspectedApp:
    """An app, and what is asked of its inspector."""

    def __init__(self, kernel: Kernel, name: str, base_url: str = "/", **options: Any) -> None:
        self.kernel = kernel
        self.server = kernel.server
        self.name = name
        self.path = f"{base_url}flaskserve/{name}/"
        self.inspector = f"{base_url}api/flaskserve/inspector/{name}/"
        kernel.serve(name, APP, **options)

    def visit(self, path: str = "", method: str = "GET", *headers: tuple[str, str]) -> Reply:
        """Ask the app."""
        return self.server.ask(self.path + path, method, headers)

    def ask(
        self,
        path: str = "state",
        method: str = "GET",
        *headers: tuple[str, str],
        body: bytes = b"",
        authorized: bool = True,
    ) -> Reply:
        """Ask the inspector, on a connection of its own."""
        return self.server.ask(self.inspector + path, method, headers, body, authorized=authorized)

    def state(self) -> dict[str, Any]:
        reply = self.ask()
        assert reply.status == 200, reply
        found: dict[str, Any] = json.loads(reply.content)
        return found

    def rows(self) -> list[dict[str, Any]]:
        reply = self.ask("rows", "POST", JSON, body=b"{}")
        assert reply.status == 200, reply
        found: list[dict[str, Any]] = json.loads(reply.content)["rows"]
        return found

    @contextmanager
    def open_requests(self, path: str, number: int) -> Iterator[None]:
        """Have requests to the app open that go on until the kernel lets them."""
        with ExitStack() as stack:
            for _ in range(number):
                connection = stack.enter_context(self.server.connect())
                authorization = [f"{k}: {v}" for k, v in self.server.authorization.items()]
                lines = [f"GET {self.path}{path} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}"]
                connection.sendall("\r\n".join([*lines, *authorization, "", ""]).encode())
            yield
            self.kernel.run("go.set()")


@pytest.fixture
def app(kernel: Kernel, name: str) -> Iterator[InspectedApp]:
    yield InspectedApp(kernel, name)
    kernel.run("go.set()\n_mount.stop()")


@pytest.fixture(scope="module")
def browser(server: Server) -> tuple[str, str]:
    """The header with the cookies of a browser that has logged in."""
    return ("Cookie", "; ".join(f"{key}={value}" for key, value in server.login().items()))


def error_of(reply: Reply) -> str:
    """The word for programs in a refusal."""
    error: str = json.loads(reply.content)["error"]
    return error


# Who may ask


def test_who_has_logged_in_may_ask(app: InspectedApp, browser: tuple[str, str]) -> None:
    reply = app.ask("state", "GET", browser, authorized=False)
    assert reply.status == 200
    assert json.loads(reply.content)["name"] == app.name
    assert reply.header("flaskserve-inspector") == app.name
    assert reply.header("content-type") == "application/json"
    assert reply.header("content-security-policy") == "sandbox; default-src 'none'"
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cache-control") == "no-store"
    assert reply.header("set-cookie") is None
    assert reply.header("access-control-allow-origin") is None


def test_who_has_the_token_may_ask(app: InspectedApp) -> None:
    assert app.state()["path"] == app.path
    assert app.ask(f"state?token={app.server.token}", authorized=False).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", ()),
        ("?token=wrong", ()),
        ("", (("Authorization", "token wrong"),)),
        ("", (("Cookie", "username-127-0-0-1-8888=x"),)),
    ],
    ids=["nothing", "wrong-query", "wrong-header", "wrong-cookie"],
)
def test_nobody_else_may(
    method: str, query: str, headers: tuple[tuple[str, str], ...], app: InspectedApp
) -> None:
    body = b"{}" if method in ("POST", "PUT") else b""
    asked = ("Accept", "application/json")
    for path in ("state", "rows", "stop", "exchanges/1", "modules/header.js"):
        reply = app.ask(path + query, method, asked, *headers, body=body, authorized=False)
        assert reply.status == 403, reply
        assert reply.header("flaskserve-inspector") is None
    assert app.state()["stopped"] is False


def test_without_credentials_nobody_learns_what_there_is(app: InspectedApp) -> None:
    known = app.ask(authorized=False)
    unknown = app.server.ask("/api/flaskserve/inspector/nobody/state", authorized=False)
    assert (known.status, known.reason) == (unknown.status, unknown.reason) == (403, "Forbidden")


FOREIGN = [
    (("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")),
    (("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")),
    (("Origin", "http://evil.example"),),
    (("Origin", "null"),),
]


@pytest.mark.parametrize("headers", FOREIGN, ids=["cross-site", "same-site", "origin", "null"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "state"), ("GET", "har?reveal=1"), ("POST", "rows"), ("POST", "stop")],
)
def test_another_sites_page_may_not(
    method: str,
    path: str,
    headers: tuple[tuple[str, str], ...],
    app: InspectedApp,
    browser: tuple[str, str],
) -> None:
    body = b"{}" if method == "POST" else b""
    reply = app.ask(path, method, browser, JSON, *headers, body=body, authorized=False)
    assert reply.status == 403
    assert reply.header("flaskserve-inspector") is None
    assert reply.header("access-control-allow-origin") is None
    assert app.state()["stopped"] is False


def test_jupyters_own_page_may(app: InspectedApp, browser: tuple[str, str]) -> None:
    """A browser says so of each request, and needs no token against forgery."""
    fetch = (("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"))
    origin = ("Origin", f"http://127.0.0.1:{app.server.port}")
    assert app.ask("state", "GET", browser, *fetch, authorized=False).status == 200
    reply = app.ask("rows", "POST", browser, JSON, origin, *fetch, body=b"{}", authorized=False)
    assert reply.status == 200


def test_a_form_of_the_app_may_send_nothing_that_is_obeyed(
    app: InspectedApp, browser: tuple[str, str]
) -> None:
    """The app's pages are of Jupyter's origin, so its scripts may do what JupyterLab may."""
    form = ("Content-Type", "application/x-www-form-urlencoded")
    same = ("Sec-Fetch-Site", "same-origin")
    reply = app.ask("stop", "POST", browser, form, same, body=b"{}", authorized=False)
    assert reply.status == 400
    assert app.state()["stopped"] is False


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8888"])
def test_another_host_is_none_of_ours(
    host: str, app: InspectedApp, browser: tuple[str, str]
) -> None:
    reply = app.ask("state", "GET", ("Host", host), browser, authorized=False)
    assert reply.status == 403
    assert reply.header("flaskserve-inspector") is None


@pytest.mark.parametrize(("allowed", "status"), [("read", 403), ("execute", 200)])
def test_who_may_read_the_list_or_use_the_apps_may_not_ask_about_them(
    new_server: Callable[..., Server], allowed: str, status: int
) -> None:
    config = f"""
    from jupyter_server.auth import Authorizer

    class Guests(Authorizer):
        def is_authorized(self, handler, user, action, resource):
            return resource != "flaskserve" or action in ("read", {allowed!r})

    c.ServerApp.authorizer_class = Guests
    """
    app = InspectedApp(new_server(config=config).kernel(), "closed")
    assert app.server.ask("/flaskserve/").status == 200
    assert app.visit().status == status
    assert app.ask().status == 403
    assert app.ask("stop", "POST", JSON, body=b"{}").status == 403


def test_neither_the_token_nor_cookies_go_on(app: InspectedApp, browser: tuple[str, str]) -> None:
    app.kernel.run(
        """
        from jupyter_flaskserve.kernel.inspector import dispatch
        _answer, _seen = dispatch.answer, []
        def _noting(mount, environ):
            _seen.append(str(environ))
            return _answer(mount, environ)
        dispatch.answer = _noting
        """
    )
    app.ask(f"state?token={app.server.token}&a=1", "GET", browser)
    seen = app.kernel.run("print(_seen)\ndispatch.answer = _answer").stdout
    assert "'QUERY_STRING': 'a=1'" in seen
    assert app.server.token not in seen
    assert "HTTP_COOKIE" not in seen
    assert "HTTP_AUTHORIZATION" not in seen


# What there is to ask


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(method: str, app: InspectedApp) -> None:
    reply = app.ask("state", method)
    assert reply.status == 405
    assert reply.header("allow") == "GET"
    assert app.ask("rows", method).header("allow") == "POST"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "*/*"])
def test_an_unknown_mount_is_told_in_json(accept: str, app: InspectedApp) -> None:
    path = f"/api/flaskserve/inspector/{app.name}x/state"
    reply = app.server.ask(path, headers=[("Accept", accept)])
    assert (reply.status, error_of(reply)) == (404, "not-found")


def test_a_mount_that_was_stopped_is_unknown(kernel: Kernel, name: str) -> None:
    app = InspectedApp(kernel, name)
    reply = app.ask("stop", "POST", JSON, body=b"{}")
    assert (reply.status, json.loads(reply.content)) == (200, {"stopped": True})
    wait_until(lambda: app.ask().status == 404, what="the end of the mount")
    assert app.visit().status == 404


def test_requests_to_the_app_are_listed_and_questions_are_not(app: InspectedApp) -> None:
    app.visit("?password=x", "GET", ("X-Flaskserve-Tag", "mine"))
    app.visit("", "POST")
    wait_until(lambda: not any(row["open"] for row in app.rows()))
    rows = app.rows()
    assert [(row["n"], row["method"], row["path"]) for row in rows] == [
        (1, "GET", "/?password=********"),
        (2, "POST", "/"),
    ]
    assert [row["tag"] for row in rows] == ["mine", None]
    assert app.state()["requests"]["last"] == 2


def test_app_and_inspector_are_not_to_be_had_at_each_others_address(app: InspectedApp) -> None:
    assert app.visit("state").content == b"the app's own state"
    assert app.visit("state").header("flaskserve-inspector") is None
    for path in ("rows", "exchanges/1", "inspector/state", "api/flaskserve/inspector/state"):
        assert app.visit(path).status == 404
    assert app.ask("wait").status == 404
    assert app.ask("").header("flaskserve-inspector") == app.name
    assert app.ask("../../../../flaskserve/x").status == 404


@pytest.mark.parametrize(
    "header",
    ["Flaskserve-Control", "FLASKSERVE_CONTROL", "Flaskserve_Control", "X-Flaskserve-Control"],
)
@pytest.mark.parametrize("value", ["inspect", "stop"])
def test_no_header_leads_to_the_inspector(header: str, value: str, app: InspectedApp) -> None:
    reply = app.visit("state", "GET", (header, value))
    assert reply.content == b"the app's own state"
    assert app.state()["stopped"] is False


def test_the_panels_modules_are_served(app: InspectedApp) -> None:
    for name, kind in (("header.js", "text/javascript"), ("header.css", "text/css")):
        reply = app.ask(f"modules/{name}")
        assert reply.status == 200, reply
        assert (reply.header("content-type") or "").startswith(kind)
        assert reply.content


def test_a_connection_is_kept_for_the_next_question(app: InspectedApp) -> None:
    inspector = f"http://127.0.0.1:{app.server.port}{app.inspector}"
    client = app.server.http
    for _ in range(3):
        assert client.get(inspector).status_code == 404
        assert client.get(f"{inspector}state").status_code == 200
        answer = client.post(f"{inspector}rows", content=b"x" * 2_000_000)
        assert answer.status_code == 400
        assert client.post(f"{inspector}rows", json={}).status_code == 200


# While everything else is busy


@pytest.mark.parametrize(
    "cell", ["go.wait(20)", "while not go.is_set(): pass"], ids=["asleep", "busy"]
)
def test_it_answers_while_a_cell_runs(cell: str, app: InspectedApp) -> None:
    app.visit()
    running = app.kernel.start(f"begun.set()\n{cell}\nprint('end')")
    app.visit("begun")
    begin = time.monotonic()
    for _ in range(5):
        assert len(app.rows()) == 2
        assert app.state()["requests"]["kept"] == 2
    assert time.monotonic() - begin < 3
    app.visit("go")
    assert running.wait().stdout == "end\n", "and prints nothing into it"


def test_it_answers_while_the_only_thread_of_the_app_hangs(kernel: Kernel, name: str) -> None:
    app = InspectedApp(kernel, name, threads=1)
    with app.open_requests("wait", 3):
        wait_until(lambda: app.state()["requests"]["last"] == 1)
        for _ in range(3):
            assert [row["open"] for row in app.rows()] == [True]
    wait_until(lambda: not any(row["open"] for row in app.rows()))
    kernel.run("_mount.stop()")


def test_it_answers_though_a_page_that_hangs_is_loaded_again_and_again(
    kernel: Kernel, name: str
) -> None:
    app = InspectedApp(kernel, name, threads=1)
    with app.server.connect() as first:
        lines = [f"GET {app.path}wait HTTP/1.1", f"Host: 127.0.0.1:{app.server.port}"]
        lines += [f"{key}: {value}" for key, value in app.server.authorization.items()]
        request = "\r\n".join([*lines, "", ""]).encode()
        first.sendall(request)
        wait_until(lambda: app.state()["requests"]["last"] == 1)
        for _ in range(30):
            with app.server.connect() as connection:
                connection.sendall(request)
                time.sleep(0.02)
        assert app.state()["requests"]["last"] == 1
        kernel.run("go.set()")
    wait_until(lambda: not any(row["open"] for row in app.rows()))
    assert app.visit().content == b"hello"
    kernel.run("_mount.stop()")


@pytest.mark.parametrize("path", ["stream", "wait"])
def test_it_answers_while_64_responses_are_open(path: str, app: InspectedApp) -> None:
    with app.open_requests(path, 70):  # of which six wait for a thread
        wait_until(lambda: app.state()["requests"]["last"] == 64, seconds=30)
        begin = time.monotonic()
        for _ in range(10):
            rows = app.rows()
        assert time.monotonic() - begin < 3
        assert [row["open"] for row in rows] == [True] * 64
        app.kernel.run("go.set()")  # with their connections closed, the six would not be begun
        wait_until(lambda: app.state()["requests"]["last"] == 70, seconds=30)


def test_many_questions_at_once_do_not_keep_the_app_waiting(app: InspectedApp) -> None:
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(app.ask, "state") for _ in range(100)]
        assert app.visit().content == b"hello"
    assert {question.result().status for question in asked} == {200}


def test_what_a_repr_prints_is_no_cells(app: InspectedApp) -> None:
    app.visit("fail")
    wait_until(lambda: app.rows() and not app.rows()[0]["open"])
    running = app.kernel.start("begun.set()\ngo.wait(20)\nprint('end')")
    app.visit("begun")
    reply = app.ask("exchanges/1")
    assert reply.status == 200
    trace = json.loads(reply.content)["traceback"]
    assert ["loud", "Loud()", False] in trace["frames"][-1]["variables"]
    app.visit("go")
    assert running.wait().stdout == "end\n"


# The kernel's life


@pytest.mark.jupyter_server("it is Jupyter Server that ends kernels nobody uses")
def test_an_open_panel_does_not_keep_its_kernel_in_use(app: InspectedApp) -> None:
    def last_activity() -> str:
        answer: str = app.server.http.get(f"api/kernels/{app.kernel.id}").json()["last_activity"]
        return answer

    app.visit()
    before = wait_until(_settled(last_activity), what="a quiet kernel")
    for _ in range(5):
        app.rows()
        app.state()
    assert last_activity() == before

    def is_noted() -> bool:  # once a second
        app.visit()
        return last_activity() != before

    wait_until(is_noted, what="a note that the kernel is in use")


def _settled(ask: Callable[[], str]) -> Callable[[], str]:
    """What is asked, once it is the same for a while; else an empty text."""

    def settled() -> str:
        before = ask()
        time.sleep(0.3)
        return before if ask() == before else ""

    return settled


@pytest.mark.jupyter_server("a kernel's own server ends with it")
def test_a_kernel_that_has_ended_is_told(new_kernel: Callable[..., Kernel], name: str) -> None:
    kernel = new_kernel()
    app = InspectedApp(kernel, name)
    assert app.ask().status == 200
    kernel.kill9()
    for _ in range(3):
        reply = app.ask()
        assert (reply.status, error_of(reply)) == (503, "kernel-stopped")


@pytest.mark.jupyter_server("it is Jupyter Server that restarts kernels")
def test_a_kernel_that_is_restarted_says_so(new_kernel: Callable[..., Kernel], name: str) -> None:
    kernel = new_kernel()
    app = InspectedApp(kernel, name)
    app.visit()
    generation = app.state()["generation"]
    kernel.restart()
    assert error_of(app.ask()) == "kernel-stopped"
    kernel.serve(name, APP)
    assert app.state()["generation"] != generation
    assert app.rows() == []


def test_a_mount_that_is_served_anew_keeps_its_exchanges(kernel: Kernel, name: str) -> None:
    app = InspectedApp(kernel, name)
    app.visit()
    generation = app.state()["generation"]
    kernel.serve(name, APP, threads=2)  # other threads: another responder
    assert app.state()["generation"] == generation
    wait_until(lambda: [row["n"] for row in app.rows()] == [1])
    kernel.run("_mount.stop()")


# Addresses


def test_under_a_base_url(new_server: Callable[..., Server]) -> None:
    server = new_server(base_url="/user/ann/")
    app = InspectedApp(server.kernel(), "demo", "/user/ann/")
    app.visit()
    wait_until(lambda: len(app.rows()) == 1)
    assert app.state()["path"] == "/user/ann/flaskserve/demo/"
    assert server.ask("/user/%61nn/api/flaskserve/inspector/demo/state").status == 200
    assert server.ask("/api/flaskserve/inspector/demo/state").status == 404


def test_the_page_may_have_the_kernel_send_for_it(app: InspectedApp) -> None:
    asked = {"method": "GET", "target": "/?a=1", "headers": [["X-A", "1"]], "tag": "sent"}
    reply = app.ask("send", "POST", JSON, body=json.dumps(asked).encode())
    assert reply.status == 200, reply
    found = json.loads(reply.content)
    assert (found["status"], found["body_base64"], found["note"]) == (200, "aGVsbG8=", "")
    assert found["url"] == f"http://127.0.0.1:{app.server.port}{app.path}?a=1"
    assert found["ms"] > 0
    assert [row["tag"] for row in app.rows()] == ["sent"]
