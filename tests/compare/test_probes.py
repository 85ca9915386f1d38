"""The probes before small servers that are bad at one thing: each must be able to say no."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from jupyter_flaskserve.comparison import processes
from jupyter_flaskserve.comparison.cell import DOES_NOT_APPLY, NO, PARTLY, UNKNOWN, YES
from jupyter_flaskserve.comparison.certificate import make_certificate
from jupyter_flaskserve.comparison.contenders.by_hand import ByHand
from jupyter_flaskserve.comparison.contenders.contender import Contender, Target, free_ports
from jupyter_flaskserve.comparison.contenders.kernel import NginxToKernel
from jupyter_flaskserve.comparison.observed import KEY_HEADER, Observed
from jupyter_flaskserve.comparison.probes import (
    COLUMNS,
    by_hand,
    crash,
    listening,
    measure,
    parsing,
    slow_clients,
    static_files,
    streaming,
    tls,
    workers,
)
from jupyter_flaskserve.comparison.processes import NotStarted, Workshop
from jupyter_flaskserve.comparison.project import Folders, Project
from jupyter_flaskserve.comparison.site import Site, make_site, render
from jupyter_flaskserve.comparison.wire import Address, ask

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Small(Contender):
    """A contender that this test has made.

    :param group: the process group to which belongs who may be killed, where this test has
        started it.
    """

    key = "small"
    title = "A small server"
    places = ()

    def __init__(self, site: Site, address: Address, group: int = 0) -> None:
        super().__init__(site)
        self.address = address
        self._group = group

    @contextlib.contextmanager
    def victim(self) -> Iterator[Target]:
        assert self.address is not None
        yield Target(self.address, self.owns)

    def owns(self, pid: int) -> bool:
        if not self._group:
            return super().owns(pid)
        return os.getpgid(pid) == self._group


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    def write(directory: Path) -> Project:
        directory.mkdir()
        (directory / "wsgi.py").write_text("application = None\n")
        return Project({}, Folders())

    with Workshop() as workshop:
        yield make_site(workshop, None, write)


Serve = Callable[..., Small]


@pytest.fixture
def serve(site: Site) -> Iterator[Serve]:
    """Serves a WSGI app by a server that has a thread for each connection, or only one."""
    with contextlib.ExitStack() as stack:

        def start(app: App, *, threaded: bool = True, certificate: Any = None) -> Small:
            context = (str(certificate.file), str(certificate.key)) if certificate else None
            server = make_server("127.0.0.1", 0, app, threaded=threaded, ssl_context=context)
            if threaded:
                server.daemon_threads = True
                server.block_on_close = False
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            authority = str(certificate.file) if certificate else ""
            headers = ((KEY_HEADER, site.key),)
            address = Address(server.server_port, authority=authority, headers=headers)
            small = Small(site, address)
            small.tls_address = small.address if certificate else None
            return small

        yield start


@pytest.fixture
def raw(site: Site) -> Iterator[Callable[[bytes], Small]]:
    """Serves the same bytes to whoever connects, whatever is sent."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes) -> Small:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def accept() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        with listener.accept()[0] as peer:
                            peer.recv(4096)
                            peer.sendall(answer)

            threading.Thread(target=accept, daemon=True).start()
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return Small(site, Address(listener.getsockname()[1]))

        yield start


# Listens


def test_nobody_listens(site: Site) -> None:
    cell = listening.probe(Small(site, Address(*free_ports(1))))
    assert cell.state == NO
    assert "refused" in cell.evidence


def test_somebody_listens(site: Site, serve: Serve) -> None:
    assert listening.probe(serve(site.observed)).state == YES


# Parses HTTP


