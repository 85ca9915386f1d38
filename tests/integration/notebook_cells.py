"""Cells as a front end runs them: each run says which cell it is a run of."""

from __future__ import annotations

import textwrap

import httpx
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_processes import Kernel, Output, RunningCell


class IdentifiedCell(RunningCell):
    """A cell that was sent to the kernel with the cell's id, as JupyterLab sends it.

    :param cell_id: the id; ``None`` for a front end that gives cells none.
    """

    def __init__(self, client: BlockingKernelClient, code: str, cell_id: str | None) -> None:
        self._client = client
        self._output = Output()
        request = client.session.msg(
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": True,
                "stop_on_error": False,  # a kernel aborts what comes just after a failure
            },
            metadata={"cellId": cell_id, "deletedCells": []} if cell_id is not None else {},
        )
        self._message: str = request["header"]["msg_id"]
        client.shell_channel.send(request)


class Notebook:
    """A notebook that is open in a front end.

    :param kernel: its kernel.
    :param ids: whether the front end tells the kernel which cell it runs.
    """

    def __init__(self, kernel: Kernel, *, ids: bool = True) -> None:
        self.kernel = kernel
        self._ids = ids

    def start(self, cell_id: str, source: str) -> IdentifiedCell:
        """Start a cell that keeps running."""
        return IdentifiedCell(
            self.kernel._client, textwrap.dedent(source), cell_id if self._ids else None
        )

    def run(self, cell_id: str, source: str, *, seconds: float = 30) -> Output:
        """Run a cell to its end.

        :raises CellError: the cell failed.
        """
        return self.start(cell_id, source).wait(seconds)

    def client(self, name: str, **options: object) -> httpx.Client:
        """A browser at the address of what is served under a name."""
        return self.kernel.server.client(name, **options)
