"""One request and its response, as people and programs look at it afterwards, or meanwhile.

A request runs in its exchange: :func:`current` says which one the calling code belongs to. So what
a view prints is told from what a cell prints (:mod:`.outputs`), and a request sees its app as the
app was when the request began (:mod:`..cells.rerun`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from contextvars import Context, ContextVar, Token, copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

from ... import fastcgi
from ..responder.environ import Environ
from . import masking
from .bodies import RecordedBody
from .code_places import name_cells, place_of_failure
from .frames import FrameCounter
from .output_text import OutputText
from .recording import Headers, Recording

if TYPE_CHECKING:
    from .exchanges import Exchanges
    from .messages import RecordedRequest, RecordedResponse

__all__ = ["Exchange", "Timing", "current"]

Result = TypeVar("Result")

_PATH_SAFE = "/:@!$&'()*+,;=~-._"  # characters of a path that need no escape (RFC 3986 §3.3)
_GROWTH = 16384  # bytes of a body between two times that they are accounted for

_current: ContextVar[Exchange | None] = ContextVar("flaskserve_exchange", default=None)


def current() -> Exchange | None:
    """The exchange that the calling code belongs to; ``None`` in cells and everywhere else."""
    return _current.get()


class Timing(NamedTuple):
    """Where the time of an exchange went, in seconds; ``None`` where that is not known yet.

    :ivar queue: from the request's arrival at the server to the call of the app.
    :ivar view: from there until the response's head went out.
    :ivar streaming: from there to the end.
    :ivar total: from the arrival to the end.
    """

    queue: float | None
    view: float | None
    streaming: float | None
    total: float | None


class Exchange:
    """One request and its response.

    The request's thread writes its attributes, each once or counting upwards, so any other may read
    them at any time without a lock.

    :ivar number: its number among those of its mount, from 1.
    :ivar method: the request's method.
    :ivar started: when its view was called, in seconds since the epoch.
    :ivar duration: how long it took to the end of its response, in seconds; ``None`` until then.
    :ivar status: the response's status, such as ``200``; ``None`` until there is one.
    :ivar tag: the word by which the page knows a request that it has sent itself, or ``None``.
    :ivar failure: the exception that the view raised, where it did. Only the latest ones of a mount
        keep it.
    :ivar failed: what the view raised and where, such as ``ZeroDivisionError in Cell In[3], line
        4``; empty where it did not. All exchanges keep it.
    :ivar debug: whether the app that failed is in debug mode.
    :ivar weight: how many bytes of memory the exchanges of the mount have accounted for it. Guarded
        by their lock.
    """

    __slots__ = (
        "__weakref__",
        "_arguments",
        "_arrived",
        "_before",
        "_called",
        "_chunks",
        "_endpoint",
        "_environ",
        "_exchanges",
        "_has_length",
        "_head_out",
        "_output",
        "_path_info",
        "_pinned",
        "_query",
        "_received",
        "_recording",
        "_rule",
        "_sent",
        "_size",
        "_token",
        "_unaccounted",
        "_variables",
        "debug",
        "duration",
        "failed",
        "failure",
        "method",
        "number",
        "started",
        "status",
        "tag",
        "weight",
    )

    _token: Token[Exchange | None]  # of _current, while the request runs

    def __init__(
        self,
        number: int,
        environ: Environ,
        exchanges: Exchanges,
        *,
        recording: Recording | None = None,
        arrived: float | None = None,
        tag: str | None = None,
    ) -> None:
        """
        :param recording: where request and response are kept, if they are.
        :param arrived: when the request came, on the monotonic clock.
        """
        self.number = number
        self.method: str = environ["REQUEST_METHOD"]
        self._path_info: str = environ["PATH_INFO"]
        self._query: str = environ["QUERY_STRING"]
        self._exchanges = exchanges
        self.started = time.time()
        self.duration: float | None = None
        self.status: int | None = None
        self.tag = tag
        self.failure: BaseException | None = None
        self.failed = ""
        self.debug = False
        self._pinned: dict[Hashable, Any] = {}  # only while the request runs
        self._before: Context | None = None  # the context variables without the request's
        self._variables: dict[ContextVar[Any], Any] = {}  # the request's, when it failed
        self._output: OutputText | None = None
        self._recording = recording
        self.weight = 0
        self._unaccounted = 0  # bytes of bodies
        # Only while the request runs: Werkzeug leaves its request there.
        self._environ: Environ | None = environ
        self._endpoint: str | None = None
        self._rule: str | None = None
        self._arguments: dict[str, Any] = {}
        self._size = 0
        self._chunks = 0
        self._has_length = True
        self._received: FrameCounter | None = None
        self._sent: FrameCounter | None = None
        # On the monotonic clock.
        self._called = time.monotonic()
        self._arrived = self._called if arrived is None else min(arrived, self._called)
        self._head_out: float | None = None

    # What was asked.

    @property
    def mount(self) -> str:
        """The name of the mount that was asked."""
        return self._exchanges.mount

    @property
    def path(self) -> str:
        """What was asked for, under the mount's address, as people read it: ``/users/7?page=2``."""
        return f"{self.bare_path}?{_printable(self._query)}" if self._query else self.bare_path

    @property
    def bare_path(self) -> str:
        """The same without the query: ``/users/7``."""
        return _printable(self._path_info.encode("latin-1").decode("utf-8", "replace"))

    @property
    def masked_path(self) -> str:
        """The path with its query as it may be shown: what looks like a secret is masked."""
        path = self.masked_bare_path
        return f"{path}?{_printable(masking.mask_query(self._query))}" if self._query else path

    @property
    def masked_bare_path(self) -> str:
        """The same without the query."""
        return masking.mask_path(self.bare_path, self.arguments)

    @property
    def target(self) -> str:
        """The path under the mount and the query as they go over the wire, secrets included."""
        params = self.params
        prefix = quote(params.get("SCRIPT_NAME", "").encode("latin-1"), safe=_PATH_SAFE)
        raw = params.get("REQUEST_URI", "")
        if raw.startswith(f"{prefix}/"):
            return raw[len(prefix) :]
        path = quote(self._path_info.encode("latin-1"), safe=_PATH_SAFE)
        return f"{path}?{self._query}" if self._query else path

    @property
    def url(self) -> str:
        """The whole address that was asked for, as it goes over the wire, secrets included."""
        params = self.params
        secure = params.get("HTTPS", "").lower() in ("on", "1")
        scheme = params.get("REQUEST_SCHEME") or ("https" if secure else "http")
        host = params.get("HTTP_HOST") or params.get("SERVER_NAME") or "localhost"
        target = params.get("REQUEST_URI", "")
        if not target.startswith("/"):
            prefix = quote(params.get("SCRIPT_NAME", "").encode("latin-1"), safe=_PATH_SAFE)
            target = prefix + self.target
        return f"{scheme}://{host}{target}"

    @property
    def client(self) -> str:
        """The address of the client; empty where it is not known any more."""
        return self._param("REMOTE_ADDR")

    @property
    def version(self) -> str:
        """The protocol of the request, such as ``HTTP/1.1``."""
        return self._param("SERVER_PROTOCOL")

    @property
    def request_headers(self) -> Headers:
        """The request's headers as the app saw them; none where they are not kept."""
        return [] if self._recording is None else self._recording.request_headers

    @property
    def request_body(self) -> RecordedBody:
        """What is kept of the request's body."""
        return _NO_BODY if self._recording is None else self._recording.request_body

    @property
    def request(self) -> RecordedRequest:
        """The request as Werkzeug gives it to a view, made of what is kept."""
        from .messages import recorded_request

        head = {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self._path_info,
            "QUERY_STRING": self._query,
        }
        request = recorded_request(head | self.params, self.request_body.data)
        request.masked_path = self.masked_path
        return request

    @property
    def params(self) -> dict[str, str]:
        """The request's CGI parameters (RFC 3875 §4.1); none where they are not kept."""
        return {} if self._recording is None else self._recording.params

    @property
    def is_through_gateway(self) -> bool:
        """Whether the request came through Jupyter, or the kernel's own server."""
        return self._param("SERVER_SOFTWARE") == fastcgi.GATEWAY_SOFTWARE

    def _param(self, name: str) -> str:
        return self.params.get(name, "")

    # Who answered.

    @property
    def endpoint(self) -> str | None:
        """The endpoint of a Flask app that the request was for; ``None`` where no rule matched."""
        self._look_for_rule()
        return self._endpoint

    @property
    def rule(self) -> str | None:
        """The rule that matched, such as ``/users/<int:id>``."""
        self._look_for_rule()
        return self._rule

    @property
    def arguments(self) -> dict[str, Any]:
        """What the rule took from the path."""
        self._look_for_rule()
        return self._arguments

    def _look_for_rule(self) -> None:
        """Flask keeps what it has found in its request, until it has given the head."""
        environ = self._environ
        if self._endpoint is not None or environ is None:
            return
        request = environ.get("werkzeug.request")
        try:
            rule = getattr(request, "url_rule", None)
            if rule is not None:
                self._rule = str(rule.rule)
                self._arguments = dict(getattr(request, "view_args", None) or ())
                self._endpoint = str(rule.endpoint)
        except (
            Exception
        ):  # an app may put there what it likes, and its response does not depend on it
            return

    # What was answered.

    @property
    def kind(self) -> str:
        """``websocket``; ``stream``, a response of several chunks whose length was not announced;
        or ``http``."""
        if self._sent is not None:
            return "websocket"
        return "http" if self._has_length or self._chunks < 2 else "stream"

    @property
    def is_open(self) -> bool:
        """Whether its response has not ended."""
        return self.duration is None

    @property
    def size(self) -> int:
        """Bytes of the response's body so far; of a WebSocket, of the frames to the client."""
        return self._size if self._sent is None else self._sent.size

    @property
    def messages_in(self) -> int:
        """Messages that came over its WebSocket."""
        return 0 if self._received is None else self._received.messages

    @property
    def messages_out(self) -> int:
        """Messages that went out over its WebSocket; of other responses, chunks."""
        return self._chunks if self._sent is None else self._sent.messages

    @property
    def timing(self) -> Timing:
        """Where the time went."""
        head, duration = self._head_out, self.duration
        queue = self._called - self._arrived
        view = None if head is None else head - self._called
        if duration is None:
            return Timing(queue, view, None, None)
        streaming = None if view is None else max(duration - view, 0.0)
        return Timing(queue, view, streaming, queue + duration)

    @property
    def reason(self) -> str:
        """What the response's status line says besides the number: ``Not Found``."""
        status = "" if self._recording is None else self._recording.status
        return status.partition(" ")[2]

    @property
    def response_headers(self) -> Headers:
        """The response's headers as the app gave them; none where they are not kept."""
        return [] if self._recording is None else list(self._recording.headers)

    @property
    def response_body(self) -> RecordedBody:
        """What is kept of the response's body."""
        body = _NO_BODY if self._recording is None else self._recording.response_body
        return body._replace(size=max(body.size, self._size))

    @property
    def response(self) -> RecordedResponse | None:
        """The response as Werkzeug's test client gives it, made of what is kept; ``None`` where
        there is none yet."""
        from .messages import recorded_response

        return None if self.status is None else recorded_response(self)

    # As code that does the same.

    def as_curl(self, *, reveal: bool = False) -> str:
        """A shell command that sends the same request.

        :param reveal: whether secrets are in it.
        """
        from .export import snippets

        return snippets.curl(self, reveal=reveal)

    def as_requests(self, *, reveal: bool = False) -> str:
        """Python code that sends the same request with the library ``requests``."""
        from .export import snippets

        return snippets.requests(self, reveal=reveal)

    def as_test_client(self, *, reveal: bool = False) -> str:
        """Python code that gives the same request to Flask's test client."""
        from .export import snippets

        return snippets.flask_client(self, reveal=reveal)

    # What the view printed.

    @property
    def output(self) -> str:
        """What the view has printed and logged; of very much, the end."""
        start, text = self.output_from(0)
        return f"[{start} characters before] …\n{text}" if start else text

    def output_from(self, start: int) -> tuple[int, str]:
        """What is kept of the output, from its character ``start`` on.

        :returns: the position of the first character there is, and the text.
        """
        return (start, "") if self._output is None else self._output.read(start)

    def write(self, text: str) -> None:
        """Add to the output. Where it gets too much, its beginning is dropped."""
        if not text:
            return
        if self._output is None:
            with self._exchanges.lock:  # a view may have several threads
                if self._output is None:
                    self._output = OutputText(self._exchanges.lock)
        self._exchanges.note_output(self._output.write(name_cells(text)))

    def drop_output(self) -> int:
        """Called by the exchanges of the mount when all outputs together are too much.

        :returns: how many characters that frees.
        """
        with self._exchanges.lock:
            if self._output is None:
                self._output = _DROPPED
        return self._output.drop()

    # Its failure.

    def fail(self, error: BaseException) -> None:
        """Note what the view raised. Of what is noted for one exchange, the first counts.

        It is called in the request's thread, the earlier the better: as long as the request's
        context variables are there, :meth:`recall` can bring them back.
        """
        self._exchanges.note_failure(self, error)

    def keep_failure(self, error: BaseException) -> None:
        """Called by the exchanges of the mount for the first failure."""
        place = place_of_failure(error.__traceback__)
        self.failed = type(error).__name__ + (f" in {place}" if place else "")
        before = self._before or Context()
        self._variables = {
            variable: value
            for variable, value in copy_context().items()
            if variable is not _current
            and (variable not in before or before[variable] is not value)
        }
        self.failure = error

    def drop_failure(self) -> None:
        """Called by the exchanges of the mount when there have been enough others since."""
        self.failure = None
        self._variables = {}

    def pin(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """What the request sees of something that cells may replace: what ``make`` returned when
        the request first asked for it.

        :param key: what it is asked for by.
        """
        try:
            pinned: Result = self._pinned[key]
        except KeyError:
            pinned = self._pinned.setdefault(key, make())
        return pinned

    def recall(self, function: Callable[[], Result]) -> Result:
        """Call a function with the context variables as they were when the view failed.

        So Flask's ``request``, ``session`` and ``g`` answer again. What the function prints is the
        caller's, not the exchange's.
        """

        def call() -> Result:
            for variable, value in self._variables.items():
                variable.set(value)
            return function()

        return copy_context().run(call)

    # What the responder notes, in the request's thread.

    def __enter__(self) -> None:
        """The calling thread begins to run the request: what it does from here on is its."""
        self._before = copy_context()
        self._token = _current.set(self)

    def __exit__(self, *failure: object) -> None:
        _current.reset(self._token)
        self._before = None
        self._look_for_rule()
        self._environ = None
        self.duration = time.monotonic() - self._called
        self._pinned.clear()
        self._exchanges.note_end(self)

    def note_call(self) -> None:
        """The app is called now. Who makes it wait after all may say so once more."""
        self._called = time.monotonic()

    def note_request_chunk(self, chunk: bytes) -> None:
        """The app has read these bytes of the request's body."""
        if self._recording is not None:
            self._recording.add_to_request(chunk)
            self._unaccounted += len(chunk)
            if self._unaccounted >= _GROWTH:
                self._account()

    def note_start(self, status: str, headers: Headers, *, has_length: bool) -> None:
        """The app has given the response's head. It may give another one until that is out.

        :param has_length: whether it announces the body's length.
        """
        self.status = int(status[:3])
        self._has_length = has_length
        if self._recording is not None:
            self._recording.start(status, headers)
        self._look_for_rule()

    def note_head_out(self, size: int) -> None:
        """The response's head goes out now.

        :param size: bytes of it.
        """
        self._head_out = time.monotonic()
        if self._recording is not None:
            self._recording.head_size = size

    def note_chunk(self, chunk: bytes) -> None:
        """These bytes of the response's body go out now."""
        self._size += len(chunk)
        self._chunks += 1
        if self._recording is not None:
            self._recording.add_to_response(chunk)
            self._unaccounted += len(chunk)
            if self._unaccounted >= _GROWTH:
                self._account()
        if self._chunks <= 2 and not self._has_length:
            self._exchanges.note_change()

    def note_upgrade(self, received: FrameCounter, sent: FrameCounter) -> None:
        """The exchange has become a WebSocket.

        :param received: counts the messages from the client.
        :param sent: counts those to the client.
        """
        self._head_out = time.monotonic()
        self._look_for_rule()
        self.status = 101
        self._received = received
        self._sent = sent
        self._exchanges.note_change()

    def _account(self) -> None:
        """See that a body that grows is counted before it has ended."""
        self._unaccounted = 0
        self._exchanges.note_weight(self)

    # What the exchanges of the mount do with it.

    def weigh(self) -> int:
        """About how many bytes of memory it takes, without its output."""
        # The path twice, because all of it may be arguments of its rule.
        weight = _OWN_WEIGHT + 2 * len(self._path_info) + len(self._query)
        return weight if self._recording is None else weight + self._recording.weight

    def drop_bodies(self) -> None:
        """Keep nothing of its bodies any more."""
        if self._recording is not None:
            self._recording.drop_bodies()

    def drop_headers(self) -> None:
        """Keep nothing of its headers any more."""
        if self._recording is not None:
            self._recording.drop_headers()

    def __repr__(self) -> str:
        """Without secrets: what a cell shows is saved with its notebook."""
        parts = [f"#{self.number} {self.method} {self.masked_path}"]
        if self.status is not None:
            parts.append(str(self.status))
        parts.append("open" if self.duration is None else f"{self.duration * 1000:.1f} ms")
        return f"<Exchange {' · '.join(parts)}>"


_NO_BODY = RecordedBody(b"", 0)
_DROPPED = OutputText(
    threading.RLock()
)  # of all those that printed nothing before no more was kept
_DROPPED.drop()
_OWN_WEIGHT = 1500  # bytes of memory of an exchange without anything


def _printable(text: str) -> str:
    """A text without what moves a terminal's cursor or breaks a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else quote(c) for c in text)
