"""The pool of links: who gets one, who waits, and that no place is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.gateway.errors import GatewayError
from jupyter_flaskserve.gateway.links import Link, LinkPool


class Transport(asyncio.Transport):
    """The near end of a connection to nowhere."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Responder:
    """The far end: opens connections, or does not."""

    def __init__(self) -> None:
        self.transports: list[Transport] = []
        self.refuses = False
        self.gate: asyncio.Event | None = None

    async def connect(
        self, make: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuses:
            raise ConnectionRefusedError
        protocol = make()
        transport = Transport(protocol)
        protocol.connection_made(transport)
        self.transports.append(transport)
        return transport, protocol

    @property
    def open(self) -> int:
        return sum(not transport.closed for transport in self.transports)


class User:
    """A request."""

    def __init__(self) -> None:
        self.records: list[fastcgi.Record] = []
        self.lost: Exception | None = None

    def records_received(self, records: list[fastcgi.Record]) -> None:
        self.records += records

    def bytes_received(self, data: bytes) -> None:
        raise AssertionError("no link was upgraded")

    def bytes_ended(self) -> None:
        raise AssertionError("no link was upgraded")

    def link_lost(self, error: Exception) -> None:
        self.lost = error

    def check_time(self, now: float) -> None:
        pass


def pool_of(responder: Responder, **settings: Any) -> LinkPool:
    defaults: dict[str, Any] = {
        "limit": 2,
        "queue_length": 2,
        "queue_timeout": 5.0,
        "connect_timeout": 5.0,
        "idle_timeout": 60.0,
    }
    return LinkPool(responder.connect, **(defaults | settings))


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 10))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_loop
async def test_a_link_given_back_is_lent_again() -> None:
    responder = Responder()
    pool = pool_of(responder)
    first = await pool.take(User())
    pool.give_back(first)
    assert pool.take_idle(User()) is first
    assert len(responder.transports) == 1


@in_loop
async def test_beyond_the_limit_requests_wait_their_turn() -> None:
    responder = Responder()
    pool = pool_of(responder)
    links = [await pool.take(User()) for _ in range(2)]
    waiting = [asyncio.ensure_future(pool.take(User())) for _ in range(2)]
    await settle()
    assert not any(task.done() for task in waiting)
    assert pool.in_use == 4
    pool.give_back(links[0])
    await settle()
    assert waiting[0].done()
    assert not waiting[1].done()
    pool.give_back(links[1])
    assert {await task for task in waiting} == set(links)
    assert responder.open == 2


@in_loop
async def test_nobody_overtakes_who_waits() -> None:
    pool = pool_of(Responder(), limit=1)
    link = await pool.take(User())
    waiting = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.give_back(link)
    assert pool.take_idle(User()) is None
    assert await waiting is link


@in_loop
async def test_a_closed_links_place_passes_to_who_waits() -> None:
    responder = Responder()
    pool = pool_of(responder, limit=1)
    link = await pool.take(User())
    waiting = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.discard(link)
    assert await waiting is not link
    await settle()
    assert responder.open == 1
    assert pool.in_use == 1


@in_loop
async def test_a_full_queue_refuses() -> None:
    pool = pool_of(Responder(), limit=1, queue_length=1)
    await pool.take(User())
    waiting = asyncio.ensure_future(pool.take(User()))
    await settle()
    with pytest.raises(GatewayError, match="queue_length") as refusal:
        await pool.take(User())
    assert (refusal.value.status, refusal.value.retry_after) == (503, 1)
    waiting.cancel()


@in_loop
async def test_who_waits_too_long_is_refused_and_the_link_stays_for_others() -> None:
    pool = pool_of(Responder(), limit=1, queue_timeout=0.05)
    link = await pool.take(User())
    with pytest.raises(GatewayError, match="queue_timeout"):
        await pool.take(User())
    assert pool.in_use == 1
    pool.give_back(link)
    assert await pool.take(User()) is link


@in_loop
async def test_one_who_leaves_the_queue_costs_no_place() -> None:
    pool = pool_of(Responder(), limit=1)
    link = await pool.take(User())
    leaver = asyncio.ensure_future(pool.take(User()))
    stayer = asyncio.ensure_future(pool.take(User()))
    await settle()
    leaver.cancel()
    await settle()
    pool.give_back(link)
    assert await stayer is link


