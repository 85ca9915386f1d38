"""A kernel without a Jupyter Server: it serves its apps itself, and lets in whom it should."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_client.manager import KernelManager
from jupyter_processes import Output, RunningCell, wait_until
from websockets.sync.client import connect

PROGRAM = """
import json, sys, time
from flask import Flask, Response, redirect, request, session, url_for
from flask_sock import Sock
from jupyter_flaskserve import mounts, serve

app = Flask(__name__)
app.secret_key = "s"
sock = Sock(app)
seen = []

@app.before_request
def note():
    seen.append(request.path)

@app.route("/")
def home():
    session["n"] = session.get("n", 0) + 1
    return {"n": session["n"], "query": request.query_string.decode(),
            "cookie": request.headers.get("Cookie", ""),
            "authorization": request.headers.get("Authorization", ""),
            "external": url_for("home", _external=True)}

@app.post("/form")
def form():
    return redirect(url_for("home"))

@app.post("/length")
def length():
    return str(len(request.get_data()))

@app.route("/stream")
def stream():
    return Response(iter([b"x" * 100_000] * 50))

@app.route("/fail")
def fail():
    request.environ["wsgi.errors"].write("said before it failed")
    return "failed" + str(1 / 0)

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

mount = serve(app, "demo")
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


def environment_without_a_server(directory: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER_", "JPY_"))}
    return {**kept, "JUPYTER_RUNTIME_DIR": str(directory / "run")}


class Process:
    """A Python that serves an app and evaluates what it is asked."""

    def __init__(self, directory: Path) -> None:
        self.errors = directory / "errors"
        (directory / "program.py").write_text(PROGRAM)
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "program.py"],
                cwd=directory,
                env=environment_without_a_server(directory),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def ask(self, expression: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("standalone"))
    yield process
    process.stop()


@pytest.fixture
def url(python: Process) -> str:
    address: str = python.ask("mount.url")
    return address


@pytest.fixture
def program(python: Process, url: str) -> Iterator[httpx.Client]:
    """A program that has the token."""
    headers = {"Authorization": f"token {python.ask('mount.token')}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def browser(python: Process) -> Iterator[httpx.Client]:
    """A browser that came with the link that is shown."""
    link = python.ask("repr(mount)").split()[1]
    with httpx.Client(timeout=30) as client:
        assert client.get(link).status_code == 200
        yield client


def test_what_is_shown_says_where_for_whom_and_how_to_stop(python: Process, url: str) -> None:
    shown = python.ask("repr(mount)")
    assert shown.startswith(f"demo: {url}?token=")
    assert shown.endswith(" · 6 routes · for this machine only · stop: %flaskserve stop demo")
    assert url.startswith("http://127.0.0.1:")
    assert python.ask("mount.token") not in shown
    assert "pip install jupyter-flaskserve where Jupyter Server runs" in python.ask("mount.notice")


def test_the_link_lets_a_browser_in_which_is_known_from_then_on(
    browser: httpx.Client, url: str
) -> None:
    first = browser.get(url).json()
    assert browser.get(url).json()["n"] == first["n"] + 1
    assert first["external"] == url
    assert browser.post(url + "form").status_code == 302


def test_a_link_lets_in_once(python: Process) -> None:
    link = python.ask("repr(mount)").split()[1]
    assert httpx.get(link).status_code == 200
    again = httpx.get(link)
    assert again.status_code == 403
    assert "Run %flaskserve" in again.json()["message"]


def test_the_app_sees_neither_ticket_nor_cookie_nor_token(
    python: Process, program: httpx.Client
) -> None:
    link = python.ask("repr(mount)").split()[1]
    with httpx.Client() as client:
        first = client.get(link + "&own=1").json()
        second = client.get(link).json()
    assert first["query"] == "own=1"
    assert second["query"] == ""
    assert first["cookie"] == ""
    assert "flaskserve-" not in second["cookie"]
    assert program.get("").json()["authorization"] == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "token wrong"},
        {"Authorization": "token x"},
        {"Cookie": "flaskserve-1=x"},
    ],
)
def test_a_stranger_does_not_reach_the_app(
    python: Process, url: str, headers: dict[str, str]
) -> None:
    before = python.ask("len(seen)")
    assert httpx.get(url, headers=headers).status_code == 403
    assert httpx.get(f"{url}?token=", headers=headers).status_code == 403
    assert httpx.get(url.replace("demo/", ""), headers=headers).status_code == 403
    assert python.ask("len(seen)") == before


