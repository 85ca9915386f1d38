"""A small load on a server: so many connections, each asking again as soon as it has an answer.

Run as a program of its own, so that the kernel's interpreter does not slow it down. It reads a JSON
object with the settings from its standard input, where no other user of the machine can see them,
and prints one with the counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from typing import Any

CHUNK = 256 * 1024  # bytes


class Closed(Exception):
    """The connection has ended."""


async def read_response(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one response to a GET request to its end (RFC 9112 §6.3).

    :returns: its status, and whether the connection stays open.
    :raises Closed: the connection ended first.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status = first.split(" ")[:2]
        fields = {
            name.strip().lower(): value.strip().lower()
            for name, _, value in (line.partition(":") for line in lines if line)
        }
        keep = version == "HTTP/1.1" and fields.get("connection") != "close"
        if status in ("204", "304"):
            pass  # no body, whatever the header says
        elif fields.get("transfer-encoding") == "chunked":
            while size := int((await reader.readline()).split(b";")[0] or b"0", 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        elif "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                left -= len(await reader.readexactly(min(left, CHUNK)))
        else:
            keep = False
            while await reader.read(CHUNK):
                pass
    except (asyncio.IncompleteReadError, ValueError, OSError) as error:
        raise Closed(str(error)) from error
    return int(status), keep


class Load:
    """The counts of a load, and the connections that make it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._request: bytes = settings["request"].encode()
        self.times: list[float] = []
        self.failed = 0
        self._end = 0.0
        self._tls: ssl.SSLContext | None = None
        if settings["tls"]:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE

    async def run(self) -> float:
        """Ask until the time is over, and tell how long that was, in seconds."""
        began = time.monotonic()
        self._end = began + self._settings["seconds"]
        await asyncio.gather(*(self._ask_again() for _ in range(self._settings["connections"])))
        return time.monotonic() - began

    async def _ask_again(self) -> None:
        while time.monotonic() < self._end:
            writer = None
            try:
                reader, writer = await asyncio.open_connection(
                    self._settings["host"], self._settings["port"], ssl=self._tls
                )
                keep = True
                while keep and time.monotonic() < self._end:
                    keep = await asyncio.wait_for(
                        self._ask(reader, writer), self._settings["timeout"]
                    )
            except (Closed, OSError, TimeoutError, asyncio.TimeoutError):
                self.failed += 1
                await asyncio.sleep(0.01)
            finally:
                if writer is not None:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        began = time.monotonic()
        writer.write(self._request)
        status, keep = await read_response(reader)
        if status < 400:
            self.times.append(time.monotonic() - began)
        else:
            self.failed += 1
        return keep


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    load = Load(settings)
    seconds = asyncio.run(load.run())
    times = sorted(load.times)
    median = times[len(times) // 2] if times else None
    print(
        json.dumps(
            {
                "requests": len(times),
                "failed": load.failed,
                "seconds": seconds,
                "median": median,
            }
        )
    )


if __name__ == "__main__":
    main()
