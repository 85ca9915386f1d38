"""What an open panel of requests does, without a browser, which would take a core of its own.

A page hears over the kernel's channels that there is news, and then asks the inspector for the rows
it has not seen, one question at a time and at most ten in a second (``widgets/requests.js``). So
does the client here, with a widget of the panel in the kernel. What a page does with the rows, it
does on the reader's machine.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .jupyter import Kernel

__all__ = ["open_panel"]

_INTERVAL = 0.1  # seconds between two questions


@contextlib.contextmanager
def open_panel(kernel: Kernel, inspector_path: str) -> Iterator[_Panel]:
    """Look at a panel until the end of the block.

    :param kernel: the kernel that has the panel's widget.
    :param inspector_path: where the inspector of its mount is asked.
    :raises RuntimeError: at the end: it could not ask what a panel asks.
    """
    server = kernel.server
    channels = f"ws://127.0.0.1:{server.port}/api/kernels/{kernel.id}/channels"
    with connect(
        channels, additional_headers=server.headers, max_size=None, proxy=None, compression=None
    ) as news:
        panel = _Panel(kernel, inspector_path)
        panel.ask()
        thread = threading.Thread(target=panel.follow, args=(news,), name="panel")
        thread.start()
        try:
            yield panel
        finally:
            news.close()
            thread.join()
            panel.close()
    if panel.failure is not None:
        raise RuntimeError("The panel's client has failed.") from panel.failure


class _Panel:
    """
    :ivar rows: how many rows it has been given.
    :ivar failure: what has ended it, if anything has.
    """

    def __init__(self, kernel: Kernel, inspector_path: str) -> None:
        self._path = f"{inspector_path}rows"
        self._headers = {**kernel.server.headers, "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", kernel.server.port, timeout=30)
        self._question: dict[str, Any] = {"generation": None, "after": 0, "open": []}
        self._asked = 0.0
        self.rows = 0
        self.failure: Exception | None = None

    def follow(self, news: ClientConnection) -> None:
        """Ask whenever there is news, until that connection is closed."""
        try:
            for text in news:
                if self._is_news(json.loads(text)):
                    time.sleep(max(0.0, self._asked + _INTERVAL - time.monotonic()))
                    self.ask()
        except ConnectionClosed:
            pass
        except Exception as error:
            self.failure = error

    def ask(self) -> None:
        """Ask for the rows that have not been seen."""
        self._connection.request("POST", self._path, json.dumps(self._question), self._headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"The inspector answers {response.status}: {answer}")
        rows = answer["rows"]
        self.rows += len(rows)
        self._question = {
            "generation": answer["generation"],
            "after": max(self._question["after"], answer["last"]),
            "open": [row["n"] for row in rows if row["open"]],
        }
        self._asked = time.monotonic()

    def close(self) -> None:
        self._connection.close()

    def _is_news(self, message: dict[str, Any]) -> bool:
        if message["msg_type"] != "comm_msg":
            return False
        content = message["content"]["data"].get("content", {})
        return isinstance(content, dict) and content.get("kind") == "news"
