"""Mixed traffic for some minutes: everything that a notebook, its clients and their accidents do.

    python tests/soak/soak.py [--minutes 10]

One server, one kernel that stays and one that is restarted each minute. Clients ask, upload,
download, leave streams, open WebSockets, serve again, mount and unmount; each kind at a bounded
rate. At the end there is a table of what was answered, and of threads, descriptors and memory at
the beginning and at the end. The exit status is 1 where something was answered wrongly, or where
they have not returned to the beginning.

What is compared, and how strictly:

- Threads, sockets of the server, descriptors of the kernel that stays, and files of mounts must not
  be more than at the beginning: a leak of one in a thousand requests would show. The beginning is
  taken after a warm-up, when log files exist and the server's thread pool, which asyncio fills when
  it is needed, is full; both are taken when the links that idle have been closed.
- The server's descriptors other than sockets may be 8 more: Jupyter's channels to a kernel that was
  restarted are closed by its garbage collector and event loop at their own pace.
- Memory may be 32 MiB more in the server and in the kernel that stays: the allocator keeps what was
  in use at the busiest time. A leak of 2 KiB in each request would be more than that in 10 minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from jupyter_processes import (
    Kernel,
    Reply,
    Server,
    descriptors,
    read_to_end,
    read_until,
    status_value,
)
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

MIB = 1024 * 1024
IDLE_LINK_TIMEOUT = 2  # seconds
RESTART_INTERVAL = 60.0  # seconds

APP = """
import threading
import time
from flask import Flask, Response, request
from flask_sock import Sock

def make_app(word):
    app = Flask(__name__)
    sock = Sock(app)

    @app.route("/")
    def hello():
        return word

    @app.route("/up", methods=["POST"])
    def up():
        size = 0
        while data := request.stream.read(65536):
            size += len(data)
        return str(size)

    @app.route("/down/<int:count>")
    def down(count):
        return Response((bytes(65536) for _ in range(count)))

    @app.route("/stream")
    def stream():
        def ticks():
            while True:
                yield b"tick "
                time.sleep(0.02)
        return Response(ticks())

    @sock.route("/echo")
    def echo(ws):
        while True:
            ws.send(ws.receive())

    return app

