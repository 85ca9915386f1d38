"""The files of a project, written so that nothing is lost that a person has changed.

``.flaskserve-export.json`` has the hash of each file as it was written last. A file that is no
longer that, or that was there before, is the person's: it stays, and the new one is written beside
it as ``NAME.new``. The same holds for ``NAME.new`` itself, where a person works on in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .errors import ExportError

__all__ = ["MANIFEST", "Written", "write_project"]

MANIFEST = ".flaskserve-export.json"
_NEW = ".new"


@dataclass
class Written:
    """What was done with each file; the names are relative to the project.

    :ivar written: those that are new or other than before.
    :ivar unchanged: those that are as they were.
    :ivar kept: the person's, beside which the new one is.
    :ivar held: of the new ones beside them those that the person has changed, too.
    :ivar removed: those that the notebook has no more.
    :ivar stale: the person's that the notebook has no more.
    """

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def write_project(
    directory: Path,
    files: Mapping[str, bytes],
    progress: Callable[[str], None] = lambda name: None,
) -> Written:
    """Write a project.

    :param files: their contents, by their names with slashes.
    :param progress: called with each name before it is written.
    :raises ExportError: a file cannot be written, or would be outside the directory.
    """
    done = Written()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        before = _hashes(directory)
        hashes: dict[str, str] = {}
        for name, content in files.items():
            progress(name)
            target = _target(directory, name)
            present = target.read_bytes() if target.is_file() else None
            beside = target.with_name(target.name + _NEW)
            is_ours = beside.is_file() and _hash(beside.read_bytes()) == before.get(name + _NEW)
            # A person may have put the one beside it in its place.
            known = (before.get(name), before.get(name + _NEW))
            if present is None or _hash(present) in (*known, _hash(content)):
                same = present == content
                if not same:
                    _write(target, content)
                (done.unchanged if same else done.written).append(name)
                if not same or any(known):  # else it is a person's that happens to be the same
                    hashes[name] = _hash(content)
                if is_ours:
                    beside.unlink()
            else:
                done.kept.append(name)
                if name in before:
                    hashes[name] = before[name]
                if is_ours or not beside.exists():
                    _write(beside, content)
                    hashes[name + _NEW] = _hash(content)
                elif _hash(beside.read_bytes()) != _hash(content):
                    done.held.append(name + _NEW)
        for name, known_hash in before.items():
            target = _target(directory, name)
            if name in files or name.endswith(_NEW) or not target.is_file():
                continue
            if _hash(target.read_bytes()) == known_hash:
                target.unlink()
                done.removed.append(name)
            else:
                done.stale.append(name)
        _write(directory / MANIFEST, json.dumps(hashes, indent=1, sort_keys=True).encode() + b"\n")
    except OSError as error:
        where = error.filename or directory
        raise ExportError(f"{where} cannot be written: {error.strerror}.") from error
    return done


def _target(directory: Path, name: str) -> Path:
    """Where a file is to be, which is inside the directory whatever its name and whatever links
    are there.

    :raises ExportError: it is not.
    """
    parts = PurePosixPath(name).parts
    target = directory.joinpath(*parts)
    root = directory.resolve()
    inside = target.parent.resolve() == root or root in target.parent.resolve().parents
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or not inside:
        raise ExportError(f"The file {name!r} would be outside {directory}, so it is not written.")
    if target.is_dir():
        raise ExportError(f"{target} is a directory, and a file of that name is to be written.")
    return target


def _write(target: Path, content: bytes) -> None:
    """Write a file whole or not at all. A link in its place is replaced, not followed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".flaskserve-{secrets.token_hex(8)}")
    # Not as mkstemp() does it: others may read it where the process's mask lets them.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _hashes(directory: Path) -> dict[str, str]:
    try:
        found = json.loads((directory / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
