"""Views on the kernel's main thread, between cells.

Some objects belong to the thread that made them: an ``sqlite3`` connection, a figure of a GUI
toolkit. Cells run on the kernel's main thread; :func:`on_main_thread` makes the views run there as
well, and so they can share such objects::

    serve(on_main_thread(app))

Which thread does what:

- the *worker* reads the request's body, waits, and sends the response. The main thread never
  touches the link, so a slow client costs it nothing.
- the *main thread* calls the app, takes each step of its iterable, and closes it, each as a job of
  its own. It takes jobs from its event loop, so a job waits while a cell runs, and comes before the
  next cell. A cell that awaits something lets jobs run meanwhile.
- a cell that waits for a response itself must take jobs while it waits: :func:`pump`. For other
  HTTP clients in a cell, see :class:`_Rescue`.

A WebSocket stays on its worker's thread: it lasts, and no cell would run until it ended.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from ..exchanges.exchange import current
from ..home import known_home

if TYPE_CHECKING:
    from ..responder.environ import Environ
    from ..responder.wsgi import WSGIApp

__all__ = [
    "MainThreadApp",
    "NoMainLoop",
    "ViewInterrupted",
    "find_loop",
    "on_main_thread",
    "pump",
    "wait",
]

Result = TypeVar("Result")

_SPOOL_SIZE = 1024 * 1024  # bytes of a request's body kept in memory; more go to a file
_READ_SIZE = 64 * 1024  # bytes
_PATIENCE = 0.2  # seconds to wait for the main thread before looking what keeps it
_END: Any = object()


class NoMainLoop(RuntimeError):
    """This process's main thread has no event loop to run views in. The message says what to do."""


class ViewInterrupted(RuntimeError):
    """The kernel was interrupted while a view ran."""


def on_main_thread(app: WSGIApp) -> MainThreadApp:
    """Make an app run on the kernel's main thread.

    :param app: a WSGI app.
    :returns: a WSGI app to serve in its place, in any thread.
    :raises NoMainLoop: this is not a Jupyter kernel.
    """
    schedule = find_loop()
    if threading.current_thread() is threading.main_thread():
        _rescue.install()
    else:
        schedule(_rescue.install)
    return MainThreadApp(app)


class MainThreadApp:
    """A WSGI app whose code runs on the kernel's main thread.

    :ivar app: the app itself.
    """

    def __init__(self, app: WSGIApp) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Any:
        if "werkzeug.socket" in environ:
            return self.app(environ, start_response)
        body = _spool(environ["wsgi.input"])
        environ["wsgi.input"] = body
        response = _Response(self.app, environ, start_response, body)
        if isinstance(response.iterable, (str, bytes)):  # the worker says what is wrong with it
            response.close()
            return response.iterable
        return response


def pump(future: Future[Result]) -> Result:
    """Wait for a future. On the main thread, views run meanwhile.

    :returns: the future's result.
    :raises BaseException: what the future was failed with.
    """
    if threading.current_thread() is threading.main_thread():
        future.add_done_callback(lambda _: _jobs.wake())
        _jobs.run_until(future.done)
    return future.result()


def wait(seconds: float) -> None:
    """Let time pass. On the main thread, views run meanwhile."""
    if threading.current_thread() is threading.main_thread():
        end = time.monotonic() + seconds
        _jobs.run_until(lambda: time.monotonic() >= end)
    else:
        time.sleep(seconds)


