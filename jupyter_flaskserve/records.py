"""The mount record: the small file by which a kernel tells its server what it serves.

A kernel writes one record for each mount into ``flaskserve/`` in Jupyter's runtime directory, the
way Jupyter itself announces kernels and servers there. The file's name holds the server's id and
the mount's name, so one name is held once in one server, and two servers of one user do not meet.

Everything in this module may be imported by the server and by the kernel.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import re
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

if sys.platform != "win32":
    import fcntl

__all__ = [
    "API",
    "BASE_URL_ENV",
    "INSPECTOR",
    "RELOAD_SCRIPT",
    "SERVER_ENV",
    "SERVER_URL_ENV",
    "MalformedRecord",
    "MountRecord",
    "NameTaken",
    "claim",
    "holds_name",
    "is_live",
    "is_name",
    "label",
    "open_private_directory",
    "read",
    "read_all",
    "record_path",
    "records_directory",
    "release",
    "remove_socket",
    "socket_path",
    "this_host",
    "withdraw",
]

SERVER_ENV = "JUPYTER_FLASKSERVE_SERVER"
"""The environment variable by which a kernel learns the id of the server that started it."""

BASE_URL_ENV = "JUPYTER_FLASKSERVE_BASE_URL"
"""The environment variable with that server's base URL, a path that ends in a slash."""

SERVER_URL_ENV = "JUPYTER_FLASKSERVE_SERVER_URL"
"""The environment variable with the full URL at which programs on the same machine reach it."""

API = "api/flaskserve"
"""Where programs and pages ask about mounts, under a server's base URL."""

INSPECTOR = f"{API}/inspector"
"""Where the panels ask about a mount, under a server's base URL: ``{INSPECTOR}/NAME/…``."""

RELOAD_SCRIPT = f"{API}/reload.js"
"""Where the script is by which open pages load themselves again, under a server's base URL."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LOOPBACK = re.compile(r"127\.0\.0\.1:[1-9][0-9]{0,4}")
_SECRET = re.compile(r"[0-9a-f]{128}")
_SERVER_ID = re.compile(r"[0-9a-f]{8,64}")
_RECORD_LIMIT = 64 * 1024  # bytes; a record is a few hundred
_FORMAT = 1
_SOCKET_PATH_LIMIT = 100  # bytes; the least of any system is 104 with the final NUL (macOS)
_LONGEST_SOCKET_PATH = 107  # bytes, on Linux


class MalformedRecord(ValueError):
    """A file in the records' directory is not a mount record of this version."""


class NameTaken(ValueError):
    """Another live kernel of the same server holds the name.

    :ivar record: the record of that kernel's mount.
    """

    def __init__(self, record: MountRecord) -> None:
        super().__init__(record.name)
        self.record = record


