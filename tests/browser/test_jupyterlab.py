"""A lesson in JupyterLab, from the first cell to the app in a tab of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from front_ends import FrontEnd, JupyterServer, Notebook

    OpenNotebook = Callable[[JupyterServer, FrontEnd, list[str]], Notebook]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_line_tells_name_address_routes_and_how_to_stop_and_opens_the_app_in_a_new_tab(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(any_server, "lab", lesson)
    notebook.run_all()
    line = notebook.line(2)
    address = f"{any_server.base_url}flaskserve/demo/"
    expect(notebook.output(2)).to_have_count(2)  # the line and the panels
    expect(line).to_have_text(f"demo: {address} · 3 routes · stop: %flaskserve stop demo")
    here = notebook.page.url

    app = notebook.follow(line.get_by_role("link"))

    assert app.url == f"{any_server.url}flaskserve/demo/"
    expect(app.get_by_role("heading")).to_have_text("Guest book")
    assert notebook.page.url == here
    assert app.evaluate("window.opener") is None


def test_the_apps_own_form_and_links_work_as_they_are_written(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(any_server, "lab", lesson)
    notebook.run_all()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    app.get_by_label("Name").fill("Grace Hopper")
    with app.expect_request(lambda request: request.method == "POST") as sent:
        app.get_by_role("button").click()
    assert sent.value.post_data == "guest=Grace+Hopper"
    expect(app.locator("p")).to_have_text("Grace Hopper")
    assert app.url == f"{any_server.url}flaskserve/demo/"

    app.get_by_role("link", name="About").click()
    expect(app.get_by_role("heading")).to_have_text("About")
    assert app.url == f"{any_server.url}flaskserve/demo/about"
    app.get_by_role("link", name="Back").click()
    expect(app.locator("p")).to_have_text("Grace Hopper")


def test_running_the_cells_again_keeps_the_address_and_serves_the_new_app(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "lab", lesson)
    notebook.run_all()
    line = notebook.line(2).inner_text()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    notebook.write(1, lesson[1].replace("Guest book", "Visitors"))
    notebook.run(1, 4)
    notebook.run(2, 5)

    assert notebook.line(2).inner_text() == line
    app.reload()
    expect(app.get_by_role("heading")).to_have_text("Visitors")


def test_jupyterlab_goes_on_after_the_app_has_set_cookies_of_the_names_that_matter(
    server: JupyterServer, open_notebook: OpenNotebook
) -> None:
    cells = [
        "%load_ext jupyter_flaskserve",
        """\
from flask import Flask, request
app = Flask("cookies")

@app.get("/")
def set_cookies():
    seen = ", ".join(sorted(request.cookies)) or "none"
    return f"<p>{seen}</p>", [
        ("Set-Cookie", "_xsrf=the-apps; Path=/"),
        ("Set-Cookie", "session=the-apps; Path=/"),
    ]
