"""Failures of views: where they were, what is said of them, and the page that shows them."""

from __future__ import annotations

import gc
import itertools
import re
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import jinja2
import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyter_flaskserve.kernel.exchanges import failures
from jupyter_flaskserve.kernel.exchanges.code_places import (
    is_own,
    name_cells,
    own_index,
    place,
    place_of_failure,
)
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchange, Exchanges
from jupyter_flaskserve.kernel.exchanges.traceback_page import failure_response
from jupyter_flaskserve.kernel.mount_line import MountLine, failure_line
from jupyter_flaskserve.kernel.responder.link import ClientDisconnected

ADVICE = "Serve it with %flaskserve app --main-thread to run its views on the kernel's main thread."
BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def exchanges() -> Exchanges:
    return Exchanges(mount="demo")


def begin(exchanges: Exchanges, path: str = "/", query: str = "", **more: Any) -> Exchange:
    return exchanges.begin(
        {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, **more}
    )


def raised_by(shell: InteractiveShell, cell: str) -> BaseException:
    """What the function ``view`` of a cell raises."""
    shell.run_cell(cell, store_history=True).raise_error()
    try:
        shell.user_ns["view"]()
    except Exception as error:
        return error
    raise AssertionError("it raised nothing")


def failed(exchanges: Exchanges, error: BaseException, **options: Any) -> Exchange:
    exchange = begin(exchanges, **options)
    exchange.fail(error)
    return exchange


# Where


def test_a_cells_code_is_named_by_its_number(shell: InteractiveShell) -> None:
    shell.execution_count = 3
    error = raised_by(shell, "import json\ndef view():\n    return json.loads('{')")
    assert place_of_failure(error.__traceback__) == "Cell In[3], line 3"
    filename = shell.user_ns["view"].__code__.co_filename
    assert is_own(filename)
    text = f'  File "{filename}", line 3, in view\n  File "/x/y.py", line 1\n  | File "{filename}"'
    assert name_cells(text) == (
        f'  Cell In[3], line 3, in view\n  File "/x/y.py", line 1\n  | File "{filename}"'
    )


def test_own_code_is_told_from_libraries(tmp_path: Path) -> None:
    assert is_own(str(tmp_path / "shop.py"))
    assert is_own("<template>")
    for filename in (flask.__file__, re.__file__, failures.__file__, "<string>", "<frozen os>"):
        assert filename
        assert not is_own(filename)
    assert place("/home/ada/shop.py", 7) == "shop.py, line 7"
    assert own_index(["/a.py", "/b.py", re.__file__]) == 1
    assert own_index([re.__file__]) is None
    assert place_of_failure(None) == ""


def test_a_failure_in_a_template_is_in_the_template(tmp_path: Path) -> None:
    (tmp_path / "hello.html").write_text("<p>\n{{ 1 / zero }}\n")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path))
    with pytest.raises(ZeroDivisionError) as caught:
        environment.get_template("hello.html").render(zero=0)
    assert place_of_failure(caught.value.__traceback__) == "hello.html, line 2"


# What is said


@pytest.mark.parametrize(
    "error",
    [
        ValueError("signal only works in main thread of the main interpreter"),
        RuntimeError("main thread is not in main loop"),
        RuntimeError("There is no current event loop in thread 'flaskserve demo worker 1'."),
    ],
)
def test_failures_that_come_of_the_thread_have_advice(error: Exception) -> None:
    assert failures.advice(error) == ADVICE


def test_the_advice_is_for_the_message_that_sqlite_gives() -> None:
    import sqlite3
    import threading

    connection = sqlite3.connect(":memory:")
    errors = []

    def use() -> None:
        try:
            connection.execute("select 1")
        except sqlite3.Error as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert failures.advice(errors[0]) == ADVICE
    connection.close()


def test_other_failures_have_no_advice_even_where_they_cannot_be_printed() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failures.advice(Unprintable()) == ""
    assert failures.advice(ZeroDivisionError("division by zero")) == ""


def test_the_line_says_which_request_where_and_what_to_do(exchanges: Exchanges) -> None:
    exchange = failed(exchanges, RuntimeError("x"), path="/boom", query="key=s3cret")
    assert failure_line(exchange) == "GET /boom failed: RuntimeError · %flaskserve debug demo"
    exchange = failed(exchanges, ValueError("signal only works in main thread"))
    assert failure_line(exchange).endswith(f"%flaskserve debug demo · {ADVICE}")


class Publisher:
    session = object()

    def __init__(self) -> None:
        self.published: list[tuple[str, bool, float]] = []
        self.ids: set[str] = set()

    def publish(
        self, data: dict[str, str], metadata: object, *, transient: dict[str, str], update: bool
    ) -> None:
        self.published.append((data["text/plain"], update, time.monotonic()))
        self.ids.add(transient["display_id"])


