"""``%flaskserve request`` through a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from jupyter_processes import Kernel, Server

APP = """
from flask import Flask, Response, jsonify, redirect, request as asked, url_for
from IPython import get_ipython
from jupyter_flaskserve.kernel.magics.request import request
import shlex, threading, time
app = Flask(__name__)
shell = get_ipython()

@app.route("/echo/<path:name>", methods=["GET", "POST", "PUT"])
def echo(name):
    files = {key: file.read().decode() for key, file in asked.files.items()}
    answer = jsonify(
        method=asked.method, name=name, query=asked.query_string.decode(), url=asked.url,
        type=asked.content_type, data=asked.get_data(as_text=True), form=asked.form, files=files,
        secret=asked.headers.get("Authorization"), x=asked.headers.getlist("X-A"),
        cookie=asked.headers.get("Cookie"),
    )
    answer.headers.add("X-Twice", "1")
    answer.headers.add("X-Twice", "2")
    return answer

@app.route("/old", methods=["GET", "POST"])
def old():
    return redirect(url_for("echo", name="new"))

@app.get("/away")
def away():
    return redirect("http://127.0.0.2:9/elsewhere")

@app.route("/to", methods=["GET", "POST"])
def to():
    return Response(status=307, headers={"Location": asked.args["target"]})

@app.get("/loop")
def loop():
    return redirect("loop")

@app.get("/endless")
def endless():
    def parts():
        while True:
            yield "part "
            time.sleep(0.1)
    return parts()

@app.get("/broken")
def broken():
    def parts():
        yield "begun"
        raise ValueError("boom")
    return parts()

@app.get("/thread")
def thread():
    return str(threading.current_thread() is threading.main_thread())

@app.get("/late")
def late():
    time.sleep(3)
    return "late"

def ask(line):
    return request(shlex.split(line), shell)
