"""The comparison's widget in a page of its own, with what a comparison has found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from jupyter_flaskserve.comparison.cell import Cell
from jupyter_flaskserve.comparison.comparison import Comparison, Row
from jupyter_flaskserve.comparison.contenders import CONTENDERS
from jupyter_flaskserve.comparison.passage import Passage
from jupyter_flaskserve.comparison.probes import COLUMNS
from jupyter_flaskserve.comparison.throughput import Throughput
from jupyter_flaskserve.widgets import modules

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Compare</title>
<style>{theme}</style><style>{css}</style>
<style>body {{ background: var(--jp-layout-color0); margin: 0; }}</style></head>
<body data-jp-theme-light="{light}"><main><h1 hidden>Compare</h1><h2 hidden>x</h2><h3 hidden>x</h3>
<div id="panel" style="width: {width}px"></div></main>
<script type="module">
const state = {state};
const listeners = new Map();
window.model = {{
  get: name => state[name],
  on: (name, callback) => listeners.set(name, callback),
  off: name => listeners.delete(name),
  set: changes => {{
    Object.assign(state, changes);
    for (const name of Object.keys(changes)) listeners.get(`change:${{name}}`)?.();
  }},
  count: () => listeners.size,
}};
const widget = await import(URL.createObjectURL(new Blob([{module}], {{type: "text/javascript"}})));
window.end = widget.default.render({{model, el: document.getElementById("panel")}});
document.body.dataset.ready = "true";
</script></body></html>"""
_THEMES = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")
_ORIGIN = "http://compare.test/"

Show = Callable[..., Locator]


def comparison() -> Comparison:
    """A table as it is when all but Apache has been measured."""
    rows = [Row(key, kind.title, kind.places) for key, kind in CONTENDERS.items()]
    for number, row in enumerate(rows):
        if row.key == "apache":
            row.install = "apt-get install apache2"
            continue
        states = ["yes", "no", "partly", "not measured"]
        row.cells = {
            column.key: Cell(states[(number + place) % 4], f"evidence <{row.key} {column.key}>")
            for place, column in enumerate(COLUMNS)
        }
        connections = 0 if row.key == "by-hand" else 8
        row.throughput = Throughput("/", 1000.0 * (number + 1), 0.0012, 100, 0, connections)
        row.passage = Passage("/", 200, 0.0004, 0.0009, 0.0015, 4242)
        row.configuration = {"x.conf": f"listen <{row.key}>;", "command": f"run {row.key}"}
    return Comparison(rows, "/")


@pytest.fixture
def show(page: Page) -> Show:
    """Opens a page with the widget, and returns it."""

    def open_page(
        *,
        found: Comparison | None = None,
        theme: Literal["light", "dark", "dark-high-contrast"] = "light",
        width: int = 900,
        **traits: object,
    ) -> Locator:
        data = (found or comparison()).as_json()
        document = _PAGE.format(
            theme=(_THEMES / f"theme-{theme}-extension" / "index.css").read_text(),
            css=modules.stylesheet("compare"),
            light="true" if theme == "light" else "false",
            width=width,
            state=json.dumps({"comparison": data, "step": {}, "remark": "", **traits}),
            module=json.dumps(modules.module("compare")),
        )
        page.route(
            f"{_ORIGIN}**",
            lambda route: route.fulfill(
                status=200, headers={"Content-Type": "text/html"}, body=document
            ),
        )
        page.goto(_ORIGIN)
        expect(page.locator("body")).to_have_attribute("data-ready", "true")
        return page.locator("#panel")

    return open_page


def server(panel: Locator, name: str) -> Locator:
    return panel.get_by_role("button", name=name, exact=True)


def line(panel: Locator, name: str) -> Locator:
    button = panel.page.get_by_role("button", name=name, exact=True)
    return panel.locator("tbody tr").filter(has=button)


