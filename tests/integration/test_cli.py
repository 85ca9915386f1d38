"""``jupyter flaskserve`` as a person starts it: a process in a home of its own."""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import httpx
import nbformat
import psutil
import pytest
from jupyter_processes import arrangement, wait_until

from jupyter_flaskserve import __version__
from jupyter_flaskserve.kernel.apps import app_variables

pytestmark = pytest.mark.jupyter_server("the command starts one")

BIN = Path(sys.executable).parent
LESSON = Path(__file__).parents[2] / "notebooks" / "01-hello-flask.ipynb"

APP = """
from flask import Flask
app = Flask(__name__)
@app.route("/")
def home():
    return "Hello from the notebook"
"""


class Command:
    """A command that runs. What it prints is collected as it comes."""

    def __init__(self, arguments: list[str], directory: Path, environment: dict[str, str]) -> None:
        self._text = {"stdout": "", "stderr": ""}
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._text
        ]
        for reader in self._readers:
            reader.start()
        self.descendants: list[psutil.Process] = []

    @property
    def stdout(self) -> str:
        with self._lock:
            return self._text["stdout"]

    @property
    def stderr(self) -> str:
        with self._lock:
            return self._text["stderr"]

    def wait_for(self, words: str) -> None:
        """Wait until stdout has the words, and remember the processes that run then."""
        wait_until(
            lambda: words in self.stdout or self.process.poll() is not None,
            seconds=60,
            what=repr(words),
        )
        assert words in self.stdout, self.stdout + self.stderr
        self.descendants = psutil.Process(self.process.pid).children(recursive=True)

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status."""
        status = self.process.wait(60)
        for reader in self._readers:
            reader.join(10)
        return status

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def close(self) -> None:
        """End it, and what it left, whatever the test came to."""
        if self.process.poll() is None:
            self.descendants = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
        for process in self.descendants:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self, name: str) -> None:
        pipe = getattr(self.process, name)
        while chunk := pipe.read1():
            with self._lock:
                self._text[name] += chunk.decode()


class Home:
    """A person's home, where nothing of this machine interferes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = directory / "runtime"
        self.temporary = directory / "tmp"
        self.work = directory / "work"
        self.work.mkdir()
        self.temporary.mkdir()
        own = {
            "HOME": directory / "home",
            "JUPYTER_CONFIG_DIR": directory / "config",
            "JUPYTER_DATA_DIR": directory / "data",
            "JUPYTER_RUNTIME_DIR": self.runtime,
            "TMPDIR": self.temporary,
        }
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "JPY", "PYTHON"))
        } | {name: str(path) for name, path in own.items()}
        self.environment |= arrangement.environment(directory / "ipython")
        self.environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        self._commands: list[Command] = []

    def start(self, *words: str, **environment: str) -> Command:
        """Start ``jupyter-flaskserve`` with these words."""
        command = Command(
            [str(BIN / "jupyter-flaskserve"), *words], self.work, self.environment | environment
        )
        self._commands.append(command)
        return command

    def call(self, *words: str, **environment: str) -> Command:
        """The same, and wait until it has ended."""
        command = self.start(*words, **environment)
        command.wait()
        return command

    def serve(self, *words: str, **environment: str) -> Command:
        """``run`` a notebook without a browser and wait until it is served."""
        command = self.start("run", "--no-browser", *words, **environment)
        command.wait_for("Press Ctrl-C")
        return command

    def notebook(self, name: str, *cells: str | tuple[str, str]) -> str:
        """Write a notebook of code cells; a pair is a cell with a tag."""
        node = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "3"}}
        )
        for cell in cells:
            source, tags = (cell, []) if isinstance(cell, str) else (cell[0], [cell[1]])
            node.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
        nbformat.write(node, self.work / name)
        return name

    def left_over(self) -> list[str]:
        """The files of servers, kernels and mounts that nobody has removed."""
        places = [self.temporary, self.runtime, self.runtime / "flaskserve"]
        kept = {"flaskserve", "jupyter_cookie_secret", ".lock"}
        return [
            str(path)
            for place in places
            if place.is_dir()
            for path in place.iterdir()
            if path.name not in kept
        ]

    def close(self) -> None:
        for command in self._commands:
            command.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()


def url_of(command: Command) -> str:
    found = re.search(r"http://\S+", command.stdout)
    assert found is not None, command.stdout
    return found[0]


