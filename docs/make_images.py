"""Make the pictures of ``docs/images`` anew, in a real JupyterLab.

In a checkout, with what the tests need and Chromium installed::

    python docs/make_images.py                     all of them
    python docs/make_images.py panels-routes       some of them

The notebook and the requests are the ones written here, so the pictures differ from those before
only where the panels do, and in times. Where Pillow is installed, colours are reduced to 256.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT / "tests" / "browser"), str(ROOT / "tests" / "integration")]

from front_ends import JupyterServer, Notebook  # noqa: E402

APP = '''\
from flask import Flask, render_template_string, request

app = Flask("library")
books = {
    1: {"title": "A Wizard of Earthsea", "year": 1968, "ratings": [5, 4, 5]},
    2: {"title": "The Dispossessed", "year": 1974, "ratings": []},
}
PAGE = """<!doctype html><html lang="en"><title>Library</title>
<style>body {font: 16px system-ui; margin: 2em; max-width: 36em}</style>
<h1>Library</h1>
{% for number, book in books.items() %}
  <p><a href="{{ url_for('book', number=number) }}">{{ book.title }}</a>, {{ book.year }}</p>
{% endfor %}
<form method="post" action="{{ url_for('add') }}">
  <input name="title" placeholder="Title" aria-label="Title"> <button>Add</button>
