"""Things that go wrong around the app: processes that die in the middle, files that disappear,
directories that cannot be written to, clocks that jump, and two that want the same name."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import itertools
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jupyter_processes import (
    CellError,
    Kernel,
    Reply,
    Server,
    arrangement,
    descriptors,
    read_to_end,
    status_value,
    wait_until,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.jupyter_server("it serves what outlives kernels")

MIB = 1024 * 1024

HELLO = """
def app(environ, start_response, word=WORD):
    start_response("200 OK", [("Content-Length", str(len(word)))])
    return [word.encode()]
"""

# Everything that takes long here goes on until `go` is set, or until its client or kernel ends.
LONG = """
import threading
import time
from flask import Flask, Response, request
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)
go = threading.Event()
MIB = 1024 * 1024

def blocks(count):
    for number in range(count):
        yield bytes([number % 256]) * 65536
        time.sleep(0.001)

def without_end():
    yield from blocks(32)
    while not go.is_set():
        yield from blocks(1)

@app.route("/")
def hello():
    return "hello"

@app.route("/down/<int:count>")
def down(count):
    return Response(blocks(count), headers={"Content-Length": str(count * 65536)})

@app.route("/chunks")
def chunks():
    return Response(without_end())

@app.route("/wait")
def wait():
    go.wait(60)
    return "waited"

@app.route("/up", methods=["POST"])
def up():
    size = 0
    while data := request.stream.read(65536):
        size += len(data)
    return str(size)

@sock.route("/flood")
def flood(ws):
    while not go.is_set():
        ws.send(bytes(MIB))
    ws.send("the end")
