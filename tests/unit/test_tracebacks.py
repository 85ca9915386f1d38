"""The traceback that the panel shows: calls, source and variables, whatever these are."""

from __future__ import annotations

import collections
import dataclasses
import json
import time
from typing import Any

import flask
import pytest
from IPython.core.interactiveshell import InteractiveShell
from recorded_exchanges import Recorder

from jupyter_flaskserve.kernel.exchanges import failures, representation, tracebacks
from jupyter_flaskserve.kernel.exchanges.exchange import Exchange, current
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchanges
from jupyter_flaskserve.kernel.exchanges.masking import MASK
from jupyter_flaskserve.kernel.exchanges.representation import LATE, masked_repr


def failed(view: Any) -> Exchange:
    """The exchange of a view that raises."""

    def app(environ: Any, start_response: Any) -> Any:
        return view()

    return Recorder(app).ask()


def described(exchange: Exchange, **options: Any) -> dict[str, Any]:
    found = tracebacks.describe(exchange, **options)
    assert found is not None
    json.dumps(found)
    return found


def variables(exchange: Exchange, **options: Any) -> dict[str, tuple[str, bool]]:
    """Those of the innermost call: the text of each, and whether it is masked."""
    frames = described(exchange, **options)["frames"]
    return {name: (text, masked) for name, text, masked in frames[-1]["variables"]}


def use(*variables: object) -> None:
    """Have variables that nothing else is done with."""


def test_the_calls_are_told_with_their_source_and_variables(shell: InteractiveShell) -> None:
    shell.execution_count = 3
    cell = "import json\ndef view():\n    n = 7\n    # here\n    return json.loads('{' * n)"
    shell.run_cell(cell, store_history=True).raise_error()
    found = described(failed(shell.user_ns["view"]))
    assert found["summary"].startswith("json.decoder.JSONDecodeError: Expecting property name")
    assert "Cell In[3], line 5, in view" in found["text"]
    assert found["has_variables"]
    places = [(frame["place"], frame["name"], frame["own"]) for frame in found["frames"]]
    assert ("Cell In[3], line 5", "view", True) in places
    assert places[-1][1:] == ("raw_decode", False)
    frame = next(frame for frame in found["frames"] if frame["name"] == "view")
    assert frame["source"] == [
        [1, "import json", False],
        [2, "def view():", False],
        [3, "    n = 7", False],
        [4, "    # here", False],
        [5, "    return json.loads('{' * n)", True],
    ]
    assert frame["variables"] == [["n", "7", False]]
    assert [f["variables"] for f in found["frames"] if not f["own"]] == [
        [] for f in found["frames"] if not f["own"]
    ]


def test_there_is_none_where_nothing_failed_or_it_is_kept_no_more() -> None:
    exchange = failed(lambda: 1 / 0)
    assert tracebacks.describe(exchange) is not None
    exchange.drop_failure()
    assert tracebacks.describe(exchange) is None


def test_chained_exceptions_are_in_the_text() -> None:
    def view() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    found = described(failed(view))
    assert found["summary"] == "ValueError: second"
    assert "KeyError: 'first'" in found["text"]
    assert "The above exception was the direct cause" in found["text"]


def test_a_long_traceback_is_cut_in_the_middle() -> None:
    def view(depth: int = 0) -> None:
        view(depth + 1)

    found = described(failed(view))
    assert len(found["frames"]) == 2 * tracebacks.ENDS + 1
    gap = found["frames"][tracebacks.ENDS]
    assert gap["place"].startswith("… ")
    assert gap["place"].endswith(" more calls …")
    assert found["summary"].startswith("RecursionError")
    assert len(found["text"]) <= 100_001


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Exits:
    def __repr__(self) -> str:
        raise SystemExit


class Big:
    def __repr__(self) -> str:
        return "x" * 5_000_000


class Slow:
    def __repr__(self) -> str:
        time.sleep(30)
        return "slow"


class Itself(list[Any]):
    pass


