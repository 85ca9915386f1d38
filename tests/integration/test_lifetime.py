"""From the first run of a cell to the end of its kernel or server, however that comes."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import httpx
import psutil
import pytest
from jupyter_processes import CellError, Kernel, Reply, Server, arrangement, wait_until

HELLO = """
from flask import Flask
app = Flask(__name__)

@app.route("/")
def hello(word=WORD):
    return word
"""

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def hello(kernel: Kernel, name: str, word: str = "hello") -> httpx.Client:
    """Serve an app that says one word."""
    return kernel.serve(name, f"WORD = {word!r}\n{HELLO}")


# Running a cell again


def test_a_cell_that_runs_again_keeps_its_address_and_serves_the_new_app(
    kernel: Kernel, server: Server, name: str
) -> None:
    client = hello(kernel, name, "first")
    before = kernel.run("print(_mount.url)").stdout
    assert client.get("").text == "first"
    hello(kernel, name, "second")
    assert kernel.run("print(_mount.url)").stdout == before
    assert client.get("").text == "second"
    assert before.strip() == f"{server.url}flaskserve/{name}/"
    assert list(server.mounts()).count(name) == 1


@contextlib.contextmanager
def asking(client: httpx.Client) -> Iterator[list[str]]:
    """Asks without a pause, and collects what was not answered with 200."""
    failures: list[str] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = client.get("")
            if answer.status_code != 200:
                failures.append(f"{answer.status_code} {answer.text}")

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join()


def test_no_request_fails_while_a_cell_runs_again(kernel: Kernel, name: str) -> None:
    with asking(hello(kernel, name)) as failures:
        for number in range(20):
            hello(kernel, name, str(number))
    assert failures == []


def test_no_request_fails_while_a_cell_gives_its_app_more_threads(
    kernel: Kernel, name: str
) -> None:
    with asking(hello(kernel, name)) as failures:
        for threads in range(2, 12):
            kernel.run(f"_mount = _serve(app, name={name!r}, threads={threads})")
    assert failures == []


def test_a_request_that_runs_goes_on_while_its_cell_runs_again(kernel: Kernel, name: str) -> None:
    source = """
import threading
go = threading.Event()
def app(environ, start_response, go=go):
    start_response("200 OK", [("Content-Length", "3")])
    yield b"o"
    go.wait(10)
    yield b"ld"