""",
        "%flaskserve app --name cookies",
    ]
    notebook = open_notebook(server, "lab", cells)
    notebook.run_all()
    refused: list[str] = []
    notebook.page.context.on(
        "response",
        lambda answer: refused.append(answer.url) if answer.status in (401, 403) else None,
    )
    app = notebook.follow(notebook.line(2).get_by_role("link"))
    expect(app.locator("p")).to_have_text("none")
    app.reload()
    expect(app.locator("p")).to_have_text("session")

    notebook.edit(0)
    notebook.page.keyboard.type(" ")
    assert notebook.save() == 200
    notebook.run(2, 4)
    notebook.page.reload()
    notebook.wait_for_kernel()

    paths = {(cookie["name"], cookie["path"]) for cookie in notebook.page.context.cookies()}
    assert ("session", "/flaskserve/cookies/") in paths
    assert ("session", "/") not in paths
    assert ("_xsrf", "/") in paths  # Jupyter's own
    assert refused == []


def test_after_a_restart_the_page_says_what_to_run_and_reloads_when_it_was_run(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(any_server, "lab", lesson)
    notebook.run_all()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    notebook.restart()
    answer = app.reload()

    assert answer is not None
    assert answer.status == 503
    expect(app.get_by_role("heading")).to_have_text("demo is not running")
    expect(app.get_by_role("main")).to_contain_text("Lesson.ipynb")

    for cell in range(3):
        notebook.run(cell, cell + 1)
    expect(app.get_by_role("heading")).to_have_text("Guest book")
    assert app.url == f"{any_server.url}flaskserve/demo/"


def test_the_page_after_a_restart_leads_to_the_notebook(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(any_server, "lab", lesson)
    notebook.run_all()
    app = notebook.follow(notebook.line(2).get_by_role("link"))

    notebook.restart()
    app.reload()

    expect(app.get_by_role("heading")).to_have_text("demo is not running")
    to_notebook = app.get_by_role("link", name="Open the notebook")
    assert to_notebook.count() == 1
    assert to_notebook.get_attribute("href") == f"{any_server.base_url}lab/tree/Lesson.ipynb"


def test_a_page_answers_while_a_cell_sleeps(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "lab", [*lesson, "import time; time.sleep(60)"])
    notebook.edit(0)
    for cell in range(3):
        notebook.run(cell, cell + 1)
    app = notebook.follow(notebook.line(2).get_by_role("link"))
    notebook.start(3)
    expect(notebook.prompt(3)).to_have_text("[*]:")

    app.get_by_label("Name").fill("Ada")
    app.get_by_role("button").click()
    expect(app.locator("p")).to_have_text("Ada")
    assert notebook.prompt(3).inner_text() == "[*]:"

    notebook.cells.nth(3).locator(".jp-InputPrompt").click()  # leaves the editor
    notebook.page.keyboard.press("i")
    notebook.page.keyboard.press("i")
    expect(notebook.output(3)).to_contain_text("KeyboardInterrupt")
    app.reload()
    expect(app.locator("p")).to_have_text("Ada")


def test_tab_completes_the_apps_and_the_subcommands(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "lab", [*lesson[:2], "'here'"])
    notebook.run_all()
    notebook.write(2, "%flaskserve ")
    notebook.page.keyboard.press("Tab")

    completer = notebook.page.locator(".jp-Completer")
    items = completer.locator(".jp-Completer-item .jp-Completer-match")
    expect(items.first).to_have_text("app")
    assert items.all_inner_texts()[:4] == ["app", "list", "stop", "serve"]
    notebook.page.keyboard.press("Enter")
    expect(completer).to_be_hidden()
    notebook.page.keyboard.type(" --name demo")
    notebook.run(2, 4)
    expect(notebook.line(2)).to_contain_text("/flaskserve/demo/")

    notebook.write(2, "%flaskserve stop ")
    notebook.page.keyboard.press("Tab")
    expect(items.first).to_have_text("demo")


def test_stopping_is_one_line_and_the_page_then_tells_how_to_serve(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    notebook = open_notebook(server, "lab", lesson)
    notebook.run_all()
    app = notebook.follow(notebook.line(2).get_by_role("link"))
    notebook.write(2, "%flaskserve stop demo")
    notebook.run(2, 4)

    expect(notebook.output(2)).to_have_text("Stopped: demo.")
    answer = app.reload()
    assert answer is not None
    assert answer.status == 404
    expect(app.get_by_role("heading").first).to_have_text("No app is served as demo")


def test_a_cell_can_show_the_app_in_a_frame(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    address = f"{any_server.base_url}flaskserve/demo/"
    show = f"from IPython.display import IFrame; IFrame({address!r}, 600, 200)"
    notebook = open_notebook(any_server, "lab", [*lesson, show])
    notebook.run_all()

    app = notebook.output(3).frame_locator("iframe")
    expect(app.get_by_role("heading")).to_have_text("Guest book")
    app.get_by_label("Name").fill("Ada")
    app.get_by_role("button").click()
    expect(app.locator("p")).to_have_text("Ada")


@pytest.fixture(params=["JupyterLab Light", "JupyterLab Dark"])
def theme(request: pytest.FixtureRequest, server: JupyterServer) -> Iterator[str]:
    """A theme that the person has chosen."""
    server.set_user_settings("themes", theme=request.param)
    yield request.param
    server.set_user_settings("themes")


def test_the_line_is_readable_in_every_theme(
    theme: str,
    server: JupyterServer,
    open_notebook: OpenNotebook,
    lesson: list[str],
    contrast: Callable[[Locator], float],
) -> None:
    notebook = open_notebook(server, "lab", lesson)
    expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    notebook.run_all()
    line = notebook.line(2)

    parts = {
        "name": line.locator("b"),
        "address": line.get_by_role("link"),
        "routes": line.locator("span", has_text=re.compile("routes")),
        "how to stop": line.locator("code"),
    }
    assert {part: contrast(where) for part, where in parts.items() if contrast(where) < 4.5} == {}
