"""The line of a mount in JupyterLab when a view has failed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from jupyter_processes import wait_until
from playwright.sync_api import expect

if TYPE_CHECKING:
    from front_ends import FrontEnd, JupyterServer, Notebook

    OpenNotebook = Callable[[JupyterServer, FrontEnd, list[str]], Notebook]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELLS = [
    "%load_ext jupyter_flaskserve",
    """\
from flask import Flask
app = Flask("lesson")
app.failures = 0

@app.get("/boom")
def boom():
    app.failures += 1
    return 1 / 0
""",
    "%flaskserve app --name demo",
    """\
import time
deadline = time.monotonic() + 120
while not app.failures and time.monotonic() < deadline:
    time.sleep(0.1)
for number in range(10):
    print("tick", number)
    time.sleep(0.1)
""",
]


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_the_line_tells_of_a_failure_while_another_cell_runs_undisturbed(
    any_server: JupyterServer, open_notebook: OpenNotebook, front_end: FrontEnd
) -> None:
    notebook = open_notebook(any_server, front_end, CELLS)
    app = any_server.client("demo")
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(
            wait_until,
            lambda: app.get("boom").status_code == 500,
            seconds=120,
            what="the failure of the view",
        )
        notebook.run_all()
        asked.result()
    expect(notebook.output(2)).to_have_count(2)  # the line and the panels
    expect(notebook.line(2)).to_contain_text(
        "GET /boom failed: ZeroDivisionError in Cell In[2], line 8 · %flaskserve debug demo"
    )
    expect(notebook.output(3)).to_have_count(1)
    ticks = "".join(f"tick {number}\n" for number in range(10))
    assert notebook.output(3).text_content() == ticks
