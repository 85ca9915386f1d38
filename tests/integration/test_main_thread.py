"""Apps whose views run on the kernel's main thread, between cells."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from jupyter_processes import Kernel, Server, wait_until

SHOP = """
import sqlite3, threading, time
from flask import Flask, g, request, stream_with_context
from jupyter_flaskserve.kernel.exchanges.exchanges import current

cell_thread = threading.current_thread()
goods = sqlite3.connect(":memory:")
goods.execute("create table goods (name text)")
goods.execute("insert into goods values ('bread')")
calls = []
closed = []
app = Flask(__name__)

@app.get("/")
def show():
    calls.append(threading.current_thread() is cell_thread)
    return [name for name, in goods.execute("select name from goods")]

@app.post("/")
def add():
    data = request.get_data()
    goods.execute("insert into goods values (?)", (data.decode(),))
    return {"bytes": len(data)}

@app.post("/size")
def size():
    count = 0
    while data := request.stream.read(1 << 16):
        count += len(data)
    return {"bytes": count}

@app.get("/stream")
def stream():
    def steps():
        for number in range(3):
            calls.append(threading.current_thread() is cell_thread)
            yield f"{number} {request.path} {current().path}\\n"
    response = app.response_class(stream_with_context(steps()))
    response.call_on_close(lambda: closed.append(threading.current_thread() is cell_thread))
    return response

@app.get("/slow")
def slow():
    time.sleep(20)
    return "slow"

@app.get("/count")
def count():
    calls.append(None)
    return str(len(calls))

@app.get("/boom")
def boom():
    raise ValueError("boom")
"""


@pytest.fixture
def shop(kernel: Kernel, name: str) -> httpx.Client:
    return kernel.serve(name, SHOP, main_thread=True)


def test_a_view_uses_what_a_cell_has_made(kernel: Kernel, shop: httpx.Client) -> None:
    assert shop.get("").json() == ["bread"]
    assert shop.post("", content=b"milk").json() == {"bytes": 4}
    kernel.run("goods.execute(\"insert into goods values ('tea')\")")
    assert shop.get("").json() == ["bread", "milk", "tea"]
    assert kernel.run("print(set(calls))").stdout == "{True}\n"


def test_a_stream_is_made_and_closed_on_the_main_thread(kernel: Kernel, shop: httpx.Client) -> None:
    assert shop.get("stream").text == "".join(f"{n} /stream /stream\n" for n in range(3))
    wait_until(lambda: kernel.run("print(closed)").stdout == "[True]\n", what="the close")
    assert kernel.run("print(calls)").stdout == "[True, True, True]\n"


def test_a_client_that_leaves_closes_the_stream_on_the_main_thread(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        SHOP
        + """
@app.get("/endless")
def endless():
    def steps():
        while True:
            yield b"x" * 100_000
    response = app.response_class(steps())
    response.call_on_close(lambda: closed.append(threading.current_thread() is cell_thread))
    return response
""",
        main_thread=True,
    )
    with server.client(name).stream("GET", "endless") as response:
        next(response.iter_raw())
        # Cells run in between, though there is always another step.
        assert kernel.run("print(1 + 1)").stdout == "2\n"
    wait_until(lambda: kernel.run("print(closed)").stdout == "[True]\n", what="the close")


def test_many_requests_at_once_are_all_answered(kernel: Kernel, shop: httpx.Client) -> None:
    def ask(number: int) -> str:
        return httpx.get(shop.base_url.join("count"), headers=shop.headers, timeout=20).text

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(120)))
    assert sorted(map(int, answers)) == list(range(1, 121))


def test_a_cell_delays_requests_and_then_they_are_answered(
    kernel: Kernel, shop: httpx.Client
) -> None:
    with ThreadPoolExecutor(10) as pool:
        cell = kernel.start("time.sleep(1.5); print(len(calls))")
        time.sleep(0.3)
        answers = [pool.submit(shop.get, "count") for _ in range(10)]
        assert cell.wait().stdout == "0\n"
        assert {answer.result().status_code for answer in answers} == {200}


def test_a_request_comes_before_the_cells_that_wait(kernel: Kernel, shop: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        cells = [kernel.start("time.sleep(0.4); print(len(calls))") for _ in range(6)]
        time.sleep(0.2)
        answer = pool.submit(shop.get, "count")
        seen = [cell.wait().stdout for cell in cells]
        assert answer.result().status_code == 200
    assert seen[0] == "0\n"
    assert seen[-1] == "1\n"
    assert seen.index("1\n") <= 3


def test_a_slow_upload_does_not_keep_cells_from_running(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(name, SHOP, main_thread=True)
    with server.connect() as connection:
        head = f"POST /flaskserve/{name}/size HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        head += f"Authorization: token {server.token}\r\nContent-Length: 3000000\r\n\r\n"
        connection.sendall(head.encode() + bytes(1_500_000))
        time.sleep(0.3)
        assert kernel.run("print(1 + 1)", seconds=5).stdout == "2\n"
        connection.sendall(bytes(1_500_000))
        answer = connection.recv(65536)
    assert b"200 OK" in answer
    assert b"3000000" in answer


def test_a_slow_reader_does_not_keep_cells_from_running(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.serve(
        name,
        """
def app(environ, start_response):
    start_response("200 OK", [])
    return [bytes(64_000_000)]