"""


def hello(kernel: Kernel, name: str, word: str = "hello") -> httpx.Client:
    """Serve an app that says one word."""
    return kernel.serve(name, f"WORD = {word!r}\n{HELLO}")


def open_socket(server: Server, name: str, path: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{server.port}/flaskserve/{name}/{path}",
        additional_headers=server.authorization,
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
        close_timeout=5,
    )


class Conversation:
    """One client in the middle of something, in a thread of its own.

    :ivar begun: set once bytes have gone, or come, in the middle.
    """

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.begun = threading.Event()

    def head(self, method: str, path: str, *lines: str) -> bytes:
        first = f"{method} /flaskserve/{self.name}/{path} HTTP/1.1"
        common = [f"Host: 127.0.0.1:{self.server.port}", "Connection: close"]
        token = [f"{key}: {value}" for key, value in self.server.authorization.items()]
        return "\r\n".join([first, *common, *token, *lines, "", ""]).encode()

    def download(self, path: str) -> Reply:
        """What came in all of a response that was read from its beginning on."""
        with self.server.connect(seconds=30) as connection:
            connection.sendall(self.head("GET", path))
            data = b""
            while len(data) < MIB:
                piece = connection.recv(65536)
                assert piece, data[:1000]
                data += piece
            self.begun.set()
            return Reply.parse(data + read_to_end(connection))

    def wait(self) -> Reply | None:
        """The answer to a request whose response has not begun."""
        with self.server.connect(seconds=30) as connection:
            connection.sendall(self.head("GET", "wait"))
            self.begun.set()
            data = read_to_end(connection)
        return Reply.parse(data) if data else None

    def upload(self, coding: str, more: Callable[[], bool]) -> Reply | None:
        """Send pieces for as long as ``more``, and then the end. The answer, if one came."""
        with self.server.connect(seconds=30) as connection:
            connection.sendall(self.head("POST", "up", coding))
            piece = bytes(65536)
            if coding.startswith("Transfer"):
                piece = b"10000\r\n" + piece + b"\r\n"
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 16 or more():
                    connection.sendall(piece)
                    sent += 1
                    if sent == 16:
                        self.begun.set()
                    time.sleep(0.002)
                if coding.startswith("Transfer"):
                    connection.sendall(b"0\r\n\r\n")
                else:
                    connection.shutdown(socket.SHUT_WR)  # it ends before its length
            data = read_to_end(connection)
        return Reply.parse(data) if data else None

    def flood(self) -> list[str | bytes]:
        """The messages of a WebSocket, up to its end."""
        received: list[str | bytes] = []
        with (
            contextlib.suppress(ConnectionClosed),
            open_socket(self.server, self.name, "flood") as ws,
        ):
            while True:
                received.append(ws.recv(timeout=30))
                if len(received) == 3:
                    self.begun.set()
        return received


@pytest.fixture
def conversations(server: Server, name: str) -> Iterator[Callable[..., Future[Any]]]:
    """Starts conversations; takes a method of :class:`Conversation` and its arguments."""
    with ThreadPoolExecutor(16) as pool:

        def start(method: Callable[..., Any], *arguments: Any) -> Future[Any]:
            conversation = Conversation(server, name)
            future = pool.submit(method, conversation, *arguments)
            wait_until(lambda: conversation.begun.is_set() or future.done(), what="its middle")
            assert not future.done(), future.result()
            return future

        yield start


# A kernel that ends in the middle


@pytest.mark.parametrize("end", ["killed", "restarted"])
def test_what_runs_when_a_kernel_ends_is_broken_off_and_the_next_request_works(
    end: str,
    new_kernel: Callable[..., Kernel],
    server: Server,
    conversations: Callable[..., Future[Any]],
    name: str,
) -> None:
    kernel = new_kernel()
    kernel.serve(name, LONG)
    ended = threading.Event()

    def still_sending() -> bool:
        return not ended.is_set()

    fixed = conversations(Conversation.download, "down/100000")
    chunked = conversations(Conversation.download, "chunks")
    silent = conversations(Conversation.wait)
    uploads = [
        conversations(Conversation.upload, f"Content-Length: {1024 * MIB}", still_sending),
        conversations(Conversation.upload, "Transfer-Encoding: chunked", still_sending),
    ]
    flood = conversations(Conversation.flood)
    begin = time.monotonic()
    if end == "killed":
        kernel.kill9()
    else:
        kernel.restart()
    for download in (fixed, chunked):
        reply = download.result(timeout=10)
        assert reply.status == 200
        with pytest.raises(ValueError, match=r"came of|missing"):
            _ = reply.content
    assert silent.result(timeout=10).status in (502, 503)
    messages = flood.result(timeout=10)
    assert len(messages) >= 3
    assert {len(message) for message in messages} == {MIB}, "a message is whole or does not come"
    if end == "killed":
        assert time.monotonic() - begin < 5, "no client may hang"
    ended.set()  # the uploads have gone on into a dead kernel, and one of them now ends
    for upload in uploads:
        reply = upload.result(timeout=10)
        assert reply is None or reply.status in (502, 503), reply

    stopped = server.client(name).get("")
    assert (stopped.status_code, stopped.json()["error"]) == (503, "kernel-stopped")
    if end == "killed":
        kernel.reconnect()
    client = kernel.serve(name, LONG)
    assert client.get("").text == "hello"
    body = client.get("down/64").content
    assert body == b"".join(bytes([number]) * 65536 for number in range(64))
    assert client.post("up", content=bytes(4 * MIB)).text == str(4 * MIB)
    with open_socket(server, name, "flood") as ws:
        assert ws.recv(timeout=10) == bytes(MIB)
        kernel.run("go.set()")


def test_clients_that_ask_all_the_time_get_whole_answers_or_errors_while_kernels_are_killed(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    hello(kernel, name)
    stop = threading.Event()

    def ask() -> set[tuple[int, str]]:
        seen: set[tuple[int, str]] = set()
        while not stop.is_set():
            reply = server.ask(f"/flaskserve/{name}/")
            content = reply.content.decode()
            seen.add((reply.status, content if reply.status == 200 else ""))
            if reply.status != 200:
                time.sleep(0.02)
        return seen

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for turn in range(2):
                time.sleep(0.3)
                kernel.kill9()
                kernel.reconnect()
                hello(kernel, name, f"hello {turn}")
            time.sleep(0.3)
        finally:
            stop.set()
        answers = set.union(*(future.result(timeout=20) for future in asking))
    whole = {(200, "hello"), (200, "hello 0"), (200, "hello 1")}
    assert whole <= answers
    assert answers - whole <= {(502, ""), (503, "")}


# A kernel that is interrupted


def test_what_runs_when_a_kernel_is_interrupted_goes_on_to_its_end(
    new_kernel: Callable[..., Kernel],
    server: Server,
    conversations: Callable[..., Future[Any]],
    name: str,
) -> None:
    kernel = new_kernel()
    kernel.serve(name, LONG)
    interrupted = threading.Event()
    download = conversations(Conversation.download, "chunks")
    silent = conversations(Conversation.wait)
    upload = conversations(
        Conversation.upload, "Transfer-Encoding: chunked", lambda: not interrupted.is_set()
    )
    flood = conversations(Conversation.flood)
    for _ in range(5):
        kernel.interrupt()
        cell = kernel.start("time.sleep(30)")
        time.sleep(0.2)
        kernel.interrupt()
        with pytest.raises(CellError, match="KeyboardInterrupt"):
            cell.wait()
    interrupted.set()
    kernel.run("go.set()")
    assert len(download.result(timeout=10).content) > 2 * MIB
    assert silent.result(timeout=10).content == b"waited"
    assert int(upload.result(timeout=10).content) >= MIB
    assert flood.result(timeout=10)[-1] == "the end"
    assert server.client(name).get("").text == "hello"


# A kernel that is stopped by a signal


def test_a_kernel_that_is_stopped_by_a_signal_holds_up_nothing_of_another_kernels(
    new_kernel: Callable[..., Kernel],
    kernel: Kernel,
    server: Server,
    conversations: Callable[..., Future[Any]],
    name: str,
) -> None:
    frozen = new_kernel()
    hello(frozen, f"{name}-frozen")
    kernel.serve(name, LONG)
    sent = threading.Event()
    download = conversations(Conversation.download, "chunks")
    upload = conversations(
        Conversation.upload, "Transfer-Encoding: chunked", lambda: not sent.is_set()
    )
    flood = conversations(Conversation.flood)
    process = psutil.Process(frozen.pid)
    process.suspend()
    try:
        begin = time.monotonic()
        new = hello(kernel, f"{name}-new", "served meanwhile")
        assert new.get("").text == "served meanwhile"
        assert set(server.mounts()) >= {name, f"{name}-new", f"{name}-frozen"}
        with pytest.raises(CellError, match="is taken"):
            hello(kernel, f"{name}-frozen")
        kernel.run(f"_serve(app, name='{name}-new').stop()")
        assert new.get("").status_code == 404
        sent.set()
        kernel.run("go.set()")
        assert len(download.result(timeout=5).content) > 2 * MIB
        assert int(upload.result(timeout=5).content) >= MIB
        assert flood.result(timeout=5)[-1] == "the end"
        assert time.monotonic() - begin < 10
    finally:
        process.resume()
    assert server.client(f"{name}-frozen").get("").text == "hello"


# A server that ends under load


def files_of(server: Server) -> list[str]:
    """What there is in the directory of the records, but for its lock."""
    directory = server.runtime_dir / "flaskserve"
    return sorted(path.name for path in directory.iterdir() if path.name != ".lock")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["terminated", "killed"])
def test_a_server_that_is_restarted_under_load_leaves_nothing_behind(
    end: str, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    kernels = [server.kernel(f"Lesson {number}.ipynb") for number in (1, 2)]
    for number, kernel in enumerate(kernels):
        kernel.serve(f"long-{number}", LONG)
        for more in range(5):
            hello(kernel, f"hello-{number}-{more}")
    processes = [psutil.Process(kernel.pid) for kernel in kernels]
    assert len(server.mounts()) == 12

    def ask() -> list[Reply]:
        replies = []
        for number in itertools.count():
            try:
                replies.append(server.ask(f"/flaskserve/hello-{number % 2}-{number % 5}/"))
            except (ConnectionError, ValueError):  # it has ended; a part of a head is no answer
                return replies
        raise AssertionError

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        streams = [Conversation(server, f"long-{number}") for number in (0, 1)]
        downloads = [pool.submit(stream.download, "chunks") for stream in streams]
        for stream in streams:
            assert stream.begun.wait(10)
        begin = time.monotonic()
        if end == "terminated":
            server.process.terminate()
        else:
            server.process.kill()
        server.process.wait(timeout=15)
        for process in processes:
            wait_until(
                lambda process=process: (  # type: ignore[misc]
                    not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
                ),
                seconds=15,
                what="the end of a kernel",
            )
        assert time.monotonic() - begin < 15
        for download in downloads:
            with pytest.raises(ValueError, match="missing"):
                _ = download.result(timeout=10).content
        for replies in (future.result(timeout=10) for future in asking):
            assert replies, "there was no load"
            for reply in replies[:-1]:
                assert (reply.status, reply.content) == (200, b"hello") or reply.status >= 500
    if end == "terminated":
        assert files_of(server) == []
    server.stop()
    server.start()
    assert server.mounts() == {}
    assert server.client("hello-0-0").get("").status_code == 404
    wait_until(lambda: files_of(server) == [], what="the removal of what the kernels left")
    assert hello(server.kernel(), "hello-0-0", "again").get("").text == "again"


# Files that disappear


SOCKET = pytest.mark.unix_sockets("it deletes the socket's file, and there is none")


@pytest.mark.parametrize(
    "what", [pytest.param("socket", marks=SOCKET), "record", "all files", "directory"]
)
def test_a_file_that_was_deleted_is_back_when_the_cell_runs_again(
    what: str, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    kernel = server.kernel("Lesson 3.ipynb")
    client = hello(kernel, "demo", "before")
    directory = server.runtime_dir / "flaskserve"
    (record,) = directory.glob("*.json")
    gone = {
        "socket": [Path(json.loads(record.read_text())["socket"])],
        "record": [record],
    }.get(what, list(directory.iterdir()))
    for path in gone:
        path.unlink()
    if what == "directory":
        directory.rmdir()
    answer = client.get("")
    if what == "socket":
        assert (answer.status_code, answer.json()["error"]) == (503, "kernel-stopped")
        assert "Lesson 3.ipynb" in answer.json()["message"]
    else:
        assert answer.status_code == 404
    assert hello(kernel, "demo", "after").get("").text == "after"
    assert len(files_of(server)) == (1 if arrangement.transport == "tcp" else 2), "what it needs"

    def listening() -> str:
        return kernel.run(
            "print(sum('accept' in t.name for t in __import__('threading').enumerate()))"
        ).stdout

    wait_until(
        lambda: listening() == "1\n", seconds=5, what="the end of who listened at the old socket"
    )


@SOCKET
def test_a_socket_that_was_deleted_under_links_that_are_open_is_back_when_the_cell_runs_again(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    client = hello(kernel, name, "before")
    assert client.get("").text == "before"  # and its link stays open
    (record,) = (server.runtime_dir / "flaskserve").glob(f"*-{name}.json")
    Path(json.loads(record.read_text())["socket"]).unlink()
    assert client.get("").status_code in (200, 503)
    assert hello(kernel, name, "after").get("").text == "after"
    assert hello(kernel, name, "after all").get("").text == "after all"


# A directory that cannot be written to


# Takes from this thread the privilege of root to write where the modes do not allow it.
UNPRIVILEGED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
capabilities = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(*capabilities) == 0
saved = capabilities[1][0]

def set_capabilities(value):
    capabilities[1][0] = value
    assert libc.capset(*capabilities) == 0

set_capabilities(saved & ~0b110)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
"""