from jupyter_flaskserve import serve
kept = serve(make_app("hello"), name=NAME)
"""

RESERVE = 'kept = serve(make_app("hello"), name=NAME)'
MOUNT = """
more = [serve(make_app("more"), name=f"{NAME}-more-{number}") for number in range(3)]
"""
UNMOUNT = "[mount.stop() for mount in more]; del more"


class Wrong(Exception):
    """An answer that nobody should get."""


class Broken(Exception):
    """The kernel ended in the middle, and the client can tell."""


class Traffic:
    """What clients do to one kernel's app.

    :param fragile: whether the kernel is restarted, so that requests may be refused and cut.
    """

    def __init__(self, server: Server, name: str, *, fragile: bool) -> None:
        self.server = server
        self.name = name
        self.fragile = fragile

    def _ask(self, path: str, method: str = "GET", body: bytes = b"") -> bytes:
        """The body of a whole response.

        :raises Broken: the response is an error of the server's, or breaks off.
        """
        try:
            reply = self.server.ask(f"/flaskserve/{self.name}/{path}", method, body=body)
            content = reply.content
        except (OSError, ValueError) as error:
            raise Broken(type(error).__name__) from error
        if reply.status != 200:
            raise Broken(str(reply.status))
        return content

    def small(self) -> None:
        if self._ask("") != b"hello":
            raise Wrong("another body")

    def upload(self) -> None:
        size = random.randrange(1, 2 * MIB)
        if self._ask("up", "POST", bytes(size)) != str(size).encode():
            raise Wrong("another size")

    def download(self) -> None:
        count = random.randrange(1, 32)
        if len(self._ask(f"down/{count}")) != count * 65536:
            raise Wrong("another size")

    def left_stream(self) -> None:
        """A stream whose client leaves."""
        head = f"GET /flaskserve/{self.name}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Authorization: token {self.server.token}\r\n\r\n"
        with self.server.connect() as connection:
            connection.sendall(head.encode())
            try:
                data = read_until(connection, b"\r\n\r\n")
                reply = Reply.parse(data)
                if reply.status != 200:
                    raise Broken(str(reply.status))
                if b"tick" not in data:
                    read_until(connection, b"tick ")
            except (OSError, EOFError) as error:
                raise Broken(type(error).__name__) from error

    def left_upload(self) -> None:
        """An upload whose client leaves."""
        head = f"POST /flaskserve/{self.name}/up HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Authorization: token {self.server.token}\r\nContent-Length: 1000000\r\n\r\n"
        with contextlib.suppress(ConnectionError), self.server.connect() as connection:
            connection.sendall(head.encode() + bytes(100_000))

    def refused(self) -> None:
        """A request without a login."""
        reply = self.server.ask(f"/flaskserve/{self.name}/", authorized=False)
        if reply.status in (200, 503):
            raise Wrong(str(reply.status))

    def websocket(self) -> None:
        try:
            with connect(
                f"ws://127.0.0.1:{self.server.port}/flaskserve/{self.name}/echo",
                additional_headers=self.server.authorization,
                max_size=None,
                proxy=None,
                close_timeout=5,
            ) as ws:
                for size in (1, 1000, 100_000):
                    message = random.randbytes(size)
                    ws.send(message)
                    if ws.recv(timeout=10) != message:
                        raise Wrong("another message")
        except (OSError, WebSocketException) as error:
            raise Broken(type(error).__name__) from error

    def malformed(self) -> None:
        """What is no HTTP."""
        with self.server.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(random.randbytes(50) + b"\r\n\r\n")
            data = read_to_end(connection)
            if data and Reply.parse(data).status < 400:
                raise Wrong("an answer")


KINDS: dict[str, float] = {  # and how many a second of each, over both kernels
    "small": 20.0,
    "upload": 2.0,
    "download": 2.0,
    "left_stream": 2.0,
    "left_upload": 1.0,
    "websocket": 2.0,
    "refused": 1.0,
    "malformed": 1.0,
}


class Outcomes:
    """How often each kind ended in which way. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.failures: Counter[str] = Counter()

    def add(self, kind: str, outcome: str, failure: str = "") -> None:
        with self._lock:
            self._counts[kind, outcome] += 1
            if failure:
                self.failures[f"{kind}: {failure}"] += 1

    def table(self) -> Iterator[str]:
        columns = ("good", "broken off", "WRONG")
        yield f"{'':22}" + "".join(f"{column:>12}" for column in columns)
        for kind in sorted({kind for kind, _ in self._counts}):
            yield f"{kind:22}" + "".join(f"{self._counts[kind, c]:12}" for c in columns)

    @property
    def all_good(self) -> bool:
        return not self.failures


class Footprint(NamedTuple):
    """What is in use; see the module's docstring for what it is compared with."""

    server_threads: int
    server_sockets: int
    server_other_descriptors: int
    server_memory: int
    kernel_threads: int
    kernel_descriptors: int
    kernel_memory: int
    files: int


TOLERANCES = Footprint(0, 0, 8, 32 * MIB, 0, 0, 32 * MIB, 0)


def footprint(server: Server, kernel: Kernel) -> Footprint:
    targets = descriptors(server.pid).values()
    sockets = sum(target.startswith("socket:") for target in targets)
    return Footprint(
        status_value(server.pid, "Threads"),
        sockets,
        len(targets) - sockets,
        status_value(server.pid, "VmRSS"),
        status_value(kernel.pid, "Threads"),
        len(descriptors(kernel.pid)),
        status_value(kernel.pid, "VmRSS"),
        len(list((server.runtime_dir / "flaskserve").iterdir())),
    )


def excess(before: Footprint, after: Footprint) -> list[str]:
    """What there is more of than there may be."""
    rows = zip(Footprint._fields, before, after, TOLERANCES, strict=True)
    return [field for field, then, now, allowed in rows if now > then + allowed]


def fill_thread_pool(server: Server) -> None:
    """Ask for the list of mounts, which takes a thread, so often at once that all of them exist."""
    with ThreadPoolExecutor(32) as pool:
        for _ in range(5):
            list(pool.map(lambda _: server.ask("/api/flaskserve/mounts"), range(64)))


def settled(server: Server, kernel: Kernel) -> Footprint:
    """What is in use once the links that idle have been closed."""
    time.sleep(2 * IDLE_LINK_TIMEOUT + 2)
    return footprint(server, kernel)


