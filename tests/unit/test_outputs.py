"""What views put out goes to their exchange: streams, displays, input and breakpoints."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from jupyter_flaskserve.kernel.exchanges import outputs
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchange, Exchanges
from jupyter_flaskserve.kernel.exchanges.outputs import NotInView


class PythonStream(io.TextIOBase):
    """A stream whose class is written in Python, as ipykernel's."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError("write() argument must be str")
        self.text += text
        return len(text)

    def getvalue(self) -> str:
        return self.text


def terminal() -> io.TextIOWrapper:
    """A stream of a built-in class, as a terminal's."""
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    stream.getvalue = lambda: stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
    return stream


class Console(NamedTuple):
    """A shell and its streams."""

    shell: InteractiveShell
    out: Any
    err: Any


Start = Callable[[], Console]


@pytest.fixture(autouse=True)
def _uninstalled() -> Iterator[None]:
    yield
    outputs.uninstall()


@pytest.fixture(params=[PythonStream, terminal])
def start(
    request: pytest.FixtureRequest, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Puts streams in the place of pytest's, which it sets anew for each phase of a test, and
    installs."""

    def start() -> Console:
        monkeypatch.setattr(sys, "stdout", request.param())
        monkeypatch.setattr(sys, "stderr", PythonStream())
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        outputs.install(shell)
        return Console(shell, sys.stdout, sys.stderr)

    return start


@pytest.fixture
def exchange() -> Exchange:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    return Exchanges(mount="demo").begin(environ)


def test_what_a_view_writes_goes_to_its_exchange_and_the_rest_where_it_went(
    start: Start, exchange: Exchange
) -> None:
    console = start()
    print("cell")
    with exchange:
        print("view")
        print("view's error", file=sys.stderr)
        sys.stdout.writelines(["a", "b\n"])
        assert sys.stdout.write("four") == 4
    assert sys.stdout.write("cell\n") == 5
    sys.stdout.writelines(["c", "d\n"])
    print("cell", file=sys.stderr)
    assert console.out.getvalue() == "cell\ncell\ncd\n"
    assert console.err.text == "cell\n"
    assert exchange.output == "view\nview's error\nab\nfour"


def test_what_is_no_text_is_refused_in_a_view_as_elsewhere(
    start: Start, exchange: Exchange
) -> None:
    start()
    with exchange, pytest.raises(TypeError, match=r"write\(\) argument must be str"):
        sys.stdout.write(b"bytes")  # type: ignore[arg-type]
    assert exchange.output == ""


def test_the_streams_stay_the_objects_that_they_are(start: Start, exchange: Exchange) -> None:
    """So that it holds for a handler that was made before, and for one that is made after."""
    console = start()
    outputs.uninstall()
    handlers = [logging.StreamHandler(console.err)]
    outputs.install(console.shell)
    handlers.append(logging.StreamHandler(sys.stderr))
    assert sys.stdout is console.out
    assert sys.stderr is console.err
    assert isinstance(console.err, PythonStream)
    record = logging.LogRecord("a", logging.INFO, "", 1, "said", None, None)
    with exchange:
        for handler in handlers:
            handler.handle(record)
    assert exchange.output == "said\nsaid\n"
    assert console.err.text == ""


def test_redirecting_works_in_a_view_and_elsewhere(start: Start, exchange: Exchange) -> None:
    console = start()
    for place in (exchange, contextlib.nullcontext()):
        with place, contextlib.redirect_stdout(io.StringIO()) as text:
            print("caught")
        assert text.getvalue() == "caught\n"
    assert console.out.getvalue() == exchange.output == ""


def test_it_holds_in_cells_between_them_and_in_the_cell_that_installed_it(
    start: Start, exchange: Exchange
) -> None:
    """IPython 9 replaces ``write`` while a cell runs."""
    console = start()
    outputs.uninstall()
    console.shell.user_ns["exchange"] = exchange
    console.shell.user_ns["install"] = lambda: outputs.install(console.shell)
    printing = "with exchange:\n    print('view', {})\nprint('cell', {})"
    console.shell.run_cell("install()\n" + printing.format(1, 1), store_history=True)
    if isinstance(console.out, PythonStream):  # elsewhere only from the next cell on
        with exchange:
            print("view", 2)
    for number in (3, 4, 5):
        console.shell.run_cell(printing.format(number, number), store_history=True)
        with exchange:
            print("view", number)
    print("cell", 6)
    assert [line for line in console.out.getvalue().splitlines() if "view" in line] == []
    assert console.out.getvalue() == "".join(f"cell {number}\n" for number in (1, 3, 4, 5, 6))
    between = "view 2\n" if isinstance(console.out, PythonStream) else ""
    later = "".join(f"view {number}\n" * 2 for number in (3, 4, 5))
    assert exchange.output == "view 1\n" + between + later
    if isinstance(console.out, PythonStream):  # nothing of ours is left behind by each cell
        assert not isinstance(vars(console.out).get("write"), outputs._Write)
    history = getattr(console.shell.history_manager, "outputs", {})
    assert "view" not in str({number: history[number] for number in history if number > 1})


def test_a_stream_that_takes_another_ones_place_is_seen_to_before_the_next_cell(
    start: Start, exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = start()
    other = PythonStream()
    monkeypatch.setattr(sys, "stdout", other)
    console.shell.run_cell("pass")
    with exchange:
        print("view")
    assert (other.text, exchange.output) == ("", "view\n")


def test_a_display_in_a_view_is_text_in_its_exchange(start: Start, exchange: Exchange) -> None:
    console = start()
    with exchange:
        display("shown", 42)
        console.shell.display_pub.publish(data={"text/plain": "figure", "image/png": "x"})
        console.shell.display_pub.clear_output()
    display("cell")
    assert exchange.output == "'shown'\n42\nfigure\n"
    assert console.out.getvalue() == "'cell'\n"


@pytest.mark.parametrize("ask", [lambda: input("who? "), lambda: getpass.getpass("word? ")])
def test_a_view_cannot_ask_for_input(
    start: Start, exchange: Exchange, ask: Callable[[], str]
) -> None:
    console = start()
    with exchange, pytest.raises(NotInView, match=r"request\.args or request.form"):
        ask()
    assert "?" not in console.out.getvalue() + exchange.output


def test_a_breakpoint_in_a_view_says_what_to_do_instead(start: Start, exchange: Exchange) -> None:
    start()
    with exchange, pytest.raises(NotInView, match="run %flaskserve debug demo in a cell"):
        breakpoint()
    with exchange, pytest.raises(NotInView):
        breakpoint(header="here")


def test_a_breakpoint_elsewhere_reaches_the_hook_from_where_it_stands(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = start()
    outputs.uninstall()
    calls: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(
        sys,
        "breakpointhook",
        lambda **options: calls.append((sys._getframe(1).f_code.co_name, options)),
    )
    outputs.install(console.shell)
    breakpoint(header="here")
    own = test_a_breakpoint_elsewhere_reaches_the_hook_from_where_it_stands.__name__
    assert calls == [(own, {"header": "here"})]


def test_a_thread_that_a_view_starts_prints_as_before(start: Start, exchange: Exchange) -> None:
    console = start()
    with exchange:
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert (console.out.getvalue(), exchange.output) == ("thread\n", "")


def test_uninstalling_puts_everything_back(
    start: Start,
) -> None:
    console = start()

    def state() -> list[object]:
        found = (
            [type(o), {k: v for k, v in vars(o).items() if "write" in k or k == "publish"}]
            for o in (console.out, console.err, console.shell.display_pub)
        )
        return [
            *found,
            vars(console.shell).get("run_cell"),
            sys.breakpointhook,
            builtins.input,
            getpass.getpass,
            vars(sys.stdin).get("readline"),
            list(console.shell.events.callbacks["pre_run_cell"]),
        ]

    installed = state()
    outputs.install(console.shell)
    assert state() == installed  # a second time changes nothing
    outputs.uninstall()
    outputs.uninstall()
    before = state()
    assert type(console.err) is PythonStream
    assert "publish" not in vars(console.shell.display_pub)
    assert before != installed
    outputs.install(console.shell)
    outputs.install(console.shell)
    outputs.uninstall()
    assert state() == before
