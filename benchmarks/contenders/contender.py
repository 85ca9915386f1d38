"""What is measured: one way to serve the app, that has been started."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil

from .jupyter import Kernel

__all__ = ["Contender"]


@dataclass(frozen=True)
class Contender:
    """One way to serve the app.

    :ivar key: the word by which results know it.
    :ivar url: the app's address, with a slash at its end.
    :ivar headers: what each request carries.
    :ivar processes: the ids of the processes that a request goes through, by what they are.
    :ivar kernel: the kernel that the app is in, if it is in one.
    :ivar streaming_headers: what a request carries besides for its response to be streamed.
    :ivar while_measured: what has to go on while it is measured.
    """

    key: str
    url: str
    processes: Mapping[str, int]
    headers: Mapping[str, str] = field(default_factory=dict)
    kernel: Kernel | None = None
    streaming_headers: Mapping[str, str] = field(default_factory=dict)
    while_measured: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def port(self) -> int:
        """The port of the loopback that it is reached at."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def processor_time(self) -> dict[str, float]:
        """How many seconds of processors each of its processes has used so far."""
        found = {}
        for name, pid in self.processes.items():
            times = psutil.Process(pid).cpu_times()
            found[name] = float(times.user + times.system)
        return found

    def head(
        self,
        method: str,
        path: str,
        *,
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """The head of a request.

        :param path: a path under the app's address, without a slash at its beginning.
        :param length: how many bytes of a body follow.
        :param headers: more headers than those that each request carries.
        """
        url = urlsplit(self.url + path)
        lines = {"Host": url.netloc, **self.headers, **(headers or {})}
        if length is not None:
            lines["Content-Length"] = str(length)
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {url.path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")
