"""What is kept of requests and responses, how long, and what a look at it costs nobody."""

from __future__ import annotations

import gc
import io
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from recorded_exchanges import PREFIX, Recorder, answer

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.kernel.exchanges.bodies import BodyRecorder
from jupyter_flaskserve.kernel.exchanges.exchange import Exchange
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchanges
from jupyter_flaskserve.kernel.mount_line import failure_line

MIB = 1024 * 1024


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(answer())


@pytest.fixture
def shop() -> flask.Flask:
    app = flask.Flask("shop")

    @app.route("/users/<int:number>/<name>", methods=["GET", "POST"])
    def user(number: int, name: str) -> str:
        return f"{number} {name}"

    @app.route("/boom")
    def boom() -> str:
        raise ZeroDivisionError

    @app.route("/stream")
    def stream() -> Iterator[str]:
        yield "a"
        yield "bc"

    return app


# Requests


def test_a_request_is_what_the_client_sent(recorder: Recorder) -> None:
    exchange = recorder.ask(
        "/a%2Fb%20c?x=1&y=%C3%A4",
        "POST",
        headers=[
            ("X-Shop", "one"),
            ("Content-Type", "application/json"),
            ("Cookie", "a=1"),
            ("cookie", "b=2"),
        ],
        body=[b'{"n":', b" 1}"],
    )
    assert exchange.request_headers == [
        ("Host", "example.org:8888"),
        ("X-Shop", "one"),
        ("Content-Type", "application/json"),
        ("Cookie", "a=1; b=2"),
        ("Content-Length", "8"),
    ]
    assert exchange.request_body == (b'{"n": 1}', 8)
    assert exchange.request_body.is_complete
    assert exchange.client == "192.0.2.7"
    assert exchange.version == "HTTP/1.1"
    assert exchange.target == "/a%2Fb%20c?x=1&y=%C3%A4"
    assert exchange.url == f"http://example.org:8888{PREFIX}/a%2Fb%20c?x=1&y=%C3%A4"
    request = exchange.request
    assert request.method == "POST"
    assert request.path == "/a/b c"
    assert request.json == {"n": 1}
    assert request.args.to_dict() == {"x": "1", "y": "ä"}
    assert request.cookies.to_dict() == {"a": "1", "b": "2"}
    assert request.content_type == "application/json"
    assert request.root_path == PREFIX
    assert exchange.request.get_data() == b'{"n": 1}'


