"""Fixtures: Chromium, and the front ends of a real Jupyter Server as a person uses them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    Route,
    expect,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from chromium import start_chromium
from front_ends import MILLISECONDS, FrontEnd, JupyterServer, Notebook
from jupyter_processes import Kernel, Server

from jupyter_flaskserve.widgets import modules

# Paints the grounds of an element and of all it is in, then its text: [ground, text] as RGB.
_COLORS = """element => {
  const grounds = [];
  for (let part = element; part; part = part.parentElement) {
    grounds.unshift(getComputedStyle(part).backgroundColor);
  }
  const painter = new OffscreenCanvas(1, 1).getContext("2d");
  const paint = color => {
    painter.fillStyle = color;
    painter.fillRect(0, 0, 1, 1);
    return [...painter.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  paint("Canvas");
  return [grounds.map(paint).at(-1), paint(getComputedStyle(element).color)];
}"""

LESSON = [
    "%load_ext jupyter_flaskserve",
    """\
from flask import Flask, redirect, request, url_for
app = Flask("lesson")
guests = []

@app.get("/")
def book():
    return f'''
        <h1>Guest book</h1> <p>{", ".join(guests) or "nobody yet"}</p>
        <form method="post" action="{url_for("sign")}">
          <label>Name <input name="guest"></label> <button>Sign</button>
        </form>
        <a href="{url_for("about")}">About</a>'''

@app.post("/sign")
def sign():
    guests.append(request.form["guest"])
    return redirect(url_for("book"))

@app.get("/about")
def about():
    return f"<h1>About</h1> <a href='{url_for('book')}'>Back</a>"
""",
    "%flaskserve app --name demo",
]

expect.set_options(timeout=MILLISECONDS)


# A page with one panel and a model such as a notebook's widget manager gives it: what the panel
# sends to the kernel is in `model.sent`, and `model.receive()` is a message of the kernel.
_PANEL_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Panel</title>
<style>{theme}</style>
<style>body {{ background: var(--jp-layout-color0); margin: 0; }}</style></head>
<body data-jp-theme-light="{light}"><main><h1 hidden>Panel</h1>
<div id="panel" style="width: {width}px"></div></main>
<script type="module">
{loader}
</script></body></html>"""
_PANEL_LOADER = """
const state = STATE;
const listeners = new Map();
window.model = {
  sent: [],
  get: name => state[name],
  on: (name, callback) => listeners.set(name, [...(listeners.get(name) ?? []), callback]),
  off: (name, callback) => listeners.set(
    name, (listeners.get(name) ?? []).filter(other => callback && other !== callback)),
  send: message => {
    if (state.messages_fail) throw new Error("The comm is closed.");
    model.sent.push(message);
    if (message.kind === "ask" && window.askKernel) {
      window.askKernel(message.method, message.path, message.body).then(([status, headers, text]) =>
        model.receive(
          {kind: "answer", id: message.id, status, headers}, [new TextEncoder().encode(text)]));
    }
  },
  receive: (message, buffers = []) => {
    for (const callback of listeners.get("msg:custom") ?? []) callback(message, buffers);
  },
};
const widget = await import(URL.createObjectURL(new Blob([LOADER], {type: "text/javascript"})));
window.end = await widget.default.render({model, el: document.getElementById("panel")});
document.body.dataset.ready = "true";
"""
_THEMES = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")

Answered = tuple[int, dict[str, str], bytes]


class PanelPage:
    """A page with one panel, without a notebook and without a kernel.

    For tests of what a panel does with what it is told::

        def test_it_says_so(panel_page: PanelPage) -> None:
            panel_page.answers["routes"] = {"revision": 1, "is_flask": True, "routes": [...]}
            panel_page.app = lambda request: (200, {"Content-Type": "text/plain"}, b"hello")
            panel_page.show("routes")
            expect(panel_page.root).to_contain_text("/users/<int:id>")
            panel_page.answers["routes"] = {...}
            panel_page.tell_news(revision=2)
            assert panel_page.asked[-1] == ("GET", "routes", None)
            assert not panel_page.violations()

    :ivar page: the tab.
    :ivar answers: what the inspector answers, by the path after its own, without the query: an
        object that is sent as JSON, bytes, or a function that takes Playwright's request and
        returns one of these, or a status, headers and bytes. What is not here is a 404.
        ``state`` is here from the start.
    :ivar asked: what the inspector was asked: method, path with its query, JSON or ``None``.
    :ivar app: answers what is sent to the app's address, ``/flaskserve/demo/``: a function that
        takes Playwright's request and returns status, headers and bytes.
    :ivar is_reachable: whether anything but the page itself answers at all.

    With ``other_origin=True`` the inspector's answers come by messages; with ``messages_fail=True``
    there are none.
    """

    origin = "http://panels.test"
    inspector = "/base/api/flaskserve/inspector/demo/"
    address = "/base/flaskserve/demo/"

    def __init__(self, page: Page) -> None:
        self.page = page
        self.answers: dict[str, Any] = {
            "state": {
                "name": "demo",
                "path": self.address,
                "url": self.origin + self.address,
                "variable": "app",
                "notebook": "Lesson.ipynb",
                "stopped": False,
                "started": 1_700_000_000.0,
                "generation": "one",
                "revision": 1,
                "recording": True,
                "debug": False,
                "is_flask": True,
                "failure": None,
                "requests": {"first": 1, "last": 0, "kept": 0, "cleared": 0},
            }
        }
        self.asked: list[tuple[str, str, Any]] = []
        self.app: Callable[[Request], Answered] = lambda request: (404, {}, b"")
        self.is_reachable = True
        self._document = ""
        self._answers_messages = False
        page.route(f"{self.origin}/**", self._answer)

    @property
    def root(self) -> Locator:
        """The panel."""
        return self.page.locator("#panel")

    def show(
        self,
        name: str,
        *,
        width: int = 800,
        theme: Literal["light", "dark", "dark-high-contrast"] = "light",
        **traits: object,
    ) -> None:
        """Open the page and wait until the panel is there.

        :param name: ``header``, ``routes``, ``requests`` or ``preview``.
        :param width: of the panel, in pixels.
        :param theme: one of JupyterLab's.
        :param traits: the widget's, where they are others than usual.
        """
        state = {
            "mount": "demo",
            "inspector": self.inspector,
            "address": self.address,
            "url": self.origin + self.address,
            "module": name,
            "version": modules.version(name),
            "other_origin": False,
            **traits,
        }
        if state["other_origin"] and not self._answers_messages:
            self._answers_messages = True
            self.page.expose_function("askKernel", self._answer_message)
        loader = _PANEL_LOADER.replace("STATE", json.dumps(state))
        self._document = _PANEL_PAGE.format(
            theme=(_THEMES / f"theme-{theme}-extension" / "index.css").read_text(),
            light="true" if theme == "light" else "false",
            width=width,
            loader=loader.replace("LOADER", json.dumps(modules.loader())),
        )
        self.page.goto(f"{self.origin}/")
        expect(self.page.locator("body")).to_have_attribute("data-ready", "true")

    def tell_news(self, **news: object) -> None:
        """Send the message by which a kernel says that there is news.

        :param news: what is in it: ``last``, ``revision``, ``generation``, ``stopped``. What is
            left out is as in the state.
        """
        state = self.answers["state"]
        message = {
            "kind": "news",
            "last": state["requests"]["last"],
            "revision": state["revision"],
            "generation": state["generation"],
            "stopped": state["stopped"],
            **news,
        }
        self.page.evaluate("message => model.receive(message)", message)

    def violations(self) -> list[str]:
        """What axe finds in the panel, a line each; none is what is wanted."""
        results = Axe().run(self.page, context="#panel")
        return [
            f"{violation['id']}: {node['html']}: {node['failureSummary']}"
            for violation in results.response["violations"]
            for node in violation["nodes"]
        ]

    def _answer(self, route: Route) -> None:
        if not self.is_reachable and route.request.url != f"{self.origin}/":
            route.abort()
            return
        status, headers, body = self._response(route.request)
        route.fulfill(status=status, headers=headers, body=body)

    def _response(self, request: Request) -> Answered:
        path = request.url.removeprefix(self.origin)
        if path == "/":
            return 200, {"Content-Type": "text/html"}, self._document.encode()
        if path.startswith(self.address):
            return self.app(request)
        if not path.startswith(self.inspector):
            return 404, {}, b""
        return self._inspected(
            request.method, path.removeprefix(self.inspector), request.post_data, request
        )

    def _answer_message(
        self, method: str, path: str, body: str | None
    ) -> tuple[int, dict[str, str], str]:
        status, headers, content = self._inspected(method, path, body, None)
        return status, headers, content.decode()

    def _inspected(
        self, method: str, path: str, body: str | None, request: Request | None
    ) -> Answered:
        """What the inspector answers."""
        known = {"Flaskserve-Inspector": "demo"}
        if path.startswith("modules/"):
            file = path.removeprefix("modules/").partition("?")[0]
            panel, _, kind = file.partition(".")
            text = modules.module(panel) if kind == "js" else modules.stylesheet(panel)
            media_type = "text/javascript" if kind == "js" else "text/css"
            return 200, {**known, "Content-Type": media_type}, text.encode()
        self.asked.append((method, path, json.loads(body) if body else None))
        missing = {"error": "not-found", "message": f"There is no {path} here."}
        answer = self.answers.get(path.partition("?")[0], (404, {}, json.dumps(missing).encode()))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, tuple):
            status, headers, content = answer
            return status, {**known, **headers}, content
        if isinstance(answer, bytes):
            return 200, known, answer
        return 200, {**known, "Content-Type": "application/json"}, json.dumps(answer).encode()


@pytest.fixture
def panel_page(page: Page) -> PanelPage:
    """A page for one panel. What else it can is told by :class:`PanelPage`."""
    return PanelPage(page)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window and with an empty profile."""
    with start_chromium() as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of the test's own: no cookies, no history."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(MILLISECONDS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A tab."""
    return context.new_page()


@pytest.fixture(scope="session")
def _servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], JupyterServer]]:
    started: dict[str, JupyterServer] = {}

    def server_at(base_url: str) -> JupyterServer:
        if base_url not in started:
            directory = tmp_path_factory.mktemp("server")
            started[base_url] = JupyterServer(directory, base_url=base_url)
        return started[base_url]

    yield server_at
    for server in started.values():
        server.stop()