@dataclass(frozen=True)
class MountRecord:
    """What the server is told about one mount.

    :ivar name: the mount's name, a DNS label.
    :ivar server: the id of the server whose kernel this is.
    :ivar kernel_id: the kernel's id in that server.
    :ivar pid: the kernel's process.
    :ivar generation: a random word, new each time a mount begins. A restarted kernel keeps its id;
        this tells its mounts from those of the process before.
    :ivar socket: where the responder listens: the path of its Unix domain socket or, with the
        transport ``tcp``, ``127.0.0.1:PORT``.
    :ivar threads: how many requests the responder answers at once.
    :ivar title: what is served, for people: the app's name.
    :ivar notebook: the notebook that serves it, as far as the kernel knows, or an empty string.
    :ivar started: when the mount began, in seconds since the epoch.
    :ivar transport: ``unix`` or ``tcp``.
    :ivar secret: for ``tcp``, 64 hexadecimal digits that the gateway sends on each new connection
        and 64 that the responder answers with, before anything else; otherwise empty.
    :ivar host: the machine the kernel runs on.
    :ivar revision: how often cells have changed what the app answers.
    """

    name: str
    server: str
    kernel_id: str
    pid: int
    generation: str
    socket: str
    threads: int
    title: str
    notebook: str
    started: float
    transport: str = "unix"
    secret: str = ""
    host: str = ""
    revision: int = 0

    def path_under(self, base_url: str) -> str:
        """The mount's address as a URL path, under a server's base URL."""
        return f"{base_url}flaskserve/{self.name}/"

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Host and port of a record whose transport is ``tcp``."""
        host, _, port = self.socket.rpartition(":")
        return host, int(port)

    @property
    def secrets(self) -> tuple[bytes, bytes]:
        """What the gateway sends first on a ``tcp`` connection, and what it gets back."""
        return bytes.fromhex(self.secret[:64]), bytes.fromhex(self.secret[64:])

    def to_json(self) -> str:
        """The text of the record's file."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> MountRecord:
        """Read the text of a record's file.

        :raises MalformedRecord: the text is not a record of this version.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedRecord(f"it is not JSON ({error})") from None
        if not isinstance(data, dict):
            raise MalformedRecord("it is not a JSON object")
        if data.pop("format", None) != _FORMAT:
            raise MalformedRecord(f"its format is not {_FORMAT}")
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = data.get(field.name, None if field.default is MISSING else field.default)
            if not isinstance(value, _FIELD_TYPES[field.type]) or isinstance(value, bool):
                raise MalformedRecord(f"{field.name!r} is missing or not of type {field.type}")
            values[field.name] = value
        record = cls(**values)
        if not is_name(record.name):
            raise MalformedRecord(f"{record.name!r} is not a mount name")
        if not 0 <= record.started < 1e11:  # not a number, or a year beyond 5138
            raise MalformedRecord(f"it started at {record.started}")
        if not 1 <= record.threads <= 100_000:
            raise MalformedRecord(f"{record.threads} threads are out of range")
        if record.transport == "tcp":
            if not _LOOPBACK.fullmatch(record.socket) or not _SECRET.fullmatch(record.secret):
                raise MalformedRecord("its socket is not on the loopback, or it has no secret")
        elif record.transport != "unix" or not _is_socket_path(record.socket):
            raise MalformedRecord("its socket is not a path at which one can be")
        return record


_FIELD_TYPES: dict[Any, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}


def _is_socket_path(path: str) -> bool:
    try:
        size = len(os.fsencode(path))
    except UnicodeEncodeError:
        return False
    return os.path.isabs(path) and "\0" not in path and size <= _LONGEST_SOCKET_PATH


def is_name(name: str) -> bool:
    """Whether ``name`` may name a mount: a DNS label in lower case (RFC 1123 §2.1)."""
    return _NAME.fullmatch(name) is not None


def label(text: str) -> str:
    """Make any text into a mount name: ``Lesson 2`` becomes ``lesson-2``.

    :returns: the name, or an empty string where the text has no ASCII letter or digit.
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def records_directory() -> Path:
    """The directory of the mount records of this user."""
    return Path(jupyter_runtime_dir()) / "flaskserve"


