"""What an app of a user of a JupyterHub can do there: everything it can do without one."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest
from hub_processes import STREAMS, UserServer
from jupyter_processes import Kernel, wait_until
from websockets.sync.client import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Browser = Callable[..., httpx.Client]

MIB = 1024 * 1024
APP = (
    """
import hashlib
from flask import Flask, Response, redirect, request, session, url_for

app = Flask("works")
app.secret_key = "for the tests"

@app.get("/")
def index():
    return {
        "external": url_for("done", _external=True),
        "internal": url_for("static", filename="style.css"),
        "scheme": request.scheme,
        "host": request.host,
        "client": request.remote_addr,
        "root": request.script_root,
        "visits": session.setdefault("visits", 0),
    }

@app.post("/form")
def form():
    session["visits"] = session.get("visits", 0) + 1
    return redirect(url_for("done"))

@app.get("/done")
def done():
    return f"{session.get('visits')} visits"

@app.get("/branch/")
def branch():
    return "branch"

@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    while data := request.stream.read(65536):
        digest.update(data)
        size += len(data)
    return {"size": size, "sha256": digest.hexdigest()}

@app.get("/download/<int:size>")
def download(size):
    block = bytes(range(256)) * 256
    return Response(block for _ in range(size // len(block)))
"""
    + STREAMS
)


@pytest.fixture(scope="module")
def address(kernel: Kernel, ann: UserServer) -> Iterator[str]:
    """Where the app is."""
    kernel.serve("works", APP)
    kernel.run("from jupyter_flaskserve import serve")
    yield f"{ann.url}flaskserve/works/"
    kernel.run("_mount.stop()")


def test_the_app_believes_the_address_that_the_browser_has(
    address: str, ann: UserServer, browser: Browser
) -> None:
    told = browser("ann").get(address).json()
    assert told["external"] == f"{address}done"
    assert told["internal"] == "/user/ann/flaskserve/works/static/style.css"
    assert told["root"] == "/user/ann/flaskserve/works"
    assert told["scheme"] == "http"
    assert told["host"] == f"127.0.0.1:{ann.port}"
    assert told["client"] == "127.0.0.1"


def test_the_app_believes_the_address_at_a_proxy_in_front_of_the_hub(
    address: str, ann: UserServer
) -> None:
    front = {"Host": "hub.example", "X-Scheme": "https", "X-Real-IP": "203.0.113.9"}
    told = httpx.get(address, headers={**ann.authorization, **front}).json()
    assert told["external"] == "https://hub.example/user/ann/flaskserve/works/done"
    assert told["scheme"] == "https"
    assert told["client"] == "203.0.113.9"


def test_forms_sessions_and_redirects_work_as_they_are_written(
    address: str, browser: Browser
) -> None:
    client = browser("ann")
    client.get(address)
    for visits in (1, 2):
        answer = client.post(f"{address}form", data={"name": "Ada"})
        assert str(answer.url) == f"{address}done"
        assert answer.text == f"{visits} visits"
    assert str(client.get(f"{address}branch").url) == f"{address}branch/"
    assert str(client.get(address.removesuffix("/")).url) == address


def test_a_websocket_passes_through_the_hubs_proxy(address: str, ann: UserServer) -> None:
    url = address.replace("http:", "ws:") + "echo"
    with connect(url, additional_headers=ann.authorization, proxy=None, max_size=None) as socket:
        for message in ("hello", b"\x00\xff", "x" * MIB):
            socket.send(message)
            assert socket.recv(timeout=30) == message


def test_server_sent_events_come_as_they_are_sent(address: str, ann: UserServer) -> None:
    client = ann.client("works")
    with client.stream("GET", "events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: first"
        assert client.post("go-on").status_code == 204
        assert "data: last" in list(lines)


def test_uploads_and_downloads_of_some_mebibytes_arrive_whole(
    address: str, ann: UserServer
) -> None:
    client = ann.client("works")
    data = bytes(range(256)) * (16 * MIB // 256)
    told = client.post("upload", content=data).json()
    assert told == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert client.get(f"download/{16 * MIB}").content == data


def test_the_notebook_sends_requests_to_its_own_app(address: str, kernel: Kernel) -> None:
    kernel.run("%load_ext jupyter_flaskserve")
    output = kernel.run("reply = %flaskserve request /\nprint(reply.status, reply.json())")
    assert output.stdout.splitlines()[-1].startswith("200 ")
    assert "'root': '/user/ann/flaskserve/works'" in output.stdout
    kernel.run("%unload_ext jupyter_flaskserve")


def test_a_terminal_of_the_user_lists_and_stops_apps(
    address: str, ann: UserServer, kernel: Kernel
) -> None:
    kernel.run("passing = serve(app, 'passing')")
    environment = psutil.Process(ann.pid).environ()

    def flaskserve(*arguments: str) -> str:
        command = [sys.executable, "-m", "jupyter", "flaskserve", *arguments]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    listed = {mount["name"]: mount for mount in json.loads(flaskserve("list", "--json"))}
    assert listed["passing"]["path"] == "/user/ann/flaskserve/passing/"
    flaskserve("stop", "passing")
    wait_until(lambda: "passing" not in ann.mounts(), what="the end of the app")


def test_an_app_keeps_its_address_when_its_users_server_is_started_again(
    ann: UserServer, browser: Browser
) -> None:
    server = ann.hub.server("eve")
    kernel = server.kernel()
    kernel.serve("works", APP)
    client = browser("eve")
    address = f"{server.url}flaskserve/works/"
    assert client.get(address).status_code == 200

    server.restart()
    answer = client.get(address)
    assert answer.status_code in (404, 503)
    assert str(answer.url) == address
    server.kernel().serve("works", APP)
    assert client.get(address).json()["root"] == "/user/eve/flaskserve/works"
    server.forget()
    ann.hub.api.delete("users/eve/server").raise_for_status()