def test_a_server_that_says_hello_to_everything_does_not_refuse_what_is_no_request(
    raw: Callable[[bytes], Small],
) -> None:
    cell = parsing.probe(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    assert cell.state == PARTLY
    assert "a header without a colon: 200" in cell.evidence


@pytest.mark.parametrize("answer", [b"hello", b"", b"HTTP/1.1 500 Oops\r\n\r\n"])
def test_a_server_that_does_not_answer_a_request_does_not_parse(
    raw: Callable[[bytes], Small], answer: bytes
) -> None:
    assert parsing.probe(raw(answer)).state == NO


# Static files


def test_a_file_that_the_app_sends_is_not_the_servers_work(site: Site, serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [site.marker_text.encode()]

    cell = static_files.probe(serve(site.around(app)))
    assert cell.state == NO
    assert "the app in process" in cell.evidence


def in_front(site: Site, body: bytes) -> App:
    """What answers below the path of the static files itself."""

    def server(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(site.static_url):
            return site.observed(environ, start_response)
        start_response("200 OK", [])
        return [body]

    return server


def test_a_file_that_comes_past_the_app_is_the_servers_work(site: Site, serve: Serve) -> None:
    assert static_files.probe(serve(in_front(site, site.marker_text.encode()))).state == YES


def test_another_file_is_not_the_one(site: Site, serve: Serve) -> None:
    assert static_files.probe(serve(in_front(site, site.marker_text.encode()[:-1]))).state == NO


def test_an_app_whose_notes_are_lost_says_nothing_of_static_files(
    site: Site, serve: Serve, tmp_path: Path
) -> None:
    silent = Observed(None, **{**site.settings, "notes": str(tmp_path / "nowhere")})

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        b"".join(silent(environ, start_response))
        return [site.marker_text.encode()]

    assert static_files.probe(serve(app)).state == UNKNOWN


def test_servers_are_told_of_the_folder_that_the_app_names(tmp_path: Path) -> None:
    def write(directory: Path) -> Project:
        directory.mkdir()
        return Project({}, Folders(static="files/assets", static_url="/assets"))

    with Workshop() as workshop:
        site = make_site(workshop, None, write)
        assert site.project is not None
        assert (site.static, site.static_url) == (site.project / "files/assets", "/assets/")
        assert (site.static / site.marker).read_text() == site.marker_text


def test_where_servers_cannot_be_told_of_a_folder_they_are_told_of_none() -> None:
    def write(directory: Path) -> Project:
        directory.mkdir()
        return Project({}, None)

    with Workshop() as workshop:
        site = make_site(workshop, None, write)
        assert not list(workshop.directory.rglob(site.marker))
        assert static_files.probe(Small(site, Address(1))).state == DOES_NOT_APPLY
        for name in ("nginx.conf", "apache.conf"):
            assert "static" not in _rendered(name, site)


def _rendered(name: str, site: Site) -> str:
    return render(
        name,
        directory="/d",
        user="",
        group="",
        modules=[],
        sockets=["/s"],
        port=1,
        tls_port=2,
        stand_in="/t",
        stand_in_port=3,
        certificate=None,
        static=site.static,
        static_url=site.static_url,
        admission="/a",
        kernel=True,
    )


# Called by hand


def by_hand_around(site: Site, app: Any) -> ByHand:
    return ByHand(replace(site, app=app))


def test_an_app_that_is_a_generator_has_not_read_a_request_because_nothing_of_it_ran(
    site: Site,
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield environ["PATH_INFO"].encode()

    cell = by_hand.parses(by_hand_around(site, app))
    assert cell.state == NO
    assert "TypeError" in cell.evidence


def test_an_app_that_takes_anything_has_not_read_it(site: Site) -> None:
    cell = by_hand.parses(by_hand_around(site, lambda *_: [b"hello"]))
    assert cell.state == NO
    assert "5 bytes" in cell.evidence


def test_what_takes_the_bytes_of_a_request_and_reads_them_parses(site: Site) -> None:
    cell = by_hand.parses(by_hand_around(site, lambda given, _: [given.split(b" ")[1]]))
    assert cell.state == YES


def test_an_app_that_is_called_by_hand_leaves_the_prints_of_other_threads_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        with ThreadPoolExecutor(1) as other:
            streams.append(other.submit(lambda: sys.stdout).result())
        start_response("200 OK", [])
        return [b""]

    before = sys.stdout
    by_hand_around(site, app).call("/")
    assert streams == [before]


# Several workers


def test_one_process_that_answers_one_after_the_other(site: Site, serve: Serve) -> None:
    cell = workers.probe(serve(site.observed, threaded=False))
    assert cell.state == NO
    assert "one after the other" in cell.evidence


def test_one_process_with_threads_is_partly_several(site: Site, serve: Serve) -> None:
    assert workers.probe(serve(site.observed)).state == PARTLY


def test_several_processes_are_told_by_their_ids(serve: Serve) -> None:
    numbers = itertools.cycle([11, 12, 13])

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [json.dumps({"pid": next(numbers), "thread": 1}).encode()]

    cell = workers.probe(serve(app))
    assert cell.state == YES
    assert all(f"process {pid} 8" in cell.evidence for pid in (11, 12, 13))


# TLS


def test_a_plain_server_fails_the_handshake(raw: Callable[[bytes], Small]) -> None:
    assert tls.probe(raw(b"HTTP/1.1 200 OK\r\n\r\n")).state == NO


def test_another_certificate_than_the_servers_own_is_refused(
    site: Site, serve: Serve, tmp_path: Path
) -> None:
    small = serve(site.observed, certificate=make_certificate(tmp_path))
    assert site.certificate is not None
    small.tls_address = Address(small.tls_address.port, authority=str(site.certificate.file))  # type: ignore[union-attr]
    cell = tls.probe(small)
    assert cell.state == NO
    assert "CERTIFICATE_VERIFY_FAILED" in cell.evidence


def test_a_certificate_that_holds_is_accepted(site: Site, serve: Serve) -> None:
    cell = tls.probe(serve(site.observed, certificate=site.certificate))
    assert cell.state == YES
    assert "the scheme is https" in cell.evidence
    assert "checked against its own file" in cell.evidence


def test_a_handshake_without_a_response_after_it_is_not_enough(
    site: Site, raw: Callable[[bytes], Small]
) -> None:
    assert site.certificate is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(site.certificate.file, site.certificate.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    context.wrap_socket(listener.accept()[0], server_side=True).close()

        threading.Thread(target=accept, daemon=True).start()
        small = Small(site, Address(*free_ports(1)))
        small.tls_address = Address(listener.getsockname()[1], authority=str(site.certificate.file))
        cell = tls.probe(small)
        listener.shutdown(socket.SHUT_RDWR)
    assert cell.state == NO


# Streams


def buffering(site: Site, *, heeds_header: bool) -> App:
    """A server's part in between, which holds a response back until it is whole."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        told: list[Any] = []
        answer = site.observed(environ, lambda *head: told.append(head))
        if heeds_header and "X-Accel-Buffering" in dict(told[0][1]):
            start_response(*told[0])
            return answer
        body = b"".join(answer)
        start_response(*told[0])
        return [body]

    return app


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PATIENCE", 0.3)


@pytest.mark.usefixtures("_hasty")
def test_a_server_that_holds_a_stream_back_does_not_stream(site: Site, serve: Serve) -> None:
    cell = streaming.probe(serve(buffering(site, heeds_header=False)))
    assert cell.state == NO


@pytest.mark.usefixtures("_hasty")
def test_a_server_that_streams_when_it_is_asked_to_streams_partly(site: Site, serve: Serve) -> None:
    cell = streaming.probe(serve(buffering(site, heeds_header=True)))
    assert cell.state == PARTLY
    assert "X-Accel-Buffering" in cell.evidence


def test_a_server_that_passes_on_what_comes_streams(site: Site, serve: Serve) -> None:
    assert streaming.probe(serve(site.observed)).state == YES


# Slow clients


def test_a_server_with_one_thread_waits_for_slow_clients(
    site: Site, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow_clients, "PATIENCE", 0.5)
    cell = slow_clients.probe(serve(site.observed, threaded=False))
    assert cell.state == NO
    assert "none of 4 normal requests" in cell.evidence


def test_a_server_with_enough_threads_does_not(site: Site, serve: Serve) -> None:
    assert slow_clients.probe(serve(site.observed)).state == YES


# Servers that are late


@pytest.fixture
def silent(site: Site) -> Iterator[Small]:
    """A server whose connections are made, and at which nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Small(site, Address(listener.getsockname()[1]))


@pytest.mark.parametrize("probe", [streaming, slow_clients, tls], ids=lambda m: m.__name__)
def test_a_server_that_answers_nothing_in_time_is_not_measured(
    silent: Small, monkeypatch: pytest.MonkeyPatch, probe: Any
) -> None:
    for name in ("PATIENCE", "TIMEOUT"):
        if hasattr(probe, name):
            monkeypatch.setattr(probe, name, 0.3)
    cell = probe.probe(silent)
    assert cell.state == UNKNOWN
    assert "a plain request before the measurement failed" in cell.evidence


def test_a_handshake_that_is_late_where_tls_is_set_up_is_not_measured(
    site: Site, silent: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site.certificate is not None
    assert silent.address is not None
    monkeypatch.setattr(tls, "TIMEOUT", 0.3)
    silent.tls_address = replace(silent.address, authority=str(site.certificate.file))
    assert tls.probe(silent).state == UNKNOWN


# Survives a crash

_ONE = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"pid": os.getpid()}).encode())
    def log_message(self, *_):
        pass
HTTPServer.allow_reuse_address = True
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
_AGAIN = f"""
import subprocess, sys
while True:
    subprocess.run([sys.executable, "-c", {_ONE!r}, sys.argv[1]])
"""


@contextlib.contextmanager
def server_process(code: str, site: Site) -> Iterator[Small]:
    (port,) = free_ports(1)
    with subprocess.Popen([sys.executable, "-c", code, str(port)], start_new_session=True) as made:
        try:
            deadline = time.monotonic() + 20
            while listening.probe(Small(site, Address(port))).state == NO:
                assert time.monotonic() < deadline
            yield Small(site, Address(port), made.pid)
        finally:
            os.killpg(made.pid, signal.SIGKILL)


def test_a_server_whose_only_process_stays_dead_does_not_survive(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash, "PATIENCE", 0.5)
    with server_process(_ONE, site) as small:
        cell = crash.probe(small)
    assert cell.state == NO
    assert "refused" in cell.evidence
    assert int(re.findall(r"each of (\d+) requests", cell.evidence)[0]) >= crash.TRIES


def test_one_late_answer_after_a_crash_is_not_yet_a_no(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash, "PATIENCE", 0.0)
    answers = iter([*[7] * (1 + crash.REQUESTS), "timed out", "timed out", *[8] * 1000])
    monkeypatch.setattr(crash, "_who", lambda *_: next(answers))
    monkeypatch.setattr(os, "kill", lambda *_: None)
    small = Small(site, Address(1))
    monkeypatch.setattr(small, "owns", lambda pid: True)
    assert crash.probe(small).state == YES


def test_a_server_that_starts_what_was_killed_again_survives(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash, "PATIENCE", 20.0)
    with server_process(_AGAIN, site) as small:
        cell = crash.probe(small)
    assert cell.state == YES
    assert "a new process" in cell.evidence


def test_this_process_is_never_killed(site: Site, serve: Serve) -> None:
    cell = crash.probe(serve(site.observed))
    assert cell.state == UNKNOWN


@pytest.mark.parametrize("named", [-1, 0, 1, os.getppid()])
def test_only_a_process_that_was_started_for_it_is_killed(
    raw: Callable[[bytes], Small], monkeypatch: pytest.MonkeyPatch, named: int
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    cell = crash.probe(raw(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"pid": %d}' % named))
    assert cell.state == UNKNOWN
    assert "was not started here" in cell.evidence
    assert not killed


def test_another_program_at_a_servers_port_is_not_taken_for_it_and_sees_no_key(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as peer:
                        seen.append(peer.recv(4096))
                        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        threading.Thread(target=accept, daemon=True).start()
        monkeypatch.setattr(processes, "START_SECONDS", 0.3)
        small = Small(site, Address(1))
        process = small.run(["sleep", "60"])
        with pytest.raises(NotStarted):
            small.await_answer(process, small.at(listener.getsockname()[1]))
        small.stop()
        listener.shutdown(socket.SHUT_RDWR)
    assert seen
    assert not [request for request in seen if site.key.encode() in request]


# All


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.key)
def test_a_probe_that_fails_says_why(site: Site, column: Any) -> None:
    cell = measure(column, Small(site, Address(*free_ports(1))))
    assert cell.state in (NO, UNKNOWN)
    assert cell.evidence


def test_nobody_else_reaches_the_app_while_it_is_compared(site: Site, serve: Serve) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [])
        return [b"the app's"]

    small = serve(site.around(app))
    assert ask(small.at(small.address.port), "/", 5).body == b"the app's"  # type: ignore[union-attr]
    for headers in ((), ((KEY_HEADER, ""),), ((KEY_HEADER, site.key[:-1]),), ((KEY_HEADER, "é"),)):
        address = Address(small.address.port, headers=headers)  # type: ignore[union-attr]
        for path in ("/", f"{site.prefix}trace/x/", f"{site.prefix}who"):
            answer = ask(address, path, 5)
            assert answer.status == 403
            assert b"the app's" not in answer.body


def test_each_contender_has_a_key_and_a_prefix_of_its_own(site: Site) -> None:
    other = site.renewed()
    assert site.key
    assert not {site.key, site.prefix} & {other.key, other.prefix}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux has")
def test_no_command_line_shows_the_prefix_or_the_key(site: Site) -> None:
    stand_in = NginxToKernel(site)
    try:
        stand_in._start_stand_in()
        (process,) = stand_in._processes
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"stand_in" in shown
        assert site.prefix.encode() not in shown
        assert site.key.encode() not in shown
    finally:
        stand_in.stop()


def test_what_is_not_the_probes_is_the_apps(site: Site) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"the app's"]

    observed = Observed(app, prefix="/probe-1/", notes=str(site.notes), marker="m.txt")
    for path in ("/", "/probe-2/hello", "/static/m.txt"):
        assert b"".join(observed({"PATH_INFO": path}, lambda *_: None)) == b"the app's"
    assert b"".join(observed({"PATH_INFO": "/probe-1/hello"}, lambda *_: None)) == b"hello"
    assert seen == ["/", "/probe-2/hello", "/static/m.txt"]
