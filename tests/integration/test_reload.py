"""Live reload, between a server and a kernel: the script, and the revision of a mount."""

from __future__ import annotations

import httpx
import pytest
from jupyter_processes import Kernel, Server

APP = """
from flask import Flask
app = Flask(__name__)

@app.get("/")
def page():
    return "<html><body>Hello</body></html>"

@app.get("/stream")
def stream():
    import threading
    def chunks():
        yield "<p>one"
        go.wait(20)
        yield "<p>two"
    global go
    go = threading.Event()
    return chunks()
"""


@pytest.fixture
def client(kernel: Kernel, name: str) -> httpx.Client:
    return kernel.serve(name, APP, reload=True)


def test_a_page_links_to_a_script_that_is_there(server: Server, client: httpx.Client) -> None:
    page = client.get("")
    tag = '<script src="/api/flaskserve/reload.js" defer></script>'
    assert page.text == f"<html><body>Hello{tag}</body></html>"
    assert page.headers["Content-Length"] == str(len(page.content))
    script = httpx.get(f"{server.url}api/flaskserve/reload.js")  # without the token
    assert script.status_code == 200
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "location.reload" in script.text
    known = {"If-None-Match": script.headers["ETag"]}
    assert httpx.get(str(script.url), headers=known).status_code == 304
    head = httpx.head(str(script.url))
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(script.content)))


def test_a_stream_goes_on_streaming(kernel: Kernel, client: httpx.Client) -> None:
    with client.stream("GET", "stream") as response:
        parts = response.iter_text()
        assert next(parts) == "<p>one"
        kernel.run("go.set()")
        assert "".join(parts) == '<p>two<script src="/api/flaskserve/reload.js" defer></script>'


def test_the_revision_in_the_record_is_told(
    kernel: Kernel, server: Server, client: httpx.Client, name: str
) -> None:
    assert server.mounts()[name]["revision"] == 0
    kernel.run("_mount.mark_changed()")
    answer = server.http.get(f"api/flaskserve/mounts/{name}").json()
    assert answer["revision"] == 1
    assert client.get("").status_code == 200


FOLLOWED = """
%load_ext jupyter_flaskserve
from flask import Flask, request
app = Flask(__name__)
message = "Hello"

@app.get("/")
def page():
    return request.args.get("message", message)
"""


def test_the_revision_goes_up_with_what_an_open_page_should_show_and_only_then(
    kernel: Kernel, server: Server, name: str
) -> None:
    kernel.run(FOLLOWED)
    kernel.run(f"%flaskserve app --name {name} --reload")
    for cell, changes in (
        ("message = 'Hi'", 1),
        ("%time message = 'Good day'", 1),
        ("%%time\nmessage = 'Hey'", 1),
        ("%flaskserve request /?message=x", 0),
        ("%time 1  # message", 0),
        ("%%time\n1  # message", 0),
        ("other = 1  # message\n%flaskserve request /", 0),
        ("app.debug = True", 0),
        ("%flaskserve log", 0),
        ("@app.get('/more')\ndef more(): return 'more'", 1),
        ("%%template page.html\n<p>{{ message }}", 1),
        ("%%static style.css\np { color: red }", 1),
        ("%template", 0),
        ("%template --remove page.html", 1),
        ("app = Flask(__name__)", 1),
    ):
        before = server.mounts()[name]["revision"]
        kernel.run(cell)
        assert server.mounts()[name]["revision"] - before == changes, cell