def get(url: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20, follow_redirects=True) as client:
        return client.get(url)


def assert_nothing_left(home: Home, command: Command) -> None:
    running = [process for process in command.descendants if process.is_running()]
    assert [process.cmdline() for process in running] == []
    assert home.left_over() == []


# --- run ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_serves_until_a_signal_and_leaves_nothing(home: Home, number: int) -> None:
    command = home.serve(home.notebook("Lesson 2.ipynb", "print('from a cell')", APP))
    url = url_of(command)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/flaskserve/lesson-2/\?token=[0-9a-f]{48}", url)
    assert get(url).text == "Hello from the notebook"
    assert len(command.descendants) >= 2  # the server and the kernel
    assert command.end(number) == 0
    assert command.stdout.splitlines()[0] == "from a cell"
    assert "Cell 2 of 2" in command.stderr
    assert "Traceback" not in command.stderr
    assert_nothing_left(home, command)


def test_run_serves_only_to_those_with_the_token(home: Home) -> None:
    command = home.serve(home.notebook("a.ipynb", APP), JUPYTER_TOKEN="a-token")
    url = url_of(command)
    assert url.endswith("?token=a-token")
    assert "Hello" not in get(url.partition("?")[0]).text
    assert "Hello" in get(url).text


def test_run_uses_the_mount_that_the_cells_made(home: Home) -> None:
    command = home.serve(str(LESSON))
    assert re.findall(r"/flaskserve/([^/]*)/", command.stdout) == ["hello"]
    assert "Hello" in get(url_of(command)).text
    assert command.end() == 0
    assert_nothing_left(home, command)


def test_run_serves_the_app_and_the_name_it_is_told(home: Home) -> None:
    cells = f"{APP}\nother = Flask('other')\nother.route('/')(lambda: 'The other')"
    command = home.serve(home.notebook("a.ipynb", cells), "--app", "other", "--name", "second")
    assert "/flaskserve/second/" in url_of(command)
    assert get(url_of(command)).text == "The other"


def test_run_runs_cells_as_a_notebook_does(home: Home) -> None:
    (home.work / "beside.py").write_text("WORD = 'beside'")
    command = home.serve(
        home.notebook(
            "a.ipynb",
            "import os, beside\n%load_ext jupyter_flaskserve",
            ("raise SystemError('not run')", "skip-execution"),
            ("1 / 0", "raises-exception"),
            f"{APP}\nword = os.path.basename(os.environ['JPY_SESSION_NAME']) + beside.WORD",
            "app.route('/word')(lambda: word)\n%flaskserve app --name cells",
        )
    )
    url = url_of(command).replace("/cells/", "/cells/word")
    assert get(url).text == "a.ipynbbeside"
    assert "not run" not in command.stderr
    assert "Cell 4 of 4" in command.stderr


def test_run_opens_the_browser_without_telling_other_users_the_token(home: Home) -> None:
    seen = home.directory / "seen"
    script = home.directory / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {seen}.new && mv {seen}.new {seen}\n')
    script.chmod(0o700)
    command = home.start("run", home.notebook("a.ipynb", APP), BROWSER=f"{script} %s")
    command.wait_for("Press Ctrl-C")
    wait_until(seen.exists, what="the browser")
    page = Path(seen.read_text().strip().removeprefix("file://"))
    assert page.stat().st_mode & 0o077 == 0
    assert url_of(command) in html.unescape(page.read_text())
    assert command.end() == 0
    assert_nothing_left(home, command)


def test_a_cell_that_fails_is_named_and_ends_everything(home: Home) -> None:
    name = home.notebook(
        "a.ipynb", "print('first')", "\ndef f():\n    return 1 / 0\nf()", "print(3)"
    )
    command = home.start("run", "--no-browser", name)
    wait_until(lambda: psutil.Process(command.process.pid).children(), seconds=30)
    command.wait_for("first")
    assert command.wait() == 1
    assert command.stdout == "first\n"
    assert "return 1 / 0" in command.stderr
    assert "\x1b[" not in command.stderr
    assert command.stderr.splitlines()[-1] == (
        "jupyter flaskserve: Cell 2 of 3 (def f():) failed: ZeroDivisionError."
    )
    assert_nothing_left(home, command)