@pytest.fixture
def server(_servers: Callable[[str], JupyterServer]) -> Iterator[JupyterServer]:
    """A Jupyter Server with JupyterLab and Notebook 7."""
    server = _servers("/")
    yield server
    server.close_clients()
    server.end_sessions()


@pytest.fixture(params=["/", "/user/ann/"])
def any_server(
    request: pytest.FixtureRequest, _servers: Callable[[str], JupyterServer]
) -> Iterator[JupyterServer]:
    """The same at the root of its host, and where JupyterHub puts it."""
    server = _servers(request.param)
    yield server
    server.close_clients()
    server.end_sessions()


@pytest.fixture
def kernel(server: JupyterServer) -> Iterator[Kernel]:
    """A kernel with a notebook that is not open in any tab."""
    kernel = server.kernel("Lesson 1.ipynb")
    yield kernel
    kernel.disconnect()


@pytest.fixture
def open_notebook(page: Page) -> Callable[[JupyterServer, FrontEnd, list[str]], Notebook]:
    """Makes a notebook of some cells and opens it in the test's tab."""

    def open_(server: JupyterServer, front_end: FrontEnd, cells: list[str]) -> Notebook:
        return Notebook(page, server, front_end, "Lesson.ipynb", cells)

    return open_


@pytest.fixture
def lesson() -> list[str]:
    """The cells of a notebook that serves a guest book as ``demo``, in its last cell."""
    return list(LESSON)


@pytest.fixture
def contrast() -> Callable[[Locator], float]:
    """Tells how well the text of an element can be read: its contrast ratio (WCAG 2.2)."""

    def luminance(color: list[int]) -> float:
        red, green, blue = (
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (value / 255 for value in color)
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def ratio(element: Locator) -> float:
        ground, text = map(luminance, element.evaluate(_COLORS))
        return (max(ground, text) + 0.05) / (min(ground, text) + 0.05)

    return ratio


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the tabs show and the servers' logs beside a failure."""
    report = yield
    if report.failed and report.when == "call":
        arguments: dict[str, Any] = getattr(item, "funcargs", {})
        for tab in arguments["context"].pages if "context" in arguments else ():
            with contextlib.suppress(Exception):  # a tab that hangs has no picture
                file = arguments["request"].getfixturevalue("tmp_path") / f"{id(tab)}.png"
                tab.screenshot(path=file, timeout=5000)
                report.sections.append((f"tab {tab.url}", str(file)))
        for server in Server.running:
            report.sections.append(
                (f"log of the server on port {server.port}", server.log[-10_000:])
            )
    return report
