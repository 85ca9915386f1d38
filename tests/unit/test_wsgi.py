"""WSGI by the book (PEP 3333): a responder in this process, and a client that speaks FastCGI."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import flask
import pytest
from fastcgi_clients import (
    SECONDS,
    Answer,
    App,
    Client,
    Environ,
    LinkEnded,
    Serve,
    StartResponse,
    head,
    request,
    stdin,
    wait_until,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.kernel.responder.link import ClientDisconnected
from jupyter_flaskserve.kernel.responder.wsgi import Transaction


@pytest.fixture
def ask(serve: Serve) -> Callable[..., Answer]:
    """Makes one request of an app, on a link of its own; takes what :meth:`Client.ask` takes."""

    def ask(app: App, method: str = "GET", path: str = "/", **rest: Any) -> Answer:
        return serve(app).connect().ask(method, path, **rest)

    return ask


Ask = Callable[..., Answer]


def answering(environ: Environ, start_response: StartResponse) -> list[bytes]:
    """An app that answers in the shortest way."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


# The environ


def environ_of(ask: Ask, method: str = "GET", path: str = "/", **rest: Any) -> Environ:
    """The environ that an app gets."""
    seen: Environ = {}

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        return answering(environ, start_response)

    ask(app, method, path, **rest)
    return seen


def test_the_parameters_are_the_environ(ask: Ask) -> None:
    params = {
        "REQUEST_METHOD": "PROPFIND",
        "SCRIPT_NAME": "/flaskserve/demo",
        "PATH_INFO": "/caf\xc3\xa9/\xff/a/b",
        "QUERY_STRING": "a=%2F&b",
        "REQUEST_URI": "/flaskserve/demo/caf%C3%A9/%FF/a%2Fb?a=%2F&b",
        "RAW_URI": "/flaskserve/demo/caf%C3%A9/%FF/a%2Fb?a=%2F&b",
        "SERVER_NAME": "notebooks.example",
        "SERVER_PORT": "8888",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "REMOTE_ADDR": "2001:db8::1",
        "REMOTE_PORT": "50123",
        "CONTENT_TYPE": "text/plain",
        "HTTP_X_EMPTY": "",
    }
    environ = environ_of(ask, **params)
    assert {name: environ[name] for name in params} == params


def test_what_the_server_left_out_is_filled_in(ask: Ask) -> None:
    environ = environ_of(ask)
    assert environ["QUERY_STRING"] == ""
    assert environ["SERVER_NAME"] == "localhost"
    assert environ["SERVER_PORT"] == "80"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_empty_content_headers_count_as_absent(ask: Ask) -> None:
    environ = environ_of(ask, CONTENT_LENGTH="", CONTENT_TYPE="")
    assert "CONTENT_LENGTH" not in environ
    assert "CONTENT_TYPE" not in environ


def test_a_proxy_header_is_no_setting(ask: Ask) -> None:
    assert "HTTP_PROXY" not in environ_of(ask, HTTP_PROXY="http://evil.example")


@pytest.mark.parametrize(
    ("params", "scheme", "port"),
    [
        ({}, "http", "80"),
        ({"HTTPS": "on"}, "https", "443"),
        ({"HTTPS": "off"}, "http", "80"),
        ({"HTTPS": ""}, "http", "80"),
        ({"REQUEST_SCHEME": "https"}, "https", "443"),
    ],
)
def test_the_scheme_is_the_browsers(
    ask: Ask, params: dict[str, str], scheme: str, port: str
) -> None:
    environ = environ_of(ask, **params)
    assert environ["wsgi.url_scheme"] == scheme
    assert environ["SERVER_PORT"] == port


def test_the_environ_says_how_the_app_is_run(ask: Ask) -> None:
    environ = environ_of(ask)
    assert type(environ) is dict
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True


def test_requests_on_two_links_run_at_once(serve: Serve) -> None:
    both = threading.Barrier(2, timeout=SECONDS)

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        both.wait()
        return answering(environ, start_response)

    served = serve(app)
    first, second = served.connect(), served.connect()
    first.send(request())
    assert second.ask().body == b"ok"
    assert first.read().body == b"ok"


# start_response and write()


def test_write_sends_at_once_and_comes_before_the_iterable(serve: Serve) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"one ")
        assert go_on.wait(SECONDS)
        write(b"two ")
        return [b"three"]

    client = serve(app).connect()
    client.send(request())
    assert client.read_stdout(4) == b"one "
    go_on.set()
    assert client.read().stdout == b"two three"


def test_each_chunk_is_sent_before_the_next_is_asked_for(serve: Serve) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "9")])
        yield b"first"
        assert go_on.wait(SECONDS)
        yield b"last"

    client = serve(app).connect()
    client.send(request())
    assert client.read_stdout(5) == b"first"
    go_on.set()
    assert client.read().stdout == b"last"


