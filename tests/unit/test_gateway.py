"""The gateway before an application that follows a script, both in one event loop, so that what
happens first is what the test says."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import socket
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_links import Responder, User, in_loop, pool_of, settle
from tornado import httputil
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from jupyter_flaskserve import fastcgi, records
from jupyter_flaskserve.gateway.environ import wants_upgrade
from jupyter_flaskserve.gateway.links import Link
from jupyter_flaskserve.records import MountRecord
from jupyter_flaskserve.server.admission import Access, Admission
from jupyter_flaskserve.server.credentials import Credentials
from jupyter_flaskserve.server.entrance import Entrance, EntranceRouter
from jupyter_flaskserve.server.serving import FlaskServe

SECONDS = 10
HEAD = b"Status: 200 OK\r\nContent-Length: 6\r\n\r\n"
ANSWER = fastcgi.encode_stream(fastcgi.STDOUT, 1, HEAD + b"answer")
END = fastcgi.encode_end_request(1)
WEBSOCKET = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Everybody(Access):
    """Lets every request in."""

    async def ask(self, request: httputil.HTTPServerRequest, action: str) -> Admission:
        return Admission("", Credentials(frozenset(), frozenset()), (), "'self'")


class Client(NamedTuple):
    """A connection on which a request was made."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, bytes]:
        """The status, and the body up to its Content-Length or the end of the connection."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        try:
            body = await self.reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            body = error.partial
        self.writer.close()
        return int(head.split()[1]), body


class Scene:
    """A server with one mount, whose application is played by the test.

    :ivar link: the application's end of the latest link, once the gateway has connected.
    :ivar links: all of them.
    :ivar touched: how often the kernel was noted to be in use.
    """

    def __init__(self, port: int, listener: socket.socket) -> None:
        self.port = port
        self._listener = listener
        self.link: socket.socket | None = None
        self.links: list[socket.socket] = []
        self.touched = 0

    async def ask(
        self,
        lines: bytes = b"",
        method: bytes = b"GET",
        body: bytes = b"",
        path: bytes = b"/flaskserve/demo/",
    ) -> Client:
        """Send a request, or its beginning."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = b"%s %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (method, path, lines)
        writer.write(head + body)
        return Client(reader, writer)

    async def take_request(self) -> list[fastcgi.Record]:
        """Take a link, and of its request what comes up to the end of the parameters."""
        loop = asyncio.get_running_loop()
        self.link, _ = await loop.sock_accept(self._listener)
        self.link.setblocking(False)
        self.links.append(self.link)
        self._reader = fastcgi.RecordReader()
        return await self.take_up_to(fastcgi.PARAMS)

    async def take_up_to(self, type: int) -> list[fastcgi.Record]:
        """Take what comes, up to the end of a stream."""
        assert self.link is not None
        taken: list[fastcgi.Record] = []
        while not any(record.type == type and not record.content for record in taken):
            data = await asyncio.get_running_loop().sock_recv(self.link, 1024)
            taken += self._reader.feed(data)
        return taken

    def end(self, said: bytes) -> None:
        """Say something and close the link, whatever there is to read."""
        assert self.link is not None
        self.link.send(said)
        self.link.close()


@contextlib.asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[Scene]:
    serving = FlaskServe(
        Everybody(), base_url="/", log=logging.getLogger("test"), is_own_kernel=lambda _: True
    )
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "socket"))
    listener.listen()
    listener.setblocking(False)
    records.claim(
        MountRecord(
            name="demo",
            server=serving.id,
            kernel_id="kernel",
            pid=os.getpid(),
            generation="0" * 32,
            socket=str(directory / "socket"),
            threads=4,
            title="app",
            notebook="",
            started=0.0,
        )
    )
    server = HTTPServer(EntranceRouter(serving))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    found = Scene(sockets[0].getsockname()[1], listener)

    def touch(mount: object) -> None:
        found.touched += 1

    serving.touch = touch  # type: ignore[method-assign]
    try:
        yield found
    finally:
        server.stop()
        await server.close_all_connections()
        listener.close()
        for link in found.links:
            link.close()


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs a scene; takes a coroutine function of it."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))

    def run(test: Callable[[Scene], Awaitable[None]]) -> None:
        async def main() -> None:
            async with scene(tmp_path) as found:
                await asyncio.wait_for(test(found), SECONDS)

        asyncio.run(main())

    return run


