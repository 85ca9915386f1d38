"""The command line."""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .contenders.processes import MissingProgram, find_program
from .report import DOCUMENT, summary, write_document
from .results import Results
from .run import run
from .work.every import every_work
from .work.work import EVERYONE, Pace, Work

RESULTS = Path(__file__).with_name("results")
FULL = RESULTS / "performance.json"
PART = RESULTS / "part.json"

_QUIET = 0.5  # the load average of a machine that has nothing else to do

# What has to be there for the contenders whose keys have that word in them.
_MODULES = {
    "": ("flask_sock", "websockets"),
    "proxy": ("jupyter_server_proxy",),
    "waitress": ("waitress",),
    "gunicorn": ("gunicorn",),
    "cheroot": ("cheroot",),
}
_PROGRAMS = {"": ("wrk",), "nginx": ("nginx",)}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    :returns: the exit status: 1 where a program is missing, 130 after an interrupt.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    works = every_work()
    if options.list:
        print(*(f"{work.key:22} {work.title}" for work in works), sep="\n")
        print()
        print(*(f"{key:22} {works[0].titles[key]}" for key in EVERYONE), sep="\n")
        return 0
    if options.report is not None:
        try:
            write_document(Results.read(options.report))
        except (OSError, ValueError) as error:
            parser.error(str(error))
        print(f"{DOCUMENT} is written.")
        return 0
    wanted = _wanted(works, options, parser)
    is_part = bool(options.only or options.contender or options.quick)
    pace = Pace(
        rounds=options.rounds or (2 if options.quick else 5),
        seconds=options.seconds or (0.3 if options.quick else 0.5),
        quick=options.quick,
    )
    output = options.output or (PART if is_part else FULL)
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK):
        parser.error(f"{output.parent} cannot be written to.")
    if (load := os.getloadavg()[0]) > _QUIET:
        print(
            f"The machine is busy (load {load:.1f}), so the figures will be unsteady.",
            file=sys.stderr,
        )
    try:
        _check_installed(options.contender or list(EVERYONE))
        results = run(wanted, pace, only=options.contender)
    except MissingProgram as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Nothing is written.", file=sys.stderr)
        return 130
    results.write(output)
    print(*summary(results), sep="\n")
    print(f"\n{output} is written.")
    if not is_part:
        write_document(results)
        print(f"{DOCUMENT} is written.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast apps are served, beside what people would use instead. A run"
        " of everything writes docs/performance.md; a part, or a quick run, writes only figures."
        " Hello, World! over 1 and 32 connections has twice as many turns, twice as long.",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORK", help="these works only")
    parser.add_argument(
        "--contender", nargs="+", default=[], metavar="KEY", help="these contenders only"
    )
    parser.add_argument("--rounds", type=_positive_int, metavar="N", help="turns of each contender")
    parser.add_argument(
        "--seconds", type=_positive_float, metavar="S", help="how long one measurement lasts"
    )
    parser.add_argument(
        "--quick", action="store_true", help="what the targets are about, in fewer rounds"
    )
    parser.add_argument("--list", action="store_true", help="list works and contenders")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the figures go, as JSON")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write the document from these figures again"
    )
    return parser


def _wanted(
    works: list[Work], options: argparse.Namespace, parser: argparse.ArgumentParser
) -> list[Work]:
    """The works that were asked for."""
    known = {work.key for work in works} | {key for work in works for key in work.titles}
    unknown = [word for word in (*options.only, *options.contender) if word not in known]
    if unknown:
        parser.error(f"There is no {', '.join(unknown)}; --list shows what there is.")
    return [work for work in works if not options.only or work.key in options.only]


def _check_installed(keys: Sequence[str]) -> None:
    """
    :param keys: the contenders that are measured.
    :raises MissingProgram: something that they need is not installed.
    """
    modules = _needed(_MODULES, keys)
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingProgram(
            f"{', '.join(missing)} cannot be imported. Run: pip install -e '.[benchmarks]'"
        )
    for name in _needed(_PROGRAMS, keys):
        find_program(name, name)


def _needed(table: Mapping[str, Sequence[str]], keys: Sequence[str]) -> list[str]:
    return [name for word in table if any(word in key for key in keys) for name in table[word]]


def _prepare_process() -> None:
    """Let signals end the run in an orderly way, and allow it many descriptors."""
    # A shell lets what it runs in the background ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # 500 streams through a proxy are more than the 1,024 that are usual.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it has to be 1 or more")
    return number


def _positive_float(text: str) -> float:
    number = float(text)
    if not 0 < number <= 30:
        raise argparse.ArgumentTypeError("it has to be more than 0 and at most 30")
    return number


if __name__ == "__main__":
    _prepare_process()
    sys.exit(main())