def test_each_cell_is_a_word_with_its_evidence(show: Show) -> None:
    panel = show()
    row = line(panel, "Gunicorn")
    expect(row.locator("td")).to_have_count(len(COLUMNS))
    expect(row.locator("td").first).to_have_text("◐ partly")
    expect(row.locator("td").first).to_have_attribute("title", "evidence <gunicorn listens>")


def test_a_server_that_is_not_installed_says_how(show: Show) -> None:
    panel = show()
    row = line(panel, "Apache with mod_wsgi")
    expect(row).to_contain_text("not installed: apt-get install apache2")


def test_the_row_that_is_chosen_is_shown_in_full(show: Show) -> None:
    panel = show()
    server(panel, "waitress").press("Enter")
    expect(server(panel, "waitress")).to_have_attribute("aria-pressed", "true")
    expect(server(panel, "Gunicorn")).to_have_attribute("aria-pressed", "false")
    expect(panel.get_by_role("heading", name="waitress")).to_be_visible()
    expect(panel.locator("dd")).to_have_count(len(COLUMNS))
    expect(panel.locator("dd").first).to_have_text("evidence <waitress listens>")
    panel.get_by_text("x.conf").click()
    expect(panel.locator("details[open] pre")).to_have_text("listen <waitress>;")


def test_the_diagram_says_who_talks_to_whom(show: Show) -> None:
    panel = show()
    server(panel, "nginx → this kernel").click()
    image = panel.get_by_role("img")
    expect(image).to_have_attribute(
        "aria-label",
        "Who talks to whom: Browser, by HTTP to nginx, by FastCGI, Unix socket to This notebook's"
        " kernel, by WSGI to Flask app. This notebook's kernel and Flask app: one process",
    )
    expect(image.locator(".flaskserve-box")).to_have_count(4)
    expect(image).to_contain_text("one process")
    expect(image).to_contain_text("FastCGI")


def test_a_request_lights_up_one_place_after_the_other(show: Show, page: Page) -> None:
    panel = show()
    server(panel, "Gunicorn").click()
    page.evaluate(
        """() => {
          window.seen = [];
          const note = () => {
            const lit = document.querySelector(".flaskserve-box.flaskserve-lit");
            const text = lit?.textContent ?? "nothing";
            if (seen.at(-1) !== text) seen.push(text);
          };
          const watched = document.querySelector(".flaskserve-diagram");
          new MutationObserver(note).observe(watched, {subtree: true, attributes: true});
        }"""
    )
    panel.get_by_role("button", name="Show its way again").click()
    way = ["Gunicorn's socket", "2 workers", "Flask app", "2 workers", "Gunicorn's socket"]
    way += ["Browser", "nothing"]
    page.wait_for_function(
        "way => JSON.stringify(seen).includes(JSON.stringify(way).slice(1))", arg=way
    )


def test_it_says_that_the_times_were_recorded(show: Show) -> None:
    panel = show()
    server(panel, "nginx → Gunicorn").click()
    expect(panel).to_contain_text(
        "One real request, GET /, answered with 200 by the app in process 4242:"
        " 0.40 ms to the app, 0.50 ms in it, 0.60 ms back."
    )
    expect(panel).to_contain_text("These times were recorded, and are shown about 1,600 times")
    expect(panel).to_contain_text("was not timed")


