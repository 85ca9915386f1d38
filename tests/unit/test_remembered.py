"""Who was let in a moment ago is let in again without asking, and nobody else is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http.client import HTTPConnection
from typing import Any

import pytest
from jupyter_server.auth.authorizer import AllowAllAuthorizer
from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado import httputil, web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.routing import Router

from jupyter_flaskserve.gateway.answer import Answer, Answering
from jupyter_flaskserve.server import remembered
from jupyter_flaskserve.server.access import AdmissionHandler, JupyterAccess
from jupyter_flaskserve.server.admission import Admission
from jupyter_flaskserve.server.entrance import EntranceRouter
from jupyter_flaskserve.server.serving import FlaskServe

TOKEN = {"Authorization": "token right"}
KNOWN, ASKED = 200, 201  # how the server answers who was let in


class Door(httputil.HTTPMessageDelegate):
    """Lets a request in or not, and says whether it had to ask."""

    def __init__(self, request: httputil.HTTPServerRequest, access: JupyterAccess) -> None:
        self._request = request
        self._access = access
        self._successor: httputil.HTTPMessageDelegate | None = None

    def headers_received(self, start_line: Any, headers: Any) -> Awaitable[None] | None:
        if self._access.recall(self._request, "execute") is None:
            return self._ask()
        self._say(KNOWN)
        return None

    async def _ask(self) -> None:
        admission = await self._access.ask(self._request, "execute")
        if isinstance(admission, Admission):
            self._say(ASKED)
        else:
            self._successor = Answering(self._request, admission)

    def _say(self, status: int) -> None:
        answer = Answer(status, "", (("Content-Length", "0"),), b"")
        self._successor = Answering(self._request, answer)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        assert self._successor is not None
        return self._successor.data_received(chunk)

    def finish(self) -> None:
        assert self._successor is not None
        self._successor.finish()

    def on_connection_close(self) -> None:
        if self._successor is not None:
            self._successor.on_connection_close()


class House(Router):
    """A server with one door, as Jupyter Server would ask there.

    :ivar seconds: how long it remembers.
    """

    def __init__(self) -> None:
        self.seconds = 5.0
        self.provider: PasswordIdentityProvider = PasswordIdentityProvider(token="right")
        self.application = web.Application(
            base_url="/",
            cookie_secret=b"secret",
            identity_provider=self.provider,
            authorizer=AllowAllAuthorizer(),
            login_url="/login",
            headers={},
            log_function=lambda handler: None,
        )
        self.access = JupyterAccess(self.application, remember=lambda: self.seconds)
        serving = FlaskServe(
            self.access,
            base_url="/",
            log=logging.getLogger("test"),
            is_own_kernel=lambda _: True,
        )
        self._router = EntranceRouter(serving)

    def find_handler(
        self, request: httputil.HTTPServerRequest, **kwargs: object
    ) -> httputil.HTTPMessageDelegate:
        self._router.find_handler(request)  # it hears of all requests, as it does in Jupyter Server
        return Door(request, self.access)


Test = Callable[[House, Callable[..., Awaitable[int]]], Awaitable[None]]


@pytest.fixture
def play() -> Callable[[Test], None]:
    """Runs a test with a house, and a function that sends a request there and gives the status."""

    async def run(test: Test) -> None:
        house = House()
        server = HTTPServer(house)
        (socket,) = bind_sockets(0, "127.0.0.1")
        server.add_socket(socket)
        port = socket.getsockname()[1]

        def send(
            headers: dict[str, str] = TOKEN, method: str = "GET", path: str = "/flaskserve/demo/"
        ) -> int:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request(method, path, headers=headers)
                return connection.getresponse().status
            finally:
                connection.close()

        async def ask(*arguments: Any, **options: Any) -> int:
            return await asyncio.get_running_loop().run_in_executor(
                None, lambda: send(*arguments, **options)
            )

        try:
            await test(house, ask)
        finally:
            server.stop()
            await server.close_all_connections()

    return lambda test: asyncio.run(run(test))


def test_who_presents_the_same_again_is_known(play: Callable[[Test], None]) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        assert await ask() == ASKED
        assert await ask() == KNOWN
        for name in ("Accept", "User-Agent", "Range", "If-None-Match", "Sec-WebSocket-Key"):
            assert await ask({**TOKEN, name: "other"}) == KNOWN

    play(test)


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({}, "GET", 403),
        ({"Authorization": "token wrong"}, "GET", 403),
        ({"Authorization": "token right "}, "POST", ASKED),
        (TOKEN, "POST", ASKED),
        ({**TOKEN, "Host": "evil.example"}, "GET", 403),
        ({**TOKEN, "Cookie": "username-127-0-0-1=other"}, "GET", ASKED),
        ({**TOKEN, "Origin": "http://evil.example"}, "GET", ASKED),
        ({**TOKEN, "Sec-Fetch-Site": "cross-site"}, "GET", ASKED),
        ({**TOKEN, "Upgrade": "websocket"}, "GET", ASKED),
        ({**TOKEN, "X-Unheard-Of": "1"}, "GET", ASKED),
        ({**TOKEN, "X-Forwarded-For": "10.0.0.1"}, "GET", ASKED),
    ],
)
def test_whatever_else_is_presented_is_asked_about(
    play: Callable[[Test], None], headers: dict[str, str], method: str, status: int
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        assert await ask() == ASKED
        assert await ask(headers, method) == status

    play(test)


def test_a_token_in_the_address_counts_and_who_is_given_a_cookie_is_not_remembered(
    play: Callable[[Test], None],
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        for _ in range(2):
            assert await ask({}, path="/flaskserve/demo/?token=right") == ASKED
        assert await ask({}, path="/flaskserve/demo/?token=wrong") == 403
        both = "/flaskserve/demo/?token=right"
        assert await ask(TOKEN, path=both) == ASKED
        assert await ask(TOKEN, path=both) == KNOWN
        assert await ask(TOKEN, path="/flaskserve/demo/?%74oken=other") == 403

    play(test)


def test_a_refusal_is_not_remembered(play: Callable[[Test], None]) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        wrong = {"Authorization": "token later"}
        assert await ask(wrong) == 403
        house.provider.token = "later"
        assert await ask(wrong) == ASKED

    play(test)


def test_a_changed_token_ends_it_at_once(play: Callable[[Test], None]) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        assert [await ask(), await ask()] == [ASKED, KNOWN]
        house.provider.token = "another"
        assert await ask() == 403

    play(test)


@pytest.mark.parametrize("change", ["password", "cookie secret", "provider", "logout"])
def test_what_changes_the_answer_makes_it_ask_again(
    play: Callable[[Test], None], change: str
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        assert [await ask(), await ask()] == [ASKED, KNOWN]
        if change == "password":
            house.provider.hashed_password = "argon2:another"
        elif change == "cookie secret":
            house.application.settings["cookie_secret"] = b"another"
        elif change == "provider":
            provider = PasswordIdentityProvider(token="right")
            house.application.settings["identity_provider"] = provider
        else:
            await ask({}, path="/logout")
        assert [await ask(), await ask()] == [ASKED, KNOWN]

    play(test)


@pytest.mark.parametrize("change", ["token", "logout"])
def test_what_changes_while_it_asks_counts(
    play: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        def happen() -> None:
            if change == "token":
                house.provider.token = "another"
            else:
                house.access.forget()

        def admission(handler: AdmissionHandler) -> Admission:
            asyncio.get_running_loop().call_soon(happen)  # before who asked goes on
            return decide(handler)

        decide = AdmissionHandler._admission
        monkeypatch.setattr(AdmissionHandler, "_admission", admission)
        assert await ask() == ASKED
        monkeypatch.undo()
        assert await ask() == (403 if change == "token" else ASKED)

    play(test)


def test_a_cookie_secret_that_rotates_is_asked_with_each_time(play: Callable[[Test], None]) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        house.application.settings.update(cookie_secret={1: "one", 2: "two"}, key_version=2)
        assert [await ask() for _ in range(3)] == [ASKED] * 3

    play(test)


def test_hosts_that_count_as_this_one_count(play: Callable[[Test], None]) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        named = {**TOKEN, "Host": "box"}
        house.application.settings["local_hostnames"] = ["localhost", "box"]
        assert [await ask(named), await ask(named)] == [ASKED, KNOWN]
        house.application.settings["local_hostnames"].remove("box")
        assert await ask(named) == 403

    play(test)


class OtherProvider(PasswordIdentityProvider):
    """An administrator's own."""


