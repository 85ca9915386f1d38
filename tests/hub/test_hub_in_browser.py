"""A user of a JupyterHub in a browser: JupyterLab with the panels, and the pages of an app."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from chromium import start_chromium
from front_ends import MILLISECONDS, Notebook
from hub_processes import FRONT_ENDS, STREAMS, Hub, UserServer
from playwright.sync_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

expect.set_options(timeout=MILLISECONDS)

LogIn = Callable[..., BrowserContext]

APP = (
    '''\
from flask import Flask, Response, redirect, request, session, url_for
app = Flask("shop")
app.secret_key = "for the tests"
sent = []

@app.get("/")
def index():
    """The shop's first page."""
    return f"""<html lang="en"><title>Shop</title><h1>Shop</h1>
        <p>{len(sent)} sent, {session.get("visits", 0)} visits</p>
        <img alt="dot" src="{url_for("dot")}">
        <form method="post" action="{url_for("send")}">
          <label>Name <input name="name"></label> <button>Send</button></form></html>"""

@app.route("/send", methods=["POST", "PUT", "DELETE"])
def send():
    sent.append(request.form.get("name"))
    session["visits"] = session.get("visits", 0) + 1
    return redirect(url_for("index"), 303)

@app.route("/data", methods=["GET", "POST"])
def data():
    """What the request is made of."""
    return {
        "method": request.method,
        "cookies": sorted(request.cookies),
        "visits": session.get("visits", 0),
        "headers": sorted(request.headers.keys()),
        "json": request.get_json(silent=True),
    }

@app.get("/dot")
def dot():
    return Response('<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>',
                    mimetype="image/svg+xml")
