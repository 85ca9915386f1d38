"""What should not come and comes: records, links and apps that break the rules."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_processes import Kernel, Reply, Server, arrangement, read_to_end, wait_until

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.records import MountRecord

HELLO = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


@pytest.fixture
def good(kernel: Kernel, name: str) -> httpx.Client:
    """An app that has nothing to do with the trouble, and has to go on."""
    return kernel.serve(f"{name}-good", HELLO)


@pytest.fixture
def log(server: Server) -> Callable[[], str]:
    """What the server has logged since the test began."""
    start = len(server.log)
    return lambda: server.log[start:]


@pytest.fixture(scope="module")
def server_id(kernel: Kernel) -> str:
    """The id by which the server's kernels name it."""
    home = "__import__('jupyter_flaskserve.kernel.home', fromlist=['find_home']).find_home()"
    return kernel.run(f"print({home}.server)").stdout.strip()


@pytest.fixture
def record(kernel: Kernel, server_id: str, name: str) -> MountRecord:
    """A record as a kernel would write it, of a socket where nobody listens yet."""
    return MountRecord(
        name=name,
        server=server_id,
        kernel_id=kernel.id,
        pid=kernel.pid,
        generation=os.urandom(8).hex(),
        socket="/nonexistent/socket",
        threads=4,
        title="a lie",
        notebook="Lies.ipynb",
        started=time.time(),
    )


@pytest.fixture
def put(server: Server, server_id: str) -> Iterator[Callable[..., Path]]:
    """Puts a file into the records' directory, in the place of a name's record."""
    directory = server.runtime_dir / "flaskserve"
    directory.mkdir(mode=0o700, exist_ok=True)
    files: list[Path] = []

    def put(name: str, text: str | bytes, mode: int = 0o600) -> Path:
        path = directory / f"{server_id}-{name}.json"
        new = directory / f".{name}.new"
        new.write_bytes(text.encode() if isinstance(text, str) else text)
        new.chmod(mode)
        new.rename(path)
        files.append(path)
        return path

    yield put
    for path in files:
        path.unlink(missing_ok=True)


# Records


def changed(record: MountRecord, **changes: Any) -> str:
    return json.dumps({**json.loads(record.to_json()), **changes})