def test_no_variable_can_make_the_traceback_fail() -> None:
    def view() -> None:
        itself = Itself()
        itself.append(itself)
        raises, exits, big, number = Raises(), Exits(), Big(), 10**50_000
        huge = list(range(1_000_000))
        items = {i: i for i in range(100_000)}
        many = collections.Counter(range(100_000))
        text, data, numbers = "t" * 1_000_000, b"b" * 1_000_000, {1}
        nested = [[[[[[[[1]]]]]]]]
        proxy = flask.request
        holds = [Raises(), 1]
        kind, empty = Raises, ()
        use(itself, raises, exits, big, number, huge, items, many, text, data, nested, proxy)
        use(numbers, holds, kind, empty)
        raise KeyError

    start = time.monotonic()
    found = variables(failed(view))
    assert time.monotonic() - start < 2
    shown = {name: text for name, (text, _) in found.items()}
    assert len(shown) == 16
    assert all(len(text) <= 401 for text in shown.values()), shown
    assert shown["raises"] == "<Raises whose repr failed: RuntimeError>"
    assert shown["exits"] == "<Exits whose repr failed: SystemExit>"
    assert shown["holds"] == "[<Raises whose repr failed: RuntimeError>, 1]"
    assert shown["big"] == "x" * 400 + "…"
    assert shown["huge"].startswith("[0, 1, 2,")
    assert shown["huge"].endswith(", …]")
    assert shown["items"].startswith("{0: 0, 1: 1,")
    assert shown["nested"] == "[[[[[…]]]]]"
    assert shown["number"].startswith("<int of ")
    assert shown["numbers"] == "{1}"
    assert shown["empty"] == "()"
    assert not any(masked for _, masked in found.values())


def test_a_repr_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracebacks, "_PATIENCE", 0.3)

    def view() -> None:
        before, slow, after = 1, Slow(), 2
        use(before, slow, after)
        raise KeyError

    start = time.monotonic()
    found = variables(failed(view))
    assert time.monotonic() - start < 2
    assert found["before"] == ("1", False)
    assert found["slow"] == found["after"] == (LATE, False)


@dataclasses.dataclass
class Login:
    user: str
    password: str


Pair = collections.namedtuple("Pair", "name secret")


def test_variables_that_look_like_secrets_are_masked() -> None:
    def view() -> None:
        password, token, none_token = "s3cret", ["s3cret"], None
        author = "ada"
        login, pair = Login("ada", "s3cret"), Pair("ada", "s3cret")
        form = {"user": "ada", "password": "s3cret", "deep": [{"api_key": b"s3cret"}]}
        headers = {"HTTP_COOKIE": "a=s3cret", "Authorization": "s3cret"}
        text = '{"password": "s3cret"}'
        long = {"a": "x" * 395, "password": "s3cret"}
        long_text = "x" * 390 + ' password="s3cret s3cret"'
        use(password, token, none_token, author, login, pair, form, headers, text, long)
        use(long_text)
        cookies = collections.OrderedDict(session="s3cret")
        use(cookies)
        raise KeyError

    exchange = failed(view)
    found = variables(exchange)
    assert "s3c" not in str(found)
    assert found["password"] == found["token"] == (MASK, True)
    assert found["none_token"] == ("None", False)
    assert found["author"] == ("'ada'", False)
    assert found["login"][0].endswith(f"Login(user='ada', password='{MASK}')")
    assert found["login"][1]
    assert found["pair"][0] == f"Pair(name='ada', secret='{MASK}')"
    assert found["form"] == (
        f"{{'user': 'ada', 'password': '{MASK}', 'deep': [{{'api_key': '{MASK}'}}]}}",
        True,
    )
    revealed = variables(exchange, reveal=True)
    assert revealed["password"] == ("'s3cret'", False)
    assert revealed["form"][0].count("s3cret") == 2


def test_flasks_request_answers_in_the_variables(shell: InteractiveShell) -> None:
    app = flask.Flask("shop")

    @app.route("/boom")
    def boom() -> str:
        asked = flask.request
        raise KeyError(asked)

    failures.install(shell)
    try:
        exchange = Recorder(app).ask("/boom")
    finally:
        failures.uninstall()
    assert exchange.failed.startswith("KeyError")
    frames = described(exchange)["frames"]
    view = next(frame for frame in frames if frame["name"] == "boom")
    name, text, _ = view["variables"][0]
    assert (name, text) == (
        "asked",
        "<Request 'http://example.org:8888/base/flaskserve/demo/boom' [GET]>",
    )


def test_a_system_without_threads_shows_no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    def view() -> None:
        n = 1
        raise KeyError(n)

    exchange = failed(view)
    monkeypatch.setattr(representation.threading.Thread, "start", no_thread)
    assert variables(exchange)["n"] == (LATE, False)


def test_of_a_long_repr_no_rest_of_a_secret_is_left() -> None:
    class Odd:
        def __repr__(self) -> str:
            return "x" * 19_980 + " password='" + "s3cret " * 10_000 + "'"

    assert "s3cret" not in masked_repr("odd", Odd())[0]
    assert "s3cret" not in masked_repr("odd", {"a": Odd()})[0]


def test_what_a_repr_prints_belongs_to_who_asks_for_it() -> None:
    seen: list[Exchange | None] = []

    class Loud:
        def __repr__(self) -> str:
            seen.append(current())
            return "Loud()"

    def view() -> None:
        loud = Loud()
        use(loud)
        raise ValueError

    exchange = failed(view)
    asker = Exchanges().begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""})
    with asker:
        assert variables(exchange)["loud"] == ("Loud()", False)
    assert seen == [asker]
