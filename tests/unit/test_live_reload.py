"""Live reload: the script in an app's pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from flask import Flask, Response, make_response
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, create_environ

from jupyter_flaskserve.kernel.middleware.live_reload import with_reload_script

TAG = b'<script src="/reload.js?a&amp;b" defer></script>'
HTML = [("Content-Type", "text/html; charset=utf-8")]
PAGE = b"<html><body>Hello</body></html>"

Headers = list[tuple[str, str]]


def answer(
    chunks: Iterable[bytes],
    headers: Headers = HTML,
    *,
    status: str = "200 OK",
    method: str = "GET",
    sent: dict[str, str] | None = None,
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers that a client gets of an app's answer."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, list(headers))
        return chunks

    client = Client(with_reload_script(app, "/reload.js?a&b"))
    response = client.open("/", method=method, headers=sent)
    return response.data, dict(response.headers)


# Pages


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (PAGE, b"<html><body>Hello" + TAG + b"</body></html>"),
        (b"<p>Hello", b"<p>Hello" + TAG),
        (b"", TAG),
        (b"<b></body><i></BODY >\n", b"<b></body><i>" + TAG + b"</BODY >\n"),
    ],
)
def test_the_script_is_before_the_last_end_of_the_body_or_at_the_end(
    page: bytes, expected: bytes
) -> None:
    assert answer([page])[0] == expected
    assert answer(iter([page]))[0] == expected
    length = ("Content-Length", str(len(page)))
    for chunks in ([page], iter([page])):
        body, headers = answer(chunks, [*HTML, length])
        assert body == expected
        assert headers["Content-Length"] == str(len(expected))


@given(st.lists(st.sampled_from([b"<p>", b"</body>", b"", b"</bo", b"dy>", b"</body></html>"])))
def test_however_a_page_is_cut_it_is_the_same_page_with_one_script(chunks: list[bytes]) -> None:
    page = b"".join(chunks)
    for headers in (HTML, [*HTML, ("Content-Length", str(len(page)))]):
        body, given = answer(iter(chunks), headers)
        assert body.replace(TAG, b"", 1) == page
        assert body.count(TAG) == 1
        assert given.get("Content-Length", str(len(body))) == str(len(body))


def test_no_chunk_waits_for_the_next_one() -> None:
    made: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"%d" % number
        yield b"</body>"
        made.append(3)
        yield b"</html>"

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(HTML))
        return chunks()

    stream = iter(with_reload_script(app, "/s")(create_environ(), lambda *_: lambda data: None))
    for number in range(3):
        assert next(stream) == b"%d" % number
        assert made == list(range(number + 1))
    assert b"".join(stream) == b'</body></html><script src="/s" defer></script>'


@pytest.mark.parametrize("status", ["200 OK", "404 NOT FOUND", "500 INTERNAL SERVER ERROR"])
def test_pages_of_every_status_get_it(status: str) -> None:
    assert TAG in answer([PAGE], status=status)[0]


def test_what_told_of_the_pages_bytes_is_dropped() -> None:
    validators = [
        ("ETag", '"abc"'),
        ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("Accept-Ranges", "bytes"),
        ("X-Mine", "mine"),
    ]
    _, headers = answer([PAGE], [*HTML, *validators])
    assert headers.keys() == {"Content-Type", "X-Mine", "Vary"}


def test_a_browser_that_has_the_page_without_the_script_gets_it_with_the_script() -> None:
    app = Flask(__name__)

    @app.get("/")
    def page() -> Response:
        response = make_response(PAGE)
        response.set_etag("abc")
        return response.make_conditional(create_environ(headers={"If-None-Match": given()}))

    @app.get("/picture")
    def picture() -> Response:
        response = Response(b"png", content_type="image/png")
        response.set_etag("abc")
        return response.make_conditional(create_environ(headers={"If-None-Match": given()}))

    def given() -> str:
        from flask import request

        return request.headers.get("If-None-Match", "")

    client = Client(with_reload_script(app, "/s"))
    condition = {"If-None-Match": '"abc"'}
    browser = {**condition, "Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=browser).status_code == 200
    assert client.get("/", headers=condition).status_code == 304
    image = {**condition, "Accept": "image/avif,image/*", "Sec-Fetch-Dest": "image"}
    assert client.get("/picture", headers=image).status_code == 304


# Everything else


@pytest.mark.parametrize(
    "options",
    [
        {"headers": [("Content-Type", "text/plain")]},
        {"headers": [("Content-Type", "application/json")]},
        {"headers": []},
        {"headers": [*HTML, ("Content-Encoding", "gzip")]},
        {"headers": [*HTML, ("Content-Disposition", 'attachment; filename="a.html"')]},
        {"headers": [("Content-Type", "text/html; charset=utf-16")]},
        {"status": "204 No Content"},
        {"status": "304 Not Modified"},
        {"status": "206 Partial Content"},
        {"method": "HEAD"},
        {"method": "POST"},
        {"sent": {"Sec-Fetch-Dest": "empty"}},
    ],
    ids=str,
)
def test_all_else_passes_as_it_is(options: dict[str, Any]) -> None:
    headers: Headers = [*options.pop("headers", HTML), ("ETag", '"abc"'), ("Content-Length", "31")]
    chunks = [PAGE]

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(options.get("status", "200 OK"), headers)
        return chunks

    started: list[Any] = []
    environ = create_environ(method=options.get("method", "GET"), headers=options.get("sent"))
    returned = with_reload_script(app, "/s")(environ, lambda *a: started.append(a))
    assert returned is chunks
    assert started == [(options.get("status", "200 OK"), headers)]


@pytest.mark.parametrize("charset", ["utf-8", "ISO-8859-1", '"windows-1252"', "shift_jis", "x-y"])
def test_charsets_that_extend_ascii_do(charset: str) -> None:
    assert TAG in answer([PAGE], [("Content-Type", f"text/html; charset={charset}")])[0]


def test_the_apps_iterable_is_closed_and_its_errors_pass() -> None:
    class Chunks:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield b"<p>"
            raise ValueError("boom")

        def close(self) -> None:
            self.closed += 1

    chunks = Chunks()

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", list(HTML))
        return chunks

    returned: Any = with_reload_script(app, "/s")(create_environ(), lambda *_: None)
    with pytest.raises(ValueError, match="boom"):
        list(returned)
    returned.close()
    assert chunks.closed == 1


def test_it_keeps_the_rules_of_wsgi() -> None:
    def written(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", list(HTML))
        write(b"<body>written")
        return [b"</body>"]

    def late(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", list(HTML))
        yield PAGE

    apps: dict[Any, bytes] = {
        written: b"<body>written" + TAG + b"</body>",
        late: b"<html><body>Hello" + TAG + b"</body></html>",
    }
    for app, expected in apps.items():
        checked = validator(with_reload_script(validator(app), "/reload.js?a&b"))
        response = Client(checked).get("/")
        assert response.data == expected
        response.close()


def test_a_response_that_is_begun_anew_is_what_it_says_last() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1")])
        failure = ValueError("boom")
        start_response("500 Oh", list(HTML), (ValueError, failure, None))
        return [PAGE]

    started: list[Any] = []
    returned = with_reload_script(app, "/s")(create_environ(), lambda *a: started.append(a))
    assert b'<script src="/s"' in b"".join(returned)
    assert [arguments[0] for arguments in started] == ["200 OK", "500 Oh"]
    assert isinstance(started[1][2][1], ValueError)