""",
        main_thread=True,
    )
    with server.client(name).stream("GET", "") as response:
        next(response.iter_raw(1000))
        time.sleep(0.3)
        assert kernel.run("print(1 + 1)", seconds=5).stdout == "2\n"


def test_an_interrupt_ends_the_view_and_not_the_kernel(
    kernel: Kernel, server: Server, name: str
) -> None:
    shop = kernel.serve(
        name,
        SHOP.replace("time.sleep(20)", "calls.append(0); time.sleep(20)"),
        main_thread=True,
    )
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(shop.get, "slow")
        time.sleep(0.5)
        kernel.interrupt()
        failed = answer.result(timeout=5)
    assert failed.status_code == 500
    assert kernel.run("print(calls)").stdout == "[0]\n"
    for _ in range(3):
        kernel.interrupt()  # between cells and views, which nothing minds
    assert shop.get("count").text == "2"
    assert kernel.run("print(goods is not None)").stdout == "True\n"


def test_a_view_that_fails_is_answered_by_flask(shop: httpx.Client) -> None:
    failed = shop.get("boom")
    assert failed.status_code == 500
    assert "Internal Server Error" in failed.text


@pytest.mark.parametrize(
    "client",
    [
        "__import__('requests').get(url, headers=headers, timeout=20).text",
        "__import__('httpx').get(url, headers=headers, timeout=20).text",
        "urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20)"
        ".read().decode()",
        "urllib.request.urlopen(urllib.request.Request(url, headers=headers)).read().decode()",
    ],
    ids=["requests", "httpx", "urllib", "urllib without a timeout"],
)
def test_a_cell_that_asks_the_app_itself_gets_its_answer(
    kernel: Kernel, server: Server, name: str, client: str
) -> None:
    kernel.serve(name, SHOP, main_thread=True)
    text = kernel.run(
        f"""
        import urllib.request
        url = _mount.url + "stream"
        headers = {server.authorization!r}
        print({client}, end="")
        """,
        seconds=15,
    ).stdout
    assert text == "".join(f"{n} /stream /stream\n" for n in range(3))


def test_a_request_that_waits_when_its_mount_is_stopped_leaves_nothing_behind(
    server: Server, new_kernel: Callable[..., Kernel], name: str
) -> None:
    kernel = new_kernel("stopping.ipynb")
    shop = kernel.serve(name, SHOP, main_thread=True)
    with ThreadPoolExecutor(1) as pool:
        cell = kernel.start(
            "time.sleep(0.5); _mount.stop(); time.sleep(0.5); print(_mount.stopped)"
        )
        time.sleep(0.2)
        answer = pool.submit(shop.get, "")
        assert cell.wait().stdout == "True\n"
        assert answer.result(timeout=10).json() == ["bread"]
    workers = "print([t.name for t in threading.enumerate() if 'worker' in t.name])"
    wait_until(lambda: kernel.run(workers).stdout == "[]\n", what="the end of the workers")


def test_a_websocket_runs_on_its_workers_thread(kernel: Kernel, server: Server, name: str) -> None:
    from websockets.sync.client import connect

    kernel.serve(
        name,
        SHOP
        + """
from flask_sock import Sock
@Sock(app).route("/chat")
def chat(ws):
    while True:
        ws.send(f"{ws.receive()} {threading.current_thread() is cell_thread}")
""",
        main_thread=True,
    )
    address = f"ws://127.0.0.1:{server.port}/flaskserve/{name}/chat"
    with connect(address, additional_headers=server.authorization, proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "hello False"
        assert kernel.run("print(1 + 1)", seconds=5).stdout == "2\n"


def test_a_figure_is_drawn(kernel: Kernel, name: str) -> None:
    """Tk's objects, which some figures are made of, work on the thread that made them only."""
    client = kernel.serve(
        name,
        """
        import threading
        from flask import Flask
        app = Flask(__name__)

        class Figure:
            def __init__(self):
                self.thread = threading.get_ident()
            def draw(self):
                if threading.get_ident() != self.thread:
                    raise RuntimeError("main thread is not in main loop")
                return b"\\x89PNG"

        figure = Figure()

        @app.get("/")
        def picture():
            return figure.draw(), {"Content-Type": "image/png"}
        """,
        main_thread=True,
    )
    assert client.get("").content == b"\x89PNG"


def test_views_run_while_a_cell_follows_the_log(
    kernel: Kernel, shop: httpx.Client, name: str
) -> None:
    kernel.run("%load_ext jupyter_flaskserve")
    cell = kernel.start(f"%flaskserve log {name} -f")
    time.sleep(0.5)
    assert shop.get("", timeout=5).json() == ["bread"]
    time.sleep(1)
    kernel.interrupt()
    assert "GET /" in cell.wait(10).stdout


def test_the_time_in_which_a_cell_kept_a_view_waiting_belongs_to_the_queue(
    kernel: Kernel, shop: httpx.Client
) -> None:
    cell = kernel.start("time.sleep(1)")
    time.sleep(0.3)
    assert shop.get("", timeout=10).json() == ["bread"]
    cell.wait()
    queue, view = map(float, kernel.run("print(*_mount.requests.last.timing[:2])").stdout.split())
    assert queue > 0.4
    assert view < 0.4
