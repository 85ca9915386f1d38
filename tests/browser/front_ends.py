"""The front ends of a real Jupyter Server, JupyterLab and Notebook 7, as a person uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import nbformat.v4
from jupyter_processes import Server, wait_until
from playwright.sync_api import Locator, Page, expect

__all__ = ["MILLISECONDS", "FrontEnd", "JupyterServer", "Notebook"]

FrontEnd = Literal["lab", "notebook"]

MILLISECONDS = 45_000  # the machine may be busy
_FRONT_ENDS = """
    c.ServerApp.jpserver_extensions = {
        "jupyter_lsp": False, "jupyter_server_proxy": False,
        "jupyterlab": True, "notebook": True, "notebook_shim": True,
    }
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    c.LabApp.extension_manager = "readonly"
"""


class JupyterServer(Server):
    """A Jupyter Server with JupyterLab at ``lab`` and Notebook 7 at ``tree``, and no news."""

    def __init__(self, directory: Path, *, base_url: str) -> None:
        super().__init__(directory, base_url=base_url, config=_FRONT_ENDS)
        self.set_user_settings("notification", fetchNews="false", checkForUpdates=False)

    def set_user_settings(self, name: str, **settings: object) -> None:
        """Set a person's settings of one of JupyterLab's own plugins."""
        folder = self.config_dir / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jupyterlab-settings").write_text(json.dumps(settings))

    def end_sessions(self) -> None:
        """Shut down the kernels of all notebooks."""
        for session in self.http.get("api/sessions").json():
            self.http.delete(f"api/sessions/{session['id']}").raise_for_status()


class Notebook:
    """A notebook that is open in a tab of the browser, and used with the keyboard.

    :param front_end: what it is open in.
    :param path: the notebook's file.
    :param cells: the code of its cells.
    """

    def __init__(
        self, page: Page, server: JupyterServer, front_end: FrontEnd, path: str, cells: list[str]
    ) -> None:
        self.page = page
        self.server = server
        self.path = path
        kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(code) for code in cells],
            metadata={"kernelspec": kernelspec},
        )
        (server.notebooks / path).write_text(nbformat.writes(notebook))
        address = f"lab/tree/{path}?reset&" if front_end == "lab" else f"notebooks/{path}?"
        page.goto(f"{server.url}{address}token={server.token}")
        expect(self.cells).to_have_count(len(cells))
        self.wait_for_kernel()

    @property
    def cells(self) -> Locator:
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def wait_for_kernel(self) -> None:
        """Wait until the kernel has nothing to do."""
        wait_until(self._is_connected, seconds=MILLISECONDS / 1000, what="the notebook's kernel")
        expect(self.page.locator(".jp-Toolbar-kernelName")).to_contain_text("Python 3")
        indicator = self.page.locator(".jp-Notebook-ExecutionIndicator").first
        expect(indicator).to_have_attribute("data-status", "idle")

    def _is_connected(self) -> bool:
        """Whether the tab is connected to the notebook's kernel, which waits for code."""
        return any(
            session["path"] == self.path
            and session["kernel"]["connections"] > 0
            and session["kernel"]["execution_state"] == "idle"
            for session in self.server.http.get("api/sessions").json()
        )

    def prompt(self, cell: int) -> Locator:
        """What stands before a cell: ``[3]:``, or ``[*]:`` while it runs."""
        return self.cells.nth(cell).locator(".jp-InputPrompt")

    def output(self, cell: int) -> Locator:
        """What a cell has put out."""
        return self.cells.nth(cell).locator(".jp-OutputArea-output")

    def line(self, cell: int) -> Locator:
        """The line of a mount that a cell shows, without the panels below it."""
        return self.output(cell).first

    def edit(self, cell: int) -> None:
        """Put the cursor into a cell."""
        self.cells.nth(cell).locator(".cm-content").click()

    def write(self, cell: int, code: str) -> None:
        """Replace what is in a cell."""
        self.edit(cell)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)

    def start(self, cell: int) -> None:
        """Start a cell with Shift and Enter."""
        self.edit(cell)
        self.page.keyboard.press("Shift+Enter")

    def run(self, cell: int, execution_count: int) -> None:
        """Run a cell to its end.

        :param execution_count: the number that the cell gets.
        """
        self.start(cell)
        expect(self.prompt(cell)).to_have_text(f"[{execution_count}]:")

    def run_all(self) -> None:
        """Run the cells one after the other, in a kernel that has run none yet."""
        self.edit(0)
        for cell in range(self.cells.count()):
            self.page.keyboard.press("Shift+Enter")
            expect(self.prompt(cell)).to_have_text(f"[{cell + 1}]:")

    def follow(self, link: Locator) -> Page:
        """Click a link that opens a new tab, and return the tab."""
        with self.page.context.expect_page() as opened:
            link.click()
        opened.value.wait_for_load_state()
        return opened.value

    def restart(self) -> None:
        """Restart the kernel with the keyboard: Escape, 0, 0, Enter."""
        self.edit(0)
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("0")
        self.page.keyboard.press("0")
        dialog = self.page.locator(".jp-Dialog")
        expect(dialog).to_contain_text("Restart Kernel?")
        with self.page.expect_response(lambda answer: "/restart?" in f"{answer.url}?") as restarted:
            self.page.keyboard.press("Enter")
        assert restarted.value.status == 200
        expect(dialog).to_have_count(0)
        self.wait_for_kernel()

    def save(self) -> int:
        """Save with Control and S.

        :returns: the status of Jupyter's answer.
        """
        self.edit(0)
        with self.page.expect_response(
            lambda answer: answer.request.method == "PUT" and "/api/contents/" in answer.url
        ) as saved:
            self.page.keyboard.press("Control+s")
        return saved.value.status
