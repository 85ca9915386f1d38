"""Templates and static files that are cells: the store, and the magics that fill it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path

import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jinja2 import TemplateNotFound
from werkzeug.test import TestResponse

from jupyter_flaskserve.kernel.cells import files as cell_files
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchange, Exchanges

pytestmark = pytest.mark.usefixtures("loaded_shell")


@pytest.fixture
def app(tmp_path: Path, shell: InteractiveShell) -> Flask:
    """A notebook's app, with folders beside it."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "static").mkdir()
    app = Flask("__main__", root_path=str(tmp_path))

    @app.get("/<path:name>")
    def show(name: str) -> str:
        return render_template(name, user="Ada")

    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def exchange() -> Exchange:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    return Exchange(1, environ, Exchanges())


@pytest.fixture
def begin() -> Iterator[Callable[[], None]]:
    """Lets the test be a request from here on."""
    running = []

    def begin() -> None:
        running.append(exchange())
        running[-1].__enter__()

    yield begin
    for each in running:
        each.__exit__(None, None, None)


# Templates


def test_a_changed_template_shows_at_once(client: FlaskClient) -> None:
    cell_files.put("template", "hello.html", "Hello {{ user }}!")
    assert client.get("/hello.html").text == "Hello Ada!"
    cell_files.put("template", "hello.html", "Bye {{ user }}!")
    assert client.get("/hello.html").text == "Bye Ada!"


def test_it_shows_at_once_though_debug_mode_was_turned_off(app: Flask, client: FlaskClient) -> None:
    cell_files.put("template", "hello.html", "one")
    assert client.get("/hello.html").text == "one"
    app.debug = False
    cell_files.put("template", "hello.html", "two")
    assert client.get("/hello.html").text == "two"


def test_a_cell_hides_a_file_until_it_is_removed(
    app: Flask, client: FlaskClient, tmp_path: Path
) -> None:
    (tmp_path / "templates" / "hello.html").write_text("file")
    assert client.get("/hello.html").text == "file"
    cell_files.put("template", "hello.html", "cell")
    assert client.get("/hello.html").text == "cell"
    cell_files.remove("template", "hello.html")
    assert client.get("/hello.html").text == "file"
    (tmp_path / "templates" / "hello.html").unlink()
    with pytest.raises(TemplateNotFound), app.test_request_context():
        render_template("hello.html")


