"""The files of a WSGI environ: ``wsgi.input``, ``wsgi.errors`` and ``wsgi.file_wrapper``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO

from .link import ClientDisconnected

__all__ = ["BodyInput", "ErrorStream", "FileWrapper"]

_ERRORS_SIZE = 8192  # characters of wsgi.errors kept for the next record


class BodyInput:
    """``wsgi.input``: the request's body, read from the link only as the app asks for it.

    The end of the stream is the end of the body, whether or not its length was announced.

    :param pull: gives the next bytes of the body, and ``b""`` at its end; it raises
        :exc:`ClientDisconnected` where the client left before the end.
    """

    def __init__(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull
        self._ready = b""
        self.ended = False

    def read(self, size: int | None = -1) -> bytes:
        """Read ``size`` bytes, fewer only at the end of the body; all of it without a size."""
        if size is None or size < 0:
            size = sys.maxsize
        if 0 < size <= len(self._ready):
            return self._take(size)
        parts, missing = [], size
        while missing > 0 and self._fill():
            parts.append(self._take(missing))
            missing -= len(parts[-1])
        return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """Read what has arrived, at least one byte unless the body has ended."""
        if size == 0 or not self._fill():
            return b""
        return self._take(len(self._ready) if size < 0 else size)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into ``buffer`` until it is full or the body has ended."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        """Read to the end of the line, at most ``size`` bytes."""
        missing = sys.maxsize if size is None or size < 0 else size
        parts = []
        while missing > 0 and self._fill():
            end = self._ready.find(b"\n", 0, missing) + 1
            parts.append(self._take(end or missing))
            missing -= len(parts[-1])
            if end:
                break
        return b"".join(parts)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """Read lines to the end of the body, or until they have ``hint`` bytes together."""
        lines, size = [], 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Read nothing any more: the request is over, and what comes is of the next one."""
        self._pull = _refuse

    def _fill(self) -> bool:
        if not self._ready and not self.ended:
            self._ready = self._pull()
            self.ended = not self._ready
        return bool(self._ready)

    def _take(self, size: int) -> bytes:
        data = self._ready[:size]
        self._ready = self._ready[size:]
        return data


def _refuse() -> bytes:
    raise ClientDisconnected("the request is over, so no more of its body can be read")


class FileWrapper:
    """``wsgi.file_wrapper``: a file as an iterable of blocks (PEP 3333, "Optional Platform-Specific
    File Handling")."""

    def __init__(self, file: IO[bytes], block_size: int = 65536) -> None:
        self._file = file
        self._block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self._file.read(self._block_size)
        if not data:
            raise StopIteration
        return data


class ErrorStream:
    """``wsgi.errors``: text for the server's log. It travels with the next bytes of the answer.

    :param copy: is given each text that is written.
    """

    def __init__(self, copy: Callable[[str], None]) -> None:
        self._copy = copy
        self._texts: list[str] = []
        self._size = 0

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        self._copy(text)
        if self._size < _ERRORS_SIZE:
            self._texts.append(text[: _ERRORS_SIZE - self._size])
        self._size += len(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing to do: the text goes out with the next bytes of the answer."""

    def take(self) -> bytes:
        """The text since the last call, as UTF-8."""
        if not self._texts:
            return b""
        text = "".join(self._texts)
        if self._size > _ERRORS_SIZE:
            text += f" … [{self._size - _ERRORS_SIZE} more characters]\n"
        self._texts.clear()
        self._size = 0
        return text.encode("utf-8", "backslashreplace")
