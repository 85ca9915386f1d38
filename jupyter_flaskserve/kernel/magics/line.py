"""The line of a magic: its words and options, and what is said of those that will not do."""

from __future__ import annotations

import difflib
import shlex
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from IPython.core.error import UsageError

from ..apps import app_variables
from ..mount import Mount, mounts

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "Command",
    "Parser",
    "choose_mount",
    "conjunction",
    "example",
    "refuse_option",
    "split",
    "whole_number",
]


def whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a whole number") from None


class Parser(ArgumentParser):
    """Parses the words of a line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)

    @property
    def options(self) -> tuple[str, ...]:
        """The options there are, short and long ones."""
        return tuple(self._option_string_actions)

    def options_left(self, words: Sequence[str]) -> list[str]:
        """The options that are not among the words yet, under any of their names."""
        actions = self._option_string_actions
        given = [actions[word] for word in words if word in actions]
        return [option for option, action in actions.items() if action not in given]

    def takes_value(self, option: str) -> bool:
        """Whether a word is an option that a value follows."""
        action = self._option_string_actions.get(option)
        return action is not None and action.nargs != 0

    def parse(self, words: Sequence[str]) -> tuple[Namespace, list[str]]:
        """What the words say, and the words that are too many.

        :raises UsageError: there is an option that does not exist, or that lacks its value.
        """
        arguments, rest = self.parse_known_args(words)
        for word in rest:
            refuse_option(word, self.options)
        return arguments, rest


@dataclass(frozen=True)
class Command:
    """A command of ``%flaskserve``.

    :ivar run: does it, with the words after its name. Its docstring is the help of the command.
    :ivar parser: knows its options.
    :ivar takes_mount: whether the name of a mount may follow.
    :ivar first_words: other words that may follow.
    """

    run: Callable[[list[str], InteractiveShell], object]
    parser: Parser
    takes_mount: bool = False
    first_words: tuple[str, ...] = ()


def split(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        raise UsageError("A quotation mark is not closed.") from None


def refuse_option(word: str, options: Sequence[str]) -> None:
    """Say that there is no such option, if ``word`` is one."""
    if word.startswith("-"):
        option = word.partition("=")[0]
        near = difflib.get_close_matches(option, [*options, "--help"], n=1, cutoff=0.75)
        known = conjunction(options or ["--help"])
        advice = f"Did you mean {near[0]}?" if near else f"There is {known}."
        raise UsageError(f"There is no option {option}. {advice}")


def conjunction(words: Sequence[str]) -> str:
    """The words as a list in a sentence."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def example(shell: InteractiveShell) -> str:
    """A line that serves an app of the notebook."""
    return f"%flaskserve {next(iter(app_variables(shell.user_ns)), 'app')}"


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
