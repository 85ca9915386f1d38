"""The gateway in a bare Tornado server, before FastCGI applications nobody here wrote.

They are ``fcgiwrap`` (libfcgi) with a CGI program, PHP's ``php-cgi`` and, from PyPI, ``flup6``. The
same few actions are written for each of them below.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.netutil import bind_sockets
from tornado.routing import Router

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.gateway import forward
from jupyter_flaskserve.gateway.answer import Answer
from jupyter_flaskserve.gateway.environ import RequestHead, cgi_params, header_params
from jupyter_flaskserve.gateway.forward import Brief, Forwarding, Limits
from jupyter_flaskserve.gateway.links import LinkPool

MEBIBYTE = 1024 * 1024
SECONDS = 20
WORKERS = 4  # processes of an application, and so the links it can serve

# The actions. "slow" and "endless" talk to the test through files in the directory they run in.

CGI = """#!{python} -SE
import hashlib, json, os, sys, time

action, query = os.environ["PATH_INFO"], os.environ["QUERY_STRING"]
out = sys.stdout.buffer

def put(text):
    out.write(text.encode())
    out.flush()

if action == "/environ":
    put("Content-Type: application/json\\r\\n\\r\\n" + json.dumps(dict(os.environ)))
elif action == "/upload":
    digest, size = hashlib.sha256(), 0
    while data := sys.stdin.buffer.read(65536):
        digest.update(data)
        size += len(data)
    put("Content-Type: text/plain\\n\\n%d %s" % (size, digest.hexdigest()))