def test_the_way_is_not_played_by_itself_where_motion_is_not_wanted(show: Show, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    panel = show()
    server(panel, "Gunicorn").click()
    expect(panel.locator(".flaskserve-box")).to_have_count(4)
    expect(panel.locator(".flaskserve-lit")).to_have_count(0)


def test_the_chart_compares_what_has_connections(show: Show) -> None:
    panel = show()
    bars = panel.locator("li")
    expect(bars).to_have_count(len(CONTENDERS) - 2)  # without Apache, and what is called by hand
    expect(bars.last).to_contain_text("9,000")
    widths = [bar.bounding_box() for bar in panel.locator(".flaskserve-speed > span").all()]
    shares = [box["width"] / widths[-1]["width"] for box in widths if box and widths[-1]]
    assert shares == pytest.approx([n / 9 for n in (2, 3, 4, 5, 7, 8, 9)], abs=0.02)
    expect(panel).to_contain_text("Called by hand, no server: 1,000 calls a second.")


def test_it_grows_while_the_comparison_goes_on(show: Show, page: Page) -> None:
    found = comparison()
    later = found.as_json()
    for row in found.rows[3:]:
        row.cells, row.passage, row.throughput, row.install = {}, None, None, ""
    step: dict[str, Any] = {"done": 20, "total": 99, "key": "waitress", "what": "Streams"}
    panel = show(found=found, step=step)
    expect(panel.get_by_role("progressbar")).to_have_attribute("value", "20")
    expect(panel).to_contain_text("waitress: Streams")
    expect(panel.get_by_role("heading", name="waitress")).to_be_visible()
    server(panel, "Gunicorn").focus()
    page.evaluate("data => model.set({comparison: data, step: {}})", later)
    expect(panel.get_by_role("progressbar")).to_be_hidden()
    expect(server(panel, "Gunicorn")).to_be_focused()
    row = line(panel, "This Jupyter Server")
    expect(row.locator("td").first).to_have_text("✓ yes")


@pytest.mark.parametrize("part", ["x.conf", "Show its way again"])
def test_what_a_person_looks_at_stays_while_the_comparison_goes_on(
    show: Show, page: Page, part: str
) -> None:
    panel = show(step={"done": 20, "total": 99, "key": "gunicorn", "what": "Streams"})
    panel.get_by_text(part).click()
    page.evaluate("model.set({step: {done: 30, total: 99, key: 'nginx', what: 'Streams'}})")
    expect(panel).to_contain_text("nginx → Gunicorn: Streams")
    expect(panel.get_by_role("heading", name="Gunicorn", exact=True)).to_be_visible()


def test_an_interrupt_is_said(show: Show, page: Page) -> None:
    panel = show(step={"done": 20, "total": 99, "key": "gunicorn", "what": "Streams"})
    page.evaluate("model.set({step: {}, remark: 'The comparison was interrupted.'})")
    expect(panel.locator("p.flaskserve-notice")).to_have_text("The comparison was interrupted.")
    expect(panel.get_by_role("status")).to_have_text("The comparison was interrupted.")


def test_the_end_is_said(show: Show, page: Page) -> None:
    panel = show(step={"done": 20, "total": 99, "key": "gunicorn", "what": "Streams"})
    page.evaluate("model.set({step: {}})")
    expect(panel.get_by_role("status")).to_have_text("The comparison has ended.")


def test_it_leaves_nothing_behind_when_it_is_taken_away(show: Show, page: Page) -> None:
    show()
    assert page.evaluate("model.count()") == 3
    page.evaluate("end()")
    assert page.evaluate("model.count()") == 0


@pytest.mark.parametrize("theme", ["light", "dark", "dark-high-contrast"])
@pytest.mark.parametrize("width", [900, 360])
def test_it_is_accessible(
    show: Show,
    page: Page,
    theme: str,
    width: int,
    contrast: Callable[[Locator], float],
) -> None:
    step = {"done": 20, "total": 99, "key": "nginx", "what": "Streams"}
    panel = show(theme=theme, width=width, step=step)
    results = Axe().run(page, context="#panel")
    assert not [
        f"{violation['id']}: {node['html']}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]
    for cell in panel.locator("tbody tr").nth(1).locator("td").all():
        assert contrast(cell) >= 4.5


def test_in_a_narrow_column_nothing_sticks_out(show: Show, page: Page) -> None:
    panel = show(width=360)
    server(panel, "nginx → this kernel").click()
    expect(panel.locator(".flaskserve-box")).to_have_count(4)
    boxes = [box.bounding_box() for box in panel.locator(".flaskserve-box").all()]
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(tops)
    assert len(set(tops)) == 4
    assert page.evaluate("document.querySelector('#panel').scrollWidth") <= 360