"""
    client = kernel.serve(name, source)
    with client.stream("GET", "") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"o"
        kernel.run("old_go = go")
        hello(kernel, name, "new")
        assert client.get("").text == "new"
        kernel.run("old_go.set()")
        assert b"".join(parts) == b"ld"


# Names


@pytest.mark.jupyter_server("its kernels share a server, and so the names")
def test_a_name_that_another_kernel_serves_is_taken(
    server: Server, kernel: Kernel, new_kernel: Callable[..., Kernel], name: str
) -> None:
    client = hello(kernel, name, "the first kernel's")
    other = new_kernel("Other.ipynb")
    with pytest.raises(CellError, match=r"test_lifetime\.ipynb") as caught:
        hello(other, name)
    assert "ServeError" in str(caught.value)
    assert client.get("").text == "the first kernel's"
    assert server.mounts()[name]["kernel_id"] == kernel.id


@pytest.mark.jupyter_server("its kernels share a server, and so the names")
def test_a_name_is_free_again_when_its_kernel_is_gone(
    new_kernel: Callable[..., Kernel], kernel: Kernel, name: str
) -> None:
    other = new_kernel()
    hello(other, name, "gone")
    other.shutdown()
    assert hello(kernel, name, "here").get("").text == "here"


def test_two_servers_of_one_user_do_not_see_each_others_apps(
    new_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("run")
    servers = [new_server(runtime_dir=shared) for _ in range(2)]
    kernels = [server.kernel() for server in servers]
    for kernel, word in zip(kernels, ("one", "two"), strict=True):
        hello(kernel, "same", word)
    hello(kernels[0], "first-only")
    assert servers[0].client("same").get("").text == "one"
    assert servers[1].client("same").get("").text == "two"
    assert servers[1].client("first-only").get("").status_code == 404
    assert sorted(servers[0].mounts()) == ["first-only", "same"]
    assert sorted(servers[1].mounts()) == ["same"]


def test_a_record_for_a_kernel_that_is_not_the_servers_is_not_served(
    server: Server, kernel: Kernel, name: str
) -> None:
    hello(kernel, name)
    directory = server.runtime_dir / "flaskserve"
    (record,) = directory.glob(f"*-{name}.json")
    copy = directory / record.name.replace(name, f"{name}-copy")
    copy.write_text(
        record.read_text()
        .replace(kernel.id, "00000000-0000-0000-0000-000000000000")
        .replace(f'"{name}"', f'"{name}-copy"')
    )
    copy.chmod(0o600)
    try:
        assert server.client(f"{name}-copy").get("").status_code in (404, 503)
    finally:
        copy.unlink(missing_ok=True)


def test_an_unknown_name_is_a_404_that_lists_what_there_is(
    server: Server, kernel: Kernel, name: str
) -> None:
    hello(kernel, name)
    unknown = server.client(name[:-1])
    for path in ("", "deep/er?a=1"):
        page = unknown.get(path, headers=HTML)
        assert page.status_code == 404
        assert page.headers["content-type"].startswith("text/html")
        assert f"/flaskserve/{name}/" in page.text
        answer = unknown.get(path, headers={"Accept": "*/*"})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert (answer.json()["status"], answer.json()["error"]) == (404, "not-found")
        assert name in answer.json()["mounts"]


@pytest.mark.parametrize("bad", ["UPPER", "a_b", "%2e%2e", "..%2F..", "x" * 200, "%00", "%FF"])
def test_something_that_cannot_be_a_name_is_a_404(bad: str, server: Server) -> None:
    reply = server.ask(f"/flaskserve/{bad}/")
    assert reply.status == 404, reply
    assert reply.header("content-type") == "application/json"


@pytest.mark.jupyter_server("it knows the notebooks of its kernels")
def test_the_index_lists_each_app_with_its_notebook(
    server: Server, kernel: Kernel, name: str
) -> None:
    hello(kernel, name)
    page = server.http.get("flaskserve/", headers=HTML)
    assert page.status_code == 200
    assert f"/flaskserve/{name}/" in page.text
    assert kernel.notebook in page.text
    mounts = server.http.get("flaskserve/").json()["mounts"]
    (mount,) = [mount for mount in mounts if mount["name"] == name]
    assert mount["path"] == f"/flaskserve/{name}/"


# Stopping


def test_a_stopped_mount_is_gone(server: Server, kernel: Kernel, name: str) -> None:
    client = hello(kernel, name)
    assert client.get("").status_code == 200
    kernel.run("_mount.stop(); _mount.stop()")
    assert client.get("").status_code == 404
    assert name not in server.mounts()
    assert kernel.run("print(_mount.stopped)").stdout == "True\n"
    assert hello(kernel, name, "again").get("").text == "again"


def test_a_request_that_runs_may_end_when_its_mount_stops(kernel: Kernel, name: str) -> None:
    client = kernel.serve(
        name,
        """
        import time
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"begun "
            time.sleep(1)
            yield b"ended"
        """,
    )
    with client.stream("GET", "") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"begun "
        kernel.run("_mount.stop()")
        assert b"".join(parts) == b"ended"


# The REST API


@pytest.mark.jupyter_server("it knows the notebooks of its kernels")
def test_the_rest_api_describes_a_mount(server: Server, kernel: Kernel, name: str) -> None:
    before = datetime.now(timezone.utc)
    kernel.serve(name, f"WORD = ''\n{HELLO}", threads=7)
    answer = server.http.get(f"api/flaskserve/mounts/{name}")
    assert answer.status_code == 200
    mount = answer.json()
    assert mount == server.mounts()[name]
    started = datetime.fromisoformat(mount.pop("started").replace("Z", "+00:00"))
    assert abs((started - before).total_seconds()) < 10
    title = mount.pop("title")
    assert "app" in title
    assert mount == {
        "name": name,
        "path": f"/flaskserve/{name}/",
        "kernel_id": kernel.id,
        "notebook": kernel.notebook,
        "threads": 7,
        "state": "serving",
        "revision": 0,
    }


@pytest.mark.jupyter_server("stopping through the REST API is Jupyter Server's")
def test_the_rest_api_says_when_there_is_no_such_mount(
    server: Server, kernel: Kernel, name: str
) -> None:
    hello(kernel, name)
    for answer in (
        server.http.get(f"api/flaskserve/mounts/{name}-x"),
        server.http.delete(f"api/flaskserve/mounts/{name}-x"),
    ):
        assert answer.status_code == 404
        assert f"{name}-x" in answer.json()["message"]
        assert name in answer.json()["mounts"]


@pytest.mark.jupyter_server("stopping through the REST API is Jupyter Server's")
def test_the_rest_api_stops_a_mount(server: Server, kernel: Kernel, name: str) -> None:
    client = hello(kernel, name)
    stopped = server.http.delete(f"api/flaskserve/mounts/{name}")
    assert (stopped.status_code, stopped.content) == (204, b"")
    assert client.get("").status_code == 404
    assert name not in server.mounts()
    assert kernel.run("print(_mount.stopped)").stdout == "True\n"


@pytest.mark.jupyter_server("stopping through the REST API is Jupyter Server's")
def test_a_mount_whose_threads_are_all_busy_stops_at_the_latest_when_one_is_free(
    server: Server, kernel: Kernel, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        import threading
        go = threading.Event()
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"begun"
            go.wait(20)
        """,
        threads=1,
    )
    with client.stream("GET", "") as answer:
        next(answer.iter_raw())
        begin = time.monotonic()
        stopped = server.http.delete(f"api/flaskserve/mounts/{name}")
        assert time.monotonic() - begin < 8
        assert stopped.status_code in (204, 504)
        kernel.run("go.set()")
    wait_until(lambda: name not in server.mounts(), what="the end of the mount")
    assert kernel.run("print(_mount.stopped)").stdout == "True\n"


