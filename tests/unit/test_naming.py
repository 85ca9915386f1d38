"""Default names of mounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_flaskserve.kernel.naming import default_name, notebook_path
from jupyter_flaskserve.records import is_name


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Set, or take away, what the server tells a kernel about its session."""

    def set_session(path: str | None) -> None:
        if path is None:
            monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
        else:
            monkeypatch.setenv("JPY_SESSION_NAME", path)

    return set_session


def test_the_notebook_is_the_one_that_the_server_names(
    session: Callable[[str | None], None],
) -> None:
    session("/home/ada/Lesson 2.ipynb")
    assert notebook_path() == "/home/ada/Lesson 2.ipynb"
    assert notebook_path({"app": 1}) == "/home/ada/Lesson 2.ipynb"


def test_the_ending_may_be_in_capitals(session: Callable[[str | None], None]) -> None:
    session("/home/ada/LOUD.IPYNB")
    assert notebook_path() == "/home/ada/LOUD.IPYNB"


def test_the_editors_word_comes_before_the_servers(session: Callable[[str | None], None]) -> None:
    session("/tmp/made-up.ipynb")
    assert notebook_path({"__vsc_ipynb_file__": "/home/ada/a.ipynb"}) == "/home/ada/a.ipynb"


def test_a_console_has_no_notebook(session: Callable[[str | None], None]) -> None:
    session("/home/ada/Console 1")
    assert notebook_path() == ""


def test_a_kernel_that_was_told_nothing_has_no_notebook(
    session: Callable[[str | None], None],
) -> None:
    session(None)
    assert notebook_path() == ""
    assert notebook_path({}) == ""


@pytest.mark.parametrize("value", [None, 3, "/home/ada/script.py", Path("/home/ada/a.ipynb")])
def test_what_is_not_the_path_of_a_notebook_is_ignored(
    session: Callable[[str | None], None], value: object
) -> None:
    session("/home/ada/b.ipynb")
    assert notebook_path({"__vsc_ipynb_file__": value}) == "/home/ada/b.ipynb"


@pytest.mark.parametrize(
    ("notebook", "name"),
    [
        ("/home/ada/Lesson 2.ipynb", "lesson-2"),
        ("Lesson 2.ipynb", "lesson-2"),
        ("/home/ada/LOUD.IPYNB", "loud"),
        (r"c:\Users\ada\Lesson 2.ipynb", "lesson-2"),
        ("/home/ada/01.ipynb", "01"),
        ("/home/ada/v1.2 (copy).ipynb", "v1-2-copy"),
        ("Übung.ipynb", "ubung"),
        ("U\u0308bung.ipynb", "ubung"),  # as macOS writes it
        ("Straße.ipynb", "strasse"),
        ("Smørrebrød.ipynb", "smorrebrod"),
        ("Łódź 3.ipynb", "lodz-3"),
        ("課題 flask.ipynb", "flask"),
        ("ﬁrst.ipynb", "first"),
        ("Ｆｌａｓｋ.ipynb", "flask"),  # noqa: RUF001
        ("x" * 100 + ".ipynb", "x" * 63),
    ],
)
def test_the_notebooks_name_becomes_a_label(notebook: str, name: str) -> None:
    assert default_name("app", notebook, ()) == name


@pytest.mark.parametrize("notebook", ["", "課題.ipynb", "課題 2.ipynb", "!!!.ipynb", ".ipynb"])
def test_without_a_notebooks_name_it_is_the_variables(notebook: str) -> None:
    assert default_name("shop", notebook, ()) == "shop"


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("my_shop", "my-shop"),
        ("course.app", "course-app"),
        ("_App", "app"),
        ("größe", "grosse"),
        ("__", "app"),
        ("приложение", "app"),
        (None, "app"),
    ],
)
def test_the_variables_name_becomes_a_label_too(variable: str | None, name: str) -> None:
    assert default_name(variable, "", ()) == name


def test_a_second_app_of_a_notebook_adds_its_variable() -> None:
    assert default_name("admin", "Lesson 2.ipynb", {"lesson-2"}) == "lesson-2-admin"


def test_further_ones_are_numbered() -> None:
    held = ["lesson-2", "lesson-2-admin"]
    assert default_name("admin", "Lesson 2.ipynb", held) == "lesson-2-admin-2"
    held.append("lesson-2-admin-2")
    assert default_name("admin", "Lesson 2.ipynb", held) == "lesson-2-admin-3"


def test_without_a_variable_they_are_numbered_at_once() -> None:
    assert default_name(None, "Lesson 2.ipynb", {"lesson-2"}) == "lesson-2-2"


def test_without_a_notebook_they_are_numbered_at_once() -> None:
    assert default_name("app", "", {"app"}) == "app-2"


def test_long_names_are_shortened_and_keep_their_ending() -> None:
    first = default_name("admin", "x" * 100 + ".ipynb", ())
    second = default_name("admin", "x" * 100 + ".ipynb", {first})
    third = default_name("admin", "x" * 100 + ".ipynb", {first, second})
    assert second == "x" * 57 + "-admin"
    assert third == "x" * 55 + "-admin-2"


def test_a_long_variable_leaves_something_of_the_notebook() -> None:
    assert default_name("y" * 80, "notes.ipynb", {"notes"}) == "notes-" + "y" * 31


def test_a_name_that_is_cut_does_not_end_in_a_hyphen() -> None:
    assert default_name("a", "x" * 60 + " bc.ipynb", {"x" * 60 + "-bc"}) == "x" * 60 + "-a"
    assert default_name("y" * 30 + "_z", "notes.ipynb", {"notes"}) == "notes-" + "y" * 30


@given(st.text(), st.one_of(st.none(), st.text()), st.integers(min_value=0, max_value=12))
def test_every_name_is_valid_and_free(notebook: str, variable: str | None, others: int) -> None:
    held: list[str] = []
    for _ in range(others + 1):
        name = default_name(variable, f"{notebook}.ipynb", held)
        assert is_name(name), name
        assert name not in held
        held.append(name)