# An answer that comes before the end of the request


@pytest.fixture
def before_write(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Has something happen right before the gateway writes to a link for the n-th time, when it can
    no longer look for what came."""
    write = Link.write
    writes = 0

    def patch(number: int, act: Callable[[], None]) -> None:
        def write_late(link: Link, data: bytes) -> Any:
            nonlocal writes
            writes += 1
            if writes == number:
                act()
            return write(link, data)

        monkeypatch.setattr(Link, "write", write_late)

    return patch


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (ANSWER + END, 200, b"answer"),
        (fastcgi.encode_stream(fastcgi.STDOUT, 1, HEAD + b"ans"), 200, b"ans"),
        (ANSWER[:-3], 502, None),
        (b"", 502, None),
        (b"HTTP/1.1 200 OK", 502, None),
    ],
    ids=["a whole answer", "half of it", "a part of a record", "nothing", "what is not FastCGI"],
)
def test_an_answer_that_has_come_when_a_write_fails_is_not_lost(
    play: Callable[..., None],
    before_write: Callable[[int, Callable[[], None]], None],
    said: bytes,
    status: int,
    body: bytes | None,
) -> None:
    """An application that does not want an upload answers, and closes a link with unread data. The
    gateway may write to it once more before it reads."""

    async def test(scene: Scene) -> None:
        before_write(2, lambda: scene.end(said))
        client = await scene.ask(b"Content-Length: 100000\r\n", b"POST", bytes(100))
        await scene.take_request()
        client.writer.write(bytes(99_900))
        answer = await client.answer()
        assert answer[0] == status
        assert answer[1] == body or body is None

    play(test)


def test_a_request_that_was_not_begun_is_sent_again_with_all_that_came_meanwhile(
    play: Callable[..., None], before_write: Callable[[int, Callable[[], None]], None]
) -> None:
    """The responder, which is stopping, says so before a write that fails."""

    async def test(scene: Scene) -> None:
        refusal = fastcgi.encode_end_request(1, 0, fastcgi.OVERLOADED)
        before_write(2, lambda: scene.end(refusal))
        body = bytes(range(200)) * 100
        client = await scene.ask(b"Content-Length: 20000\r\n", b"POST", body[:100])
        await scene.take_request()
        client.writer.write(body[100:])
        taken = await scene.take_request()
        taken += await scene.take_up_to(fastcgi.STDIN)
        assert scene.link is not None
        assert b"".join(r.content for r in taken if r.type == fastcgi.STDIN) == body
        scene.link.send(ANSWER + END)
        assert await client.answer() == (200, b"answer")

    play(test)


def test_a_link_whose_writes_fail_hands_on_all_that_has_come() -> None:
    @in_loop
    async def test() -> None:
        near, far = socket.socketpair()
        lost: list[Link] = []
        transport, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(lost.append), sock=near
        )
        user = User()
        link.user = user
        link.write(b"unread")
        content = bytes(range(250)) * 240
        far.sendall(fastcgi.encode_stream(fastcgi.STDOUT, 1, content) + END)
        far.close()
        link.pause_reading()
        link.write(b"too late")
        assert user.records == []
        await settle()
        assert [record.type for record in user.records] == [fastcgi.STDOUT, fastcgi.END_REQUEST]
        assert user.records[0].content == content
        assert isinstance(user.lost, ConnectionError)
        assert lost == [link]
        assert link.is_lost
        assert transport.is_closing()

    test()


@pytest.mark.parametrize("refused", ["dup", "user"])
def test_a_link_that_cannot_hand_on_what_has_come_is_lost_all_the_same(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*args: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    @in_loop
    async def test() -> None:
        near, far = socket.socketpair()
        lost: list[Link] = []
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(lost.append), sock=near
        )
        user = User()
        link.user = user
        link.write(b"unread")
        far.sendall(ANSWER)
        far.close()
        link.pause_reading()
        if refused == "dup":
            monkeypatch.setattr(asyncio.trsock.TransportSocket, "dup", no_more)
        else:
            monkeypatch.setattr(user, "records_received", no_more)
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        link.write(b"too late")
        await settle()
        assert isinstance(user.lost, ConnectionError)
        assert lost == [link]

    test()


def test_a_link_that_ends_without_an_answer_is_lost_though_more_is_being_written() -> None:
    """A responder that has said its last, and reads on or not, is not waited for."""

    @in_loop
    async def test() -> None:
        near, far = socket.socketpair()
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(lambda link: None), sock=near
        )
        user = User()
        link.user = user
        link.write(bytes(4_000_000))  # more than the socket holds
        far.shutdown(socket.SHUT_WR)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if user.lost is not None:
                break
        far.close()
        assert isinstance(user.lost, ConnectionError)

    test()


# The way to the inspector

INSPECTOR = b"/api/flaskserve/inspector/demo/"


def params_of(taken: list[fastcgi.Record]) -> dict[bytes, bytes]:
    content = b"".join(record.content for record in taken if record.type == fastcgi.PARAMS)
    return dict(fastcgi.decode_pairs(content))


def test_a_question_goes_to_the_responder_and_not_to_the_app(play: Callable[..., None]) -> None:
    async def test(scene: Scene) -> None:
        lines = (
            b"Cookie: theme=dark\r\nAuthorization: Basic dTpw\r\nAccept: application/json\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        )
        client = await scene.ask(lines, path=INSPECTOR + b"exchanges/7?reveal=1")
        params = params_of(await scene.take_request())
        assert params[fastcgi.CONTROL_PARAM] == fastcgi.INSPECT
        assert params[b"SCRIPT_NAME"] == b"/api/flaskserve/inspector/demo"
        assert params[b"PATH_INFO"] == b"/exchanges/7"
        assert params[b"QUERY_STRING"] == b"reveal=1"
        assert params[b"HTTP_ACCEPT"] == b"application/json"
        assert not {b"HTTP_COOKIE", b"HTTP_AUTHORIZATION", fastcgi.UPGRADE_PARAM} & params.keys()
        assert scene.link is not None
        scene.link.send(ANSWER + END)
        assert await client.answer() == (200, b"answer")

    play(test)


@pytest.mark.parametrize(
    "lines",
    [
        b"FLASKSERVE_CONTROL: inspect\r\n",
        b"Flaskserve-Control: inspect\r\n",
        b"Http-Flaskserve-Control: inspect\r\n",
        b"flaskserve_control: stop\r\n",
    ],
)
def test_no_header_makes_a_request_to_the_app_a_question(
    lines: bytes, play: Callable[..., None]
) -> None:
    async def test(scene: Scene) -> None:
        client = await scene.ask(lines)
        params = params_of(await scene.take_request())
        assert fastcgi.CONTROL_PARAM not in params
        assert scene.link is not None
        scene.link.send(ANSWER + END)
        await client.answer()

    play(test)


@pytest.mark.parametrize("path", [b"/flaskserve/demo/", INSPECTOR], ids=["app", "inspector"])
def test_only_requests_to_the_app_count_as_use_of_the_kernel(
    path: bytes, play: Callable[..., None]
) -> None:
    async def test(scene: Scene) -> None:
        client = await scene.ask(path=path)
        await scene.take_request()
        assert scene.link is not None
        scene.link.send(ANSWER + END)
        assert await client.answer() == (200, b"answer")
        assert bool(scene.touched) is (path != INSPECTOR)

    play(test)


def test_an_answer_of_the_inspector_sets_no_cookie(play: Callable[..., None]) -> None:
    async def test(scene: Scene) -> None:
        client = await scene.ask(path=INSPECTOR)
        await scene.take_request()
        head = b"Status: 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n"
        assert scene.link is not None
        scene.link.send(fastcgi.encode_stream(fastcgi.STDOUT, 1, head) + END)
        answer = await client.reader.readuntil(b"\r\n\r\n")
        assert b"X-A: 1" in answer
        assert b"cookie" not in answer.lower()
        assert b"content-security-policy" not in answer.lower(), "it has its own"
        client.writer.close()

    play(test)


def test_questions_wait_for_no_request_to_the_app_and_keep_none_waiting(
    play: Callable[..., None],
) -> None:
    """The app has four threads here, and the inspector four links."""

    async def test(scene: Scene) -> None:
        clients = []
        for path in [b"/flaskserve/demo/"] * 4 + [INSPECTOR] * 4:
            clients.append(await scene.ask(path=path))
            await scene.take_request()
        assert len(scene.links) == 8
        late = [await scene.ask(path=path) for path in (INSPECTOR, b"/flaskserve/demo/")]
        await settle()
        for place in (7, 3):  # one question and one request end: those that wait take their links
            scene.links[place].send(ANSWER + END)
            assert await clients[place].answer() == (200, b"answer")
            scene.link = scene.links[place]
            taken = await scene.take_up_to(fastcgi.PARAMS)
            control = params_of(taken).get(fastcgi.CONTROL_PARAM)
            assert control == (fastcgi.INSPECT if place == 7 else None)
            scene.link.send(ANSWER + END)
        for client in late:
            assert await client.answer() == (200, b"answer")
        for client in clients:
            client.writer.close()

    play(test)


@pytest.mark.parametrize(
    "path",
    [
        b"/api/flaskserve/inspector",
        b"/api/flaskserve/inspector/",
        b"/api/flaskserve/inspector/nobody/state",
    ],
)
def test_where_no_mount_is_named_a_sentence_says_so_in_json(
    path: bytes, play: Callable[..., None]
) -> None:
    async def test(scene: Scene) -> None:
        status, body = await (await scene.ask(b"Accept: text/html\r\n", path=path)).answer()
        assert status == 404
        assert json.loads(body)["error"] == "not-found"

    play(test)


# The pool


@in_loop
async def test_a_link_that_is_being_passed_on_counts() -> None:
    """Between the turn of one who waits and its next step somebody else may ask."""
    responder = Responder()
    pool = pool_of(responder, limit=2)
    links = [await pool.take(User()) for _ in range(2)]
    waiting = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.give_back(links[0])  # it is the waiter's now, whose task has not run
    assert pool.in_use == 2
    late = asyncio.ensure_future(pool.take(User()))
    assert await waiting is links[0]
    await settle()
    assert not late.done()
    assert responder.open == 2, "the application has no third thread for a third link"
    pool.give_back(links[1])
    assert await late is links[1]


@in_loop
async def test_one_who_leaves_with_a_link_passed_on_to_it_leaves_it_to_the_pool() -> None:
    responder = Responder()
    pool = pool_of(responder, limit=1)
    link = await pool.take(User())
    leaver = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.give_back(link)
    leaver.cancel()
    await settle()
    assert pool.in_use == 0
    assert pool.take_idle(User()) is link


# The hot path


@pytest.mark.parametrize("lines", [b"", WEBSOCKET], ids=["ordinary", "WebSocket"])
def test_whether_a_request_wants_a_websocket_is_asked_once_and_only_where_it_may(
    play: Callable[..., None], lines: bytes
) -> None:
    asked: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is wants_upgrade.__code__:
            asked.append(threading.current_thread().name)

    async def test(scene: Scene) -> None:
        client = await scene.ask(lines)
        taken = await scene.take_request()
        pairs = dict(fastcgi.decode_pairs(taken[1].content))
        assert (fastcgi.UPGRADE_PARAM in pairs) is bool(lines)
        assert scene.link is not None
        scene.link.send(ANSWER + END)
        assert await client.answer() == (200, b"answer")

    sys.setprofile(profile)
    try:
        play(test)
    finally:
        sys.setprofile(None)
    assert len(asked) == bool(lines)


def test_an_exchange_leaves_nothing_for_the_garbage_collector(
    play: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[weakref.ref[Any]] = []
    start = Entrance._forward

    def forward(entrance: Entrance, *arguments: Any) -> Any:
        waiting = start(entrance, *arguments)
        begun.extend((weakref.ref(entrance), weakref.ref(entrance._successor)))
        return waiting

    monkeypatch.setattr(Entrance, "_forward", forward)

    async def test(scene: Scene) -> None:
        client = await scene.ask()
        await scene.take_request()
        assert scene.link is not None
        scene.link.send(ANSWER + END)
        assert await client.answer() == (200, b"answer")
        while any(one() is not None for one in begun):
            await asyncio.sleep(0.01)
        assert len(begun) == 2

    gc.disable()
    try:
        play(test)
    finally:
        gc.enable()