class Broken:
    """A server and a kernel whose directory for records can be broken, with one app in it."""

    def __init__(self, server: Server) -> None:
        self.directory = server.runtime_dir / "flaskserve"
        self.server = server
        self.kernel = server.kernel("Lesson 5.ipynb")
        self.good = hello(self.kernel, "good")

    def footprint(self) -> tuple[int, int]:
        """The threads and descriptors of the kernel."""
        return status_value(self.kernel.pid, "Threads"), len(descriptors(self.kernel.pid))

    def files(self) -> list[str]:
        paths = (path for path in self.server.runtime_dir.rglob("*") if path.name != ".lock")
        return sorted(str(path.relative_to(self.server.runtime_dir)) for path in paths)

    def refused(self, setup: str = "pass", teardown: str = "pass") -> str:
        """Try to serve an app under the name ``bad``, which must be refused: the message."""
        output = self.kernel.run(
            f"""
from jupyter_flaskserve import ServeError, mounts, serve
{setup}
try:
    serve(app, name="bad")
except ServeError as error:
    print("refused:", ascii(str(error)))
finally:
    {teardown}
assert [mount.name for mount in mounts()] == ["good"]
"""
        ).stdout
        (message,) = re.findall("^refused: (.*)$", output, re.MULTILINE)
        return str(ast.literal_eval(message))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    server = Server(tmp_path_factory.mktemp("server"))
    broken = Broken(server)
    broken.good.get("")
    yield broken
    server.stop()


