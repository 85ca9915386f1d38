"""Exchanges as an HTTP Archive, by the fields that HAR 1.2 asks for, and as a table."""

from __future__ import annotations

import base64
import gzip
import json
import sys
import zlib
from datetime import datetime
from typing import Any

import pytest
from recorded_exchanges import PREFIX, Recorder, answer

from jupyter_flaskserve import __version__
from jupyter_flaskserve.kernel.exchanges.content_coding import decode
from jupyter_flaskserve.kernel.exchanges.export import har
from jupyter_flaskserve.kernel.exchanges.masking import MASK

TEXT, NUMBER, LIST = (str,), (int, float), (list,)

# The fields that the specification asks for, and of which type they are.
SPECIFIED: dict[str, dict[str, Any]] = {
    "entry": {"startedDateTime": TEXT, "time": NUMBER, "request": (dict,), "response": (dict,),
              "cache": (dict,), "timings": (dict,)},
    "request": {"method": TEXT, "url": TEXT, "httpVersion": TEXT, "cookies": LIST, "headers": LIST,
                "queryString": LIST, "headersSize": NUMBER, "bodySize": NUMBER},
    "response": {"status": NUMBER, "statusText": TEXT, "httpVersion": TEXT, "cookies": LIST,
                 "headers": LIST, "content": (dict,), "redirectURL": TEXT, "headersSize": NUMBER,
                 "bodySize": NUMBER},
    "content": {"size": NUMBER, "mimeType": TEXT},
    "timings": {"send": NUMBER, "wait": NUMBER, "receive": NUMBER},
    "postData": {"mimeType": TEXT, "text": TEXT},
}  # fmt: skip
OPTIONAL = {
    "entry": {"comment", "serverIPAddress", "connection", "pageref"},
    "request": {"postData", "comment"},
    "response": {"comment"},
    "content": {"text", "encoding", "compression", "comment"},
    "timings": {"blocked", "dns", "connect", "ssl", "comment"},
    "postData": {"comment", "_encoding"},
}


def check(kind: str, found: dict[str, Any]) -> None:
    for name, types in SPECIFIED[kind].items():
        assert isinstance(found[name], types), (kind, name)
    assert found.keys() - SPECIFIED[kind].keys() <= OPTIONAL[kind]


def entries(recorder: Recorder, **options: Any) -> list[dict[str, Any]]:
    """Those of an archive that has been through JSON and is by the specification."""
    archive = json.loads(json.dumps(recorder.exchanges.to_har(**options)))
    log = archive["log"]
    assert log["version"] == "1.2"
    assert log["creator"] == {"name": "jupyter_flaskserve", "version": __version__}
    for entry in log["entries"]:
        check("entry", entry)
        check("request", entry["request"])
        check("response", entry["response"])
        check("content", entry["response"]["content"])
        check("timings", entry["timings"])
        if "postData" in entry["request"]:
            check("postData", entry["request"]["postData"])
        assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
        named = ("blocked", "dns", "connect", "send", "wait", "receive")
        spent = [entry["timings"][name] for name in named]
        assert entry["time"] == pytest.approx(sum(max(value, 0) for value in spent))
        for pair in (*entry["request"]["headers"], *entry["request"]["queryString"]):
            assert set(pair) == {"name", "value"}
    return list(log["entries"])


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(answer())


def test_an_archive_tells_what_was_asked_and_answered(recorder: Recorder) -> None:
    cookie = "s=abc; Path=/; HttpOnly; Secure; Domain=h; Expires=Wed, 01 Jan 2031 00:00:00 GMT"
    recorder.ask(
        "/a?x=1&y=%20",
        "POST",
        headers=[("Content-Type", "text/plain"), ("Cookie", "a=1; b=2")],
        body=b"hello",
        app=answer(b"{}", "302 Found", [("Location", "/b"), ("Set-Cookie", cookie)]),
    )
    (entry,) = entries(recorder, reveal=True)
    request, response = entry["request"], entry["response"]
    assert request["method"] == "POST"
    assert request["url"] == f"http://example.org:8888{PREFIX}/a?x=1&y=%20"
    assert request["httpVersion"] == "HTTP/1.1"
    assert request["queryString"] == [{"name": "x", "value": "1"}, {"name": "y", "value": " "}]
    assert request["cookies"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]
    assert {"name": "Content-Type", "value": "text/plain"} in request["headers"]
    assert request["postData"] == {"mimeType": "text/plain", "text": "hello"}
    assert request["bodySize"] == 5
    assert (response["status"], response["statusText"]) == (302, "Found")
    assert response["redirectURL"] == "/b"
    assert response["bodySize"] == 2
    assert response["cookies"] == [
        {"name": "s", "value": "abc", "path": "/", "httpOnly": True, "secure": True, "domain": "h",
         "comment": "expires Wed, 01 Jan 2031 00:00:00 GMT"}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "content"),
    [
        (b"<p>\xc3\xa9", "text/html; charset=utf-8", {"text": "<p>é"}),
        (b"\xe9", "text/plain", {"text": base64.b64encode(b"\xe9").decode(), "encoding": "base64"}),
        (b"\x89PNG", "image/png", {"text": "iVBORw==", "encoding": "base64"}),
        (b"<a/>", "image/svg+xml", {"text": "<a/>"}),
        (b"", "text/plain", {}),
    ],
)
def test_text_is_text_and_the_rest_base64(
    recorder: Recorder, body: bytes, kind: str, content: dict[str, str]
) -> None:
    recorder.ask(app=answer(body, headers=[("Content-Type", kind)]))
    (entry,) = entries(recorder)
    expected = {"size": len(body), "mimeType": kind, **content}
    assert entry["response"]["content"] == expected