@pytest.mark.jupyter_server("stopping through the REST API is Jupyter Server's")
def test_the_rest_api_wants_the_xsrf_token_of_a_browser(
    server: Server, kernel: Kernel, name: str
) -> None:
    client = hello(kernel, name)
    with httpx.Client(base_url=server.url, trust_env=False, follow_redirects=True) as browser:
        browser.get("tree", params={"token": server.token})
        xsrf = browser.cookies["_xsrf"]
        assert browser.delete(f"api/flaskserve/mounts/{name}").status_code == 403
        assert client.get("").status_code == 200
        answer = browser.delete(f"api/flaskserve/mounts/{name}", headers={"X-XSRFToken": xsrf})
        assert answer.status_code == 204


# The kernel ends


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_restarted_kernel_is_a_503_until_it_serves_again(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel("course/Lesson 7.ipynb")
    client = hello(kernel, name, "before")
    assert client.get("").text == "before"
    kernel.restart()
    page = client.get("", headers=HTML)
    assert page.status_code == 503
    assert "Lesson 7.ipynb" in page.text
    assert f"/api/flaskserve/mounts/{name}" in page.text, "the page asks when it may reload"
    assert "retry-after" in page.headers
    answer = client.get("")
    assert answer.status_code == 503
    assert (answer.json()["status"], answer.json()["error"]) == (503, "kernel-stopped")
    assert "Lesson 7.ipynb" in answer.json()["message"]
    assert server.http.get(f"api/flaskserve/mounts/{name}").json()["state"] == "stopped"
    hello(kernel, name, "after")
    assert client.get("").text == "after"
    assert server.http.get(f"api/flaskserve/mounts/{name}").json()["state"] == "serving"


def files_of(server: Server, name: str) -> list[Path]:
    """The files of a mount: its record, and the Unix socket that the record names."""
    (record,) = (server.runtime_dir / "flaskserve").glob(f"*-{name}.json")
    if arrangement.transport == "tcp":
        return [record]
    return [record, Path(json.loads(record.read_text())["socket"])]


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_kernel_that_was_shut_down_leaves_nothing_but_a_note_for_people(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel("Lesson 8.ipynb")
    client = hello(kernel, name)
    files = files_of(server, name)
    assert all(file.exists() for file in files)
    kernel.shutdown()
    begin = time.monotonic()
    answer = client.get("")
    assert time.monotonic() - begin < 2
    assert answer.status_code == 503
    assert "Lesson 8.ipynb" in answer.json()["message"]
    assert server.mounts()[name]["state"] == "stopped"
    assert not any(file.exists() for file in files)
    assert server.http.delete(f"api/flaskserve/mounts/{name}").status_code == 204
    assert name not in server.mounts()
    assert client.get("").status_code == 404


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_killed_kernel_is_a_503_until_it_serves_again(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel("Lesson 9.ipynb")
    client = hello(kernel, name, "before")
    sockets_before = files_of(server, name)[1:]
    kernel.kill9()
    begin = time.monotonic()
    answer = client.get("")
    assert answer.status_code == 503
    assert answer.json()["error"] == "kernel-stopped"
    assert "Lesson 9.ipynb" in answer.json()["message"]
    assert time.monotonic() - begin < 2
    kernel.reconnect()
    assert client.get("").status_code == 503
    hello(kernel, name, "after")
    assert client.get("").text == "after"
    assert not any(file.exists() for file in sockets_before)
    assert all(file.exists() for file in files_of(server, name))


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_request_in_flight_when_its_kernel_is_killed_does_not_look_complete(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(
        name,
        """
        import time
        def app(environ, start_response):
            if environ["PATH_INFO"] == "/silent":
                time.sleep(30)
            headers = [("Content-Length", "100")] if environ["PATH_INFO"] == "/fixed" else []
            start_response("200 OK", headers)
            yield b"begun "
            time.sleep(30)
        """,
    )
    replies: dict[str, Reply] = {}

    def ask(path: str) -> None:
        replies[path] = server.ask(f"/flaskserve/{name}/{path}")

    threads = [threading.Thread(target=ask, args=(path,)) for path in ("silent", "fixed", "chunks")]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    killed = time.monotonic()
    kernel.kill9()
    for thread in threads:
        thread.join(timeout=10)
    assert time.monotonic() - killed < 5, "no request may hang"
    assert replies["silent"].status in (502, 503)
    for path in ("fixed", "chunks"):
        assert replies[path].status == 200
        with pytest.raises(ValueError, match=r"came of|missing"):
            _ = replies[path].content


def test_a_request_in_flight_when_its_kernel_restarts_does_not_hang(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    kernel.serve(
        name,
        """
        import time
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"begun "
            time.sleep(60)
            yield b"ended"
        """,
    )
    replies: list[Reply] = []
    thread = threading.Thread(
        target=lambda: replies.append(server.ask(f"/flaskserve/{name}/")), daemon=True
    )
    thread.start()
    time.sleep(0.5)
    kernel.restart()
    thread.join(timeout=10)
    assert not thread.is_alive(), "the request hangs"
    with pytest.raises(ValueError, match="missing"):
        _ = replies[0].content


@pytest.mark.jupyter_server("its kernels share a server, and so the names")
def test_a_kernel_that_is_stopped_by_a_signal_does_not_hang_its_server(
    new_kernel: Callable[..., Kernel], server: Server, kernel: Kernel, name: str
) -> None:
    frozen = new_kernel()
    client = hello(frozen, name)
    other = hello(kernel, f"{name}-2", "the other one")
    process = psutil.Process(frozen.pid)
    process.suspend()
    try:
        asked = threading.Thread(target=lambda: client.get("", timeout=1.5), daemon=True)
        asked.start()
        begin = time.monotonic()
        assert other.get("").text == "the other one"
        assert name in server.mounts()
        assert time.monotonic() - begin < 2
    finally:
        process.resume()
    assert client.get("").text == "hello"


# Children of the kernel


FORKS = {
    "os.fork": """
        import os, time
        child = os.fork()
        if child == 0:
            time.sleep(20)
            os._exit(0)
        """,
    "multiprocessing": """
        import multiprocessing, time
        process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        process.start()
        child = process.pid
        """,
}


@pytest.mark.parametrize("way", FORKS)
@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_a_forked_child_does_not_keep_a_dead_mount_alive(
    way: str, new_kernel: Callable[..., Kernel], name: str
) -> None:
    kernel = new_kernel()
    client = hello(kernel, name)
    assert client.get("").text == "hello"
    kernel.run(FORKS[way])
    child = psutil.Process(int(kernel.run("print(child)").stdout))
    assert client.get("").text == "hello"
    kernel.kill9()
    begin = time.monotonic()
    answer = client.get("")
    assert child.is_running(), "the child has to outlive the kernel for this test"
    assert answer.status_code == 503
    assert time.monotonic() - begin < 2
    child.kill()


def test_a_forked_child_that_ends_does_not_stop_its_parents_mounts(
    kernel: Kernel, name: str
) -> None:
    client = hello(kernel, name)
    kernel.run(
        """
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=print)
        process.start()
        process.join()
        """
    )
    assert client.get("").text == "hello"


# The server ends


def test_a_restarted_server_has_no_stale_mounts(new_server: Callable[..., Server]) -> None:
    server = new_server()
    hello(server.kernel(), "demo")
    assert "demo" in server.mounts()
    server.restart()
    assert server.mounts() == {}
    assert server.client("demo").get("").status_code == 404
    assert hello(server.kernel(), "demo", "again").get("").text == "again"
    assert len(list((server.runtime_dir / "flaskserve").glob("*.json"))) == 1


def test_a_killed_server_leaves_no_stale_mounts(new_server: Callable[..., Server]) -> None:
    server = new_server()
    kernel = server.kernel()
    hello(kernel, "demo")
    server.kill9()
    server.start()
    assert server.client("demo").get("").status_code == 404
    assert server.mounts() == {}
    assert hello(server.kernel(), "demo", "again").get("").text == "again"
    wait_until(
        lambda: len(list((server.runtime_dir / "flaskserve").glob("*.json"))) == 1,
        what="the removal of the record that the killed server's kernel has left",
    )


def test_a_server_that_stops_does_not_wait_for_requests_that_run(
    new_server: Callable[..., Server],
) -> None:
    server = new_server()
    client = server.kernel().serve(
        "demo",
        """
        import time
        def app(environ, start_response):
            start_response("200 OK", [])
            while True:
                yield b"more "
                time.sleep(0.1)
        """,
    )
    with client.stream("GET", "") as answer:
        next(answer.iter_raw())
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 8


# Culling


CULLING = """
c.MappingKernelManager.cull_idle_timeout = {}
c.MappingKernelManager.cull_interval = 1
c.MappingKernelManager.cull_connected = True
"""


def test_a_kernel_whose_app_is_in_use_is_not_culled(new_server: Callable[..., Server]) -> None:
    server = new_server(config=CULLING.format(3))
    used, unused = server.kernel("Used.ipynb"), server.kernel("Unused.ipynb")
    client = hello(used, "used")
    hello(unused, "unused")
    begin = time.monotonic()
    while time.monotonic() - begin < 8:
        assert client.get("").status_code == 200
        time.sleep(0.5)
    left = [kernel["id"] for kernel in server.http.get("api/kernels").json()]
    assert left == [used.id]
    states = {key: mount["state"] for key, mount in server.mounts().items()}
    assert states == {"used": "serving", "unused": "stopped"}


@pytest.mark.slow
def test_a_kernel_with_a_request_that_lasts_long_is_not_culled(
    new_server: Callable[..., Server],
) -> None:
    server = new_server(config=CULLING.format(12))
    client = server.kernel().serve(
        "demo",
        """
        import time
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"begun "
            time.sleep(17)
            yield b"ended"
        """,
    )
    assert client.get("", timeout=30).text == "begun ended"
