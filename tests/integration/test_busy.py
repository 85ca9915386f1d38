"""Busy kernels: cells that run, requests that come at once, and queues that are full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from jupyter_processes import CellError, Kernel, Server, wait_until

HELLO = """
from flask import Flask
app = Flask(__name__)

@app.route("/")
def hello():
    return "hello"
"""

# Each request waits for `go`. It counts how many have begun, and how many ran at once.
WAITING = """
import threading
go = threading.Event()
begun = running = most = 0
lock = threading.Lock()

def app(environ, start_response):
    global begun, running, most
    with lock:
        begun += 1
        running += 1
        most = max(most, running)
    go.wait(30)
    with lock:
        running -= 1
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def number(kernel: Kernel, expression: str) -> int:
    return int(kernel.run(f"print({expression})").stdout)


class Crowd:
    """Requests that are made at once, each in a thread and on a connection of its own."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url = url
        self._headers = headers
        self._threads = ThreadPoolExecutor(max_workers=200)

    def ask(self, count: int) -> list[Future[httpx.Response]]:
        return [self._threads.submit(self._ask) for _ in range(count)]

    def _ask(self) -> httpx.Response:
        return httpx.get(self._url, headers=self._headers, timeout=60, trust_env=False)

    def close(self) -> None:
        self._threads.shutdown(wait=True)


@pytest.fixture
def crowd() -> Iterator[Callable[[Server, str], Crowd]]:
    crowds: list[Crowd] = []

    def crowd(server: Server, name: str) -> Crowd:
        crowds.append(Crowd(f"{server.url}flaskserve/{name}/", server.authorization))
        return crowds[-1]

    yield crowd
    for one in crowds:
        one.close()


# A cell that runs


@pytest.mark.parametrize(
    "code",
    [
        "while not done: pass",
        "import time\nwhile not done: time.sleep(0.05)",
        "import time\nfor _ in range(100):\n    if not done: time.sleep(0.05)",
        "import hashlib\nwhile not done: hashlib.sha256(bytes(100_000_000))",
    ],
    ids=["a pure Python loop", "short sleeps", "a loop of sleeps", "calls that free the lock"],
)
def test_the_app_answers_while_a_cell_runs(code: str, kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        done = False
        def app(environ, start_response):
            global done
            done = environ["PATH_INFO"] == "/done"
            start_response("200 OK", [("Content-Length", "5")])
            return [b"hello"]
        """,
    )
    cell = kernel.start(code)
    time.sleep(0.3)
    begin = time.monotonic()
    for _ in range(10):
        assert client.get("").text == "hello"
    assert time.monotonic() - begin < 3
    assert client.get("done").text == "hello"
    cell.wait(10)


def test_the_app_answers_during_one_long_sleep(kernel: Kernel, name: str) -> None:
    client = kernel.serve(name, HELLO)
    cell = kernel.start("import time; time.sleep(2); print('slept')")
    time.sleep(0.2)
    begin = time.monotonic()
    assert [client.get("").text for _ in range(20)] == ["hello"] * 20
    assert time.monotonic() - begin < 1.5
    assert cell.wait(10).stdout == "slept\n"


def test_the_app_answers_while_a_cell_waits_for_input(kernel: Kernel, name: str) -> None:
    client = kernel.serve(name, HELLO)
    cell = kernel.start("print('got', input('your name? '))")
    cell.wait_for_input()
    assert client.get("").text == "hello"
    cell.answer("Ann")
    assert cell.wait().stdout == "got Ann\n"


def test_a_view_that_asks_for_input_fails_and_the_kernel_goes_on(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        from flask import Flask
        app = Flask(__name__)

        @app.route("/ask")
        def ask():
            return input("your name? ")

        @app.route("/")
        def hello():
            return "hello"
        """,
    )
    assert client.get("ask", timeout=10).status_code == 500
    assert client.get("").text == "hello"
    assert kernel.run("print('still here')").stdout == "still here\n"


def test_an_interrupt_stops_the_cell_and_not_the_requests(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        import time
        running = []
        def app(environ, start_response):
            start_response("200 OK", [])
            while not running:
                time.sleep(0.01)
            yield b"begun "
            time.sleep(1)
            yield b"ended"
        """,
    )
    cell = kernel.start("running.append(True)\nwhile True: pass")
    with client.stream("GET", "") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"begun "
        kernel.interrupt()
        assert b"".join(parts) == b"ended"
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        cell.wait(10)