def test_a_compressed_body_is_shown_as_it_was(recorder: Recorder) -> None:
    body = gzip.compress(b'{"token": "s3cret", "n": 1}')
    kind = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    recorder.ask(app=answer(body, headers=kind))
    recorder.ask(app=answer(b"??", headers=[kind[0], ("Content-Encoding", "br")]))
    first, second = entries(recorder)
    assert json.loads(first["response"]["content"]["text"]) == {"token": MASK, "n": 1}
    assert first["response"]["content"]["size"] == 27
    assert first["response"]["content"]["compression"] == 27 - len(body)
    assert "text" not in second["response"]["content"]
    assert "br" in second["response"]["content"]["comment"]
    assert entries(recorder, reveal=True)[1]["response"]["content"]["text"] == "??"


def test_secrets_are_in_an_archive_only_where_they_are_asked_for(recorder: Recorder) -> None:
    recorder.ask(
        "/in?token=s3cret",
        "POST",
        headers=[
            ("Authorization", "Basic s3cret"),
            ("Cookie", "a=s3cret"),
            ("Referer", "http://h/?session=s3cret"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        body=b"user=ada&password=s3cret",
        app=answer(
            b'{"api_key": "s3cret"}',
            headers=[
                ("Set-Cookie", "s=s3cret; Path=/"),
                ("Content-Type", "application/json"),
                ("Location", "/x?token=s3cret"),
            ],
        ),
    )
    assert "s3cret" not in json.dumps(entries(recorder))
    assert json.dumps(entries(recorder, reveal=True)).count("s3cret") == 12


def test_what_is_binary_cut_open_or_unanswered_is_said_to_be(recorder: Recorder) -> None:
    recorder.exchanges.body_limit = 4
    recorder.ask("/", "POST", body=b"\xff" * 10, app=answer(b"x" * 10))
    recorder.exchanges.begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""})
    ended, still_open = entries(recorder)
    assert ended["request"]["postData"] == {
        "mimeType": "", "text": base64.b64encode(b"\xff" * 4).decode(), "_encoding": "base64",
        "comment": "Only the first 4 bytes were kept.",
    }  # fmt: skip
    assert ended["response"]["content"]["comment"] == "Only the first 4 bytes were kept."
    assert (ended["request"]["bodySize"], ended["response"]["bodySize"]) == (10, 10)
    assert still_open["comment"] == "It has not ended."
    assert still_open["response"]["status"] == 0


def test_an_archive_has_a_limit(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(har, "_ALL_BODIES", 250)
    for _ in range(4):
        recorder.ask(app=answer(b"x" * 100))
    found = [entry["response"]["content"] for entry in entries(recorder)]
    assert ["text" in content for content in found] == [True, True, True, False]
    assert "too large" in found[-1]["comment"]
    assert found[-1]["size"] == 100


def test_no_more_is_decoded_for_an_archive_than_goes_into_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(har, "_ALL_BODIES", 250)
    decoded: list[bytes] = []
    monkeypatch.setattr(har, "decode", lambda data, *others: decoded.append(data) or b"x" * 200)
    for _ in range(4):
        recorder.ask(app=answer(b"packed", headers=[("Content-Encoding", "gzip")]))
    entries(recorder)
    assert len(decoded) == 1


# Content codings


def test_codings_are_undone() -> None:
    text = b"hello " * 1000
    raw = zlib.compressobj(wbits=-15)
    for coding, data in (
        ("", text),
        ("identity", text),
        ("gzip", gzip.compress(text)),
        ("GZip ", gzip.compress(text)),
        ("deflate", zlib.compress(text)),
        ("deflate", raw.compress(text) + raw.flush()),
    ):
        assert decode(data, coding, 10_000) == text
        assert decode(data, coding, 10) == text[:10]
        assert decode(data, coding, 0) == b""
    assert text.startswith(decode(gzip.compress(text)[:40], "gzip", 10_000) or b"no")
    for data, coding in ((b"x", "br"), (b"not gzip", "gzip"), (b"x", "gzip, br")):
        assert decode(data, coding, 10) is None
    bomb = gzip.compress(bytes(50_000_000))
    assert len(decode(bomb, "gzip", 1000) or b"") == 1000


# Tables


def test_exchanges_are_a_table(recorder: Recorder) -> None:
    pandas = pytest.importorskip("pandas")
    for _ in range(2):
        recorder.ask("/x?token=s3cret")
    recorder.exchanges.begin({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": ""})
    table = recorder.exchanges.to_frame()
    assert list(table.index) == [1, 2, 3]
    assert list(table["path"]) == [f"/x?token={MASK}"] * 2 + ["/"]
    assert list(table["status"][:2]) == [200, 200]
    assert pandas.isna(table["status"][3])
    assert list(table["open"]) == [False, False, True]
    assert table["ms"][1] > 0
    assert str(table["at"].dtype).endswith("UTC]")
    assert table["size"].sum() == 10
    recorder.exchanges.clear()
    empty = recorder.exchanges.to_frame()
    assert len(empty) == 0
    assert list(empty.columns) == list(table.columns)


def test_a_table_without_pandas_says_how_to_get_it(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        recorder.exchanges.to_frame()