def test_another_host_name_is_refused(program: httpx.Client, url: str) -> None:
    answer = program.get("", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert "this machine only" in answer.json()["message"]


def test_another_sites_form_is_refused(browser: httpx.Client, url: str) -> None:
    answer = browser.post(url + "form", headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_uploads_and_streams_pass(program: httpx.Client) -> None:
    assert program.post("length", content=bytes(5_000_000)).text == "5000000"
    assert len(program.get("stream").content) == 5_000_000


def test_websockets_pass(python: Process, url: str) -> None:
    address = url.replace("http:", "ws:") + "echo"
    headers = {"Authorization": f"token {python.ask('mount.token')}"}
    with connect(address, additional_headers=headers, proxy=None) as socket:
        socket.send("hello")
        assert socket.recv(timeout=10) == "hello"


def test_the_list_of_apps_is_at_the_root(browser: httpx.Client, url: str) -> None:
    root = url.removesuffix("flaskserve/demo/")
    page = browser.get(root, follow_redirects=True, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "/flaskserve/demo/" in page.text
    assert browser.get(f"{root}flaskserve/dem/").status_code == 404


# The state of the apps


def test_the_state_of_the_apps_is_told_to_who_may_come_in(
    program: httpx.Client, browser: httpx.Client, url: str
) -> None:
    status = url.replace("/flaskserve/", "/api/flaskserve/mounts/").rstrip("/")
    for client in (program, browser):
        told = client.get(status).raise_for_status()
        assert told.headers["Content-Type"] == "application/json"
        assert (told.json()["name"], told.json()["state"]) == ("demo", "serving")
        assert told.json() in client.get(status.removesuffix("/demo")).json()["mounts"]
    assert program.head(status).content == b""
    unknown = program.get(f"{status}x")
    assert (unknown.status_code, unknown.json()["did_you_mean"]) == (404, ["demo"])
    assert program.delete(status).status_code == 405
    assert program.get("").status_code == 200, "it has not been stopped"


@pytest.mark.parametrize("path", ["api/flaskserve/mounts", "api/flaskserve/mounts/demo"])
def test_the_state_of_the_apps_is_not_told_to_strangers(
    program: httpx.Client, url: str, path: str
) -> None:
    address = url.replace("flaskserve/demo/", path)
    assert httpx.get(address).status_code == 403
    assert httpx.get(address, headers={"Authorization": "token x"}).status_code == 403
    assert program.get(address, headers={"Host": "evil.example"}).status_code == 403


def test_the_page_of_a_stopped_app_hears_that_it_is_back(
    python: Process, browser: httpx.Client, url: str
) -> None:
    lost = url.replace("/demo/", "/lost/")
    unlink = "__import__('os').unlink(serve(app, 'lost')._record.socket)"
    assert python.ask(unlink) is None
    page = browser.get(lost, headers={"Accept": "text/html"})
    assert page.status_code == 503
    found = re.search('data-status-path="([^"]+)" data-reloads', page.text)
    assert found is not None
    status = httpx.URL(url).join(found[1])
    assert browser.get(status).json()["state"] == "stopped"
    assert python.ask("serve(app, 'lost').url") == lost
    assert browser.get(status).json()["state"] == "serving"
    assert browser.get(lost).status_code == 200
    assert python.ask("[m.stop() for m in mounts() if m.name == 'lost']") == [None]


# Cookies


@pytest.mark.parametrize("cookies", ["{0}; {1}", "{1}; {0}", "a=b; {1};{0};{1}"])
def test_a_browser_with_more_cookies_of_the_name_is_known(
    browser: httpx.Client, url: str, cookies: str
) -> None:
    ((name, value),) = [item for item in browser.cookies.items() if item[0] != "session"]
    header = cookies.format(f"{name}={value}", f"{name}=another")
    assert httpx.get(url, headers={"Cookie": header}).status_code == 200
    two_lines = [("Cookie", f"{name}=another"), ("Cookie", f"{name}={value}")]
    assert httpx.get(url, headers=two_lines).status_code == 200
    for wrong in (f"{name}=another; {name}=", f"{name}={value[:-1]}", f"{name}x={value}"):
        assert httpx.get(url, headers={"Cookie": wrong}).status_code == 403


# A child process


def test_a_child_process_has_a_server_of_its_own(python: Process, url: str) -> None:
    program = """
def in_child():
    import os, urllib.request
    from jupyter_flaskserve.kernel.home import known_home
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = known_home() is None
            own = serve(app, "child")
            headers = {"Authorization": "token " + own.token}
            asked = urllib.request.Request(own.url, headers=headers)
            with urllib.request.urlopen(asked, timeout=10) as answer:
                told = [before, own.url, answer.status]
        except BaseException as error:
            told = [repr(error)]
        finally:
            os.write(write, json.dumps(told).encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    return json.loads(os.read(read, 10000))
"""
    assert python.ask(f"exec({program!r}, globals())") is None
    before, own, status = python.ask("in_child()")
    assert before is True
    assert status == 200
    assert own.endswith("/flaskserve/child/")
    assert httpx.URL(own).port != httpx.URL(url).port


# The log


def test_a_failing_app_says_where_its_traceback_is(python: Process, program: httpx.Client) -> None:
    program.get("fail")
    assert python.ask("serve(lambda environ, start_response: 1 / 0, 'broken').name") == "broken"
    answer = program.get(str(program.base_url).replace("/demo/", "/broken/"))
    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.text
    assert "in the server's log" in answer.text
    for line in (
        "flaskserve demo: said before it failed",
        "flaskserve broken: GET /: the app failed\nTraceback",
    ):
        wait_until(lambda line=line: line in python.errors.read_text(), what=line)
    assert python.ask("[m.stop() for m in mounts() if m.name == 'broken']") == [None]


class Notebook:
    """A kernel that an editor has started by itself."""

    def __init__(self, directory: Path) -> None:
        self.errors = directory / "errors"
        self._manager = KernelManager(kernel_name="python3")
        with self.errors.open("w") as errors:
            self._manager.start_kernel(
                cwd=str(directory), env=environment_without_a_server(directory), stderr=errors
            )
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)

    def run(self, code: str) -> Output:
        return RunningCell(self._client, code).wait()

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


FAIL = """
import logging, threading, time, urllib.request
from jupyter_flaskserve import serve

def app(environ, start_response):
    environ["wsgi.errors"].write("said by the app")
    start_response("200 OK", [])
    return [b"hello"]

mount = serve(app, "demo")

def ask():
    asked = urllib.request.Request(mount.url, headers={"Authorization": "token " + mount.token})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return answer.read()
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path)
    yield notebook
    notebook.stop()


def test_what_apps_log_is_not_put_into_the_cell_that_runs(notebook: Notebook) -> None:
    notebook.run(FAIL)
    cell = notebook.run("print(ask()); time.sleep(0.5)")
    assert cell.stdout == "b'hello'\n"
    assert cell.stderr == ""
    assert "flaskserve demo: said by the app" in notebook.errors.read_text()


def test_a_log_that_the_user_has_set_up_stays_as_it_is(notebook: Notebook) -> None:
    notebook.run(
        """
        import logging
        lines = []
        class Handler(logging.Handler):
            def emit(self, record):
                lines.append(record.getMessage())
        logging.getLogger("jupyter_flaskserve").addHandler(Handler())
        """
    )
    notebook.run(FAIL)
    cell = notebook.run("ask(); time.sleep(0.5); print(lines)")
    assert cell.stdout == "['flaskserve demo: said by the app']\n"
    assert "said by the app" not in notebook.errors.read_text()


# The end


def test_serving_again_keeps_the_address_and_stopping_ends_it(
    python: Process, program: httpx.Client
) -> None:
    same = "serve(lambda e, s: (s('200 OK', []), [b'other'])[1], 'demo').url == mount.url"
    assert python.ask(same) is True
    assert program.get("").text == "other"
    assert python.ask("mounts()[0].stop()") is None
    assert program.get("").status_code == 404
    assert python.ask("serve(app, 'demo').url == mount.url") is True
    assert program.get("").json()["n"] == 1
