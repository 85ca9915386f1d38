"""Which names are those of secrets: the one place that decides it.

A name decides, by its words: ``userPassword``, ``user-password`` and ``user_password`` are secret,
``author``, ``spinning`` and ``secretary`` are not. So a secret under a name that does not say so
is shown.
"""

from __future__ import annotations

import functools
import itertools
import re

__all__ = ["is_credential", "is_secret"]

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# fmt: off
_WORDS = frozenset((
    "auth", "authorization", "oauth", "bearer", "cookie", "cookies", "jwt", "csrf", "xsrf",
    "credential", "credentials", "otp", "totp", "passphrase", "passcode", "password", "passwords",
    "passwd", "pwd", "pin", "cvc", "cvv", "secret", "secrets", "session", "sid", "token",
))
_BEFORE_KEY = frozenset((
    "access", "api", "auth", "encryption", "master", "private", "secret", "service", "shared",
    "signing",
))
# fmt: on
# Words that are written together.
_JOINED = re.compile(
    r"(?:password|passwd|passphrase|pwd|secret|token|apikey|accesskey|privatekey|secretkey"
    r"|sess(?:ion)?id|credentials?)$"
    r"|^password"
)
# fmt: off
# Words of which the names of settings are made too: SESSION_COOKIE_NAME.
_ABOUT = frozenset((
    "auth", "authorization", "oauth", "cookie", "cookies", "csrf", "xsrf", "session", "sid",
))
# The last words of names that are about a secret, and not one: TOKEN_URL.
_SETTINGS = frozenset((
    "age", "algorithm", "attempts", "count", "enabled", "error", "expires", "field", "file",
    "header", "help", "hint", "id", "label", "length", "lifetime", "limit", "location", "max",
    "message", "method", "min", "name", "path", "pattern", "placeholder", "prefix", "text", "title",
    "type", "uri", "url",
))
# fmt: on


@functools.lru_cache(maxsize=2048)
def is_secret(name: str) -> bool:
    """Whether what has this name is masked: a field, a cookie, an argument or a variable."""
    words = [word.lower() for word in _WORD.findall(name[:200])]
    if any(word in _WORDS or _JOINED.search(word) for word in words):
        return True
    if words and words[-1] == "pass":
        return True
    pairs = itertools.pairwise(words)
    return any(second in ("key", "keys") and first in _BEFORE_KEY for first, second in pairs)


@functools.lru_cache(maxsize=2048)
def is_credential(name: str) -> bool:
    """Whether what has this name is itself a secret, in a program's text: ``SECRET_KEY`` and
    ``db_password`` are, ``SESSION_COOKIE_NAME`` and ``PASSWORD_MIN_LENGTH`` are settings."""
    words = _WORD.findall(name[:200])
    kept = [word for word in words if word.lower() not in _ABOUT]
    if words and words[-1].lower() in _SETTINGS:
        return False
    if words and words[-1].lower() in ("key", "keys"):
        return is_secret(name)
    return is_secret("_".join(kept))
