"""How many requests are answered in a second, and how long one takes."""

from __future__ import annotations

import http.client
import json
import sys
import time
from dataclasses import dataclass

from . import load
from .contenders.by_hand import AppFailed, ByHand
from .contenders.contender import Contender
from .processes import Workshop
from .wire import Address, ask, head

__all__ = ["Throughput", "loaded_path", "measure_throughput"]

_TIMEOUT = 5.0  # seconds for one answer
_ENDING = 10.0  # seconds for the program that makes the load to end


@dataclass(frozen=True)
class Throughput:
    """What came of a load.

    :ivar path: what was asked for, or empty for a page of the probe's own.
    :ivar per_second: requests that were answered, in a second.
    :ivar median: how long the one in the middle took, in seconds; ``None`` where none was answered.
    :ivar requests: how many were answered.
    :ivar failed: how many were not, or with a status from 400.
    :ivar connections: how many were open at once; 0 where the app was called without any.
    """

    path: str
    per_second: float
    median: float | None
    requests: int
    failed: int
    connections: int


def loaded_path(contender: Contender, path: str) -> str:
    """What a contender is asked for: the app's page if it answers there with a success, else an
    empty string, for the probe's own."""
    try:
        if isinstance(contender, ByHand):
            status = contender.call(path).status
        else:
            assert contender.address is not None
            status = ask(contender.address, path, _TIMEOUT).status
    except (OSError, http.client.HTTPException):
        return ""
    return path if status < 400 else ""


def measure_throughput(
    contender: Contender, path: str, *, seconds: float, connections: int
) -> Throughput:
    """Load a contender.

    :param path: what :func:`loaded_path` returned.
    :param seconds: how long.
    :param connections: how many requests are on their way at once.
    :raises OSError: the program that makes the load does not work.
    """
    target = path or f"{contender.site.prefix}hello"
    if isinstance(contender, ByHand):
        return _call_again(contender, target, path, seconds)
    assert contender.address is not None
    return _load(contender.site.workshop, contender.address, target, path, seconds, connections)


def _call_again(contender: ByHand, target: str, path: str, seconds: float) -> Throughput:
    times: list[float] = []
    failed = 0
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        try:
            succeeded = contender.call(target).status < 400
        except AppFailed:
            succeeded = False
        if succeeded:
            times.append(time.monotonic() - now)
        else:
            failed += 1
    return _throughput(path, times, failed, time.monotonic() - began)


def _throughput(path: str, times: list[float], failed: int, seconds: float) -> Throughput:
    median = sorted(times)[len(times) // 2] if times else None
    return Throughput(path, len(times) / seconds, median, len(times), failed, 0)


def _load(
    workshop: Workshop,
    address: Address,
    target: str,
    path: str,
    seconds: float,
    connections: int,
) -> Throughput:
    settings = {
        "host": address.host,
        "port": address.port,
        "tls": address.tls,
        "request": (head(address, target) + b"\r\n").decode(),
        "seconds": seconds,
        "connections": connections,
        "timeout": _TIMEOUT,
    }
    program = workshop.start(
        [sys.executable, "-I", load.__file__],
        directory=workshop.directory,
        name="load",
        given=json.dumps(settings).encode() + b"\n",
    )
    try:
        counts = json.loads(program.result(seconds + _TIMEOUT + _ENDING))
    finally:
        workshop.stop([program])
    return Throughput(
        path=path,
        per_second=counts["requests"] / counts["seconds"],
        median=counts["median"],
        requests=counts["requests"],
        failed=counts["failed"],
        connections=connections,
    )
