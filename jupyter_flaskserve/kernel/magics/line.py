"""The line of a magic: its words and options, and what is said of those that will not do."""

from __future__ import annotations

import difflib
import shlex
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from typing import NoReturn

from IPython.core.error import UsageError

from ..mount import Mount, mounts

__all__ = ["Parser", "choose_mount", "conjunction", "refuse_option", "split", "whole_number"]


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a whole number") from None


class Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        raise UsageError("A quotation mark is not closed.") from None


def refuse_option(word: str, options: Sequence[str]) -> None:
    """Say that there is no such option, if ``word`` is one."""
    if word.startswith("-"):
        option = word.partition("=")[0]
        near = difflib.get_close_matches(option, options, n=1, cutoff=0.75)
        advice = f"Did you mean {near[0]}?" if near else f"There is {conjunction(options)}."
        raise UsageError(f"There is no option {option}. {advice}")


def conjunction(words: Sequence[str]) -> str:
    """The words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def choose_mount(name: str | None, command: str) -> Mount:
    """The mount of this kernel with a name or, without one, the only mount.

    :param command: what was asked for, such as ``%flaskserve log``, for the message.
    :raises UsageError: there is none, or none of that name, or there are several.
    """
    held = {mount.name: mount for mount in mounts()}
    if not held:
        raise UsageError("This notebook serves nothing. To serve an app: %flaskserve app")
    names = ", ".join(held)
    if name is None:
        if len(held) > 1:
            raise UsageError(f"Which one? This notebook serves: {names}. Write {command} NAME.")
        return next(iter(held.values()))
    if name not in held:
        raise UsageError(f"This notebook does not serve {name}. It serves: {names}.")
    return held[name]