def test_a_cell_that_takes_too_long_ends_everything(home: Home) -> None:
    name = home.notebook("a.ipynb", "print('go', flush=True)\nimport time\ntime.sleep(60)")
    command = home.start("run", "--timeout", "1.5", name)
    command.wait_for("go")
    assert command.wait() == 1
    assert "Cell 1 of 1 (print('go', flush=True)) took longer than 1.5 seconds." in command.stderr
    assert_nothing_left(home, command)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_cell_runs_ends_everything(home: Home, number: int) -> None:
    name = home.notebook("a.ipynb", "print('go', flush=True)\nwhile True: pass")
    command = home.start("run", name)
    command.wait_for("go")
    assert command.end(number) == 128 + number
    assert "Traceback" not in command.stderr
    assert_nothing_left(home, command)


def test_a_signal_while_the_server_starts_ends_everything(home: Home) -> None:
    command = home.start("run", home.notebook("a.ipynb", APP))
    command.descendants = wait_until(
        lambda: psutil.Process(command.process.pid).children(recursive=True), seconds=30
    )
    assert command.end(signal.SIGTERM) == 128 + signal.SIGTERM
    assert "Traceback" not in command.stderr
    assert_nothing_left(home, command)


def test_a_server_that_dies_is_said_and_takes_the_kernel_along(home: Home) -> None:
    command = home.serve(home.notebook("a.ipynb", APP))
    (server,) = psutil.Process(command.process.pid).children()
    server.kill()
    assert command.wait() == 1
    assert "The Jupyter Server has ended by SIGKILL." in command.stderr
    assert_nothing_left(home, command)


def test_a_kernel_that_dies_is_said_and_ends_the_server(home: Home) -> None:
    command = home.serve(home.notebook("a.ipynb", APP))
    (server,) = psutil.Process(command.process.pid).children()
    (kernel,) = server.children()
    kernel.kill()
    assert command.wait() == 1
    assert "The notebook's kernel has ended." in command.stderr
    assert_nothing_left(home, command)


@pytest.mark.parametrize(
    ("cells", "words", "message"),
    [
        (
            ("from flask import Flask\nshop = Flask('a')\nadmin = Flask('b')\nsame = shop",),
            (),
            "The notebook has 2 apps: shop, admin. Say which one with --app VARIABLE.",
        ),
        (
            ("from flask import Flask, request, current_app\nx = 1",),
            (),
            "The notebook has no Flask app. Make one in a cell, such as app = Flask(__name__).",
        ),
        (
            (APP,),
            ("--app", "ap"),
            "The notebook has no variable 'ap'. Did you mean 'app'? Its apps: app.",
        ),
        (("x = 1",), ("--app", "x"), "x is of type int, not a WSGI app."),
        ((APP,), ("--name", "Two Words"), "'Two Words' cannot be a mount's name"),
    ],
    ids=["several", "none", "unknown variable", "not an app", "bad name"],
)
def test_an_app_that_cannot_be_served_is_one_line(
    home: Home, cells: tuple[str, ...], words: tuple[str, ...], message: str
) -> None:
    command = home.call("run", home.notebook("a.ipynb", *cells), *words)
    assert command.process.returncode == 2
    assert command.stderr.splitlines()[-1].startswith(f"jupyter flaskserve: {message}")
    assert "Traceback" not in command.stderr
    assert command.stdout == ""
    assert home.left_over() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no notebook a.ipynb."),
        ("print('hello')", "a.ipynb is not a Jupyter notebook."),
        ("[1, 2]", "a.ipynb is not a Jupyter notebook."),
        ('{"nbformat": "four"}', "a.ipynb is not a Jupyter notebook."),
        (nbformat.writes(nbformat.v4.new_notebook()), "a.ipynb has no code to run."),
    ],
    ids=["missing", "not JSON", "not an object", "broken", "empty"],
)
def test_a_file_that_will_not_do_is_one_line(home: Home, content: str | None, message: str) -> None:
    if content is not None:
        (home.work / "a.ipynb").write_text(content)
    command = home.call("run", "a.ipynb")
    assert (command.process.returncode, command.stdout) == (2, "")
    assert command.stderr == f"jupyter flaskserve: {message}\n"


