"""A notebook into which the listings of a page are pasted, unchanged and in their order."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from jupyter_processes import CellError, Kernel, Output
from listings import Listing, listings
from notebook_cells import Notebook

__all__ = ["Paste"]


class Paste:
    """The notebook, and a browser at the address of its variable ``app``.

    A listing is named by the section it is in, and its number there from the second on.

    :param kernel: the notebook's kernel.
    :param name: the name to serve the app under.
    :param page: the page as reStructuredText.
    :ivar folder: the notebook's folder.
    """

    def __init__(self, kernel: Kernel, name: str, page: str, folder: Path) -> None:
        self.folder = folder
        self.name = name
        self._notebook = Notebook(kernel)
        self._listings = listings(page)
        self._passed: list[str] = []  # the listings that were pasted or left out, in order
        self._given = 0
        self._notebook.run("load", "%load_ext jupyter_flaskserve")
        self.begin()

    def begin(self) -> None:
        """Begin at the top of the page, in a browser that has not been there yet."""
        self._passed.clear()
        self._given = 0
        self.browser = self._notebook.client(self.name)

    def run(self, title: str) -> Output:
        """Paste a listing into a cell of its own and run it."""
        return self._notebook.run(title, self._take(title).text)

    def run_as_doctest(self, title: str) -> None:
        """Paste a session with the interpreter into a cell, and compare what it puts out.

        IPython strips the prompts. What is between them are the answers, of which a cell shows
        those that are the value of its last line.
        """
        text = self._take(title).text
        shown = self._notebook.run(title, text).displays
        assert [bundle["text/plain"] for bundle in shown] == [text.splitlines()[-1]]

    def fails(self, title: str, error: str) -> None:
        """Paste a listing that ends with an error, as it does in any interpreter."""
        with pytest.raises(CellError, match=error):
            self.run(title)

    def template(self, title: str, name: str) -> None:
        """Paste a template into a cell of its own."""
        self._notebook.run(title, f"%%template {name}\n{self._take(title).text}")

    def leave_out(self, title: str, reason: str) -> None:
        """Leave a listing out.

        :param reason: why it is not code for a running app.
        """
        assert reason
        self._take(title)

    def give(self, source: str) -> Output:
        """Run a cell with what the page leaves to its reader."""
        self._given += 1
        return self._notebook.run(f"given {self._given}", source)

    def serve(self, variable: str = "app") -> None:
        """Serve what is in a variable, from now on."""
        self._notebook.run("serve", f"%flaskserve {variable} --name {self.name}")

    def end(self) -> None:
        """Check that no listing of the page was passed over."""
        assert self._passed == [listing.title for listing in self._listings]

    def get(self, path: str = "", **options: object) -> str:
        """The text of a page, which must be there."""
        answer = self.browser.get(path, **options)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        return answer.text

    def post(self, path: str = "", **options: object) -> httpx.Response:
        return self.browser.post(path, **options)

    def status(self, path: str = "") -> int:
        return self.browser.get(path).status_code

    def location(self, path: str, method: str = "GET", **options: object) -> str:
        """Where a path redirects to, under the app's own address."""
        answer = self.browser.request(method, path, **options)
        assert answer.status_code in (301, 302, 308), f"{answer.status_code} {answer.text}"
        target = answer.headers["Location"].removeprefix(str(self.browser.base_url).rstrip("/"))
        return target.removeprefix(f"/flaskserve/{self.name}")

    def _take(self, title: str) -> Listing:
        found = [listing for listing in self._listings if listing.title == title]
        assert found, f"the page has no listing {title!r}"
        self._passed.append(title)
        return found[0]