def test_cells_and_files_extend_and_include_each_other(client: FlaskClient, tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    cell_files.put("template", "base.html", "<{% block main %}{% endblock %}>")
    (folder / "page.html").write_text("{% extends 'base.html' %}{% block main %}file{% endblock %}")
    (folder / "base2.html").write_text("[{% block main %}{% endblock %}]")
    cell_files.put(
        "template",
        "page2.html",
        "{% extends 'base2.html' %}{% block main %}{% include 'parts/p.html' %}{% endblock %}",
    )
    cell_files.put("template", "parts/p.html", "part")
    assert client.get("/page.html").text == "<file>"
    assert client.get("/page2.html").text == "[part]"
    cell_files.put("template", "base.html", "({% block main %}{% endblock %})")
    (folder / "base2.html").write_text("[[{% block main %}{% endblock %}]]")
    assert client.get("/page.html").text == "(file)"
    assert client.get("/page2.html").text == "[[part]]"


def test_a_changed_file_shows_at_once_as_well(client: FlaskClient, tmp_path: Path) -> None:
    file = tmp_path / "templates" / "a.html"
    file.write_text("one")
    assert client.get("/a.html").text == "one"
    file.write_text("two")
    os.utime(file, (1, 1))
    assert client.get("/a.html").text == "two"


def test_html_is_escaped_as_in_files(client: FlaskClient) -> None:
    cell_files.put("template", "a.html", "{{ '<' }}")
    cell_files.put("template", "a.txt", "{{ '<' }}")
    assert client.get("/a.html").text == "&lt;"
    assert client.get("/a.txt").text == "<"


def test_a_request_that_has_begun_goes_on_with_what_it_saw(
    app: Flask, begin: Callable[[], None]
) -> None:
    cell_files.put("template", "a.html", "old")
    with app.test_request_context():
        begin()
        assert render_template("a.html") == "old"
        cell_files.put("template", "a.html", "new")
        assert render_template("a.html") == "old"


def test_what_an_older_request_loads_does_not_stay(app: Flask, begin: Callable[[], None]) -> None:
    cell_files.put("template", "a.html", "old")
    cell_files.put("template", "b.html", "b")

    def another() -> str:
        with exchange(), app.test_request_context():
            return render_template("a.html")

    assert Context().run(another) == "old"
    begin()
    with app.test_request_context():
        render_template("b.html")
        cell_files.put("template", "a.html", "new")
        assert render_template("a.html") == "old"
    assert Context().run(another) == "new"


def test_a_traceback_shows_the_templates_line(app: Flask) -> None:
    cell_files.put("template", "a.html", "<p>\n{{ 1 / 0 }}\n</p>")
    with app.test_request_context(), pytest.raises(ZeroDivisionError) as caught:
        render_template("a.html")
    text = "".join(traceback.format_exception(caught.value))
    assert 'File "%%template a.html", line 2' in text
    assert "{{ 1 / 0 }}" in text


def test_the_loader_lists_cells_and_files(app: Flask, tmp_path: Path) -> None:
    (tmp_path / "templates" / "file.html").write_text("file")
    cell_files.put("template", "cell.html", "cell")
    assert app.jinja_env.list_templates() == ["cell.html", "file.html"]


def test_each_change_makes_another_state_and_nothing_else_does(client: FlaskClient) -> None:
    states = [cell_files.state()]
    cell_files.put("template", "a.html", "")
    states.append(cell_files.state())
    cell_files.put("static", "a.css", "")
    states.append(cell_files.state())
    client.get("/a.html")
    client.get("/static/a.css")
    assert cell_files.state() is states[-1]
    cell_files.remove("static", "a.css")
    states.append(cell_files.state())
    cell_files.put("template", "a.html", "")
    states.append(cell_files.state())
    assert len({id(state) for state in states}) == 5


# Static files


def test_a_static_cell_has_a_type_and_answers_conditional_requests(client: FlaskClient) -> None:
    cell_files.put("static", "css/style.css", "p { color: red }  /* é */\n")
    first = client.get("/static/css/style.css")
    assert first.status_code == 200
    assert first.text == "p { color: red }  /* é */\n"
    assert first.content_type == "text/css; charset=utf-8"
    assert first.content_length == len(first.data)
    same = client.get("/static/css/style.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    part = client.get("/static/css/style.css", headers={"Range": "bytes=0-0"})
    assert (part.status_code, part.data) == (206, b"p")


def test_a_changed_static_cell_has_another_etag(client: FlaskClient) -> None:
    cell_files.put("static", "a.js", "1")
    tag = client.get("/static/a.js").headers["ETag"]
    cell_files.put("static", "a.js", "2")
    again = client.get("/static/a.js", headers={"If-None-Match": tag})
    assert (again.status_code, again.text) == (200, "2")


def test_a_static_cell_hides_a_file(client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "static" / "a.css").write_text("file")

    def text() -> str:
        response: TestResponse = client.get("/static/a.css")
        with response:
            return response.text

    assert text() == "file"
    cell_files.put("static", "a.css", "cell")
    assert text() == "cell"
    cell_files.remove("static", "a.css")
    assert text() == "file"


@pytest.mark.parametrize(
    "name", ["", "/a.html", "../a.html", "a/../b.html", "a\\b.html", "a//b", "a/", "./a", "a\0b"]
)
def test_a_name_that_no_file_in_a_folder_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        cell_files.put("template", name, "")
    assert cell_files.texts("template") == {}


# The magics


@pytest.fixture
def says(shell: InteractiveShell) -> Callable[[str], str]:
    """What a cell prints, or the user's mistake that it fails on."""

    def says(cell: str) -> str:
        with capture_output() as shown:
            result = shell.run_cell(cell)
        error = result.error_in_exec
        if error is not None:
            assert type(error) is UsageError, error
            return f"UsageError: {error}"
        result.raise_error()
        return str(shown.stdout).rstrip("\n")

    return says


def test_the_rest_of_the_cell_is_the_template(
    says: Callable[[str], str], shell: InteractiveShell, app: Flask
) -> None:
    assert says("%%template hello.html\n<p>\n{{ user }} $HOME {user}\n") == "hello.html: 2 lines"
    assert cell_files.texts("template") == {"hello.html": "<p>\n{{ user }} $HOME {user}\n"}
    shell.user_ns["app"] = app
    assert says("%%template hello.html\nhello\n") == "hello.html: 1 line, used by app"
    assert says("%%static a/b.css\nabc\n") == "a/b.css: 4 bytes, used by app"
    assert cell_files.texts("static") == {"a/b.css": "abc\n"}


def test_it_says_which_file_a_cell_hides(
    says: Callable[[str], str], shell: InteractiveShell, app: Flask, tmp_path: Path
) -> None:
    shell.user_ns["app"] = app
    (tmp_path / "templates" / "a.html").write_text("file")
    said = says("%%template a.html\ncell\n")
    assert said == "a.html: 1 line, used by app, hides the file templates/a.html"
    says("%%template other.html\none\ntwo\n")
    assert says("%template").splitlines() == [
        "a.html      1 line  hides the file templates/a.html",
        "other.html  2 lines",
    ]


def test_a_template_with_an_error_is_one_line_and_the_earlier_one_stays(
    says: Callable[[str], str], client: FlaskClient
) -> None:
    broken = "%%template a.html\n<p>\n{% if %}\n"
    said = says(broken)
    assert said == (
        "UsageError: a.html, line 2: Expected an expression, got 'end of statement block'."
    )
    says("%%template a.html\nfine\n")
    assert says(broken).endswith("block'. The earlier version stays in use.")
    assert client.get("/a.html").text == "fine"


def test_an_apps_own_delimiters_are_its_templates_syntax(
    says: Callable[[str], str], shell: InteractiveShell, app: Flask
) -> None:
    app.jinja_options = {"block_start_string": "<%", "block_end_string": "%>"}
    shell.user_ns["app"] = app
    assert says("%%template a.html\n{% nothing %}\n").startswith("a.html: 1 line")
    assert says("%%template a.html\n<% nothing %>\n").startswith("UsageError: a.html, line 1")
    assert "jinja_env" not in vars(app)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%template\nx", "UsageError: Which name? Write it in the first line: %%template hello"),
        ("%%static\nx", "UsageError: Which name? Write it in the first line: %%static style.css"),
        ("%template a.html", "UsageError: %template a.html has no text. Write %%template a.html"),
        ("%%template a b\nx", "UsageError: %%template takes one name."),
        ("%%template ../a\nx", "UsageError: The name '../a' leads out of its folder; leave out"),
        ("%%template a\\b\nx", "UsageError: A name has no backslash: write /"),
        ("%%template /a\nx", "UsageError: The name '/a' starts with a slash; leave it out"),
        ("%template --delete a", "UsageError: There is no option --delete. There is --remove."),
        ("%template --remove a", "UsageError: No cell is the template a. There is none at all."),
        ("%%template --remove a\nx", "UsageError: To remove it: %template --remove a"),
        ("%template", "No cell is a template yet. To make one, begin a cell with %%template h"),
        ("%static", "No cell is a static file yet. To make one, begin a cell with %%static st"),
        ("%template -h", "Make a cell a template of the notebook's apps."),
    ],
)
def test_a_mistake_is_one_clear_line(says: Callable[[str], str], cell: str, said: str) -> None:
    assert says(cell).startswith(said)
    assert cell_files.texts("template") == {}


def test_remove_forgets_a_file(says: Callable[[str], str]) -> None:
    says("%%static a.css\nx")
    assert says("%static --remove a.css") == "Removed: a.css"
    assert cell_files.texts("static") == {}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("%%template us", "ers/list.html"),
        ("%template --remove us", "ers/list.html"),
        ("%%static st", "yle.css"),
        ("return render_template('users/", "list.html"),
        ('x = render_template( "fi', "le.html"),
        ('{% extends "fi', "le.html"),
        ("url_for('static', filename='st", "yle.css"),
    ],
)
def test_names_are_completed(
    shell: InteractiveShell,
    app: Flask,
    tmp_path: Path,
    complete: Callable[[str], list[str]],
    text: str,
    offered: str,
) -> None:
    shell.user_ns["app"] = app
    (tmp_path / "templates" / "file.html").write_text("file")
    cell_files.put("template", "users/list.html", "")
    cell_files.put("static", "style.css", "")
    assert complete(text) == [text + offered]


def test_other_places_are_completed_as_before(complete: Callable[[str], list[str]]) -> None:
    cell_files.put("template", "abs.html", "")
    assert "abs" in complete("ab")
    assert not any("abs.html" in offer for offer in complete("ab") + complete("print('ab"))