@contextlib.contextmanager
def leaving_nothing(broken: Broken) -> Iterator[None]:
    """What is refused leaves nothing behind, harms nobody, and works once the cause is gone."""
    broken.kernel.run("import ctypes, resource")
    before = broken.footprint()
    files = broken.files()
    yield
    assert broken.files() == files
    wait_until(
        lambda: all(now <= then for now, then in zip(broken.footprint(), before, strict=True)),
        what=f"the threads and descriptors of before, {before}",
    )
    client = broken.server.client("good")
    assert client.get("").text == "hello"
    assert "bad" not in broken.server.mounts()
    assert hello(broken.kernel, "bad", "good now").get("").text == "good now"
    broken.kernel.run("_mount.stop()")


def test_a_directory_that_is_read_only_is_an_error_that_says_so(broken: Broken) -> None:
    with leaving_nothing(broken):
        broken.directory.chmod(0o500)
        try:
            message = broken.refused(
                f"""{UNPRIVILEGED}
try:
    open({str(broken.directory / "x")!r}, "w")
    raise AssertionError("the directory can be written to")
except PermissionError:
    pass
""",
                "set_capabilities(saved)",
            )
            assert broken.server.client("good").get("").text == "hello"
        finally:
            broken.directory.chmod(0o700)
    assert "'bad'" in message
    assert str(broken.directory) in message
    assert "Permission denied" in message
    assert "\n" not in message


