"""Exchanges as a table of pandas."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..exchange import Exchange

__all__ = ["frame"]


def frame(exchanges: Iterable[Exchange]) -> Any:
    """A row for each exchange, with its number as the index and without secrets. Durations are in
    milliseconds.

    :returns: a ``pandas.DataFrame``.
    :raises ImportError: pandas is not installed.
    """
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError:
        raise ImportError(
            "A table needs pandas, which is not installed: pip install pandas"
        ) from None
    rows = [_row(exchange) for exchange in exchanges]
    return pandas.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS).set_index("number")


_COLUMNS = {
    "number": "int64",
    "at": "datetime64[ns, UTC]",
    "method": "str",
    "path": "str",
    "endpoint": "object",
    "rule": "object",
    "status": "Int64",
    "kind": "str",
    "open": "bool",
    "failed": "str",
    "size": "int64",
    "ms": "float64",
    "queue_ms": "float64",
    "view_ms": "float64",
    "streaming_ms": "float64",
}


def _row(exchange: Exchange) -> dict[str, Any]:
    timing = exchange.timing
    return {
        "number": exchange.number,
        "at": datetime.fromtimestamp(exchange.started, timezone.utc),
        "method": exchange.method,
        "path": exchange.masked_path,
        "endpoint": exchange.endpoint,
        "rule": exchange.rule,
        "status": exchange.status,
        "kind": exchange.kind,
        "open": exchange.is_open,
        "failed": exchange.failed,
        "size": exchange.size,
        "ms": _milliseconds(exchange.duration),
        "queue_ms": _milliseconds(timing.queue),
        "view_ms": _milliseconds(timing.view),
        "streaming_ms": _milliseconds(timing.streaming),
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
