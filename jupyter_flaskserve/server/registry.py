"""The mounts of this server's kernels, as their records tell.

The records' directory is read again only when it has changed, and of its files only those that
are new, so finding a mount costs one ``stat`` however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .. import records
from ..gateway.links import LinkPool
from ..records import MalformedRecord, MountRecord

__all__ = ["Registry", "ServedMount", "sweep"]

_TICK = 100_000_000  # nanoseconds after which a directory's time stamp tells a next change
_LONG_TICK = 2_000_000_000  # the same, where file systems count whole seconds
_STOPPED_LIMIT = 1000  # names remembered of kernels that have stopped


@dataclass
class ServedMount:
    """A mount and the links to it.

    :ivar pool: the links to its app.
    :ivar inspector_pool: the links to its inspector, which so answers while the app is busy.
    :ivar websockets: how many WebSockets are open or being opened.
    :ivar touch_next: when its kernel is to be noted as in use again, on the monotonic clock.
    """

    record: MountRecord
    pool: LinkPool
    inspector_pool: LinkPool
    websockets: int = 0
    touch_next: float = 0.0

    def close(self) -> None:
        """Lend no more links and close the idle ones. Requests that have one go on with it."""
        self.pool.close()
        self.inspector_pool.close()


_Stamp = tuple[int, int, int]  # of a file: time, size, inode


class Registry:
    """The mounts of one server.

    :param server: the id of the server, which its kernels put into their records.
    :param is_own_kernel: whether a kernel of that id is running in this server.
    :param serve: makes a mount, with its pools of links, of a record.
    :param log: where malformed records are reported.
    """

    def __init__(
        self,
        server: str,
        *,
        is_own_kernel: Callable[[str], bool],
        serve: Callable[[MountRecord], ServedMount],
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._server = server
        self._is_own_kernel = is_own_kernel
        self._serve = serve
        self._log = log
        self._directory = records.records_directory()
        self._mounts: dict[str, ServedMount] = {}
        self._stopped: dict[str, MountRecord] = {}  # of kernels that have stopped, oldest first
        # What is known of each file: served, left out, or of a mount that was found dead.
        self._stamps: dict[str, _Stamp] = {}
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

    async def find_live(self, name: str) -> ServedMount | None:
        """The live mount of this name, after its kernel has been asked where it is silent."""
        mount = self.find(name)
        if mount is not None:
            await self._probe([mount])
        return self._mounts.get(name)

    async def all(self) -> list[ServedMount]:
        """The live mounts, oldest first. Those whose kernel has died are found out here."""
        self._refresh()
        await self._probe(list(self._mounts.values()))
        return sorted(self._mounts.values(), key=lambda mount: mount.record.started)

    async def _probe(self, mounts: list[ServedMount]) -> None:
        """Find out which of some mounts are dead."""
        silent = [mount for mount in mounts if not mount.pool.in_use]
        probe = partial(_dead, [mount.record for mount in silent])
        dead = await asyncio.get_running_loop().run_in_executor(None, probe)
        for mount in mounts:
            if mount.record in dead or not self._is_own_kernel(mount.record.kernel_id):
                self.lost(mount)

    def all_stopped(self) -> list[MountRecord]:
        """The last records of the names whose kernels have stopped or are being restarted."""
        return list(self._stopped.values())

    def in_use(self) -> list[ServedMount]:
        """The mounts that are answering requests now."""
        return [mount for mount in self._mounts.values() if mount.pool.in_use]

    def lost(self, mount: ServedMount) -> None:
        """Take note that nobody answers for a mount any more: its kernel has ended."""
        record = mount.record
        if self._mounts.get(record.name) is mount:
            del self._mounts[record.name]
            self._stopped.pop(record.name, None)
            self._stopped[record.name] = record
            if len(self._stopped) > _STOPPED_LIMIT:
                del self._stopped[next(iter(self._stopped))]
        mount.close()
        # In a thread: other processes may hold the lock of the records' directory.
        asyncio.get_running_loop().run_in_executor(None, _release_dead, record)

    def forget(self, name: str) -> None:
        """Remember no longer that a name was served by a kernel that has stopped."""
        self._stopped.pop(name, None)

    def remove_records(self) -> None:
        """Remove the records of this server's mounts, as the server and its kernels end."""
        for record in records.read_all():
            if record.server == self._server:
                records.release(record)

    def _refresh(self) -> None:
        try:
            stamp = os.stat(self._directory).st_mtime_ns
        except OSError:
            stamp = -1
        if stamp == self._seen_at and self._settled:
            return
        # A change in the same tick of the file system's clock would leave the same stamp. Some
        # file systems count whole seconds.
        tick = _TICK if stamp % 1_000_000_000 else _LONG_TICK
        self._settled = time.time_ns() - stamp > tick
        self._seen_at = stamp
        self._read_directory()

    def _read_directory(self) -> None:
        found: dict[str, _Stamp] = {}
        prefix = f"{self._server}-"
        with contextlib.suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.name.endswith(".json"):
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        found[entry.name] = (status.st_mtime_ns, status.st_size, status.st_ino)
        names = {file[len(prefix) : -len(".json")]: file for file in found}
        for name in self._mounts.keys() - names.keys():
            # A record has gone: its mount was stopped. A kernel that ends leaves its records.
            self._mounts.pop(name).close()
        known, self._stamps = self._stamps, found
        for name, file in names.items():
            if known.get(file) != found[file] and not self._read_record(name, file):
                del self._stamps[file]
                self._settled = False

    def _read_record(self, name: str, file: str) -> bool:
        """Take in a record that is new or has changed.

        :returns: whether it could be read, or never will be.
        """
        try:
            record = records.read(self._directory / file)
            if record.name != name or record.server != self._server:
                raise MalformedRecord("its name or its server is not that of the file")
            if record.host not in ("", records.this_host()):
                raise MalformedRecord(f"its kernel runs on another machine, {record.host!r}")
        except MalformedRecord as error:
            self._log.warning("The mount record %s is left out: %s.", self._directory / file, error)
            return True
        except OSError:
            return False
        known = self._mounts.get(name)
        if known is not None and known.record.generation == record.generation:
            known.record = record
            return True
        if known is not None:
            known.close()
        self._mounts[name] = self._serve(record)
        self._stopped.pop(name, None)
        return True


def sweep() -> None:
    """Remove what kernels of any server of this user left on this machine when they died."""
    for record in records.read_all():
        if record.host == records.this_host():
            _release_dead(record)


def _dead(mounts: list[MountRecord]) -> list[MountRecord]:
    return [record for record in mounts if not records.is_live(record)]


def _release_dead(record: MountRecord) -> None:
    if not records.is_live(record):
        records.release(record)
