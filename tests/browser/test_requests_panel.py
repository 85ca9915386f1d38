"""The panel of requests, on a page of its own: the kernel's side is canned."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Request, expect

if TYPE_CHECKING:
    from conftest import Answered, PanelPage

_MASK = "********"
_PIECE = 64 * 1024
_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_PAGE = (
    b"<!doctype html><h1>Hello</h1><p id=run>not run</p><img src=/base/flaskserve/demo/seen.png>"
    b"<script>document.getElementById('run').textContent = 'run'; parent.hacked = true</script>"
)


class CannedKernel:
    """Answers the panel as a kernel does that keeps the requests that are added here.

    :ivar limit: how many it keeps.
    """

    def __init__(self, page: PanelPage) -> None:
        self.page = page
        self.limit = 1000
        self.generation = "one"
        self.rows: list[dict[str, Any]] = []
        self.last = 0
        self.cleared = 0
        self._details: dict[int, dict[str, Any]] = {}
        self._bodies: dict[tuple[int, str], bytes] = {}
        page.answers["rows"] = self._rows
        page.answers["clear"] = self._clear

    def add(self, path: str = "", **changes: object) -> int:
        """Add a request, and return its number. The page does not hear of it yet."""
        self.last += 1
        number = self.last
        row = {
            "n": number,
            "method": "GET",
            "path": path or f"/users/{number}",
            "status": 200,
            "ms": 12.3,
            "size": 1536,
            "at": 1_700_000_000 + number,
            "endpoint": "user",
            "kind": "http",
            "open": False,
            "failed": "",
            "in": 0,
            "out": 0,
            "tag": None,
        }
        self.rows.append({**row, **changes})
        del self.rows[: -self.limit]
        for name in ("", "/request-body", "/response-body"):
            answer = self._detail if name == "" else self._body
            self.page.answers[f"exchanges/{number}{name}"] = answer
        return number

    def change(self, number: int, **changes: object) -> None:
        """Let a request go on."""
        index = next(index for index, row in enumerate(self.rows) if row["n"] == number)
        self.rows[index] = {**self.rows[index], **changes}

    def describe(self, number: int, **changes: Any) -> None:
        """Say more of a request: what is given replaces what its details say otherwise."""
        self._details.setdefault(number, {}).update(changes)

    def set_body(
        self,
        number: int,
        data: bytes,
        kind: str,
        type: str,
        which: Literal["request-body", "response-body"] = "response-body",
        **changes: object,
    ) -> None:
        self._bodies[number, which] = data
        body = {**_body(len(data), kind, type), **changes}
        self.describe(number, **{which: body})

    def restart(self) -> None:
        self.generation += " more"
        self.rows, self.last, self.cleared = [], 0, 0

    def tell(self) -> None:
        """Let the page know that there is news."""
        self.page.answers["state"]["generation"] = self.generation
        self.page.answers["state"]["requests"]["last"] = self.last
        self.page.tell_news()

    def _rows(self, request: Request) -> dict[str, Any]:
        asked = request.post_data_json
        after = asked["after"] if asked["generation"] == self.generation else 0
        return {
            "generation": self.generation,
            "revision": 1,
            "stopped": False,
            "first": self.rows[0]["n"] if self.rows else self.last + 1,
            "last": self.last,
            "cleared": self.cleared,
            "rows": [
                row
                for row in self.rows
                if (row["n"] > after or row["n"] in asked["open"])
                and asked.get("tag") in (None, row["tag"])
            ],
        }

    def _clear(self, request: Request) -> dict[str, Any]:
        self.rows, self.cleared = [], self.last
        return {}

    def _detail(self, request: Request) -> Any:
        number = int(urlsplit(request.url).path.rpartition("/")[2])
        row = next((row for row in self.rows if row["n"] == number), None)
        if row is None:
            message = f"Request number {number} is not kept any more."
            return 404, {}, json.dumps({"error": "not-found", "message": message}).encode()
        reveal = "reveal=1" in request.url
        secret = ["secret-token", False] if reveal else [_MASK, True]
        more = dict(self._details.get(number, {}))
        empty = _body(0, "empty", "")
        return {
            "row": row,
            "request": {
                "method": row["method"],
                "url": f"http://panels.test/base/flaskserve/demo{row['path']}",
                "version": "HTTP/1.1",
                "client": "127.0.0.1",
                "headers": [["Accept", "*/*", False], ["Authorization", *secret]],
                "args": [["page", "2", False]],
                "cookies": [],
                "body": more.pop("request-body", empty),
            },
            "response": {
                "status": row["status"],
                "reason": "OK",
                "headers": [["Content-Type", "text/plain", False]],
                "cookies": [],
                "body": more.pop("response-body", empty),
            },
            "timing": {"queue_ms": 1.0, "view_ms": 8.0, "streaming_ms": 3.0, "total_ms": row["ms"]},
            "rule": "/users/<int:id>",
            "arguments": {"id": "7"},
            "output": {"text": "", "before": 0},
            "traceback": None,
            "session": None,
            "revealed": reveal,
            "has_secrets": True,
            "debug": f"%flaskserve debug demo {number}",
            **more,
        }

    def _body(self, request: Request) -> Answered:
        address = urlsplit(request.url)
        *_, number, which = address.path.split("/")
        query = {name: int(values[0]) for name, values in parse_qs(address.query).items()}
        data = self._bodies[int(number), which]
        piece = data[query["offset"] : query["offset"] + query["limit"]]
        return 200, {"Flaskserve-Total": str(len(data))}, piece


def _body(size: int, kind: str, type: str) -> dict[str, Any]:
    return {
        "size": size,
        "kept": size,
        "type": type,
        "charset": "",
        "kind": kind,
        "encoding": "",
        "masked": False,
        "fields": None,
    }


class RequestsPanel:
    """What a person sees of the panel."""

    def __init__(self, page: PanelPage) -> None:
        self.page = page.page
        self.root = page.root
        self.rows = page.root.locator(".flaskserve-grid-body [role=row]")
        self.details = page.root.get_by_role("region", name="Details of a request")
        self.foot = page.root.locator(".flaskserve-requests-foot")
        self.filter = page.root.get_by_role("searchbox")

    def row(self, text: str) -> Locator:
        path = re.compile(rf"^{re.escape(text)}(\?|$)")
        return self.rows.filter(has=self.page.locator(".flaskserve-path", has_text=path))

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def tab(self, name: str) -> Locator:
        return self.details.get_by_role("tab", name=name)

    def open(self, text: str) -> None:
        self.row(text).click()
        expect(self.tab("Response")).to_be_visible()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the rows that are in the page."""
        cells = self.rows.locator(".flaskserve-cell-number").all_text_contents()
        return [int(text) for text in cells]


