"""A kernel of a running server, spoken to in Jupyter's messaging protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_client.blocking.client import BlockingKernelClient

from .ending import Failure

__all__ = ["KernelClient", "KernelError"]

_POLL_MS = 200
_CONNECT_SECONDS = 60
_IDLE_SECONDS = 2  # how long after a reply its last output may come


class KernelError(Exception):
    """Code that the kernel ran has failed.

    :ivar kind: the exception's name.
    :ivar text: its text.
    :ivar traceback: its traceback as the kernel shows it, with terminal colours.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.kind = str(content.get("ename", content.get("status")))
        self.text = str(content.get("evalue", ""))
        self.traceback = "\n".join(content.get("traceback") or [f"{self.kind}: {self.text}"])
        super().__init__(f"{self.kind}: {self.text}")


class _Message(NamedTuple):
    kind: str
    parent: str
    content: dict[str, Any]


class KernelClient:
    """The kernel behind a connection file. Every wait is short enough for Ctrl-C to be quick.

    :ivar check: raises when the kernel, or the server that started it, has ended.
    """

    def __init__(
        self,
        connection_file: Path,
        *,
        check: Callable[[], None],
        output: Callable[[str, str], None],
    ) -> None:
        """
        :param connection_file: the file by which Jupyter announces the kernel.
        :param check: see above; called several times a second.
        :param output: called with the stream's name and the text when the kernel prints.
        """
        self.check = check
        self._output = output
        self._client = BlockingKernelClient(connection_file=str(connection_file))
        self._client.load_connection_file()
        self._client.start_channels(stdin=False, hb=False, control=False)

    def close(self) -> None:
        """Let go of the connection. The kernel goes on."""
        self._client.stop_channels()

    def connect(self) -> None:
        """Wait until the kernel answers and what it prints arrives.

        :raises Failure: it does not within a minute.
        """
        deadline = time.monotonic() + _CONNECT_SECONDS
        replied = heard = False
        while not (replied and heard):
            if time.monotonic() > deadline:
                raise Failure(f"The kernel has not answered within {_CONNECT_SECONDS} seconds.")
            self._client.kernel_info()
            heard = self._receive(self._client.iopub_channel, _POLL_MS) is not None or heard
            replied = self._receive(self._client.shell_channel, _POLL_MS) is not None or replied
            self.check()

    def execute(
        self, code: str, *, timeout: float | None = None, expression: str | None = None
    ) -> dict[str, Any]:
        """Run code as a cell, or evaluate an expression that leaves no trace in the notebook.

        :param timeout: seconds the code may take.
        :returns: the content of the kernel's reply.
        :raises KernelError: the code has failed.
        :raises TimeoutError: it takes longer.
        """
        request = self._client.execute(
            code,
            silent=expression is not None,
            allow_stdin=False,
            user_expressions={"value": expression} if expression is not None else {},
        )
        deadline = time.monotonic() + timeout if timeout is not None else float("inf")
        reply: dict[str, Any] | None = None
        idle = False
        while reply is None or not idle:
            message = self._receive(self._client.iopub_channel, _POLL_MS)
            if message is not None:
                self._pass_on(message)
                ended = message.kind == "status" and message.content["execution_state"] == "idle"
                idle = idle or (ended and message.parent == request)
            if reply is None:
                answer = self._receive(self._client.shell_channel, 0)
                if answer is not None and answer.parent == request:
                    reply = answer.content
                    deadline = time.monotonic() + _IDLE_SECONDS
            if time.monotonic() > deadline:
                if reply is not None:
                    break
                raise TimeoutError
            self.check()
        if reply["status"] != "ok":
            raise KernelError(reply)
        return reply

    def evaluate(self, expression: str) -> dict[str, Any]:
        """Evaluate an expression among the notebook's variables.

        :returns: its value by media type.
        :raises KernelError: it has failed.
        """
        reply = self.execute("", expression=expression)
        value: dict[str, Any] = reply["user_expressions"]["value"]
        if value["status"] != "ok":
            raise KernelError(value)
        data: dict[str, Any] = value["data"]
        return data

    def relay(self, seconds: float) -> None:
        """Pass on for some time what the kernel prints."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            message = self._receive(self._client.iopub_channel, int(left * 1000) + 1)
            if message is not None:
                self._pass_on(message)

    def _pass_on(self, message: _Message) -> None:
        if message.kind == "stream":
            self._output(message.content["name"], message.content["text"])

    def _receive(self, channel: Any, milliseconds: int) -> _Message | None:
        if not channel.socket.poll(milliseconds):
            return None
        _, message = self._client.session.recv(channel.socket)
        if message is None:
            return None
        return _Message(
            message["header"]["msg_type"],
            message["parent_header"].get("msg_id", ""),
            message["content"],
        )
