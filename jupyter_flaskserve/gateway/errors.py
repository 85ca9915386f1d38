"""What can go wrong between the gateway and the app, as the client is to be told."""

from __future__ import annotations

__all__ = ["GatewayError"]


class GatewayError(Exception):
    """The app's answer cannot be had.

    :ivar status: the HTTP status that says so: 413, 502, 503 or 504.
    :ivar code: a word for programs, such as ``queue-full``.
    :ivar message: what happened and what to do next, for people.
    :ivar retry_after: seconds after which to try again, where that makes sense.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