</form></html>"""

@app.get("/")
def shelf():
    """All books, as a page."""
    return render_template_string(PAGE, books=books)

@app.get("/books/<int:number>")
def book(number):
    """One book."""
    return books[number] if number in books else ({"error": "no such book"}, 404)

@app.get("/books/<int:number>/rating")
def rating(number):
    """What readers think of a book, from 1 to 5."""
    ratings = books[number]["ratings"]
    return {"rating": sum(ratings) / len(ratings)}

@app.post("/books")
def add():
    """Add a book to the shelf."""
    number = max(books) + 1
    books[number] = {"title": request.form["title"], "year": 2024, "ratings": []}
    print("added", books[number]["title"])
    return book(number), 201
'''
SHORT_APP = '''\
from flask import Flask
app = Flask("library")
ratings = {"earthsea": [5, 4, 5], "dispossessed": []}

@app.get("/ratings/<book>")
def rating(book):
    """What readers think of a book, from 1 to 5."""
    return {"rating": sum(ratings[book]) / len(ratings[book])}'''


class Studio:
    """A JupyterLab to take pictures of."""

    def __init__(self, page: Page, server: JupyterServer, app: str, theme: str) -> None:
        self.page = page
        self.server = server
        server.set_user_settings("themes", theme=theme)
        cells = ["%load_ext jupyter_flaskserve", app, "%flaskserve app --name library"]
        self.notebook = Notebook(page, server, "lab", "Library.ipynb", cells)
        expect(page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        if page.locator("#jp-left-stack").is_visible():
            page.keyboard.press("Control+b")
        self.notebook.run_all()
        self.client = server.client("library")
        self.panels = self.notebook.cells.nth(2).locator(".flaskserve-panels")
        expect(self.panels.locator(".flaskserve-word")).to_have_text("serving")

    def show(self, title: str) -> Locator:
        """Choose a tab. Gives its panel."""
        self.panels.get_by_role("tab", name=title, exact=True).click()
        return self.panels.locator(f".flaskserve-panel.flaskserve-{title.lower()}")

    def take(self, name: str, cells: range) -> None:
        """Save a picture of some cells."""
        self.page.mouse.move(0, 0)
        self.page.evaluate("() => { document.activeElement.blur(); getSelection().empty(); }")
        first, last = (self.notebook.cells.nth(cell) for cell in (cells[0], cells[-1]))
        first.evaluate("cell => cell.scrollIntoView({block: 'start'})")
        self.page.wait_for_timeout(400)
        top, bottom = first.bounding_box(), last.bounding_box()
        assert top is not None
        assert bottom is not None
        file = IMAGES / f"{name}.png"
        self.page.screenshot(
            path=file,
            animations="disabled",
            clip={
                "x": top["x"],
                "y": top["y"] + 2,  # below the toolbar's shadow
                "width": top["width"],
                "height": bottom["y"] + bottom["height"] - top["y"] - 2,
            },
        )
        reduce_colours(file)
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1024:.0f} KiB")


def reduce_colours(file: Path) -> None:
    """Make a picture smaller, where Pillow is installed."""
    if importlib.util.find_spec("PIL") is None:
        return
    from PIL import Image

    with Image.open(file) as picture:
        reduced = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)


def set_height(panel: Locator, height: int) -> None:
    """Make a panel higher, as with the handle at its corner."""
    panel.evaluate("(panel, height) => { panel.style.height = `${height}px`; }", height)


def hello(studio: Studio) -> None:
    """The notebook with an app of a few lines, and what came to it."""
    requests = studio.show("Requests")
    for path in ("ratings/earthsea", "ratings/dispossessed", "ratings/solaris", "rating"):
        studio.client.get(path)
    studio.client.get("ratings/earthsea")
    expect(requests).to_contain_text("5 requests")
    studio.take("hello-flask", range(3))


def routes(studio: Studio) -> None:
    """A route that was opened, tried, and has answered."""
    panel = studio.show("Routes")
    panel.get_by_role("button", name="/books/<int:number>", exact=True).click()
    panel.get_by_role("spinbutton", name="number").fill("1")
    panel.get_by_role("button", name="Send").click()
    answer = panel.get_by_role("region", name="Response")
    expect(answer).to_contain_text("200 OK")
    expect(answer).to_contain_text("Earthsea")
    set_height(panel, 520)
    panel.get_by_role("heading", name="Try it").evaluate("e => e.scrollIntoView()")
    studio.take("panels-routes", range(2, 3))


def requests(studio: Studio) -> None:
    """A request that has failed, with its traceback."""
    panel = studio.show("Requests")
    studio.client.get("")
    studio.client.get("books/1")
    studio.client.post("books", data={"title": "Always Coming Home"})
    studio.client.get("books/7")
    studio.client.get("books/1/rating")
    studio.client.get("books/2/rating")
    panel.get_by_role("grid").get_by_text("/books/2/rating").click()
    details = panel.get_by_role("region", name="Details of a request")
    expect(details).to_contain_text("ZeroDivisionError")
    expect(details.get_by_role("table", name="Variables of rating")).to_be_visible()
    set_height(panel, 560)
    studio.take("panels-requests", range(2, 3))


def preview(studio: Studio) -> None:
    """A page of the app."""
    panel = studio.show("Preview")
    frame = panel.frame_locator("iframe")
    expect(frame.get_by_role("heading")).to_have_text("Library")
    studio.take("panels-preview", range(2, 3))


def compare(studio: Studio) -> None:
    """All servers compared, one of them in full."""
    studio.page.set_viewport_size({"width": 1280, "height": 1400})
    studio.notebook.write(2, "%flaskserve compare app")
    studio.notebook.start(2)
    panel = studio.notebook.cells.nth(2).locator(".flaskserve-compare")
    expect(studio.notebook.prompt(2)).to_have_text("[4]:", timeout=300_000)
    panel.get_by_role("button", name="nginx → Gunicorn", exact=True).click()
    panel.get_by_role("button", name="Show its way again").click()
    lit = panel.locator(".flaskserve-box.flaskserve-lit")
    expect(lit).to_have_text("2 Gunicorns")
    studio.take("compare", range(2, 3))


# What is in each picture: its app, JupyterLab's theme, and what is done before it is taken.
PICTURES: dict[str, tuple[str, str, Callable[[Studio], None]]] = {
    "hello-flask": (SHORT_APP, "JupyterLab Light", hello),
    "panels-routes": (APP, "JupyterLab Light", routes),
    "panels-requests": (APP, "JupyterLab Dark", requests),
    "panels-preview": (APP, "JupyterLab Light", preview),
    "compare": (APP, "JupyterLab Light", compare),
}


def main() -> None:
    """Make the pictures that are named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(PICTURES))
    names = parser.parse_args().names or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    IMAGES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        server = JupyterServer(Path(directory), base_url="/")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            for name in names:
                app, theme, take = PICTURES[name]
                context = browser.new_context(
                    viewport={"width": 1280, "height": 1000}, device_scale_factor=2
                )
                context.set_default_timeout(45_000)
                take(Studio(context.new_page(), server, app, theme))
                server.close_clients()
                context.close()
                server.end_sessions()
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
