"""The variable that a line names: what it holds, and what is said where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from ..apps import app_variables

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["value_of"]


def value_of(path: str, shell: InteractiveShell, commands: Iterable[str] = ()) -> Any:
    """What a variable's name, or a dotted name, stands for.

    :param commands: the words that may have been meant instead.
    :raises UsageError: it stands for nothing.
    """
    first, *attributes = path.split(".")
    if not all(part.isidentifier() for part in (first, *attributes)):
        raise UsageError(
            "%flaskserve takes a variable, such as app or course.app, and no other expression."
            " Assign the app to a variable in a line before."
        )
    if first not in shell.user_ns:
        _refuse_variable(first, shell, commands)
    value = shell.user_ns[first]
    for number, attribute in enumerate(attributes, 1):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            owner = ".".join((first, *attributes)[:number])
            apps = app_variables(vars(value)) if type(value) is ModuleType else []
            advice = f" Its apps are: {', '.join(apps)}." if apps else ""
            raise UsageError(f"{owner} has no attribute {attribute}.{advice}") from None
    return value


def _refuse_variable(name: str, shell: InteractiveShell, commands: Iterable[str]) -> NoReturn:
    apps = app_variables(shell.user_ns)
    near = difflib.get_close_matches(name, apps, n=1) or difflib.get_close_matches(
        name, list(commands), n=1, cutoff=0.8
    )
    if near:
        advice = f"There is no variable {name}. Did you mean: %flaskserve {near[0]}"
    elif apps:
        advice = f"There is no variable {name}. The apps here are: {', '.join(apps)}."
    else:
        advice = (
            f"There is no variable {name}, and no app yet."
            " Run the cell that makes it, then this one again."
        )
    raise UsageError(advice)