def open_private_directory(path: Path) -> Path:
    """Make a directory that only this user may enter, or check that it is one.

    :returns: ``path``.
    :raises OSError: it cannot be made, or it belongs to somebody else.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform != "win32":
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{path} is not a directory of this user")
        if stat.S_IMODE(status.st_mode) & 0o077:
            path.chmod(0o700)
    return path


def record_path(server: str, name: str) -> Path:
    """Where the record of a name in a server is.

    :raises ValueError: the server's id is not a hexadecimal word.
    """
    if not _SERVER_ID.fullmatch(server):
        raise ValueError(f"{server!r} is not the id of a server")
    return records_directory() / f"{server}-{name}.json"


def socket_path(generation: str) -> Path:
    """A path for a responder's socket, in a directory of mode 0700 that exists.

    A path longer than a socket's may be is replaced by one in the directory for temporary files.
    """
    path = records_directory() / f"{generation}.sock"
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        open_private_directory(path.parent)
        return path
    return Path(tempfile.mkdtemp(prefix="flaskserve-")) / "sock"


def read(path: Path) -> MountRecord:
    """Read a record's file.

    :raises MalformedRecord: it is not a record, or somebody else could have written it.
    :raises OSError: it cannot be read; ``FileNotFoundError`` where there is none.
    """
    # O_NONBLOCK: to open a pipe would wait for its writer.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise MalformedRecord("it is not a regular file")
        if sys.platform != "win32" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise MalformedRecord("another user could have written it")
        text = file.read(_RECORD_LIMIT + 1)
    if len(text) > _RECORD_LIMIT:
        raise MalformedRecord(f"it is longer than {_RECORD_LIMIT} bytes")
    return MountRecord.from_json(text)


def read_all() -> Iterator[MountRecord]:
    """The records of this user, of all servers. Files that cannot be read are passed by."""
    for path in records_directory().glob("*.json"):
        with contextlib.suppress(OSError, MalformedRecord):
            yield read(path)


def claim(record: MountRecord) -> None:
    """Write a record and so take its name, in place of this kernel's or a dead kernel's record.

    Of two kernels that race for a name, one gets it and the other gets :exc:`NameTaken`.

    :raises NameTaken: another live kernel holds the name.
    :raises OSError: the record cannot be written.
    """
    path = record_path(record.server, record.name)
    with _directory_lock(open_private_directory(path.parent)):
        with contextlib.suppress(FileNotFoundError, MalformedRecord):
            holder = read(path)
            if holder.pid != record.pid and is_live(holder):
                raise NameTaken(holder)
        descriptor, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(record.to_json())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def holds_name(record: MountRecord) -> bool:
    """Whether the record is in its place, and so its name is its mount's."""
    try:
        return read(record_path(record.server, record.name)).generation == record.generation
    except (OSError, MalformedRecord):
        return False


def withdraw(record: MountRecord) -> None:
    """Remove a record, unless its name has passed to another mount."""
    path = record_path(record.server, record.name)
    with contextlib.suppress(OSError), _directory_lock(path.parent):
        if holds_name(record):
            path.unlink()


def release(record: MountRecord) -> None:
    """Remove what a mount left whose process has ended: its record and its socket."""
    withdraw(record)
    if record.transport == "unix":
        remove_socket(Path(record.socket))


def remove_socket(path: Path) -> None:
    """Remove a socket's file, and the directory that was made for it alone."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
        if path.parent != records_directory():
            path.parent.rmdir()


def this_host() -> str:
    """The name of this machine. A home directory, and so the records, may be shared with others."""
    return socket.gethostname()


def is_live(record: MountRecord) -> bool:
    """Whether somebody still listens at the record's socket.

    A process that was killed leaves its record and its socket file behind, but nobody listens
    there; this is true of no other state, not even of a process that is stopped.
    """
    tcp = record.transport == "tcp"
    with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(record.tcp_address if tcp else record.socket)
            # A port may have passed to another program; a path in a private directory does not.
            return not tcp or _is_responder(probe, *record.secrets)
        except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
            return False
        except OSError:
            return True


def _is_responder(probe: socket.socket, sent: bytes, expected: bytes) -> bool:
    probe.sendall(sent)
    answer = b""
    while len(answer) < len(expected):
        data = probe.recv(len(expected) - len(answer))
        if not data:
            return False
        answer += data
    return hmac.compare_digest(answer, expected)


@contextlib.contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of the records' directory, so that reading and writing a record are one act."""
    with open(directory / ".lock", "a", opener=_open_private) as file:
        if sys.platform != "win32":
            deadline = time.monotonic() + 5
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(
                            f"{file.name} has been locked by another process for 5 seconds"
                        ) from None
                    time.sleep(0.01)
        yield


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