@in_loop
async def test_one_who_leaves_as_its_turn_comes_passes_it_on() -> None:
    pool = pool_of(Responder(), limit=1)
    link = await pool.take(User())
    leaver = asyncio.ensure_future(pool.take(User()))
    stayer = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.give_back(link)  # the leaver's turn has come, but its task has not run
    leaver.cancel()
    assert await stayer is link
    assert pool.in_use == 1


@in_loop
async def test_one_who_leaves_as_a_place_comes_passes_that_on() -> None:
    responder = Responder()
    pool = pool_of(responder, limit=1)
    link = await pool.take(User())
    leaver = asyncio.ensure_future(pool.take(User()))
    stayer = asyncio.ensure_future(pool.take(User()))
    await settle()
    pool.discard(link)
    leaver.cancel()
    assert (await stayer).is_open
    assert pool.in_use == 1


@in_loop
async def test_a_connection_whose_request_left_meanwhile_is_kept() -> None:
    responder = Responder()
    responder.gate = asyncio.Event()
    pool = pool_of(responder, limit=1)
    leaver = asyncio.ensure_future(pool.take(User()))
    await settle()
    leaver.cancel()
    await settle()
    responder.gate.set()
    await settle()
    assert pool.in_use == 0
    assert pool.take_idle(User()) is not None
    assert len(responder.transports) == 1


@in_loop
async def test_when_nobody_listens_all_who_wait_hear_of_it() -> None:
    responder = Responder()
    pool = pool_of(responder, limit=1)
    link = await pool.take(User())
    waiting = [asyncio.ensure_future(pool.take(User())) for _ in range(2)]
    await settle()
    responder.refuses = True
    pool.discard(link)
    for task in waiting:
        with pytest.raises(ConnectionRefusedError):
            await task
    assert pool.in_use == 0


@in_loop
async def test_a_connection_that_takes_too_long_is_a_504() -> None:
    responder = Responder()
    responder.gate = asyncio.Event()
    pool = pool_of(responder, connect_timeout=0.05)
    with pytest.raises(GatewayError, match="connect_timeout") as refusal:
        await pool.take(User())
    assert refusal.value.status == 504
    assert pool.in_use == 0


@in_loop
async def test_an_idle_link_that_the_responder_closed_is_not_lent() -> None:
    responder = Responder()
    pool = pool_of(responder)
    link = await pool.take(User())
    pool.give_back(link)
    responder.transports[0].abort()
    await settle()
    assert pool.take_idle(User()) is None
    assert (await pool.take(User())).is_open


@in_loop
async def test_idle_links_are_closed_after_a_while() -> None:
    responder = Responder()
    pool = pool_of(responder, idle_timeout=0.05)
    links = [await pool.take(User()) for _ in range(2)]
    for link in links:
        pool.give_back(link)
    await asyncio.sleep(0.2)
    assert responder.open == 0


@in_loop
async def test_a_closed_pool_keeps_no_link() -> None:
    responder = Responder()
    pool = pool_of(responder)
    idle, lent = [await pool.take(User()) for _ in range(2)]
    pool.give_back(idle)
    pool.close()
    await settle()
    assert responder.open == 1
    pool.give_back(lent)
    await settle()
    assert responder.open == 0


@in_loop
async def test_the_user_hears_when_its_link_ends_or_speaks_nonsense() -> None:
    responder = Responder()
    pool = pool_of(responder)
    users = [User(), User()]
    links: list[Link] = [await pool.take(user) for user in users]
    responder.transports[0].abort()
    links[1].take(b"HTTP/1.1 200 OK\r\n\r\n")
    await settle()
    assert isinstance(users[0].lost, ConnectionError)
    assert isinstance(users[1].lost, fastcgi.ProtocolError)
    assert not links[1].is_open


@in_loop
async def test_an_idle_link_on_which_something_is_said_is_closed() -> None:
    responder = Responder()
    pool = pool_of(responder)
    link = await pool.take(User())
    pool.give_back(link)
    link.take(fastcgi.encode_record(fastcgi.STDOUT, 1, b"late"))
    await settle()
    assert responder.open == 0
    assert pool.take_idle(User()) is None