# Many at once


def test_64_requests_run_at_once_and_the_65th_waits_its_turn(
    new_kernel: Callable[..., Kernel],
    server: Server,
    crowd: Callable[[Server, str], Crowd],
    name: str,
) -> None:
    kernel = new_kernel()
    kernel.serve(name, WAITING)
    many = crowd(server, name)
    answers = many.ask(64)
    wait_until(lambda: number(kernel, "begun") == 64, what="64 requests that run")
    answers += many.ask(1)
    time.sleep(0.5)
    assert number(kernel, "begun") == 64
    assert not any(answer.done() for answer in answers)
    kernel.run("go.set()")
    assert [answer.result().text for answer in answers] == ["ok"] * 65
    assert (number(kernel, "begun"), number(kernel, "most")) == (65, 64)


def test_a_mount_has_as_many_threads_as_it_was_given(
    new_kernel: Callable[..., Kernel],
    server: Server,
    crowd: Callable[[Server, str], Crowd],
    name: str,
) -> None:
    kernel = new_kernel()
    kernel.serve(name, WAITING, threads=3)
    answers = crowd(server, name).ask(10)
    wait_until(lambda: number(kernel, "begun") == 3, what="three requests that run")
    time.sleep(0.3)
    assert number(kernel, "begun") == 3
    kernel.run("go.set()")
    assert [answer.result().text for answer in answers] == ["ok"] * 10
    assert number(kernel, "most") == 3


def test_one_apps_queue_does_not_hold_up_another_app(
    kernel: Kernel, server: Server, crowd: Callable[[Server, str], Crowd], name: str
) -> None:
    kernel.serve(name, WAITING, threads=1)
    answers = crowd(server, name).ask(5)
    wait_until(lambda: number(kernel, "begun") == 1, what="a request that runs")
    kernel.run("waiting = go")
    other = kernel.serve(f"{name}-2", HELLO)
    assert other.get("").text == "hello"
    kernel.run("waiting.set()")
    assert [answer.result().text for answer in answers] == ["ok"] * 5


