"""The panels as a person uses them: in one notebook of a real JupyterLab, and in Notebook 7.

The notebook is opened once. Each test begins with an empty list of requests and an idle kernel, and
leaves the cells as they were; those that load the page again or end the kernel come last.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from front_ends import FrontEnd, JupyterServer, Notebook
from jupyter_processes import wait_until
from openapi_spec_validator import validate
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

if TYPE_CHECKING:
    pass

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "shop"
# Whatever must not get into a file begins so.
SECRET = "hush-"
APP = '''\
import threading
from flask import Flask, Response, redirect, request, session, url_for
from flask_sock import Sock
app = Flask("shop")
app.secret_key = "hush-key"
sock = Sock(app)
wait = threading.Event()

@app.get("/")
def index():
    """The shop's first page."""
    return f"""<html lang="en"><title>Shop</title><h1>Shop</h1>
        <a href="{url_for("about")}">About</a></html>"""

@app.get("/about")
def about():
    return "<html lang='en'><title>About</title><h1>About</h1></html>"

@app.get("/items/<int:number>")
def item(number):
    """One of the things that are sold."""
    print("looking for", number)
    return {"number": number, "name": "tea", "asked": request.args.get("q")}

@app.get("/items/<slug>")
def item_by_slug(slug):
    return {"slug": slug}

@app.post("/items")
def add_item():
    return {"form": request.form, "json": request.get_json(silent=True)}, 201

@app.post("/login")
def log_in():
    session["user"] = request.form["name"]
    session["api_token"] = "hush-session"
    answer = redirect(url_for("about"))
    answer.set_cookie("remember", "hush-cookie")
    return answer

@app.get("/divide/<int:by>")
def divide(by):
    password = "hush-variable"
    return {"quotient": 10 / by}

@app.get("/ticks")
def ticks():
    def parts():
        yield "one "
        yield "two "
        wait.wait(30)
        yield "three"
    return Response(parts(), mimetype="text/plain")

@app.post("/go")
def go():
    wait.set()
    return "", 204

@sock.route("/echo")
def echo(socket):
    while True:
        socket.send(socket.receive())