MALFORMED: dict[str, Callable[[MountRecord], str | bytes]] = {
    "nothing": lambda record: b"",
    "bytes": lambda record: bytes(range(256)),
    "half of it": lambda record: record.to_json()[:100],
    "a list": lambda record: "[]",
    "deep nesting": lambda record: "[" * 60_000,
    "another format": lambda record: changed(record, format=99),
    "another name": lambda record: changed(record, name="other"),
    "a name that is none": lambda record: changed(record, name="../../x"),
    "another server": lambda record: changed(record, server="00000000"),
    "a wrong type": lambda record: changed(record, pid="1"),
    "a missing field": lambda record: changed(record, kernel_id=None),
    "no threads": lambda record: changed(record, threads=0),
    "no date": lambda record: changed(record, started=1e300),
    "not a number": lambda record: changed(record, started=float("nan")),
    "a relative socket": lambda record: changed(record, socket="sock"),
    "a socket no file system has": lambda record: changed(record, socket="/\ud800"),
    "a socket with a long path": lambda record: changed(record, socket="/" + "x" * 5000),
    "a port of another machine": lambda record: changed(
        record, transport="tcp", socket="192.0.2.1:80", secret="0" * 128
    ),
    "a port without a secret": lambda record: changed(
        record, transport="tcp", socket="127.0.0.1:80", secret=""
    ),
    "far too long": lambda record: changed(record, title="x" * 100_000),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_record_is_logged_and_left_out(
    kind: str,
    record: MountRecord,
    put: Callable[..., Path],
    good: httpx.Client,
    server: Server,
    log: Callable[[], str],
) -> None:
    path = put(record.name, MALFORMED[kind](record))
    assert server.client(record.name).get("").status_code == 404
    assert record.name not in server.mounts()
    assert good.get("").text == "hello"
    assert path.name in log()
    assert "Traceback" not in log()


def test_a_record_that_others_may_write_is_logged_and_left_out(
    record: MountRecord,
    put: Callable[..., Path],
    good: httpx.Client,
    server: Server,
    log: Callable[[], str],
) -> None:
    path = put(record.name, record.to_json(), 0o666)
    assert server.client(record.name).get("").status_code == 404
    assert good.get("").text == "hello"
    assert path.name in log()


def test_a_malformed_record_is_logged_once(
    record: MountRecord,
    put: Callable[..., Path],
    good: httpx.Client,
    server: Server,
    log: Callable[[], str],
) -> None:
    path = put(record.name, "{")
    for _ in range(10):
        good.get("")
        server.mounts()
        path.touch()
        put(f"{record.name}-2", "{}")
    assert log().count(f"{path.name} ") <= 12
    path.unlink()


def test_a_malformed_record_that_is_mended_is_served(
    kernel: Kernel, put: Callable[..., Path], record: MountRecord, server: Server
) -> None:
    put(record.name, "{")
    assert server.client(record.name).get("").status_code == 404
    assert kernel.serve(record.name, HELLO).get("").text == "hello"


def test_a_directory_in_the_place_of_a_record_is_left_out(
    record: MountRecord, server_id: str, good: httpx.Client, server: Server
) -> None:
    path = server.runtime_dir / "flaskserve" / f"{server_id}-{record.name}.json"
    path.mkdir()
    try:
        assert server.client(record.name).get("").status_code == 404
        assert good.get("").text == "hello"
    finally:
        path.rmdir()


def test_a_pipe_in_the_place_of_a_record_does_not_stop_the_server(
    record: MountRecord, server_id: str, good: httpx.Client, server: Server
) -> None:
    path = server.runtime_dir / "flaskserve" / f"{server_id}-{record.name}.json"
    os.mkfifo(path, 0o600)
    try:
        assert server.client(record.name).get("", timeout=3).status_code == 404
        assert good.get("", timeout=3).text == "hello"
    finally:
        with contextlib.suppress(OSError):  # Frees a server that waits for the pipe's writer.
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        path.unlink()


def test_a_record_that_leads_to_no_socket_is_a_503(
    record: MountRecord, put: Callable[..., Path], good: httpx.Client, server: Server
) -> None:
    put(record.name, record.to_json())
    answer = server.client(record.name).get("")
    assert answer.status_code == 503
    assert "Lies.ipynb" in answer.json()["message"]
    assert good.get("").text == "hello"


def test_a_record_that_names_a_file_does_not_cost_the_user_that_file(
    record: MountRecord, put: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("a year's work")
    put(record.name, changed(record, socket=str(precious)))
    assert server.client(record.name).get("").status_code in (404, 502, 503)
    server.mounts()
    assert precious.read_text() == "a year's work"


# Links


class Door:
    """Where a responder of this process listens, by the transport that the tests run over.

    :ivar fields: what a record says of it.
    """

    def __init__(self, directory: str, backlog: int = 16) -> None:
        self.fields = {"transport": arrangement.transport, "socket": f"{directory}/sock"}
        if arrangement.transport == "tcp":
            self.socket = socket.socket()
            self.socket.bind(("127.0.0.1", 0))
            self._expected, self._answer = os.urandom(32), os.urandom(32)
            self.fields["socket"] = "127.0.0.1:{1}".format(*self.socket.getsockname())
            self.fields["secret"] = (self._expected + self._answer).hex()
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(self.fields["socket"])
        self.socket.listen(backlog)

    def admit(self, link: socket.socket) -> None:
        """Exchange the secrets with the gateway, where there are any."""
        if arrangement.transport == "tcp":
            assert link.recv(32) == self._expected
            link.sendall(self._answer)


class Liar:
    """A responder in a thread of this process that answers each request with the same bytes.

    :ivar fields: what a record says of where it listens.
    :param answer: what it sends when a request has come.
    :param keep_open: whether it then leaves the link open.
    :param afterwards: what it sends a moment later, when nobody has asked.
    """

    def __init__(
        self,
        directory: str,
        answer: bytes,
        *,
        keep_open: bool = False,
        afterwards: bytes = b"",
    ) -> None:
        self._door = Door(directory)
        self.fields = self._door.fields
        self.requests: list[bytes] = []
        self._answer = answer
        self._keep_open = keep_open
        self._afterwards = afterwards
        self.links: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._door.socket.accept()
            except OSError:
                return
            self.links.append(link)
            thread = threading.Thread(target=self._lie, args=(link,))
            thread.start()
            self._threads.append(thread)

    def _lie(self, link: socket.socket) -> None:
        end = fastcgi.encode_record(fastcgi.STDIN, 1)
        with link:
            link.settimeout(20)
            with contextlib.suppress(OSError):
                self._door.admit(link)
                while True:
                    request = b""
                    while end not in request:
                        data = link.recv(65536)
                        if not data:
                            return
                        request += data
                    self.requests.append(request)
                    link.sendall(self._answer)
                    if self._afterwards:
                        time.sleep(0.05)
                        link.sendall(self._afterwards)
                    if not self._keep_open:
                        return

    def wait_for_end_of_links(self) -> None:
        for thread in self._threads:
            thread.join(timeout=5)
            assert not thread.is_alive(), "a link is still open"

    def close(self) -> None:
        self._door.socket.shutdown(socket.SHUT_RDWR)
        self._door.socket.close()
        self._accepting.join()
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


@pytest.fixture
def lie(
    record: MountRecord, put: Callable[..., Path], server: Server
) -> Iterator[Callable[..., tuple[httpx.Client, Liar]]]:
    """Serves a liar under the test's name; gives a client of that name, and the liar."""
    with contextlib.ExitStack() as stack:

        def lie(answer: bytes, **options: Any) -> tuple[httpx.Client, Liar]:
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="liar-"))
            liar = Liar(directory, answer, **options)
            stack.callback(liar.close)
            put(record.name, changed(record, **liar.fields))
            client = server.client(record.name)
            stack.callback(client.close)
            return client, liar

        yield lie


