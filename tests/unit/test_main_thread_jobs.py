"""Apps on the main thread, with an event loop that the test turns by hand."""

from __future__ import annotations

import contextlib
import contextvars
import io
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any
from wsgiref.validate import validator

import pytest
from werkzeug.test import EnvironBuilder, run_wsgi_app

from jupyter_flaskserve.kernel.middleware import main_thread
from jupyter_flaskserve.kernel.middleware.main_thread import (
    MainThreadApp,
    NoMainLoop,
    ViewInterrupted,
    on_main_thread,
    pump,
)

Turn = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Turn]:
    """Runs something in a worker's thread while this thread runs its event loop; returns what it
    has returned, or raises what it has raised."""
    calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    monkeypatch.setattr(main_thread, "find_loop", lambda: calls.put)
    before = signal.getsignal(signal.SIGURG)

    def turn(work: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)
            calls.put(lambda: None)

        thread = threading.Thread(target=run)
        thread.start()
        while not done.done():
            calls.get(timeout=20)()
        thread.join()
        return done.result()

    yield turn
    signal.signal(signal.SIGURG, before)


def is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def get(app: Any, **options: Any) -> tuple[bytes, str]:
    """The body and the status of an app's answer."""
    iterable: Any
    iterable, status, _ = run_wsgi_app(app, EnvironBuilder(**options).get_environ())
    with contextlib.closing(iterable):
        return b"".join(iterable), status


def test_the_app_runs_on_the_main_thread_and_is_read_in_the_workers(turn: Turn) -> None:
    threads: dict[str, bool] = {}

    class Body(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            threads["read"] = is_main()
            return super().read(size)

    class Steps:
        def __init__(self) -> None:
            self.parts = iter([b"a", b"b"])

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            threads["step"] = is_main()
            return next(self.parts)

        def close(self) -> None:
            threads["close"] = is_main()

    def app(environ: Any, start_response: Any) -> Any:
        threads["app"] = is_main()
        threads["body"] = environ["wsgi.input"].read() == b"sent"
        start_response("200 OK", [])
        return Steps()

    wrapped = on_main_thread(app)
    answer = turn(lambda: get(wrapped, method="POST", input_stream=Body(b"sent")))
    assert answer == (b"ab", "200 OK")
    assert threads == {"app": True, "body": True, "step": True, "close": True, "read": False}


def test_it_keeps_the_rules_of_wsgi(turn: Turn) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        yield b"made"

    wrapped = validator(on_main_thread(validator(app)))

    assert turn(lambda: get(wrapped)) == (b"written made", "200 OK")


def test_a_request_is_one_context(turn: Turn) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield variable.get().encode()
        variable.set("the view's")
        yield variable.get().encode()
        yield variable.get().encode()

    def ask() -> Any:
        variable.set("the worker's ")
        return get(on_main_thread(app))[0]

    assert turn(ask) == b"the worker's the view'sthe view's"
    assert variable.get() == "nobody's"


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_the_app_raises_is_raised_in_the_worker_and_the_app_is_closed(
    turn: Turn, step: int
) -> None:
    closed: list[bool] = []

    class Steps:
        def __init__(self) -> None:
            self.made = 0

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            self.made += 1
            if self.made == step:
                raise LookupError("boom")
            return b"x"

        def close(self) -> None:
            closed.append(is_main())

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if step == 0:
            raise LookupError("boom")
        return Steps()

    def ask() -> list[bytes]:
        got: list[bytes] = []
        response = on_main_thread(app)(EnvironBuilder().get_environ(), lambda *_: None)
        try:
            got.extend(next(response) for _ in range(5))
        finally:
            response.close()
        return got

    with pytest.raises(LookupError, match="boom"):
        turn(ask)
    assert closed == ([True] if step else [])


def test_a_failure_of_close_is_raised_by_close(turn: Turn) -> None:
    class Steps:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"whole"])

        def close(self) -> None:
            raise LookupError("boom")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Steps()

    def ask() -> None:
        response = on_main_thread(app)(EnvironBuilder().get_environ(), lambda *_: None)
        assert list(response) == [b"whole"]
        response.close()

    with pytest.raises(LookupError, match="boom"):
        turn(ask)


@pytest.mark.parametrize("returned", ["text", b"bytes"])
def test_what_is_no_iterable_of_bytes_is_given_to_the_worker(turn: Turn, returned: object) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return returned

    wrapped = on_main_thread(app)
    assert turn(lambda: wrapped(EnvironBuilder().get_environ(), lambda *_: None)) is returned


def test_an_interrupt_ends_the_view_once_and_the_handler_is_put_back(turn: Turn) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it was not interrupted")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ViewInterrupted, match="The kernel was interrupted"):
        turn(lambda: get(on_main_thread(app)))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_view_that_catches_the_interrupt_goes_on(turn: Turn) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            start_response("200 OK", [])
        return [b"caught"]

    assert turn(lambda: get(on_main_thread(app)))[0] == b"caught"


def test_pump_runs_what_comes_while_it_waits(turn: Turn) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"main" if is_main() else b"worker"]

    wrapped = on_main_thread(app)
    answer: Future[bytes] = Future()
    threading.Thread(target=lambda: answer.set_result(get(wrapped)[0])).start()
    assert pump(answer) == b"main"


def test_pump_raises_what_the_future_was_failed_with_and_can_be_interrupted() -> None:
    failed: Future[None] = Future()
    failed.set_exception(LookupError("boom"))
    with pytest.raises(LookupError, match="boom"):
        pump(failed)
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main_ident, signal.SIGINT))
    main_ident = threading.main_thread().ident or 0
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pump(Future())
    assert time.monotonic() - began < 5


def test_a_large_body_is_kept_in_a_file(turn: Turn) -> None:
    size = 3 * 1024 * 1024

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        stream = environ["wsgi.input"]
        assert stream._rolled
        return [str(len(stream.read())).encode()]

    wrapped = on_main_thread(app)
    assert turn(lambda: get(wrapped, method="POST", data=bytes(size)))[0] == str(size).encode()


def test_without_an_event_loop_it_says_what_to_do() -> None:
    with pytest.raises(NoMainLoop, match="serve the app without --main-thread"):
        on_main_thread(lambda environ, start_response: [])


def test_a_websocket_is_the_workers(turn: Turn) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        return [b"main" if is_main() else b"worker"]

    def ask() -> Any:
        environ = EnvironBuilder().get_environ()
        environ["werkzeug.socket"] = object()
        return MainThreadApp(app)(environ, lambda *_: None)

    assert turn(ask) == [b"worker"]
