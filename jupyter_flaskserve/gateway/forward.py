"""One HTTP request taken to the app, and the app's answer taken back.

:class:`Forwarding` stands between Tornado's HTTP connection on one side and a link on the other.
Both call it as bytes come; it writes to the other side at once and, where that side does not keep
up, stops reading from the first. So neither body is ever held whole, a slow client slows the app,
and a slow app slows the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPMessageDelegate,
    HTTPOutputError,
    HTTPServerRequest,
    ResponseStartLine,
)

from .. import fastcgi
from ..http_fields import content_length
from .answer import LINGER, Answer, expects_continue, write_answer
from .environ import RequestHead, cgi_params
from .errors import GatewayError
from .links import Link, LinkLost, LinkPool
from .response import HeaderLines, HeadParser, MalformedResponse, ResponseHead
from .tunnel import Tunnel

__all__ = ["Brief", "Forwarding", "Limits"]

_LENGTH = "content-length"
_REQUEST_ID = 1  # a link carries one request at a time
_BEGIN = fastcgi.encode_begin_request(_REQUEST_ID)
_END_OF_PARAMS = fastcgi.encode_record(fastcgi.PARAMS, _REQUEST_ID)
_END_OF_STDIN = fastcgi.encode_record(fastcgi.STDIN, _REQUEST_ID)
_COALESCE = 65536  # bytes of the request's body that may wait to be written together
_ONE_READ = 8192  # bytes that a responder reads at once, if they were sent at once
_HEAD_LIMIT = 65536  # bytes of the response's head
_LOG_LIMIT = 16384  # bytes of the app's log lines kept per exchange before they are handed on

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Limits(NamedTuple):
    """What one exchange may take. 0 sets no limit.

    :ivar max_body_size: the longest request body, in bytes.
    :ivar response_timeout: how long the app may take to begin its response, in seconds from the
        time it was sent the last of the request.
    :ivar stream_timeout: how long a response that has begun may be silent, in seconds.
    """

    max_body_size: int
    response_timeout: float
    stream_timeout: float


class Brief(NamedTuple):
    """What the gateway is told about one exchange by its caller.

    :ivar head: the request as the app is to see it.
    :ivar pool: links to the app's responder.
    :ivar limits: what the exchange may take.
    :ivar response_headers: turns the app's header lines into those that the client gets.
    :ivar other_pool: gives the links to try where those of ``pool`` turn out to lead nowhere, or
        ``None``. It is asked only while the app cannot have seen the request.
    :ivar on_error: gives the answer where the app's cannot be had.
    :ivar on_log: takes what the app writes to ``wsgi.errors``.
    :ivar on_end: called once, at the end, with the status that the client got (0 for none) and
        whether the response was whole.
    """

    head: RequestHead
    pool: LinkPool
    limits: Limits
    response_headers: Callable[[ResponseHead], list[tuple[str, str]]]
    other_pool: Callable[[], LinkPool | None]
    on_error: Callable[[Exception], Answer]
    on_log: Callable[[str], None]
    on_end: Callable[[int, bool], None]


class Forwarding(HTTPMessageDelegate):
    """One exchange between an HTTP client and the app.

    Its caller has read the request's head and decided to let it in; from there it hands over what
    Tornado gives it: :meth:`data_received`, :meth:`finish`, :meth:`on_connection_close`.

    :param request: the request; its connection must be an HTTP/1 connection of Tornado's.
    """

    # What most exchanges never change is set here, and not for each.

    _link: Link | None = None
    _taking: asyncio.Task[None] | None = None
    _taken: asyncio.Future[None] | None = None
    _ended = False  # whether on_end has been called; nothing is forwarded any more
    _decided: asyncio.Future[Tunnel | None] | None = None  # see _decide()

    # The way to the app.
    _tried_again = False
    _unsent_size = 0
    _flush_scheduled = False
    _received = 0
    _request_read = False  # the client has sent its whole request
    _request_sent = False  # and the link has been given all of it

    # The way back.
    _written: asyncio.Future[None] | None = None
    _unanswered = True  # whether the responder has sent nothing yet
    _status = 0
    _close_delimited = False  # HTTP/1.0: only the end of the connection ends the body
    _bodyless = False
    _remaining: int | None = None  # bytes of the body until its Content-Length
    _response_complete = False
    _lingering: asyncio.TimerHandle | None = None  # ends a request that does not end
    _may_continue = False  # whether Tornado has been let go on to read the body
    _log = b""  # what the app has logged and has not been handed on
    _blocked = False  # whether the client waits until more of its request can be sent
    _progress = 0.0  # when the app was last sent something, or last sent something itself

    def __init__(self, request: HTTPServerRequest, brief: Brief) -> None:
        assert isinstance(request.connection, HTTP1Connection)
        self._connection = request.connection
        self._request = request
        self._brief = brief
        self._pool = brief.pool
        self._upgradable = brief.head.upgrade
        self._unsent: list[bytes] = []
        # What has been sent, for as long as it is little enough to be sent once more.
        self._sent: bytes | None = b""
        self._writes = 0  # how often something has been sent
        self._head_parser: HeadParser | None = HeadParser(_HEAD_LIMIT)

    def start(self) -> Awaitable[None] | None:
        """Begin: take a link and send the request's head.

        :returns: ``None``, or what to wait for before more of the request is read.
        """
        headers = self._request.headers
        self._connection.set_max_body_size(2**62)  # limits are this class's, which says 413
        self._connection.set_close_callback(self.on_connection_close)
        limit = self._brief.limits.max_body_size
        has_body = "Transfer-Encoding" in headers
        length = None
        if "Content-Length" in headers:
            length = content_length(headers["Content-Length"])
            has_body = has_body or length != 0
        if limit and (length or 0) > limit:
            self._refuse(self._too_large())
            return None
        self._progress = time.monotonic()
        params = cgi_params(self._brief.head)
        encoded = fastcgi.encode_stream(fastcgi.PARAMS, _REQUEST_ID, params)
        self._send(_BEGIN + encoded + _END_OF_PARAMS)
        if self._upgradable:
            # It has no body, and what follows it would not be records.
            self._send(_END_OF_STDIN)
            self._decided = asyncio.get_running_loop().create_future()
        self._take_link()
        if self._decided is not None:
            self._schedule_flush()
            return self._decide(self._decided)
        if has_body:
            self._schedule_flush()
        # Otherwise finish() follows at once, and the whole request goes out in one write.
        self._may_continue = True
        return None

    async def _decide(self, decided: asyncio.Future[Tunnel | None]) -> None:
        """Wait until the app has taken up a request for a WebSocket, or answered it in another way.
        Other requests are not waited for.

        Only while Tornado waits for this can the connection be taken from it.
        """
        with self._watching_client():
            tunnel = await decided
        if tunnel is not None:
            tunnel.connect(self._connection.detach())
        self._may_continue = True

    # The client's side: what Tornado calls.

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece of the request's body.

        :returns: ``None``, or what to wait for before the next piece is read.
        """
        if self._ended or self._response_complete:
            return None
        self._received += len(chunk)
        limit = self._brief.limits.max_body_size
        if limit and self._received > limit:
            self._refuse(self._too_large())
            return None
        self._send(fastcgi.encode_stream(fastcgi.STDIN, _REQUEST_ID, chunk))
        congested = self._link is not None and self._link.is_congested
        if self._unsent_size < _COALESCE and not congested:
            self._schedule_flush()
            return None
        return self._flush_and_wait()

    def finish(self) -> None:
        """The client has sent its whole request."""
        self._request_read = True
        if self._response_complete:
            self._finish_response()
        elif not self._ended:
            if not self._upgradable:
                self._send(_END_OF_STDIN)
            self._flush()

    def on_connection_close(self) -> None:
        """The client has left. The link is closed, so the app hears of it at its next write."""
        if not self._ended:
            self._end(whole=False)

    # The link's side.

    def records_received(self, records: list[fastcgi.Record]) -> None:
        """The responder sent records."""
        self._progress = time.monotonic()
        if self._unanswered and self._was_not_begun(records[0]) and self._try_again():
            return
        self._unanswered = False
        self._sent = None
        body: list[bytes] = []
        end = None
        for record in records:
            type, request_id, content = record
            if type == fastcgi.STDOUT and request_id == _REQUEST_ID:
                body.append(content)
            elif type == fastcgi.STDERR and request_id == _REQUEST_ID:
                self._log += content
                if len(self._log) > _LOG_LIMIT:
                    self._flush_log()
            elif type == fastcgi.END_REQUEST and request_id == _REQUEST_ID:
                try:
                    end = fastcgi.decode_end_request(content)
                except fastcgi.ProtocolError as error:
                    self.link_lost(error)
                    return
                if record is not records[-1]:
                    self._request_sent = False  # what speaks on is not fit for another request
                break
        data = body[0] if len(body) == 1 else b"".join(body)
        try:
            if self._head_parser is not None:
                self._head_received(data, end)
            elif data:
                self._body_received(data)
        except MalformedResponse as error:
            self._refuse(
                GatewayError(
                    502, "bad-answer", f"What answers for this app is not a responder: {error}."
                )
            )
            return
        if end is not None and not self._ended:
            self._response_ended(end)

    def _was_not_begun(self, record: fastcgi.Record) -> bool:
        """Whether a responder that is stopping says that it has not begun with the request."""
        if record.type != fastcgi.END_REQUEST or len(record.content) != 8:
            return False
        return fastcgi.decode_end_request(record.content).protocol_status == fastcgi.OVERLOADED

    def bytes_received(self, data: bytes) -> None:
        """A link of this class carries records only; the tunnel has those that do not."""

    def bytes_ended(self) -> None:
        """The same."""

    def link_lost(self, error: Exception) -> None:
        """The link ended before the response did."""
        if self._ended:
            return
        if self._is_unseen(error) and self._try_again():
            return
        if isinstance(error, fastcgi.ProtocolError):
            error = GatewayError(
                502, "bad-answer", f"What answers for this app does not speak FastCGI: {error}."
            )
        self._refuse(error)

    def check_time(self, now: float) -> None:
        """End the exchange where the app has been silent for too long."""
        silence = now - self._progress
        limits = self._brief.limits
        if self._ended or self._response_complete:
            return
        if not (self._request_read or self._upgradable or self._blocked):
            return  # it is the client that the exchange waits for
        if self._status == 0:
            if 0 < limits.response_timeout < silence:
                self._refuse(
                    GatewayError(
                        504,
                        "response-timeout",
                        f"The app did not answer within {limits.response_timeout:g} seconds"
                        " (FlaskServe.response_timeout). Its kernel may be stopped, or the view"
                        " takes longer than that.",
                    )
                )
        elif self._client_is_slow:
            self._progress = now
        elif 0 < limits.stream_timeout < silence:
            self._brief.on_log(
                f"closed a response after {limits.stream_timeout:g} seconds of silence"
                " (FlaskServe.stream_timeout)"
            )
            self._refuse(LinkLost("the response was silent for too long"))

    @property
    def _client_is_slow(self) -> bool:
        """Whether it is the client, and not the app, that the response waits for."""
        return self._written is not None and not self._written.done()

    # Sending the request.

    def _take_link(self) -> None:
        self._link = self._pool.take_idle(self)
        if self._link is None:
            self._taken = asyncio.get_running_loop().create_future()
            self._taking = asyncio.ensure_future(self._wait_for_link(self._taken))

    async def _wait_for_link(self, taken: asyncio.Future[None]) -> None:
        try:
            link = await self._pool.take(self)
        except asyncio.CancelledError:
            taken.cancel()
            raise
        except Exception as error:  # OSError: nobody listens; GatewayError: the pool's limits
            self._taking = None
            if not (isinstance(error, OSError) and self._try_again()):
                self._refuse(error)
            taken.cancel()
            return
        self._taking = None
        if self._ended:
            self._pool.give_back(link)
            return
        self._link = link
        if not taken.done():
            taken.set_result(None)
        self._flush()

    def _try_again(self) -> bool:
        """Send the request over another link, if the app has not seen it: once to the responder it
        was meant for, and once to each that has come in its place.

        :returns: whether there is one to try.
        """
        pool = self._brief.other_pool() if not self._ended else None
        if pool is None or self._sent is None or (self._tried_again and pool is self._pool):
            return False
        self._tried_again = True
        self._release_link()
        self._pool = pool
        self._unsent = [self._sent, *self._unsent]
        self._unsent_size += len(self._sent)
        self._sent = b""
        self._writes = 0
        self._request_sent = False
        self._take_link()
        self._schedule_flush()
        return True

    def _is_unseen(self, error: Exception) -> bool:
        """Whether the app cannot have seen the request, to judge by how its link was lost.

        What was sent in one piece, small enough to be read in one, to a peer that closed its socket
        without reading it gives these errors. A peer that read it and then ended gives a plain end.
        """
        if not self._unanswered or self._sent is None:
            return False
        unread = isinstance(error, (BrokenPipeError, ConnectionResetError))
        one_piece = self._writes == 1 and len(self._sent) <= _ONE_READ
        return not self._sent or (one_piece and unread)

    def _send(self, data: bytes) -> None:
        self._unsent.append(data)
        self._unsent_size += len(data)

    def _schedule_flush(self) -> None:
        """Write soon: what comes in the same turn of the event loop goes into the same write."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> asyncio.Future[None] | None:
        self._flush_scheduled = False
        if self._link is None or self._ended:
            return None
        writable = None
        if self._upgradable:
            self._link.expect_upgrade()
        if self._unsent:
            if self._link.is_lost:  # before it was this request's, or it would have been told
                self.link_lost(LinkLost("the link ended"))
                return None
            if not self._link.is_open:  # it is about to be told: there may be an answer to take
                return None
            data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_size = 0
            self._progress = time.monotonic()
            self._keep(data)
            try:
                writable = self._link.write(data)
            except LinkLost as error:
                self.link_lost(error)
                return None
        self._request_sent = self._request_read
        return writable

    def _keep(self, data: bytes) -> None:
        """Keep what is sent for a second try, while it is little."""
        self._writes += 1
        if self._sent is not None:
            few = len(self._sent) + len(data) < _COALESCE
            self._sent = self._sent + data if few else None

    async def _flush_and_wait(self) -> None:
        self._blocked = True
        try:
            with self._watching_client():
                if self._taken is not None and not self._taken.done():
                    await asyncio.shield(self._taken)
                writable = self._flush()
                if writable is not None:
                    await asyncio.shield(writable)
        except (LinkLost, asyncio.CancelledError):
            return  # the exchange has been ended from elsewhere
        finally:
            self._blocked = False

    @contextlib.contextmanager
    def _watching_client(self) -> Iterator[None]:
        """Hear of a client that leaves while nothing is being read from it."""
        stream = self._connection.stream
        stream.set_close_callback(self.on_connection_close)
        self._notice_client()
        try:
            yield
        finally:
            if not stream.closed():
                stream.set_close_callback(None)

    # Writing the response.

    def _head_received(self, data: bytes, end: fastcgi.EndRequest | None) -> None:
        """Take bytes of the response's beginning; write the head once it is whole."""
        assert self._head_parser is not None
        found = self._head_parser.feed(data) if data else None
        if found is None:
            if end is not None:
                self._refuse(_no_answer(end))
            return
        head, body = found
        self._head_parser = None
        if head.status == 101:
            self._upgrade(body)
        else:
            self._write_head(head, body)

    def _upgrade(self, body: bytes) -> None:
        """The responder has turned the link into a stream of bytes."""
        link = self._link
        if not self._upgradable or self._decided is None or link is None or body:
            raise MalformedResponse("it switches protocols without having been asked to")
        link.upgrade()
        self._link = None
        self._status = 101
        self._ended = True
        self._flush_log()
        self._decided.set_result(
            Tunnel(
                link,
                response_headers=self._brief.response_headers,
                on_end=lambda problem: self._tunnel_ended(link, problem),
            )
        )

    def _tunnel_ended(self, link: Link, problem: str | None) -> None:
        self._pool.retire(link)
        if problem is not None:
            self._brief.on_log(problem)
        self._brief.on_end(101, problem is None)

    def _write_head(self, head: ResponseHead, body: bytes) -> None:
        self._settle()
        self._status = head.status
        if head.status == 204:  # it has no content, nor a length of it (RFC 9110 §8.6)
            head = head._replace(headers=[h for h in head.headers if h[0].lower() != _LENGTH])
        lines = HeaderLines(self._brief.response_headers(head))
        method = self._brief.head.method
        self._bodyless = method == "HEAD" or head.status in (204, 304)
        if "Content-Length" in lines:
            self._remaining = int(lines["Content-Length"])
        framed = self._brief.head.version == "HTTP/1.1" or self._remaining is not None
        if not framed and not self._bodyless:
            # Only the end of the connection ends this body, so it cannot be kept alive.
            self._close_delimited = True
            self._request.headers.pop("Connection", None)
        start = ResponseStartLine("HTTP/1.1", head.status, _as_utf8(head.reason))
        chunk = self._cut(body)
        self._wait_for_client(self._connection.write_headers(start, lines, chunk))

    def _body_received(self, data: bytes) -> None:
        chunk = self._cut(data)
        if chunk:
            self._wait_for_client(self._connection.write(chunk))

    def _cut(self, data: bytes) -> bytes:
        """The part of the app's bytes that the response's head has room for."""
        if self._bodyless:
            return b""
        if self._remaining is not None:
            data = data[: self._remaining]
            self._remaining -= len(data)
        return data

    def _wait_for_client(self, written: asyncio.Future[None]) -> None:
        """Read no more from the link until the client has taken what was written."""
        self._written = written
        if written.done():
            written.exception()
            self._notice_client()
        else:
            if self._link is not None:
                self._link.pause_reading()
            written.add_done_callback(self._client_took)

    def _client_took(self, written: asyncio.Future[None]) -> None:
        written.exception()
        if self._link is not None:
            self._link.resume_reading()
        self._notice_client()

    def _notice_client(self) -> None:
        """End the exchange if the client has left, which Tornado tells only of a request that it
        has read."""
        stream = self._connection.stream
        if stream is not None and stream.closed():
            self.on_connection_close()

    def _response_ended(self, end: fastcgi.EndRequest) -> None:
        whole = self._bodyless or self._remaining in (None, 0)
        if end.app_status or end.protocol_status or not whole:
            self._refuse(LinkLost("the app failed in the middle of its response"))
            return
        self._complete()

    def _complete(self) -> None:
        """The whole response has been written. End once the client has sent its whole request."""
        self._response_complete = True
        self._release_link()
        unread = not self._may_continue and expects_continue(self._request)
        if self._request_read or unread:
            self._finish_response()
        else:
            self._lingering = asyncio.get_running_loop().call_later(LINGER, self._finish_response)

    def _finish_response(self) -> None:
        if self._ended:
            return
        if self._close_delimited and self._written is not None:
            self._written.add_done_callback(lambda _: self._connection.close())
        else:
            try:
                self._connection.finish()
            except HTTPOutputError:  # which has closed the connection
                self._end(whole=False)
                return
        self._end(whole=True)

    # Ends.

    def _refuse(self, error: Exception) -> None:
        """End without the app's response, or without the rest of it."""
        if self._ended or self._response_complete:
            return
        if self._status:
            self._truncate()
            self._end(whole=False)
            return
        self._stop_taking()
        answer = self._brief.on_error(error)
        self._status = answer.status
        self._release_link()
        self._settle()
        write_answer(self._connection, self._brief.head.method, answer)
        self._complete()

    def _truncate(self) -> None:
        """Close the connection so that the client cannot take what it has for the whole."""
        stream: Any = self._connection.stream
        if self._close_delimited and stream is not None and not stream.closed():
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._connection.close()

    def _settle(self) -> None:
        """The request stays an ordinary one."""
        if self._decided is not None and not self._decided.done():
            self._decided.set_result(None)

    def _end(self, *, whole: bool) -> None:
        self._ended = True
        if self._lingering is not None:
            self._lingering.cancel()  # it would keep all of the exchange until then
        self._settle()
        self._stop_taking()
        self._release_link()
        self._flush_log()
        self._brief.on_end(self._status, whole)

    def _stop_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        if self._taken is not None:
            self._taken.cancel()  # the task may not have begun, and then would not do it

    def _release_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.resume_reading()
            if self._response_complete and self._request_sent:
                self._pool.give_back(link)
            else:
                self._pool.discard(link)

    def _flush_log(self) -> None:
        if self._log:
            text = self._log.decode("utf-8", "replace")
            self._log = b""
            self._brief.on_log(text.rstrip("\n"))

    def _too_large(self) -> GatewayError:
        return GatewayError(
            413,
            "body-too-large",
            f"The request's body is larger than {self._brief.limits.max_body_size} bytes"
            " (FlaskServe.max_body_size).",
        )


def _as_utf8(reason: str) -> str:
    """Undo the decoding of a reason's bytes: of the status line, unlike of headers, Tornado writes
    UTF-8. A reason in ISO-8859-1 stays readable but changes its encoding."""
    if reason.isascii():
        return reason
    try:
        return reason.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return reason


def _no_answer(end: fastcgi.EndRequest) -> Exception:
    """What an END_REQUEST without a response means."""
    if end.protocol_status == fastcgi.OVERLOADED:
        return ConnectionRefusedError("the responder has stopped")
    if end.protocol_status != fastcgi.REQUEST_COMPLETE:
        return GatewayError(
            502,
            "bad-answer",
            "What answers for this app refused the request"
            f" (FastCGI status {end.protocol_status}).",
        )
    return GatewayError(502, "no-answer", "The app ended without giving a response.")