class _Response:
    """The iterable that the worker sends. The app has been called when it is made.

    The first chunk is made by the same job that calls the app, because no response begins without
    it, and the end of the iterable and its ``close()`` are one job as well: so a small response
    asks twice for the main thread.

    :ivar iterable: what the app returned.
    """

    def __init__(
        self,
        app: WSGIApp,
        environ: Environ,
        start_response: Callable[..., Any],
        body: IO[bytes],
    ) -> None:
        self._start_response = start_response
        self._body = body
        self._context = contextvars.copy_context()
        self._write: Callable[[bytes], None] | None = None
        self._written: list[bytes] = []  # by write(), and not sent yet
        self.iterable: Any = ()
        self._steps: Iterator[Any] = iter(())
        self._first: Callable[[], Any] | None = None
        self._closed = False
        self._close_failure: BaseException | None = None
        try:
            self._run(lambda: self._call(app, environ))
        except BaseException:
            body.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> Any:
        first, self._first = self._first, None
        chunk = self._run(self._step) if first is None else first()
        self._send_written()
        if chunk is _END:
            raise StopIteration
        return chunk

    def close(self) -> None:
        try:
            if not self._closed:
                self._run(self._close)
            if self._close_failure is not None:
                raise self._close_failure
        finally:
            self._body.close()

    def _run(self, work: Callable[[], Result]) -> Result:
        """Run something on the main thread, in this request's context."""
        return _jobs.do(lambda: self._context.run(work))

    # What follows runs on the main thread.

    def _call(self, app: WSGIApp, environ: Environ) -> None:
        exchange = current()
        if exchange is not None:
            exchange.note_call()  # until now it has waited for the main thread
        self.iterable = app(environ, self._begin)
        try:
            self._steps = iter(self.iterable)
            chunk = self._step()
        except BaseException as error:  # raised where the iterable is closed afterwards
            failure = error
            self._first = lambda: _raise(failure)
        else:
            self._first = lambda: chunk

    def _step(self) -> Any:
        chunk = next(self._steps, _END)
        if chunk is _END:
            self._close()
        return chunk

    def _close(self) -> None:
        self._closed = True
        try:
            close = getattr(self.iterable, "close", None)
            if close is not None:
                close()
        except Exception as error:
            self._close_failure = error

    def _begin(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._written:
            raise exc_info[1].with_traceback(exc_info[2])  # these bytes are as good as sent
        self._write = self._start_response(status, headers, *([exc_info] if exc_info else []))
        return self._written.append

    # And this on the worker's.

    def _send_written(self) -> None:
        for data in self._written:
            assert self._write is not None
            self._write(data)
        self._written.clear()


def _raise(error: BaseException) -> Any:
    raise error


def _spool(stream: Any) -> IO[bytes]:
    """Read a request's body to its end, so that the main thread never waits for a client."""
    body = tempfile.SpooledTemporaryFile(_SPOOL_SIZE)  # noqa: SIM115 -- the response closes it
    try:
        while data := stream.read(_READ_SIZE):
            body.write(data)
        body.seek(0)
    except BaseException:
        body.close()
        raise
    return body


class _Jobs:
    """The jobs that wait for the main thread, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()  # guards _waiting
        # Whether an interrupt is meant for the view that runs. Of the main thread alone.
        self._may_interrupt = False

    def do(self, work: Callable[[], Result]) -> Result:
        """Have the main thread do something, and wait until it has.

        :raises NoMainLoop: its event loop has ended.
        :raises BaseException: what ``work`` raised.
        """
        if threading.current_thread() is threading.main_thread():
            return work()
        done: Future[Result] = Future()
        with self._changed:
            self._waiting.append((work, done))
            self._changed.notify_all()
        find_loop()(self.run_one)
        _rescue.wait_for(done)
        return done.result()

    def wake(self) -> None:
        """Have :meth:`run_until` look at its condition again."""
        with self._changed:
            self._changed.notify_all()

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Run jobs as they come, until a condition holds."""
        while not condition():
            with self._changed:
                # The limit is for systems where a signal does not end the wait.
                self._changed.wait_for(lambda: self._waiting or condition(), 0.5)
            self.run_one()

    def run_one(self) -> bool:
        """Run the job that has waited longest.

        :returns: whether there was one.
        """
        with self._changed:
            if not self._waiting:
                return False
            work, done = self._waiting.popleft()
        try:
            with self._interruptible():
                result = work()
                self._may_interrupt = False
        except KeyboardInterrupt as error:
            interrupted = ViewInterrupted("The kernel was interrupted while this request ran.")
            done.set_exception(interrupted.with_traceback(error.__traceback__))
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(result)
        return True

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let an interrupt end the view and nothing else; between cells, kernels ignore it.

        It is raised once at most, and not while the signal's handlers are exchanged.
        """

        def interrupt(number: int, frame: FrameType | None) -> None:
            if self._may_interrupt:
                self._may_interrupt = False
                raise KeyboardInterrupt

        outer = self._may_interrupt
        self._may_interrupt = False
        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            self._may_interrupt = True
            yield
        finally:
            self._may_interrupt = False
            signal.signal(signal.SIGINT, previous)
            self._may_interrupt = outer


_jobs = _Jobs()


class _Rescue:
    """Runs views for a cell that waits for one of them with an HTTP client of its own, such as
    ``requests.get(mount.url)``, on the main thread. It would wait for ever.

    A signal interrupts the system call in which the client waits; its handler runs on the main
    thread, sees that the main thread is about to receive from this kernel's server and nothing
    else, and runs the views. Then the client goes on to wait (PEP 475). The signal is ``SIGURG``,
    which nobody uses and which does nothing where there is no handler.
    """

    _RECEIVERS = frozenset({("socket.py", "readinto"), ("ssl.py", "read"), ("sync.py", "read")})

    def install(self) -> None:
        """Set the signal's handler. It is called on the main thread."""
        number = getattr(signal, "SIGURG", None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(number, self._handle)

    def wait_for(self, done: Future[Any]) -> None:
        """Wait until a job is done."""
        while True:
            try:
                done.exception(_PATIENCE)
                return
            except futures.TimeoutError:
                self._look()

    def _look(self) -> None:
        """Send the signal if the main thread seems to wait for a response."""
        number = getattr(signal, "SIGURG", None)
        main = threading.main_thread().ident
        frame = sys._current_frames().get(main or 0)
        if number is None or main is None or frame is None:
            return
        code = frame.f_code
        place = (os.path.basename(code.co_filename), code.co_name)
        if place in self._RECEIVERS and signal.getsignal(number) == self._handle:
            signal.pthread_kill(main, number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if frame is not None and _receives_from_server(frame):
            while _jobs.run_one():
                pass


_rescue = _Rescue()


def _receives_from_server(frame: FrameType) -> bool:
    """Whether a method waits on a connection to the server that serves this kernel's apps."""
    owner = frame.f_locals.get("self")
    connection = owner if isinstance(owner, socket.socket) else getattr(owner, "_sock", None)
    home = known_home()
    if home is None or not isinstance(connection, socket.socket):
        return False
    url = urlsplit(home.url)
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    try:
        return bool(connection.getpeername()[1] == port)
    except (OSError, IndexError):
        return False


def find_loop() -> Callable[[Callable[[], object]], object]:
    """What schedules a call in the main thread's event loop, from any thread.

    :raises NoMainLoop: there is none.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    loop = getattr(getattr(shell, "kernel", None), "io_loop", None)
    if loop is None:
        raise NoMainLoop(
            "Views can run on the main thread only in a Jupyter kernel. Here, serve the app"
            " without --main-thread, or open the notebook in Jupyter."
        )
    schedule: Callable[[Callable[[], object]], object] = loop.add_callback
    return schedule