def stdout(data: bytes) -> bytes:
    return fastcgi.encode_stream(fastcgi.STDOUT, 1, data)


END = fastcgi.encode_end_request(1)
HEAD = b"Status: 200 OK\r\nContent-Type: text/plain\r\n"


def test_a_responder_that_tells_the_truth_is_believed(
    lie: Callable[..., tuple[httpx.Client, Liar]],
) -> None:
    client, liar = lie(stdout(HEAD + b"Content-Length: 4\r\n\r\ntrue") + END, keep_open=True)
    assert [client.get("").text for _ in range(3)] == ["true"] * 3
    assert len(liar.requests) == 3


LIES = {
    "nothing": b"",
    "an HTTP response": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "zeros": bytes(1000),
    "half a record": stdout(HEAD + b"\r\nbody")[:20],
    "only the end": END,
    "half a head": stdout(b"Status: 200 OK\r\nX-A: 1\r\n") + END,
    "a head without a colon": stdout(b"Status: 200 OK\r\nnonsense\r\n\r\n") + END,
    "a header name with a space": stdout(b"Status: 200 OK\r\nX A: 1\r\n\r\n") + END,
    "a carriage return in a header": stdout(b"Status: 200 OK\r\nX-A: 1\rX-B: 2\r\n\r\n") + END,
    "a status that is none": stdout(b"Status: fine\r\n\r\n") + END,
    "a status of an interim response": stdout(b"Status: 103 Early Hints\r\n\r\n") + END,
    "two lengths": stdout(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx") + END,
    "a length that is none": stdout(HEAD + b"Content-Length: -1\r\n\r\n") + END,
    "a head without end": stdout(HEAD + b"X-A: " + b"x" * 1_000_000),
    "a refusal": fastcgi.encode_end_request(1, 0, fastcgi.CANT_MPX_CONN),
    "an end that is too short": fastcgi.encode_record(fastcgi.END_REQUEST, 1, b"\0"),
    "another request's answer": fastcgi.encode_stream(fastcgi.STDOUT, 2, HEAD + b"\r\nnot yours")
    + fastcgi.encode_end_request(2),
    "no output but errors": fastcgi.encode_stream(fastcgi.STDERR, 1, b"it is broken") + END,
}


@pytest.mark.parametrize("kind", LIES)
def test_a_responder_that_lies_is_a_502(
    kind: str,
    lie: Callable[..., tuple[httpx.Client, Liar]],
    good: httpx.Client,
    name: str,
    log: Callable[[], str],
) -> None:
    client, liar = lie(LIES[kind])
    answer = client.get("", timeout=10)
    assert answer.status_code == 502, answer.text
    assert answer.json()["status"] == 502
    assert name in answer.json()["message"]
    assert f"flaskserve {name}: GET" in log()
    assert "Traceback" not in log()
    page = client.get("", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html; charset=utf-8")
    liar.wait_for_end_of_links()
    assert good.get("").text == "hello"


def test_what_a_responder_writes_to_its_errors_is_in_the_log(
    lie: Callable[..., tuple[httpx.Client, Liar]], name: str, log: Callable[[], str]
) -> None:
    errors = fastcgi.encode_stream(fastcgi.STDERR, 1, b"a word \xff of warning\n")
    client, _ = lie(errors + stdout(HEAD + b"Content-Length: 2\r\n\r\nok") + END)
    assert client.get("").text == "ok"
    wait_until(lambda: "of warning" in log(), what="the line in the log")
    (line,) = [line for line in log().splitlines() if "of warning" in line]
    assert name in line


def test_a_length_that_is_too_great_is_a_truncated_response(
    lie: Callable[..., tuple[httpx.Client, Liar]], good: httpx.Client
) -> None:
    client, _ = lie(stdout(HEAD + b"Content-Length: 100\r\n\r\nshort") + END)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("")
    assert good.get("").text == "hello"


def test_a_length_that_is_too_small_cuts_the_body(
    lie: Callable[..., tuple[httpx.Client, Liar]], server: Server, name: str
) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
    lie(stdout(HEAD + b"Content-Length: 2\r\n\r\nok" + smuggled) + END)
    reply = server.ask(f"/flaskserve/{name}/")
    assert (reply.status, reply.body) == (200, b"ok")


def test_a_link_that_ends_in_the_middle_is_a_truncated_response(
    lie: Callable[..., tuple[httpx.Client, Liar]], server: Server, name: str
) -> None:
    lie(stdout(HEAD + b"\r\nhalf of "))
    reply = server.ask(f"/flaskserve/{name}/")
    assert reply.status == 200
    with pytest.raises(ValueError, match="missing"):
        _ = reply.content


TRUE = stdout(HEAD + b"Content-Length: 4\r\n\r\ntrue") + END
EVIL = stdout(HEAD + b"Content-Length: 4\r\n\r\nevil") + END


def test_what_comes_with_the_end_is_not_the_next_requests_answer(
    lie: Callable[..., tuple[httpx.Client, Liar]],
) -> None:
    client, _ = lie(TRUE + EVIL, keep_open=True)
    answers = []
    for _ in range(4):
        answers.append(client.get("").text)
        time.sleep(0.05)
    assert answers == ["true"] * 4


def test_a_link_that_speaks_unasked_is_not_used_again(
    lie: Callable[..., tuple[httpx.Client, Liar]],
) -> None:
    client, liar = lie(TRUE, keep_open=True, afterwards=EVIL)
    for number in (1, 2, 3):
        assert client.get("").text == "true"
        time.sleep(0.3)
        assert len(liar.links) == number


def test_a_responder_that_never_answers_holds_up_nobody_else(
    lie: Callable[..., tuple[httpx.Client, Liar]], good: httpx.Client, server: Server, name: str
) -> None:
    client, liar = lie(b"", keep_open=True)
    with pytest.raises(httpx.ReadTimeout):
        client.get("", timeout=0.5)
    assert good.get("").text == "hello"
    client.close()
    liar.wait_for_end_of_links()  # The client has left, and so does the gateway.


def test_a_responder_that_takes_no_connection_is_an_error_in_time(
    record: MountRecord, new_server: Callable[..., Server]
) -> None:
    server = new_server(config="c.FlaskServe.connect_timeout = 1")
    kernel = server.kernel()
    server_id = kernel.run(
        "import os; print(os.environ['JUPYTER_FLASKSERVE_SERVER'])"
    ).stdout.strip()
    with (
        tempfile.TemporaryDirectory(prefix="full-") as directory,
        contextlib.ExitStack() as waiting,
    ):
        door = Door(directory, backlog=0)
        waiting.enter_context(door.socket)
        for _ in range(4):  # Fills the backlog.
            link = waiting.enter_context(socket.socket(door.socket.family))
            link.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                link.connect(door.socket.getsockname())
        text = changed(record, server=server_id, kernel_id=kernel.id, **door.fields)
        (server.runtime_dir / "flaskserve").mkdir(mode=0o700, exist_ok=True)
        file = server.runtime_dir / "flaskserve" / f"{server_id}-{record.name}.json"
        file.write_text(text)
        file.chmod(0o600)
        begin = time.monotonic()
        answer = server.client(record.name).get("", timeout=10)
        assert time.monotonic() - begin < 5
        assert answer.status_code in (502, 504)
        assert record.name in answer.json()["message"]
        assert server.http.get("api/status", timeout=3).status_code == 200


# Requests


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\nBad Header\r\n\r\n",
        b"POST /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5, 6\r\n\r\nhello!",
        b"POST /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"POST /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /flaskserve/NAME/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=[
        "no header line",
        "a negative length",
        "two lengths",
        "a length and chunks",
        "a chunk size that is none",
        "an unknown coding",
        "no request line",
        "too long a head",
    ],
)
def test_a_malformed_request_does_not_reach_the_app_as_a_whole_one(
    request_bytes: bytes, kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        """
        taken = []
        def app(environ, start_response):
            taken.append(environ["wsgi.input"].read())
            start_response("200 OK", [("Content-Length", "5")])
            return [b"hello"]
        """,
    )
    token = f"Authorization: token {server.token}\r\nConnection: close\r\n".encode()
    first, mark, rest = request_bytes.replace(b"NAME", name.encode()).partition(b"\r\n")
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(first + mark + token + rest)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        data = read_to_end(connection)
    assert not data or Reply.parse(data).status in (400, 413, 431, 501)
    assert kernel.run("print(taken)").stdout == "[]\n"
    assert client.get("").text == "hello"


def test_a_client_that_sends_nothing_holds_up_nobody(good: httpx.Client, server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for beginning in (b"", b"GET ", b"GET /flaskserve/ HTTP/1.1\r\nHost: x\r\n"):
            stack.enter_context(server.connect()).sendall(beginning)
        assert good.get("").text == "hello"


# Apps


APP = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/ok":
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    return broken(environ, start_response)

def broken(environ, start_response):
"""

# What the app does, and a word of what is wrong with it.
BROKEN = {
    "a body that is a str": ("start_response('200 OK', []); return 'text'", "str"),
    "a part that is a str": ("start_response('200 OK', []); return ['text']", "str"),
    "a part that is a number": ("start_response('200 OK', []); return [1]", "int"),
    "a body that is bytes": ("start_response('200 OK', []); return b'text'", "bytes"),
    "no body": ("start_response('200 OK', [])", "NoneType"),
    "no start_response": ("return [b'text']", "start_response"),
    "no start_response and nothing": ("return []", "start_response"),
    "start_response twice": (
        "start_response('200 OK', []); start_response('200 OK', []); return []",
        "twice",
    ),
    "a status that is a number": ("start_response(200, []); return []", "status"),
    "a status without a number": ("start_response('OK', []); return []", "status"),
    "a line break in the status": (
        "start_response('200 OK\\r\\nX-Evil: 1', []); return []",
        "status",
    ),
    "a line break in a header": (
        "start_response('200 OK', [('X-A', '1\\r\\nX-Evil: 1')]); return []",
        "X-A",
    ),
    "a bare line feed in a header": (
        "start_response('200 OK', [('X-A', '1\\nX-Evil: 1')]); return []",
        "X-A",
    ),
    "a colon in a header's name": (
        "start_response('200 OK', [('X-A: 1', '2')]); return []",
        "X-A: 1",
    ),
    "a header that is no tuple": ("start_response('200 OK', ['X-A']); return []", "X-A"),
    "headers that are no list": ("start_response('200 OK', {'X-A': '1'}); return []", "dict"),
    "a header that is a number": ("start_response('200 OK', [('X-A', 1)]); return []", "X-A"),
    "a header beyond ISO-8859-1": (
        "start_response('200 OK', [('X-A', '\\u4e2d')]); return []",
        "8859",
    ),
    "a length that is none": (
        "start_response('200 OK', [('Content-Length', 'many')]); return []",
        "Content-Length",
    ),
    "an exception": ("raise RuntimeError('before the head')", "RuntimeError"),
    "an exception after the head was given": (
        "start_response('200 OK', []); raise RuntimeError('no body')",
        "RuntimeError",
    ),
    "an exception in the first step": (
        "start_response('200 OK', []); return (1 // 0 for _ in [1])",
        "ZeroDivisionError",
    ),
    "SystemExit": ("raise SystemExit(1)", "SystemExit"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "endless recursion": ("return broken(environ, start_response)", "RecursionError"),
    "an exception that cannot be printed": (
        "raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
        "Odd",
    ),
}


@pytest.mark.unvalidated("its apps break the rules, and the responder's own answer is looked at")
@pytest.mark.parametrize("kind", BROKEN)
def test_an_app_that_breaks_the_rules_is_a_500_that_says_which(
    kind: str, kernel: Kernel, server: Server, name: str, log: Callable[[], str]
) -> None:
    code, word = BROKEN[kind]
    client = kernel.serve(name, f"{APP}    {code}\n")
    answer = client.get("", timeout=10)
    assert answer.status_code == 500
    assert word in answer.text
    assert "x-evil" not in answer.headers
    wait_until(lambda: f"flaskserve {name}: " in log(), what="a line in the log")
    assert word in log()
    assert client.get("ok").text == "ok"
    assert kernel.run("print('the kernel goes on')").stdout == "the kernel goes on\n"


def test_the_traceback_is_in_the_log_and_not_sent_to_the_client(
    kernel: Kernel, name: str, log: Callable[[], str]
) -> None:
    client = kernel.serve(name, f"{APP}    a_secret = 42; raise RuntimeError('broken')\n")
    answer = client.get("")
    assert "a_secret" not in answer.text
    wait_until(lambda: "a_secret = 42" in log(), what="the traceback in the log")


def test_a_flask_view_that_fails_is_flasks_500_and_a_traceback_in_the_log(
    kernel: Kernel, name: str, log: Callable[[], str]
) -> None:
    client = kernel.serve(
        name,
        """
        from flask import Flask
        app = Flask(__name__)

        @app.route("/")
        def view():
            return 1 / 0
        """,
    )
    answer = client.get("")
    assert answer.status_code == 500
    assert "Internal Server Error" in answer.text
    wait_until(lambda: "ZeroDivisionError" in log(), what="the traceback in the log")


@pytest.mark.parametrize("error", ["SystemExit(1)", "KeyboardInterrupt", "RuntimeError('x')"])
def test_an_app_that_ends_in_mid_stream_is_a_truncated_response(
    error: str, kernel: Kernel, server: Server, name: str
) -> None:
    client = kernel.serve(
        name,
        f"""
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"half of it"
            if environ["PATH_INFO"] != "/ok":
                raise {error}
        """,
    )
    reply = server.ask(f"/flaskserve/{name}/")
    assert reply.status == 200
    with pytest.raises(ValueError, match="missing"):
        _ = reply.content
    assert client.get("ok").text == "half of it"


def test_a_close_that_fails_does_not_harm_the_response(
    kernel: Kernel, name: str, log: Callable[[], str]
) -> None:
    client = kernel.serve(
        name,
        """
        class Body(list):
            def close(self):
                raise RuntimeError("close failed")

        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "4")])
            return Body([b"fine"])
        """,
    )
    assert [client.get("").text for _ in range(3)] == ["fine"] * 3
    wait_until(lambda: "close failed" in log(), what="the failure in the log")


@pytest.mark.jupyter_server("it outlives its kernels; a kernel's own server ends with it")
def test_an_app_that_ends_its_process_takes_only_itself_down(
    new_kernel: Callable[..., Kernel], server: Server, good: httpx.Client, name: str
) -> None:
    client = new_kernel().serve(
        name,
        """
        import os
        def app(environ, start_response):
            os._exit(1)
        """,
    )
    assert client.get("", timeout=10).status_code in (502, 503)
    assert good.get("").text == "hello"
    assert client.get("", timeout=10).status_code == 503
