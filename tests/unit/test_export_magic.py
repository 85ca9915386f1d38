"""``%flaskserve export`` in a running notebook."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from exported_notebooks import quick_metadata
from IPython.core.interactiveshell import InteractiveShell

from jupyter_flaskserve.kernel.cells.sources import running_notebook

__all__ = ["quick_metadata"]  # a fixture

Run = Callable[..., str]

APP = "from flask import Flask\napp = Flask(__name__)"
HOME = "@app.route('/')\ndef home():\n    return word"


@pytest.fixture
def run(loaded_shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a cell, which may have an id, and gives what it prints."""

    def run_cell(source: str, cell_id: str | None = None) -> str:
        loaded_shell.run_cell(source, store_history=True, cell_id=cell_id)
        captured = capsys.readouterr()
        return captured.out + captured.err

    return run_cell


def flat(said: str) -> str:
    """What was said, without the progress before it and in one line."""
    return " ".join(said.rpartition("UsageError: ")[2].split())


def app_text(folder: str = "notebook-project") -> str:
    return (Path(folder) / "app.py").read_text()


def test_it_exports_the_cells_as_they_ran_last(run: Run) -> None:
    run(APP, "a")
    run(HOME, "b")
    run("word = 'first'", "c")
    run("word = 'second'", "c")
    run("word = 'third'; 1 / 0", "c")
    said = run("%flaskserve export")
    assert "Exported app to notebook-project" in said
    assert "word = 'second'" in app_text()
    assert "first" not in app_text()
    assert "third" not in app_text()


def test_a_cell_that_runs_again_keeps_its_place(run: Run, loaded_shell: InteractiveShell) -> None:
    run("x = 1", "a")
    run("y = x", "b")
    run("x = 2", "a")
    cells = running_notebook(loaded_shell).cells
    assert [(cell.number, cell.source) for cell in cells] == [(3, "x = 2"), (2, "y = x")]


def test_the_saved_notebook_tells_the_order(
    run: Run, loaded_shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/shop.ipynb")
    cells = [{"id": name} for name in ("a", "b", "c")]
    Path("shop.ipynb").write_text(json.dumps({"cells": cells}))
    for name in ("c", "a", "new", "b"):
        run(f"{name} = 1", name)
    notebook = running_notebook(loaded_shell)
    assert notebook.name == "shop"
    assert [cell.source[0] for cell in notebook.cells] == ["a", "n", "b", "c"]


def test_cells_that_ran_before_the_extension_was_loaded_count(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    for source in (APP, "%load_ext jupyter_flaskserve", "word = 1", HOME, APP):
        # Of the first one the id is known when it runs again only.
        shell.run_cell(source, store_history=True, cell_id=source)
    notebook = running_notebook(shell)
    assert [cell.source for cell in notebook.cells[:1]] == [APP]
    assert [cell.source for cell in notebook.cells].count(APP) == 1
    shell.run_cell("%flaskserve export")
    assert "Exported app" in capsys.readouterr().out
    shell.run_line_magic("unload_ext", "jupyter_flaskserve")


def test_the_cell_that_exports_counts_too(run: Run) -> None:
    run(f"{APP}\nword = 'here'\n{HOME}\n%flaskserve export")
    assert "word = 'here'" in app_text()


def test_what_a_kernel_adds_to_the_builtins_is_imported(run: Run) -> None:
    assert hasattr(builtins, "display")
    run(f"{APP}\n{HOME}\nword = display('x') or 'y'")
    run("%flaskserve export")
    assert "from IPython.display import display\n" in app_text()


def test_the_folder_and_the_app_can_be_chosen(run: Run) -> None:
    run(f"{APP}\nshop = Flask('shop')")
    assert "Exported shop to elsewhere/x" in run("%flaskserve export shop -o elsewhere/x")
    assert "shop = Flask" in app_text("elsewhere/x")
    assert "Exported shop" in run("%flaskserve export --app shop -o elsewhere/y")


def test_a_value_that_only_an_experiment_left_is_refused_with_the_cell(run: Run) -> None:
    run(APP)
    run(HOME)
    run("globals()['word'] = 'left behind'")
    said = run("%flaskserve export")
    assert "Cell 2 (@app.route('/')) uses word, which no cell makes any more." in flat(said)
    assert not Path("notebook-project").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nope", "There is no variable nope. The apps here are: app."),
        ("app more", "takes one variable, and -o DIR for the folder"),
        ("--al-cells", "There is no option --al-cells. Did you mean --all-cells?"),
        ("-o", "expected one argument"),
    ],
)
def test_what_will_not_do_is_said(run: Run, line: str, message: str) -> None:
    run(APP)
    assert message in run(f"%flaskserve export {line}")


def test_without_an_app_it_says_so(run: Run) -> None:
    assert "There is no app yet." in run("%flaskserve export")


def test_of_several_apps_it_asks_which(run: Run) -> None:
    run("from flask import Flask\na = Flask('a')\nb = Flask('b')")
    assert "Which one? There are a, b: %flaskserve export a" in run("%flaskserve export")


def test_help_and_completion_know_it(run: Run, complete: Callable[[str], list[str]]) -> None:
    run(APP)
    assert "%flaskserve export -o ../shop" in run("%flaskserve export -h")
    assert complete("%flaskserve exp") == ["%flaskserve export"]
    assert "%flaskserve export app" in complete("%flaskserve export ")
    assert complete("%flaskserve export --all") == ["%flaskserve export --all-cells"]
