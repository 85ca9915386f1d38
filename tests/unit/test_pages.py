"""The pages, as people and programs get them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_flaskserve.server import pages
from jupyter_flaskserve.server.extension import JupyterFlaskServe
from jupyter_flaskserve.server.pages import Answer, Listed

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
HOSTILE = "<script>alert(1)</script>\"'&.ipynb"
STATUS_PATH = "/api/flaskserve/mounts/lesson-2"

DEMO = Listed(
    name="demo",
    path="/flaskserve/demo/",
    notebook="demo.ipynb",
    notebook_path="/lab/tree/demo.ipynb",
    title="shop",
    state="serving",
    started=1_777_901_820.5,
    kernel_id="6f2c",
    threads=64,
)
LESSON = Listed(
    name="lesson-2",
    path="/flaskserve/lesson-2/",
    notebook="Lesson 2.ipynb",
    notebook_path=None,
    title="shop",
    state="stopped",
    started=1_777_901_820.5,
    kernel_id="6f2c",
    threads=64,
)
EVIL = Listed(
    HOSTILE, f"/{HOSTILE}/", HOSTILE, f"/lab/tree/{HOSTILE}", HOSTILE, "stopped", 0.0, "6f2c", 64
)


def stopped(
    accept: str | None, method: str = "GET", mount: Listed = LESSON, status_path: str = STATUS_PATH
) -> Answer:
    return pages.stopped_mount(mount, status_path=status_path, method=method, accept=accept)


ANSWERS: dict[str, Callable[[str | None], Answer]] = {
    "index": lambda accept: pages.index([DEMO, LESSON], base_path="/", accept=accept),
    "empty index": lambda accept: pages.index([], base_path="/", accept=accept),
    "unknown": lambda accept: pages.unknown_mount("demmo", [DEMO, LESSON], accept=accept),
    "unknown of none": lambda accept: pages.unknown_mount("demo", [], accept=accept),
    "stopped": stopped,
    "stopped after POST": lambda accept: stopped(accept, "POST"),
    "error": lambda accept: pages.error(502, "bad-gateway", "It broke.", accept=accept),
    "busy": lambda accept: pages.error(503, "busy", "Full.", accept=accept, retry_after=7),
    "hostile index": lambda accept: pages.index([EVIL], base_path=HOSTILE, accept=accept),
    "hostile unknown": lambda accept: pages.unknown_mount(HOSTILE, [EVIL, DEMO], accept=accept),
    "hostile stopped": lambda accept: stopped(accept, HOSTILE, EVIL, HOSTILE),
    "hostile error": lambda accept: pages.error(500, HOSTILE, HOSTILE, accept=accept),
}


@pytest.fixture(params=ANSWERS)
def make(request: pytest.FixtureRequest) -> Callable[[str | None], Answer]:
    return ANSWERS[request.param]


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, and the text inside each kind."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(answer.body.decode())
        self.close()
        assert self._open == [], "elements that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link"}:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.texts[tag][-1] += data

    def text(self, tag: str) -> str:
        [text] = self.texts[tag]
        return " ".join(text.split())

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str | None]:
        return [attributes["href"] for attributes in self.attributes("a")]


def header(answer: Answer, name: str) -> str:
    [value] = [value for key, value in answer.headers if key == name]
    return value


def policy(answer: Answer) -> dict[str, str]:
    directives = header(answer, "Content-Security-Policy").split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
        ("text/event-stream", False),
        ("text/plain, */*;q=0.5", False),
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("application/xhtml+xml", True),
        ("text/html;charset=utf-8", True),
        ("text/plain,text/html;q=0.1", True),
        ("text/html;q=0.001", True),
        ("text/html ;\tq=0.5 , */*; q=0.1", True),
        ("text/html, application/json", True),
        ("text/html;q=0", False),
        ("text/html;q=0.000, */*", False),
        ("text/html;Q=0", False),
        ("text/html;level=1;q=0", False),
        ("text/html;q=0, application/xhtml+xml", False),
        ("application/json, text/html;q=0.9", False),
        ("application/json;q=0.1, */*, text/html;q=0.2", True),
        ("application/*;q=0.9, text/html;q=0.8", False),
        ("*/*, text/html;q=0.5", False),
        ("text/html;q=2", False),
        ("text/html;q=0.1234", False),
        ("text/html;q=-1", False),
        ("text/html;q=", False),
        ("text/html;q=nan", False),
        ('application/json;a="x, text/html, y"', False),
        ('text/html;a="b;q=0";q=1', True),
        ('application/json;a="\\", text/html', False),
        (",,;;,text/html,", True),
        ("text/htmlx, xtext/html", False),
    ],
)
def test_html_is_for_those_who_ask_for_it_by_name(accept: str | None, expected: bool) -> None:
    assert pages.wants_html(accept) is expected


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', "text/html;", ",", ";q=0."])
def test_a_hostile_accept_header_costs_little(piece: str) -> None:
    begin = time.perf_counter()
    pages.wants_html(piece * 20_000)
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize("accept", [BROWSER, None])
def test_every_answer_has_the_same_careful_headers(
    make: Callable[[str | None], Answer], accept: str | None
) -> None:
    answer = make(accept)
    html = accept is not None
    assert header(answer, "Content-Type") == (
        "text/html; charset=utf-8" if html else "application/json"
    )
    assert header(answer, "Content-Length") == str(len(answer.body))
    assert header(answer, "Cache-Control") == "no-store"
    assert header(answer, "X-Content-Type-Options") == "nosniff"
    assert header(answer, "Vary") == "Accept"
    assert policy(answer)["default-src"] == "'none'"
    assert policy(answer)["frame-ancestors"] == "'self'"
    assert "unsafe" not in header(answer, "Content-Security-Policy")
    assert not any("\n" in value or "\r" in value for _, value in answer.headers)


def test_retry_after_is_sent_where_it_is_known() -> None:
    busy = ANSWERS["busy"]
    assert header(busy(None), "Retry-After") == "7"
    assert json.loads(busy(None).body)["retry_after"] == 7
    assert header(busy(BROWSER), "Retry-After") == "7"
    assert "7 seconds" in Page(busy(BROWSER)).text("footer")
    assert header(stopped(None), "Retry-After") == "2"
    assert "Retry-After" not in dict(ANSWERS["error"](None).headers)
    assert "retry_after" not in json.loads(ANSWERS["error"](None).body)


def test_a_page_is_whole_readable_and_loads_nothing(make: Callable[[str | None], Answer]) -> None:
    answer = make(BROWSER)
    assert answer.body.startswith(b"<!doctype html>")
    page = Page(answer)
    assert page.attributes("html") == [{"lang": "en"}]
    assert page.text("title")
    assert page.text("h1")
    assert page.text("main")
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings in ([1], [1, 2])
    assert not any("src" in attributes or "style" in attributes for _, attributes in page.elements)
    assert {"link", "img", "iframe", "object", "form"}.isdisjoint(tag for tag, _ in page.elements)
    assert not re.search(r"url\(|@import|https?://", page.texts["style"][0])


def test_the_policy_allows_the_pages_own_style_and_script_and_no_other(
    make: Callable[[str | None], Answer],
) -> None:
    answer = make(BROWSER)
    page = Page(answer)
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        hashes = [
            f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
            for text in page.texts.get(tag, [])
        ]
        assert policy(answer).get(directive, "").split() == hashes
    assert policy(answer)["connect-src"] == "'self'"


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith("hostile")])
def test_what_comes_from_data_never_becomes_markup(name: str) -> None:
    answer = ANSWERS[name](BROWSER)
    assert b"<script>alert" not in answer.body
    page = Page(answer)
    assert HOSTILE in page.texts["main"][0]  # it is shown as it is
    assert len(page.attributes("script")) == ("stopped" in name)
    known = {"class", "href", "target", "rel", "role", "id", "hidden", "datetime"}
    known |= {"data-status-path", "lang", "charset", "name", "content"}
    assert {key for _, attributes in page.elements for key in attributes} <= known


def test_text_that_is_not_unicode_is_shown_as_well_as_it_can_be() -> None:
    mount = Listed(
        "demo", "/flaskserve/demo/", "caf\udce9.ipynb", None, "app", "stopped", 0.0, "6f2c", 64
    )
    assert "caf?.ipynb" in Page(stopped(BROWSER, mount=mount)).text("main")
    assert json.loads(stopped(None, mount=mount).body)["mount"]["notebook"] == "caf\udce9.ipynb"


@pytest.mark.parametrize("started", [float("nan"), float("inf"), 1e300, -1e300])
def test_a_start_that_is_no_date_is_left_out(started: float) -> None:
    mount = Listed("demo", "/flaskserve/demo/", "", None, "app", "serving", started, "6f2c", 64)
    assert "since" not in Page(pages.index([mount], base_path="/", accept=BROWSER)).text("main")
    assert json.loads(pages.index([mount], base_path="/", accept=None).body) == {
        "mounts": [
            {
                "name": "demo",
                "path": "/flaskserve/demo/",
                "notebook": "",
                "title": "app",
                "started": None,
                "state": "serving",
                "kernel_id": "6f2c",
                "threads": 64,
                "revision": 0,
            }
        ]
    }


class TestIndex:
    def test_it_links_each_app_and_the_notebook_that_serves_it(self) -> None:
        answer = pages.index([DEMO, LESSON], base_path="/user/ann/", accept=BROWSER)
        assert (answer.status, answer.reason) == (200, "OK")
        page = Page(answer)
        assert page.links() == [DEMO.path, DEMO.notebook_path, LESSON.path, "/user/ann/"]
        first, second = page.texts["li"]
        assert "serving" in first
        assert "demo.ipynb" in first
        assert "stopped" in second
        assert "Lesson 2.ipynb" in second

    @pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone cannot be set here")
    @pytest.mark.parametrize(
        ("zone", "shown"),
        [("UTC", "2026-05-04 13:37 UTC"), ("XST-5:30", "2026-05-04 19:07 UTC+05:30")],
    )
    def test_it_says_since_when_in_this_machines_time(
        self, zone: str, shown: str, monkeypatch: pytest.MonkeyPatch, restored_zone: None
    ) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        page = Page(pages.index([DEMO], base_path="/", accept=BROWSER))
        assert page.text("time") == shown
        assert page.attributes("time") == [{"datetime": "2026-05-04T13:37:00+00:00"}]

    @pytest.fixture
    def restored_zone(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        yield
        monkeypatch.undo()
        time.tzset()

    def test_an_empty_one_says_how_to_serve_an_app(self) -> None:
        page = Page(ANSWERS["empty index"](BROWSER))
        assert page.texts["pre"] == ["%load_ext jupyter_flaskserve\n%flaskserve app"]

    def test_programs_get_the_mounts(self) -> None:
        document = json.loads(ANSWERS["index"](None).body)
        assert document.keys() == {"mounts"}
        assert document["mounts"][0] == {
            "name": "demo",
            "path": "/flaskserve/demo/",
            "notebook": "demo.ipynb",
            "title": "shop",
            "started": "2026-05-04T13:37:00+00:00",
            "state": "serving",
            "kernel_id": "6f2c",
            "threads": 64,
            "revision": 0,
        }
        assert document["mounts"][1]["state"] == "stopped"


class TestUnknownMount:
    def test_it_lists_what_there_is_and_guesses_what_was_meant(self) -> None:
        answer = ANSWERS["unknown"](BROWSER)
        assert (answer.status, answer.reason) == (404, "Not Found")
        page = Page(answer)
        assert "demmo" in page.text("h1")
        assert "Did you mean demo?" in page.text("main")
        assert page.links() == [DEMO.path, DEMO.path, DEMO.notebook_path, LESSON.path]

    def test_programs_get_the_same(self) -> None:
        document = json.loads(ANSWERS["unknown"]("*/*").body)
        assert document == {
            "status": 404,
            "error": "not-found",
            "message": "No app is served as 'demmo'. Did you mean 'demo'?",
            "did_you_mean": ["demo"],
            "mounts": ["demo", "lesson-2"],
        }

    def test_a_name_like_no_other_is_not_guessed(self) -> None:
        answer = pages.unknown_mount("zzz", [DEMO], accept=BROWSER)
        assert "Did you mean" not in Page(answer).text("main")

    def test_capitals_do_not_hide_the_right_name(self) -> None:
        answer = pages.unknown_mount("DEMO", [DEMO], accept=None)
        assert json.loads(answer.body)["did_you_mean"] == ["demo"]

    @pytest.mark.parametrize(
        ("length", "shown"), [(63, "x" * 63), (64, "x" * 63 + "…"), (50_000, "x" * 63 + "…")]
    )
    def test_a_name_longer_than_names_are_is_cut_short(self, length: int, shown: str) -> None:
        answer = pages.unknown_mount("x" * length, [DEMO], accept=None)
        assert json.loads(answer.body)["message"] == f"No app is served as '{shown}'."

    def test_where_nothing_is_served_it_says_how_to(self) -> None:
        assert "%flaskserve app" in Page(ANSWERS["unknown of none"](BROWSER)).text("pre")


class TestStoppedMount:
    def test_it_says_which_notebook_to_run(self) -> None:
        answer = stopped(BROWSER)
        assert (answer.status, answer.reason) == (503, "Service Unavailable")
        page = Page(answer)
        assert "lesson-2" in page.text("h1")
        assert "Lesson 2.ipynb" in page.text("main")
        assert page.links() == []  # nothing opens this notebook
        assert DEMO.notebook_path in Page(stopped(BROWSER, mount=DEMO)).links()

    def test_it_can_do_without_the_notebooks_name(self) -> None:
        mount = Listed("demo", "/flaskserve/demo/", "", None, "app", "stopped", 0.0, "6f2c", 64)
        assert "Run its notebook" in Page(stopped(BROWSER, mount=mount)).text("main")
        assert json.loads(stopped(None, mount=mount).body)["message"] == (
            "The kernel that serves 'demo' has stopped or is restarting. Run its notebook again."
        )

    def test_programs_get_the_same(self) -> None:
        assert json.loads(stopped("application/json").body) == {
            "status": 503,
            "error": "kernel-stopped",
            "message": "The kernel that serves 'lesson-2' has stopped or is restarting."
            " Run the notebook 'Lesson 2.ipynb' again.",
            "mount": LESSON.to_json(),
            "retry_after": 2,
        }

    def test_a_page_that_was_got_loads_itself_again(self) -> None:
        page = Page(stopped(BROWSER, "GET"))
        assert page.attributes("main") == [{"data-status-path": STATUS_PATH, "data-reloads": None}]
        assert {"http-equiv": "refresh", "content": "3"} in page.attributes("meta")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "get"])
    def test_a_page_that_answers_a_form_sends_nothing_again(self, method: str) -> None:
        page = Page(stopped(BROWSER, method))
        assert page.attributes("main") == [{"data-status-path": STATUS_PATH}]
        assert not any("http-equiv" in attributes for attributes in page.attributes("meta"))
        assert method in page.text("main")
        hidden, without_script = page.attributes("a")
        assert hidden == {"id": "open", "class": "button", "href": LESSON.path, "hidden": None}
        assert without_script == {"href": LESSON.path}


class TestError:
    def test_a_person_reads_what_happened(self) -> None:
        answer = ANSWERS["error"](BROWSER)
        assert (answer.status, answer.reason) == (502, "Bad Gateway")
        page = Page(answer)
        assert page.text("h1") == "No usable answer from the app"
        assert page.text("p") == "It broke."
        assert page.text("footer") == "502 bad-gateway"

    def test_programs_get_the_same(self) -> None:
        assert json.loads(ANSWERS["error"](None).body) == {
            "status": 502,
            "error": "bad-gateway",
            "message": "It broke.",
        }

    @pytest.mark.parametrize(
        ("status", "reason", "heading"),
        [(409, "Conflict", "Conflict"), (599, "Error", "Error")],
    )
    def test_any_status_has_a_page(self, status: int, reason: str, heading: str) -> None:
        answer = pages.error(status, "x", "It broke.", accept=BROWSER)
        assert (answer.status, answer.reason) == (status, reason)
        assert Page(answer).text("h1") == heading


def test_colours_can_be_told_apart_in_light_and_dark() -> None:
    """WCAG 2.2 §1.4.3: a contrast of 4.5 to 1 for text, level AA."""

    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    [style] = Page(ANSWERS["index"](BROWSER)).texts["style"]
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", scheme))
        for ground in ("ground", "raised"):
            for text in ("text", "quiet", "link", "serving", "stopped"):
                low, high = sorted((luminance(colours[ground]), luminance(colours[text])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_importing_the_pages_loads_no_framework() -> None:
    """The module needs jinja2 only once somebody asks for a page."""
    script = (
        "import sys; from jupyter_flaskserve.server import pages;"
        "pages.index([], base_path='/', accept=None);"
        "print({'jinja2', 'jupyter_server', 'flask', 'werkzeug'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("notebook", "path"),
    [
        ("/home/ada/sub/Lesson.ipynb", "sub/Lesson.ipynb"),
        ("/elsewhere/Lesson.ipynb", ""),
        ("", ""),  # a console, or a kernel that does not know
    ],
)
def test_a_notebooks_path_in_the_server_is_told_where_it_has_one(notebook: str, path: str) -> None:
    serving: Any = SimpleNamespace(_settings={"server_root_dir": "/home/ada"})
    record: Any = SimpleNamespace(notebook=notebook)
    assert JupyterFlaskServe.notebook_path(serving, record) == path
