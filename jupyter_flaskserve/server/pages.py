"""What people and programs read from us, and never from the app: the index and the errors.

Each function takes plain data and returns a whole :class:`Answer`. Somebody who asks for HTML gets
a page; a program gets the same as JSON. A page loads nothing: its style and its script are inside
it, and the Content-Security-Policy names both by their hash, so nothing else can run there.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from hashlib import sha256
from http import HTTPStatus
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..gateway.answer import Answer

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = [
    "Listed",
    "error",
    "index",
    "status",
    "stopped_mount",
    "unknown_mount",
    "wants_html",
]

_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_QUOTED_STRING = re.compile(r'"(?:[^"\\]|\\.?)*"?', re.DOTALL)  # one left open ends with the text
_STOPPED_RETRY_AFTER = 2  # seconds
_NAME_LIMIT = 63  # characters, as a mount's name has; more of an unknown name tells nobody anything
_HEADINGS = {
    400: "Bad request",
    403: "Not allowed",
    404: "Not found",
    413: "Too large to send",
    431: "Too many headers",
    500: "Something went wrong",
    502: "No usable answer from the app",
    503: "Not available right now",
    504: "The app took too long",
}


@dataclass(frozen=True)
class Listed:
    """A mount as the pages show it.

    :ivar name: the mount's name.
    :ivar path: the URL path at which its app is.
    :ivar notebook: the notebook that serves it, or an empty string where it is not known.
    :ivar notebook_path: the URL path that opens that notebook in JupyterLab, or None.
    :ivar title: the app's name.
    :ivar state: whether its kernel answers.
    :ivar started: when the mount began, in seconds since the epoch.
    :ivar kernel_id: the id of its kernel in this server.
    :ivar threads: how many requests its app answers at once.
    :ivar revision: how often cells have changed what the app answers.
    """

    name: str
    path: str
    notebook: str
    notebook_path: str | None
    title: str
    state: Literal["serving", "stopped"]
    started: float
    kernel_id: str
    threads: int
    revision: int = 0

    @property
    def since(self) -> datetime | None:
        """When the mount began, in UTC, or None where ``started`` is no date."""
        try:
            return datetime.fromtimestamp(self.started, timezone.utc)
        except (ValueError, OverflowError, OSError):
            return None

    def to_json(self) -> dict[str, str | int | None]:
        """The mount in the JSON form of an answer; ``started`` is ISO 8601 in UTC."""
        since = self.since
        return {
            "name": self.name,
            "path": self.path,
            "notebook": self.notebook,
            "title": self.title,
            "started": since.isoformat(timespec="seconds") if since else None,
            "state": self.state,
            "kernel_id": self.kernel_id,
            "threads": self.threads,
            "revision": self.revision,
        }


def wants_html(accept: str | None) -> bool:
    """Whether an ``Accept`` header asks for HTML by name, and no less than for JSON.

    Media ranges are weighed as in RFC 9110 §12.5.1; one whose weight is malformed counts as absent.
    Programs send ``*/*`` or nothing at all, so neither of these asks for HTML.
    """
    weights: dict[str, float] = {}
    for element in _QUOTED_STRING.sub("", accept or "").lower().split(","):
        media_range, *parameters = (part.strip() for part in element.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        if _QVALUE.fullmatch(weight):
            weights[media_range] = max(float(weight), weights.get(media_range, 0))
    html = _first(weights, "text/html", "application/xhtml+xml")
    return html > 0 and html >= _first(weights, "application/json", "application/*", "*/*")


def index(mounts: Sequence[Listed], *, base_path: str, accept: str | None) -> Answer:
    """The list of what is served: 200.

    :param base_path: the Jupyter Server's base URL, to which the page links back.
    """
    document = {"mounts": [mount.to_json() for mount in mounts]}
    return _answer(200, document, "index.html", accept, {"mounts": mounts, "base_path": base_path})


def status(mount: Listed) -> Answer:
    """One mount, for programs: 200."""
    return _answer(200, mount.to_json(), "", None, {})


