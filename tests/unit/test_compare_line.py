"""``%flaskserve compare`` in a shell: what it takes, what it says, and the table it returns."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jupyter_flaskserve import compare, running
from jupyter_flaskserve.comparison.cell import Cell
from jupyter_flaskserve.comparison.comparison import Comparison, Row
from jupyter_flaskserve.comparison.contenders import CONTENDERS, CannotCompare, nginx
from jupyter_flaskserve.comparison.load import read_response
from jupyter_flaskserve.comparison.probes import COLUMNS
from jupyter_flaskserve.comparison.processes import NotStarted, Workshop
from jupyter_flaskserve.comparison.project import NotExported, Project
from jupyter_flaskserve.comparison.throughput import Throughput
from jupyter_flaskserve.comparison.wire import Address
from jupyter_flaskserve.export import Cell as Source
from jupyter_flaskserve.export import Notebook, export
from jupyter_flaskserve.widgets.compare import ComparePanel

CELL = """
from flask import Flask
app = Flask("lesson")

@app.get("/")
def home():
    print("somebody calls")
    return "hello"
"""


@pytest.fixture
def lesson(loaded_shell: InteractiveShell) -> InteractiveShell:
    loaded_shell.run_cell(CELL, store_history=True)
    return loaded_shell


def line(shell: InteractiveShell, text: str) -> Any:
    return shell.run_line_magic("flaskserve", f"compare {text}")


def test_the_table_is_returned(
    lesson: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    lesson.run_cell("found = %flaskserve compare app --only by-hand --seconds 0")
    found = lesson.user_ns["found"]
    assert list(found) == ["by-hand"]
    assert set(found["by-hand"].cells) == {column.key for column in COLUMNS}
    assert "somebody calls" not in capsys.readouterr().out


def test_the_only_app_need_not_be_named(lesson: InteractiveShell) -> None:
    assert len(line(lesson, "--only by-hand --seconds 0")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aap", "There is no variable aap. Did you mean: %flaskserve app"),
        ("app app", "'app' is one word too many."),
        ("app --only ngnix", "There is no server 'ngnix'. Did you mean nginx?"),
        ("app --only iis", "There is no server 'iis'. There is by-hand, flask,"),
        ("app --ony nginx", "There is no option --ony. Did you mean --only?"),
        ("app --seconds soon", "'soon' is not a number of seconds from 0 to 60"),
        ("app --seconds 61", "'61' is not a number of seconds from 0 to 60"),
        ("app --connections 0", "'0' is not a number from 1 to 256"),
        ("app --path users", "'users' is not a path: it begins with / and has no spaces"),
        ("number", "number is of type int, not an app."),
    ],
)
def test_a_mistake_is_one_line(lesson: InteractiveShell, text: str, said: str) -> None:
    lesson.user_ns["number"] = 3
    with pytest.raises(UsageError) as raised:
        line(lesson, text)
    assert said in str(raised.value)


def test_without_an_app_it_says_what_to_do(loaded_shell: InteractiveShell) -> None:
    with pytest.raises(UsageError, match="There is no app yet"):
        line(loaded_shell, "")


def test_several_apps_are_named(lesson: InteractiveShell) -> None:
    lesson.run_cell("other = Flask('other')")
    with pytest.raises(UsageError, match=r"Which app\? The apps here are: app, other\."):
        line(lesson, "")


def test_an_interrupt_is_said_in_one_line(
    lesson: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CONTENDERS["by-hand"], "start", interrupt)
    with pytest.raises(UsageError, match="All that it had started has been stopped"):
        line(lesson, "app --only by-hand")


def test_help_is_shown(lesson: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    line(lesson, "-h")
    assert "--no-widget" in capsys.readouterr().out


def test_servers_are_completed(
    lesson: InteractiveShell, complete: Callable[[str], list[str]]
) -> None:
    assert complete("%flaskserve comp") == ["%flaskserve compare"]
    assert complete("%flaskserve compare a") == ["%flaskserve compare app"]
    assert complete("%flaskserve compare app --on") == ["%flaskserve compare app --only"]
    assert complete("%flaskserve compare app --only wa") == [
        "%flaskserve compare app --only waitress"
    ]
    assert complete("%flaskserve compare app --only nginx,ng") == [
        "%flaskserve compare app --only nginx,nginx-kernel"
    ]


def test_an_app_that_cannot_be_exported_leaves_the_others(lesson: InteractiveShell) -> None:
    lesson.user_ns["found"] = Flask("made in no cell")
    rows = line(lesson, "found --only by-hand,flask --seconds 0")
    assert not rows["by-hand"].remark
    assert "the app cannot be exported" in rows["flask"].remark


def test_a_server_that_is_not_installed_is_a_row_that_says_how(
    lesson: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nginx, "find_program", lambda *names: None)
    rows = line(lesson, "app --only by-hand,nginx-kernel --seconds 0")
    assert rows["nginx-kernel"].install == "apt-get install nginx"
    assert "not installed: apt-get install nginx" in str(rows)
    assert "not installed: apt-get install nginx" in rows._repr_html_()


def test_python_can_ask_for_what_does_not_exist() -> None:
    with pytest.raises(CannotCompare, match="There is no server 'iis'"):
        compare(Flask("x"), only=["iis"])


def test_a_project_that_cannot_be_written_is_a_row_that_says_why(tmp_path: Path) -> None:
    def refuse(directory: Path) -> Project:
        raise NotExported("today is Sunday")

    rows = compare(Flask("x"), only=["flask"], write_project=refuse)
    assert rows["flask"].problem == "today is Sunday"


def test_an_app_that_raises_is_compared_all_the_same() -> None:
    def app(environ: object, start_response: object) -> list[bytes]:
        raise RuntimeError("nobody is at home")

    row = compare(app, only=["by-hand"], seconds=0.1)["by-hand"]
    assert len(row.cells) == len(COLUMNS)
    assert row.passage is None
    assert row.throughput is not None
    assert (row.throughput.path, row.throughput.failed) == ("", 0)


def test_servers_are_not_told_what_lets_one_into_jupyter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret word")
    monkeypatch.setenv("OF_THE_APP", "its own")
    code = "import os; print(dict(os.environ))"
    with Workshop() as workshop:
        process = workshop.start(
            [sys.executable, "-c", code],
            directory=workshop.directory,
            name="x",
            environment={"MORE": "words"},
        )
        process.reap(20)
        said = (workshop.directory / "x.out").read_text()
    assert "'OF_THE_APP': 'its own'" in said
    assert "'MORE': 'words'" in said
    assert "secret word" not in said


# One server


def test_one_server_runs_for_as_long_as_one_talks_to_it(lesson: InteractiveShell) -> None:
    with running(lesson.user_ns["app"], "flask") as server:
        assert (server.get("/").status, server.get("/").text) == (200, "hello")
        assert server.get("/nowhere").status == 404
        assert "run_simple" in server.configuration["serve.py"]
    with pytest.raises(OSError, match="refused"):
        server.get("/")


def test_an_app_is_called_by_hand_in_the_same_way(lesson: InteractiveShell) -> None:
    with running(lesson.user_ns["app"], "by-hand") as nobody:
        assert nobody.get("/").text == "hello"


def test_one_server_that_cannot_run_says_why(
    lesson: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = lesson.user_ns["app"]
    monkeypatch.setattr(nginx, "find_program", lambda *names: None)
    for key, kind, said in [
        ("iis", CannotCompare, "There is no server 'iis'"),
        ("nginx-kernel", NotStarted, "is not installed: apt-get install nginx"),
    ]:
        with pytest.raises(kind, match=said), running(app, key):
            pass


def test_a_server_that_ends_as_it_starts_is_known_by_its_last_words() -> None:
    def broken(directory: Path) -> Project:
        directory.mkdir()
        (directory / "wsgi.py").write_text("raise RuntimeError('not on a Sunday')")
        return Project({}, None)

    row = compare(Flask("x"), only=["flask"], write_project=broken)["flask"]
    assert "ended with status 1" in row.problem
    assert "RuntimeError: not on a Sunday" in row.problem


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", ("static", "/static")),
        (', static_folder="assets"', ("assets", "/assets")),
        (', static_folder="assets", static_url_path="/files"', ("assets", "/files")),
        (', static_url_path=""', None),
        (", static_folder=None", None),
        (', static_folder="/srv/x"', None),
    ],
)
def test_servers_are_told_of_static_files_as_the_app_says_or_not_at_all(
    tmp_path: Path, options: str, told: tuple[str, str] | None
) -> None:
    source = f"from flask import Flask\napp = Flask(__name__{options})"
    notebook = Notebook("lesson", tmp_path, [Source(1, source)])
    folders = export(notebook, tmp_path / "out").folders
    assert (folders and (folders.static, folders.static_url)) == told


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_load_waits_for_no_body_where_there_is_none(status: str) -> None:
    async def read() -> tuple[int, bool]:
        reader = asyncio.StreamReader()
        reader.feed_data(f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n\r\n".encode())
        return await asyncio.wait_for(read_response(reader), 10)  # the connection stays open

    assert asyncio.run(read()) == (int(status.split()[0]), True)


# The table


@pytest.fixture
def table() -> Comparison:
    row = Row("nginx", "nginx <b>", CONTENDERS["nginx"].places)
    row.cells = {"tls": Cell("yes", 'the "<script>" said & did')}
    row.throughput = Throughput("/", 1234.5, 0.001, 1234, 0, 8)
    row.configuration["nginx.conf"] = "listen 127.0.0.1:1;</pre><script>"
    missing = Row(
        "apache", "Apache", CONTENDERS["apache"].places, install="apt-get install apache2"
    )
    return Comparison([row, missing], "/")


def test_what_was_found_is_no_markup(table: Comparison) -> None:
    page = table._repr_html_()
    assert "<script" not in page
    assert "nginx <b>" not in page
    assert "&lt;script&gt;" in page
    assert "said &amp; did" in page


def test_the_table_is_a_frame(table: Comparison) -> None:
    frame = table.to_frame()
    assert list(frame.index) == ["nginx <b>", "Apache"]
    assert frame.loc["nginx <b>", "TLS"] == "yes"
    assert frame.loc["nginx <b>", "Requests/s"] == 1234.5
    assert frame.loc["Apache", "Remark"] == "not installed: apt-get install apache2"


def test_the_table_is_text_with_its_evidence(table: Comparison) -> None:
    text = str(table)
    assert "1,234" in text
    assert 'TLS: yes. the "<script>" said & did' in text
    with pytest.raises(KeyError):
        table["iis"]


def test_a_row_tells_one_thing_in_words(table: Comparison) -> None:
    assert table["nginx"].tell("tls") == 'nginx <b>: yes. the "<script>" said & did'
    assert table["nginx"].tell("static") == "nginx <b>: not measured"
    assert table["apache"].tell("tls") == "Apache: not installed: apt-get install apache2"


def test_all_of_it_can_be_json(table: Comparison) -> None:
    found = json.loads(json.dumps(table.as_json()))
    assert found["rows"][0]["cells"]["tls"]["state"] == "yes"
    assert found["rows"][0]["places"][0]["title"] == "Browser"


def test_what_lets_a_request_in_is_not_shown() -> None:
    assert "word" not in repr(Address(1, headers=(("Authorization", "token word"),)))


def test_a_table_that_its_cell_shows_is_not_shown_twice(
    lesson: InteractiveShell, table: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    table.shown_in = lesson.execution_count
    table._ipython_display_()
    assert capsys.readouterr().out == ""
    table.shown_in = lesson.execution_count - 1
    table._ipython_display_()
    assert "nginx <b>" in capsys.readouterr().out


# In a notebook


@pytest.fixture
def notebook(lesson: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    """A shell that says it is a notebook's."""
    monkeypatch.setattr("jupyter_flaskserve.kernel.magics.compare.is_notebook", lambda: True)
    return lesson


