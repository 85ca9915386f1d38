"""What looks like a secret is masked: in what is shown, copied and exported, unless a person asks
for it. A name decides, see :mod:`jupyter_flaskserve.secret_names`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus, unquote, unquote_plus
from uuid import UUID

from jupyter_flaskserve.secret_names import is_secret

__all__ = [
    "MASK",
    "is_secret",
    "mask_body",
    "mask_header",
    "mask_headers",
    "mask_pairs",
    "mask_path",
    "mask_query",
    "mask_text",
    "mask_tree",
    "mask_url",
    "mask_value",
]

MASK = "********"
"""What stands for a secret. It is the same for all, so it does not tell how long they are."""

_ESCAPED_PATH = 500  # characters of an argument that is looked for in a path however it is escaped

_QUERY = re.compile(r"(?<=[?#])[^\s#<>\"]+")
_USER = re.compile(r"(?<=://)[^/\s?#<>\"']{1,500}(?=@)")
# A name that something is assigned to in what is like JSON, or Python, or a list of settings, also
# within a text of it; or the first of a tuple of two, as in ``Headers([('Cookie', 'a=b')])``. The
# bounds keep the search linear.
_ASSIGNED = re.compile(
    r"""(?:(?P<pair>\(b?)?(?P<quote>["'])(?P<quoted>(?:[^"'\\\n]|\\{1,8}u[0-9a-fA-F]{4}){1,100})
      \\{0,8}(?P=quote)\s{0,100}(?(pair),|[:=])
    |(?<![\w.\-])(?P<bare>[\w.\-]{1,100}(?:\[[\w.\-]{0,100}\]){0,4})\]?\s{0,100}[:=]
    )\s{0,100}""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\+u([0-9a-fA-F]{4})")
_VALUE = re.compile(
    r"""[bBrRuUfF]{0,2}"(?:\\.|[^"\\])*"?|[bBrRuUfF]{0,2}'(?:\\.|[^'\\])*'?
    |\\+["'][^"']*["']?|[\[{(]|[^\s,;&}\])"'\\]+""",
    re.VERBOSE | re.DOTALL,
)
_NESTING = re.compile(r""""(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|[\[\](){}]""", re.DOTALL)
_PART_HEAD = re.compile(rb"(?P<head>.*?)(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)
_PART_NAME = re.compile(
    rb'[;\s]name(\*[\d*]*)?\s*=\s*("(?:\\.|[^"\\])*"?|[^;\s]*)', re.IGNORECASE | re.DOTALL
)
_PART_TYPE = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_BOUNDARY = re.compile(r'[;\s]boundary\s*=\s*(?:"([^"]*)|([^;,\s]*))', re.IGNORECASE)


def mask_value(name: str, value: str) -> str:
    """The value of a field as it may be shown: the mask, or what it is but for the secrets of a URL
    or of JSON in it."""
    if value and is_secret(name):
        return MASK
    return _mask_json_text(value) if value.lstrip()[:1] in ("{", "[") else mask_url(value)


def mask_pairs(
    pairs: Iterable[tuple[str, str]], *, every: bool = False
) -> list[tuple[str, str, bool]]:
    """Names and values of fields, and whether something in each value is masked.

    :param every: whether all are secret, as cookies are.
    """
    masked = [
        (name, value, MASK if every and value else mask_value(name, value)) for name, value in pairs
    ]
    return [(name, shown, shown != value) for name, value, shown in masked]


def mask_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str, bool]]:
    """Names and values of headers, and whether something in each value is masked."""
    masked = [(name, value, mask_header(name, value)) for name, value in headers]
    return [(name, shown, shown != value) for name, value, shown in masked]


def mask_header(name: str, value: str) -> str:
    """The value of a header as it may be shown: without secrets, but with the names of cookies and
    the scheme of credentials."""
    lower = name.lower()
    if lower == "cookie":
        return "; ".join(_mask_cookie(cookie) for cookie in value.split(";"))
    if lower == "set-cookie":
        cookie, semicolon, attributes = value.partition(";")
        return _mask_cookie(cookie) + semicolon + attributes
    if "authorization" in lower:
        scheme, _, rest = value.partition(" ")
        return f"{scheme} {MASK}" if rest else MASK
    return mask_value(name, value)


def _mask_cookie(cookie: str) -> str:
    name, equals, value = cookie.strip().partition("=")
    if not equals:
        return MASK if name else ""
    return f"{name}={MASK if value else ''}"


def mask_query(query: str) -> str:
    """A query, or the body of a form, as it may be shown."""
    return "&".join(map(_mask_field, query.split("&")))


def _mask_field(field: str) -> str:
    name, _, value = field.partition("=")
    plain = unquote_plus(value)
    shown = mask_value(unquote_plus(name), plain)
    return field if shown == plain else f"{name}={quote_plus(shown, safe='*')}"


def mask_url(url: str) -> str:
    """A URL, or a text with URLs in it, without the secrets of their queries and fragments and
    without a password before the host."""
    return _QUERY.sub(lambda found: mask_query(found[0]), _USER.sub(MASK, url))


def mask_path(path: str, arguments: Mapping[str, Any]) -> str:
    """A path without those arguments of its rule that are secrets: ``/reset/<token>``. Where one of
    them cannot be found in it, the path is masked as a whole."""
    for name, value in arguments.items():
        is_empty = value is None or (isinstance(value, str) and not value)
        if not is_empty and is_secret(name):
            path = _mask_in_path(path, value)
    return path


def _mask_in_path(path: str, value: object) -> str:
    text = str(value) if isinstance(value, (str, int, float, UUID)) else ""
    if text and text in path:
        return path.replace(text, MASK)
    if not 0 < len(text) <= _ESCAPED_PATH:
        return MASK
    masked, count = re.subn("".join(map(_either, text)), MASK, path, flags=re.IGNORECASE)
    return masked if count else MASK


def _either(character: str) -> str:
    """A pattern for a character of a path, escaped or not."""
    escaped = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
    return f"(?:{re.escape(character)}|{escaped})"


def mask_text(text: str) -> str:
    """A text in which something may be assigned to the name of a secret: JSON that cannot be
    parsed, the ``repr`` of a value. Nested values are masked as a whole."""
    parts = []
    position = 0
    while (assigned := _ASSIGNED.search(text, position)) is not None:
        start = assigned.end()
        parts.append(text[position:start])
        position = start
        name = _ESCAPED.sub(_unescaped, assigned["quoted"] or assigned["bare"])
        value = _VALUE.match(text, start) if is_secret(name) else None
        if value is not None:
            position = _end_of_nesting(text, start) if value[0] in "[{(" else value.end()
            mark = value[0][0] if value[0][0] in "\"'" else '"'
            parts += (mark, MASK, mark)
    parts.append(text[position:])
    return mask_url("".join(parts))


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16))