def test_a_disk_that_is_full_is_an_error_that_says_so(broken: Broken) -> None:
    # A limit on the size of files breaks off a write as a full disk does.
    with leaving_nothing(broken):
        message = broken.refused(
            "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))",
            "resource.setrlimit(resource.RLIMIT_FSIZE, limits)",
        )
    assert "'bad'" in message
    assert str(broken.directory) in message
    assert "File too large" in message
    assert "disk is not full" in message
    assert "\n" not in message


def test_a_file_in_the_place_of_the_directory_is_an_error_that_says_so(broken: Broken) -> None:
    aside = broken.directory.with_name("aside")
    with leaving_nothing(broken):
        broken.directory.rename(aside)
        broken.directory.write_text("a file")
        try:
            message = broken.refused()
            assert broken.server.client("good").get("").status_code == 404
        finally:
            broken.directory.unlink()
            aside.rename(broken.directory)
    assert "'bad'" in message
    assert str(broken.directory) in message
    assert "exists" in message
    assert "\n" not in message


@pytest.mark.slow
def test_a_lock_that_nobody_lets_go_is_an_error_in_time(broken: Broken) -> None:
    with leaving_nothing(broken), (broken.directory / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begin = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            refused = pool.submit(broken.refused)
            while not refused.done():
                assert broken.server.client("good").get("", timeout=2).text == "hello"
                time.sleep(0.1)
            message = refused.result()
        assert time.monotonic() - begin < 15
        fcntl.flock(lock, fcntl.LOCK_UN)
    assert "'bad'" in message
    assert ".lock" in message
    assert "\n" not in message


# Another machine with the same home directory


def test_what_kernels_of_another_machine_serve_is_neither_listed_nor_served_nor_removed(
    new_server: Callable[..., Server],
) -> None:
    server = new_server()
    kernel = server.kernel("Lesson 6.ipynb")
    hello(kernel, "here")
    directory = server.runtime_dir / "flaskserve"
    (model,) = directory.glob("*.json")
    own_server = model.name.removesuffix("-here.json")
    written = {}
    # That of another server, as servers there write, and one that names this server.
    for number, server_id in enumerate(["0123456789abcdef", own_server]):
        record = json.loads(model.read_text()) | {
            "name": f"there-{number}",
            "server": server_id,
            "kernel_id": kernel.id,
            "generation": str(number) * 32,
            "transport": "unix",
            "secret": "",
            "socket": str(directory / f"there-{number}.sock"),
            "host": f"not-{record_host(model)}",
        }
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(record["socket"])  # here nobody listens at it
        path = directory / f"{server_id}-there-{number}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(record))
        written[path] = path.read_text()
    for _ in range(2):
        for number in range(2):
            assert server.client(f"there-{number}").get("").status_code == 404
        assert set(server.mounts()) == {"here"}
        time.sleep(0.3)
    assert {path: path.read_text() for path in written} == written
    assert all((directory / f"there-{number}.sock").exists() for number in range(2))
    assert server.log.count("its kernel runs on another machine") == 1
    # Its name is free for kernels of this machine.
    assert hello(kernel, "there-1", "here now").get("").text == "here now"
    (foreign, _) = written
    server.restart()
    time.sleep(1)  # by now what is dead here has been removed
    assert list(directory.glob("*.json")) == [foreign]
    assert foreign.read_text() == written[foreign]


def record_host(path: Path) -> str:
    """The machine that a record names."""
    host: str = json.loads(path.read_text())["host"]
    assert host == socket.gethostname()
    return host


# Many mounts


def test_1000_mounts_that_come_and_go_leave_nothing_behind(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernel = new_kernel()
    hello(kernel, name)
    kernel.run(
        f"""
        def serve_ten():
            return [_serve(app, name=f"{name}-{{number}}") for number in range(10)]
        """
    )

    def turn() -> None:
        kernel.run("ten = serve_ten()")
        for number in range(10):
            assert server.ask(f"/flaskserve/{name}-{number}/").content == b"hello"
        kernel.run("[mount.stop() for mount in ten]; del ten")
        assert server.ask(f"/flaskserve/{name}-9/").status == 404

    def counts() -> tuple[int, ...]:
        sockets = sum(target.startswith("socket:") for target in descriptors(server.pid).values())
        return (
            status_value(kernel.pid, "Threads"),
            len(descriptors(kernel.pid)),
            status_value(server.pid, "Threads"),
            sockets,
            len(files_of(server)),
        )

    for _ in range(2):
        turn()
    time.sleep(0.5)
    before = counts()
    memory = status_value(kernel.pid, "VmRSS"), status_value(server.pid, "VmRSS")
    for _ in range(100):
        turn()
    wait_until(
        lambda: all(now <= then for now, then in zip(counts(), before, strict=True)),
        what=f"the threads, descriptors and files of before: {before}",
    )
    assert [key for key in server.mounts() if key.startswith(name)] == [name]
    assert status_value(kernel.pid, "VmRSS") - memory[0] < 8 * MIB
    assert status_value(server.pid, "VmRSS") - memory[1] < 8 * MIB


# Clocks that jump


@pytest.mark.parametrize("seconds", [-86400.0, -1.0, 1.0, 86400.0])
def test_mounts_are_found_and_lost_whatever_the_clock_says(
    seconds: float, kernel: Kernel, server: Server, name: str
) -> None:
    """The times of files are those of a clock that is wrong by some seconds."""
    directory = server.runtime_dir / "flaskserve"

    def jump() -> None:
        now = time.time() + seconds
        for path in directory.glob(f"*-{name}*.json"):
            os.utime(path, (now, now))
        os.utime(directory, (now, now))

    client = hello(kernel, f"{name}-0", "changed")
    for number in range(1, 6):
        jump()
        assert client.get("").text == "changed"
        client = hello(kernel, f"{name}-{number}")
        jump()
        assert client.get("").text == "hello"
        time.sleep(0.15)  # by now the directory may be taken for settled
        kernel.run("_mount.stop()")
        assert client.get("").status_code == 404
        client = hello(kernel, f"{name}-{number}", "changed")
        assert client.get("").text == "changed"
    for number in range(6):
        kernel.run(f"_serve(app, name='{name}-{number}').stop()")
        jump()
        assert server.client(f"{name}-{number}").get("").status_code == 404
    assert not [key for key in server.mounts() if key.startswith(name)]


# Two kernels that race


RACE = """
import time
from jupyter_flaskserve import ServeError, serve

def app(environ, start_response):
    start_response("200 OK", [])
    return [WORD]

def race(name, at):
    while time.time() < at:
        pass
    try:
        return serve(app, name=name)
    except ServeError as error:
        return str(error)
"""


def test_of_two_kernels_that_race_for_a_name_exactly_one_gets_it(
    new_kernel: Callable[..., Kernel], server: Server, name: str
) -> None:
    kernels = {word: new_kernel(f"{word}.ipynb") for word in ("one", "two")}
    for word, kernel in kernels.items():
        kernel.run(f"WORD = {word.encode()!r}\n{RACE}")
    for turn in range(12):
        if turn % 3 == 2:  # the name of a kernel that was killed
            leave_stale_record(server, kernels["one"], name)
        at = time.time() + 0.3
        cells = [
            kernel.start(f"got = race({name!r}, {at}); print(type(got).__name__, got)")
            for kernel in kernels.values()
        ]
        outputs = {word: cell.wait().stdout for word, cell in zip(kernels, cells, strict=True)}
        winners = [word for word, output in outputs.items() if output.startswith("Mount ")]
        assert len(winners) == 1, outputs
        (winner,) = winners
        (loser,) = set(kernels) - {winner}
        assert f"taken by {winner}.ipynb" in outputs[loser]
        assert server.mounts()[name]["kernel_id"] == kernels[winner].id
        assert server.client(name).get("").text == winner
        kernels[winner].run("got.stop()")
        assert server.client(name).get("").status_code == 404


def leave_stale_record(server: Server, kernel: Kernel, name: str) -> None:
    """Leave the record of a process that is no more."""
    directory = server.runtime_dir / "flaskserve"
    hello(kernel, f"{name}-model")
    (model,) = directory.glob(f"*-{name}-model.json")
    record = json.loads(model.read_text())
    record |= {"name": name, "pid": 1, "generation": "0" * 32, "socket": str(directory / "no.sock")}
    path = model.with_name(model.name.replace("-model", ""))
    path.touch(mode=0o600)
    path.write_text(json.dumps(record))
    kernel.run(f"_mount.stop(); WORD = b'one'\n{RACE}")


# A clock that jumps


JUMPING_CLOCK = """
import os, time
real = time.time

def jumping():
    with open(os.environ["CLOCK"]) as file:
        return real() + float(file.read() or 0)

time.time = jumping
"""

CLOCKED = """
import time
from flask import Flask, Response
app = Flask(__name__)

@app.get("/")
def now():
    return str(time.time())

@app.get("/stream")
def stream():
    return Response((f"{number}\\n" for number in steps()))

def steps():
    for number in range(30):
        time.sleep(0.1)
        yield number
"""


@pytest.mark.jupyter_server("it starts the server with another clock")
@pytest.mark.parametrize("days", [30, -30])
def test_a_clock_that_jumps_while_requests_run_changes_nothing_for_them(
    new_server: Callable[..., Server], tmp_path: Path, days: int
) -> None:
    """The clock is Python's ``time.time`` in the server and the kernel."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    server = new_server(environment={"CLOCK": str(clock), "PYTHONPATH": path})
    kernel = server.kernel()
    client = kernel.serve("demo", CLOCKED)
    before = float(client.get("").text)
    with client.stream("GET", "stream") as response:
        lines = response.iter_lines()
        assert next(lines) == "0"
        clock.write_text(str(days * 86400))
        assert list(lines) == [str(number) for number in range(1, 30)]
    jumped = float(client.get("").text) - before
    assert jumped == pytest.approx(days * 86400, abs=60)
    assert list(server.mounts()) == ["demo"]
    assert kernel.serve("other", CLOCKED).get("").status_code == 200
    kernel.run("_serve(app, name='demo')")
    assert client.get("").status_code == 200
    clock.write_text("0")
    assert sorted(server.mounts()) == ["demo", "other"]
    assert client.get("").status_code == 200
    kernel.restart()
    assert client.get("").status_code == 503
    assert kernel.serve("demo", CLOCKED).get("").status_code == 200