def test_requests_are_taken_in_the_order_they_came(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()
        order = []
        def app(environ, start_response):
            order.append(environ["QUERY_STRING"])
            go.wait(20)
            start_response("204 No Content", [])
            return []
        """,
        threads=1,
    )
    with ThreadPoolExecutor(8) as threads:
        for position in range(8):
            threads.submit(client.get, f"?{position}")
            time.sleep(0.1)
        kernel.run("go.set()")
    assert kernel.run("print(*order)").stdout == "0 1 2 3 4 5 6 7\n"


def test_a_client_that_leaves_the_queue_is_not_served(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(name, WAITING, threads=1)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.get, "")
        wait_until(lambda: number(kernel, "begun") == 1, what="a request that runs")
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                client.get("", timeout=0.2)
        kernel.run("go.set()")
        assert first.result().text == "ok"
    assert client.get("").text == "ok"
    assert number(kernel, "begun") == 2


# Queues that are full


LIMITS = """
c.FlaskServe.queue_length = 2
c.FlaskServe.queue_timeout = 1.5
"""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel of a server where only two requests may wait, and not for long."""
    server = Server(tmp_path_factory.mktemp("server"), config=LIMITS)
    yield server.kernel()
    server.stop()


@pytest.mark.jupyter_server("its settings are in its configuration")
def test_a_full_queue_is_a_503_that_says_when_to_come_back(
    limited: Kernel, crowd: Callable[[Server, str], Crowd], name: str
) -> None:
    client = limited.serve(name, WAITING, threads=1)
    many = crowd(limited.server, name)
    running = many.ask(1)
    wait_until(lambda: number(limited, "begun") == 1, what="a request that runs")
    many_more = many.ask(10)
    wait_until(lambda: sum(answer.done() for answer in many_more) >= 8, seconds=1)
    refused = [answer.result() for answer in many_more if answer.done()]
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert {answer.json()["error"] for answer in refused} == {"queue-full"}
    assert all("FlaskServe.queue_length" in answer.json()["message"] for answer in refused)
    assert all(name in answer.json()["message"] for answer in refused)
    limited.run("go.set()")
    assert running[0].result().text == "ok"
    assert sorted(answer.result().status_code for answer in many_more) == [200] * 2 + [503] * 8
    assert client.get("").text == "ok", "it recovers"
    assert number(limited, "begun") == 4


@pytest.mark.jupyter_server("its settings are in its configuration")
def test_a_wait_that_is_too_long_is_a_503(
    limited: Kernel, crowd: Callable[[Server, str], Crowd], name: str
) -> None:
    client = limited.serve(name, WAITING, threads=1)
    many = crowd(limited.server, name)
    running = many.ask(1)
    wait_until(lambda: number(limited, "begun") == 1, what="a request that runs")
    begin = time.monotonic()
    answer = client.get("")
    assert 1 < time.monotonic() - begin < 5
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"] == "queue-timeout"
    assert "FlaskServe.queue_timeout" in answer.json()["message"]
    limited.run("go.set()")
    assert running[0].result().text == "ok"
    assert client.get("").text == "ok", "it recovers"


@pytest.mark.jupyter_server("its settings are in its configuration")
def test_a_503_is_a_page_for_a_browser(
    limited: Kernel, crowd: Callable[[Server, str], Crowd], name: str
) -> None:
    client = limited.serve(name, WAITING, threads=1)
    running = crowd(limited.server, name).ask(1)
    wait_until(lambda: number(limited, "begun") == 1, what="a request that runs")
    page = client.get("", headers={"Accept": "text/html"})
    limited.run("go.set()")
    assert page.status_code == 503
    assert page.headers["content-type"].startswith("text/html")
    assert "FlaskServe.queue_timeout" in page.text
    assert running[0].result().text == "ok"


def test_an_upload_beyond_the_limit_is_a_413(new_server: Callable[..., Server]) -> None:
    server = new_server(config="c.FlaskServe.max_body_size = 100_000")
    client = server.kernel().serve(
        "demo",
        """
        requests = 0
        def app(environ, start_response):
            global requests
            requests += 1
            size = 0
            while piece := environ["wsgi.input"].read(10_000):
                size += len(piece)
            answer = str(size).encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        """,
    )
    assert client.post("", content=bytes(100_000)).text == "100000"
    refused = client.post("", content=bytes(100_001))
    assert refused.status_code == 413
    assert "FlaskServe.max_body_size" in refused.json()["message"]
    chunked = client.post("", content=iter([bytes(60_000), bytes(60_000)]))
    assert chunked.status_code == 413
    assert client.post("", content=b"ok").text == "2", "it goes on"


def test_a_body_larger_than_jupyters_own_limit_reaches_the_app(
    new_server: Callable[..., Server],
) -> None:
    server = new_server(config="c.ServerApp.max_body_size = 100_000")
    client = server.kernel().serve(
        "demo",
        """
        def app(environ, start_response):
            answer = str(len(environ["wsgi.input"].read())).encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        """,
    )
    assert client.post("", content=bytes(1_000_000)).text == "1000000"
    assert client.post("", content=iter([bytes(600_000)] * 2)).text == "1200000"


def test_threads_are_named_for_people(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        import threading
        def app(environ, start_response):
            answer = threading.current_thread().name.encode()
            start_response("200 OK", [("Content-Length", str(len(answer)))])
            return [answer]
        """,
    )
    thread = client.get("").text
    assert "flaskserve" in thread
    assert name in thread
