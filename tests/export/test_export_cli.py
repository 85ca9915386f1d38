"""``jupyter flaskserve export`` and ``run --server`` as a person calls them."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from jupyter_processes import wait_until
from projects import LESSONS
from test_cli import APP, Command, Home, assert_nothing_left, get, home

__all__ = ["home"]  # a fixture

WORKER = (
    APP
    + """
import os
@app.route("/pid")
def pid():
    return str(os.getpid())
@app.route("/file")
def file():
    return open("beside.txt").read()
app.secret_key = "s3cret"
@app.route("/key")
def key():
    return app.secret_key
"""
)


def serve(home: Home, *words: str, **environment: str) -> tuple[Command, str]:
    command = home.start("run", "--no-browser", *words, **environment)
    command.wait_for("Press Ctrl-C")
    found = re.search(r"http://\S+", command.stdout)
    assert found is not None
    return command, found[0]


def works(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that nobody has asked for its end has."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def test_export_writes_a_project_that_runs_with_its_own_commands(home: Home) -> None:
    command = home.call("export", str(LESSONS / "01-hello-flask.ipynb"), "-o", "hello")
    assert command.process.returncode == 0, command.stderr
    assert "Exported app to hello: 15 of 15 files" in command.stdout
    assert "cells 3, 4, 5" in command.stdout
    project = home.work / "hello"
    done = subprocess.run(
        [sys.executable, "-c", "import wsgi; print(wsgi.app.test_client().get('/').text)"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "<h1>Hello!</h1>" in done.stdout
    names = {path.name for path in project.iterdir()}
    assert names >= {
        *("app.py", "wsgi.py", "requirements.txt", "gunicorn.conf.py", "nginx.conf"),
        *("apache.conf", "01-hello-flask.service", "Dockerfile", "compose.yaml"),
        *("kubernetes.yaml", "README.md"),
    }


def test_export_names_the_folder_for_the_notebook_and_keeps_what_was_changed(home: Home) -> None:
    name = home.notebook("My Shop.ipynb", APP)
    assert home.call("export", name).process.returncode == 0
    (home.work / "my-shop-project" / "app.py").write_text("mine")
    command = home.call("export", name)
    assert "You have changed app.py: kept, the new is in app.py.new." in command.stdout
    assert (home.work / "my-shop-project" / "app.py").read_text() == "mine"


def test_export_names_the_cell_that_cannot_be_exported(home: Home) -> None:
    view = "@app.route('/x')\ndef x():\n    return lost"
    command = home.call("export", home.notebook("a.ipynb", APP, view))
    assert command.process.returncode == 2
    assert command.stderr.splitlines()[-1].endswith(
        "jupyter flaskserve: Cell 2 (@app.route('/x')) uses lost, which no cell makes any more."
        " Add a cell that makes it, and export again."
    )
    assert not (home.work / "a-project").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.ipynb",), "There is no notebook none.ipynb."),
        (("a.ipynb", "--app", "nope"), "The notebook has no variable 'nope'."),
    ],
)
def test_export_says_what_will_not_do(home: Home, words: tuple[str, ...], message: str) -> None:
    home.notebook("a.ipynb", APP)
    command = home.call("export", *words)
    assert command.process.returncode == 2
    assert message in command.stderr
    assert "Traceback" not in command.stderr


@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_run_serves_with_a_production_server_until_a_signal(home: Home, server: str) -> None:
    (home.work / "beside.txt").write_text("beside the notebook")
    (home.work / "app.py").write_text("raise SystemError('not the notebook')")
    name = home.notebook("a.ipynb", "%load_ext jupyter_flaskserve", WORKER, "%flaskserve app")
    command, url = serve(home, name, "--server", server)
    assert f"Serving a.ipynb with {server}" in command.stdout
    assert get(url).text == "Hello from the notebook"
    assert get(f"{url}file").text == "beside the notebook"
    assert get(f"{url}key").text == "s3cret"
    assert not any("jupyter" in " ".join(p.cmdline()) for p in command.descendants)
    assert command.end() == 0
    assert "Traceback" not in command.stderr
    assert_nothing_left(home, command)


def test_the_environment_comes_before_what_the_notebook_has_where_it_is_not_set(
    home: Home,
) -> None:
    cell = APP + (
        "\nimport os\n@app.route('/keys')\ndef keys():\n"
        "    return os.environ.get('API_KEY', 'the notebooks') + app.secret_key\n"
        "app.secret_key = 'fixed-s3cret'"
    )
    name = home.notebook("a.ipynb", cell)
    command, url = serve(
        home, name, "--server", "waitress", API_KEY="my own ", SECRET_KEY="of another program"
    )
    assert get(f"{url}keys").text == "my own fixed-s3cret"
    assert command.end() == 0
    command, url = serve(home, name, "--server", "waitress", API_KEY="")
    assert get(f"{url}keys").text == "the notebooksfixed-s3cret"


@pytest.mark.parametrize("server", ["gunicorn", "waitress"])
def test_a_command_that_is_killed_leaves_no_server(home: Home, server: str) -> None:
    command, _ = serve(home, home.notebook("a.ipynb", APP), "--server", server)
    process = psutil.Process(command.process.pid)
    command.descendants = process.children(recursive=True)
    assert command.descendants
    process.kill()
    command.wait()
    wait_until(lambda: not any(map(works, command.descendants)), what="the end of the server")
    assert home.left_over() == []


def test_run_serves_with_many_workers(home: Home) -> None:
    command, url = serve(
        home, home.notebook("a.ipynb", WORKER), "--server", "gunicorn", "--workers", "3"
    )
    seen: set[str] = set()

    def all_seen() -> bool:
        with httpx.Client(trust_env=False, timeout=20) as client:
            seen.add(client.get(f"{url}pid").text)
        return len(seen) == 3

    wait_until(all_seen, seconds=30, what="an answer of each worker")
    assert command.end(signal.SIGTERM) == 0
    assert_nothing_left(home, command)


def test_run_tells_that_workers_do_not_share_variables(home: Home) -> None:
    cell = f"{APP}\nseen = []\n@app.route('/add')\ndef add():\n    seen.append(1)\n    return ''"
    command, _ = serve(
        home, home.notebook("a.ipynb", cell), "--server", "gunicorn", "--workers", "2"
    )
    assert "Views change seen: each of the 2 workers has its own copy." in command.stderr


def test_a_server_that_dies_is_said_and_leaves_nothing(home: Home) -> None:
    command, _ = serve(home, home.notebook("a.ipynb", APP), "--server", "gunicorn")
    command.descendants = psutil.Process(command.process.pid).children(recursive=True)
    psutil.Process(command.process.pid).children()[0].kill()
    assert command.wait() == 1
    assert "gunicorn has ended by SIGKILL." in command.stderr
    wait_until(lambda: not any(map(works, command.descendants)), what="the end of its workers")
    assert home.left_over() == []


def test_a_notebook_that_fails_outside_of_jupyter_is_said(home: Home) -> None:
    cell = f"{APP}\nimport sys\napp.config['X'] = sys.modules['ipykernel']"
    command = home.call("run", home.notebook("a.ipynb", cell), "--server", "gunicorn")
    assert command.process.returncode == 1
    assert "KeyError: 'ipykernel'" in command.stderr + command.stdout
    assert home.left_over() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--server", "waitress", "--workers", "2"), "waitress is one process with threads"),
        (("--server", "gunicorn", "--name", "x"), "--name has no effect with --server"),
        (("--server", "gunicorn", "--timeout", "3"), "--timeout has no effect with --server"),
        (("--workers", "2"), "--workers is for --server gunicorn."),
        (("--server", "gunicorn", "--workers", "0"), "'0' is not a number of workers"),
        (("--server", "uwsgi"), "invalid choice: 'uwsgi'"),
    ],
)
def test_options_that_do_not_go_together_are_said(
    home: Home, words: tuple[str, ...], message: str
) -> None:
    command = home.call("run", home.notebook("a.ipynb", APP), *words)
    assert command.process.returncode == 2
    assert message in command.stderr
    assert "Traceback" not in command.stderr


def test_a_main_thread_app_is_not_given_to_waitress(home: Home) -> None:
    name = home.notebook(
        "a.ipynb", "%load_ext jupyter_flaskserve", APP, "%flaskserve app --main-thread"
    )
    command = home.call("run", name, "--server", "waitress")
    assert command.process.returncode == 2
    assert "runs its views on its main thread, which waitress does not" in command.stderr


def test_a_server_that_is_not_installed_says_how_to_install_it(home: Home, tmp_path: Path) -> None:
    # A kernel whose Python has no Gunicorn.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    spec = home.directory / "data" / "kernels" / "bare"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        f'{{"argv": ["{python}", "-m", "ipykernel_launcher", "-f", "{{connection_file}}"],'
        ' "display_name": "bare", "language": "python"}'
    )
    notebook = home.work / home.notebook("a.ipynb", APP)
    notebook.write_text(notebook.read_text().replace('"name": "python3"', '"name": "bare"'))
    command = home.call("run", notebook.name, "--server", "gunicorn")
    assert command.process.returncode == 1
    assert f"Install it with: {python} -m pip install gunicorn" in command.stderr
