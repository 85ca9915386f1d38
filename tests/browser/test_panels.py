"""The header and the preview of a mount, and what all panels share: on a page of their own, and in
a real JupyterLab."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, Request, expect

if TYPE_CHECKING:
    from conftest import Answered, PanelPage
    from front_ends import FrontEnd, JupyterServer, Notebook

    OpenNotebook = Callable[[JupyterServer, FrontEnd, list[str]], Notebook]

THEMES = ("light", "dark", "dark-high-contrast")


def take_away_inspector(panel_page: PanelPage, status: int, code: str) -> None:
    """Let Jupyter Server answer in the place of the inspector."""
    body = json.dumps({"status": status, "error": code, "message": "…"})
    panel_page.page.route(
        f"{panel_page.origin}{panel_page.inspector}*",
        lambda route: route.fulfill(status=status, body=body),
    )


def bring_back_inspector(panel_page: PanelPage) -> None:
    panel_page.page.unroute(f"{panel_page.origin}{panel_page.inspector}*")


def wait_for(page: Page, condition: Callable[[], object]) -> None:
    """Wait until a condition holds, and let what the page asks be answered meanwhile."""
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(50)
    assert condition()


# All panels


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["header", "preview"])
def test_panels_have_no_fault_that_axe_finds(panel_page: PanelPage, name: str, theme: str) -> None:
    panel_page.app = pages
    panel_page.show(name, theme=theme)
    expect(panel_page.root.get_by_role("link").first).to_be_visible()
    assert not panel_page.violations()


@pytest.mark.parametrize("name", ["header", "preview"])
def test_a_narrow_panel_is_not_wider_than_its_place(panel_page: PanelPage, name: str) -> None:
    panel_page.app = pages
    panel_page.show(name, width=260)
    wide = panel_page.root.evaluate(
        """root => [...root.querySelectorAll("*")].filter(
          part => part.getBoundingClientRect().right > 261 && getComputedStyle(part).position
            !== "absolute").map(part => part.outerHTML)"""
    )
    assert wide == []


def test_keys_stay_in_the_panel(panel_page: PanelPage) -> None:
    panel_page.show("header")
    expect(panel_page.root).to_have_attribute("data-lm-suppress-shortcuts", "true")


def test_a_panel_comes_by_message_where_the_page_has_another_origin(panel_page: PanelPage) -> None:
    panel_page.answers["link"] = {"link": "http://127.0.0.1:1234/flaskserve/demo/?ticket=1"}
    panel_page.show("header", other_origin=True, url="http://127.0.0.1:1234/flaskserve/demo/")
    expect(panel_page.root).to_contain_text("serving")
    expect(panel_page.root).to_contain_text("http://127.0.0.1:1234/flaskserve/demo/")
    assert panel_page.page.evaluate("model.sent.map(message => message.path)")[0].startswith(
        "modules/header.js?v="
    )
    with panel_page.page.context.expect_page() as opened:
        panel_page.root.get_by_role("link", name="Open").click()
    assert opened.value.evaluate("opener") is None
    assert ("GET", "link", None) in panel_page.asked


def test_nobody_is_asked_for_a_panel_that_cannot_be_seen(panel_page: PanelPage) -> None:
    page, asked = panel_page.page, panel_page.asked
    page.clock.install()
    panel_page.show("header")
    expect(panel_page.root).to_contain_text("serving")
    for _ in range(2):
        before = len(asked)
        page.clock.run_for(6000)
        wait_for(page, lambda before=before: len(asked) > before)
    panel_page.root.evaluate("root => { root.style.display = 'none'; }")
    page.wait_for_timeout(500)
    before = len(asked)
    for _ in range(5):
        page.clock.run_for(6000)
        panel_page.tell_news(last=5)
        page.wait_for_timeout(100)
    assert len(asked) == before
    panel_page.root.evaluate("root => { root.style.display = ''; }")
    wait_for(page, lambda: len(asked) > before)


def test_a_panel_says_so_when_nothing_can_be_asked(panel_page: PanelPage) -> None:
    panel_page.is_reachable = False
    panel_page.show("header", messages_fail=True)
    expect(panel_page.root).to_have_text(
        "The panel header of demo. Run this cell to see it live. The kernel cannot be reached."
    )


# The header


def test_the_header_says_what_is_served_and_where(panel_page: PanelPage) -> None:
    panel_page.show("header")
    expect(panel_page.root).to_contain_text("serving")
    link = panel_page.root.get_by_role("link", name=panel_page.address)
    expect(link).to_have_attribute("href", panel_page.origin + panel_page.address)
    for name in (panel_page.address, "Open"):
        link = panel_page.root.get_by_role("link", name=name)
        expect(link).to_have_attribute("rel", "noopener")
        expect(link).to_have_attribute("target", "_blank")


def test_the_header_tells_of_the_last_failure(panel_page: PanelPage) -> None:
    text = "ZeroDivisionError in Cell In[3], line 4"
    panel_page.answers["state"]["failure"] = {"number": 7, "text": text}
    panel_page.show("header")
    expect(panel_page.root).to_contain_text(f"A view failed: {text} · %flaskserve debug demo")
    assert not panel_page.violations()


def test_the_link_is_copied(panel_page: PanelPage) -> None:
    panel_page.show("header")
    panel_page.root.get_by_role("button", name="Copy link").click()
    expect(panel_page.root.get_by_role("button", name="Copied")).to_be_visible()
    panel_page.page.evaluate(
        "document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))"
    )
    panel_page.page.locator("#paste").press("Control+v")
    expect(panel_page.page.locator("#paste")).to_have_value(panel_page.origin + panel_page.address)


def test_stopping_is_asked_about_once(panel_page: PanelPage) -> None:
    panel_page.answers["stop"] = {"stopped": True}
    panel_page.show("header")
    stop = panel_page.root.get_by_role("button", name="Stop…")
    for refuse in ("Keep", None):
        stop.click()
        expect(panel_page.root.get_by_role("group", name="Stop demo?")).to_be_visible()
        if refuse:
            panel_page.root.get_by_role("button", name=refuse).click()
        else:
            panel_page.page.keyboard.press("Escape")
        expect(stop).to_be_focused()
    assert [path for _, path, _ in panel_page.asked if path == "stop"] == []
    stop.press("Enter")
    assert not panel_page.violations()
    panel_page.page.keyboard.press("Enter")
    expect(panel_page.root.locator(".flaskserve-word")).to_have_text("stopped")
    assert [path for _, path, _ in panel_page.asked if path == "stop"] == ["stop"]
    expect(stop).to_be_disabled()
    assert not panel_page.violations()


@pytest.mark.parametrize("theme", THEMES)
def test_a_button_under_the_pointer_can_be_read(
    panel_page: PanelPage, contrast: Callable[[Locator], float], theme: str
) -> None:
    panel_page.show("header", theme=theme)
    panel_page.root.get_by_role("button", name="Stop…").click()
    stop = panel_page.root.get_by_role("button", name="Stop", exact=True)
    stop.hover()
    assert contrast(stop) >= 4.5


def test_a_mount_that_was_stopped_elsewhere_is_shown_as_stopped(panel_page: PanelPage) -> None:
    panel_page.show("header")
    panel_page.tell_news(stopped=True)
    expect(panel_page.root.locator(".flaskserve-word")).to_have_text("stopped")


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        (503, "kernel-stopped", "The kernel has ended. Run the cell with %flaskserve app again"),
        (403, "", "Log in again in another tab"),
        (404, "not-found", "demo is not served any more."),
    ],
)
def test_a_lost_connection_is_told_and_it_goes_on_by_itself(
    panel_page: PanelPage, status: int, code: str, text: str
) -> None:
    panel_page.page.clock.install()
    panel_page.show("header")
    expect(panel_page.root).to_contain_text("serving")
    take_away_inspector(panel_page, status, code)
    panel_page.tell_news()
    expect(panel_page.root.locator(".flaskserve-notice")).to_contain_text(text)
    expect(panel_page.root.locator(".flaskserve-word")).not_to_have_text("serving")
    panel_page.answers["state"]["generation"] = "two"
    bring_back_inspector(panel_page)
    panel_page.page.clock.run_for(2500)
    expect(panel_page.root.locator(".flaskserve-word")).to_have_text("serving")
    expect(panel_page.root.locator(".flaskserve-notice")).to_be_hidden()


# The preview


def pages(request: Request) -> Answered:
    """A small site."""
    path = "/" + request.url.partition("/flaskserve/demo/")[2]
    html = {"Content-Type": "text/html"}
    start = '<html lang="en"><title>Site</title>'
    if path == "/refuses":
        return 200, {**html, "X-Frame-Options": "DENY"}, f"{start}<h1>refuses</h1>".encode()
    if path == "/leave":
        script = "<script>top.location = 'http://other.test/';</script>"
        return 200, html, f"{start}<h1>leave</h1>{script}".encode()
    links = (
        "<a href='about'>About</a> <a href='http://other.test/'>Elsewhere</a>"
        " <a href='/'>Jupyter</a>"
    )
    form = "<form method=post action=sign><button>Sign</button></form>"
    tall = "<div style='height: 3000px'></div>"
    return (
        200,
        html,
        f"{start}<h1>{request.method} {path}</h1>{links}{form}{tall}</html>".encode(),
    )


@pytest.fixture
def frame(panel_page: PanelPage) -> FrameLocator:
    """The frame of a preview of a small site."""
    panel_page.app = pages
    panel_page.page.route(
        "http://other.test/**", lambda route: route.fulfill(body="<h1>other</h1>")
    )
    panel_page.show("preview")
    frame = panel_page.page.frame_locator("iframe[title='Preview of demo']")
    expect(frame.get_by_role("heading")).to_have_text("GET /")
    return frame


def go_to(page: Page, path: str) -> None:
    field = page.get_by_label("Path under /base/flaskserve/demo/")
    field.fill(path)
    field.press("Enter")


def address_bar(page: Page) -> object:
    return expect(page.get_by_label("Path under /base/flaskserve/demo/"))


def test_the_preview_goes_where_it_is_told_and_back_and_forward(
    panel_page: PanelPage, frame: FrameLocator
) -> None:
    page, heading = panel_page.page, frame.get_by_role("heading")
    places = page.evaluate("history.length")
    go_to(page, "/users?page=2")
    expect(heading).to_have_text("GET /users?page=2")
    go_to(page, "about")
    expect(heading).to_have_text("GET /about")
    page.get_by_role("button", name="Back").click()
    expect(heading).to_have_text("GET /users?page=2")
    address_bar(page).to_have_value("/users?page=2")
    page.get_by_role("button", name="Back").click()
    expect(heading).to_have_text("GET /")
    expect(page.get_by_role("button", name="Back")).to_be_disabled()
    page.get_by_role("button", name="Forward").click()
    expect(heading).to_have_text("GET /users?page=2")
    expect(page.get_by_role("link", name="Open this page in a new tab")).to_have_attribute(
        "href", f"{panel_page.origin}{panel_page.address}users?page=2"
    )
    assert page.evaluate("history.length") == places
    assert page.url == f"{panel_page.origin}/"


def test_the_address_follows_links_of_the_app(panel_page: PanelPage, frame: FrameLocator) -> None:
    page, heading = panel_page.page, frame.get_by_role("heading")
    frame.get_by_role("link", name="About").click()
    address_bar(page).to_have_value("/about")
    page.get_by_role("button", name="Back").click()
    expect(heading).to_have_text("GET /")
    frame.locator("body").evaluate("() => history.pushState(null, '', 'pushed')")
    address_bar(page).to_have_value("/pushed")


@pytest.mark.parametrize("text", ["http://other.test/", "javascript:alert(1)", "/../../lab"])
def test_only_pages_of_the_app_are_shown(
    panel_page: PanelPage, frame: FrameLocator, text: str
) -> None:
    go_to(panel_page.page, text)
    expect(panel_page.root.locator(".flaskserve-notice")).to_have_text(
        "Only pages of demo can be shown here. Type a path such as /about."
    )
    expect(frame.get_by_role("heading")).to_have_text("GET /")
    assert not panel_page.violations()


def test_a_page_that_cannot_be_shown_says_so_and_back_comes_back(
    panel_page: PanelPage, frame: FrameLocator
) -> None:
    notice = panel_page.root.locator(".flaskserve-notice")
    go_to(panel_page.page, "/refuses")
    expect(notice).to_contain_text("This page cannot be shown here")
    panel_page.page.get_by_role("button", name="Back").click()
    expect(frame.get_by_role("heading")).to_have_text("GET /")
    expect(notice).to_be_hidden()
    frame.get_by_role("link", name="Elsewhere").click()
    expect(notice).to_contain_text("This page cannot be shown here")
    panel_page.page.get_by_role("button", name="Reload").click()
    expect(frame.get_by_role("heading")).to_have_text("GET /")


def test_pages_of_jupyter_itself_are_not_opened_in_it(
    panel_page: PanelPage, frame: FrameLocator
) -> None:
    frame.get_by_role("link", name="Jupyter").click()
    expect(panel_page.root.locator(".flaskserve-notice")).to_contain_text(
        "This page cannot be shown here"
    )
    wait_for(panel_page.page, lambda: panel_page.page.frames[1].url == "about:blank")
    panel_page.page.get_by_role("button", name="Reload").click()
    expect(frame.get_by_role("heading")).to_have_text("GET /")


def test_a_page_cannot_take_the_notebook_away(panel_page: PanelPage, frame: FrameLocator) -> None:
    go_to(panel_page.page, "/leave")
    expect(frame.get_by_role("heading")).to_have_text("leave")
    panel_page.page.wait_for_timeout(500)
    assert panel_page.page.url == f"{panel_page.origin}/"


def test_a_change_of_the_app_loads_the_page_again_where_it_was(
    panel_page: PanelPage, frame: FrameLocator
) -> None:
    loads: list[str] = []
    panel_page.app = lambda request: (loads.append(request.method), pages(request))[1]
    go_to(panel_page.page, "/about")
    expect(frame.get_by_role("heading")).to_have_text("GET /about")
    frame.locator("body").evaluate("() => scrollTo(0, 700)")
    loads.clear()
    panel_page.tell_news(last=9)
    panel_page.page.wait_for_timeout(300)
    assert loads == []
    panel_page.tell_news(revision=2)
    wait_for(panel_page.page, lambda: loads == ["GET"])
    wait_for(panel_page.page, lambda: frame.locator("body").evaluate("() => scrollY") == 700)
    panel_page.page.get_by_label("Reload when a cell changes the app").uncheck()
    panel_page.tell_news(revision=3)
    panel_page.page.wait_for_timeout(500)
    assert loads == ["GET"]


def test_a_form_is_not_sent_again(panel_page: PanelPage, frame: FrameLocator) -> None:
    loads: list[str] = []
    panel_page.app = lambda request: (loads.append(request.method), pages(request))[1]
    frame.get_by_role("button", name="Sign").click()
    expect(frame.get_by_role("heading")).to_have_text("POST /sign")
    panel_page.page.get_by_role("button", name="Reload").click()
    expect(frame.get_by_role("heading")).to_have_text("GET /sign")
    assert loads == ["POST", "GET"]


def test_widths_are_those_of_devices_and_fit_into_the_panel(
    panel_page: PanelPage, frame: FrameLocator
) -> None:
    page, body = panel_page.page, frame.locator("body")
    place = page.locator("iframe")

    def inner_width() -> object:
        return body.evaluate("() => innerWidth")

    for name, width in (("Phone", 390), ("Tablet", 820)):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
        assert inner_width() == width
        box = place.bounding_box()
        assert box is not None
        assert box["width"] == pytest.approx(min(width, 800), abs=1)
        assert box["height"] > 150
    page.get_by_role("button", name="Full").click()
    assert inner_width() == 800


def test_a_preview_in_a_page_of_another_origin_says_where_to_look(panel_page: PanelPage) -> None:
    panel_page.show("preview", other_origin=True, url="http://127.0.0.1:1234/flaskserve/demo/")
    expect(panel_page.root).to_contain_text("cannot be shown in it")
    expect(panel_page.root.get_by_role("link")).to_have_attribute(
        "href", "http://127.0.0.1:1234/flaskserve/demo/"
    )
    assert panel_page.page.locator("iframe").count() == 0
    assert not panel_page.violations()


# In JupyterLab


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("any_server", ["/user/ann/"], indirect=True)
def test_header_and_preview_in_jupyterlab(
    any_server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    lesson[2] += "\n%flaskserve requests"
    lesson.append("app.requests = len(__import__('jupyter_flaskserve').mounts()[0].requests)")
    lesson.append("print('asked', app.requests)")
    notebook = open_notebook(any_server, "lab", lesson)
    notebook.run_all()
    page, output = notebook.page, notebook.output(2)
    panel = output.nth(1)
    expect(output.nth(0)).to_contain_text("/flaskserve/demo/")
    expect(panel.locator(".flaskserve-word")).to_have_text("serving")
    header = panel.locator(".flaskserve-header")
    expect(header).to_have_css("background-color", "rgba(0, 0, 0, 0)")  # the notebook's own
    # Nothing has been asked of the app until the preview is seen.
    expect(notebook.output(4)).to_have_text("asked 0\n")
    panel.get_by_role("tab", name="Preview").click()
    frame = page.frame_locator("iframe[title='Preview of demo']")
    expect(frame.get_by_role("heading")).to_have_text("Guest book")

    # Keys stay in it: none of these is a command of JupyterLab.
    cells = notebook.cells.count()
    panel.get_by_role("button", name="Phone").focus()
    for key in ("b", "a", "x", "d", "d", "j", "0", "0"):
        page.keyboard.press(key)
    panel.get_by_role("tab", name="Preview").focus()
    for key in ("b", "a", "x", "d", "d"):
        page.keyboard.press(key)
    expect(notebook.cells).to_have_count(cells)
    expect(page.locator(".jp-Dialog")).to_have_count(0)

    # It follows a cell that changes the app, and works while a cell runs.
    notebook.write(1, lesson[1].replace("Guest book", "Visitors"))
    notebook.start(1)
    expect(frame.get_by_role("heading")).to_have_text("Visitors")
    notebook.write(4, "import time\nwhile 'Bob' not in guests:\n    time.sleep(0.1)")
    notebook.start(4)
    expect(notebook.prompt(4)).to_have_text("[*]:")
    for guest in ("Ann", "Bob"):
        expect(notebook.prompt(4)).to_have_text("[*]:")
        frame.get_by_label("Name").fill(guest)
        frame.get_by_role("button", name="Sign").click()
        expect(frame.locator("p")).to_contain_text(guest)
    expect(panel.get_by_label("Path under")).to_have_value("/")  # where the redirect led
    notebook.wait_for_kernel()

    # The page is loaded again.
    assert notebook.save() == 200
    page.reload()
    page.get_by_role("tab", name="Preview").last.click()
    expect(frame.get_by_role("heading")).to_have_text("Visitors")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_panels_outlive_a_kernel_in_jupyterlab(
    server: JupyterServer, open_notebook: OpenNotebook, lesson: list[str]
) -> None:
    lesson.append("from jupyter_flaskserve import serve\nserve(app, 'demo')")
    notebook = open_notebook(server, "lab", lesson)
    notebook.run_all()
    panel = notebook.output(2).nth(1)
    word = panel.locator(".flaskserve-word")
    expect(word).to_have_text("serving")
    notebook.restart()
    word.scroll_into_view_if_needed()
    expect(word).to_have_text("kernel ended")
    expect(panel).to_contain_text("Run the cell with %flaskserve app again")
    # Another cell serves the app under that name: the panel goes on, though no message reaches it.
    for cell in (0, 1, 3):
        notebook.start(cell)
    word.scroll_into_view_if_needed()
    expect(word).to_have_text("serving")
    panel.get_by_role("tab", name="Preview").click()
    frame = notebook.page.frame_locator("iframe[title='Preview of demo']")
    expect(frame.get_by_role("heading")).to_have_text("Guest book")
    notebook.write(1, lesson[1].replace("Guest book", "Visitors"))
    notebook.start(1)
    panel.get_by_role("button", name="Phone").scroll_into_view_if_needed()
    expect(frame.get_by_role("heading")).to_have_text("Visitors")
    panel.get_by_role("button", name="Stop…").click()
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(word).to_have_text("stopped")