'''
    + STREAMS
)
CELLS = ["%load_ext jupyter_flaskserve", APP, "%flaskserve app --name shop"]
MAIN = 2  # the cell with the panels
NOT_SHOWN = "chrome-error://chromewebdata/"  # what a frame has that may not show its page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window and with an empty profile."""
    with start_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def log_in(chromium: Browser) -> Iterator[LogIn]:
    """Makes browsers in which a user has logged in to a hub."""
    contexts = []

    def log_in(hub: Hub, user: str) -> BrowserContext:
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(MILLISECONDS)
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{hub.public_url}hub/login?next={quote(hub.base_url)}hub/home")
        page.get_by_label("Username:").fill(user)
        page.get_by_label("Password:").fill(hub.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{hub.public_url}hub/home")
        page.close()
        return context

    yield log_in
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def grace(hub: Hub) -> UserServer:
    """A server with JupyterLab."""
    return hub.server("grace", FRONT_ENDS)


@pytest.fixture(scope="module")
def context(hub: Hub, log_in: LogIn) -> BrowserContext:
    """Grace's browser."""
    return log_in(hub, "grace")


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, grace: UserServer) -> Notebook:
    """The notebook, opened once in JupyterLab, with its cells run."""
    notebook = Notebook(context.new_page(), grace, "lab", "Shop.ipynb", CELLS)
    notebook.run_all()
    return notebook


@pytest.fixture
def app(notebook: Notebook) -> Iterator[Page]:
    """The app in a tab of its own, by the link in its line."""
    page = notebook.follow(notebook.line(MAIN).get_by_role("link"))
    yield page
    page.close()


def fetch(page: Page, url: str, options: str = "{}") -> dict[str, object]:
    """What a script of the page gets from an address: JSON."""
    answer: dict[str, object] = page.evaluate(
        f"url => fetch(url, {options}).then(answer => answer.json())", url
    )
    return answer


# The app's pages


def test_the_line_leads_to_the_app_at_the_users_address(app: Page, grace: UserServer) -> None:
    assert app.url == f"{grace.url}flaskserve/shop/"
    assert app.url.endswith("/user/grace/flaskserve/shop/")
    expect(app.get_by_role("heading")).to_have_text("Shop")
    assert app.get_by_alt_text("dot").evaluate("image => image.naturalWidth") == 7


def test_a_form_works_as_it_is_written(app: Page, grace: UserServer) -> None:
    app.get_by_label("Name").fill("Ada")
    with app.expect_request(f"{app.url}send") as sent:
        app.get_by_role("button").click()
    assert sent.value.post_data == "name=Ada"
    expect(app.locator("p")).not_to_contain_text(" 0 visits")
    assert app.url == f"{grace.url}flaskserve/shop/"


def test_scripts_of_the_page_fetch_with_the_apps_cookies_and_without_the_hubs(app: Page) -> None:
    app.get_by_role("button").click()
    expect(app.locator("p")).not_to_contain_text(" 0 visits")
    with app.expect_request("**/data") as sent:
        got = fetch(app, "data")
    assert got["cookies"] == ["session"]
    expect(app.locator("p")).to_contain_text(f" {got['visits']} visits")
    headers = sent.value.all_headers()
    assert headers["sec-fetch-mode"] == "cors"
    assert "jupyterhub-user-grace=" in headers["cookie"]

    options = (
        """{method: "POST", body: '{"n": 1}', headers: {"Content-Type": "application/json"}}"""
    )
    posted = fetch(app, "data", options)
    assert posted["method"] == "POST"
    assert posted["json"] == {"n": 1}
    assert posted["cookies"] == ["session"]
    for method in ("PUT", "DELETE"):
        status = app.evaluate(
            "method => fetch('send', {method}).then(answer => answer.status)", method
        )
        assert status == 200
    status = app.evaluate(
        """new Promise((done, failed) => {
          const request = new XMLHttpRequest();
          request.onload = () => done(request.status);
          request.onerror = failed;
          request.open("GET", "data");
          request.send();
        })"""
    )
    assert status == 200


def test_a_websocket_and_an_event_stream_of_the_page_work(app: Page) -> None:
    answer = app.evaluate(
        """new Promise((done, failed) => {
          const socket = new WebSocket(new URL("echo", location.href));
          socket.onopen = () => socket.send("hello");
          socket.onmessage = message => { done(message.data); socket.close(); };
          socket.onerror = () => failed(new Error("no WebSocket"));
        })"""
    )
    assert answer == "hello"
    told = app.evaluate(
        """new Promise((done, failed) => {
          const told = [];
          const events = new EventSource("events");
          events.onmessage = message => {
            told.push(message.data);
            if (message.data === "first") fetch("go-on", {method: "POST"});
            else { events.close(); done(told); }
          };
          events.onerror = () => failed(new Error("no events"));
        })"""
    )
    assert told == ["first", "last"]


# The panels


def test_the_preview_shows_the_app_in_its_frame(notebook: Notebook) -> None:
    cell = notebook.cells.nth(MAIN)
    cell.get_by_role("tab", name="Preview", exact=True).click()
    preview = cell.locator(".flaskserve-preview")
    preview.scroll_into_view_if_needed()
    frame = preview.frame_locator("iframe")
    expect(frame.get_by_role("heading")).to_have_text("Shop")
    frame.get_by_label("Name").fill("Grace")
    frame.get_by_role("button").click()
    expect(frame.locator("p")).to_contain_text("visits")


def test_the_requests_panel_shows_what_the_app_is_asked(notebook: Notebook, app: Page) -> None:
    fetch(app, "data?from=page")
    cell = notebook.cells.nth(MAIN)
    cell.get_by_role("tab", name="Requests", exact=True).click()
    panel = cell.locator(".flaskserve-requests")
    panel.scroll_into_view_if_needed()
    row = panel.locator("[role=row]", has_text="/data?from=page")
    row.click()
    details = panel.get_by_role("region", name="Details of a request")
    expect(details).to_contain_text("/data?from=page")
    details.get_by_role("tab", name="Request").click()
    expect(details).to_contain_text("Sec-Fetch-Mode")
    expect(details).not_to_contain_text("jupyterhub-user-grace")
    details.get_by_role("button", name="Replay").click()
    expect(row).to_have_count(2)
    details.get_by_role("button", name="Close the details").click()


def test_try_it_sends_a_request_to_the_users_address(notebook: Notebook) -> None:
    cell = notebook.cells.nth(MAIN)
    cell.get_by_role("tab", name="Routes", exact=True).click()
    routes = cell.locator(".flaskserve-routes")
    routes.scroll_into_view_if_needed()
    routes.get_by_role("button", name="/data", exact=True).click()
    with notebook.page.expect_request("**/user/grace/flaskserve/shop/data") as sent:
        routes.get_by_role("button", name="Send", exact=True).click()
    assert sent.value.all_headers()["sec-fetch-mode"] == "cors"
    expect(routes.get_by_role("region", name="Response")).to_contain_text("200 OK")
    routes.get_by_role("button", name="Close the details").click()


# What others do


def test_an_open_page_of_a_guest_follows_the_app_through_changes_and_a_restart(
    hub: Hub, grace: UserServer, log_in: LogIn
) -> None:
    def show(heading: str) -> None:
        kernel.run(
            f"""
            from flask import Flask
            app = Flask("live")
            @app.get("/")
            def index():
                return "<html lang='en'><title>Live</title><h1>{heading}</h1></html>"
            """
        )

    kernel = grace.kernel("Live.ipynb")
    kernel.run("%load_ext jupyter_flaskserve")
    show("First")
    kernel.run("%flaskserve app --name live --reload")
    guest = log_in(hub, "heidi")
    share = {"user": "heidi", "scopes": ["access:servers!server=grace/"]}
    hub.api.post("shares/grace/", json=share).raise_for_status()
    page = guest.new_page()
    page.goto(f"{grace.url}flaskserve/live/")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("**/flaskserve/live/")
    expect(page.get_by_role("heading")).to_have_text("First")

    show("Second")
    expect(page.get_by_role("heading")).to_have_text("Second")

    kernel.restart()
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("live is not running")
    kernel.run("%load_ext jupyter_flaskserve")
    show("Third")
    kernel.run("%flaskserve app --name live --reload")
    expect(page.get_by_role("heading")).to_have_text("Third")


def test_another_user_is_told_that_he_may_not(
    notebook: Notebook, hub: Hub, grace: UserServer, log_in: LogIn
) -> None:
    page = log_in(hub, "bob").new_page()
    answer = page.goto(f"{grace.url}flaskserve/shop/")
    assert answer is not None
    assert answer.status == 403
    expect(page.locator("body")).to_contain_text("403")
    expect(page.locator("body")).not_to_contain_text("Shop")


def test_a_page_of_another_site_can_neither_send_nor_read_nor_show_it(
    notebook: Notebook, context: BrowserContext, grace: UserServer, app: Page
) -> None:
    address = f"{grace.url}flaskserve/shop/"
    text = f"""<!doctype html><title>Evil</title>
        <form method="post" action="{address}send"><input name="name" value="Eve"></form>
        <iframe src="{address}"></iframe>"""
    page = context.new_page()
    page.route(
        "http://evil.test/**", lambda route: route.fulfill(content_type="text/html", body=text)
    )
    before = app.locator("p").inner_text()
    page.goto("http://evil.test/")
    assert page.frames[1].url == NOT_SHOWN
    outcomes = page.evaluate(
        """async address => {
          const one = options => fetch(address + "send", {credentials: "include", ...options}).then(
            answer => answer.type, error => "failed");
          const socket = new Promise(done => {
            const opened = new WebSocket(address.replace("http:", "ws:") + "echo");
            opened.onopen = () => done("open");
            opened.onerror = () => done("failed");
          });
          const body = new URLSearchParams("name=Eve");
          return [
            await one({}),
            await one({method: "POST", mode: "no-cors", body}),
            await one({method: "PUT"}),
            await socket,
          ];
        }""",
        address,
    )
    assert set(outcomes) <= {"failed", "opaque"}
    with page.expect_response(f"{address}send") as refused:
        page.evaluate("document.forms[0].submit()")
    assert refused.value.status == 403
    app.reload()
    assert app.locator("p").inner_text() == before
    page.close()


def test_pages_of_users_with_host_names_of_their_own_reach_nothing_of_each_other(
    new_hub: Callable[..., Hub], log_in: LogIn
) -> None:
    hub = new_hub(subdomains=True, base_url="/deep/")
    code = """
        from flask import Flask, request
        told = []
        app = Flask("told")
        @app.before_request
        def note():
            told.append(request.path)
        @app.route("/", methods=["GET", "POST"])
        def index():
            return "<title>Home</title><h1>Home</h1>"
    """
    kernels = {user: hub.server(user).kernel() for user in ("ann", "bob")}
    for kernel in kernels.values():
        kernel.serve("told", code)
    share = {"user": "ann", "scopes": ["access:servers!server=bob/"]}
    hub.api.post("shares/bob/", json=share).raise_for_status()
    page = log_in(hub, "ann").new_page()
    home = hub.server("ann").public_url + "flaskserve/told/"
    page.goto(home)
    expect(page.get_by_role("heading")).to_have_text("Home")
    kernels["ann"].run("told.clear()")

    # Ann opens what Bob has shared with her, and his page turns against her own server.
    page.goto(hub.server("bob").public_url + "flaskserve/told/")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("**/flaskserve/told/")
    expect(page.get_by_role("heading")).to_have_text("Home")
    outcomes = page.evaluate(
        """async address => {
          const one = option => fetch(address, {credentials: "include", ...option}).then(
            answer => answer.type, error => "failed");
          const frame = document.createElement("iframe");
          frame.src = address;
          const framed = new Promise(done => { frame.onload = () => done(); });
          document.body.append(frame);
          await framed;
          const socket = new Promise(done => {
            const opened = new WebSocket(address.replace("http:", "ws:"));
            opened.onopen = () => done("open");
            opened.onerror = () => done("failed");
          });
          return [
            await one({}),
            await one({method: "POST"}),
            await one({method: "POST", mode: "no-cors"}),
            await socket,
          ];
        }""",
        home,
    )
    assert outcomes == ["failed", "failed", "opaque", "failed"]
    assert page.frames[1].url == NOT_SHOWN
    # A browser loads what a frame is to show before it learns that it may not be shown.
    reached = json.loads(kernels["ann"].run("import json; print(json.dumps(told))").stdout)
    assert reached in ([], ["/"])
