"""A kernel without a Jupyter Server: it serves its apps itself, and lets in whom it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
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

@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())

mount = serve(app, "demo")
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


class Process:
    """A Python that serves an app and evaluates what it is asked."""

    def __init__(self, directory: Path) -> None:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("JUPYTER_", "JPY_"))
        }
        environment["JUPYTER_RUNTIME_DIR"] = str(directory / "run")
        (directory / "program.py").write_text(PROGRAM)
        self.process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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
    assert shown.endswith(" · 5 routes · for this machine only · stop: %flaskserve stop demo")
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