def keep_asking(
    act: Callable[[], None],
    kind: str,
    *,
    interval: float,
    fragile: bool,
    until: float,
    outcomes: Outcomes,
) -> None:
    """Do one thing again and again, at most once an interval."""
    while time.monotonic() < until:
        begin = time.monotonic()
        try:
            act()
            outcomes.add(kind, "good")
        except Broken as error:
            if fragile:
                outcomes.add(kind, "broken off")
            else:
                outcomes.add(kind, "WRONG", f"broken off: {error}")
        except Exception as error:
            outcomes.add(kind, "WRONG", f"{type(error).__name__}: {error}")
        time.sleep(max(interval - (time.monotonic() - begin), 0.001))


def run_cells(kernels: dict[str, Kernel], until: float, outcomes: Outcomes) -> None:
    """Serve again, mount and unmount, and restart one of the kernels once in a while."""
    restart = time.monotonic() + RESTART_INTERVAL / 2
    kinds = itertools.cycle(("kill", "restart"))
    while time.monotonic() < until:
        for kernel in kernels.values():
            for kind, code in (("mount", MOUNT), ("serve again", RESERVE), ("unmount", UNMOUNT)):
                try:
                    kernel.run(code)
                    outcomes.add(kind, "good")
                except Exception as error:
                    outcomes.add(kind, "WRONG", f"{type(error).__name__}: {error}")
        if time.monotonic() > restart:
            restart += RESTART_INTERVAL
            fragile = kernels["fragile"]
            kind = next(kinds)
            if kind == "kill":
                fragile.kill9()
                fragile.reconnect()
            else:
                fragile.restart()
            fragile.run(f"NAME = 'fragile'\n{APP}")
            outcomes.add(kind, "good")
        time.sleep(0.5)


def traffic(server: Server, kernels: dict[str, Kernel], seconds: float, outcomes: Outcomes) -> None:
    """All kinds at once."""
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=run_cells, args=(kernels, until, outcomes))]
    for name in kernels:
        clients = Traffic(server, name, fragile=name == "fragile")
        for kind, rate in KINDS.items():
            options = {
                "interval": len(kernels) / rate,
                "fragile": clients.fragile,
                "until": until,
                "outcomes": outcomes,
            }
            act = getattr(clients, kind)
            label = kind.replace("_", " ")
            threads.append(threading.Thread(target=keep_asking, args=(act, label), kwargs=options))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description="Mixed traffic for some minutes.")
    parser.add_argument("--minutes", type=float, default=10.0)
    minutes = parser.parse_args().minutes
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        server = Server(
            Path(directory), config=f"c.FlaskServe.idle_link_timeout = {IDLE_LINK_TIMEOUT}"
        )
        try:
            kernels = {name: server.kernel(f"{name}.ipynb") for name in ("steady", "fragile")}
            for name, kernel in kernels.items():
                kernel.run(f"NAME = {name!r}\n{APP}")
            traffic(server, kernels, 10, Outcomes())
            fill_thread_pool(server)
            before = settled(server, kernels["steady"])
            traffic(server, kernels, minutes * 60, outcomes)
            after = settled(server, kernels["steady"])
            tracebacks = server.log.count("Traceback")
            left = sorted(server.mounts())
        finally:
            server.stop()
    print(*outcomes.table(), sep="\n")
    print()
    print(f"{'':26}{'beginning':>12}{'end':>12}")
    for field, then, now in zip(Footprint._fields, before, after, strict=True):
        unit = MIB if field.endswith("memory") else 1
        label = field.replace("_", " ") + (" (MiB)" if unit == MIB else "")
        print(f"{label:26}{then // unit:12}{now // unit:12}")
    print(f"\nmounts at the end: {', '.join(left)}; tracebacks in the server's log: {tracebacks}")
    for failure, count in outcomes.failures.most_common(20):
        print(f"WRONG {count} times: {failure[:500]}")
    more = excess(before, after)
    if more:
        print(f"MORE THAN AT THE BEGINNING: {', '.join(more)}")
    return int(bool(more) or not outcomes.all_good or left != ["fragile", "steady"])


if __name__ == "__main__":
    sys.exit(main())
