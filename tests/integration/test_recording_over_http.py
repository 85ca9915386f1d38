"""What the kernel keeps of the requests that came through the server."""

from __future__ import annotations

import ast
import json
import threading
import time
from typing import Any

import httpx
import pytest
from jupyter_processes import Kernel, wait_until

SHOP = """
from flask import Flask, request, session
from flask_sock import Sock
import time

app = Flask(__name__)
app.secret_key = "demo"
sock = Sock(app)

@app.route("/users/<int:number>", methods=["GET", "POST"])
def user(number):
    session["user"] = number
    return {"number": number, "heard": request.get_data(as_text=True)}

@app.route("/environ")
def environ():
    return {name: str(value) for name, value in request.environ.items()}

@app.route("/stream")
def stream():
    def chunks():
        for chunk in "abc":
            yield chunk
            time.sleep(0.3)
    return chunks()

@app.route("/slow")
def slow():
    time.sleep(0.2)
    return "slow"

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())
"""


@pytest.fixture
def app(kernel: Kernel, name: str) -> httpx.Client:
    return kernel.serve(name, SHOP)


def told(kernel: Kernel, expression: str) -> Any:
    """The value of an expression in the kernel, where ``requests`` are the mount's."""
    code = f"requests = _mount.requests\nprint('told', repr({expression}))"
    return ast.literal_eval(kernel.run(code).stdout.partition("told ")[2])


def test_a_request_is_kept_as_the_app_saw_it(app: httpx.Client, kernel: Kernel) -> None:
    answer = app.post(
        "users/7?page=2&secret=s3cret",
        content=b"hello",
        headers={"X-Shop": "one", "X-Flaskserve-Tag": "tag-1", "Content-Type": "text/plain"},
    )
    assert answer.json() == {"number": 7, "heard": "hello"}
    facts = told(
        kernel,
        "(lambda e: (e.method, e.target, e.masked_path, e.status, e.endpoint, e.rule, e.arguments,"
        " e.tag, e.request_body.data, e.response.json, e.kind, e.is_open, e.client,"
        " dict(e.request_headers).get('X-Shop'), e.url))(requests.last)",
    )
    assert facts == (
        "POST", "/users/7?page=2&secret=s3cret", "/users/7?page=2&secret=********", 200, "user",
        "/users/<int:number>", {"number": 7}, "tag-1", b"hello", {"number": 7, "heard": "hello"},
        "http", False, "127.0.0.1", "one", str(answer.request.url),
    )  # fmt: skip
    names = told(kernel, "[name.lower() for name, _ in requests.last.request_headers]")
    assert "x-flaskserve-tag" not in names
    assert "authorization" not in names  # Jupyter's
    shown = kernel.run("print(requests, requests[:], requests.last.request)").stdout
    assert "s3cret" not in shown


def test_the_app_sees_nothing_of_it(app: httpx.Client) -> None:
    environ = app.get("environ", headers={"X-Flaskserve-Tag": "tag-1"}).json()
    assert not [name for name in environ if "FLASKSERVE" in name]


def test_the_queue_is_the_time_from_the_server_to_the_view(
    app: httpx.Client, kernel: Kernel
) -> None:
    app.get("slow")
    queue, view, streaming, total = told(kernel, "tuple(requests.last.timing)")
    assert 0 < queue < 2
    assert 0.2 <= view < 2
    assert 0 <= streaming < 2
    assert total == pytest.approx(queue + view + streaming)


def test_a_wait_for_a_thread_belongs_to_the_queue(kernel: Kernel, name: str) -> None:
    app = kernel.serve(name, SHOP, threads=1)
    waiting = threading.Thread(target=app.get, args=("slow",))
    waiting.start()
    time.sleep(0.05)
    app.get("slow")
    waiting.join()
    queues = told(kernel, "[exchange.timing.queue for exchange in requests]")
    assert max(queues) - min(queues) > 0.05


def test_a_stream_shows_while_it_lasts(app: httpx.Client, kernel: Kernel) -> None:
    with app.stream("GET", "stream") as answer:
        chunks = answer.iter_raw()
        assert next(chunks) == b"a"
        assert next(chunks) == b"b"
        facts = "(requests.last.kind, requests.last.is_open, requests.last.endpoint)"
        assert told(kernel, facts) == ("stream", True, "stream")
        assert b"".join(chunks) == b"c"
    wait_until(lambda: not told(kernel, "requests.last.is_open"))
    assert told(kernel, "(requests.last.size, requests.last.messages_out)") == (3, 3)
    assert told(kernel, "requests.last.response.text") == "abc"


def test_a_websocket_shows_while_it_lasts(app: httpx.Client, kernel: Kernel) -> None:
    from websockets.sync.client import connect

    url = str(app.base_url.join("echo")).replace("http", "ws", 1)
    headers = {"Authorization": app.headers["Authorization"]}
    with connect(url, additional_headers=headers) as socket:
        for number in range(5):
            socket.send(f"{number}" * 1000)
            assert socket.recv() == f"{number}" * 1000
        kind, is_open, status, received, sent, size, endpoint = told(
            kernel,
            "(lambda e: (e.kind, e.is_open, e.status, e.messages_in, e.messages_out, e.size,"
            " e.endpoint))(requests.last)",
        )
    assert (kind, is_open, status, received, sent) == ("websocket", True, 101, 5, 5)
    assert size > 0
    assert endpoint == "echo"
    wait_until(lambda: not told(kernel, "requests.last.is_open"))


def test_what_is_exported_can_be_read(app: httpx.Client, kernel: Kernel) -> None:
    app.get("users/1")
    app.get("users/2")
    kernel.run("import json; json.dump(_mount.requests.to_har(), open('traffic.har', 'w'))")
    archive = json.loads(kernel.run("print(open('traffic.har').read())").stdout)
    assert [entry["response"]["status"] for entry in archive["log"]["entries"]] == [200, 200]
    assert told(kernel, "requests.statistics.as_dict()['all']['count']") == 2
    before_after = told(
        kernel,
        "__import__('jupyter_flaskserve.kernel.exchanges.sessions', fromlist=['decode'])"
        ".decode(app, requests.last)['after']",
    )
    assert before_after == {"user": 2}