'''
CELLS = [
    "%load_ext jupyter_flaskserve",
    APP,
    f"%flaskserve app --name {NAME}",
    f"%flaskserve requests {NAME}",
    "'spare'",
]
MAIN, OTHER, SPARE = 2, 3, 4  # cells
WAIT = "wait.clear()\nwhile not wait.is_set():\n    __import__('time').sleep(0.05)"


class Panels:
    """The panels that a cell shows, and what a person finds in them."""

    def __init__(self, page: Page, cell: Locator) -> None:
        self.page = page
        self.cell = cell
        self.root = cell.locator(".jp-OutputArea")
        self.word = self.root.locator(".flaskserve-word")
        self.requests = self.root.locator(".flaskserve-requests")
        self.routes = self.root.locator(".flaskserve-routes")
        self.preview = self.root.locator(".flaskserve-preview")
        self.rows = self.requests.locator(".flaskserve-grid-body [role=row]")
        self.foot = self.requests.locator(".flaskserve-requests-foot")
        self.details = self.requests.get_by_role("region", name="Details of a request")
        self.route = self.routes.locator(".flaskserve-routes-details")
        self.answer = self.routes.get_by_role("region", name="Response")
        self.frame = self.preview.frame_locator("iframe")

    def show(self, title: str) -> None:
        """Choose one of the tabs, and bring its panel into sight: others are not live."""
        self.root.get_by_role("tab", name=title, exact=True).click()
        self.root.locator(f".flaskserve-{title.lower()}").scroll_into_view_if_needed()

    def row(self, path: str) -> Locator:
        """The row of the newest request to a path."""
        found = self.page.locator(".flaskserve-path", has_text=re.compile(f"^{re.escape(path)}$"))
        return self.rows.filter(has=found).last

    def open(self, path: str) -> Locator:
        """Open the newest request to a path. Gives the details."""
        shown = self.details.locator(".flaskserve-exchange-path")
        for _ in range(5):
            if self.details.is_visible():
                self.details.get_by_role("button", name="Close the details").click()
            self.row(path).click()
            with contextlib.suppress(AssertionError):  # the list may move under the pointer
                expect(shown).to_have_text(path, timeout=5000)
                break
        expect(shown).to_have_text(path)
        return self.details

    def part(self, title: str) -> Locator:
        """Choose a tab of the details."""
        self.details.get_by_role("tab", name=title).click()
        return self.details

    def open_route(self, rule: str) -> Locator:
        """Open a row of the routes. Gives the details."""
        self.show("Routes")
        toggle = self.routes.get_by_role("button", name=rule, exact=True)
        if toggle.get_attribute("aria-expanded") == "false":
            toggle.click()
        return self.route


class Shop:
    """The notebook, opened in JupyterLab, with what it serves."""

    def __init__(self, notebook: Notebook, server: JupyterServer) -> None:
        self.notebook = notebook
        self.server = server
        self.page = notebook.page
        self.client = server.client(NAME)
        self.runs = len(CELLS)

    def panels(self, cell: int = MAIN, page: Page | None = None) -> Panels:
        page = page or self.page
        return Panels(page, page.locator(".jp-Notebook .jp-CodeCell").nth(cell))

    @property
    def file(self) -> Path:
        return self.server.notebooks / self.notebook.path

    def inspector(self, path: str, question: object = None) -> Any:
        """Ask the inspector, or tell it something."""
        url = f"api/flaskserve/inspector/{NAME}/{path}"
        http = self.server.http
        answer = http.get(url) if question is None else http.post(url, json=question)
        return answer.raise_for_status().json()

    def run(self, cell: int, code: str) -> Locator:
        """Run a cell with other code to its end. Gives its outputs."""
        self.notebook.write(cell, code)
        self.runs += 1
        self.notebook.run(cell, self.runs)
        return self.notebook.output(cell)

    @property
    def is_busy(self) -> bool:
        sessions = self.server.http.get("api/sessions").json()
        return any(
            session["path"] == self.notebook.path and session["kernel"]["execution_state"] == "busy"
            for session in sessions
        )

    def tidy(self) -> None:
        """Wait for the kernel, and forget the requests of the test before."""
        if self.is_busy:
            self.client.post("go")
        self.notebook.wait_for_kernel()
        self.inspector("clear", {})


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser for all tests of this module."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(45_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context
    context.close()


@pytest.fixture(scope="module")
def server(_servers: Callable[[str], JupyterServer]) -> Iterator[JupyterServer]:
    """The server where JupyterHub puts it, for all tests of this module."""
    server = _servers("/user/ann/")
    yield server
    server.close_clients()
    server.end_sessions()


@pytest.fixture(scope="module")
def opened(context: BrowserContext, server: JupyterServer) -> Shop:
    """The notebook, opened once, with its cells run."""
    notebook = Notebook(context.new_page(), server, "lab", "Shop.ipynb", CELLS)
    notebook.run_all()
    return Shop(notebook, server)


@pytest.fixture
def shop(opened: Shop) -> Shop:
    """The opened notebook: idle, and with no request in its lists."""
    opened.tidy()
    return opened


@pytest.fixture
def panels(shop: Shop) -> Panels:
    """The panels below the app's line."""
    panels = shop.panels()
    panels.word.scroll_into_view_if_needed()
    expect(panels.word).to_have_text("serving")
    return panels


def send_secrets(shop: Shop) -> None:
    """Send requests that have secrets wherever they can have some, as a page of the app does."""
    statuses = shop.page.evaluate(
        """async address => {
          const send = async (path, options) => (await fetch(address + path, options)).status;
          return [
            await send("login?access_token=hush-query", {
              method: "POST",
              body: new URLSearchParams({name: "ann", password: "hush-password"}),
              headers: {Authorization: "Basic hush-basic"},
            }), // and is redirected to about, with the cookies and the session
            await send("items", {
              method: "POST",
              body: JSON.stringify({name: "tea", api_key: "hush-json"}),
              headers: {"Content-Type": "application/json"},
            }),
            await send("divide/0"),
          ];
        }""",
        f"/user/ann/flaskserve/{NAME}/",
    )
    assert statuses == [200, 201, 500]


def clipboard(page: Page, part: str) -> str:
    """What is in the clipboard; an empty string where a part of it is not there yet."""
    copied: str = page.evaluate("navigator.clipboard.readText()")
    return copied if part in copied else ""


# Requests


def test_requests_appear_within_a_second(shop: Shop, panels: Panels) -> None:
    panels.show("Requests")
    expect(panels.requests).to_contain_text("No request yet")
    seconds = []
    for number in range(3):
        began = time.monotonic()
        shop.client.get(f"items/{number}")
        expect(panels.row(f"/items/{number}")).to_be_visible()
        seconds.append(time.monotonic() - began)
    assert sorted(seconds)[1] < 1, "the machine may stall once"
    expect(panels.row("/items/2")).to_contain_text("200")
    expect(panels.row("/items/2")).to_contain_text("item")
    expect(panels.foot).to_contain_text("3 requests")


def test_a_failed_request_opens_with_its_traceback_and_secrets_are_masked(
    shop: Shop, panels: Panels
) -> None:
    panels.show("Requests")
    send_secrets(shop)
    details = panels.open("/divide/0")
    expect(details).to_contain_text("ZeroDivisionError: division by zero")
    variables = details.get_by_role("table", name="Variables of divide")
    expect(variables).to_contain_text("by0")
    expect(variables).to_contain_text("password********")
    panels.open("/login?access_token=********")
    panels.part("Request")
    form = details.get_by_role("table", name="Request body: 2 fields")
    expect(form).to_contain_text("ann")
    headers = details.get_by_role("table", name="Request headers")
    expect(headers).to_contain_text("********")
    expect(details).not_to_contain_text(SECRET)
    details.get_by_role("button", name="Show secrets").click()
    expect(form).to_contain_text("hush-password")
    expect(headers).to_contain_text("Basic hush-basic")
    expect(details.get_by_role("table", name="Query")).to_contain_text("hush-query")
    panels.part("Session")
    expect(details.get_by_role("table", name="Session")).to_contain_text("hush-session")
    panels.part("Response")
    expect(details.get_by_role("table", name="Cookies that the response sets")).to_contain_text(
        "hush-cookie"
    )
    panels.open("/about")
    panels.part("Session")
    expect(details.get_by_role("table", name="Session")).to_contain_text("ann")
    expect(details).not_to_contain_text(SECRET)


def test_requests_are_copied_and_exported(shop: Shop, panels: Panels) -> None:
    panels.show("Requests")
    send_secrets(shop)
    details = panels.open("/items")
    details.get_by_role("button", name="Copy…").click()
    for form, text in (
        ("curl", "curl "),
        ("requests", "requests.request("),
        ("app.test_client()", "app.test_client("),
    ):
        details.get_by_role("button", name=form, exact=True).click()
        copied = wait_until(partial(clipboard, panels.page, text), what=f"{text} to be copied")
        assert "/items" in copied
        assert SECRET not in copied
    panels.requests.get_by_role("button", name="Export HAR…").click()
    with panels.page.expect_download() as download:
        panels.requests.get_by_role("button", name="Download").click()
    har = download.value.path().read_text()
    entries = json.loads(har)["log"]["entries"]
    assert [urlsplit(entry["request"]["url"]).path for entry in entries] == [
        f"/user/ann/flaskserve/{NAME}{path}" for path in ("/login", "/about", "/items", "/divide/0")
    ]
    assert [entry["response"]["status"] for entry in entries] == [302, 200, 201, 500]
    assert SECRET not in har
    assert shop.server.token not in har
    panels.requests.get_by_role("button", name="Export HAR…").click()


def test_websockets_and_streams_are_open_and_counted(shop: Shop, panels: Panels) -> None:
    panels.show("Requests")
    panels.page.evaluate(
        """address => new Promise(done => {
          window.echoSocket = new WebSocket(new URL(address, location.href));
          let count = 0;
          echoSocket.onopen = () => ["one", "two", "three"].forEach(text => echoSocket.send(text));
          echoSocket.onmessage = () => ++count === 3 && done();
        })""",
        f"/user/ann/flaskserve/{NAME}/echo",
    )
    socket = panels.row("/echo")
    expect(socket).to_contain_text("WebSocket ↑3 ↓3")
    expect(socket).to_contain_text("open")
    details = panels.open("/echo")
    panels.part("Response")
    expect(details).to_contain_text("3 messages in, 3 messages out")
    expect(details.get_by_role("button", name="Replay")).to_be_disabled()
    panels.page.evaluate("echoSocket.close()")
    expect(details.locator(".flaskserve-exchange-facts")).not_to_contain_text("open")
    details.get_by_role("button", name="Close the details").click()

    with shop.client.stream("GET", "ticks") as answer:
        expect(panels.row("/ticks")).to_contain_text("stream ↓2")
        expect(panels.row("/ticks")).to_contain_text("open")
        shop.client.post("go")
        assert answer.read() == b"one two three"
    expect(panels.row("/ticks")).to_contain_text("stream ↓3")
    expect(panels.row("/ticks")).not_to_contain_text("open")


def test_all_goes_on_while_a_cell_runs(shop: Shop, panels: Panels) -> None:
    panels.show("Requests")
    shop.notebook.write(SPARE, WAIT)
    shop.notebook.start(SPARE)
    shop.runs += 1
    prompt = shop.notebook.prompt(SPARE)
    expect(prompt).to_have_text("[*]:")

    shop.client.get("items/7?q=green")
    details = panels.open("/items/7?q=green")
    panels.part("Response")
    expect(details.get_by_role("group", name="Response body")).to_contain_text('"green"')
    panels.part("Output")
    expect(details).to_contain_text("looking for 7")
    details.get_by_role("button", name="Replay").click()
    expect(panels.foot).to_contain_text("2 requests")
    expect(details.get_by_role("button", name="Replay")).to_be_enabled()
    details.get_by_role("button", name="Edit and resend").click()
    details.get_by_label("Path and query").fill("/items/8")
    details.get_by_label("Path and query").press("Enter")
    expect(details.get_by_role("region", name="Response")).to_contain_text('"number": 8')
    expect(panels.foot).to_contain_text("3 requests")

    route = panels.open_route("/items/<int:number>")
    route.get_by_label("number").fill("9")
    route.get_by_role("button", name="Send").click()
    expect(panels.answer).to_contain_text("200 OK")
    panels.show("Preview")
    expect(panels.frame.get_by_role("heading")).to_have_text("Shop")
    assert prompt.inner_text() == "[*]:"
    shop.client.post("go")
    expect(prompt).to_have_text(f"[{shop.runs}]:")
    panels.open_route("/items/<int:number>")
    panels.routes.get_by_role("button", name="Close the details").click()


def test_a_flood_is_shown_or_said_to_be_gone_and_the_page_stays_awake(
    shop: Shop, panels: Panels
) -> None:
    panels.show("Requests")
    panels.page.evaluate(
        """() => {
          window.longest = 0;
          window.longTasks = new PerformanceObserver(list => {
            for (const task of list.getEntries()) longest = Math.max(longest, task.duration);
          });
          longTasks.observe({ type: "longtask" });
        }"""
    )
    address = urlsplit(shop.server.url)
    end = time.monotonic() + 3

    def load(_: int) -> int:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        made = 0
        while time.monotonic() < end:
            connection.request(
                "GET",
                f"/user/ann/flaskserve/{NAME}/about",
                headers={"Authorization": f"token {shop.server.token}"},
            )
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            made += 1
        connection.close()
        return made

    with ThreadPoolExecutor(8) as pool:
        results = pool.map(load, range(8))
        panels.page.wait_for_timeout(3000)  # what the page asks is answered meanwhile
        made = sum(results)

    assert made > 300
    state = shop.inspector("state")["requests"]
    assert state["last"] - state["cleared"] == made
    kept = min(made, 1000)
    expect(panels.foot).to_contain_text(f"{kept:,} request")

    def told() -> int:
        """How many are shown or said to be gone."""
        text = panels.foot.inner_text().replace(",", "")
        return sum(map(int, re.findall(r"(\d+) (?:earlier )?requests?\b", text)))

    for _ in range(50):
        if told() == made:
            break
        panels.page.wait_for_timeout(100)
    assert told() == made, panels.foot.inner_text()
    longest = panels.page.evaluate("longTasks.disconnect(), longest")
    assert longest < 1000, "tasks of the page, in milliseconds; other processes may be running"
    assert "rate exceeded" not in shop.server.log
    expect(shop.page.locator(".jp-Dialog")).to_have_count(0)
    expect(panels.root).not_to_contain_text("rate")


# Routes and preview


def test_routes_are_tried_with_arguments_forms_and_json(shop: Shop, panels: Panels) -> None:
    route = panels.open_route("/items/<int:number>")
    expect(route).to_contain_text("One of the things that are sold.")
    expect(route).to_contain_text("Cell In[2], line ")
    number = route.get_by_label("number")
    number.fill("4")
    route.get_by_text("Query", exact=True).click()
    route.get_by_label("Query parameter 1: name").fill("q")
    route.get_by_label("Query parameter 1: value").fill("a&b")
    number.press("Enter")
    expect(panels.answer).to_contain_text("200 OK")
    expect(panels.answer).to_contain_text('"number": 4')
    expect(panels.answer).to_contain_text('"a&b"')

    route = panels.open_route("/items")
    route.get_by_label("Form", exact=True).check()
    route.get_by_label("Field 1: name").fill("name")
    route.get_by_label("Field 1: value").fill("tea & milk")
    route.get_by_role("button", name="Send").click()
    expect(panels.answer).to_contain_text("201")
    expect(panels.answer).to_contain_text('"tea & milk"')
    route.get_by_label("JSON", exact=True).check()
    body = route.get_by_label("JSON body")
    body.fill('{"cups":')
    body.press("End")
    body.press("Enter")
    panels.page.keyboard.type("[1, 2]}")
    expect(body).to_have_value('{"cups":\n[1, 2]}')
    body.press("Control+Enter")
    expect(panels.answer).to_contain_text('"cups"')
    panels.routes.get_by_role("button", name="Close the details").click()
    known = shop.inspector("rows", {"generation": None, "after": 0, "open": []})
    assert [row["path"] for row in known["rows"]] == ["/items/4?q=a%26b", "/items", "/items"]


def test_which_rule_matches_and_why_the_others_do_not(panels: Panels) -> None:
    panels.show("Routes")
    field = panels.routes.get_by_role("textbox", name="Which rule matches?")
    outcome = panels.routes.locator(".flaskserve-routes-outcome")
    winner = panels.routes.locator(".flaskserve-routes-winner")
    field.fill("/items/12")
    expect(winner).to_contain_text("/items/<int:number>")
    field.fill("/items/tea")
    expect(winner).to_contain_text("/items/<slug>")
    field.fill("/nothing/here")
    expect(outcome).to_contain_text("404")
    expect(winner).to_have_count(0)
    field.fill("/login")
    expect(outcome).to_contain_text("405")
    panels.routes.get_by_label("Method of the request to test").select_option("POST")
    expect(winner).to_contain_text("/login")
    panels.routes.get_by_label("Method of the request to test").select_option("GET")
    panels.routes.get_by_role("button", name="Clear the URL").click()


def test_the_openapi_document_is_valid(panels: Panels) -> None:
    panels.show("Routes")
    with panels.page.expect_download() as download:
        panels.routes.get_by_role("button", name="Export OpenAPI").click()
    document = json.loads(download.value.path().read_text())
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "/items/{number}" in document["paths"]


def test_the_preview_and_the_routes_follow_a_cell(shop: Shop, panels: Panels) -> None:
    panels.show("Preview")
    field = panels.preview.get_by_label("Path under")
    heading = panels.frame.get_by_role("heading")
    field.fill("/")
    field.press("Enter")
    expect(heading).to_have_text("Shop")
    panels.frame.get_by_role("link", name="About").click()
    expect(heading).to_have_text("About")
    expect(field).to_have_value("/about")
    panels.preview.get_by_role("button", name="Back").click()
    expect(heading).to_have_text("Shop")
    panels.preview.get_by_role("button", name="Forward").click()
    expect(heading).to_have_text("About")
    changed = APP.replace("<h1>About</h1>", "<h1>About us</h1>").replace(
        '@app.post("/go")', '@app.get("/new")\ndef new(): return "new"\n\n@app.post("/go")'
    )
    shop.run(1, changed)
    panels.word.scroll_into_view_if_needed()
    expect(heading).to_have_text("About us")
    panels.show("Routes")
    expect(panels.routes.get_by_role("button", name="/new", exact=True)).to_be_visible()
    shop.run(1, APP)
    expect(panels.routes.get_by_role("button", name="/new", exact=True)).to_have_count(0)


# Each by itself


def test_each_panel_is_shown_by_itself_and_composes_with_other_widgets(shop: Shop) -> None:
    alone = shop.panels(SPARE)
    kinds = {"routes": alone.routes, "requests": alone.requests, "preview": alone.preview}
    for command, panel in kinds.items():
        output = shop.run(SPARE, f"%flaskserve {command}")
        expect(output).to_have_count(1)
        expect(panel).to_be_visible()
        expect(panel.get_by_text("Loading…")).to_have_count(0)
        for other in kinds.values():
            expect(other).to_have_count(1 if other is panel else 0)
        expect(alone.word).to_have_count(0)
    output = shop.run(SPARE, f"%flaskserve app --name {NAME} --no-panel")
    expect(output).to_have_count(1)
    expect(output).to_contain_text(f"/flaskserve/{NAME}/")
    expect(alone.root.locator(".flaskserve-panel")).to_have_count(0)
    shop.run(
        SPARE,
        "import ipywidgets\nfrom jupyter_flaskserve import mounts\nmount = mounts()[0]\n"
        "ipywidgets.HBox([mount.requests_panel(), ipywidgets.Label('beside it')])",
    )
    expect(alone.root).to_contain_text("beside it")
    shop.client.get("items/beside")
    expect(alone.row("/items/beside")).to_be_visible()
    label = alone.root.get_by_text("beside it").bounding_box()
    panel_box = alone.requests.bounding_box()
    assert label is not None
    assert panel_box is not None
    assert label["x"] >= panel_box["x"] + panel_box["width"]
    shop.run(SPARE, "'spare'")


# For everybody


def snapshot(notebook: Notebook) -> list[object]:
    """What keys could have changed in the notebook."""
    page = notebook.page
    return [
        page.locator(".jp-Notebook .jp-Cell").count(),
        notebook.cells.count(),
        page.locator(".jp-Notebook .jp-InputPrompt").all_text_contents(),
        page.locator(".jp-Notebook .cm-content").all_text_contents(),
        page.locator(".jp-Notebook .jp-OutputArea-output").count(),
    ]


def test_no_key_that_is_pressed_in_a_panel_reaches_the_notebook(shop: Shop, panels: Panels) -> None:
    keys = "b a a j k x c v z d d 0 0 i i m y r 1 o l Enter Escape Shift+Enter Control+Enter"
    shop.client.get("items/1")
    before = snapshot(shop.notebook)
    requests, routes, preview = panels.requests, panels.routes, panels.preview

    def places() -> Iterator[Locator]:
        yield panels.root.get_by_role("button", name="Copy link")
        yield panels.root.locator(".flaskserve-header").get_by_role("link").last
        for title in ("Routes", "Requests", "Preview"):
            yield panels.root.get_by_role("tab", name=title, exact=True)
        panels.show("Requests")
        yield requests.get_by_role("searchbox")
        requests.get_by_role("searchbox").fill("")
        yield requests.get_by_role("button", name="Statistics")
        yield requests.locator(".flaskserve-requests-toolbar").get_by_label("Method", exact=True)
        yield panels.row("/items/1")
        panels.open("/items/1")
        yield panels.details.get_by_role("tab", name="Overview")
        panels.open("/items/1")
        yield panels.details.get_by_role("tabpanel")
        panels.open("/items/1")
        yield panels.details.get_by_role("button", name="Copy…")
        panels.show("Routes")
        yield routes.get_by_role("textbox", name="Which rule matches?")
        routes.get_by_role("textbox", name="Which rule matches?").fill("")
        yield routes.get_by_label("Order")
        yield routes.get_by_role("button", name="/about", exact=True)
        panels.open_route("/items/<int:number>")
        yield panels.route.get_by_label("number")
        panels.show("Preview")
        yield preview.get_by_role("button", name="Phone")
        yield preview.get_by_role("checkbox")
        yield preview.get_by_label("Path under")

    for place in places():
        is_link = place.get_attribute("href") is not None  # Enter would follow it
        pressed = keys.replace("Enter", "Space") if is_link else keys
        place.focus()
        name = place.evaluate("e => e.outerHTML.slice(0, 100)")
        for key in pressed.split():
            panels.page.keyboard.press(key)
        assert snapshot(shop.notebook) == before, name
        assert shop.page.locator(".jp-Dialog").count() == 0, name
    # Nothing of it comes later either.
    shop.notebook.wait_for_kernel()
    assert snapshot(shop.notebook) == before
    preview.get_by_role("button", name="Full").click()
    panels.show("Requests")


def choose_theme(page: Page, theme: str) -> None:
    page.get_by_role("menubar").get_by_text("Settings", exact=True).click()
    page.get_by_role("menu").get_by_text("Theme", exact=True).hover()
    page.get_by_role("menu").get_by_text(theme, exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)


def violations(page: Page, selector: str) -> list[str]:
    """What axe finds, a line each."""
    results = Axe().run(page, context=selector, options={"iframes": False})
    return [
        f"{violation['id']}: {node['html'][:300]}: {node['failureSummary']}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize(
    "theme", ["JupyterLab Dark", "JupyterLab Dark High Contrast", "JupyterLab Light"]
)
def test_axe_finds_nothing_in_the_panels_together(shop: Shop, panels: Panels, theme: str) -> None:
    send_secrets(shop)
    choose_theme(shop.page, theme)
    panels.word.scroll_into_view_if_needed()
    found = {}
    panels.open_route("/items/<int:number>")
    panels.route.get_by_role("button", name="Send").click()
    expect(panels.answer).to_contain_text("200 OK")
    found["routes"] = violations(shop.page, ".flaskserve-panels")
    panels.show("Requests")
    panels.open("/divide/0")
    expect(panels.details).to_contain_text("ZeroDivisionError")
    found["requests"] = violations(shop.page, ".flaskserve-panels")
    panels.show("Preview")
    expect(panels.frame.get_by_role("heading")).to_be_visible()
    found["preview"] = violations(shop.page, ".flaskserve-panels")
    assert {title: faults for title, faults in found.items() if faults} == {}


def test_forced_colors_leave_every_text_visible(
    shop: Shop, panels: Panels, contrast: Callable[[Locator], float]
) -> None:
    send_secrets(shop)
    panels.show("Requests")
    panels.open("/divide/0")
    shop.page.emulate_media(forced_colors="active")
    try:
        texts = panels.root.locator(
            ".flaskserve-panel:visible button:visible, .flaskserve-panel:visible th:visible,"
            " .flaskserve-path:visible, .flaskserve-bad:visible, [role=gridcell]:visible,"
            " .lm-TabBar-tabLabel:visible, .flaskserve-panel:visible p:visible"
        )
        assert texts.count() > 10
        hard = [text.inner_text() for text in texts.all() if contrast(text) < 4.5]
        assert hard == []
    finally:
        shop.page.emulate_media(forced_colors="none")


# Other tabs, and pages that are loaded again


def test_two_tabs_are_both_live_and_share_what_is_cleared(shop: Shop, panels: Panels) -> None:
    assert shop.notebook.save() == 200
    panels.show("Requests")
    tab = shop.page.context.new_page()
    try:
        tab.goto(f"{shop.server.url}lab/tree/{shop.notebook.path}?reset&token={shop.server.token}")
        other = shop.panels(page=tab)
        expect(other.word).to_have_text("serving")
        other.show("Requests")
        shop.client.get("items/both")
        for each in (panels, other):
            expect(each.row("/items/both")).to_be_visible()
        other.requests.get_by_role("button", name="Clear").click()
        for each in (panels, other):
            expect(each.requests).to_contain_text("No request yet")
        shop.client.get("items/after")
        for each in (panels, other):
            expect(each.row("/items/after")).to_be_visible()
            expect(each.foot).to_contain_text("1 request")
    finally:
        tab.close()


def test_after_the_page_is_loaded_again_the_panels_are_live(shop: Shop, panels: Panels) -> None:
    assert shop.notebook.save() == 200
    shop.client.get("items/before")
    shop.page.reload()
    shop.notebook.wait_for_kernel()
    expect(panels.word).to_have_text("serving")
    panels.show("Requests")
    expect(panels.row("/items/before")).to_be_visible()
    shop.client.get("items/after")
    expect(panels.row("/items/after")).to_be_visible()
    # What stands alone in another cell too.
    other = shop.panels(OTHER)
    other.requests.scroll_into_view_if_needed()
    expect(other.row("/items/after")).to_be_visible()


def test_after_a_restart_all_panels_say_so_and_go_on_by_themselves(
    shop: Shop, panels: Panels
) -> None:
    panels.show("Requests")
    shop.client.get("items/before")
    expect(panels.row("/items/before")).to_be_visible()
    other = shop.panels(OTHER)
    shop.notebook.restart()
    panels.word.scroll_into_view_if_needed()
    expect(panels.word).to_have_text("kernel ended")
    expect(panels.requests).to_contain_text("Run the cell with %flaskserve app again")
    other.requests.scroll_into_view_if_needed()
    expect(other.requests).to_contain_text("Run the cell with %flaskserve app again")

    shop.runs = 0
    for cell in (0, 1, MAIN):
        shop.runs += 1
        shop.notebook.run(cell, shop.runs)
    panels.word.scroll_into_view_if_needed()
    expect(panels.word).to_have_text("serving")
    shop.client.get("items/again")
    panels.show("Requests")
    expect(panels.row("/items/again")).to_be_visible()
    # The other cell was not run: its panel is of the kernel that has ended, and goes on.
    other.requests.scroll_into_view_if_needed()
    expect(other.row("/items/again")).to_be_visible()
    expect(other.foot).to_contain_text("1 request")
    expect(other.foot).to_contain_text("The kernel was restarted: what was before is gone.")
    shop.client.get("items/more")
    expect(other.row("/items/more")).to_be_visible()


# The notebook's file


def added_by_us(file: Path) -> tuple[int, int]:
    """How many bytes the panels and the line take in a notebook: in outputs, in saved state."""
    content = json.loads(file.read_text())
    outputs = content["cells"][MAIN]["outputs"]
    state = content["metadata"].get("widgets", {})
    return len(json.dumps(outputs)), len(json.dumps(state)) if state else 0


@pytest.fixture(scope="module")
def saved(opened: Shop) -> dict[str, Path]:
    """The notebook after traffic with secrets, as saved: ``plain``, and ``state`` with the state of
    its widgets. Its kernel has ended."""
    opened.tidy()
    panels = opened.panels()
    panels.word.scroll_into_view_if_needed()
    panels.show("Requests")
    send_secrets(opened)
    panels.open("/login?access_token=********")
    panels.part("Request")
    panels.details.get_by_role("button", name="Show secrets").click()
    expect(panels.details).to_contain_text("hush-basic")
    files = {}
    for kind in ("plain", "state"):
        if kind == "state":
            page = opened.page
            page.get_by_role("menubar").get_by_text("Settings", exact=True).click()
            page.get_by_role("menu").get_by_text("Save Widget State Automatically").click()
        opened.notebook.edit(SPARE)
        opened.page.keyboard.type(" ")
        assert opened.notebook.save() == 200
        files[kind] = opened.server.notebooks / f"{kind}.ipynb"
        shutil.copy(opened.file, files[kind])
    opened.page.close()
    opened.server.end_sessions()
    return files


def test_the_notebook_file_grows_little_and_has_no_secret(
    saved: dict[str, Path], opened: Shop
) -> None:
    cookies = {
        str(cookie.get("value"))
        for cookie in opened.page.context.cookies()
        if len(str(cookie.get("value"))) > 8
    }
    for kind, file in saved.items():
        outputs, state = added_by_us(file)
        assert outputs < 4096
        assert (state > 0) == (kind == "state")
        assert state < 40 * 1024
        content = json.loads(file.read_text())
        for cell in content["cells"]:
            cell["source"] = ""  # the app's own, which has its key in it
        text = json.dumps(content)
        assert NAME in text
        assert SECRET not in text
        assert opened.server.token not in text
        assert not [cookie for cookie in cookies if cookie in text]
        assert "<script" not in text


@pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted", "untrusted"])
def test_a_saved_notebook_without_its_kernel_says_what_was_there(
    saved: dict[str, Path], opened: Shop, context: BrowserContext, is_trusted: bool
) -> None:
    server = opened.server
    word = "trusted" if is_trusted else "untrusted"
    page = context.new_page()
    page.goto(f"{server.url}lab?reset&token={server.token}")
    try:
        for kind, file in saved.items():
            name = f"{kind}-{word}.ipynb"
            content: Any = nbformat.read(file, as_version=4)
            content.metadata["name"] = name  # nobody has signed this one
            nbformat.write(content, server.notebooks / name)
            if is_trusted:
                server.http.post(f"api/contents/{name}/trust").raise_for_status()
            page.get_by_role("button", name="Refresh").or_(
                page.locator("[data-command='filebrowser:refresh']")
            ).first.click()
            page.locator(".jp-DirListing-item", has_text=name).dblclick()
            document = page.locator(".jp-NotebookPanel:visible")
            output = document.locator(".jp-CodeCell").nth(MAIN).locator(".jp-OutputArea-output")
            output.first.scroll_into_view_if_needed()
            expect(output.first).to_contain_text(f"/flaskserve/{NAME}/")
            expect(output.first).to_contain_text(f"%flaskserve stop {NAME}")
            if is_trusted and kind == "state":
                # The widgets are there, and say themselves that nobody answers them.
                expect(output.nth(1)).to_contain_text("The kernel has ended")
            elif not is_trusted:
                expect(output.nth(1)).to_contain_text("Run this cell to see it live.")
                expect(output.nth(1)).not_to_contain_text("Error displaying widget")
            page.keyboard.press("Escape")
    finally:
        page.close()
        server.end_sessions()


def test_nbconvert_shows_the_line_and_runs_nothing_of_ours(
    saved: dict[str, Path], opened: Shop, tmp_path: Path
) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "nbconvert",
            "--to",
            "html",
            "--output-dir",
            tmp_path,
            saved["plain"],
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    page = (tmp_path / "plain.html").read_text()
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert re.search(rf"{NAME}: +/user/ann/flaskserve/{NAME}/", text)
    assert f"The panels of {NAME}. Run this cell to see it live." in text
    scripts = re.findall(r"<script\b.*?</script>", page, re.DOTALL)
    assert not [script for script in scripts if "flaskserve" in script]
    assert opened.server.token not in page
    assert not set(re.findall(r"hush-\w+", page)) - set(re.findall(r"hush-\w+", APP))


# Notebook 7


def make_narrow(page: Page, panel: Locator, width: int) -> None:
    """Make the window so narrow that the panel has this width."""
    window = 1280
    for _ in range(10):  # margins may become narrower too
        is_now = round(panel.evaluate("panel => panel.getBoundingClientRect().width"))
        if is_now == width:
            return
        window += width - is_now
        page.set_viewport_size({"width": window, "height": 900})
        page.wait_for_timeout(200)
    raise AssertionError(f"The panel is {is_now} pixels wide.")


def test_notebook_7_shows_live_panels_also_in_a_narrow_column(
    context: BrowserContext, server: JupyterServer
) -> None:
    front_end: FrontEnd = "notebook"
    page = context.new_page()
    try:
        cells = [*CELLS[:2], "%flaskserve app --name narrow"]
        notebook = Notebook(page, server, front_end, "Narrow.ipynb", cells)
        notebook.run_all()
        panels = Panels(page, notebook.cells.nth(MAIN))
        expect(panels.word).to_have_text("serving")
        panels.show("Requests")
        client = server.client("narrow")
        assert client.get("items/1").status_code == 200
        expect(panels.row("/items/1")).to_be_visible()

        make_narrow(page, panels.requests, 340)
        client.get("divide/0")
        for title, panel in (
            ("Requests", panels.requests),
            ("Routes", panels.routes),
            ("Preview", panels.preview),
        ):
            panels.show(title)
            expect(panel.get_by_role("button").first).to_be_visible()
            assert page.evaluate(
                "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            )
            beyond = panel.evaluate(
                """panel => [...panel.querySelectorAll("button, input, select, a")].filter(
                  control => {
                  const box = control.getBoundingClientRect();
                  return box.width > 0 && box.right > panel.getBoundingClientRect().right + 1;
                }).map(control => control.outerHTML)"""
            )
            assert beyond == []
        panels.show("Requests")
        details = panels.open("/divide/0")
        expect(details).to_contain_text("ZeroDivisionError")
        for name in ("Replay", "Edit and resend", "Copy…", "Close the details"):
            expect(details.get_by_role("button", name=name)).to_be_in_viewport()
        details.get_by_role("button", name="Close the details").click()
        expect(panels.row("/divide/0")).to_be_visible()
    finally:
        page.close()
        server.end_sessions()