def unknown_mount(name: str, mounts: Sequence[Listed], *, accept: str | None) -> Answer:
    """Nothing is served under a name: 404, with what there is and which names are near.

    :param name: the name that was asked for, as it came; it may be any text.
    """
    from difflib import get_close_matches  # here, as few servers ever come to need it

    if len(name) > _NAME_LIMIT:
        name = name[:_NAME_LIMIT] + "…"
    named = {mount.name: mount for mount in mounts}
    near = get_close_matches(name.lower(), named)
    message = f"No app is served as {name!r}."
    if near:
        message += f" Did you mean {' or '.join(repr(other) for other in near)}?"
    document = {
        **_error_document(404, "not-found", message),
        "did_you_mean": near,
        "mounts": list(named),
    }
    return _answer(
        404,
        document,
        "unknown.html",
        accept,
        {"name": name, "near": [named[other] for other in near], "mounts": mounts},
    )


def stopped_mount(mount: Listed, *, status_path: str, method: str, accept: str | None) -> Answer:
    """A mount's kernel has stopped or is restarting: 503.

    The page asks for the mount's state until the app is back. Then it loads itself again if it was
    got by GET; anything else might send a form twice, so it shows a link to the app instead.

    :param status_path: the URL path of the mount in the REST API.
    :param method: the method of the request that is answered.
    """
    message = f"The kernel that serves {mount.name!r} has stopped or is restarting."
    if mount.notebook:
        message += f" Run the notebook {mount.notebook!r} again."
    else:
        message += " Run its notebook again."
    return _answer(
        503,
        {**_error_document(503, "kernel-stopped", message), "mount": mount.to_json()},
        "stopped.html",
        accept,
        {"mount": mount, "status_path": status_path, "method": method},
        retry_after=_STOPPED_RETRY_AFTER,
    )


def error(
    status: int, code: str, message: str, *, accept: str | None, retry_after: int | None = None
) -> Answer:
    """The gateway or the server refuses a request, or could not get the app's answer to it.

    :param status: the HTTP status.
    :param code: the kind of error as one word for programs, such as ``bad-answer``.
    :param message: what happened, in which app and what to do next, in one or two sentences.
    :param retry_after: in how many seconds the client may try again.
    """
    document = _error_document(status, code, message)
    heading = _HEADINGS.get(status) or _reason(status).capitalize()
    context = {**document, "heading": heading, "retry_after": retry_after}
    return _answer(status, document, "error.html", accept, context, retry_after=retry_after)


def _first(weights: dict[str, float], *media_ranges: str) -> float:
    """The weight of the first of some media ranges that is there, or 0."""
    return next((weights[name] for name in media_ranges if name in weights), 0)


def _error_document(status: int, code: str, message: str) -> dict[str, Any]:
    return {"status": status, "error": code, "message": message}


def _answer(
    status: int,
    document: dict[str, Any],
    template: str,
    accept: str | None,
    context: dict[str, Any],
    *,
    retry_after: int | None = None,
) -> Answer:
    """Make an answer: the template, or the JSON document for those who do not ask for HTML."""
    policy = ["default-src 'none'"]
    if wants_html(accept):
        content_type = "text/html; charset=utf-8"
        page = _templates().get_template(template).render(context)
        body = page.encode("utf-8", "replace")  # a file's name may hold bytes that are not UTF-8
        policy += _inline_sources(template)
    else:
        content_type = "application/json"
        if retry_after is not None:
            document = {**document, "retry_after": retry_after}
        body = dumps(document).encode("ascii") + b"\n"
    policy += ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'self'"]
    headers = [
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "; ".join(policy)),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
    ]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return Answer(status, _reason(status), tuple(headers), body)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minute"] = _minute
    return environment


@cache
def _inline_sources(template: str) -> list[str]:
    """The directives of the Content-Security-Policy that allow a page its own style and script.

    The two are rendered here without any data, so they are the same in every answer.
    """
    directives = [f"style-src {_hash_source('base.html', 'style')}", "connect-src 'self'"]
    if "script" in _templates().get_template(template).blocks:
        directives.append(f"script-src {_hash_source(template, 'script')}")
    return directives


def _hash_source(name: str, block: str) -> str:
    """The hash-source of a template's block (Content Security Policy 3 §2.3.1)."""
    template = _templates().get_template(name)
    text = "".join(template.blocks[block](template.new_context()))
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _minute(moment: datetime) -> str:
    """A moment as people read it, in this machine's time zone: ``2026-05-04 13:37 UTC+02:00``."""
    local = moment.astimezone()
    zone = timezone(local.utcoffset() or timezone.utc.utcoffset(None))
    return f"{local:%Y-%m-%d %H:%M} {zone}"
