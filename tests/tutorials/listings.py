"""The listings of Flask's documentation, read from its source distribution.

They are taken when the tests run, for the version of Flask that is installed; none is kept here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

__all__ = ["Listing", "NotToBeHad", "download", "listings"]

_DIRECTIVE = re.compile(r"\s*\.\. (?:code-block|sourcecode|code)::\s*(\S*)\s*$")
_ANY_DIRECTIVE = re.compile(r"\s*\.\. ")
_OPTION = re.compile(r"\s+:[\w-]+:")
_UNDERLINE = re.compile(r"([=\-~`^'\"*+#])\1{2,}$")


class NotToBeHad(Exception):
    """The source distribution could not be downloaded."""


@dataclass(frozen=True)
class Listing:
    """One listing of a page.

    :ivar title: the section it is in, with a number from the section's second listing on.
    :ivar language: what the page says it is written in; ``pycon`` for a session with the
        interpreter.
    :ivar text: the listing, without the indentation that it has in the page.
    """

    title: str
    language: str
    text: str


def download(directory: Path) -> Path:
    """Download and unpack the source distribution of the Flask that is installed.

    :returns: its ``docs`` directory.
    :raises NotToBeHad: pip could not download it. The message ends with what pip said.
    """
    wanted = f"flask=={version('flask')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-binary", "flask", wanted]
    try:
        subprocess.run(
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=100
        )
        (archive,) = directory.glob("*.tar.gz")
    except subprocess.CalledProcessError as error:
        raise NotToBeHad(f"pip cannot download the source of {wanted}: {error.stderr}") from None
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise NotToBeHad(f"pip cannot download the source of {wanted}: {error}") from None
    with tarfile.open(archive) as opened:
        opened.extractall(directory, filter="data")
    (docs,) = directory.glob("*/docs")
    return docs


def listings(page: str) -> list[Listing]:
    """The listings of a page in their order.

    :param page: the page as reStructuredText.
    """
    found: list[Listing] = []
    titles: dict[str, int] = {}
    for section, language, text in _blocks(page.splitlines()):
        count = titles[section] = titles.get(section, 0) + 1
        title = section if count == 1 else f"{section} {count}"
        found.append(Listing(title, language, text))
    return found


def _blocks(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """The section, language and text of each listing."""
    section = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        following = lines[number + 1] if number + 1 < len(lines) else ""
        directive = _DIRECTIVE.match(line)
        number += 1
        if line.strip() and _UNDERLINE.match(following) and len(following) >= len(line.rstrip()):
            section = line.strip()
            number += 1
        elif line.lstrip().startswith(">>> "):
            end = next((n for n in range(number, len(lines)) if not lines[n].strip()), len(lines))
            yield section, "pycon", _dedented(lines[number - 1 : end])
            number = end
        elif directive or (line.rstrip().endswith("::") and not _ANY_DIRECTIVE.match(line)):
            while directive and number < len(lines) and _OPTION.match(lines[number]):
                number += 1
            end = _end(lines, number, deeper_than=_indent(line))
            text = _dedented(lines[number:end])
            if text:
                language = directive[1] if directive else "python"
                if text.startswith(">>> "):
                    language = "pycon"
                yield section, language, text
            number = end


def _end(lines: list[str], start: int, *, deeper_than: int) -> int:
    """Where the lines end that are blank or indented by more than some characters."""
    end = start
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > deeper_than):
        end += 1
    return end


def _dedented(lines: list[str]) -> str:
    return textwrap.dedent("\n".join(lines)).strip("\n")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
