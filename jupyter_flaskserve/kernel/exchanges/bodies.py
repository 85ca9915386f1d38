"""What is kept of a body as it goes by."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["BodyRecorder", "RecordedBody"]

_MANY = 256  # small chunks that are put together
_CHUNK_COST = 42  # bytes that Python takes for a chunk besides its own


class RecordedBody(NamedTuple):
    """What is kept of a body.

    :ivar data: the beginning of it, or all.
    :ivar size: how many bytes it has, kept or not.
    """

    data: bytes
    size: int

    @property
    def is_complete(self) -> bool:
        """Whether all of it is kept."""
        return len(self.data) >= self.size

    def __repr__(self) -> str:
        """Without the data: what a cell shows is saved with its notebook."""
        kept = "" if self.is_complete else f", {len(self.data)} of them kept"
        return f"<RecordedBody of {self.size} bytes{kept}>"


class BodyRecorder:
    """Keeps the beginning of a body, as the chunks themselves and not as copies.

    One thread adds; others may read and drop at any time. Each operation on the list of chunks is
    atomic, so there is no lock.

    :ivar size: bytes that went by.
    """

    __slots__ = ("_chunks", "_kept", "_limit", "_small", "size")

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._kept = 0
        self._limit = limit
        self._chunks: list[bytes] | None = []
        self._small = 0  # chunks at the end of the list that have not been put together

    def add(self, chunk: bytes) -> None:
        """Note the next bytes."""
        size = len(chunk)
        self.size += size
        chunks = self._chunks
        if chunks is None or self._kept >= self._limit:
            return
        if self._kept + size > self._limit:
            chunk = chunk[: self._limit - self._kept]  # not to keep a huge chunk for its beginning
            size = len(chunk)
        chunks.append(chunk)
        self._kept += size
        self._small += 1
        if self._small == _MANY:
            chunks[-_MANY:] = [b"".join(chunks[-_MANY:])]
            self._small = 0

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        return 0 if self._chunks is None else self._kept + _CHUNK_COST * self._small

    @property
    def data(self) -> bytes:
        """What is kept."""
        chunks = self._chunks
        return b"".join(tuple(chunks)) if chunks else b""

    def drop(self) -> None:
        """Keep nothing any more, and go on to count."""
        self._chunks = None
