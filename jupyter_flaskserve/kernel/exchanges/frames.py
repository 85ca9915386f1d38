"""Counts the messages of a WebSocket as its bytes go by (RFC 6455 §5.2)."""

from __future__ import annotations

import threading

__all__ = ["FrameCounter"]

_FIN = 0x80
_MASKED = 0x80
_LAST_DATA_OPCODE = 2  # continuation, text and binary; from 8 on they are control frames
_HEAD_LIMIT = 65536  # bytes


class FrameCounter:
    """Counts in one direction. It changes no bytes, keeps at most a frame's head, and never raises:
    where the bytes are no frames it counts nonsense.

    :param after_head: whether the frames come after the head of an HTTP response, as they do on
        their way to the client. Where that is no 101 there are no frames.
    :ivar messages: data messages whose last frame has begun.
    :ivar size: bytes of frames.
    """

    __slots__ = ("_head", "_left", "_lock", "_partial", "messages", "size")

    def __init__(self, *, after_head: bool = False) -> None:
        self.messages = 0
        self.size = 0
        # Libraries send pings from threads of their own. Guards all of this. Reentrant, because a
        # finalizer that closes the WebSocket may run in the middle.
        self._lock = threading.RLock()
        self._head: bytes | None = b"" if after_head else None  # as long as it has not ended
        self._partial = b""  # the beginning of a frame's head
        self._left = 0  # bytes of the frame's payload that are still to come

    def feed(self, data: bytes | bytearray | memoryview, size: int | None = None) -> None:
        """Take the next bytes, cut anywhere.

        :param size: how many bytes of ``data`` they are, if not all.
        """
        if type(data) is not bytes or size is not None:
            try:
                data = memoryview(data).cast("B")[:size]
            except (TypeError, ValueError):  # the socket has taken it, so count what can be
                return
        with self._lock:
            if self._head is not None:
                data = self._after_head(bytes(data))
            self.size += len(data)
            self._count(data)

    def _after_head(self, data: bytes) -> bytes:
        """What follows the response's head."""
        head = (self._head or b"") + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head[:16] + head[16:][-3:] if len(head) > _HEAD_LIMIT else head
            return b""
        if head.startswith(b"HTTP/1.1 101"):
            self._head = None
            return head[end + 4 :]
        self._head = b""  # it is refused; what else there may be are no frames
        return b""

    def _count(self, data: bytes | bytearray | memoryview) -> None:
        if self._partial:
            data = self._partial + bytes(data)
            self._partial = b""
        position, end = self._left, len(data)
        while position < end:
            if end - position < 2:
                break
            first, second = data[position], data[position + 1]
            size = second & 0x7F
            head = 6 if second & _MASKED else 2
            if size > 125:
                width = 2 if size == 126 else 8
                head += width
                if end - position < head:
                    break
                size = int.from_bytes(data[position + 2 : position + 2 + width], "big")
            elif end - position < head:
                break
            if first & _FIN and first & 0x0F <= _LAST_DATA_OPCODE:
                self.messages += 1
            position += head + size
        if position < end:
            self._partial = bytes(data[position:])
            position = end
        self._left = position - end
