"""The servers that a project's files start give the answers that the notebook gives."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import nbformat
import pytest
from jupyter_processes import Kernel, Server
from programs import free_ports
from projects import LESSONS, Project
from shop import write_shop
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, Rule

SERVERS = ("gunicorn", "waitress", "nginx", "nginx with TLS", "apache")


class Ask(NamedTuple):
    """A request."""

    path: str
    method: str = "GET"
    data: dict[str, str] | None = None


class Case(NamedTuple):
    """A notebook, and what its app is asked.

    :ivar variable: the variable that holds the app.
    :ivar cells: how many of a lesson's cells make the notebook; ``None`` for all.
    :ivar servers: those that can serve it.
    """

    notebook: str
    variable: str
    asks: list[Ask]
    cells: int | None = None
    servers: tuple[str, ...] = SERVERS


CASES = {
    "hello": Case("01-hello-flask", "app", [Ask("/"), Ask("/count"), Ask("/static/none.css")]),
    "cells": Case(
        "02-working-in-cells",
        "app",
        [
            Ask("/hello/Ada"),
            Ask("/hello/Gr%C3%A4ce%20%3Cb%3E"),
            Ask("/add/2/3"),
            Ask("/divide/6/3"),
            Ask("/divide/1/0"),
            Ask("/static/style.css"),
            Ask("/"),
        ],
        cells=19,
    ),
    "book": Case(  # its views use an object of one thread, and waitress has several
        "02-working-in-cells",
        "book",
        [Ask("/"), Ask("/static/style.css")],
        servers=tuple(server for server in SERVERS if server != "waitress"),
    ),
    "clock": Case(
        "02-working-in-cells", "clock", [Ask("/"), Ask("/nothing"), Ask("/static/style.css")]
    ),
    "shop": Case(
        "shop",
        "app",
        [
            Ask("/"),
            Ask("/old"),
            Ask("/greet/Ada"),
            Ask("/greet/a%2Fb"),
            Ask("/greet/%E2%82%AC?q=1"),
            Ask("/greet/Ada", "HEAD"),
            Ask("/greet/Ada", "DELETE"),
            Ask("/greet/Ada", "OPTIONS"),
            Ask("/api/echo?a=1&b=%C3%A9"),
            Ask("/api/echo", "POST", {"x": "1", "\u00e9": "\u00fc"}),
            Ask("/api/caf%C3%A9/a/b//c"),
            Ask("/login", "POST", {"user": "Ada"}),
            Ask("/me"),
            Ask("/stream"),
            Ask("/slow/0"),
            Ask("/bytes"),
            Ask("/teapot"),
            Ask("/empty"),
            Ask("/fail"),
            Ask("/nothing/here"),
            Ask("/absolute"),
            Ask("/visitor"),
            Ask("/static/css/style.css"),
            Ask("/static/logo.svg"),
            Ask("/static/data.json"),
            Ask("/static/none.css"),
            Ask("/static/"),
            Ask("/static/../app.py"),
            Ask("/static/%2e%2e/app.py"),
            Ask("/static/..%2fapp.py"),
            Ask("/static/css/style.css", "POST"),
            Ask("/app.py"),
            Ask("/.env"),
            Ask("/wsgi.py"),
        ],
    ),
}


class Answer(NamedTuple):
    status: int
    media_type: str | None
    location: str | None
    cookies: list[str]
    extra: str | None
    body: bytes


CLOCK = re.compile(rb"\d\d:\d\d:\d\d")


def ask(client: httpx.Client, what: Ask, prefix: str = "") -> Answer:
    """An answer, without what differs by the address of the server."""
    origin = str(client.base_url).rstrip("/").removesuffix(prefix)
    url = httpx.URL(f"{origin}{prefix}{what.path}".encode().decode())
    # The path as it is written: httpx would take its dots away.
    request = client.build_request(what.method, url, data=what.data)
    request.url = url.copy_with(raw_path=(prefix + what.path).encode())
    response = client.send(request)

    def plain(text: str) -> str:
        return text.replace(origin, "").replace(prefix, "") if prefix else text.replace(origin, "")

    body = response.content
    if response.headers.get("Content-Type", "").startswith("text/"):
        body = CLOCK.sub(b"now", plain(response.text).encode())
    return Answer(
        response.status_code,
        response.headers.get("Content-Type") if body else None,
        plain(response.headers["Location"]) if "Location" in response.headers else None,
        [
            re.sub(r"(session=)[^;]*", r"\1...", cookie).replace(f"Path={prefix}/", "Path=/")
            for cookie in response.headers.get_list("Set-Cookie")
        ],
        response.headers.get("X-Shop") if not what.path.startswith("/static/") else None,
        body,
    )


class Answers(NamedTuple):
    """What a case was answered, by the method and path.

    :ivar notebook: in the notebook.
    :ivar servers: by each server.
    :ivar rules: the app's rules in the notebook.
    """

    notebook: dict[tuple[str, str], Answer]
    servers: dict[str, dict[tuple[str, str], Answer]]
    rules: list[str]


def write_case(case: Case, folder: Path) -> Path:
    if case.notebook == "shop":
        return write_shop(folder)
    node = nbformat.read(LESSONS / f"{case.notebook}.ipynb", as_version=4)
    node.cells = node.cells[: case.cells]
    nbformat.write(node, folder / f"{case.notebook}.ipynb")
    return folder / f"{case.notebook}.ipynb"


def answers_of(client: httpx.Client, case: Case, prefix: str = "") -> dict[Any, Answer]:
    """The answers to all that a case asks, one after the other, as a browser with cookies."""
    return {(what.method, what.path): ask(client, what, prefix) for what in case.asks}


def notebook_answers(
    jupyter: Server, notebook: Path, case: Case
) -> tuple[dict[tuple[str, str], Answer], list[str]]:
    """Run the notebook in a kernel, and ask the app there."""
    kernel = Kernel(jupyter, notebook.relative_to(jupyter.notebooks).as_posix())
    try:
        for cell in nbformat.read(notebook, as_version=4).cells:
            if cell.cell_type == "code" and "%flaskserve stop" not in cell.source:
                kernel.run(cell.source.strip())
        option = " --main-thread" if case.variable == "book" else ""
        kernel.run(f"%flaskserve {case.variable} --name exported{option} --no-panel")
        text = f"*[r.rule for r in {case.variable}.url_map.iter_rules()], sep='\\n'"
        rules = kernel.run(f"print({text})").stdout.split("\n")
        with jupyter.client("exported") as client:
            given = answers_of(client, case, "/flaskserve/exported")
        return given, [rule for rule in rules if rule]
    finally:
        kernel.close()


@pytest.fixture(scope="module", params=CASES)
def answered(
    request: pytest.FixtureRequest, jupyter: Server, make_project: Callable[..., Project]
) -> tuple[Case, Answers]:
    """A case, and what its app has answered in the notebook and behind each server."""
    case = CASES[request.param]
    folder = jupyter.notebooks / request.param
    folder.mkdir(parents=True)
    notebook = write_case(case, folder)
    project = make_project(notebook, variable=case.variable)
    for_apache = make_project(notebook, variable=case.variable)
    with contextlib.ExitStack() as stack:
        waitress = f"127.0.0.1:{free_ports(1)[0]}"
        stack.enter_context(project.gunicorn())
        stack.enter_context(project.waitress(waitress))
        stack.enter_context(project.nginx())
        stack.enter_context(for_apache.apache())
        urls = {
            "gunicorn": f"http://{project.addresses.backends[0]}",
            "waitress": f"http://{waitress}",
            "nginx": f"http://{project.addresses.web}",
            "nginx with TLS": f"https://{project.addresses.tls}",
            "apache": f"http://{for_apache.addresses.web}",
        }
        clients = {
            name: stack.enter_context(
                httpx.Client(base_url=url, timeout=30, trust_env=False, verify=project.tls)
            )
            for name, url in urls.items()
        }
        with ThreadPoolExecutor() as threads:
            by_server = {
                name: threads.submit(answers_of, client, case) for name, client in clients.items()
            }
            in_notebook, rules = notebook_answers(jupyter, notebook, case)
            given = {name: future.result() for name, future in by_server.items()}
    return case, Answers(in_notebook, given, rules)


# Apache makes one slash of several, and takes dots out of a path, before an app sees it.
NORMALIZED = re.compile(r"//|\.\.|%2e", re.IGNORECASE)


@pytest.mark.parametrize("server", SERVERS)
def test_every_answer_is_the_notebooks(answered: tuple[Case, Answers], server: str) -> None:
    case, answers = answered
    differing = {
        what: (answer, answers.notebook[what])
        for what, answer in answers.servers[server].items()
        if answer != answers.notebook[what]
    }
    if server not in case.servers:
        assert differing  # so that this is known when it changes
        return
    if server == "apache":
        for method, path in [what for what in differing if NORMALIZED.search(what[1])]:
            mine, its = differing.pop((method, path))
            assert mine.status == its.status
    assert differing == {}


@pytest.mark.parametrize("server", SERVERS)
def test_no_file_but_the_static_ones_is_served(answered: tuple[Case, Answers], server: str) -> None:
    _, answers = answered
    for answer in answers.servers[server].values():
        assert b"Flask(__name__)" not in answer.body
        assert b"ProxyFix" not in answer.body


def test_every_route_is_asked(answered: tuple[Case, Answers]) -> None:
    case, answers = answered
    adapter = Map([Rule(rule, endpoint=rule) for rule in answers.rules]).bind("localhost")
    asked = set()
    for what in case.asks:
        with contextlib.suppress(NotFound):
            asked.add(adapter.match(httpx.URL(f"http://x{what.path}").path)[0])
    assert set(answers.rules) - asked <= {"/ws"}