def _end_of_nesting(text: str, start: int) -> int:
    """Where the bracket at ``start`` is closed, or the end of the text."""
    depth = 0
    for found in _NESTING.finditer(text, start):
        if found[0] in "[{(":
            depth += 1
        elif found[0] in ")}]":
            depth -= 1
            if not depth:
                return found.end()
    return len(text)


def mask_body(data: bytes, content_type: str) -> bytes:
    """A body as it may be shown: JSON and forms without their secrets, others as they are.

    Where nothing is secret it is the same bytes. JSON that has been cut or is malformed is searched
    for what looks like an assignment.

    :param data: the body, without content coding.
    :param content_type: the header's value, or an empty string.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return mask_query(data.decode("latin-1")).encode("latin-1")
    if media_type.startswith("multipart/"):
        return _mask_multipart(data, content_type)
    if "json" in media_type or (
        media_type in ("", "text/plain") and data.lstrip()[:1] in (b"{", b"[")
    ):
        return _mask_json(data)
    return data


def _mask_json(data: bytes) -> bytes:
    text = data.decode(json.detect_encoding(data), "replace")
    shown = _mask_json_text(text)
    return data if shown == text else shown.encode("utf-8", "replace")


def _mask_json_text(text: str) -> str:
    try:
        value = json.loads(text, object_pairs_hook=_object)
        masked, is_changed = mask_tree(value)
    except (ValueError, RecursionError):
        return mask_text(text)
    if not is_changed:
        return text
    shown = json.dumps(masked, ensure_ascii=False, indent=2 if "\n" in text.strip() else None)
    return shown.encode("utf-8", "replace").decode()  # a JSON text may have half a surrogate pair


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object.

    :raises ValueError: a name is in it twice. A dictionary would hide the first value.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is in an object twice")
    return found


def mask_tree(value: Any) -> tuple[Any, bool]:
    """A JSON value without its secrets, and whether it had any."""
    if isinstance(value, str):
        shown = mask_value("", value)
        return shown, shown != value
    if isinstance(value, list):
        items = [mask_tree(item) for item in value]
        return [item for item, _ in items], any(changed for _, changed in items)
    if not isinstance(value, dict):
        return value, False
    masked, is_changed = {}, False
    # A form as some scripts send it: [{"name": "password", "value": "x"}, ...]
    is_field = isinstance(value.get("name"), str) and is_secret(value["name"])
    for name, item in value.items():
        is_hidden = is_secret(name) or (is_field and name == "value")
        if is_hidden and item not in (None, "", [], {}):
            masked[name], is_changed = MASK, True
        else:
            masked[name], changed = mask_tree(item)
            is_changed = is_changed or changed
    return masked, is_changed


def _mask_multipart(data: bytes, content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    boundary = (found[1] or found[2] or "").encode("latin-1", "replace") if found else b""
    if not boundary and data.startswith(b"--"):
        boundary = re.split(rb"[\r\n]", data[2:], maxsplit=1)[0]
    delimiter = b"--" + boundary
    if not boundary or delimiter not in data:
        return MASK.encode() if data else data
    try:
        return delimiter.join(map(_mask_part, data.split(delimiter)))
    except RecursionError:  # parts in parts in parts
        return MASK.encode()


def _mask_part(part: bytes) -> bytes:
    found = _PART_HEAD.match(part)
    if found is None:
        return part
    head, value = found["head"], part[found.end() :].rstrip(b"\r\n")
    start, end = part[: found.end()], part[found.end() + len(value) :]
    # Names with an asterisk (RFC 2231) may be encoded or in pieces. No browser sends them.
    names = _PART_NAME.findall(head)
    if value and any(
        star or is_secret(unquote(name.decode("utf-8", "replace"))) for star, name in names
    ):
        return start + MASK.encode() + end
    kind = _PART_TYPE.search(head)
    if kind is not None:
        return start + mask_body(value, kind[1].decode("latin-1")) + end
    return part
