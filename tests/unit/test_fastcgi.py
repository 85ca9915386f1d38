"""The wire: FastCGI 1.0 on bytes alone."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_flaskserve import fastcgi
from jupyter_flaskserve.fastcgi import ProtocolError, Record, RecordReader

types = st.integers(0, 255)
request_ids = st.integers(0, 65535)
contents = st.one_of(
    st.binary(max_size=64),
    st.integers(0, fastcgi.MAX_CONTENT).map(lambda size: b"\xa5" * size),
)
records = st.lists(st.builds(Record, types, request_ids, contents), max_size=8)

short_strings = st.binary(max_size=40)
lengths_around_the_switches = st.sampled_from([0, 1, 127, 128, 129, 255, 256, 65534, 65535, 65536])
strings = st.one_of(
    short_strings,
    st.builds(
        lambda size, fill: fill * size,
        lengths_around_the_switches,
        st.binary(min_size=1, max_size=1),
    ),
)
pairs = st.lists(st.tuples(strings, strings), max_size=6)


def header(
    type: int, request_id: int, size: int, *, padding: int = 0, version: int = 1, reserved: int = 0
) -> bytes:
    """The eight bytes of FCGI_Header, laid out as §3.3 lists them."""
    return bytes(
        (
            version,
            type,
            request_id >> 8,
            request_id & 0xFF,
            size >> 8,
            size & 0xFF,
            padding,
            reserved,
        )
    )


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data at the given places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    bounds = zip([0, *places], [*places, len(data)], strict=True)
    return [data[start:stop] for start, stop in bounds]


def read_all(pieces: list[bytes]) -> list[Record]:
    """Read a link that brings these pieces and then ends between two records."""
    reader = RecordReader()
    found = [record for piece in pieces for record in reader.feed(piece)]
    assert reader.between_records
    return found


# Records


@given(records, st.lists(st.integers(0, 600_000), max_size=12))
def test_any_sequence_of_records_comes_back_whatever_the_split(
    sent: list[Record], cuts: list[int]
) -> None:
    wire = b"".join(fastcgi.encode_record(*record) for record in sent)
    assert read_all(split(wire, cuts)) == sent


@given(st.lists(st.builds(Record, types, request_ids, st.binary(max_size=20)), max_size=4))
def test_records_come_back_one_byte_at_a_time(sent: list[Record]) -> None:
    wire = b"".join(fastcgi.encode_record(*record) for record in sent)
    assert read_all([wire[at : at + 1] for at in range(len(wire))]) == sent


@given(
    st.lists(
        st.tuples(types, request_ids, st.binary(max_size=40), st.integers(0, 255), types),
        max_size=6,
    ),
    st.lists(st.integers(0, 3000), max_size=8),
)
def test_padding_and_the_reserved_byte_are_read_over(
    sent: list[tuple[int, int, bytes, int, int]], cuts: list[int]
) -> None:
    wire = b"".join(
        header(type, request_id, len(content), padding=padding, reserved=reserved)
        + content
        + b"\xff" * padding
        for type, request_id, content, padding, reserved in sent
    )
    assert read_all(split(wire, cuts)) == [Record(*record[:3]) for record in sent]


def test_a_record_is_returned_as_soon_as_its_last_byte_is_there() -> None:
    reader = RecordReader()
    wire = fastcgi.encode_record(fastcgi.STDIN, 1, b"body")
    assert reader.feed(wire[:-1]) == []
    assert not reader.between_records
    assert reader.feed(wire[-1:]) == [Record(fastcgi.STDIN, 1, b"body")]
    assert reader.between_records


def test_a_record_waits_for_its_padding() -> None:
    reader = RecordReader()
    assert reader.feed(header(fastcgi.STDIN, 1, 1, padding=2) + b"x\0") == []
    assert reader.feed(b"\0") == [Record(fastcgi.STDIN, 1, b"x")]


def test_a_record_carries_65535_bytes_and_no_more() -> None:
    content = b"x" * 65535
    wire = fastcgi.encode_record(fastcgi.STDOUT, 7, content)
    assert wire[:8] == header(fastcgi.STDOUT, 7, 65535)
    assert read_all([wire]) == [Record(fastcgi.STDOUT, 7, content)]
    with pytest.raises(ValueError, match="65536"):
        fastcgi.encode_record(fastcgi.STDOUT, 7, content + b"x")


@pytest.mark.parametrize("version", [0, 2, 72, 255])
def test_another_version_is_a_protocol_error(version: int) -> None:
    reader = RecordReader()
    with pytest.raises(ProtocolError, match=str(version)):
        reader.feed(header(fastcgi.STDIN, 1, 0, version=version))


def test_an_http_answer_on_the_link_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        RecordReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@given(st.lists(st.binary(max_size=100), max_size=10))
@example([b"\x01", b"\x06\x00\x01\xff\xff\xff\x00"])
def test_arbitrary_bytes_give_records_or_a_protocol_error(pieces: list[bytes]) -> None:
    reader = RecordReader()
    try:
        found = [record for piece in pieces for record in reader.feed(piece)]
    except ProtocolError:
        return
    read = sum(8 + len(record.content) for record in found)
    assert read <= sum(map(len, pieces))


@given(st.builds(Record, types, request_ids, st.binary(max_size=50)), st.data())
def test_a_truncated_record_is_not_returned(record: Record, data: st.DataObject) -> None:
    wire = fastcgi.encode_record(*record)
    reader = RecordReader()
    kept = data.draw(st.integers(0, len(wire) - 1))
    assert reader.feed(wire[:kept]) == []
    assert reader.between_records == (kept == 0)


def test_the_reader_holds_no_more_than_one_unfinished_record() -> None:
    wire = fastcgi.encode_record(fastcgi.STDIN, 1, bytes(65535))
    piece = wire[:50_000]
    rest = wire[50_000:]
    reader = RecordReader()
    reader.feed(piece)
    tracemalloc.start()
    try:
        for _ in range(200):  # 13 MB pass through.
            reader.feed(rest + piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(wire)


def test_a_record_that_comes_in_single_bytes_is_held_once() -> None:
    wire = fastcgi.encode_record(fastcgi.STDIN, 1, bytes(65535))
    reader = RecordReader()
    tracemalloc.start()
    try:
        for at in range(len(wire) - 1):
            assert reader.feed(wire[at : at + 1]) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(wire)
    assert reader.feed(wire[-1:]) == [Record(fastcgi.STDIN, 1, bytes(65535))]


# Streams


@given(st.integers(0, 400_000), types, st.integers(1, 65535))
@example(65528, 6, 1)
@example(65529, 6, 1)
@example(65535, 6, 1)
@example(65536, 6, 1)
@example(131_070, 6, 1)
def test_a_stream_of_any_length_comes_back(size: int, type: int, request_id: int) -> None:
    data = struct.pack("!I", size) * (size // 4 + 1)
    data = data[:size]
    found = read_all([fastcgi.encode_stream(type, request_id, data)])
    assert b"".join(record.content for record in found) == data
    assert {record[:2] for record in found} <= {(type, request_id)}
    assert all(record.content for record in found), "an empty record would end the stream"


def test_an_empty_stream_is_no_record_since_that_would_end_it() -> None:
    assert fastcgi.encode_stream(fastcgi.STDOUT, 1, b"") == b""


@pytest.mark.parametrize("size", [5, 70_000])
def test_a_stream_is_encoded_from_a_memoryview(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    wire = fastcgi.encode_stream(fastcgi.STDOUT, 1, memoryview(data)[:size])
    assert b"".join(record.content for record in read_all([wire])) == data[:size]


# Name-value pairs


@given(pairs)
def test_pairs_of_any_length_come_back_in_order(sent: list[tuple[bytes, bytes]]) -> None:
    assert fastcgi.decode_pairs(fastcgi.encode_pairs(sent)) == sent


def test_repeated_names_stay_repeated() -> None:
    sent = [(b"A", b"1"), (b"B", b"2"), (b"A", b"3")]
    assert fastcgi.decode_pairs(fastcgi.encode_pairs(sent)) == sent


@pytest.mark.parametrize(
    ("name_size", "value_size", "lengths"),
    [
        (3, 4, b"\x03\x04"),  # FCGI_NameValuePair11
        (127, 127, b"\x7f\x7f"),
        (3, 128, b"\x03\x80\x00\x00\x80"),  # FCGI_NameValuePair14
        (128, 4, b"\x80\x00\x00\x80\x04"),  # FCGI_NameValuePair41
        (65535, 65536, b"\x80\x00\xff\xff\x80\x01\x00\x00"),  # FCGI_NameValuePair44
    ],
)
def test_lengths_are_laid_out_as_in_section_3_4(
    name_size: int, value_size: int, lengths: bytes
) -> None:
    pair = (b"n" * name_size, b"v" * value_size)
    wire = lengths + pair[0] + pair[1]
    assert fastcgi.encode_pairs([pair]) == wire
    assert fastcgi.decode_pairs(wire) == [pair]


def test_a_short_length_may_be_written_long() -> None:
    """§3.4 does not ask for the shortest form."""
    wire = b"\x80\x00\x00\x01\x80\x00\x00\x02" + b"n" + b"vv"
    assert fastcgi.decode_pairs(wire) == [(b"n", b"vv")]


@given(pairs.filter(bool), st.data())
def test_pairs_that_break_off_are_a_protocol_error(
    sent: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    wire = fastcgi.encode_pairs(sent)
    last = len(fastcgi.encode_pairs(sent[-1:]))
    kept = data.draw(st.integers(len(wire) - last + 1, len(wire) - 1))
    with pytest.raises(ProtocolError):
        fastcgi.decode_pairs(wire[:kept])


@pytest.mark.parametrize(
    "wire",
    [
        b"\x01",
        b"\x01\x01a",
        b"\x80\x00\x00",
        b"\x00\x80\x00\x00",
        b"\x7f\x00short",
        b"\xff\xff\xff\xff\xff\xff\xff\xffname",
        b"\xff\xff\xff\xff\x00",
        b"\x01\x01ab\xff\xff\xff\xff\x00",
    ],
)
def test_a_length_that_lies_is_a_protocol_error(wire: bytes) -> None:
    with pytest.raises(ProtocolError):
        fastcgi.decode_pairs(wire)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_pairs_or_a_protocol_error(data: bytes) -> None:
    try:
        found = fastcgi.decode_pairs(data)
    except ProtocolError:
        return
    assert fastcgi.decode_pairs(fastcgi.encode_pairs(found)) == found
    assert sum(len(name) + len(value) + 2 for name, value in found) <= len(data)


# The fixed bodies


@given(st.integers(1, 65535), st.integers(0, 65535), st.booleans())
def test_begin_request_comes_back(request_id: int, role: int, keep: bool) -> None:
    wire = fastcgi.encode_begin_request(request_id, role=role, keep=keep)
    (record,) = read_all([wire])
    assert record[:2] == (fastcgi.BEGIN_REQUEST, request_id)
    begin = fastcgi.decode_begin_request(record.content)
    assert begin == (role, fastcgi.KEEP_CONN if keep else 0)


@given(st.integers(1, 65535), st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_end_request_comes_back(request_id: int, app_status: int, protocol_status: int) -> None:
    wire = fastcgi.encode_end_request(request_id, app_status, protocol_status)
    (record,) = read_all([wire])
    assert record[:2] == (fastcgi.END_REQUEST, request_id)
    assert fastcgi.decode_end_request(record.content) == (app_status, protocol_status)


@given(st.binary(max_size=20).filter(lambda content: len(content) != 8))
def test_a_fixed_body_of_another_size_is_a_protocol_error(content: bytes) -> None:
    with pytest.raises(ProtocolError, match=str(len(content))):
        fastcgi.decode_begin_request(content)
    with pytest.raises(ProtocolError, match=str(len(content))):
        fastcgi.decode_end_request(content)


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_bytes_are_a_fixed_body(content: bytes) -> None:
    assert fastcgi.decode_begin_request(content).role == int.from_bytes(content[:2], "big")
    assert fastcgi.decode_end_request(content).app_status == int.from_bytes(content[:4], "big")


def test_an_unknown_type_is_answered_as_in_section_4_2() -> None:
    assert fastcgi.encode_unknown_type(42) == header(11, 0, 8) + b"\x2a" + bytes(7)


# The message flows of Appendix B, byte for byte


PARAMS = b"\013\002SERVER_PORT80" + b"\013\016SERVER_ADDR199.170.183.42"


def test_a_request_without_a_body_is_the_first_example_of_appendix_b() -> None:
    wire = (
        fastcgi.encode_begin_request(1, role=fastcgi.RESPONDER, keep=False)
        + fastcgi.encode_stream(
            fastcgi.PARAMS,
            1,
            fastcgi.encode_pairs([(b"SERVER_PORT", b"80"), (b"SERVER_ADDR", b"199.170.183.42")]),
        )
        + fastcgi.encode_record(fastcgi.PARAMS, 1)
        + fastcgi.encode_record(fastcgi.STDIN, 1)
    )
    assert wire == (
        b"\x01\x01\x00\x01\x00\x08\x00\x00" + b"\x00\x01\x00\x00\x00\x00\x00\x00"
        b"\x01\x04\x00\x01\x00\x2a\x00\x00" + PARAMS + b"\x01\x04\x00\x01\x00\x00\x00\x00"
        b"\x01\x05\x00\x01\x00\x00\x00\x00"
    )
    assert fastcgi.decode_pairs(PARAMS) == [
        (b"SERVER_PORT", b"80"),
        (b"SERVER_ADDR", b"199.170.183.42"),
    ]


def test_a_response_is_read_as_in_the_first_example_of_appendix_b() -> None:
    page = b"Content-type: text/html\r\n\r\n<html>\n<head> ... "
    wire = (
        b"\x01\x06\x00\x01\x00" + bytes((len(page),)) + b"\x00\x00" + page
        + b"\x01\x06\x00\x01\x00\x00\x00\x00"
        + b"\x01\x03\x00\x01\x00\x08\x00\x00" + b"\x00\x00\x00\x00\x00\x00\x00\x00"
    )  # fmt: skip
    assert read_all([wire]) == [
        Record(fastcgi.STDOUT, 1, page),
        Record(fastcgi.STDOUT, 1, b""),
        Record(fastcgi.END_REQUEST, 1, bytes(8)),
    ]


def test_a_body_travels_as_in_the_second_example_of_appendix_b() -> None:
    body = b"quantity=100&item=3047936"
    wire = fastcgi.encode_stream(fastcgi.STDIN, 1, body) + fastcgi.encode_record(fastcgi.STDIN, 1)
    assert wire == (
        b"\x01\x05\x00\x01\x00\x19\x00\x00" + body + b"\x01\x05\x00\x01\x00\x00\x00\x00"
    )


def test_a_failed_app_ends_as_in_the_third_example_of_appendix_b() -> None:
    wire = fastcgi.encode_end_request(1, 938)
    assert wire == b"\x01\x03\x00\x01\x00\x08\x00\x00" + b"\x00\x00\x03\xaa\x00\x00\x00\x00"


def test_multiplexed_requests_are_told_apart_as_in_the_fourth_example_of_appendix_b() -> None:
    sent = [
        Record(fastcgi.BEGIN_REQUEST, 1, b"\x00\x01\x01\x00\x00\x00\x00\x00"),
        Record(fastcgi.PARAMS, 1, PARAMS),
        Record(fastcgi.PARAMS, 1, b""),
        Record(fastcgi.BEGIN_REQUEST, 2, b"\x00\x01\x01\x00\x00\x00\x00\x00"),
        Record(fastcgi.PARAMS, 2, PARAMS),
        Record(fastcgi.STDIN, 1, b""),
        Record(fastcgi.PARAMS, 2, b""),
        Record(fastcgi.STDIN, 2, b""),
    ]
    wire = b"".join(header(type, id, len(content)) + content for type, id, content in sent)
    assert read_all([wire]) == sent
    assert fastcgi.decode_begin_request(sent[0].content) == (
        fastcgi.RESPONDER,
        fastcgi.KEEP_CONN,
    )
