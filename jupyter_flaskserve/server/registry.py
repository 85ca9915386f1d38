"""The mounts of this server's kernels, as their records tell.

The records' directory is read again only when it has changed, and of its files only those that
are new, so finding a mount costs one ``stat`` however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from .. import records
from ..gateway.links import Connect, LinkPool
from ..records import MalformedRecord, MountRecord

__all__ = ["Registry", "ServedMount", "connect_to"]

_SETTLED = 0.1  # seconds after which a directory's time stamp tells one change from the next
_STOPPED_LIMIT = 1000  # names remembered of kernels that have stopped


@dataclass
class ServedMount:
    """A mount and the links to it."""

    record: MountRecord
    pool: LinkPool
    stamp: tuple[int, int, int]  # of the record's file: time, size, inode


class Registry:
    """The mounts of one server.

    :param server: the id of the server, which its kernels put into their records.
    :param is_own_kernel: whether a kernel of that id is running in this server.
    :param make_pool: makes a pool of at most so many links.
    :param log: where malformed records are reported.
    """

    def __init__(
        self,
        server: str,
        *,
        is_own_kernel: Callable[[str], bool],
        make_pool: Callable[[Connect, int], LinkPool],
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._server = server
        self._is_own_kernel = is_own_kernel
        self._make_pool = make_pool
        self._log = log
        self._directory = records.records_directory()
        self._mounts: dict[str, ServedMount] = {}
        self._stopped: dict[str, MountRecord] = {}  # of kernels that have stopped, oldest first
        self._malformed: dict[str, tuple[int, int, int]] = {}  # file names and stamps
        self._seen_at = 0  # the directory's time stamp when it was read, in nanoseconds
        self._settled = False  # whether nothing can have changed since under the same stamp

    def find(self, name: str) -> ServedMount | None:
        """The live mount of this name, as far as is known without asking its kernel."""
        self._refresh()
        mount = self._mounts.get(name)
        if mount is None or self._is_own_kernel(mount.record.kernel_id):
            return mount
        self.lost(mount)
        return None

    def stopped(self, name: str) -> MountRecord | None:
        """The last record of a name whose kernel has stopped or is being restarted."""
        return self._stopped.get(name)

    def all(self) -> list[ServedMount]:
        """The live mounts, oldest first. Those whose kernel has died are found out here."""
        self._refresh()
        for mount in list(self._mounts.values()):
            own = self._is_own_kernel(mount.record.kernel_id)
            if not own or not (mount.pool.in_use or records.is_live(mount.record)):
                self.lost(mount)
        return sorted(self._mounts.values(), key=lambda mount: mount.record.started)

    def all_stopped(self) -> list[MountRecord]:
        """The records of names whose kernels have stopped, oldest first."""
        return list(self._stopped.values())

    def in_use(self) -> list[ServedMount]:
        """The mounts that are answering requests now."""
        return [mount for mount in self._mounts.values() if mount.pool.in_use]

    def lost(self, mount: ServedMount) -> None:
        """Take note that nobody answers for a mount any more: its kernel has ended."""
        if self._mounts.get(mount.record.name) is mount:
            del self._mounts[mount.record.name]
            self._remember(mount.record)
        mount.pool.close()
        records.release(mount.record)

    def forget(self, name: str) -> None:
        """Remember no longer that a name was served by a kernel that has stopped."""
        self._stopped.pop(name, None)

    def remove_records(self) -> None:
        """Remove the records of this server's mounts, as the server and its kernels end."""
        self._read_directory()
        for mount in self._mounts.values():
            records.release(mount.record)

    def sweep(self) -> None:
        """Remove the records that kernels of any server of this user left when they died."""
        with contextlib.suppress(OSError):
            for path in self._directory.glob("*.json"):
                with contextlib.suppress(OSError, MalformedRecord):
                    record = records.read(path)
                    if not records.is_live(record):
                        records.release(record)

    def _remember(self, record: MountRecord) -> None:
        self._stopped.pop(record.name, None)
        self._stopped[record.name] = record
        if len(self._stopped) > _STOPPED_LIMIT:
            del self._stopped[next(iter(self._stopped))]

    def _refresh(self) -> None:
        try:
            stamp = os.stat(self._directory).st_mtime_ns
        except OSError:
            stamp = -1
        if stamp == self._seen_at and self._settled:
            return
        now = time.time_ns()
        # A change in the same tick of the file system's clock would leave the same stamp.
        self._settled = now - stamp > _SETTLED * 1e9
        self._seen_at = stamp
        self._read_directory()

    def _read_directory(self) -> None:
        found: dict[str, tuple[int, int, int]] = {}
        prefix = f"{self._server}-"
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.name.endswith(".json"):
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
        names = {file[len(prefix) : -len(".json")]: file for file in found}
        for name, mount in list(self._mounts.items()):
            if name not in names:
                self._removed(mount)
        for name, file in names.items():
            stamp = found[file]
            known = self._mounts.get(name)
            if (known is not None and known.stamp == stamp) or self._malformed.get(file) == stamp:
                continue
            self._read_record(name, file, stamp)
        self._malformed = {file: seen for file, seen in self._malformed.items() if file in found}

    def _read_record(self, name: str, file: str, stamp: tuple[int, int, int]) -> None:
        try:
            record = records.read(self._directory / file)
            if record.name != name or record.server != self._server:
                raise MalformedRecord("its name or its server is not that of the file")
        except FileNotFoundError:
            return
        except (MalformedRecord, OSError) as error:
            self._malformed[file] = stamp
            self._log.warning("The mount record %s is left out: %s.", self._directory / file, error)
            return
        known = self._mounts.get(name)
        if known is not None and known.record.generation == record.generation:
            known.record, known.stamp = record, stamp
            return
        if known is not None:
            known.pool.close()
        pool = self._make_pool(connect_to(record), record.threads)
        self._mounts[name] = ServedMount(record, pool, stamp)
        self._stopped.pop(name, None)

    def _removed(self, mount: ServedMount) -> None:
        """A record has gone: its mount was stopped. A kernel that ends leaves its records."""
        mount.pool.close()
        del self._mounts[mount.record.name]


def connect_to(record: MountRecord) -> Connect:
    """Opens connections to a mount's responder."""

    async def connect_unix(make: Callable[[], asyncio.BaseProtocol]) -> _Connection:
        return await asyncio.get_running_loop().create_unix_connection(make, record.socket)

    async def connect_tcp(make: Callable[[], asyncio.BaseProtocol]) -> _Connection:
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(connection, record.tcp_address)
            sent, expected = record.secrets
            await loop.sock_sendall(connection, sent)
            answer = b""
            while len(answer) < len(expected):
                data = await loop.sock_recv(connection, len(expected) - len(answer))
                if not data:
                    break
                answer += data
            if not hmac.compare_digest(answer, expected):
                raise ConnectionRefusedError("another program has the port of the kernel")
            return await loop.create_connection(make, sock=connection)
        except BaseException:
            connection.close()
            raise

    return connect_tcp if record.transport == "tcp" else connect_unix


_Connection = tuple[asyncio.BaseTransport, asyncio.BaseProtocol]
