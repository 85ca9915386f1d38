"""What atheris (libFuzzer) feeds bytes to: each parser that reads what a peer or a file says.

    python tests/fuzz/targets.py TARGET [options of libFuzzer, as -max_total_time=180] DIRECTORY

The directory takes the inputs that are worth keeping.

A target fails where a parser raises anything but its own error, where the same bytes give something
else when they come in other pieces, or where it lets through what it promises to keep out.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import atheris

with atheris.instrument_imports(include=["jupyter_flaskserve"]):
    from jupyter_flaskserve import fastcgi
    from jupyter_flaskserve.gateway.response import HeadParser, MalformedResponse
    from jupyter_flaskserve.kernel.responder.environ import make_environ
    from jupyter_flaskserve.records import MalformedRecord, MountRecord, is_name

Result = TypeVar("Result")

HEAD_LIMIT = 2000  # bytes


def in_pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The bytes behind the first two, and these cut where those say."""
    cuts, rest = data[:2], data[2:]
    edges = sorted({0, len(rest), *(cut * len(rest) // 256 for cut in cuts)})
    return rest, [rest[a:b] for a, b in itertools.pairwise(edges)]


def same(parse: Callable[[Iterable[bytes]], Result], data: bytes) -> Result:
    """What bytes are, which must be the same however they come."""
    whole, pieces = in_pieces(data)
    found = parse([whole])
    assert parse(pieces) == found
    assert parse(bytes((byte,)) for byte in whole) == found
    return found


def records(data: bytes) -> None:
    """The records of a link."""

    def parse(pieces: Iterable[bytes]) -> tuple[list[fastcgi.Record], bool]:
        reader = fastcgi.RecordReader()
        found: list[fastcgi.Record] = []
        try:
            for piece in pieces:
                taken = reader.feed(piece, limit=1)
                while taken:
                    found += taken
                    taken = reader.feed(b"", limit=1)
        except fastcgi.ProtocolError:
            return found, True
        return found, False

    for record in same(parse, data)[0]:
        encoded = fastcgi.encode_record(*record)
        assert fastcgi.RecordReader().feed(encoded) == [record]


def parameters(data: bytes) -> None:
    """The parameters of a request."""
    try:
        pairs = fastcgi.decode_pairs(data)
    except fastcgi.ProtocolError:
        pairs = None
    try:
        environ = make_environ(data)
    except fastcgi.ProtocolError:
        assert pairs is None
        return
    assert pairs is not None
    assert fastcgi.decode_pairs(fastcgi.encode_pairs(pairs)) == pairs
    assert "HTTP_PROXY" not in environ
    assert {"REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "wsgi.url_scheme"} <= environ.keys()


def head(data: bytes) -> None:
    """The head of a response."""

    def parse(pieces: Iterable[bytes]) -> object:
        parser = HeadParser(HEAD_LIMIT)
        found = None
        body = b""
        try:
            for piece in pieces:
                if found is None:
                    found = parser.feed(piece)
                else:
                    body += piece
        except MalformedResponse:
            return None
        return found and (found[0], found[1] + body)

    found = same(parse, data)
    if found:
        (status, reason, headers), _ = found  # type: ignore[misc]
        assert status == 101 or 200 <= status <= 999
        for name, value in [("reason", reason), *headers]:
            assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
            assert not re.search(r"[\r\n\0]", value)


def mount_record(data: bytes) -> None:
    """The file by which a kernel says what it serves."""
    try:
        record = MountRecord.from_json(data)
    except MalformedRecord:
        return
    assert is_name(record.name)
    assert MountRecord.from_json(record.to_json()) == record


SEEDS: dict[Callable[[bytes], None], list[bytes]] = {
    records: [
        b"\x80\xff"
        + fastcgi.encode_begin_request(1)
        + fastcgi.encode_stream(fastcgi.STDOUT, 1, b"abc")
        + fastcgi.encode_end_request(1)
    ],
    parameters: [
        fastcgi.encode_pairs(
            [
                (b"REQUEST_METHOD", b"GET"),
                (b"HTTP_PROXY", b"x"),
                (b"HTTPS", b"on"),
                (b"n", b"v" * 200),
            ]
        )
    ],
    head: [
        b"\x10\x80Status: 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a=b\r\n\r\nabc",
        b"\0\0Location: /\nConnection: x\n\n",
    ],
    mount_record: [
        MountRecord("demo", "0123456789abcdef", "k", 1, "0" * 32, "/run/x.sock", 64, "app", "", 1.5)
        .to_json()
        .encode()
    ],
}
"""The targets, and inputs to begin with."""


def main() -> None:
    targets = {target.__name__: target for target in SEEDS}
    name = sys.argv[1]
    *options, corpus = sys.argv[2:]
    for number, seed in enumerate(SEEDS[targets[name]]):
        targets[name](seed)
        (Path(corpus) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, corpus], targets[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
