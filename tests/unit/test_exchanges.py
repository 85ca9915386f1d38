"""Exchanges: what is noted of a request, how much of it is kept, and how a failure is recalled."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest

from jupyter_flaskserve.kernel.exchanges import Exchange, Exchanges, current

variable: ContextVar[str] = ContextVar("variable")


def environ(path: str = "/", query: str = "", method: str = "GET") -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query}


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges(mount="demo")


def fail(exchange: Exchange, value: str = "of the view") -> BaseException:
    """Run a view that sets a context variable and raises."""
    error = ZeroDivisionError("no")
    with exchange.running():
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
    with exchange.running():
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


def test_output_is_kept_up_to_a_limit_and_the_rest_is_counted(exchanges: Exchanges) -> None:
    exchange = exchanges.begin(environ())
    exchange.write("one ")
    exchange.write("two")
    assert exchange.output == "one two"
    assert exchange.output_from(4) == "two"
    exchange.write("x" * 300_000)
    exchange.write("y")
    kept = 256 * 1024
    assert exchange.output_lost == 300_008 - kept
    assert exchange.output == (
        "one two" + "x" * (kept - 7) + f"… [{exchange.output_lost} more characters]\n"
    )
    assert len(exchange.output_from(0)) == kept


def test_the_first_failure_counts_and_is_told_at_once(exchanges: Exchanges) -> None:
    told: list[tuple[int, str]] = []
    exchanges.on_failure = lambda exchange: told.append((exchange.number, exchange.failed))
    exchanges.begin(environ())
    exchange = exchanges.begin(environ())
    error = fail(exchange)
    exchange.fail(KeyError())
    assert exchange.failure is error
    assert told == [(2, "ZeroDivisionError in test_exchanges.py, line 30")]


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
