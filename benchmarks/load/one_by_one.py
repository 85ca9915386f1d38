"""One request after the other over one connection, where few are answered in the time there is.

wrk adds latencies for requests that it could not send while it waited. Where requests are few and
some take long, as beside a busy cell, those make the median another one.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..contenders.contender import Contender
from .failed import Failed
from .wrk import Load

__all__ = ["one_by_one"]

_TIMEOUT = 30.0  # seconds for one request


def one_by_one(
    contender: Contender,
    path: str,
    *,
    seconds: float,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Ask for one path again and again. The last request is waited for.

    :param body: what is posted, if anything is.
    :param headers: more headers.
    :raises Failed: no request was answered.
    """
    method = "GET" if body is None else "POST"
    target = urlsplit(contender.url + path).path
    latencies: list[float] = []
    errors: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=_TIMEOUT)
    with contextlib.closing(connection):
        begin = now = time.perf_counter()
        while now < begin + seconds:
            sent = now
            try:
                connection.request(method, target, body, {**contender.headers, **(headers or {})})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()  # the next request opens it again
                errors["timeout" if isinstance(error, TimeoutError) else "read"] += 1
                now = time.perf_counter()
                continue
            now = time.perf_counter()
            if response.status >= 400:
                errors["status"] += 1
            else:
                latencies.append(now - sent)
    if not latencies:
        raise Failed("Not one request was answered.")
    latencies.sort()
    count = len(latencies)
    return Load(
        answered=count,
        rate=count / (now - begin),
        p50=latencies[count // 2],
        p90=latencies[count * 9 // 10],
        p99=latencies[count * 99 // 100],
        longest=latencies[-1],
        errors=dict(errors),
    )
