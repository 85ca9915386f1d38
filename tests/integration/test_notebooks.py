"""The lessons, run cell by cell in a real kernel of a real server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from jupyter_processes import Kernel, Output

from jupyter_flaskserve.comparison.contenders import CONTENDERS

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SERVERS = next(lesson for lesson in LESSONS if lesson.stem == "03-is-flask-a-web-server")
SECONDS = 240  # for a cell that starts all servers there are, on a loaded machine


def run(kernel: Kernel, lesson: Path, *, but: str = "") -> dict[str, Output]:
    """Run the cells of a lesson; none of them may fail.

    :param but: the id of one that is left out.
    :returns: what each put out, by its id.
    """
    notebook = nbformat.read(lesson, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != but]
    return {cell.id: kernel.run(cell.source, seconds=SECONDS) for cell in cells}


def text_of(output: Output) -> str:
    shown = "\n".join(display.get("text/plain", "") for display in output.displays)
    return output.stdout + shown


@pytest.mark.parametrize(
    "lesson", [path for path in LESSONS if path != SERVERS], ids=lambda lesson: lesson.stem
)
def test_a_lesson_runs_to_its_end_and_again(
    new_kernel: Callable[[str], Kernel], lesson: Path
) -> None:
    kernel = new_kernel(lesson.name)
    for _ in range(2):
        outputs = run(kernel, lesson)
        assert not [cell for cell, output in outputs.items() if output.stderr], outputs


def test_working_in_cells_shows_what_it_says(new_kernel: Callable[[str], Kernel]) -> None:
    (lesson,) = [lesson for lesson in LESSONS if lesson.stem == "02-working-in-cells"]
    outputs = run(new_kernel(lesson.name), lesson)
    shown = {cell: text_of(output) for cell, output in outputs.items()}
    assert re.search(r"\b200 OK\b", shown["ask"])
    assert "Hello!" in shown["ask"]
    assert shown["count"] == "3"
    assert "<title>Hello</title>" in shown["ask-template"]
    assert "<h1>Hello, Ada!</h1>" in shown["ask-template"]
    assert re.search(r'"sum": 5\b', shown["prints-ask"])
    assert "adding 2 and 3" in shown["log"]
    assert "somebody adds numbers" in shown["log"]
    assert shown["reply"] == "42"
    assert shown["fail-ask"] == "500"
    assert "app.run() serves through Jupyter and returns; port has no effect." in shown["tutorial"]
    assert re.search(r'"Ada",\s+"Grace"', shown["sqlite-ask"])
    assert shown["stop"] == "Stopped: cells, clock, book.\n"


@pytest.mark.timeout(400)
@pytest.mark.jupyter_server("Jupyter Server is one of the servers that the lesson compares")
def test_is_flask_a_web_server_finds_the_answer(new_kernel: Callable[[str], Kernel]) -> None:
    missing = [kind.missing() for kind in CONTENDERS.values() if kind.missing()]
    if missing:
        reason = f"the lesson lacks servers: {'; '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    kernel = new_kernel(SERVERS.name)
    outputs = run(kernel, SERVERS)
    assert not [cell for cell, output in outputs.items() if output.stderr], outputs
    shown = {cell: text_of(output) for cell, output in outputs.items()}
    assert "200 OK" in shown["call"]
    assert f"answered by process {kernel.pid}, over http" in shown["call"]
    assert "refused" in shown["knock"]
    assert "Error" in shown["bytes"]
    assert shown["smallest-ask"] == f"200 answered by process {kernel.pid}, over http\n"
    assert re.search(r"Gunicorn: yes\. of \d+ requests, 8 at a time: process \d+", shown["balance"])
    *turns, secure = re.findall(r"answered by process (\d+), over (https?)\n", shown["turns"])
    assert [turns[place] == turns[place - 2] for place in range(2, 6)] == [True] * 4
    assert len({str(kernel.pid), turns[0][0], turns[1][0]}) == 3
    assert secure[1] == "https"
    assert "darkgreen" in shown["turns"]
    assert "nginx → Gunicorn: yes. GET /static/…: 200" in shown["static"]
    assert "Apache with mod_wsgi: yes. GET /static/…: 200" in shown["static"]
    assert "Gunicorn: no. GET /static/…: the app in process" in shown["static"]
    assert "nginx → Gunicorn: yes. handshake at port" in shown["tls"]
    assert "waitress: no. a TLS handshake" in shown["tls"]
    assert "upstream app {" in shown["conf"]
    assert "nginx → this kernel: no. process" in shown["kernel"]
    assert "This Jupyter Server: yes. it accepted a connection" in shown["jupyter"]
    assert "Survives a crash" in shown["frame"]
    again = run(kernel, SERVERS, but="compare")  # which takes a while
    assert not [cell for cell, output in again.items() if output.stderr], again