elif action == "/large":
    put("Content-Type: application/octet-stream\\n\\n")
    out.write((bytes(range(256)) * (int(query) // 256 + 1))[:int(query)])
elif action == "/teapot":
    sys.stdin.buffer.read()  # to fcgiwrap a program that leaves its input unread has failed
    put("Status: 418 Short And Stout\\nContent-Type: application/x-tea\\nSet-Cookie: a=1\\n"
        "Set-Cookie: b=2\\nX-Tea: green\\n\\nteapot")
elif action == "/log":
    print(query, file=sys.stderr)
    put("Content-Type: text/plain\\n\\nlogged")
elif action == "/redirect":
    put("Location: http://elsewhere.example/\\n\\n")
elif action == "/short":
    put("Content-Type: text/plain\\nContent-Length: 100\\n\\nonly this")
elif action == "/empty":
    put("Status: 204 No Content\\n\\n")
elif action == "/slow":
    put("Content-Type: text/plain\\n\\nfirst")
    while not os.path.exists({directory!r} + "/go-" + query):
        time.sleep(0.01)
    put("last")
elif action == "/endless":
    put("Content-Type: text/plain\\n\\n")
    try:
        while True:
            put("x" * 65536)
    except OSError:
        open({directory!r} + "/left-" + query, "w").close()
        os._exit(0)
"""

PHP = """<?php
$query = $_SERVER['QUERY_STRING'];
switch ($_SERVER['PATH_INFO']) {
case '/environ':
    header('Content-Type: application/json');
    echo json_encode($_SERVER, JSON_INVALID_UTF8_SUBSTITUTE);
    break;
case '/upload':
    header('Content-Type: text/plain');
    $digest = hash_init('sha256');
    $size = 0;
    $input = fopen('php://input', 'rb');
    while (!feof($input)) {
        $data = fread($input, 65536);
        hash_update($digest, $data);
        $size += strlen($data);
    }
    echo $size, ' ', hash_final($digest);
    break;
case '/large':
    header('Content-Type: application/octet-stream');
    $block = implode('', array_map('chr', range(0, 255)));
    for ($left = (int) $query; $left > 0; $left -= 256) echo substr($block, 0, $left);
    break;
case '/teapot':
    header('HTTP/1.1 418 Short And Stout');
    header('Content-Type: application/x-tea');
    header('Set-Cookie: a=1', false);
    header('Set-Cookie: b=2', false);
    header('X-Tea: green');
    echo 'teapot';
    break;
case '/log':
    header('Content-Type: text/plain');
    error_log($query);
    echo 'logged';
    break;
case '/redirect':
    header('Location: http://elsewhere.example/');
    break;
case '/short':
    header('Content-Type: text/plain');
    header('Content-Length: 100');
    echo 'only this';
    break;
case '/empty':
    http_response_code(204);
    break;
case '/slow':
    header('Content-Type: text/plain');
    echo 'first';
    flush();
    while (!file_exists(DIRECTORY . "/go-$query")) {
        usleep(10000);
        clearstatcache();
    }
    echo 'last';
    break;
case '/endless':
    header('Content-Type: text/plain');
    register_shutdown_function(function () { touch(DIRECTORY . '/left-' . $_GET_TOKEN); });
    while (true) { echo str_repeat('x', 65536); flush(); }
}
"""

FLUP = """
import hashlib, json, os, sys, time
from flup.server.fcgi import WSGIServer

def endless(token):
    try:
        while True:
            yield b"x" * 65536
    finally:
        open(os.path.join({directory!r}, "left-" + token), "w").close()

def slow(token):
    yield b"first"
    while not os.path.exists(os.path.join({directory!r}, "go-" + token)):
        time.sleep(0.01)
    yield b"last"

def app(environ, start_response):
    action, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    plain = [("Content-Type", "text/plain")]
    if action == "/environ":
        start_response("200 OK", [("Content-Type", "application/json")])
        texts = {{k: v for k, v in environ.items() if isinstance(v, str)}}
        return [json.dumps(texts).encode()]
    if action == "/upload":
        digest, size = hashlib.sha256(), 0
        while data := environ["wsgi.input"].read(65536):
            digest.update(data)
            size += len(data)
        start_response("200 OK", plain)
        return [b"%d %s" % (size, digest.hexdigest().encode())]
    if action == "/large":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return [(bytes(range(256)) * (int(query) // 256 + 1))[:int(query)]]
    if action == "/teapot":
        start_response("418 Short And Stout", [("Content-Type", "application/x-tea"),
            ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Tea", "green")])
        return [b"teapot"]
    if action == "/redirect":
        start_response("302 Found", [("Location", "http://elsewhere.example/")])
        return []
    if action == "/short":
        start_response("200 OK", plain + [("Content-Length", "100")])
        return [b"only this"]
    if action == "/empty":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", plain)
    return slow(query) if action == "/slow" else endless(query)

WSGIServer(app, bindAddress={address!r}, maxThreads={threads}).run()
"""


# The gateway


@dataclass
class Gateway:
    """A Tornado server with nothing in it but the gateway.

    :ivar opened: how many links have been opened.
    :ivar logged: what the application wrote to its error stream.
    :ivar ended: status and wholeness of the exchanges that have ended.
    """

    address: str
    port: int = 0
    opened: int = 0
    logged: list[str] = field(default_factory=list)
    ended: list[tuple[int, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = LinkPool(
            self._connect,
            limit=WORKERS,
            queue_length=100,
            queue_timeout=SECONDS,
            connect_timeout=5,
            idle_timeout=60,
        )

    async def _connect(
        self, make_protocol: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        self.opened += 1
        loop = asyncio.get_running_loop()
        return await loop.create_unix_connection(make_protocol, self.address)

    def brief(self, request: HTTPServerRequest) -> Brief:
        path = request.path
        return Brief(
            head=RequestHead(
                method=request.method or "",
                path=path,
                query=request.query,
                version=request.version,
                encoded_headers=header_params(request.headers.get_all()),
                host=request.host,
                scheme=request.protocol,
                remote_addr=request.remote_ip or "",
                remote_port="",
                prefix=path[: path.index("/", 1)],
                upgrade=False,
            ),
            pool=self.pool,
            limits=Limits(max_body_size=0, response_timeout=SECONDS, stream_timeout=SECONDS),
            response_headers=lambda head: head.headers,
            other_pool=lambda: self.pool,
            on_error=self._on_error,
            on_log=self.logged.append,
            on_end=lambda status, whole: self.ended.append((status, whole)),
        )

    @staticmethod
    def _on_error(error: Exception) -> Answer:
        text = f"{type(error).__name__}: {error}".encode()
        return Answer(502, "Bad Gateway", (("Content-Length", str(len(text))),), text)


class Exchange(HTTPMessageDelegate):
    """Lets every request in and forwards it."""

    def __init__(self, request: HTTPServerRequest, gateway: Gateway) -> None:
        self._request = request
        self._gateway = gateway

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        self._forwarding = Forwarding(self._request, self._gateway.brief(self._request))
        self._forwarding.start()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._forwarding.data_received(chunk)

    def finish(self) -> None:
        self._forwarding.finish()

    def on_connection_close(self) -> None:
        self._forwarding.on_connection_close()


class EveryRequest(Router):
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def find_handler(self, request: HTTPServerRequest, **kwargs: object) -> HTTPMessageDelegate:
        return Exchange(request, self._gateway)


def serve_in_thread(address: str) -> tuple[Gateway, Callable[[], None]]:
    """Run a gateway to the application that listens at a Unix socket.

    :returns: the gateway and what stops it.
    """
    started = threading.Event()
    gateways: list[Gateway] = []
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()

    async def run() -> None:
        gateway = Gateway(address)
        server = HTTPServer(EveryRequest(gateway))
        sockets = bind_sockets(0, "127.0.0.1")
        gateway.port = sockets[0].getsockname()[1]
        server.add_sockets(sockets)
        gateways.append(gateway)
        started.set()
        await stopped.wait()
        server.stop()
        await server.close_all_connections()
        gateway.pool.close()

    def in_thread() -> None:
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=in_thread)
    thread.start()
    assert started.wait(SECONDS)

    def stop() -> None:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()

    return gateways[0], stop


# The applications


@dataclass
class Application:
    """An application that runs, and the gateway before it."""

    directory: Path
    address: str
    gateway: Gateway


def listens(address: str) -> bool:
    """Whether a socket file is there; to connect would take one of few workers."""
    try:
        return stat.S_ISSOCK(os.stat(address).st_mode)
    except FileNotFoundError:
        return False


def fcgiwrap_command(directory: Path, address: str, find: Callable[[str, str], str]) -> list[str]:
    script = directory / "script"
    script.write_text(CGI.format(python=sys.executable, directory=str(directory)))
    script.chmod(0o700)
    return [find("fcgiwrap", "fcgiwrap"), "-f", "-c", str(WORKERS), "-s", f"unix:{address}"]


def php_command(directory: Path, address: str, find: Callable[[str, str], str]) -> list[str]:
    text = PHP.replace("DIRECTORY", repr(str(directory)))
    (directory / "script").write_text(text.replace("$_GET_TOKEN", "$_SERVER['QUERY_STRING']"))
    settings = {
        "cgi.fix_pathinfo": "0",  # the gateway's SCRIPT_NAME and PATH_INFO are right
        "enable_post_data_reading": "0",
        "output_buffering": "0",
        "log_errors": "1",
        "max_execution_time": "30",
    }
    options = [part for item in settings.items() for part in ("-d", "=".join(item))]
    return [find("php-cgi", "php-cgi"), "-n", *options, "-b", address]


def flup_command(directory: Path, address: str, find: Callable[[str, str], str]) -> list[str]:
    if importlib.util.find_spec("flup") is None:
        reason = "flup is not installed: pip install flup6"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    script = directory / "script"
    script.write_text(FLUP.format(directory=str(directory), address=address, threads=64))
    return [sys.executable, str(script)]


COMMANDS = {"fcgiwrap": fcgiwrap_command, "php-cgi": php_command, "flup": flup_command}


def application(
    kind: str,
    directory: Path,
    find: Callable[[str, str], str],
    start: Callable[..., subprocess.Popen[bytes]],
    environment: dict[str, str],
) -> tuple[Application, Callable[[], None]]:
    """Start an application, and a gateway before it.

    :returns: the application and what stops its gateway.
    """
    directory.mkdir()
    address = str(directory / "socket")
    command = COMMANDS[kind](directory, address, find)
    start(
        command,
        ready=lambda: listens(address),
        log=directory / "log",
        environment=environment,
    )
    gateway, stop = serve_in_thread(address)
    return Application(directory, address, gateway), stop


@pytest.fixture(scope="module", autouse=True)
def _script_filename(run_directory: Path) -> Iterator[None]:
    """These programs want to be told which file to run, which an app in a kernel does not, and
    fcgiwrap that it is to pass on a response as it comes."""

    def with_filename(head: RequestHead) -> bytes:
        filename = f"{run_directory}{head.prefix}/script"
        more = [(b"SCRIPT_FILENAME", filename.encode()), (b"NO_BUFFERING", b"1")]
        return cgi_params(head) + fastcgi.encode_pairs(more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "cgi_params", with_filename)
        yield


@pytest.fixture(scope="module", params=list(COMMANDS))
def app(
    request: pytest.FixtureRequest,
    run_directory: Path,
    find_program: Callable[[str, str], str],
    start: Callable[..., subprocess.Popen[bytes]],
) -> Iterator[Application]:
    found, stop = application(
        request.param,
        run_directory / request.param,
        find_program,
        start,
        {"PHP_FCGI_CHILDREN": str(WORKERS)},
    )
    yield found
    stop()


@pytest.fixture
def client(app: Application) -> Iterator[httpx.Client]:
    base_url = f"http://127.0.0.1:{app.gateway.port}/{app.directory.name}"
    with httpx.Client(base_url=base_url, timeout=SECONDS) as client:
        yield client


@pytest.fixture
def token() -> str:
    return uuid.uuid4().hex


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.02)


def in_pieces(body: bytes) -> Iterator[bytes]:
    """A body that httpx sends in chunks."""
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


def pattern(size: int) -> bytes:
    """The body of ``/large``."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


# Tests


def test_the_application_gets_the_request(client: httpx.Client, app: Application) -> None:
    response = client.get("/environ?a=1&b=%2F", headers={"X-A": "b", "Cookie": "c=d"})
    environ = response.json()
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == f"/{app.directory.name}"
    assert environ["PATH_INFO"] == "/environ"
    assert environ["QUERY_STRING"] == "a=1&b=%2F"
    assert environ["REQUEST_URI"] == f"/{app.directory.name}/environ?a=1&b=%2F"
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(app.gateway.port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_A"] == "b"
    assert environ["HTTP_COOKIE"] == "c=d"


def test_long_parameters_arrive_whole(client: httpx.Client) -> None:
    """Longer than 127 bytes their length takes four bytes; longer than a record, two records."""
    headers = {f"X-Long-{number}": str(number) * 9000 for number in range(7)}
    headers["X-Edge"] = "e" * 127
    environ = client.get("/environ", headers=headers).json()
    for name, value in headers.items():
        assert environ["HTTP_" + name.upper().replace("-", "_")] == value


def test_status_reason_headers_and_their_repetition_arrive(client: httpx.Client) -> None:
    response = client.get("/teapot")
    assert response.status_code == 418
    assert response.reason_phrase == "Short And Stout"
    assert response.headers["Content-Type"] == "application/x-tea"
    assert response.headers.get_list("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers["X-Tea"] == "green"
    assert response.text == "teapot"


def test_a_location_without_a_status_is_a_redirect(client: httpx.Client) -> None:
    response = client.get("/redirect")
    assert response.status_code == 302
    assert response.headers["Location"] == "http://elsewhere.example/"


def test_head_and_204_have_no_body(client: httpx.Client) -> None:
    for _ in range(3):  # on one connection: a body would be taken for the next response
        response = client.head("/teapot")
        assert (response.status_code, response.content) == (418, b"")
        response = client.get("/empty")
        assert (response.status_code, response.content) == (204, b"")
    assert client.get("/teapot").text == "teapot"


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 5 * MEBIBYTE])
def test_an_upload_arrives_whole(client: httpx.Client, size: int) -> None:
    body = pattern(size)
    response = client.post("/upload", content=body)
    assert response.text == f"{size} {hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize("app", ["fcgiwrap", "flup"], indirect=True)
def test_a_chunked_upload_arrives_whole(client: httpx.Client, app: Application) -> None:
    response = client.post("/upload", content=in_pieces(pattern(MEBIBYTE)))
    assert response.text == f"{MEBIBYTE} {hashlib.sha256(pattern(MEBIBYTE)).hexdigest()}"


@pytest.mark.parametrize("app", ["php-cgi"], indirect=True)
def test_an_answer_that_is_given_before_the_upload_was_read_arrives(client: httpx.Client) -> None:
    """PHP takes a body without a Content-Length for an empty one: it answers, meets what is no new
    request, and closes the link."""
    for _ in range(5):
        response = client.post("/upload", content=in_pieces(pattern(MEBIBYTE)))
        assert response.text == f"0 {hashlib.sha256(b'').hexdigest()}"


def test_a_body_that_is_not_read_does_not_hold_up_the_response(client: httpx.Client) -> None:
    for _ in range(3):
        assert client.post("/teapot", content=pattern(3 * MEBIBYTE)).text == "teapot"


@pytest.mark.parametrize("size", [*range(1, 18), 65528, 65536, 20 * MEBIBYTE])
def test_a_download_arrives_whole(client: httpx.Client, size: int) -> None:
    """The sizes go around those at which applications pad their records."""
    response = client.get(f"/large?{size}")
    assert response.status_code == 200
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(pattern(size)).digest()


def test_records_with_padding_come_from_these_applications(app: Application) -> None:
    """So that the test above is a test of padding."""
    paddings = set()
    for size in (3, 5):
        pairs = {
            b"REQUEST_METHOD": b"GET",
            b"SCRIPT_FILENAME": str(app.directory / "script").encode(),
            b"SCRIPT_NAME": b"/app",
            b"PATH_INFO": b"/large",
            b"QUERY_STRING": b"%d" % size,
            b"REQUEST_URI": b"/app/large",
            b"SERVER_NAME": b"localhost",
            b"SERVER_PORT": b"80",
            b"SERVER_PROTOCOL": b"HTTP/1.1",
        }
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(SECONDS)
            link.connect(app.address)
            link.sendall(
                fastcgi.encode_begin_request(1, keep=False)
                + fastcgi.encode_stream(fastcgi.PARAMS, 1, fastcgi.encode_pairs(pairs.items()))
                + fastcgi.encode_record(fastcgi.PARAMS, 1)
                + fastcgi.encode_record(fastcgi.STDIN, 1)
            )
            wire = b""
            while data := link.recv(65536):
                wire += data
        while wire:
            paddings.add(wire[6])
            wire = wire[8 + int.from_bytes(wire[4:6], "big") + wire[6] :]
    assert max(paddings) > 0


@pytest.mark.parametrize("app", ["fcgiwrap", "php-cgi"], indirect=True)  # flup6 wants bytes there
def test_lines_of_the_error_stream_are_handed_on(
    client: httpx.Client, app: Application, token: str
) -> None:
    assert client.get(f"/log?{token}").text == "logged"
    wait_until(lambda: any(token in text for text in app.gateway.logged))


def test_the_first_bytes_arrive_before_the_last_are_made(
    client: httpx.Client, app: Application, token: str
) -> None:
    with client.stream("GET", f"/slow?{token}") as response:
        parts = response.iter_raw()
        assert next(parts) == b"first"
        (app.directory / f"go-{token}").touch()
        assert b"".join(parts) == b"last"


def test_fewer_bytes_than_announced_give_no_whole_response(
    client: httpx.Client, app: Application
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/short")
    wait_until(lambda: app.gateway.ended[-1] == (200, False))
    assert client.get("/teapot").text == "teapot"


def test_the_application_hears_of_a_client_that_leaves(
    client: httpx.Client, app: Application, token: str
) -> None:
    with client.stream("GET", f"/endless?{token}") as response:
        next(response.iter_raw())
    wait_until((app.directory / f"left-{token}").exists)
    wait_until(lambda: app.gateway.pool.in_use == 0)
    assert client.get("/teapot").text == "teapot"


def test_more_requests_than_workers_are_all_answered(client: httpx.Client) -> None:
    def ask(number: int) -> str:
        environ: dict[str, str] = client.get(f"/environ?{number}").json()
        return environ["QUERY_STRING"]

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(ask, range(64))) == [str(number) for number in range(64)]


def test_a_link_is_used_again(client: httpx.Client, app: Application) -> None:
    opened = app.gateway.opened
    for _ in range(20):
        assert client.get("/teapot").status_code == 418
    assert app.gateway.opened - opened <= 1


def test_an_application_that_closes_its_links_is_asked_over_new_ones(
    run_directory: Path,
    find_program: Callable[[str, str], str],
    start: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """A PHP process that ends after one request does so whatever KEEP_CONN says."""
    app, stop = application(
        "php-cgi",
        run_directory / "php-once",
        find_program,
        start,
        {"PHP_FCGI_CHILDREN": "2", "PHP_FCGI_MAX_REQUESTS": "1"},
    )
    try:
        base_url = f"http://127.0.0.1:{app.gateway.port}/php-once"
        with httpx.Client(base_url=base_url, timeout=SECONDS) as client:
            for number in range(20):
                response = client.get(f"/environ?{number}")
                assert response.status_code == 200, response.text
                assert json.loads(response.text)["QUERY_STRING"] == str(number)
    finally:
        stop()