def test_the_head_keeps_order_case_and_repetition(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        headers = [("set-COOKIE", "a=1"), ("X-B", "caf\xe9\tx"), ("Set-Cookie", "b=2"), ("X-E", "")]
        start_response("299 Quite fine: \xe9", headers)
        return []

    assert ask(app).head == [
        "Status: 299 Quite fine: \xe9",
        "set-COOKIE: a=1",
        "X-B: caf\xe9\tx",
        "Set-Cookie: b=2",
        "X-E: ",
    ]


def test_the_head_waits_for_the_first_bytes(ask: Ask) -> None:
    """PEP 3333: start_response may replace the head until there are bytes, empty chunks or not."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("X-Try", "1")])
        yield b""
        yield b""
        try:
            raise RuntimeError("found out late")
        except RuntimeError:
            start_response("503 Later", [("X-Try", "2")], sys.exc_info())
        yield b"sorry"

    answer = ask(app)
    assert answer.head == ["Status: 503 Later", "X-Try: 2"]
    assert answer.body == b"sorry"
    assert answer.app_status == 0


def test_only_empty_chunks_are_an_empty_body(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("X-A", "1")])(b"")
        return [b"", b""]

    answer = ask(app)
    assert answer.stdout == b"Status: 200 OK\r\nX-A: 1\r\n\r\n"
    assert answer.app_status == 0


def test_exc_info_after_the_head_is_raised_and_breaks_the_response(ask: Ask) -> None:
    raised = []

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        try:
            raise RuntimeError("too late")
        except RuntimeError as error:
            try:
                start_response("500 Too late", [], sys.exc_info())
            except RuntimeError as again:
                raised.append(again is error)
                raise

    answer = ask(app)
    assert raised == [True]
    assert answer.status == "200 OK"
    assert answer.body == b"begun"
    assert answer.app_status != 0
    assert "RuntimeError: too late" in answer.stderr


def test_exc_info_of_no_exception_may_come_first(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [], (None, None, None))
        return [b"x"]

    assert ask(app).status == "200 OK"


def test_a_generator_may_call_start_response_before_its_first_chunk(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("201 Created", [])
        yield b"made"

    answer = ask(app)
    assert (answer.status, answer.body) == ("201 Created", b"made")


def no_start(environ: Environ, start_response: StartResponse) -> list[bytes]:
    return []


def body_first(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    yield b"early"
    start_response("200 OK", [])


def started_twice(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def giving(what: Any) -> App:
    def app(environ: Environ, start_response: StartResponse) -> Any:
        start_response("200 OK", [])
        return what

    return app


@pytest.mark.parametrize(
    ("app", "told"),
    [
        (no_start, "did not call start_response"),
        (body_first, "before it called start_response"),
        (started_twice, "start_response twice"),
        (giving("text"), "returned a str"),
        (giving(b"bytes"), "returned a bytes"),
        (giving(["text"]), "gave str where bytes are wanted"),
        (giving([bytearray(b"x")]), "gave bytearray where bytes are wanted"),
        (giving(None), "TypeError"),
    ],
)
def test_a_broken_rule_is_a_500_that_names_it(ask: Ask, app: App, told: str) -> None:
    answer = ask(app)
    assert answer.status == "500 Internal Server Error"
    assert told in answer.body.decode()
    assert told in answer.stderr
    assert f"Content-Length: {len(answer.body)}" in answer.head
    assert answer.app_status == 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, []),
        (b"200 OK", []),
        ("OK", []),
        ("99 Low", []),
        ("101 Switching Protocols", []),
        ("2000 High", []),
        ("200 OK\r\nX: y", []),
        ("200 OK\n", []),
        ("200 \u20ac", []),
        ("200 OK", {"X": "y"}),
        ("200 OK", (("X", "y"),)),
        ("200 OK", [("X", 1)]),
        ("200 OK", [("X", b"y")]),
        ("200 OK", [("X",)]),
        ("200 OK", [("X", "y\r\nSet-Cookie: a=b")]),
        ("200 OK", [("X", "y\n")]),
        ("200 OK", [("X", "y\0")]),
        ("200 OK", [("X", "\u20ac")]),
        ("200 OK", [("X y", "z")]),
        ("200 OK", [("", "z")]),
        ("200 OK", [("X:", "z")]),
        ("200 OK", [("Content-Length", "-1")]),
        ("200 OK", [("Content-Length", "\u0661")]),
        ("200 OK", [("Content-Length", "1"), ("content-length", "2")]),
    ],
)
def test_a_head_that_may_not_be_sent_is_a_500(ask: Ask, status: Any, headers: Any) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status, headers)
        return [b"x"]

    answer = ask(app)
    assert answer.status == "500 Internal Server Error"
    assert "breaks the rules of WSGI" in answer.stderr
    assert "Set-Cookie" not in answer.stdout.decode().partition("\r\n\r\n")[0]


class GetItem:
    """An iterable of the old kind."""

    def __getitem__(self, index: int) -> bytes:
        return (b"a", b"", b"bc")[index]


@pytest.mark.parametrize(
    "make",
    [
        lambda: [b"a", b"", b"bc"],
        lambda: (b"abc",),
        lambda: iter([b"ab", b"c"]),
        lambda: (part for part in (b"", b"abc")),
        lambda: {b"abc": 1},
        GetItem,
    ],
    ids=["list", "tuple", "iterator", "generator", "dict", "getitem"],
)
def test_any_iterable_of_bytes_is_a_body(ask: Ask, make: Callable[[], Any]) -> None:
    answer = ask(giving(make()))
    assert answer.body == b"abc"
    assert answer.app_status == 0


def test_a_request_leaves_nothing_for_the_garbage_collector(ask: Ask) -> None:
    transactions: list[weakref.ref[Transaction]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        transactions.append(weakref.ref(start_response.__self__))  # type: ignore[attr-defined]
        environ["wsgi.input"].read()
        return answering(environ, start_response)

    gc.disable()
    try:
        ask(app, "POST", body=b"data")
        wait_until(lambda: transactions[0]() is None)
    finally:
        gc.enable()


def test_the_body_of_a_request_that_is_over_cannot_be_read(ask: Ask) -> None:
    kept: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        return answering(environ, start_response)

    ask(app, "POST", body=b"data")
    wait_until(lambda: kept[0]._pull.__name__ == "_refuse")
    with pytest.raises(ClientDisconnected, match="the request is over"):
        kept[0].read()


@pytest.mark.parametrize("length", [[], [("Content-Length", "3")]])
def test_what_is_written_for_a_request_that_is_over_is_in_no_other(
    serve: Serve, length: list[tuple[str, str]]
) -> None:
    writers: list[Callable[[bytes], object]] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if writers:
            with pytest.raises(ClientDisconnected, match="the request is over"):
                writers[0](b"SECRET")
        writers.append(start_response("200 OK", length))
        return [b"one"]

    client = serve(app).connect()
    assert [client.ask().body, client.ask().body] == [b"one", b"one"]


def test_large_chunks_arrive_whole(ask: Ask) -> None:
    large = bytes(range(256)) * 12_345
    assert ask(giving([large, large])).body == large + large


# Failures


@pytest.mark.parametrize("error", [ValueError("why"), SystemExit(3), KeyboardInterrupt("stop")])
def test_an_app_that_raises_is_a_500_and_the_link_goes_on(
    serve: Serve, error: BaseException
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/ok":
            return answering(environ, start_response)
        raise error

    client = serve(app).connect()
    answer = client.ask(path="/bad")
    assert answer.status == "500 Internal Server Error"
    assert f"{type(error).__name__}: {error}" in answer.body.decode()
    assert "GET /bad: the app failed" in answer.stderr
    assert "Traceback" in answer.stderr
    assert answer.app_status == 0
    assert client.ask(path="/ok").body == b"ok"


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_failure_after_the_head_is_told_by_the_app_status(
    serve: Serve, error: type[BaseException]
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        raise error("why")

    client = serve(app).connect()
    answer = client.ask()
    assert (answer.status, answer.body) == ("200 OK", b"begun")
    assert answer.app_status != 0
    assert f"{error.__name__}: why" in answer.stderr


def test_a_failure_after_the_whole_body_harms_nobody(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        yield b"done"
        raise ValueError("afterwards")

    answer = ask(app)
    assert answer.body == b"done"
    assert answer.app_status == 0
    assert "ValueError: afterwards" in answer.stderr


# Content-Length


def test_more_than_the_content_length_is_dropped_and_logged_once(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "3")])
        return [b"ab", b"cd", b"ef"]

    answer = ask(app)
    assert answer.body == b"abc"
    assert answer.app_status == 0
    assert answer.stderr.count("more bytes than its Content-Length") == 1


@pytest.mark.parametrize("body", [[], [b"ab"]])
def test_less_than_the_content_length_is_a_failure(ask: Ask, body: list[bytes]) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return body

    answer = ask(app)
    assert answer.body == b"".join(body)
    assert answer.app_status != 0
    assert "fewer than the Content-Length" in answer.stderr


@pytest.mark.parametrize(
    ("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 None")]
)
def test_a_response_without_body_drops_what_the_app_gives(
    ask: Ask, method: str, status: str
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response(status, [("Content-Length", "5")])
        return [b"hello"]

    answer = ask(app, method)
    assert answer.head == [f"Status: {status}", "Content-Length: 5"]
    assert answer.body == b""
    assert answer.app_status == 0


@pytest.mark.parametrize(("method", "length"), [("HEAD", "5"), ("GET", "65536")])
def test_an_endless_body_ends_where_nobody_wants_more(ask: Ask, method: str, length: str) -> None:
    iterable = Closable(b"x" * 65536 for _ in iter(int, 1))

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", length)])
        return iterable

    answer = ask(app, method)
    assert answer.app_status == 0
    assert len(answer.body) == (0 if method == "HEAD" else 65536)
    assert len(iterable.closed) == 1


def test_a_head_response_may_have_a_length_and_no_body(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        return []

    answer = ask(app, "HEAD")
    assert "Content-Length: 5" in answer.head
    assert answer.app_status == 0


# close()


class Closable:
    """An iterable that knows how often, and in which thread, it was closed."""

    def __init__(self, chunks: Iterable[bytes], on_close: Callable[[], object] = bool) -> None:
        self._chunks = iter(chunks)
        self._on_close = on_close
        self.closed: list[str] = []

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._chunks)

    def close(self) -> None:
        self.closed.append(threading.current_thread().name)
        self._on_close()


def raising(error: BaseException) -> Iterator[bytes]:
    yield b"x"
    raise error


@pytest.mark.parametrize(
    ("method", "headers", "chunks"),
    [
        ("GET", [], [b"a", b"b"]),
        ("GET", [], []),
        ("HEAD", [], [b"a", b"b"]),
        ("GET", [("Content-Length", "1")], [b"a", b"b"]),
        ("GET", [("Content-Length", "9")], [b"a", b"b"]),
        ("GET", [], ["text"]),
        ("GET", [], raising(ValueError())),
        ("GET", [], raising(SystemExit())),
    ],
    ids=["normal", "empty", "HEAD", "too-long", "too-short", "broken", "error", "SystemExit"],
)
def test_close_is_called_once_however_the_response_ends(
    ask: Ask, method: str, headers: list[tuple[str, str]], chunks: Any
) -> None:
    iterable = Closable(chunks)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return iterable

    ask(app, method)
    assert iterable.closed == ["flaskserve test worker 1"]


def test_close_is_called_where_start_response_was_not(ask: Ask) -> None:
    iterable = Closable([])
    assert ask(lambda environ, start_response: iterable).status.startswith("500")
    assert len(iterable.closed) == 1


def test_close_is_called_once_when_the_client_leaves(serve: Serve) -> None:
    iterable = Closable(b"x" * 65536 for _ in iter(int, 1))
    client = serve(giving(iterable)).connect()
    client.send(request())
    client.read_stdout(1)
    client.close()
    wait_until(lambda: iterable.closed)
    time.sleep(0.1)
    assert len(iterable.closed) == 1


def test_a_failing_close_is_logged_and_the_response_is_whole(ask: Ask) -> None:
    def fail() -> None:
        raise ValueError("in close")

    answer = ask(giving(Closable([b"whole"], on_close=fail)))
    assert answer.body == b"whole"
    assert answer.app_status == 0
    assert "ValueError: in close" in answer.stderr


# Held back for END_REQUEST, but not for long


@pytest.mark.parametrize("where", ["last step", "close", "close without length"])
def test_what_an_app_does_after_its_last_byte_does_not_delay_the_client(
    serve: Serve, where: str
) -> None:
    go_on = threading.Event()

    def generate() -> Iterator[bytes]:
        yield b"whole"
        assert go_on.wait(SECONDS)

    class SlowList(list[bytes]):
        def close(self) -> None:
            assert go_on.wait(SECONDS)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with_length = where != "close without length"
        start_response("200 OK", [("Content-Length", "5")] if with_length else [])
        return generate() if where == "last step" else SlowList([b"whole"])

    client = serve(app).connect()
    client.send(request())
    assert client.read_stdout(5) == b"whole"
    go_on.set()
    answer = client.read()
    assert (answer.stdout, answer.app_status) == (b"", 0)


def test_a_slow_close_delays_no_response_without_body(serve: Serve) -> None:
    go_on = threading.Event()
    client = serve(giving(Closable([], on_close=lambda: go_on.wait(SECONDS)))).connect()
    client.send(request("HEAD"))
    record = client.record()
    assert record is not None
    assert record.content == b"Status: 200 OK\r\n\r\n"
    go_on.set()
    assert client.read().app_status == 0


# One recv, one send


def generating(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    yield b"ok"


def echoing(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def flask_app() -> flask.Flask:
    """A Flask app with the kinds of responses there are."""
    app = flask.Flask("by_the_book")
    app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024

    @app.get("/")
    def page() -> str:
        return "hello"

    @app.post("/form")
    def form() -> dict[str, str]:
        return dict(flask.request.form)

    @app.post("/upload")
    def upload() -> str:
        text: bytes = flask.request.files["file"].read()
        return text.decode()

    @app.post("/json")
    def as_json() -> Any:
        return flask.request.get_json()

    @app.get("/stream")
    def stream() -> flask.Response:
        return flask.Response((part for part in ("a", "", "b")), mimetype="text/plain")

    @app.get("/redirect")
    def redirect() -> Any:
        return flask.redirect(flask.url_for("page", _external=True))

    @app.get("/cookies")
    def cookies() -> flask.Response:
        response = flask.Response("set")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/etag")
    def etag() -> Any:
        response = flask.Response("tagged")
        response.add_etag()
        return response.make_conditional(flask.request)

    @app.get("/file")
    def file() -> flask.Response:
        return flask.send_file(io.BytesIO(b"0123456789"), download_name="digits.txt")

    @app.get("/fail")
    def fail() -> str:
        raise ValueError("in the view")

    return app


@pytest.mark.parametrize(
    ("app", "sent"),
    [
        (answering, request()),
        (generating, request()),
        (echoing, request("POST", body=b"small")),
        (flask_app(), request()),
        (flask_app(), request("POST", "/json", b'{"a": 1}', CONTENT_TYPE="application/json")),
        (answering, request("HEAD")),
    ],
    ids=["list", "generator", "POST", "Flask", "Flask POST", "HEAD"],
)
def test_a_small_request_costs_one_recv_and_one_send(serve: Serve, app: App, sent: bytes) -> None:
    served = serve(app)
    client = served.connect()
    for _ in range(3):
        served.calls.clear()
        client.send(sent)
        assert client.read().status == "200 OK"
        assert served.calls == ["recv", "send"]


# wsgi.input

pieces = st.lists(st.one_of(st.binary(max_size=8), st.just(b"\n"), st.just(b"ab\ncd\r\n")))
sizes = st.one_of(st.none(), st.integers(-1, 12))
reads = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["read", "readline", "readlines"]), st.tuples(sizes)),
        st.tuples(st.sampled_from(["read", "read1", "readline", "readlines"]), st.just(())),
        st.tuples(st.just("read1"), st.tuples(st.integers(-1, 12))),
        st.tuples(st.just("readinto"), st.tuples(st.integers(0, 12))),
        st.tuples(st.just("next"), st.just(())),
    ),
    max_size=8,
)


def read_one(stream: Any, method: str, args: tuple[Any, ...]) -> Any:
    if method == "next":
        return next(stream, None)
    if method == "readinto":
        buffer = bytearray(args[0])
        return stream.readinto(buffer), bytes(buffer)
    return getattr(stream, method)(*args)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces, reads, st.booleans())
def test_the_input_reads_like_a_file_whatever_its_records(
    input_link: tuple[Client, list[Any]],
    pieces: list[bytes],
    reads: list[tuple[str, tuple[Any, ...]]],
    announced: bool,
) -> None:
    client, plan = input_link
    body = b"".join(pieces)
    plan[:] = [reads, []]
    params = {"CONTENT_LENGTH": str(len(body))} if announced else {}
    records = [stdin(piece) for piece in pieces if piece]
    client.send(head("POST", params=params), *records, stdin())
    answer = client.read()
    assert answer.status == "200 OK", answer.stderr
    model = io.BytesIO(body)
    for (method, args), result in zip(reads, plan[1], strict=True):
        if method == "read1":  # it may give less, but not nothing
            limit = args[0] if args and args[0] >= 0 else len(body)
            assert len(result) <= limit
            assert result == model.read(len(result))
            assert result or limit == 0 or model.tell() == len(body)
        else:
            assert result == read_one(model, method, args)
    assert answer.body == model.read()


@pytest.fixture
def input_link(serve: Serve) -> tuple[Client, list[Any]]:
    """A link to an app that reads its body by a plan and answers with the rest. The plan is a list
    of the reads to make and of their results."""
    plan: list[Any] = [[], []]

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        for method, args in plan[0]:
            plan[1].append(read_one(stream, method, args))
        start_response("200 OK", [])
        return [stream.read()]

    return serve(app).connect(), plan


def test_iterating_the_input_gives_its_lines(ask: Ask) -> None:
    lines: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        lines.extend(environ["wsgi.input"])
        return answering(environ, start_response)

    ask(app, "POST", body=b"a\n\nb\r\nc")
    assert lines == [b"a\n", b"\n", b"b\r\n", b"c"]


@pytest.mark.parametrize(
    ("method", "args"), [("read", (3,)), ("readline", ()), ("read1", ()), ("readinto", (3,))]
)
def test_a_read_that_can_be_met_does_not_wait_for_more(
    serve: Serve, method: str, args: tuple[int, ...]
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        stream = environ["wsgi.input"]
        start_response("200 OK", [])
        read_one(stream, method, args)
        yield b"first"
        yield stream.read()

    client = serve(app).connect()
    client.send(head("POST"), stdin(b"ab\n"))
    assert client.read_stdout(5) == b"first"
    client.send(stdin(b"rest"), stdin())
    assert client.read().stdout == b"rest"


def test_the_end_of_the_input_stays_the_end(ask: Ask) -> None:
    ends: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        stream = environ["wsgi.input"]
        ends.append(stream.read())
        ends.extend([stream.read(), stream.read(5), stream.read1(), stream.readline()])
        ends.append(stream.readlines())
        return answering(environ, start_response)

    ask(app, "POST", body=b"all")
    assert ends == [b"all", b"", b"", b"", b"", []]


@pytest.mark.parametrize("length", ["0", "3", "9"])
def test_the_stream_and_not_the_announced_length_ends_the_input(ask: Ask, length: str) -> None:
    assert ask(echoing, "POST", body=b"hello", CONTENT_LENGTH=length).body == b"hello"


def test_a_body_that_is_not_read_does_not_disturb_the_next_request(serve: Serve) -> None:
    client = serve(answering).connect()
    for _ in range(3):
        assert client.ask("POST", body=b"x" * 200_000).body == b"ok"


def test_a_body_that_breaks_off_is_no_short_body(serve: Serve) -> None:
    seen: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        try:
            seen.append(environ["wsgi.input"].read())
        except BaseException as error:
            seen.append(error)
            raise
        return answering(environ, start_response)

    client = serve(app).connect()
    client.send(head("POST"), stdin(b"part"))
    client.close()
    wait_until(lambda: seen)
    assert isinstance(seen[0], ConnectionError)


# wsgi.errors and wsgi.file_wrapper


def test_errors_travel_with_the_answer(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        errors = environ["wsgi.errors"]
        errors.write("one\n")
        errors.writelines(["caf\xe9 ", "\udc80\n"])
        errors.flush()
        print("three", file=errors)
        return answering(environ, start_response)

    assert ask(app).stderr == "one\ncaf\xe9 \\udc80\nthree\n"


def test_a_flood_of_errors_is_cut_and_says_so(ask: Ask) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        for _ in range(1000):
            environ["wsgi.errors"].write("x" * 1000)
        return answering(environ, start_response)

    answer = ask(app)
    assert answer.body == b"ok"
    assert len(answer.stderr) < 10_000
    cut = re.search(r"\[(\d+) more characters\]", answer.stderr)
    assert cut is not None
    assert answer.stderr.count("x") + int(cut[1]) == 1_000_000


def test_the_file_wrapper_gives_blocks_and_closes_the_file(ask: Ask) -> None:
    file = io.BytesIO(b"0123456789")
    given: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapper = environ["wsgi.file_wrapper"]
        given.extend(wrapper(io.BytesIO(b"0123456789"), 4))
        wrapped: Iterable[bytes] = wrapper(file)
        return wrapped

    assert ask(app).body == b"0123456789"
    assert given == [b"0123", b"4567", b"89"]
    assert file.closed


def test_the_file_wrapper_takes_what_has_only_read(ask: Ask) -> None:
    class Source:
        parts = iter([b"a", b"b", b""])

        def read(self, size: int) -> bytes:
            return next(self.parts)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](Source(), 1)
        return wrapped

    assert ask(app).body == b"ab"


# FastCGI


def test_get_values_tells_what_is_known(serve: Serve) -> None:
    client = serve(answering).connect()
    asked = fastcgi.encode_pairs([(b"FCGI_MPXS_CONNS", b""), (b"NOT_KNOWN", b"")])
    client.send(fastcgi.encode_record(fastcgi.GET_VALUES, 0, asked))
    record = client.record()
    assert record is not None
    assert (record.type, record.request_id) == (fastcgi.GET_VALUES_RESULT, 0)
    assert fastcgi.decode_pairs(record.content) == [(b"FCGI_MPXS_CONNS", b"0")]
    assert client.ask().body == b"ok"


def test_an_unknown_management_record_is_answered_as_such(serve: Serve) -> None:
    client = serve(answering).connect()
    client.send(fastcgi.encode_record(77, 0, b"what?"))
    record = client.record()
    assert record == (fastcgi.UNKNOWN_TYPE, 0, bytes((77, 0, 0, 0, 0, 0, 0, 0)))
    assert client.ask().body == b"ok"


@pytest.mark.parametrize("role", [fastcgi.AUTHORIZER, fastcgi.FILTER, 9])
def test_other_roles_are_refused_and_the_link_goes_on(serve: Serve, role: int) -> None:
    client = serve(answering).connect()
    client.send(
        fastcgi.encode_begin_request(1, role=role),
        fastcgi.encode_record(fastcgi.PARAMS, 1, b"\x01\x01ab"),
        fastcgi.encode_record(fastcgi.PARAMS, 1),
        stdin(),
    )
    assert client.read().protocol_status == fastcgi.UNKNOWN_ROLE
    assert client.ask().body == b"ok"


def test_a_refused_role_closes_the_link_where_it_is_not_to_be_kept(serve: Serve) -> None:
    client = serve(answering).connect()
    client.send(fastcgi.encode_begin_request(1, role=fastcgi.FILTER, keep=False))
    assert client.read().protocol_status == fastcgi.UNKNOWN_ROLE
    assert client.is_closed()


def test_a_second_request_on_a_busy_link_is_refused_and_the_first_goes_on(serve: Serve) -> None:
    client = serve(echoing).connect()
    client.send(head("POST"), stdin(b"a"), fastcgi.encode_begin_request(2))
    client.send(stdin(b"b", 2), stdin(b"c"), stdin())
    assert client.read(2).protocol_status == fastcgi.CANT_MPX_CONN
    assert client.read(1).body == b"ac"


def test_a_request_without_id_in_a_body_is_passed_by(serve: Serve) -> None:
    client = serve(echoing).connect()
    client.send(head("POST"), stdin(b"ab"), fastcgi.encode_begin_request(0), stdin(b"c"), stdin())
    assert client.read().body == b"abc"


def test_a_second_request_among_the_parameters_is_refused(serve: Serve) -> None:
    client = serve(answering).connect()
    client.send(fastcgi.encode_begin_request(1), fastcgi.encode_begin_request(2), head()[16:])
    assert client.read(2).protocol_status == fastcgi.CANT_MPX_CONN
    client.send(stdin())
    assert client.read(1).body == b"ok"


def test_a_request_without_keep_conn_closes_the_link(serve: Serve) -> None:
    client = serve(answering).connect()
    client.send(head(keep=False), stdin())
    assert client.read().body == b"ok"
    assert client.is_closed()


# A responder that stops


@pytest.mark.parametrize("body", [b"", b"not read"])
def test_a_request_that_comes_while_the_last_one_ends_is_declined_and_not_lost(
    serve: Serve, body: bytes
) -> None:
    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        served.responder.stop()
        return answering(environ, start_response)

    served = serve(app)
    client = served.connect()
    client.send(request("POST", body=body), request())
    assert client.read().body == b"ok"
    assert client.read().protocol_status == fastcgi.OVERLOADED


@pytest.mark.parametrize("grace", [5.0, 0.0])
def test_a_request_that_waits_for_a_place_is_declined_and_not_lost(
    serve: Serve, grace: float
) -> None:
    begun, go = threading.Event(), threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        begun.set()
        assert go.wait(SECONDS)
        return answering(environ, start_response)

    served = serve(app)
    served.responder.threads = 1
    running, waiting = served.connect(), served.connect()
    running.send(request())
    assert begun.wait(SECONDS)
    waiting.send(request())
    wait_until(lambda: served.calls.count("recv") == 2)
    served.responder.stop(grace)
    assert waiting.read().protocol_status == fastcgi.OVERLOADED
    go.set()
    if grace:
        assert running.read().body == b"ok"
    else:
        assert running.is_closed()


def test_a_request_on_a_link_that_is_just_accepted_is_declined_and_not_lost(serve: Serve) -> None:
    def stop() -> None:
        assert sent.wait(SECONDS)
        served.responder.stop()

    sent = threading.Event()
    served = serve(answering)
    served.listening.on_accept = stop
    client = served.connect()
    client.send(request())
    sent.set()
    assert client.read().protocol_status == fastcgi.OVERLOADED


@pytest.mark.parametrize("request_id", [1, 256, 65535])
def test_any_request_id_is_answered_under_its_own(serve: Serve, request_id: int) -> None:
    client = serve(echoing).connect()
    client.send(head(request_id=request_id), stdin(b"x", request_id), stdin(b"", request_id))
    assert client.read(request_id).body == b"x"


def test_an_abort_among_the_parameters_ends_the_request(serve: Serve) -> None:
    client = serve(answering).connect()
    client.send(head()[:20], head()[20:-8], fastcgi.encode_record(fastcgi.ABORT_REQUEST, 1))
    answer = client.read()
    assert (answer.stdout, answer.protocol_status) == (b"", fastcgi.REQUEST_COMPLETE)
    assert client.ask().body == b"ok"


def test_an_abort_in_the_body_ends_the_apps_read_and_the_request(serve: Serve) -> None:
    errors: list[BaseException] = []

    def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
        if environ["REQUEST_METHOD"] == "POST":
            try:
                environ["wsgi.input"].read()
            except BaseException as error:
                errors.append(error)
                raise
        return answering(environ, start_response)

    served = serve(app)
    client = served.connect()
    client.send(head("POST"), stdin(b"a"), fastcgi.encode_record(fastcgi.ABORT_REQUEST, 1))
    with contextlib.suppress(LinkEnded):  # the end of the link is an end of the request, too
        assert client.read().stdout == b""
    assert isinstance(errors[0], ConnectionError)
    assert served.connect().ask().body == b"ok"


def test_oversized_parameters_end_the_link(serve: Serve) -> None:
    served = serve(answering)
    client = served.connect()
    large = fastcgi.encode_pairs([(b"HTTP_X", b"x" * 60_000)])
    client.send(fastcgi.encode_begin_request(1))
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            client.send(fastcgi.encode_record(fastcgi.PARAMS, 1, large))
    assert client.is_closed()
    assert served.connect().ask().body == b"ok"


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        fastcgi.encode_record(fastcgi.BEGIN_REQUEST, 1, b"short"),
        fastcgi.encode_begin_request(1)
        + fastcgi.encode_record(fastcgi.PARAMS, 1, b"\x05\x05a")
        + fastcgi.encode_record(fastcgi.PARAMS, 1),
    ],
    ids=["HTTP", "BEGIN_REQUEST", "PARAMS"],
)
def test_what_is_not_fastcgi_ends_its_link_only(serve: Serve, wire: bytes) -> None:
    served = serve(answering)
    client = served.connect()
    client.send(wire)
    assert client.is_closed()
    assert served.connect().ask().body == b"ok"


def test_padding_is_passed_by(serve: Serve) -> None:
    client = serve(echoing).connect()
    padded = bytes((1, fastcgi.STDIN, 0, 1, 0, 3, 5, 0)) + b"abc" + b"\xff" * 5
    client.send(head("POST"), padded, padded, stdin())
    assert client.read().body == b"abcabc"


# fork


@pytest.fixture
def forked() -> Iterator[Callable[[], int]]:
    """Forks a child that does nothing until the test has ended; gives its process id."""
    children: list[tuple[int, int]] = []

    def fork() -> int:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            os.read(reading, 1)  # returns when the parent closes its end
            os._exit(0)
        os.close(reading)
        children.append((pid, writing))
        return pid

    yield fork
    for pid, writing in children:
        os.close(writing)
        os.waitpid(pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, which is Linux's")
def test_a_forked_child_does_not_keep_the_socket_or_its_links(
    serve: Serve, forked: Callable[[], int]
) -> None:
    served = serve(answering)
    client = served.connect()
    assert client.ask().body == b"ok"
    listening = served.listening.fileno()
    child = forked()
    assert listening > 0
    wait_until(lambda: not os.path.lexists(f"/proc/{child}/fd/{listening}"))
    served.responder.stop()
    assert client.is_closed()


def test_a_fork_leaves_the_parents_links_alone(serve: Serve, forked: Callable[[], int]) -> None:
    go_on = threading.Event()

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        assert go_on.wait(SECONDS)
        yield b"last"

    served = serve(app)
    idle, busy = served.connect(), served.connect()
    go_on.set()
    assert idle.ask().body == b"firstlast"
    go_on.clear()
    busy.send(request())
    assert busy.read_stdout(5) == b"first"
    forked()
    time.sleep(0.2)  # for the child to have done whatever a child does
    go_on.set()
    assert busy.read().stdout == b"last"
    assert idle.ask().body == b"firstlast"


# The validator


BOUNDARY = "multipart/form-data; boundary=cut"
UPLOAD = (
    b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    b"contents\r\n--cut--\r\n"
)


@pytest.mark.parametrize(
    ("method", "path", "body", "params", "status", "answer"),
    [
        ("GET", "/", b"", {}, 200, b"hello"),
        ("HEAD", "/", b"", {}, 200, b""),
        ("POST", "/form", b"a=1&b=%20", {"CONTENT_TYPE": "application/x-www-form-urlencoded"}, 200,
         b'{"a":"1","b":" "}\n'),
        ("POST", "/upload", UPLOAD, {"CONTENT_TYPE": BOUNDARY}, 200, b"contents"),
        ("POST", "/json", b"[1]", {"CONTENT_TYPE": "application/json"}, 200, b"[1]\n"),
        ("GET", "/stream", b"", {}, 200, b"ab"),
        ("GET", "/redirect", b"", {"HTTP_HOST": "a.example"}, 302, None),
        ("GET", "/cookies", b"", {}, 200, b"set"),
        ("GET", "/etag", b"", {}, 200, b"tagged"),
        ("GET", "/etag", b"", {"HTTP_IF_NONE_MATCH": "*"}, 304, b""),
        ("GET", "/file", b"", {"HTTP_RANGE": "bytes=2-4"}, 206, b"234"),
        ("GET", "/missing", b"", {}, 404, None),
        ("GET", "/fail", b"", {}, 500, None),
        ("OPTIONS", "/", b"", {}, 200, b""),
    ],
)  # fmt: skip
def test_the_validator_of_the_standard_library_finds_nothing(
    ask: Ask,
    capfd: pytest.CaptureFixture[str],
    method: str,
    path: str,
    body: bytes,
    params: dict[str, str],
    status: int,
    answer: bytes | None,
) -> None:
    app = validator(flask_app())
    found = ask(app, method, path, body=body, SERVER_NAME="localhost", **params)
    assert found.status.startswith(f"{status} "), found.stderr
    assert "AssertionError" not in found.stderr
    assert found.app_status == 0
    if answer is not None:
        assert found.body == answer
    assert "closed" not in capfd.readouterr().err  # what the validator says where none can hear
