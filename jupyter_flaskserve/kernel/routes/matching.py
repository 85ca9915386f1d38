"""Which rule a URL goes to, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, RequestRedirect, Rule
from werkzeug.routing.exceptions import WebsocketMismatch

from ..apps import is_flask
from .binding import bound, default_host, target_of
from .description import shown_repr
from .matcher import PatternMatcher, Verdict
from .reasons import Asked, alone, reason
from .table import RuleTable

__all__ = ["explain"]


@dataclass
class _Outcome:
    """What becomes of a request."""

    outcome: str
    status: int
    text: str
    winner: int | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    redirect_to: str | None = None
    allowed: list[str] = field(default_factory=list)


def explain(app: object, url: str, method: str = "GET", mount_path: str = "") -> dict[str, Any]:
    """Which rule a request goes to, and why not the others.

    Werkzeug decides, with the app's converters and with the functions that rules have as
    ``redirect_to``. No view is run, and no hook.

    :param url: a full URL, one with the mount's prefix, or one under the app. With ``ws://`` or
        ``wss://`` it is that of a WebSocket.
    :param method: the request's method.
    :param mount_path: the mount's prefix, such as ``/flaskserve/demo/``.
    :returns: plain JSON. ``outcome`` is ``match``, ``not-found``, ``method-not-allowed`` or
        ``redirect``; ``status`` is 200 for a match, 0 for an app that is not Flask's, else that of
        Flask's answer: also 400 where it refuses the host or wants another protocol, and 500 where
        the app's own code fails, both of which count as ``not-found``. ``winner`` is the index, as
        of :func:`.describe`, of the rule that matched or made the redirect; ``others`` says why
        each other rule did not.
    """
    method = method.strip().upper() or "GET"
    if not is_flask(app):
        text = "This app is not made with Flask, so its rules are not known."
        path = target_of(url, mount_path, "").path
        return _answer(method, url, path, _Outcome("not-found", 0, text), [])
    assert isinstance(app, Flask)
    table = RuleTable.of(app)
    target = target_of(url, mount_path, default_host(table))
    try:
        adapter = bound(table, target, method)
    except HTTPException as refusal:
        text = f"Flask refuses the host {target.host}: {refusal.code} {refusal.name}."
        outcome = _Outcome("not-found", refusal.code or 400, text)
        return _answer(method, url, target.path, outcome, [])
    except Exception as error:  # an app may have its own create_url_adapter or request_class
        text = f"Before any rule is tried, the app fails with {shown_repr(error)}."
        return _answer(method, url, target.path, _Outcome("not-found", 500, text), [])
    asked = Asked(_domain(adapter), target.path, method, target.websocket)
    verdicts = [alone(table, rule, asked) for rule in table.rules]
    together = PatternMatcher(table.rules, table.url_map.merge_slashes, checks_values=False)
    pattern = together.ask(*asked)
    outcome = _outcome(table, adapter, asked, pattern, verdicts)
    chosen = outcome.winner if pattern.winner is None else pattern.winner
    others = []
    for index, verdict in enumerate(verdicts):
        if index != outcome.winner:
            kind, text = reason(table, index, verdict, chosen, asked)
            others.append({"index": index, "kind": kind, "reason": text})
    return _answer(method, url, target.path, outcome, others)


def _answer(
    method: str, url: str, path: str, outcome: _Outcome, others: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "method": method,
        "url": url,
        "path": path,
        "outcome": outcome.outcome,
        "status": outcome.status,
        "winner": outcome.winner,
        "arguments": outcome.arguments,
        "redirect_to": outcome.redirect_to,
        "allowed": outcome.allowed,
        "text": outcome.text,
        "others": others,
    }


def _domain(adapter: MapAdapter) -> str:
    """What Werkzeug compares with the hosts or subdomains of rules."""
    if adapter.map.host_matching or adapter.subdomain is None:
        return adapter.server_name
    return adapter.subdomain


def _outcome(
    table: RuleTable, adapter: MapAdapter, asked: Asked, pattern: Verdict, verdicts: list[Verdict]
) -> _Outcome:
    """What becomes of a request.

    :param pattern: what the patterns of all rules say of it.
    :param verdicts: what each rule alone says of it.
    """
    request = f"{asked.method} {asked.path}"
    try:
        rule, values = adapter.match(
            asked.path, asked.method, return_rule=True, websocket=asked.websocket
        )
    except RequestRedirect as redirect:
        winner = pattern.winner
        if pattern.kind == "redirect" and pattern in verdicts:
            winner = verdicts.index(pattern)
        why = "" if winner is None else _why_redirected(table.rules[winner], pattern, asked)
        return _redirected(adapter, redirect, winner, why)
    except MethodNotAllowed as refusal:
        allowed = sorted(refusal.valid_methods or ())
        text = (
            f"{request} fits no rule, but other methods do: Flask answers 405 Method Not Allowed. "
            f"It takes {', '.join(allowed)}."
        )
        return _Outcome("method-not-allowed", 405, text, allowed=allowed)
    except WebsocketMismatch:
        wanted = "no WebSocket" if asked.websocket else "only a WebSocket"
        text = f"{request} fits a rule that takes {wanted}: Flask answers 400 Bad Request."
        return _Outcome("not-found", 400, text)
    except NotFound:
        return _Outcome("not-found", 404, _not_found(table, request, pattern.winner))
    except Exception as error:  # of a converter, or of a function that says where to redirect
        text = f"The search for the rule of {request} fails with {shown_repr(error)}"
        return _Outcome("not-found", 500, f"{text}. Flask answers 500 Internal Server Error.")
    arguments = {str(name): shown_repr(value) for name, value in values.items()}
    text = f"{request} goes to {rule.rule} ({rule.endpoint})"
    if arguments:
        text += " with " + ", ".join(f"{name} = {value}" for name, value in arguments.items())
    if asked.method == "OPTIONS" and getattr(rule, "provide_automatic_options", False):
        text += "; Flask answers it itself, without the view"
    return _Outcome("match", 200, f"{text}.", table.index_of(rule), arguments)


def _not_found(table: RuleTable, request: str, chosen: int | None) -> str:
    if chosen is None:
        return f"{request} fits no rule: Flask answers 404 Not Found."
    return (
        f"{request} fits the pattern of {table.rules[chosen].rule}, but its converter refuses the "
        "value, and no rule after it is tried: Flask answers 404 Not Found."
    )


def _redirected(
    adapter: MapAdapter, redirect: RequestRedirect, winner: int | None, why: str
) -> _Outcome:
    status = redirect.code or 308
    parts = urlsplit(redirect.new_url)
    same_host = parts.netloc == adapter.get_host(None)
    shown = parts._replace(scheme="", netloc="").geturl() if same_host else redirect.new_url
    text = f"Flask answers {status} and sends the browser to {unquote(shown)}{why}."
    return _Outcome("redirect", status, text, winner, redirect_to=shown)


def _why_redirected(rule: Rule, pattern: Verdict, asked: Asked) -> str:
    if pattern.kind == "redirect":
        if pattern.path.endswith("/") and not asked.path.endswith("/"):
            return f", because {rule.rule} ends with a slash"
        return f", because {rule.rule} fits when double slashes become one"
    if rule.redirect_to is not None:
        return f", because {rule.rule} is defined with redirect_to"
    if rule.alias:
        return f", because {rule.rule} is an alias of another rule of {rule.endpoint}"
    return f", because another rule of {rule.endpoint} has these arguments as its defaults"
