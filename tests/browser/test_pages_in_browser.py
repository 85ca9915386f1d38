"""The app's pages and the project's own in a browser that has logged in to Jupyter."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

if TYPE_CHECKING:
    from front_ends import JupyterServer
    from jupyter_processes import Kernel

pytestmark = pytest.mark.timeout(300)

SHOP = """
    from flask import Flask, request, session
    app = Flask("shop")
    app.secret_key = "not a secret"
    seen = []

    @app.before_request
    def remember():
        if request.path != "/seen":
            seen.append(f"{request.method} {request.path}")

    @app.get("/seen")
    def tell():
        return seen

    @app.get("/")
    def shop():
        return '<h1>Shop</h1> <form method="post" action="buy"><button>Buy</button></form>'

    @app.route("/buy", methods=["POST", "PUT", "DELETE"])
    def buy():
        what = request.get_json(silent=True) or {}
        return {"bought": what.get("what"), "method": request.method}

    @app.get("/visit")
    def visit():
        session["visits"] = session.get("visits", 0) + 1
        return f"<h1>{session['visits']}</h1>"
"""
FETCH = """async ([path, options]) => {
  const answer = await fetch(path, options);
  return [answer.status, await answer.json()];
}"""


@pytest.fixture
def logged_in(page: Page, server: JupyterServer) -> Page:
    """A tab of a browser that knows the server's token."""
    page.goto(f"{server.url}flaskserve/?token={server.token}")
    return page


@pytest.fixture
def other_site() -> Iterator[Callable[[str], int]]:
    """Serves one page on another port of this machine; returns the port."""
    servers = []

    def start(html: str) -> int:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(html.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=other.serve_forever, name="another site").start()
        servers.append(other)
        return other.server_port

    yield start
    for other in servers:
        other.shutdown()
        other.server_close()


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What went wrong in the tab: failed scripts, and what a Content-Security-Policy refused."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on(
        "console",
        lambda message: found.append(message.text) if "Security" in message.text else None,
    )
    return found


# The app's pages.


def test_scripts_of_a_page_can_fetch_from_the_app(kernel: Kernel, logged_in: Page) -> None:
    app = kernel.serve("shop", SHOP)
    logged_in.goto(str(app.base_url))

    assert logged_in.evaluate(FETCH, ["seen", {}]) == [200, ["GET /"]]
    for method in ("POST", "PUT", "DELETE"):
        options = {
            "method": method,
            "headers": {"Content-Type": "application/json"},
            "body": '{"what": "tea"}',
        }
        answer = logged_in.evaluate(FETCH, ["buy", options])
        assert answer == [200, {"bought": "tea", "method": method}]


