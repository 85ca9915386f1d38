"""The same lesson in Notebook 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from front_ends import FrontEnd, JupyterServer, Notebook

    OpenNotebook = Callable[[JupyterServer, FrontEnd, list[str]], Notebook]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_line_opens_the_app_in_a_new_tab_and_its_form_works(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(any_server, "notebook", lesson)
    notebook.run_all()
    line = notebook.line(2)
    address = f"{any_server.base_url}flaskserve/demo/"
    expect(notebook.output(2)).to_have_count(2)  # the line and the panels
    expect(line).to_have_text(f"demo: {address} · 3 routes · stop: %flaskserve stop demo")
    here = notebook.page.url

    app = notebook.follow(line.get_by_role("link"))

    assert app.url == f"{any_server.url}flaskserve/demo/"
    assert notebook.page.url == here
    app.get_by_label("Name").fill("Grace Hopper")
    app.get_by_role("button").click()
    expect(app.locator("p")).to_have_text("Grace Hopper")
    assert notebook.save() == 200


def test_after_a_restart_the_page_reloads_when_the_cells_were_run(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "notebook", lesson)
    notebook.run_all()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    notebook.restart()
    app.reload()
    expect(app.get_by_role("heading")).to_have_text("demo is not running")

    for cell in range(3):
        notebook.run(cell, cell + 1)
    expect(app.get_by_role("heading")).to_have_text("Guest book")


def test_the_line_of_a_saved_notebook_still_opens_the_app(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "notebook", lesson)
    notebook.run_all()
    assert notebook.save() == 200

    notebook.page.reload()
    notebook.wait_for_kernel()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    expect(app.get_by_role("heading")).to_have_text("Guest book")


def test_tab_completes_the_apps(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "notebook", [*lesson[:2], "'here'"])
    notebook.run_all()
    notebook.write(2, "%flaskserve ")
    notebook.page.keyboard.press("Tab")

    items = notebook.page.locator(".jp-Completer-item .jp-Completer-match")
    expect(items.first).to_have_text("app")
