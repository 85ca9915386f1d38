"""Live reload: an open page of an app follows the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from front_ends import JupyterServer
    from jupyter_processes import Kernel

pytestmark = pytest.mark.timeout(300)

APP = """
from flask import Flask, request
app = Flask(__name__)
greeting = "Hello"

@app.get("/")
def page():
    return f"<h1>{greeting}</h1><p style='height: 5000px'>tall</p>"

@app.route("/form", methods=["GET", "POST"])
def form():
    return f"<h1>{greeting} {request.method}</h1><form method=post><button>Send</button></form>"
"""


@pytest.fixture
def served(any_server: JupyterServer) -> Kernel:
    """A kernel that serves the app as ``demo`` with live reload."""
    kernel = any_server.kernel("Lesson 1.ipynb")
    kernel.run("%load_ext jupyter_flaskserve")
    kernel.run(APP)
    kernel.run("%flaskserve app --name demo --reload")
    return kernel


def open_app(page: Page, server: JupyterServer, path: str = "") -> list[str]:
    """Open a page of the app in a browser that is logged in; returns what the page complains of,
    as it comes."""
    page.goto(f"{server.url}flaskserve/?token={server.token}")
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" else None,
    )
    with page.expect_response(lambda answer: "/api/flaskserve/mounts/demo" in answer.url):
        page.goto(f"{server.url}flaskserve/demo/{path}")
    return complaints


def test_a_cell_that_changes_a_variable_shows_in_the_open_page_where_it_was_scrolled_to(
    page: Page, any_server: JupyterServer, served: Kernel
) -> None:
    complaints = open_app(page, any_server)
    expect(page.locator("h1")).to_have_text("Hello")
    page.evaluate("scrollTo(0, 1500)")
    served.run("greeting = 'Hi'")
    expect(page.locator("h1")).to_have_text("Hi")
    page.wait_for_function("scrollY === 1500")
    served.run("@app.get('/more')\ndef more():\n    return 'more'")
    served.run("greeting = 'Hey'")
    expect(page.locator("h1")).to_have_text("Hey")
    assert [text for text in complaints if "favicon" not in text] == []


def test_a_cell_that_has_nothing_to_do_with_the_app_leaves_the_page_alone(
    page: Page, any_server: JupyterServer, served: Kernel
) -> None:
    open_app(page, any_server)
    page.evaluate("window.kept = true")
    served.run("other = 1")
    for _ in range(3):
        page.wait_for_event("response", lambda answer: "/api/flaskserve/mounts/demo" in answer.url)
    assert page.evaluate("window.kept")


def test_a_restarted_kernel_shows_in_the_open_page(
    page: Page, any_server: JupyterServer, served: Kernel
) -> None:
    complaints = open_app(page, any_server)
    served.restart()
    served.run("%load_ext jupyter_flaskserve")
    served.run(APP.replace("Hello", "Back"))
    served.run("%flaskserve app --name demo --reload")
    expect(page.locator("h1")).to_have_text("Back", timeout=20_000)
    assert [text for text in complaints if "favicon" not in text] == []


def test_a_page_that_came_of_a_form_does_not_send_it_again(
    page: Page, any_server: JupyterServer, served: Kernel
) -> None:
    open_app(page, any_server, "form")
    page.get_by_role("button").click()
    expect(page.locator("h1")).to_have_text("Hello POST")
    assert page.locator("script").count() == 0


def test_the_traceback_of_a_view_that_fails_gives_way_to_the_page_once_it_is_mended(
    page: Page, any_server: JupyterServer, served: Kernel
) -> None:
    served.run(
        "app.debug = True\ndivisor = 0\n@app.get('/sum')\ndef sums(): return f'{6 / divisor}'"
    )
    complaints = open_app(page, any_server, "sum")
    expect(page.locator("h1")).to_have_text("ZeroDivisionError")
    served.run("divisor = 2")
    expect(page.locator("body")).to_have_text("3.0")
    assert [text for text in complaints if "favicon" not in text and "500" not in text] == []
