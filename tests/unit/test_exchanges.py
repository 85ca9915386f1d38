"""Exchanges: what is noted of a request, how much of it is kept, and how a failure is recalled."""

from __future__ import annotations

import threading
import tracemalloc
from contextvars import ContextVar
from typing import Any

import pytest

from jupyter_flaskserve.kernel.exchanges.exchanges import Exchange, Exchanges, current

variable: ContextVar[str] = ContextVar("variable")


def environ(path: str = "/", query: str = "", method: str = "GET") -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges(mount="demo")


def fail(exchange: Exchange, value: str = "of the view") -> BaseException:
    """Run a view that sets a context variable and raises."""
    error = ZeroDivisionError("no")
    with exchange:
        token = variable.set(value)
        try:
            raise error
        except ZeroDivisionError as raised:
            exchange.fail(raised)
        variable.reset(token)
    return error


def test_code_belongs_to_an_exchange_while_that_runs_in_its_thread(exchanges: Exchanges) -> None:
    exchange = exchanges.begin(environ())
    assert current() is None
    with exchange:
        assert current() is exchange
    assert current() is None


def test_a_path_is_shown_as_people_read_it_and_has_nothing_a_terminal_obeys(
    exchanges: Exchanges,
) -> None:
    path = "/caf\u00e9/\x1b[2J\n\u202e".encode().decode("latin-1")
    exchange = exchanges.begin(environ(path, "a=1\x1b"))
    assert exchange.bare_path == "/caf\u00e9/%1B[2J%0A%E2%80%AE"
    assert exchange.path == "/caf\u00e9/%1B[2J%0A%E2%80%AE?a=1%1B"
    assert exchanges.begin(environ("/a b")).path == "/a b"


def test_of_very_much_output_the_end_is_kept_and_the_rest_is_counted(
    exchanges: Exchanges,
) -> None:
    exchange = exchanges.begin(environ())
    exchange.write("one ")
    exchange.write("two")
    assert exchange.output == "one two"
    assert exchange.output_from(4) == (4, "two")
    exchange.write("x" * 300_000)
    exchange.write("y")
    lost = 300_008 - 256 * 1024
    assert exchange.output == f"[{lost} characters before] …\n" + "x" * (256 * 1024 - 1) + "y"
    assert exchange.output_from(0) == (lost, "x" * (256 * 1024 - 1) + "y")
    assert exchange.output_from(300_006) == (300_006, "xy")
    assert exchange.output_from(300_008) == (300_008, "")


def test_output_in_small_pieces_takes_no_more_memory_than_its_text(exchanges: Exchanges) -> None:
    exchange = exchanges.begin(environ())
    tracemalloc.start()
    try:
        for _ in range(100_000):
            exchange.write("12")
            exchange.write("")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 300_000
    assert exchange.output == "12" * 100_000


def test_the_outputs_of_all_exchanges_have_a_limit_and_the_oldest_go_first(
    exchanges: Exchanges,
) -> None:
    noisy = [exchanges.begin(environ()) for _ in range(100)]
    for exchange in noisy:
        exchange.write("x" * 256 * 1024)
    assert [len(exchange.output_from(0)[1]) for exchange in noisy] == [0] * 36 + [256 * 1024] * 64
    assert noisy[0].output == f"[{256 * 1024} characters before] …\n"
    noisy[0].write("nothing more is kept of it")
    assert noisy[0].output_from(0)[1] == ""


def test_output_of_exchanges_that_are_no_longer_kept_does_not_count(exchanges: Exchanges) -> None:
    last = exchanges.begin(environ())
    for _ in range(1_100):
        last = exchanges.begin(environ())
        last.write("x" * 100_000)
    kept = [exchange for exchange in exchanges if exchange.output_from(0)[1]]
    assert len(kept) == 16 * 1024 * 1024 // 100_000
    assert kept[-1] is last


def test_a_finalizer_that_prints_waits_for_nobody_who_drops_outputs(exchanges: Exchanges) -> None:
    first, second = (exchanges.begin(environ()) for _ in range(2))
    first.write("before ")
    inside = threading.Event()

    class Interrupted(str):
        """Its length is asked for in the middle of a write, as a finalizer may run there."""

        asked = 0

        def __len__(self) -> int:
            self.asked += 1
            if self.asked == 2:  # the first time is whether there is a text at all
                inside.set()
                dropper.join(0.2)
                second.write("of a finalizer")
            return super().__len__()

    def drop() -> None:
        inside.wait(10)
        exchanges.limit = 1

    dropper = threading.Thread(target=drop, daemon=True)
    writer = threading.Thread(target=first.write, args=(Interrupted("text"),), daemon=True)
    dropper.start()
    writer.start()
    for thread in (dropper, writer):
        thread.join(10)
    assert inside.is_set()
    assert not dropper.is_alive()
    assert not writer.is_alive()
    assert second.output == "of a finalizer"


def test_what_a_failure_held_is_freed_while_others_may_begin(exchanges: Exchanges) -> None:
    asked: list[Exchange] = []

    class Held:
        def __del__(self) -> None:
            asked.append(exchanges.begin(environ()))

    def view() -> None:
        held = Held()
        assert held
        raise KeyError

    for _ in range(11):
        exchange = exchanges.begin(environ())
        with exchange:
            try:
                view()
            except KeyError as error:
                exchange.fail(error)
    assert len(asked) == 1


def test_the_first_failure_counts_and_is_told_at_once(exchanges: Exchanges) -> None:
    told: list[tuple[int, str]] = []
    exchanges.on_failure = lambda exchange: told.append((exchange.number, exchange.failed))
    exchanges.begin(environ())
    exchange = exchanges.begin(environ())
    error = fail(exchange)
    exchange.fail(KeyError())
    assert exchange.failure is error
    line = fail.__code__.co_firstlineno + 6
    assert told == [(2, f"ZeroDivisionError in test_exchanges.py, line {line}")]


def test_only_the_latest_failures_keep_their_exception(exchanges: Exchanges) -> None:
    failed = [exchanges.begin(environ()) for _ in range(12)]
    for exchange in failed:
        fail(exchange)
    assert exchanges.failures == failed[2:]
    assert [exchange.failure is None for exchange in failed] == [True] * 2 + [False] * 10
    assert all(exchange.failed for exchange in failed)
    assert failed[0].recall(lambda: variable.get("none")) == "none"
    failed[0].fail(KeyError())  # still only the first counts
    assert failed[0].failure is None


def test_a_failure_is_recalled_with_the_views_context_and_the_callers_own(
    exchanges: Exchanges,
) -> None:
    callers: ContextVar[str] = ContextVar("callers")
    callers.set("early")
    exchange = exchanges.begin(environ())
    fail(exchange, "of the view")
    callers.set("late")

    def look() -> tuple[str, str, Exchange | None]:
        return variable.get(), callers.get(), current()

    assert exchange.recall(look) == ("of the view", "late", None)
    assert variable.get("unset") == "unset"