@pytest.fixture
def kernel(panel_page: PanelPage) -> CannedKernel:
    return CannedKernel(panel_page)


@pytest.fixture
def panel(panel_page: PanelPage) -> RequestsPanel:
    return RequestsPanel(panel_page)


# The list


def test_a_row_says_what_a_request_was_and_what_became_of_it(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/users/7?page=2", method="POST", status=302, endpoint="users.show")
    panel_page.show("requests")
    expect(panel.row("/users/7")).to_contain_text("POST")
    for text in ("302", "users.show", "12 ms", "1.5 KiB"):
        expect(panel.row("/users/7")).to_contain_text(text)
    expect(panel.rows.locator(".flaskserve-cell-time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    expect(panel.foot).to_have_text("1 request")


def test_a_request_that_failed_says_with_what(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/divide/0", status=500, failed="ZeroDivisionError in Cell In[3], line 4")
    panel_page.show("requests")
    expect(panel.row("/divide/0")).to_contain_text("500")
    expect(panel.row("/divide/0")).to_contain_text("ZeroDivisionError in Cell In[3], line 4")


def test_only_the_rows_in_sight_are_in_the_page_and_say_which_they_are(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for _ in range(500):
        kernel.add()
    panel_page.show("requests")
    expect(panel.row("/users/500")).to_be_visible()
    assert panel.rows.count() < 40
    grid = panel.root.get_by_role("grid")
    expect(grid).to_have_attribute("aria-rowcount", "501")
    expect(panel.row("/users/500")).to_have_attribute("aria-rowindex", "501")
    grid.evaluate("grid => grid.scrollTop = 0")
    expect(panel.row("/users/1")).to_have_attribute("aria-rowindex", "2")
    assert panel.numbers == sorted(panel.numbers)


def test_the_list_follows_its_end_only_while_the_reader_is_there(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for _ in range(60):
        kernel.add()
    panel_page.show("requests")
    kernel.add()
    kernel.tell()
    expect(panel.row("/users/61")).to_be_in_viewport()

    panel.root.get_by_role("grid").evaluate("grid => grid.scrollTop = 280")
    expect(panel.row("/users/11")).to_be_in_viewport()
    before = panel.row("/users/11").bounding_box()
    for _ in range(12):
        kernel.add()
    kernel.tell()
    expect(panel.button("Go to 12 new requests")).to_have_text("12 new ↓")
    assert panel.row("/users/11").bounding_box() == before

    panel.button("Go to 12 new requests").press("Enter")
    expect(panel.row("/users/73")).to_be_in_viewport()
    expect(panel.row("/users/73")).to_be_focused()
    expect(panel.root.locator(".flaskserve-unseen")).to_be_hidden()


def test_the_reader_stays_where_they_are_when_the_oldest_rows_go(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.limit = 60
    for _ in range(60):
        kernel.add()
    panel_page.show("requests")
    expect(panel.row("/users/60")).to_be_visible()
    panel.root.get_by_role("grid").evaluate("grid => grid.scrollTop = 840")
    expect(panel.row("/users/31")).to_be_in_viewport()
    before = panel.row("/users/31").bounding_box()
    for _ in range(20):
        kernel.add()
    kernel.tell()
    expect(panel.foot).to_contain_text("20 earlier requests are no longer kept.")
    assert panel.row("/users/31").bounding_box() == before
    expect(panel.row("/users/31")).to_have_attribute("aria-rowindex", "12")


def test_requests_that_came_and_went_unseen_are_counted(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.limit = 10
    kernel.add()
    panel_page.show("requests")
    expect(panel.row("/users/1")).to_be_visible()
    for _ in range(350):
        kernel.add()
    kernel.tell()
    expect(panel.foot).to_contain_text(
        "340 requests were not shown: more came than are kept. 1 earlier request is no longer kept."
    )
    assert panel.numbers == list(range(342, 352))


def test_an_open_request_goes_on_in_its_row_and_its_details(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/events", kind="stream", open=True, ms=None, out=3)
    kernel.add("/chat", kind="websocket", status=101, open=True, ms=None, **{"in": 2, "out": 5})
    panel_page.show("requests")
    expect(panel.row("/events")).to_contain_text("stream ↓3")
    expect(panel.row("/events")).to_contain_text("open")
    expect(panel.row("/chat")).to_contain_text("WebSocket ↑2 ↓5")
    panel.open("/events")
    expect(panel.details).to_contain_text("open · 1.5 KiB · 3 chunks")

    kernel.change(number, out=40)
    kernel.tell()
    expect(panel.row("/events")).to_contain_text("↓40")
    expect(panel.details).to_contain_text("40 chunks")
    kernel.set_body(number, b"the end", "text", "text/plain")
    kernel.change(number, out=41, open=False, ms=5000.0)
    kernel.tell()
    expect(panel.row("/events")).to_contain_text("5.00 s")
    expect(panel.details).to_contain_text("the end")


def test_counts_of_what_is_open_are_kept_up_to_date_without_news(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/chat", kind="websocket", status=101, open=True, ms=None)
    panel_page.show("requests")
    expect(panel.row("/chat")).to_contain_text("WebSocket ↑0 ↓0")
    kernel.change(number, **{"in": 3, "out": 4})
    expect(panel.row("/chat")).to_contain_text("WebSocket ↑3 ↓4")

    panel.button("Pause").click()
    kernel.change(number, **{"in": 5, "out": 6})
    panel_page.page.wait_for_timeout(1500)
    expect(panel.row("/chat")).to_contain_text("WebSocket ↑3 ↓4")
    panel.button("Resume").click()
    kernel.change(number, open=False, ms=9000.0)
    expect(panel.row("/chat")).to_contain_text("9.00 s")
    questions = [path for _, path, _ in panel_page.asked].count("rows")
    panel_page.page.wait_for_timeout(2500)
    asked = [path for _, path, _ in panel_page.asked].count("rows")
    assert asked <= questions + 1, "nothing is open any more"


def test_pausing_keeps_the_list_and_counts_what_waits(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add()
    panel_page.show("requests")
    expect(panel.row("/users/1")).to_be_visible()
    panel.button("Pause").click()
    for _ in range(57):
        kernel.add()
    kernel.tell()
    expect(panel.foot).to_have_text("1 request · paused · 57 waiting")
    panel.button("Resume").click()
    expect(panel.foot).to_have_text("58 requests")


def test_clearing_forgets_the_requests_in_the_kernel_too(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    panel_page.show("requests")
    panel.open("/one")
    panel.button("Clear").click()
    expect(panel.root).to_contain_text("No request yet.")
    expect(panel.details).to_be_hidden()
    assert ("POST", "clear", {}) in panel_page.asked
    kernel.add("/two")
    kernel.tell()
    expect(panel.row("/two")).to_be_visible()
    expect(panel.foot).to_have_text("1 request")


def test_after_a_restart_of_the_kernel_the_list_begins_anew_and_says_so(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/before")
    panel_page.show("requests")
    panel.open("/before")
    kernel.restart()
    kernel.add("/after")
    kernel.tell()
    expect(panel.row("/after")).to_be_visible()
    expect(panel.row("/before")).to_have_count(0)
    expect(panel.details).to_be_hidden()
    expect(panel.foot).to_contain_text("The kernel was restarted: what was before is gone.")


def test_without_requests_the_panel_says_where_to_send_one(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    # The kernel's own word for it may be no address that a browser reaches.
    panel_page.show("requests", url="http://10.0.0.7:8888/base/flaskserve/demo/")
    expect(panel.root).to_contain_text("No request yet. Open")
    link = panel.root.get_by_role("link")
    expect(link).to_have_attribute("href", "http://panels.test/base/flaskserve/demo/")


def test_a_lost_connection_is_told_until_it_is_back(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    panel.page.clock.install()
    panel_page.show("requests")
    expect(panel.row("/one")).to_be_visible()
    panel_page.is_reachable = False
    panel.row("/one").click()
    loss = panel.root.locator(".flaskserve-notice-bad")
    expect(loss).to_contain_text("Jupyter Server does not answer.")
    expect(panel.details).to_contain_text("Jupyter Server does not answer.")
    expect(panel.row("/one")).to_be_visible()
    panel_page.is_reachable = True
    kernel.add("/two")
    panel.page.clock.fast_forward(2000)
    expect(panel.row("/two")).to_be_visible()
    expect(loss).to_be_hidden()
    expect(panel.tab("Response")).to_be_visible()


def test_new_requests_are_announced_now_and_then(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add()
    panel.page.clock.install()
    panel_page.show("requests")
    expect(panel.row("/users/1")).to_be_visible()
    for status in (200, 500, 404):
        kernel.add(status=status)
        kernel.tell()
    expect(panel.row("/users/4")).to_be_visible()
    panel.page.clock.fast_forward(3000)
    panel.page.clock.fast_forward(1000)
    expect(panel.root.locator("[aria-live=polite]")).to_have_text("3 new requests, 1 failed")


# Filter


def test_a_filter_narrows_the_list_as_it_is_typed(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for number in range(1, 31):
        kernel.add(method="POST" if number % 10 == 0 else "GET")
    kernel.add("/static/app.css", status=304, endpoint="static")
    kernel.add("/missing", status=404, endpoint=None)
    panel_page.show("requests")
    expect(panel.row("/missing")).to_be_visible()
    panel.filter.press_sequentially("static")
    expect(panel.foot).to_have_text("1 of 32 requests")
    expect(panel.rows).to_have_count(1)
    panel.filter.press("Escape")
    expect(panel.foot).to_have_text("32 requests")

    panel.root.get_by_label("Method", exact=True).select_option("POST")
    expect(panel.foot).to_have_text("3 of 32 requests")
    panel.root.get_by_label("Status", exact=True).select_option("4")
    expect(panel.root).to_contain_text("No request passes the filter.")
    kernel.add("/new", method="POST", status=400)
    kernel.tell()
    expect(panel.row("/new")).to_be_visible()
    panel.filter.fill("nothing like it")
    panel.button("Show all").click()
    expect(panel.foot).to_have_text("33 requests")


# The keyboard


def test_the_list_is_used_by_keyboard(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for _ in range(50):
        kernel.add()
    panel_page.show("requests")
    expect(panel.row("/users/50")).to_be_visible()
    keyboard = panel.page.keyboard
    panel.button("Export HAR…").focus()
    keyboard.press("Tab")
    expect(panel.row("/users/50")).to_be_focused()
    keyboard.press("ArrowUp")
    expect(panel.row("/users/49")).to_be_focused()
    keyboard.press("Home")
    expect(panel.row("/users/1")).to_be_focused()
    expect(panel.row("/users/1")).to_be_in_viewport()
    keyboard.press("PageDown")
    keyboard.press("PageUp")
    keyboard.press("ArrowDown")
    expect(panel.row("/users/2")).to_be_focused()
    expect(panel.root.locator(".flaskserve-grid-body [tabindex='0']")).to_have_count(1)

    keyboard.press("Enter")
    expect(panel.details).to_contain_text("/users/2")
    expect(panel.row("/users/2")).to_have_attribute("aria-selected", "true")
    expect(panel.details.get_by_role("heading")).to_be_focused()
    keyboard.press("Escape")
    expect(panel.details).to_be_hidden()
    expect(panel.row("/users/2")).to_be_focused()
    keyboard.press("/")
    expect(panel.filter).to_be_focused()


def test_a_focused_row_stays_under_the_focus_while_requests_come(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for _ in range(40):
        kernel.add()
    panel_page.show("requests")
    panel.row("/users/38").focus()
    before = panel.row("/users/38").bounding_box()
    for _ in range(30):
        kernel.add()
    kernel.tell()
    expect(panel.button("Go to 30 new requests")).to_be_visible()
    expect(panel.row("/users/38")).to_be_focused()
    assert panel.row("/users/38").bounding_box() == before


def test_keys_do_not_reach_the_notebook(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    panel_page.show("requests")
    panel.page.evaluate("""() => {
      window.leaked = [];
      document.body.addEventListener("keydown", event => leaked.push(event.key));
    }""")
    panel.row("/one").focus()
    for key in ("b", "x", "ArrowDown", "Enter", "d", "Escape", "j", "/", "a"):
        panel.page.keyboard.press(key)
    expect(panel.filter).to_have_value("a")
    assert panel.page.evaluate("leaked") == []
    expect(panel.root).to_have_attribute("data-lm-suppress-shortcuts", "true")


# Details


def test_details_tell_of_the_request_the_route_and_the_time_it_took(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/users/7?page=2")
    kernel.describe(number, output={"text": "loading\nWARNING: slow", "before": 0})
    panel_page.show("requests")
    panel.open("/users/7")
    expect(panel.tab("Response")).to_have_attribute("aria-selected", "true")
    panel.page.keyboard.press("Tab")
    panel.tab("Response").focus()
    panel.page.keyboard.press("ArrowRight")
    expect(panel.tab("Request")).to_be_focused()
    expect(panel.details.get_by_role("table", name="Query")).to_contain_text("page2")
    expect(panel.details.get_by_role("table", name="Request headers")).to_contain_text("Accept*/*")
    panel.tab("Output").click()
    expect(panel.details).to_contain_text("WARNING: slow")
    panel.tab("Overview").click()
    expect(panel.details).to_contain_text("/users/<int:id>")
    expect(panel.details.get_by_role("img")).to_have_attribute(
        "aria-label", "Queue 1.0 ms, View 8.0 ms, Streaming 3.0 ms"
    )


def test_what_a_request_changed_in_the_session_is_marked(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/cart")
    session = {"before": {"user": 7, "visits": 3}, "after": {"user": 7, "visits": 4}, "note": ""}
    kernel.describe(number, session=session)
    panel_page.show("requests")
    panel.open("/cart")
    panel.tab("Session").click()
    rows = panel.details.get_by_role("table", name="Session").get_by_role("row")
    expect(rows).to_have_text(["NameBeforeAfterChange", "user77", "visits34changed"])


def test_secrets_are_shown_when_asked_for_and_only_for_that_request(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    kernel.add("/two")
    panel_page.show("requests")
    panel.open("/one")
    panel.tab("Request").click()
    expect(panel.details).to_contain_text(_MASK)
    panel.button("Show secrets").click()
    expect(panel.details).to_contain_text("secret-token")
    panel.button("Hide secrets").click()
    expect(panel.details).not_to_contain_text("secret-token")
    panel.button("Show secrets").click()
    expect(panel.details).to_contain_text("secret-token")
    panel.row("/two").click()
    expect(panel.details).to_contain_text("/demo/two")
    expect(panel.details).to_contain_text(_MASK)
    assert ("GET", "exchanges/2?reveal=1", None) not in panel_page.asked


def test_secrets_are_hidden_again_also_in_what_goes_on(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/events", kind="stream", open=True, ms=None)
    kernel.set_body(number, b"first", "text", "text/plain")
    panel_page.show("requests")
    panel.open("/events")
    panel.tab("Request").click()
    panel.button("Show secrets").click()
    expect(panel.details).to_contain_text("secret-token")
    panel.button("Hide secrets").click()
    expect(panel.details).not_to_contain_text("secret-token")


def test_a_traceback_is_opened_first_with_the_apps_own_code(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/divide/0", status=500, failed="ZeroDivisionError in Cell In[3], line 4")
    library = {
        "place": "flask/app.py, line 1488",
        "name": "wsgi_app",
        "own": False,
        "source": [[1488, "    response = self.full_dispatch_request()", True]],
        "variables": [],
    }
    own = {
        "place": "Cell In[3], line 4",
        "name": "divide",
        "own": True,
        "source": [[3, "def divide(by):", False], [4, "    return 1 / by", True]],
        "variables": [["by", "0", False], ["token", _MASK, True]],
    }
    traceback = {
        "summary": "ZeroDivisionError: division by zero",
        "text": "Traceback (most recent call last): …",
        "has_variables": True,
        "frames": [library, library, own],
    }
    kernel.describe(number, traceback=traceback)
    kernel.add("/fine")
    panel_page.show("requests")
    panel.open("/fine")
    panel.row("/divide/0").click()
    expect(panel.tab("Traceback")).to_have_attribute("aria-selected", "true")
    expect(panel.details).to_contain_text("ZeroDivisionError: division by zero")
    expect(panel.details.get_by_text("2 calls in libraries")).to_be_visible()
    expect(panel.details.get_by_text("wsgi_app").first).to_be_hidden()
    expect(panel.details.locator(".flaskserve-frame-current").last).to_contain_text("▶ 4")
    expect(panel.details.get_by_role("table", name="Variables of divide")).to_contain_text("by0")

    panel.button("Copy %flaskserve debug demo 1").click()
    expect(panel.details.get_by_text("Copied")).to_be_visible()
    panel.filter.focus()
    panel.page.keyboard.press("Control+v")
    expect(panel.filter).to_have_value("%flaskserve debug demo 1")


def test_a_request_that_is_not_kept_any_more_says_so(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    panel_page.show("requests")
    expect(panel.row("/one")).to_be_visible()
    kernel.rows = []
    panel.row("/one").click()
    expect(panel.details).to_contain_text("Request number 1 is not kept any more.")


def test_in_a_narrow_column_the_details_take_the_place_of_the_list(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    for _ in range(20):
        kernel.add()
    panel_page.show("requests", width=320)
    overflow = (
        "panel => [...panel.querySelectorAll('*')].some(e => e.offsetLeft + e.offsetWidth > 330)"
    )
    expect(panel.row("/users/20")).to_be_visible()
    assert not panel.root.evaluate(overflow)
    height = panel.root.bounding_box()
    panel.row("/users/20").click()
    expect(panel.tab("Response")).to_be_visible()
    expect(panel.row("/users/20")).to_be_hidden()
    assert panel.root.bounding_box() == height
    panel.button("Close the details").click()
    expect(panel.row("/users/20")).to_be_focused()


# Bodies


def test_a_body_of_json_is_a_tree_that_keeps_every_digit(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/order")
    order = {"id": 12345678901234567890, "items": [{"sku": f"A-{n}"} for n in range(150)]}
    kernel.set_body(number, json.dumps(order).encode(), "json", "application/json")
    panel_page.show("requests")
    panel.open("/order")
    body = panel.details.get_by_role("group", name="Response body")
    expect(body).to_contain_text('"id": 12345678901234567890')
    body.get_by_text("[150 items]").click()
    expect(body).to_contain_text("99: {1 key}")
    expect(body).not_to_contain_text("100: {1 key}")
    body.get_by_role("button", name="Show 50 more of 50").click()
    expect(body).to_contain_text("149: {1 key}")
    body.get_by_text("149: ").click()
    expect(body).to_contain_text('"sku": "A-149"')
    panel.button("Hex").click()
    expect(body).to_contain_text("00000000  7b 22 69 64")


def test_json_that_is_wrong_says_where(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/bad")
    kernel.set_body(number, b'{"a": 1,\n "b": [1,, 2]}', "json", "application/json")
    panel_page.show("requests")
    panel.open("/bad")
    expect(panel.details).to_contain_text("This is not valid JSON: line 2, column 10")
    expect(panel.details.locator("mark")).to_have_text(",")


def test_a_long_body_is_loaded_piece_by_piece(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/long")
    text = "".join(f"line {n:05}\n" for n in range(15_000))
    kernel.set_body(number, text.encode(), "text", "text/plain", size=1_288_490_188)
    panel_page.show("requests")
    panel.open("/long")
    body = panel.details.get_by_role("group", name="Response body")
    expect(body).to_contain_text("64.0 KiB of 161 KiB are shown. 161 KiB of 1.2 GiB were kept.")
    assert len(body.locator("pre").text_content() or "") == _PIECE
    body.get_by_role("button", name="Load 64.0 KiB more").click()
    expect(body).to_contain_text("128 KiB of 161 KiB are shown.")
    body.get_by_role("button", name="Load 33.1 KiB more").click()
    expect(body).to_contain_text("line 14999")
    expect(body.get_by_role("button", name=re.compile("Load"))).to_have_count(0)


def test_a_page_is_shown_without_being_run_or_loading_anything(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/page")
    kernel.set_body(number, _PAGE, "html", "text/html")
    seen: list[str] = []
    panel_page.app = lambda request: seen.append(request.url) or (200, {}, b"")  # type: ignore[func-returns-value]
    panel_page.show("requests")
    panel.open("/page")
    frame = panel.details.locator("iframe")
    expect(frame.content_frame.get_by_role("heading")).to_have_text("Hello")
    expect(frame).to_have_attribute("sandbox", "")
    expect(frame.content_frame.locator("#run")).to_have_text("not run")
    assert panel.page.evaluate("window.hacked") is None
    assert seen == []
    panel.button("Source").click()
    expect(panel.details).to_contain_text("parent.hacked = true")


def test_pictures_fields_and_bytes_are_shown_as_what_they_are(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    picture = kernel.add("/picture")
    kernel.set_body(picture, _PIXEL, "image", "image/png")
    form = kernel.add("/form", method="POST")
    fields = [["name", "Ada", False, None], ["photo", "", False, "me.png"]]
    kernel.set_body(
        form,
        b"name=Ada",
        "form",
        "application/x-www-form-urlencoded",
        "request-body",
        fields=fields,
    )
    kernel.set_body(form, bytes(range(256)), "binary", "application/octet-stream")
    panel_page.show("requests")
    panel.open("/picture")
    expect(panel.details).to_contain_text("1 \u00d7 1 pixels")
    panel.row("/form").click()
    expect(panel.details).to_contain_text("00000010  10 11 12")
    panel.tab("Request").click()
    table = panel.details.get_by_role("table", name="Request body: 2 fields")
    expect(table.get_by_role("row")).to_have_text(["nameAda", "photofile me.png"])


# Actions


def _resend(method: str, target: str, body: bytes = b"") -> dict[str, Any]:
    return {
        "method": method,
        "target": target,
        "headers": [["Accept", "text/plain"]],
        "body_base64": base64.b64encode(body).decode(),
        "complete": True,
    }


def test_replay_sends_the_request_again_and_opens_what_came_of_it(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/users/7")
    panel_page.answers["exchanges/1/resend"] = _resend("GET", "/users/7?page=2")
    sent: list[Request] = []

    def app(request: Request) -> Answered:
        sent.append(request)
        kernel.add("/again", tag=request.headers["x-flaskserve-tag"])
        return 200, {}, b"hello"

    panel_page.app = app
    panel_page.show("requests")
    panel.open("/users/7")
    panel.button("Replay").click()
    expect(panel.details.get_by_role("heading")).to_contain_text("/again")
    expect(panel.row("/again")).to_have_attribute("aria-selected", "true")
    assert [request.url for request in sent] == [
        "http://panels.test/base/flaskserve/demo/users/7?page=2"
    ]
    assert sent[0].headers["accept"] == "text/plain"


def test_replay_asks_first_where_a_request_may_change_something(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/sign", method="POST")
    panel_page.answers["exchanges/1/resend"] = _resend("POST", "/sign", b"guest=Ada")
    sent: list[bytes | None] = []

    def app(request: Request) -> Answered:
        sent.append(request.post_data_buffer)
        kernel.add("/again", tag=request.headers["x-flaskserve-tag"])
        return 200, {}, b""

    panel_page.app = app
    panel_page.show("requests")
    panel.open("/sign")
    panel.button("Replay").click()
    expect(panel.button("Send POST again")).to_be_focused()
    panel.button("Cancel").click()
    expect(panel.button("Replay")).to_be_focused()
    assert sent == []
    panel.button("Replay").click()
    panel.button("Send POST again").press("Enter")
    expect(panel.details.get_by_role("heading")).to_contain_text("/again")
    expect(panel.button("Replay")).to_be_focused()
    assert sent == [b"guest=Ada"]


def test_what_comes_of_a_replay_does_not_take_the_place_of_another_request(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    kernel.add("/two")
    panel_page.answers["exchanges/1/resend"] = _resend("GET", "/one")

    def app(request: Request) -> Answered:
        panel.row("/two").click()
        kernel.add("/again", tag=request.headers["x-flaskserve-tag"])
        return 200, {}, b""

    panel_page.app = app
    panel_page.show("requests")
    panel.open("/one")
    panel.button("Replay").click()
    expect(panel.root.locator("[aria-live=polite]")).to_have_text("Sent again: 200")
    expect(panel.details.get_by_role("heading")).to_contain_text("/two")


def test_a_request_whose_body_was_not_kept_is_not_replayed(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/upload")
    panel_page.answers["exchanges/1/resend"] = {**_resend("GET", "/upload"), "complete": False}
    panel_page.show("requests")
    panel.open("/upload")
    panel.button("Replay").click()
    expect(panel.details).to_contain_text("Its body was too large to be kept whole")


def test_edit_and_resend_begins_with_the_request_as_it_was(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/users/7")
    panel_page.answers["exchanges/1/resend"] = _resend("PUT", "/users/7", b"new name")
    panel_page.show("requests")
    panel.open("/users/7")
    panel.button("Edit and resend").click()
    panel.button("Send").wait_for()
    values = panel.details.evaluate(
        "pane => [...pane.querySelectorAll('input, select, textarea')].map(field => field.value)"
    )
    assert {"PUT", "/users/7", "Accept", "text/plain", "new name"} <= set(values)
    panel.page.keyboard.press("Escape")
    panel.button("← Back to the details").click()
    expect(panel.tab("Response")).to_be_visible()
    expect(panel.button("Send")).to_have_count(0)
    expect(panel.button("Edit and resend")).to_be_focused()


def test_an_editor_that_would_show_secrets_is_opened_only_where_asked(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/sign", method="POST")
    body = b'{"password": "hunter2"}'
    kernel.set_body(number, body, "json", "application/json", "request-body", masked=True)
    panel_page.answers["exchanges/1/resend"] = _resend("POST", "/sign", body)
    panel_page.show("requests")
    panel.open("/sign")
    panel.button("Edit and resend").click()
    expect(panel.button("Edit it")).to_be_focused()
    assert ("GET", "exchanges/1/resend", None) not in panel_page.asked
    panel.button("Edit it").press("Enter")
    expect(panel.details.get_by_label("Text body")).to_have_value(body.decode())


def test_an_open_request_goes_on_behind_its_editor(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    number = kernel.add("/events", kind="stream", open=True, ms=None)
    panel_page.answers["exchanges/1/resend"] = _resend("GET", "/events")
    panel_page.show("requests")
    panel.open("/events")
    panel.button("Edit and resend").click()
    panel.details.get_by_label("Path and query").fill("/typed")
    kernel.set_body(number, b"the end", "text", "text/plain")
    kernel.change(number, open=False, ms=5000.0)
    kernel.tell()
    expect(panel.details).to_contain_text("5.00 s")
    panel.page.evaluate("fetch('/')")  # what was asked before has been answered then
    expect(panel.details.get_by_label("Path and query")).to_have_value("/typed")
    expect(panel.tab("Response")).to_be_hidden()
    panel.button("← Back to the details").click()
    expect(panel.details).to_contain_text("the end")


def test_a_request_is_copied_as_code_with_secrets_only_where_asked(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/users/7")
    panel_page.answers["exchanges/1/copy"] = lambda request: {"text": urlsplit(request.url).query}
    panel_page.show("requests")
    panel.open("/users/7")
    panel.button("Copy…").click()
    expect(panel.button("curl")).to_be_focused()
    panel.button("app.test_client()").click()
    expect(panel.details.get_by_text("Copied")).to_be_visible()
    panel.filter.focus()
    panel.page.keyboard.press("Control+v")
    expect(panel.filter).to_have_value("as=test_client&reveal=0")
    panel.filter.fill("")
    panel.button("requests").click()
    expect(panel.details.get_by_text("Copied")).to_have_count(2)
    assert panel_page.asked[-1] == ("GET", "exchanges/1/copy?as=requests&reveal=0", None)
    panel.details.get_by_label("with secrets").check()
    with panel.page.expect_response("**/copy?as=curl**"):
        panel.button("curl").click()
    assert panel_page.asked[-1] == ("GET", "exchanges/1/copy?as=curl&reveal=1", None)


def test_a_copy_that_the_browser_refuses_is_not_kept_after_closing(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one")
    panel_page.answers["exchanges/1/copy"] = {"text": "curl -H 'Authorization: secret'"}
    panel_page.show("requests")
    panel.page.evaluate("document.execCommand = () => false")  # without https there is no other way
    panel.open("/one")
    panel.button("Copy…").click()
    panel.button("curl").click()
    expect(panel.root.get_by_label("The request as curl")).to_be_focused()
    panel.button("Close the details").click()
    expect(panel.root.locator("textarea")).to_have_count(0)


def test_the_export_has_secrets_only_where_asked(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    panel_page.answers["har"] = lambda request: {"log": {"reveal": "reveal=1" in request.url}}
    kernel.add()
    panel_page.show("requests")
    for reveal in (False, True):
        panel.button("Export HAR…").click()
        panel.root.get_by_label("with secrets").set_checked(reveal)
        with panel.page.expect_download() as download:
            panel.button("Download").click()
        assert download.value.suggested_filename == "demo.har"
        assert json.loads(download.value.path().read_text()) == {"log": {"reveal": reveal}}


def test_statistics_are_asked_for_only_while_they_are_open(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add()
    numbers = {"count": 3, "errors": 1, "p50": 4.0, "p95": 20.0, "p99": None, "rate": 0.3}
    numbers |= {"per_second": [0] * 58 + [1, 2]}
    endpoints = [{"endpoint": "index", **numbers}, {"endpoint": "", **numbers}]
    panel_page.answers["statistics"] = {
        "seconds": 60,
        "all": {"endpoint": "", **numbers},
        "endpoints": endpoints,
    }

    def count() -> int:
        return sum(path == "statistics" for _, path, _ in panel_page.asked)

    panel.page.clock.install()
    panel_page.show("requests")
    expect(panel.rows).to_have_count(1)
    assert count() == 0
    panel.button("Statistics").click()
    table = panel.root.get_by_role("table", name="Requests by endpoint")
    expect(table.get_by_role("row").nth(2)).to_contain_text("index")
    expect(table.get_by_role("row").nth(2)).to_contain_text("4.0 ms20 ms\u2013")
    expect(table.get_by_role("img").first).to_have_attribute(
        "aria-label", "3 requests in the last 60 s, at most 2 in one second"
    )
    before = count()
    with panel.page.expect_response("**/statistics"):
        panel.page.clock.fast_forward(1000)
    assert count() > before
    panel.button("Statistics").click()
    panel.page.evaluate("fetch('/')")  # what was asked before has been answered then
    before = count()
    panel.page.clock.fast_forward(2000)
    panel.page.evaluate("fetch('/')")
    assert count() == before


# All of it


@pytest.mark.parametrize("theme", ["light", "dark", "dark-high-contrast"])
def test_axe_finds_no_fault(
    panel_page: PanelPage,
    kernel: CannedKernel,
    panel: RequestsPanel,
    theme: Literal["light", "dark", "dark-high-contrast"],
) -> None:
    statuses = {200: "", 302: "", 404: "", 500: "ValueError in Cell In[3], line 4"}
    for status, failed in statuses.items():
        number = kernel.add(f"/status/{status}", status=status, failed=failed)
        kernel.set_body(number, b'{"a": ["b", 1, null]}', "json", "application/json")
        panel_page.answers[f"exchanges/{number}/resend"] = _resend("GET", "/")
    kernel.add("/chat", kind="websocket", status=101, open=True, ms=None)
    panel_page.show("requests", theme=theme)
    expect(panel.row("/chat")).to_be_visible()
    panel.open("/status/500")
    panel.button("Export HAR…").click()
    panel.button("Copy…").click()
    # The others have no colours that these two do not have.
    more = ("Output", "Overview") if theme == "light" else ()
    for name in ("Response", "Request", *more):
        panel.tab(name).click()
        assert panel_page.violations() == []


def test_a_flood_leaves_the_page_responsive_and_nothing_lost_silently(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add()
    panel_page.show("requests")
    expect(panel.rows).to_have_count(1)
    panel.page.evaluate("""() => {
      window.tasks = [];
      const observer = new PerformanceObserver(list => {
        tasks.push(...list.getEntries().map(entry => entry.duration));
      });
      observer.observe({type: "longtask"});
    }""")
    pulls = len(panel_page.asked)
    for _ in range(22):
        for _ in range(100):
            kernel.add(status=500 if kernel.last % 50 == 0 else 200)
        kernel.tell()
        panel.page.wait_for_timeout(100)
    pulls = len(panel_page.asked) - pulls
    expect(panel.foot).to_have_text(
        re.compile(rf"1,000 requests.*{kernel.last - 1000:,} earlier requests are no longer kept")
    )
    # Others may be using the machine: what the panel does takes long each time, if it does.
    assert len([task for task in panel.page.evaluate("tasks") if task >= 200]) < 3
    assert pulls <= 27
    assert panel.rows.count() < 40


def test_a_panel_that_is_taken_away_asks_nothing_more(
    panel_page: PanelPage, kernel: CannedKernel, panel: RequestsPanel
) -> None:
    kernel.add("/one", open=True)
    panel.page.clock.install()
    panel_page.show("requests")
    panel.open("/one")
    panel.page.evaluate("end()")
    before = list(panel_page.asked)
    kernel.add("/two")
    kernel.tell()
    panel.page.clock.fast_forward(20_000)
    panel.page.evaluate("fetch('/')")  # what was asked before has been answered then
    assert panel_page.asked == before