def test_a_taken_port_is_said(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = home.call("run", home.notebook("a.ipynb", APP), "--port", str(port))
    assert command.process.returncode == 1
    assert command.stderr == (
        f"jupyter flaskserve: Port {port} is taken. Choose another with --port, or leave it out.\n"
    )
    assert home.left_over() == []


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Home) -> None:
    config = home.directory / "config"
    config.mkdir()
    (config / "jupyter_server_config.py").write_text("raise SystemExit('the log says why')")
    command = home.call("run", home.notebook("a.ipynb", APP))
    assert command.process.returncode == 1
    assert "The Jupyter Server has ended with exit status" in command.stderr
    assert "the log says why" in command.stderr
    assert home.left_over() == []


def test_a_kernel_that_is_not_installed_is_replaced(home: Home) -> None:
    name = home.notebook("a.ipynb", APP)
    node = nbformat.read(home.work / name, as_version=4)
    node.metadata.kernelspec.name = "elsewhere"
    nbformat.write(node, home.work / name)
    command = home.serve(name)
    assert "kernel 'elsewhere' is not installed; 'python3' runs it." in command.stderr
    assert "Hello" in get(url_of(command)).text


# --- list and stop -----------------------------------------------------------------------------


def test_list_and_stop_reach_what_is_served(home: Home) -> None:
    first = home.serve(home.notebook("first.ipynb", APP))
    second = home.serve(home.notebook("the-second.ipynb", APP))
    urls = [url_of(command).partition("?")[0] for command in (first, second)]

    lines = home.call("list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "URL", "NOTEBOOK", "STATE"],
        *sorted(
            [
                [name, url, f"{name}.ipynb", "serving"]
                for name, url in zip(("first", "the-second"), urls, strict=True)
            ],
            key=lambda row: row[1],
        ),
    ]
    starts = [[found.start() for found in re.finditer(r"\S+", line)] for line in lines]
    assert starts[0] == starts[1] == starts[2]

    objects = {each["name"]: each for each in json.loads(home.call("list", "--json").stdout)}
    assert [objects[name]["url"] for name in ("first", "the-second")] == urls
    assert objects["first"]["state"] == "serving"

    wrong = home.call("stop", "frist")
    assert wrong.process.returncode == 1
    assert wrong.stderr == (
        "jupyter flaskserve: Nothing is served as 'frist'."
        " Did you mean 'first'? Served: first, the-second.\n"
    )

    right = home.call("stop", "first")
    assert (right.process.returncode, right.stdout) == (0, "Stopped first.\n")
    assert first.wait() == 0
    assert "first was stopped, so the kernel and the server stop too." in first.stdout
    assert "first" not in home.call("list").stdout.replace("the-second", "")
    assert "Hello" in get(url_of(second)).text


def test_stop_asks_which_server_when_two_serve_a_name(home: Home) -> None:
    one = home.serve(home.notebook("same.ipynb", APP))
    two = home.serve("same.ipynb")
    servers = [url_of(command).partition("flaskserve/")[0] for command in (one, two)]

    unsure = home.call("stop", "same")
    assert unsure.process.returncode == 1
    assert "2 servers serve 'same'. Say which one with --server URL:" in unsure.stderr
    assert all(server in unsure.stderr for server in servers)

    lost = home.call("stop", "same", "--server", "http://127.0.0.1:1/")
    assert lost.process.returncode == 1
    assert "No running Jupyter Server is at http://127.0.0.1:1/." in lost.stderr

    local = servers[1].replace("127.0.0.1", "localhost").rstrip("/")
    assert home.call("stop", "same", "--server", local).stdout == "Stopped same.\n"
    assert two.wait() == 0
    assert "Hello" in get(url_of(one)).text


def test_list_leaves_out_servers_it_cannot_ask(home: Home) -> None:
    home.runtime.mkdir()

    def announce(url: str, number: int) -> None:
        info = {"pid": os.getpid(), "url": url, "token": "", "sock": ""}
        (home.runtime / f"jpserver-{number}.json").write_text(json.dumps(info))

    with socket.create_server(("127.0.0.1", 0)) as silent, bare_http_server() as bare:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        announce(silent_url, 1)
        announce(bare, 2)
        command = home.call("list")
    assert command.process.returncode == 0
    assert command.stdout == "Nothing is served.\n"
    assert command.stderr == (
        f"jupyter flaskserve: {silent_url} has not answered within 2 seconds, so it is left out.\n"
    )


