"""wrk: as many small requests as a contender answers."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..contenders.contender import Contender
from ..contenders.processes import find_program
from .failed import Failed

__all__ = ["Load", "parse", "run_wrk"]

_SCRIPT = Path(__file__).with_name("wrk.lua")
_LONGEST = 60  # seconds; wrk is told to end before
_END = 30.0  # seconds that it may take to end
_BEGUN = "begun\n"  # what the script says
_MARK = "JSON "


class Load(NamedTuple):
    """What wrk has measured.

    :ivar answered: how many requests were answered well.
    :ivar rate: the same a second.
    :ivar p50: half of the requests took no longer, in seconds; likewise the others.
    :ivar errors: how many requests failed, by how: ``connect``, ``read``, ``write``, ``timeout``,
        and ``status`` for those that were answered with 400 or more. None are left out.
    """

    answered: int
    rate: float
    p50: float
    p90: float
    p99: float
    longest: float
    errors: Mapping[str, int]


def parse(output: str) -> Load:
    """Read what wrk prints with our script.

    :raises Failed: it has measured nothing.
    """
    _, mark, text = output.rpartition(_MARK)
    if not mark:
        raise Failed(f"wrk: {output.strip()[-500:]}")
    figures = json.loads(text)
    if not figures["requests"]:
        raise Failed("Not one request was answered.")
    kinds = ("connect", "read", "write", "status", "timeout")
    answered = figures["requests"] - figures["status"]
    return Load(
        answered=answered,
        rate=answered / figures["seconds"],
        **{name: figures[name] / 1e6 for name in ("p50", "p90", "p99")},
        longest=figures["max"] / 1e6,
        errors={kind: figures[kind] for kind in kinds if figures[kind]},
    )


def run_wrk(
    contender: Contender,
    path: str,
    *,
    connections: int,
    seconds: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Ask for one path again and again.

    :param connections: how many connections are kept, each with one request at a time.
    :param body: what is posted, if anything is.
    :param headers: more headers.
    :raises Failed: no request was answered.
    """
    with tempfile.TemporaryDirectory() as directory:
        command = [
            find_program("wrk", "wrk"), "--threads=1", f"--connections={connections}",
            f"--duration={_LONGEST}", f"--script={_SCRIPT}",
        ]  # fmt: skip
        for name, value in {**contender.headers, **(headers or {})}.items():
            command += ["--header", f"{name}: {value}"]
        command += [contender.url + path, "--"]
        if body is not None:
            file = Path(directory) / "body"
            file.write_bytes(body)
            command.append(str(file))
        return parse(_run(command, seconds))


def _run(command: Sequence[str], seconds: float) -> str:
    """Run wrk for that long. It takes whole seconds only; but an interrupt ends its run, and it
    tells how long that was.

    :returns: what it prints.
    :raises Failed: it does not end.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as wrk:
        try:
            assert wrk.stderr is not None
            complaint = wrk.stderr.readline().removesuffix(_BEGUN)  # an interrupt before is lost
            with contextlib.suppress(subprocess.TimeoutExpired):
                wrk.wait(seconds)
            wrk.send_signal(signal.SIGINT)
            output, complaints = wrk.communicate(timeout=_END)
        except BaseException as error:
            wrk.kill()
            wrk.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Failed(f"wrk has not ended within {_END:g} seconds.") from None
            raise
    return complaint + complaints + output