def test_the_line_is_updated_at_intervals_and_ends_with_the_newest_failure(
    shell: InteractiveShell, exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher()
    monkeypatch.setattr(shell, "display_pub", publisher)

    def text(exchange: Exchange | None) -> str:
        return "line" if exchange is None else f"line {exchange.number}"

    line = MountLine(text, text)
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        line.note_failure(failed(exchanges, KeyError()))
        time.sleep(0.01)
    last = len(exchanges)
    time.sleep(0.7)
    texts, updates, times = zip(*publisher.published, strict=True)
    assert texts[0] == "line"
    assert texts[-1] == f"line {last}"
    assert updates == (False, *[True] * (len(texts) - 1))
    assert 3 <= len(texts) <= 4
    assert all(later - earlier >= 0.49 for earlier, later in itertools.pairwise(times[1:]))
    assert len(publisher.ids) == 1


def test_a_line_that_could_not_be_updated_for_want_of_a_thread_is_the_next_time(
    shell: InteractiveShell, exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher()
    monkeypatch.setattr(shell, "display_pub", publisher)
    line = MountLine(lambda exchange: "line", lambda exchange: "line")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Timer, "start", lambda timer: _raise(RuntimeError("no thread")))
        line.note_failure(failed(exchanges, KeyError()))
    line.note_failure(failed(exchanges, KeyError()))
    time.sleep(0.3)
    assert [update for _, update, _ in publisher.published] == [False, True]


def _raise(error: BaseException) -> None:
    raise error


def test_a_terminals_line_stays_as_it_was_printed(
    shell: InteractiveShell, exchanges: Exchanges, capsys: pytest.CaptureFixture[str]
) -> None:
    line = MountLine(lambda exchange: "line", lambda exchange: "line")
    line.note_failure(failed(exchanges, KeyError()))
    time.sleep(0.2)
    assert capsys.readouterr().out == "line\n"


# What Flask tells


@pytest.fixture
def app() -> Iterator[flask.Flask]:
    app = flask.Flask("shop")

    @app.route("/boom")
    def boom() -> str:
        raise ValueError("signal only works in main thread")

    @app.route("/handled")
    def handled() -> str:
        raise KeyError

    app.register_error_handler(KeyError, lambda error: ("handled", 200))
    yield app
    failures.uninstall()


def ask(app: flask.Flask, exchanges: Exchanges, path: str) -> Exchange:
    """Run a request as the responder does."""
    from werkzeug.test import EnvironBuilder, run_wsgi_app

    environ = EnvironBuilder(path=path).get_environ()
    exchange = exchanges.begin(environ)

    class Errors:
        def write(self, text: str) -> None:
            exchange.write(text)

        def flush(self) -> None: ...

    environ["wsgi.errors"] = Errors()
    with exchange:
        run_wsgi_app(app, environ)
    return exchange


def test_a_failure_that_flask_answers_itself_is_noted(
    app: flask.Flask, exchanges: Exchanges, shell: InteractiveShell
) -> None:
    failures.install(shell)
    failures.install(shell)
    exchange = ask(app, exchanges, "/boom")
    assert isinstance(exchange.failure, ValueError)
    assert exchange.failed.startswith("ValueError in test_failures.py, line ")
    assert not exchange.debug
    assert exchange.output.count(ADVICE) == 1
    path = exchange.recall(lambda: flask.request.path)
    assert path == "/boom"
    assert ask(app, exchanges, "/handled").failed == ""
    failures.uninstall()
    assert ask(app, exchanges, "/boom").failure is None


def test_a_client_that_left_is_no_failure_of_the_view(
    app: flask.Flask, exchanges: Exchanges, shell: InteractiveShell
) -> None:
    @app.route("/upload")
    def upload() -> str:
        try:
            raise ClientDisconnected
        except ClientDisconnected as error:
            raise ValueError("no whole form") from error

    failures.install(shell)
    assert ask(app, exchanges, "/upload").failed == ""
    assert exchanges.failures == []


def test_of_a_mount_that_has_stopped_no_variables_of_views_stay(
    app: flask.Flask, exchanges: Exchanges, shell: InteractiveShell
) -> None:
    class Held:
        pass

    held: list[weakref.ref[Held]] = []

    @app.route("/holds")
    def holds() -> str:
        value = Held()
        held.append(weakref.ref(value))
        raise KeyError(str(value)) from None

    app.error_handler_spec.clear()
    app.logger.disabled = True  # what collects its records would keep the frames
    failures.install(shell)
    exchanges.on_failure = failures.keep_as_last
    for _ in range(3):
        ask(app, exchanges, "/holds")
    gc.collect()
    assert [reference() is not None for reference in held] == [True, True, True]
    failures.forget(exchanges)
    sys.last_value = sys.last_exc = sys.last_traceback = None  # a cell has failed since
    gc.collect()
    assert [reference() is not None for reference in held] == [False, False, False]


def test_outside_of_exchanges_nothing_is_noted(app: flask.Flask, shell: InteractiveShell) -> None:
    failures.install(shell)
    assert app.test_client().get("/boom").status_code == 500


def test_percent_debug_is_told_of_a_view_unless_a_cell_failed_since(
    shell: InteractiveShell, exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("last_type", "last_value", "last_traceback"):
        monkeypatch.setattr(sys, name, None, raising=False)
    monkeypatch.delattr(sys, "last_exc", raising=False)
    cells: list[bool] = []
    views: list[Exchange] = []
    vars(shell)["debugger"] = lambda force=False: cells.append(force)
    failures.install(shell)
    monkeypatch.setattr(failures, "open_debugger", lambda shell, exchange: views.append(exchange))
    shell.debugger(force=True)
    assert (cells, views) == ([True], [])
    exchange = failed(exchanges, KeyError())
    failures.keep_as_last(exchange)
    assert (sys.last_type, sys.last_value) == (KeyError, exchange.failure)
    assert not hasattr(sys, "last_exc")
    shell.debugger()  # only asked for with force, as by %debug, or with %pdb on
    assert views == []
    shell.debugger(force=True)
    assert (cells, views) == ([True], [exchange])
    sys.last_value = ValueError("of a cell")
    shell.debugger(force=True)
    assert (cells, views) == ([True, True], [exchange])
    failures.uninstall()
    assert "debugger" not in vars(shell)


# The page


def page(exchange: Exchange, error: BaseException, accept: str = BROWSER) -> tuple[str, str]:
    return failure_response(error, exchange, {"HTTP_ACCEPT": accept})


def test_the_page_shows_the_chain_with_the_cells_lines_and_folds_libraries(
    shell: InteractiveShell, exchanges: Exchanges
) -> None:
    error = raised_by(
        shell,
        "import json\ndef view():\n    try:\n        json.loads('{')\n"
        "    except ValueError as error:\n        raise KeyError('<b>') from error",
    )
    kind, text = page(failed(exchanges, error, path="/<i>", query="key=s3cret"), error)
    assert kind == "text/html; charset=utf-8"
    assert text.startswith("<!doctype html>")
    assert text.index("<h2>JSONDecodeError: Expecting") < text.index("<h2>KeyError: &#39;&lt;b&gt;")
    assert "This was the direct cause of:" in text
    assert re.findall(r"<summary>(.*)</summary>", text) == [
        "3 calls in json",
        "The traceback as text",
    ]
    current = re.findall(r'line current"><span class="number">(\d+)</span> *(.*)', text)
    assert ("4", "json.loads(&#39;{&#39;)") in current
    assert ("6", "raise KeyError(&#39;&lt;b&gt;&#39;) from error") in current
    assert "GET /&lt;i&gt; failed: KeyError in Cell In[1], line 6" in text
    assert "<b>&#39;" not in text
    assert "<i>" not in text
    assert "s3cret" not in text
    assert "%flaskserve debug demo 1" in text


def test_the_page_loads_and_runs_nothing(exchanges: Exchanges) -> None:
    error = ValueError("</pre><script>alert(1)</script>")
    _, text = page(failed(exchanges, error), error)
    assert "<script" not in text
    assert "default-src 'none'" in text
    assert re.findall(r'(?:href|src|action)="([^"]*)"', text) == ["data:,"]


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0.5, application/json", True),
        ("text/html;q=0, */*", False),
        ("*/*", False),
        ("text/*", False),
        ("", False),
    ],
)
def test_who_names_html_gets_the_page_and_others_get_text(
    exchanges: Exchanges, accept: str, is_page: bool
) -> None:
    error = ValueError("signal only works in main thread")
    kind, text = page(failed(exchanges, error), error, accept)
    assert kind.startswith("text/html" if is_page else "text/plain")
    assert text.startswith("<!doctype" if is_page else "ValueError: signal only works")
    assert ADVICE.replace("'", "&#39;" if is_page else "'") in text


def test_a_long_recursion_is_cut(shell: InteractiveShell, exchanges: Exchanges) -> None:
    error = raised_by(shell, "def view():\n    return view()")
    _, text = page(failed(exchanges, error), error)
    assert re.search(r"… \d{3,} more calls …", text)
    assert text.count('class="place"') == 40


def test_what_cannot_be_printed_or_goes_in_circles_is_shown_all_the_same(
    exchanges: Exchanges,
) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    first, second = Unprintable(), ValueError("second")
    first.__cause__, second.__context__ = second, first
    _, text = page(failed(exchanges, first), first)
    assert "<h1>Unprintable</h1>" in text
    assert "ValueError: second" in text