def test_a_response_is_what_the_app_gave(recorder: Recorder) -> None:
    headers = [("Content-Type", "application/json"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    exchange = recorder.ask(app=answer(b'{"n": 1}', "201 Made It", headers))
    response = exchange.response
    assert response is not None
    assert response.status_code == exchange.status == 201
    assert response.status == "201 Made It"
    assert exchange.reason == "Made It"
    assert response.json == {"n": 1}
    assert response.text == '{"n": 1}'
    assert list(response.headers) == [*headers, ("Content-Length", "8")]
    assert exchange.response_headers == list(response.headers)
    assert response.request.path == "/"
    assert exchange.size == 8


def test_there_is_no_response_before_the_head(recorder: Recorder) -> None:
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        exchange = recorder.exchanges.last
        seen.append((exchange.response, exchange.status, exchange.is_open, exchange.timing))
        return answer()(environ, start_response)

    exchange = recorder.ask(app=app)
    response, status, is_open, timing = seen[0]
    assert (response, status, is_open) == (None, None, True)
    assert timing.queue is not None
    assert timing[1:] == (None, None, None)
    assert not exchange.is_open


def test_only_what_the_app_read_of_a_body_is_kept_but_all_of_it_is_counted(
    recorder: Recorder,
) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(2)
        return answer()(environ | {"wsgi.input": io.BytesIO()}, start_response)

    exchange = recorder.ask("/", "POST", body=[b"abc", b"defgh"], app=app)
    assert exchange.request_body == (b"abc", 8)
    assert not exchange.request_body.is_complete
    assert repr(exchange.request_body) == "<RecordedBody of 8 bytes, 3 of them kept>"


def test_the_body_of_a_head_response_is_empty(recorder: Recorder) -> None:
    exchange = recorder.ask(method="HEAD")
    assert exchange.response_body == (b"", 0)
    assert exchange.response_headers[-1] == ("Content-Length", "5")


def test_the_answer_to_an_app_that_failed_is_kept_too(recorder: Recorder) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        raise KeyError("x")

    exchange = recorder.ask(app=app)
    assert exchange.response is not None
    assert exchange.response.status_code == 500
    assert "KeyError: 'x'" in exchange.response.text
    assert exchange.failed.startswith("KeyError in ")


def test_what_is_said_to_us_is_not_said_to_the_app(recorder: Recorder) -> None:
    exchange = recorder.ask(headers=[("X-Flaskserve-Tag", "abc-1")])
    assert exchange.tag == "abc-1"
    assert "HTTP_X_FLASKSERVE_TAG" not in recorder.environ
    assert fastcgi.RECEIVED_PARAM.decode() not in recorder.environ
    assert [name for name, _ in exchange.request_headers] == ["Host"]
    assert "X-Flaskserve-Tag" not in exchange.request.headers
    assert recorder.exchanges.tagged("abc-1") == [exchange]
    assert recorder.exchanges.tagged("abc") == []


@pytest.mark.parametrize("tag", ["", "x" * 65, "a\tb", "a\x80b"])
def test_a_tag_that_will_not_do_is_no_tag(recorder: Recorder, tag: str) -> None:
    exchange = recorder.ask(headers=[("X-Flaskserve-Tag", tag)])
    assert exchange.tag is None
    assert "HTTP_X_FLASKSERVE_TAG" not in recorder.environ


# Rules


def test_an_exchange_knows_the_rule_that_matched(shop: flask.Flask) -> None:
    exchange = Recorder(shop).ask("/users/7/ada")
    assert (exchange.endpoint, exchange.rule) == ("user", "/users/<int:number>/<name>")
    assert exchange.arguments == {"number": 7, "name": "ada"}
    exchange = Recorder(shop).ask("/nowhere")
    assert (exchange.endpoint, exchange.rule, exchange.arguments) == (None, None, {})


def test_an_exchange_whose_view_failed_knows_its_rule(shop: flask.Flask) -> None:
    shop.config["PROPAGATE_EXCEPTIONS"] = False
    assert Recorder(shop).ask("/boom").endpoint == "boom"


def test_the_rule_is_known_while_the_view_runs() -> None:
    app = flask.Flask("shop")
    recorder = Recorder(app)

    @app.route("/slow")
    def slow() -> str:
        return str(recorder.exchanges.last.endpoint)

    exchange = recorder.ask("/slow")
    assert exchange.response is not None
    assert exchange.response.text == "slow"


# Time


def test_an_app_that_puts_something_else_in_flasks_place_is_answered(recorder: Recorder) -> None:
    class Odd:
        @property
        def url_rule(self) -> Any:
            raise RuntimeError

    for odd in (Odd(), SimpleNamespace(url_rule=1), 7):

        def app(environ: Any, start_response: Any, odd: Any = odd) -> Any:
            environ["werkzeug.request"] = odd
            return answer()(environ, start_response)

        exchange = recorder.ask(app=app)
        assert (exchange.status, exchange.failed, exchange.endpoint) == (200, "", None)


def test_the_time_is_split_into_queue_view_and_streaming(recorder: Recorder) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        time.sleep(0.05)
        start_response("200 OK", [])
        yield b"a"
        time.sleep(0.1)

    exchange = recorder.ask(app=app)
    queue, view, streaming, total = exchange.timing
    assert queue is not None
    assert view is not None
    assert streaming is not None
    assert 0 <= queue < 0.04
    assert 0.05 <= view < 0.09
    assert 0.1 <= streaming < 0.2
    assert total == pytest.approx(queue + view + streaming)
    assert exchange.duration == pytest.approx(view + streaming)


@pytest.mark.parametrize(
    ("received", "arrived", "queue"),
    [(0.5, 0.1, 0.5), (-5.0, 0.2, 0.2), (9_999.0, 0.2, 0.2), (None, 0.2, 0.2), (None, None, 0.0)],
)
def test_the_queue_begins_at_the_server_or_else_at_the_responder(
    received: float | None, arrived: float | None, queue: float
) -> None:
    now = time.monotonic()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    if received is not None:
        environ["FLASKSERVE_RECEIVED"] = f"{now - received:.6f}"
    exchange = Exchanges().begin(environ, b"", None if arrived is None else now - arrived)
    assert exchange.timing.queue == pytest.approx(queue, abs=0.02)


def test_a_word_that_is_no_time_is_passed_over() -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""}
    exchange = Exchanges().begin(environ | {"FLASKSERVE_RECEIVED": "soon"}, b"")
    assert exchange.timing.queue == pytest.approx(0, abs=0.01)


def test_a_wait_that_comes_before_the_view_belongs_to_the_queue(recorder: Recorder) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        time.sleep(0.06)
        recorder.exchanges.last.note_call()
        return answer()(environ, start_response)

    exchange = recorder.ask(app=app)
    queue, view, _, total = exchange.timing
    assert queue is not None
    assert queue >= 0.06
    assert view is not None
    assert view < 0.05
    assert exchange.duration is not None
    assert total == pytest.approx(queue + exchange.duration)


# Streams


def test_a_stream_is_open_and_counted_while_it_lasts(shop: flask.Flask) -> None:
    recorder = Recorder()
    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        exchange = recorder.exchanges.last
        for chunk in (b"one", b"three", b"", b"x"):
            seen.append((exchange.kind, exchange.is_open, exchange.size, exchange.messages_out))
            yield chunk

    exchange = recorder.ask(app=app)
    assert seen == [
        ("http", True, 0, 0),
        ("http", True, 3, 1),
        ("stream", True, 8, 2),
        ("stream", True, 8, 2),
    ]
    assert (exchange.kind, exchange.is_open, exchange.size) == ("stream", False, 9)
    assert exchange.response_body.data == b"onethreex"
    assert Recorder(shop).ask("/stream").endpoint == "stream"


def test_several_chunks_of_a_length_that_was_announced_are_no_stream(recorder: Recorder) -> None:
    exchange = recorder.ask(app=answer([b"a", b"b", b"c"]))
    assert exchange.kind == "http"
    assert exchange.response_body.data == b"abc"


# Limits


def test_of_a_body_the_beginning_is_kept_and_all_is_counted(recorder: Recorder) -> None:
    recorder.exchanges.body_limit = 10
    exchange = recorder.ask(
        "/", "POST", body=[b"x" * 8, b"y" * 8], app=answer([b"a" * 4, b"b" * 100, b"c"])
    )
    assert exchange.request_body == (b"x" * 8 + b"yy", 16)
    assert exchange.response_body == (b"aaaabbbbbb", 105)
    assert exchange.size == 105
    recorder.exchanges.body_limit = 0
    assert recorder.ask().response_body == (b"", 5)


def test_of_a_huge_chunk_only_a_piece_is_kept_alive() -> None:
    tracemalloc.start()
    try:
        body = BodyRecorder(MIB)
        body.add(bytes(50 * MIB))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body.size == 50 * MIB
    assert len(body.data) == MIB
    assert MIB <= body.weight < MIB + 100
    assert taken < 2 * MIB


def test_tiny_chunks_take_no_more_memory_than_their_bytes() -> None:
    tracemalloc.start()
    try:
        body = BodyRecorder(MIB)
        for number in range(100_000):
            body.add(b"%02d" % (number % 100))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 200_000 <= body.weight < 212_000
    assert body.data == b"".join(b"%02d" % number for number in range(100)) * 1000
    assert taken < 330_000


def test_the_oldest_exchanges_go_where_there_are_too_many(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    assert exchanges.limit == 1000
    exchanges.limit = 3
    for _ in range(5):
        recorder.ask()
    assert [exchange.number for exchange in exchanges] == [3, 4, 5]
    assert (exchanges.first_number, exchanges.last_number) == (3, 5)
    assert exchanges.numbered(2) is None
    third = exchanges.numbered(3)
    assert third is exchanges[0]
    assert [exchange.number for exchange in exchanges.since(3)] == [4, 5]
    assert [exchange.number for exchange in exchanges.since(0)] == [3, 4, 5]
    assert exchanges.since(5) == exchanges.since(99) == []
    exchanges.limit = 1
    assert [exchange.number for exchange in exchanges] == [5]
    assert exchanges[-1] is exchanges.last
    assert exchanges[0:1] == [exchanges.last]


def test_memory_is_accounted_for_and_bounded(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    assert exchanges.memory_limit == 64 * MIB
    exchanges.memory_limit = 4 * MIB
    tracemalloc.start()
    try:
        for _ in range(400):  # each body is of its own, so that references are not shared
            recorder.ask("/", "POST", body=bytes(bytearray(50_000)), app=fresh(50_000))
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert exchanges.memory <= 4 * MIB
    assert taken < 6 * MIB
    assert len(exchanges) == 400


def fresh(size: int) -> Callable[..., Any]:
    """An app whose bodies share no memory."""

    def app(environ: Any, start_response: Any) -> Any:
        return answer(bytes(bytearray(size)))(environ, start_response)

    return app


def in_pieces(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [(f"X-{number}", f"{number}") for number in range(50)])
    return (b"%d" % number for number in range(1000, 1200))


@pytest.mark.parametrize("app", [answer(b"x" * 100), in_pieces])
def test_the_weight_of_many_small_exchanges_is_about_their_memory(app: Any) -> None:
    recorder = Recorder(app)
    for _ in range(3):
        recorder.ask()
    before = recorder.exchanges.memory
    tracemalloc.start()
    try:
        for _ in range(200):
            recorder.ask("/some/path?with=query", headers=[("User-Agent", "x" * 200)])
        gc.collect()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    counted = recorder.exchanges.memory - before
    assert 0.6 * taken < counted < 2.0 * taken


def test_the_oldest_bodies_go_first_then_headers_then_exchanges(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    for _ in range(10):
        recorder.ask("/x?y=1", "POST", body=b"b" * 10_000, app=answer(b"a" * 20_000))
    first, last = exchanges[0], exchanges[-1]
    exchanges.memory_limit = exchanges.memory - 1
    assert first.request_body == (b"", 10_000)
    assert first.response_body == (b"", 20_000)
    assert first.size == 20_000
    assert first.request_headers
    assert exchanges[1].response_body.is_complete
    exchanges.memory_limit = 40_000
    assert [len(exchange.response_body.data) for exchange in exchanges] == [0] * 10
    assert exchanges.memory <= 40_000
    exchanges.memory_limit = 22_000
    assert len(exchanges) == 10
    assert first.request_headers == []
    assert first.response_headers == []
    assert last.request_headers
    assert first.request_body.size == 10_000
    assert (first.method, first.path, first.status, first.size) == ("POST", "/x?y=1", 200, 20_000)
    assert first.request.full_path == "/x?y=1"
    exchanges.memory_limit = 0
    assert list(exchanges) == [last]
    assert exchanges.memory < 3000
    recorder.ask()
    assert len(exchanges) == 1


def test_what_is_open_is_bounded_too(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    exchanges.memory_limit = 200_000

    kept: list[tuple[int, int]] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(50):
            yield bytes(bytearray(20_000))
            kept.append((exchanges.memory, len(exchanges.last.response_body.data)))

    exchange = recorder.ask(app=app)
    assert len(kept) == 50
    assert max(memory for memory, _ in kept) <= 200_000
    assert max(size for _, size in kept) <= 200_000
    assert exchange.response_body == (b"", 1_000_000)


def test_of_what_is_open_and_no_longer_kept_no_body_is(recorder: Recorder) -> None:
    exchanges = recorder.exchanges

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield bytes(50_000)
        exchanges.clear()
        yield bytes(50_000)

    exchange = recorder.ask(app=app)
    assert exchange.response_body == (b"", 100_000)
    assert exchange.weigh() < 3000


def test_a_body_that_comes_after_bodies_were_dropped_is_only_counted(recorder: Recorder) -> None:
    exchanges = recorder.exchanges

    def app(environ: Any, start_response: Any) -> Any:
        exchanges.memory_limit = exchanges.memory - 1
        exchanges.memory_limit = 1_000_000
        return answer()(environ, start_response)

    exchange = recorder.ask("/", "POST", body=b"abc", app=app)
    assert exchange.request_body == (b"", 3)
    assert exchange.response_body == (b"", 5)


def test_output_counts_and_goes_with_its_exchange(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    first = recorder.ask()
    before = exchanges.memory
    first.write("x" * 1000)
    assert exchanges.memory == before + 1000
    recorder.ask()
    exchanges.limit = 1
    assert exchanges.memory < before + 1000
    after = exchanges.memory
    first.write("lost")
    assert exchanges.memory == after
    unheard = recorder.ask()
    recorder.ask()
    unheard.write("lost as well")
    assert unheard.output == ""
    assert exchanges.memory == pytest.approx(after, abs=100)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("limit", 0, "limit is 0; give a whole number of exchanges, 1 or more."),
        ("limit", True, "limit is True; give a whole number of exchanges, 1 or more."),
        ("limit", "9", "limit is '9'; give a whole number of exchanges, 1 or more."),
        ("memory_limit", -1, "memory_limit is -1; give a whole number of bytes, 0 or more."),
        ("memory_limit", 1.5, "memory_limit is 1.5; give a whole number of bytes, 0 or more."),
        ("body_limit", None, "body_limit is None; give a whole number of bytes, 0 or more."),
    ],
)
def test_limits_that_will_not_do_are_refused(name: str, value: Any, message: str) -> None:
    exchanges = Exchanges()
    before = getattr(exchanges, name)
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        setattr(exchanges, name, value)
    assert getattr(exchanges, name) == before


def test_without_recording_there_are_rows_and_nothing_else(shop: flask.Flask) -> None:
    recorder = Recorder(shop)
    recorder.exchanges.recording = False
    exchange = recorder.ask("/users/7/ada", "POST", body=b"secret", headers=[("X-A", "b")])
    assert exchange.request_headers == exchange.response_headers == []
    assert exchange.request_body == (b"", 0)
    assert exchange.response_body == (b"", 5)
    assert (exchange.status, exchange.endpoint, exchange.size) == (200, "user", 5)
    assert exchange.response is not None
    assert exchange.response.status_code == 200
    assert exchange.request.path == "/users/7/ada"
    exchange = recorder.ask("/stream")
    assert exchange.kind == "stream"
    recorder.exchanges.recording = True
    assert recorder.ask().request_headers


# Clearing and listening


def test_clear_forgets_all_and_goes_on_to_count(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    first = recorder.ask()
    first.write("text")
    second = exchanges.begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""})
    exchanges.clear()
    assert len(exchanges) == 0
    assert exchanges.memory == 0
    assert (exchanges.cleared, exchanges.first_number, exchanges.last_number) == (2, 3, 2)
    with second:
        second.note_start("200 OK", [], has_length=True)
        second.note_chunk(b"x" * 50_000)
        second.write("more")
    assert exchanges.memory == 0
    assert exchanges.statistics.as_dict()["all"]["count"] == 1
    assert recorder.ask().number == 3
    assert [exchange.number for exchange in exchanges] == [3]
    assert repr(exchanges) == "<1 exchanges of 3>"


def test_listeners_hear_of_what_begins_changes_ends_and_is_cleared(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    heard: list[Any] = []

    def listener() -> None:
        last = exchanges[-1] if len(exchanges) else None
        heard.append(last and (last.kind, last.status, last.size, last.is_open))

    exchanges.listen(listener)
    recorder.ask()
    assert heard == [("http", None, 0, True), ("http", 200, 5, False)]
    heard.clear()
    recorder.ask(app=answer([b"a", b"b", b"c"], with_length=False))
    assert heard == [
        ("http", None, 0, True),
        ("http", 200, 1, True),
        ("stream", 200, 2, True),
        ("stream", 200, 3, False),
    ]
    heard.clear()
    exchanges.clear()
    assert heard == [None]
    exchanges.unlisten(listener)
    exchanges.unlisten(listener)
    recorder.ask()
    assert heard == [None]


def test_a_listener_that_fails_harms_no_request(recorder: Recorder) -> None:
    event = threading.Event()

    def failing() -> None:
        raise RuntimeError

    recorder.exchanges.listen(failing)
    recorder.exchanges.listen(event.set)
    assert recorder.ask().status == 200
    assert event.is_set()


def test_each_kernel_has_a_generation_of_its_own() -> None:
    assert Exchanges().generation != Exchanges().generation


# What is kept may be malformed


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=cut", b'--cut\r\nContent-Disposition: form-data; name="a"'),
        ("multipart/form-data; boundary=cut", b'--cut\r\nContent-Disposition: form-data; name="a"'
         b"\r\n\r\n" + b"x" * 700_000),
        ("multipart/form-data", b"x"),
        ("application/x-www-form-urlencoded", b"a=" + b"b" * 700_000),
        ("application/x-www-form-urlencoded", b"%%%&&&="),
    ],
)  # fmt: skip
def test_a_form_that_was_cut_can_be_asked_for(
    recorder: Recorder, content_type: str, body: bytes
) -> None:
    recorder.exchanges.body_limit = 600_000
    exchange = recorder.ask("/", "POST", headers=[("Content-Type", content_type)], body=body)
    assert exchange.request.form is not None
    assert exchange.request.files is not None


def test_a_repr_shows_no_secret(recorder: Recorder) -> None:
    exchange = recorder.ask(
        "/in?token=s3cret&page=2", "POST", headers=[("Cookie", "a=s3cret")], body=b"s3cret"
    )
    assert repr(exchange).startswith("<Exchange #1 POST /in?token=********&page=2 · 200 · ")
    shown = repr([exchange, exchange.request, exchange.response, exchange.request_body])
    assert "s3cret" not in shown
    assert exchange.path == "/in?token=s3cret&page=2"
    app = flask.Flask("app")
    app.add_url_rule("/reset/<uuid:token>/<name>", view_func=lambda token, name: name)
    exchange = recorder.ask("/reset/0C0FFEE0-0000-0000-0000-000000000000/ada?a=1", app=app)
    assert exchange.masked_path == "/reset/********/ada?a=1"
    assert repr(exchange.request) == "<RecordedRequest '/reset/********/ada?a=1' [GET]>"
    for code in (exchange.as_curl(), exchange.as_requests(), exchange.as_test_client()):
        assert "/reset/********/ada?a=1" in code


def test_the_recorder_is_safe_to_read_while_requests_run(recorder: Recorder) -> None:
    exchanges = recorder.exchanges
    exchanges.limit = 50
    exchanges.memory_limit = 300_000
    ended = threading.Event()
    problems: list[BaseException] = []

    def look() -> None:
        try:
            while not ended.is_set():
                for exchange in exchanges:
                    _ = exchange.request_headers, exchange.response_body, exchange.weigh()
                exchanges.statistics.as_dict()
                json.dumps(exchanges.to_har())
        except BaseException as error:
            problems.append(error)

    def work() -> None:
        try:
            for _ in range(150):
                recorder.ask("/", "POST", body=[b"x" * 3000] * 3, app=answer([b"y" * 2000] * 5))
        except BaseException as error:
            problems.append(error)

    looker = threading.Thread(target=look)
    workers = [threading.Thread(target=work) for _ in range(4)]
    for thread in (looker, *workers):
        thread.start()
    for thread in workers:
        thread.join(60)
    ended.set()
    looker.join(60)
    assert problems == []
    assert len(exchanges) <= 50
    assert 0 < exchanges.memory <= 300_000
    assert exchanges.memory == sum(exchange.weigh() for exchange in exchanges)
    assert exchanges.last_number == 600


def test_an_exchange_made_of_an_environ_alone_knows_its_headers() -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_X_A": "b",
        "HTTP_X_FLASKSERVE_TAG": "t",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    exchange: Exchange = Exchanges().begin(environ)
    assert exchange.request_headers == [("X-A", "b")]
    assert exchange.tag == "t"


def test_the_line_of_a_failure_has_no_secret_argument() -> None:
    app = flask.Flask("reset")

    @app.get("/reset/<token>")
    def reset(token: str) -> str:
        raise LookupError(token)

    exchange = Recorder(app).ask("/reset/s3cret?page=2")
    exchange.fail(LookupError())
    assert failure_line(exchange).startswith("GET /reset/******** failed: LookupError")