"""


@pytest.fixture
def ask(kernel: Kernel, name: str) -> Callable[[str], dict[str, object]]:
    """Asks for an echo; returns what the view saw."""
    kernel.serve(name, APP)

    def ask(line: str) -> dict[str, object]:
        text = kernel.run(f"print(ask({line + f' --name {name}'!r}).text)").stdout
        echo: dict[str, object] = json.loads(text)
        return echo

    return ask


def test_the_view_sees_what_was_written_and_nothing_of_jupyter(
    ask: Callable[[str], dict[str, object]], server: Server, name: str
) -> None:
    seen = ask("'/echo/Zoë x?a=1&b=%2F' -H 'X-A: 1' -H 'X-A: 2'")
    assert seen == {
        "method": "GET",
        "name": "Zoë x",
        "query": "a=1&b=%2F",
        "url": f"{server.url}flaskserve/{name}/echo/Zoë%20x?a=1&b=/",
        "type": None,
        "data": "",
        "form": {},
        "files": {},
        "secret": None,
        "x": ["1, 2"],
        "cookie": None,
    }


def test_the_callers_own_authorization_is_the_apps(
    ask: Callable[[str], dict[str, object]],
) -> None:
    seen = ask("/echo/a?b=1 -H 'Authorization: Basic QTpC'")
    assert (seen["secret"], seen["query"]) == ("Basic QTpC", "b=1")


def test_bodies(ask: Callable[[str], dict[str, object]], kernel: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("a note")
    kernel.run("payload = {'a': [1, 'é']}; raw = b'raw'")
    seen = ask("/echo/a --json '{\"b\": 2}'")
    assert (seen["method"], seen["type"], seen["data"]) == ("POST", "application/json", '{"b": 2}')
    seen = ask("PUT /echo/a --json $payload")
    assert seen["method"] == "PUT"
    assert json.loads(str(seen["data"])) == {"a": [1, "é"]}
    assert ask("/echo/a -d 'guest=Ada'")["form"] == {"guest": "Ada"}
    assert ask("/echo/a -d $raw")["data"] == "raw"
    seen = ask(f"/echo/a -d @{file}")
    assert (seen["type"], seen["data"]) == ("text/plain", "a note")
    assert ask("/echo/a --form 'a=1 2' b=é")["form"] == {"a": "1 2", "b": "é"}
    seen = ask(f"/echo/a --form a=1 f=@{file}")
    assert (seen["form"], seen["files"]) == ({"a": "1"}, {"f": "a note"})


def test_the_reply_is_what_came(kernel: Kernel, name: str) -> None:
    kernel.serve(name, APP)
    shown = kernel.run(f"reply = ask('/echo/a --name {name}'); reply").displays[0]
    assert shown["text/plain"].startswith("200 OK · GET http://127.0.0.1:")
    assert "X-Twice: 1\nX-Twice: 2" in shown["text/plain"]
    assert '\n  "method": "GET",\n' in shown["text/plain"]
    assert "<b>X-Twice</b>: 2" in shown["text/html"]
    facts = "reply.status, reply.reason, reply.ok, reply.json()['name'], reply.header('x-twice')"
    assert kernel.run(f"print({facts})").stdout == "200 OK True a 1\n"
    assert (
        kernel.run(
            "print(0 < reply.connect_seconds < reply.first_byte_seconds <= reply.seconds < 5)"
        ).stdout
        == "True\n"
    )


def test_a_redirect_is_shown_or_followed(
    kernel: Kernel, ask: Callable[[str], dict[str, object]], name: str
) -> None:
    kernel.serve(name, APP)
    shown = kernel.run(f"r = ask('/old --name {name}'); print(r.status, r.header('Location'))")
    assert shown.stdout == f"302 /flaskserve/{name}/echo/new\n"
    seen = ask("/old -d a=1 -L")
    assert (seen["method"], seen["name"], seen["data"]) == ("GET", "new", "")
    assert kernel.run(f"print(ask('/away -L --name {name}').status)").stdout == "302\n"
    assert "more than 10 redirects" in kernel.run(f"ask('/loop -L --name {name}')").stderr


@pytest.mark.parametrize(
    "target",
    [
        "/api/contents",
        "/flaskserve/{name}/../../api/contents",
        "http://127.0.0.1:{port}/flaskserve/{name}/../../api/contents",
        "/flaskserve/{name}x/",
    ],
)
def test_the_token_is_not_taken_anywhere_else(
    kernel: Kernel, server: Server, name: str, target: str
) -> None:
    kernel.serve(name, APP)
    target = quote(target.format(name=name, port=server.port), safe="")
    said = kernel.run(
        f"r = ask('POST /to?target={target} -L --name {name}'); print(r.status, len(r.history))"
    )
    assert said.stdout == "307 0\n"


@pytest.mark.jupyter_server("it is about the server's token")
@pytest.mark.parametrize("follow", ["", "-L"])
def test_the_servers_token_is_in_no_reply(
    kernel: Kernel, server: Server, name: str, follow: str
) -> None:
    kernel.serve(name, APP)
    target = quote(f"/flaskserve/{name}", safe="")
    shown = kernel.run(
        f"r = ask(\"/to?target={target} {follow} -H 'Authorization: Basic abc' --name {name}\")\n"
        f"s = ask(\"'' {follow} -H 'Authorization: Basic abc' --name {name}\")\n"
        "print(repr(r), r.url, r.headers, repr(s), s.url, s.headers)"
    )
    assert server.token not in shown.stdout
    assert "404" in shown.stdout if follow else "307" in shown.stdout


def test_what_has_no_end_or_breaks_off_is_shown_as_far_as_it_came(
    kernel: Kernel, name: str
) -> None:
    kernel.serve(name, APP)
    said = kernel.run(
        f"r = ask('/endless --timeout 1 --name {name}'); print(r.text[:9], r.note, r.seconds < 2)"
    ).stdout
    assert said == "part part The response was not at its end after 1 seconds. True\n"
    said = kernel.run(f"r = ask('/broken --name {name}'); print(r.text, r.note)").stdout
    assert said == "begun The response broke off.\n"
    said = kernel.run(f"ask('/late --timeout 0.5 --name {name}')").stderr
    assert said.startswith("UsageError: http://127.0.0.1:")
    assert "has not answered within 0.5 seconds" in said


def test_an_interrupt_ends_the_wait(kernel: Kernel, name: str) -> None:
    kernel.serve(name, APP)
    cell = kernel.start(f"ask('/late --name {name}')")
    time.sleep(0.5)
    kernel.interrupt()
    said = cell.wait(5).stderr
    assert said == "UsageError: The request was interrupted before its response had come.\n"
    workers = "print([t.name for t in threading.enumerate() if t.name == 'flaskserve request'])"
    time.sleep(0.3)
    assert kernel.run(workers).stdout == "[]\n"


def test_views_on_the_main_thread_answer_the_cell_that_waits(kernel: Kernel, name: str) -> None:
    kernel.serve(name, APP, main_thread=True)
    assert kernel.run(f"print(ask('/thread --name {name}').text)", seconds=10).stdout == "True\n"


def test_a_server_that_asks_for_nothing_is_sent_nothing(
    new_server: Callable[..., Server],
) -> None:
    kernel = new_server(token="").kernel()
    kernel.serve("open", APP)
    assert kernel.run("print(ask('/echo/a').status)").stdout == "200\n"


@pytest.mark.jupyter_server("it is about the server's token")
def test_without_a_token_that_can_be_found_it_says_what_to_do(kernel: Kernel, name: str) -> None:
    kernel.serve(name, APP)
    kernel.run("from jupyter_flaskserve.kernel.client import client; known = client.running_server")
    try:
        kernel.run("client.running_server = lambda url: None")
        said = kernel.run(f"ask('/echo/a --name {name}')").stderr
        assert said.startswith("UsageError: Jupyter Server let nobody in, because it has no token")
    finally:
        kernel.run("client.running_server = known")