@contextlib.contextmanager
def bare_http_server() -> Iterator[str]:
    """A server that answers 404, as a Jupyter Server without the extension does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        thread.join(10)


def test_with_nothing_served_list_says_so(home: Home) -> None:
    assert home.call("list").stdout == "Nothing is served.\n"
    assert json.loads(home.call("list", "--json").stdout) == []
    command = home.call("stop", "demo")
    assert command.process.returncode == 1
    assert command.stderr == (
        "jupyter flaskserve: Nothing is served as 'demo'. Nothing is served at all.\n"
    )


# --- demo --------------------------------------------------------------------------------------


def test_demo_opens_the_first_lesson_in_jupyterlab(home: Home) -> None:
    folder = home.work / "flaskserve-notebooks"
    folder.mkdir()
    (folder / "mine.ipynb").write_text("mine")
    command = home.start("demo", "--no-browser")
    command.wait_for("Press Ctrl-C")
    copy = folder / "01-hello-flask.ipynb"
    assert copy.read_bytes() == LESSON.read_bytes()
    url = url_of(command)
    assert "/lab/tree/01-hello-flask.ipynb?token=" in url
    assert "JupyterLab" in get(url).text
    contents = get(url.replace("lab/tree/", "api/contents/"))
    assert contents.json()["type"] == "notebook"
    mounts = get(url.replace("lab/tree/01-hello-flask.ipynb", "api/flaskserve/mounts"))
    assert mounts.json() == {"mounts": []}
    assert command.end() == 0
    assert "Traceback" not in command.stderr
    assert_nothing_left(home, command)


def test_demo_never_overwrites_a_file(home: Home) -> None:
    folder = home.work / "flaskserve-notebooks"
    folder.mkdir()
    (folder / "01-hello-flask.ipynb").write_text("changed by a student")
    command = home.start("demo", "--no-browser")
    command.wait_for("The notebooks are in")
    assert command.end() in (0, 128 + signal.SIGINT)
    assert (folder / "01-hello-flask.ipynb").read_text() == "changed by a student"


def test_demo_without_jupyterlab_says_how_to_install_it(home: Home) -> None:
    modules = home.directory / "modules"
    modules.mkdir()
    (modules / "sitecustomize.py").write_text("import sys; sys.modules['jupyterlab'] = None")
    command = home.call("demo", PYTHONPATH=str(modules))
    assert command.process.returncode == 1
    assert re.fullmatch(
        r"jupyter flaskserve: JupyterLab is not installed\. Install it with:"
        rf" {re.escape(str(BIN))}/python[0-9.]* -m pip install 'jupyter-flaskserve\[lab\]'\n",
        command.stderr,
    )
    assert not (home.work / "flaskserve-notebooks").exists()


# --- the command itself ------------------------------------------------------------------------


def test_jupyter_finds_the_command(home: Home) -> None:
    command = subprocess.run(
        [BIN / "jupyter", "flaskserve", "--version"],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert command.stdout == f"jupyter-flaskserve {__version__}\n"


@pytest.mark.parametrize("command", ["demo", "run", "list", "stop"])
def test_help_has_examples(home: Home, command: str) -> None:
    assert f"  jupyter flaskserve {command}" in home.call("--help").stdout
    assert f"  jupyter flaskserve {command}" in home.call(command, "--help").stdout


def test_without_a_command_the_help_is_shown(home: Home) -> None:
    command = home.call()
    assert command.process.returncode == 2
    assert "usage: jupyter flaskserve" in command.stderr


@pytest.mark.parametrize(
    "words", [("--port", "0"), ("--port", "http"), ("--timeout", "-1"), ("--timeout", "nan")]
)
def test_options_out_of_range_are_refused(home: Home, words: tuple[str, str]) -> None:
    command = home.call("run", "a.ipynb", *words)
    assert command.process.returncode == 2
    assert f"argument {words[0]}: {words[1]!r} is not a" in command.stderr


def test_apps_are_known_without_touching_proxies() -> None:
    def plain(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
        return []

    def view(name: str) -> str:
        return name

    class Wrapped:
        def __call__(self, environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
            return []

    app = flask.Flask("app")
    namespace = {
        "app": app,
        "alias": app,
        "_hidden": flask.Flask("hidden"),
        "request": flask.request,
        "current_app": flask.current_app,
        "Flask": flask.Flask,
        "Wrapped": Wrapped,
        "wrapped": Wrapped(),
        "plain": plain,
        "view": view,
        "number": 1,
        "len": len,
    }
    assert app_variables(namespace) == ["app", "wrapped", "plain"]