def test_a_plain_table_is_shown_where_widgets_cannot_be(
    notebook: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_flaskserve.widgets.compare", None)
    line(notebook, "app --only by-hand --seconds 0")
    assert "Called by hand, no server" in capsys.readouterr().out


def test_the_widget_grows_and_ends(
    notebook: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[dict[str, Any]] = []
    made: list[ComparePanel] = []

    class Watched(ComparePanel):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)
            self.observe(lambda change: steps.append(change["new"]), "step")

    monkeypatch.setattr("jupyter_flaskserve.widgets.compare.ComparePanel", Watched)
    rows = line(notebook, "app --only by-hand --seconds 0")
    (panel,) = made
    assert [step["what"] for step in steps if step][:2] == ["starting", "one request"]
    assert (panel.step, panel.remark) == ({}, "")
    assert panel.comparison == rows.as_json()
    assert rows.shown_in == notebook.execution_count


def test_the_widget_says_that_it_was_interrupted(table: Comparison) -> None:
    panel = table.panel()
    panel.end("The comparison was interrupted.")
    assert panel.remark == "The comparison was interrupted."
    assert panel.comparison["rows"][1]["install"] == "apt-get install apache2"
    data, _ = panel._repr_mimebundle_()
    assert data["text/plain"] == "Servers compared. Run this cell to see it live."