def test_each_app_has_a_session_of_its_own(
    kernel: Kernel, logged_in: Page, context: BrowserContext
) -> None:
    kernel.serve("shop", SHOP)
    other = kernel.serve("other", SHOP.replace("not a secret", "another"))
    shop = str(other.base_url).replace("/other/", "/shop/")

    for visits in (1, 2, 3):
        logged_in.goto(f"{shop}visit")
        expect(logged_in.get_by_role("heading")).to_have_text(str(visits))
    logged_in.goto(f"{other.base_url}visit")
    expect(logged_in.get_by_role("heading")).to_have_text("1")
    logged_in.goto(f"{shop}visit")
    expect(logged_in.get_by_role("heading")).to_have_text("4")

    sessions = [cookie["path"] for cookie in context.cookies() if cookie["name"] == "session"]
    assert sorted(sessions) == ["/flaskserve/other/", "/flaskserve/shop/"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_form_on_another_origin_is_refused_and_a_link_there_is_not(
    host: str, kernel: Kernel, logged_in: Page, other_site: Callable[[str], int]
) -> None:
    app = kernel.serve("shop", SHOP)
    port = other_site(
        f'<form method="post" action="{app.base_url}buy"><button>Buy</button></form>'
        f'<a href="{app.base_url}">Shop</a>'
    )

    logged_in.goto(f"http://{host}:{port}/")
    with logged_in.expect_navigation() as refused:
        logged_in.get_by_role("button").click()
    assert refused.value is not None
    assert refused.value.status == 403
    expect(logged_in.get_by_role("heading")).to_have_text("Not allowed")
    assert app.get("seen").json() == []

    logged_in.goto(f"http://{host}:{port}/")
    logged_in.get_by_role("link").click()
    expect(logged_in.get_by_role("heading")).to_have_text("Shop")
    assert app.get("seen").json() == ["GET /"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_scripts_and_images_of_another_origin_do_not_reach_the_app(
    host: str, kernel: Kernel, logged_in: Page, other_site: Callable[[str], int]
) -> None:
    app = kernel.serve("shop", SHOP)
    port = other_site("<h1>Elsewhere</h1>")
    logged_in.goto(f"http://{host}:{port}/")

    logged_in.evaluate(
        """async address => {
          const options = {mode: "no-cors", credentials: "include"};
          await fetch(address, options);
          await fetch(address + "buy", {...options, method: "POST", body: "what=tea"});
          const image = new Image();
          const ended = new Promise(end => { image.onload = image.onerror = end; });
          image.src = address + "image";
          await ended;
          const socket = new WebSocket(address.replace("http", "ws") + "socket");
          await new Promise(end => { socket.onclose = end; });
        }""",
        str(app.base_url),
    )

    assert app.get("seen").json() == []


def test_a_browser_without_a_login_is_led_to_it_and_from_there_to_the_app(
    kernel: Kernel, page: Page, server: JupyterServer
) -> None:
    app = kernel.serve("shop", SHOP)

    page.goto(str(app.base_url))
    assert page.url.startswith(f"{server.url}login?next=")
    assert app.get("seen").json() == []
    page.get_by_label("Password or token").fill(server.token)
    page.keyboard.press("Enter")

    page.wait_for_url(str(app.base_url))  # until then there are the headings of the login page
    expect(page.get_by_role("heading")).to_have_text("Shop")


# The page of an app whose kernel has stopped.


def test_the_page_asks_only_while_somebody_looks_at_it(
    kernel: Kernel, logged_in: Page, complaints: list[str]
) -> None:
    app = kernel.serve("shop", SHOP)
    kernel.restart()
    logged_in.add_init_script(
        "Object.defineProperty(document, 'hidden', {get: () => window.isHidden === true});"
    )
    logged_in.clock.install()
    logged_in.goto(str(app.base_url))
    expect(logged_in.get_by_role("heading")).to_have_text("shop is not running")
    asked: list[str] = []

    def remember(request: Request) -> None:
        asked.append(request.url.rpartition("/")[2])

    logged_in.on("request", remember)

    logged_in.evaluate("isHidden = true; document.dispatchEvent(new Event('visibilitychange'))")
    logged_in.clock.run_for(600_000)
    logged_in.evaluate("fetch('/api/flaskserve/mounts/not-the-pages-own')")
    assert asked == ["not-the-pages-own"]

    logged_in.evaluate("isHidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    for _ in range(3):
        with logged_in.expect_response("**/api/flaskserve/mounts/shop"):
            logged_in.clock.run_for(5_000)
    kernel.serve("shop", SHOP)
    with logged_in.expect_navigation():
        logged_in.clock.run_for(5_000)
    expect(logged_in.get_by_role("heading")).to_have_text("Shop")
    assert complaints == []


def test_a_form_that_met_a_stopped_kernel_is_not_sent_twice(
    kernel: Kernel, logged_in: Page, complaints: list[str]
) -> None:
    app = kernel.serve("shop", SHOP)
    logged_in.goto(str(app.base_url))
    kernel.restart()

    logged_in.get_by_role("button").click()
    expect(logged_in.get_by_role("heading")).to_have_text("shop is not running")
    expect(logged_in.get_by_role("main")).to_contain_text("What you sent (POST) was not answered")
    again = logged_in.get_by_role("link", name="Open the app")
    expect(again).to_be_hidden()

    app = kernel.serve("shop", SHOP)
    expect(again).to_be_visible()
    expect(logged_in.get_by_role("status")).to_have_text("The app is back: open it and send again")
    assert app.get("seen").json() == []
    again.click()
    expect(logged_in.get_by_role("heading")).to_have_text("Shop")
    assert app.get("seen").json() == ["GET /"]
    assert complaints == []


def test_the_page_reloads_without_javascript_too(
    kernel: Kernel, chromium: Browser, server: JupyterServer
) -> None:
    app = kernel.serve("shop", SHOP)
    kernel.restart()
    context = chromium.new_context(java_script_enabled=False)
    try:
        tab = context.new_page()
        tab.goto(f"{app.base_url}?token={server.token}")
        expect(tab.locator("h1")).to_have_text("shop is not running")
        kernel.serve("shop", SHOP)
        expect(tab.locator("h1")).to_have_text("Shop")
    finally:
        context.close()


# The list of apps.


def test_the_index_leads_to_each_app_and_to_its_notebook(
    kernel: Kernel, logged_in: Page, server: JupyterServer, complaints: list[str]
) -> None:
    app = kernel.serve("shop", SHOP)
    (server.notebooks / kernel.notebook).write_text(
        '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    )
    logged_in.goto(f"{server.url}flaskserve/")
    entry = logged_in.get_by_role("listitem").filter(has_text="shop")
    expect(entry).to_contain_text("serving")

    with logged_in.context.expect_page() as opened:
        entry.get_by_role("link", name=kernel.notebook).click()
    expect(opened.value).to_have_url(f"{server.url}lab/tree/Lesson%201.ipynb")
    expect(opened.value.locator(".jp-NotebookPanel")).to_be_visible()
    entry.get_by_role("link", name="shop", exact=True).click()

    expect(logged_in.get_by_role("heading")).to_have_text("Shop")
    assert logged_in.url == str(app.base_url)
    assert complaints == []


def test_a_name_mistyped_leads_to_the_app(
    kernel: Kernel, logged_in: Page, complaints: list[str]
) -> None:
    app = kernel.serve("shop", SHOP)
    answer = logged_in.goto(str(app.base_url).replace("/shop/", "/shpo/"))

    assert answer is not None
    assert answer.status == 404
    suggestion = logged_in.locator("p", has_text="Did you mean")
    suggestion.get_by_role("link", name="shop").click()
    assert logged_in.url == str(app.base_url)
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_of_the_pages_is_readable(
    scheme: str,
    kernel: Kernel,
    logged_in: Page,
    server: JupyterServer,
    contrast: Callable[[Locator], float],
) -> None:
    app = kernel.serve("shop", SHOP)
    logged_in.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    def unreadable(address: str, heading: str) -> dict[str, float]:
        logged_in.goto(address)
        expect(logged_in.get_by_role("heading").first).to_have_text(heading)
        words = logged_in.locator("main *").filter(has_text=" ", visible=True).all()
        assert len(words) > 3
        ratios = {word.inner_text(): contrast(word) for word in words}
        return {text: ratio for text, ratio in ratios.items() if ratio < 4.5}

    assert unreadable(f"{server.url}flaskserve/", "Apps on this Jupyter Server") == {}
    assert unreadable(f"{server.url}flaskserve/nothing/", "No app is served as nothing") == {}
    kernel.restart()
    assert unreadable(str(app.base_url), "shop is not running") == {}
