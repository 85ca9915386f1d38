"""Large bodies: how fast they pass, when the first byte comes, and how much memory that takes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from ..contenders.contender import Contender
from ..contenders.stage import Stage
from ..load.transfer import Transfer, download, memory, upload
from .work import EVERYONE, Column, Pace, Values, Work, titles_of

__all__ = ["Download", "Upload"]

_MIB = 2**20
_RATE = Column("rate", "Rate a second", "MiB", more_is_better=True)
_MEMORY = Column("growth", "Memory growth (and peak)", "MiB")
_KEYS = [key for key in EVERYONE if key not in ("tornado", "jupyter", "ours-panel", "kernel-dash")]


class _TransferWork(Work):
    unit = "MiB"
    titles = titles_of(_KEYS)

    def cases(self, pace: Pace) -> Sequence[int]:
        # What jupyter-server-proxy holds whole has a limit of 100 MB.
        return (64,) if pace.quick and self.key == "upload" else (64, 1024)

    def rounds(self, pace: Pace, case: int) -> int:
        return 1 if pace.quick else min(pace.rounds, 3)

    def prepare(self, stage: Stage, key: str, case: int) -> None:
        self._transfer(stage.contender(key), _MIB)

    def measure(self, stage: Stage, key: str, case: int, pace: Pace) -> Values:
        contender, size = stage.contender(key), case * _MIB
        with memory(contender.processes) as taken:
            transfer = self._transfer(contender, size)
        return Values(
            {
                "rate": size / transfer.seconds,
                "first byte": transfer.first_byte,
                "growth": max(memory.growth for memory in taken.values()),
                **{f"growth of {name}": memory.growth for name, memory in taken.items()},
                **{f"peak of {name}": memory.peak for name, memory in taken.items()},
            }
        )

    @abstractmethod
    def _transfer(self, contender: Contender, size: int) -> Transfer: ...


class Download(_TransferWork):
    key = "download"
    title = "Download"
    columns = (_RATE, Column("first byte", "First byte after", "ms"), _MEMORY)

    def _transfer(self, contender: Contender, size: int) -> Transfer:
        return download(contender, f"download/{size}", size, contender.streaming_headers)


class Upload(_TransferWork):
    key = "upload"
    title = "Upload"
    columns = (_RATE, _MEMORY)

    def _transfer(self, contender: Contender, size: int) -> Transfer:
        return upload(contender, "upload", size)
