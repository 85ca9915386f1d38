"""What one view has printed and logged; of very much, the end."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["OUTPUT_LIMIT", "OutputText"]

OUTPUT_LIMIT = 256 * 1024
"""Characters that are kept of what one exchange printed and logged."""

_PIECE = 4096  # characters up to which small texts are put together


class OutputText:
    """A text to which any thread may add, and which forgets its beginning where it gets long.

    :param lock: that of the exchanges of the mount: with one of its own, who drops a text and a
        finalizer that prints in the middle of a :meth:`write` could wait for each other.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock  # guards all below
        self._pieces: deque[str] = deque()
        self._size = 0  # characters in them
        self._lost = 0  # characters that were before
        self._is_dropped = False  # whether no more is kept

    def write(self, text: str) -> int:
        """Add a text.

        :returns: by how many characters that changes what is kept.
        """
        with self._lock:
            if self._is_dropped:
                return 0
            before = self._size
            if self._pieces and len(self._pieces[-1]) < _PIECE:
                self._pieces[-1] += text
            else:
                self._pieces.append(text)
            self._size += len(text)
            while self._size > OUTPUT_LIMIT:
                first = self._pieces.popleft()
                rest = first[self._size - OUTPUT_LIMIT :]
                if rest:
                    self._pieces.appendleft(rest)
                self._size -= len(first) - len(rest)
                self._lost += len(first) - len(rest)
            return self._size - before

    def read(self, start: int) -> tuple[int, str]:
        """What is kept from its character ``start`` on.

        :returns: the position of the first character there is, and the text.
        """
        with self._lock:
            text = "".join(self._pieces)
            lost = self._lost
        return max(start, lost), text[max(start - lost, 0) :]

    def drop(self) -> int:
        """Keep nothing any more.

        :returns: how many characters that frees.
        """
        if self._is_dropped:
            return 0
        with self._lock:
            self._is_dropped = True
            size, self._size = self._size, 0
            self._lost += size
            self._pieces.clear()
        return size
