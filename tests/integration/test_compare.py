"""``%flaskserve compare`` in a notebook's kernel, with its own Jupyter Server among the servers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jupyter_processes import Kernel, wait_until

pytestmark = pytest.mark.jupyter_server("the server is one of those that are compared")

CELL = """
from flask import Flask
app = Flask(__name__)
app.secret_key = "a word that is nobody's business"

@app.get("/")
def home():
    return "hello from the notebook"
"""

# What any kernel of this person has kept of the probe's cell. It must not find itself.
HISTORY = """
from IPython.core.history import HistoryAccessor
accessor = HistoryAccessor()
print(list(accessor.search("*serve(" + "Observed(None*")))
"""


@pytest.fixture
def kernel(new_kernel: Callable[[str], Kernel], tmp_path: Path) -> Kernel:
    kernel = new_kernel("Compare.ipynb")
    kernel.run("%load_ext jupyter_flaskserve")
    kernel.run(CELL)
    return kernel


def test_this_jupyter_server_is_compared_and_a_second_kernel_is_killed_for_it(
    kernel: Kernel,
) -> None:
    before = len(kernel.server.http.get("api/kernels").json())
    output = kernel.run(
        "rows = %flaskserve compare app --only jupyter,gunicorn --seconds 0.2 --no-widget",
        seconds=100,
    )
    assert not output.stderr
    assert kernel.run("print([row.remark for row in rows.values()])").stdout == "['', '']\n"
    states = kernel.run("print(*[cell.state for cell in rows['jupyter'].cells.values()])").stdout
    assert states == "yes yes no partly no yes yes no\n"
    evidence = kernel.run("print(rows['jupyter'].tell('survives'))").stdout
    assert "a second kernel" in evidence
    assert len(kernel.server.http.get("api/kernels").json()) == before
    assert kernel.run(HISTORY).stdout == "[]\n"
    assert kernel.run("import jupyter_flaskserve as j; print(j.mounts())").stdout == "[]\n"
    shown = kernel.run("print(rows, rows.as_json(), rows._repr_html_())").stdout
    assert kernel.server.token not in shown
    assert "nobody's business" not in shown


def test_the_table_is_updated_in_its_place_where_no_widget_is_wanted(kernel: Kernel) -> None:
    output = kernel.run("%flaskserve compare app --only by-hand --seconds 0 --no-widget")
    (display,) = output.displays
    assert "Called by hand" in display["text/plain"]
    assert "<table>" in display["text/html"]


def test_an_interrupt_stops_all_that_was_started(kernel: Kernel) -> None:
    cell = kernel.start("%flaskserve compare app --only flask,gunicorn --seconds 30 --no-widget")
    children = wait_until(lambda: _servers(kernel.pid), seconds=60, what="a server")
    kernel.server.http.post(f"api/kernels/{kernel.id}/interrupt").raise_for_status()
    assert "All that it had started has been stopped." in cell.wait(30).stderr
    assert not [child for child in children if child.is_running()]
    assert not psutil.Process(kernel.pid).children(recursive=True)
    assert kernel.run("print(app.name)").stdout == "__main__\n"


def test_a_kernel_that_is_killed_leaves_no_server(kernel: Kernel) -> None:
    kernel.start("%flaskserve compare app --only flask --seconds 30 --no-widget")
    children = wait_until(lambda: _servers(kernel.pid), seconds=60, what="a server")
    os.kill(kernel.pid, 9)
    wait_until(
        lambda: not [c for c in children if c.is_running() and c.status() != "zombie"],
        seconds=30,
        what="the end of what the kernel had started",
    )


def test_a_kernel_that_is_killed_leaves_no_second_kernel(kernel: Kernel) -> None:
    def kernels() -> set[str]:
        return {one["id"] for one in kernel.server.http.get("api/kernels").json()}

    def runs_another() -> bool:  # it is known to who compares as soon as it has been started
        listed = kernel.server.http.get("api/kernels").json()
        states = {one["id"]: one["execution_state"] for one in listed if one["id"] not in before}
        return any(state != "starting" for state in states.values())

    before = kernels()
    kernel.start("%flaskserve compare app --only jupyter --seconds 0 --no-widget")
    wait_until(runs_another, seconds=60, what="a second kernel")
    os.kill(kernel.pid, 9)
    wait_until(lambda: not kernels() - before, seconds=30, what="the end of the second kernel")


def _servers(pid: int) -> list[psutil.Process]:
    """The children of a kernel, once a server is among them."""
    children = psutil.Process(pid).children(recursive=True)
    words = " ".join(word for child in children for word in child.cmdline())
    return children if "serve.py" in words else []
