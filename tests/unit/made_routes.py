"""Flask apps with rules that Hypothesis makes, and paths that have something to do with them."""

from __future__ import annotations

from flask import Flask, request
from hypothesis import strategies as st
from werkzeug.routing import Rule

_CONVERTERS = (
    *("", "string:", "int:", "float:", "uuid:", "path:", "any(a,b):", 'any("a.b",ab):'),
    *("string(length=2):", "string(minlength=2,maxlength=3):", "int(min=2,max=9):"),
    *("int(signed=True):", "int(fixed_digits=3):", "float(min=1):"),
)
_PIECES = (
    "a",
    "b",
    "ab",
    "A",
    "7",
    "007",
    "-7",
    "1.5",
    "a.b",
    "q",
    "\u00fc",
    "a b",
    "{a}",
    "%25",
    "",
)

_plain = st.sampled_from(["a", "b", "ab", "a.b", "v", "\u00fc", "a b", "{a}", "7", "%"])


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A rule, with up to three parts."""
    names = iter("xyzuvw")
    parts = []
    for _ in range(draw(st.integers(0, 3))):
        pieces = draw(
            st.lists(st.one_of(_plain, st.sampled_from(_CONVERTERS)), min_size=1, max_size=2)
        )
        parts.append(
            "".join(
                f"<{piece}{next(names)}>" if piece in _CONVERTERS else piece for piece in pieces
            )
        )
    return "/" + "/".join(parts) + ("/" if parts and draw(st.booleans()) else "")


@st.composite
def apps(draw: st.DrawFn) -> Flask:
    """An app whose views say which rule was matched, and with what."""
    app = Flask("made", static_folder=None)
    app.url_map.strict_slashes = draw(st.booleans())
    methods = st.sampled_from([["GET"], ["POST"], ["GET", "POST"], ["OPTIONS"], ["PUT", "PURGE"]])
    for number in range(draw(st.integers(0, 6))):

        def view(number: int = number, **arguments: object) -> tuple[str, int]:
            """Say what was matched.

            It is the view that did.
            """
            assert isinstance(request.url_rule, Rule)
            return f"{number} {arguments!r}", 200

        app.add_url_rule(
            draw(rules()),
            f"view{number}",
            view,
            methods=draw(methods),
            merge_slashes=draw(st.booleans()),
        )
    return app


paths = st.lists(st.sampled_from(_PIECES), max_size=4).map(lambda pieces: "/" + "/".join(pieces))
