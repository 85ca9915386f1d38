"""``%flaskserve export`` in a real kernel gives what the saved file gives."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import nbformat
import pytest
from jupyter_processes import Kernel, Server
from notebook_cells import Notebook
from projects import LESSONS

from jupyter_flaskserve.export import export, read_notebook


@pytest.fixture
def kernel(jupyter: Server) -> Iterator[Kernel]:
    """A kernel for the first lesson."""
    shutil.copy(LESSONS / "01-hello-flask.ipynb", jupyter.notebooks)
    kernel = Kernel(jupyter, "01-hello-flask.ipynb")
    yield kernel
    kernel.close()


def without_numbers(text: str) -> str:
    return re.sub(r"(?m)^# Cell \d+$", "# Cell", text)


def test_the_running_notebook_is_exported_as_its_file_is(jupyter: Server, kernel: Kernel) -> None:
    file = jupyter.notebooks / "01-hello-flask.ipynb"
    cells = [cell for cell in nbformat.read(file, as_version=4).cells if cell.cell_type == "code"]
    notebook = Notebook(kernel)
    for cell in cells:
        notebook.run(cell.id, cell.source)
    notebook.run(cells[1].id, cells[1].source)  # out of order: the file tells where it belongs
    said = notebook.run("export", "%flaskserve export -o live").stdout
    assert "Exported app to live" in said
    live = jupyter.notebooks / "live"
    saved = export(read_notebook(file), jupyter.notebooks / "saved").directory
    assert without_numbers((live / "app.py").read_text()) == without_numbers(
        (saved / "app.py").read_text()
    )
    same = ("requirements.txt", "wsgi.py", "nginx.conf", "apache.conf", "Dockerfile")
    for name in same:
        assert (live / name).read_text() == (saved / name).read_text()