class OtherAuthorizer(AllowAllAuthorizer):
    """The same."""


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("identity_provider", OtherProvider(token="right")),
        ("authorizer", OtherAuthorizer()),
    ],
)
def test_others_than_jupyters_own_are_always_asked(
    play: Callable[[Test], None], setting: str, value: object
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        house.application.settings[setting] = value
        assert [await ask() for _ in range(3)] == [ASKED] * 3

    play(test)


class Clock:
    """The monotonic clock, set by the test."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(remembered.time, "monotonic", lambda: clock.now)
    return clock


def test_it_is_forgotten_after_its_seconds_and_can_be_turned_off(
    play: Callable[[Test], None], clock: Clock
) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        assert await ask() == ASKED
        clock.now += 4.9
        assert await ask() == KNOWN
        clock.now += 0.2
        assert await ask() == ASKED
        house.seconds = 0
        house.access.forget()
        assert [await ask() for _ in range(3)] == [ASKED] * 3

    play(test)


def test_it_is_bounded(play: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_LIMIT", 2)

    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        for number in range(3):
            assert await ask({**TOKEN, "X-Number": str(number)}) == ASKED
        assert await ask({**TOKEN, "X-Number": "2"}) == KNOWN
        assert await ask({**TOKEN, "X-Number": "0"}) == ASKED
        large = {**TOKEN, "X-Large": "x" * 9000}
        assert [await ask(large), await ask(large)] == [ASKED, ASKED]

    play(test)


def test_what_has_expired_is_not_kept(play: Callable[[Test], None], clock: Clock) -> None:
    async def test(house: House, ask: Callable[..., Awaitable[int]]) -> None:
        for number in range(3):
            await ask({**TOKEN, "X-Number": str(number)})
        clock.now += 10
        await ask()
        assert len(house.access._remembered._known) == 1

    play(test)
