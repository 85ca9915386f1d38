"""Which rule a URL goes to, and why the others lost."""

from __future__ import annotations

import uuid
import warnings
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from flask import Flask
from hypothesis import given, settings
from made_routes import apps, paths
from werkzeug.routing import BaseConverter, Rule

from jupyter_flaskserve.kernel.routes import describe, explain

METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PURGE")


def app_of(*rules: str | Rule, **options: Any) -> Flask:
    app = Flask(__name__, static_folder=None, **options)
    for rule in rules:
        made = rule if isinstance(rule, Rule) else Rule(rule, endpoint=rule, methods=["GET"])
        app.url_map.add(made)
        app.view_functions[made.endpoint] = lambda **_: ""
    return app


def lost(app: Flask, rule: str, url: str, method: str = "GET") -> tuple[str, str]:
    """Why a rule lost: kind and reason."""
    found = explain(app, url, method)
    index = next(route["index"] for route in describe(app) if route["rule"] == rule)
    other = next(other for other in found["others"] if other["index"] == index)
    return other["kind"], other["reason"]


# --- what is asked ---


@pytest.mark.parametrize(
    "url",
    [
        "/users/7",
        "users/7",
        "  /users/7\n",
        "/users/7?x=1&y=/users/8",
        "/users/7#there",
        "/users/%37",
        "//users/7",
        "/flaskserve/demo/users/7",
        "flaskserve/demo/users/7",
        "http://127.0.0.1:8888/flaskserve/demo/users/7?x=1#y",
        "HTTPS://user@host/users/7",
        "http://demo.localhost:8888/users/7",
    ],
)
def test_a_url_may_be_typed_in_many_ways(url: str) -> None:
    found = explain(app_of("/users/<int:id>"), url, "GET", "/flaskserve/demo/")
    assert (found["path"], found["outcome"], found["status"]) == ("/users/7", "match", 200)
    assert (found["winner"], found["arguments"]) == (0, {"id": "7"})
    assert found["url"] == url


@pytest.mark.parametrize("url", ["", "/", "?x", "http://host", "http://host?x", "/flaskserve/demo"])
def test_what_has_no_path_is_the_apps_root(url: str) -> None:
    assert explain(app_of("/"), url, "GET", "/flaskserve/demo/")["winner"] == 0


def test_a_mounts_prefix_ends_at_a_slash() -> None:
    found = explain(app_of("/x"), "/flaskserve/demolition", "GET", "/flaskserve/demo/")
    assert found["path"] == "/flaskserve/demolition"


def test_a_prefix_with_other_letters_is_known_in_any_spelling() -> None:
    mount = "/user/ren%C3%A9/flaskserve/demo/"
    for start in ("/user/ren%C3%A9", "/user/ren\u00e9"):
        found = explain(app_of("/x"), f"{start}/flaskserve/demo/x", "GET", mount)
        assert found["outcome"] == "match"


def test_encoded_and_other_letters_are_compared_as_text() -> None:
    app = app_of("/caf\u00e9/<name>")
    for url in ("/caf\u00e9/a%20b", "/caf%C3%A9/a b"):
        assert explain(app, url)["arguments"] == {"name": "'a b'"}
    assert explain(app, "/caf%E9/x")["outcome"] == "not-found"


def test_text_that_no_url_can_have_is_no_harm() -> None:
    assert explain(app_of("/<x>"), "/\ud800", "GET", "/m\ud800/")["arguments"] == {"x": "'?'"}


def test_any_method_can_be_asked_for() -> None:
    app = app_of(Rule("/", endpoint="x", methods=["PURGE"]))
    assert explain(app, "/", " purge ")["outcome"] == "match"
    assert explain(app, "/", "a b")["outcome"] == "method-not-allowed"
    assert explain(app, "/", "")["method"] == "GET"


def test_of_an_app_that_is_not_flasks_it_is_said_that_nothing_is_known() -> None:
    def plain(environ: object, start_response: object) -> list[bytes]:
        return []

    found = explain(plain, "/x?y")
    assert found["text"] == "This app is not made with Flask, so its rules are not known."
    assert (found["outcome"], found["status"], found["path"]) == ("not-found", 0, "/x")


# --- what becomes of it ---


def test_a_match_is_told_with_its_arguments() -> None:
    found = explain(app_of("/<int:a>/<b>"), "/1/x")
    assert found["text"] == "GET /1/x goes to /<int:a>/<b> (/<int:a>/<b>) with a = 1, b = 'x'."


def test_that_flask_answers_options_itself_is_told() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/", "x", lambda: "")
    assert explain(app, "/", "OPTIONS")["text"].endswith(
        "Flask answers it itself, without the view."
    )


def test_a_wrong_method_is_told_with_the_right_ones() -> None:
    app = app_of(
        Rule("/x", endpoint="a", methods=["PUT"]), Rule("/<x>", endpoint="b", methods=["POST"])
    )
    found = explain(app, "/x", "GET")
    assert (found["outcome"], found["status"]) == ("method-not-allowed", 405)
    assert (found["allowed"], found["winner"]) == (["POST", "PUT"], None)
    assert "405 Method Not Allowed" in found["text"]


def test_a_path_that_fits_nothing_is_not_found() -> None:
    found = explain(app_of("/x"), "/y")
    assert (found["outcome"], found["status"], found["winner"]) == ("not-found", 404, None)
    assert found["text"] == "GET /y fits no rule: Flask answers 404 Not Found."


def test_a_redirect_to_the_slash_is_told_with_the_rule_that_makes_it() -> None:
    app = app_of("/users/", "/<name>")
    found = explain(app, "http://h/m/users?a=1", "GET", "/m/")
    assert (found["outcome"], found["status"], found["winner"]) == ("redirect", 308, 0)
    assert found["redirect_to"] == "/m/users/?a=1"
    assert found["text"].endswith("because /users/ ends with a slash.")


@pytest.mark.parametrize(
    ("rules", "url", "target", "why"),
    [
        (["/a/<x>"], "/a//b", "/a/b", "because /a/<x> fits when double slashes become one."),
        (
            [Rule("/old/<x>", endpoint="o", redirect_to="/new/<x>")],
            "/old/1",
            "/new/1",
            "because /old/<x> is defined with redirect_to.",
        ),
        (
            [Rule("/old", endpoint="e", alias=True), Rule("/new", endpoint="e")],
            "/old",
            "/new",
            "because /old is an alias of another rule of e.",
        ),
        (
            [Rule("/p/", endpoint="e", defaults={"n": 1}), Rule("/p/<int:n>", endpoint="e")],
            "/p/1",
            "/p/",
            "because another rule of e has these arguments as its defaults.",
        ),
        (["/a/b", "/<path:p>/"], "/a//b", "/a//b/", "because /<path:p>/ ends with a slash."),
        (["/a/b/"], "/a//b/", "/a/b/", "because /a/b/ fits when double slashes become one."),
    ],
)
def test_other_redirects_are_told_with_their_reason(
    rules: list[str | Rule], url: str, target: str, why: str
) -> None:
    rules = [rule if isinstance(rule, str) else rule.empty() for rule in rules]
    app = app_of(*rules)
    found = explain(app, url)
    assert (found["outcome"], found["redirect_to"]) == ("redirect", target)
    assert found["text"].endswith(why)
    asked = app.test_client().get(url)
    assert urlsplit(asked.headers["Location"]).path == target


def test_where_a_redirect_goes_is_told_in_readable_letters() -> None:
    found = explain(app_of("/caf\u00e9/"), "/caf%C3%A9")
    assert found["redirect_to"] == "/caf%C3%A9/"
    assert "sends the browser to /caf\u00e9/, because" in found["text"]


def test_a_redirect_to_another_host_is_told_in_full() -> None:
    app = app_of(Rule("/out", endpoint="o", redirect_to="http://other.test/x"))
    assert explain(app, "/out")["redirect_to"] == "http://other.test/x"


def test_a_value_that_is_refused_ends_the_search_and_that_is_told() -> None:
    app = app_of("/<int(max=9):x>", "/<name>")
    found = explain(app, "/12")
    assert (found["outcome"], found["status"]) == ("not-found", 404)
    assert "fits the pattern of /<int(max=9):x>, but its converter refuses" in found["text"]
    kind, reason = lost(app, "/<int(max=9):x>", "/12")
    assert kind == "converter"
    assert reason.endswith("but not the value in '/12': <x> takes a whole number of at most 9.")
    kind, reason = lost(app, "/<name>", "/12")
    assert kind == "later"
    assert reason == "It fits, but /<int(max=9):x> is tried first, and after that no other rule."


class Broken(BaseConverter):
    def to_python(self, value: str) -> object:
        raise KeyError(value)


def test_a_converter_that_fails_is_told() -> None:
    app = Flask(__name__, static_folder=None)
    app.url_map.converters["broken"] = Broken
    app.url_map.add(Rule("/<broken:x>", endpoint="b"))
    found = explain(app, "/y")
    assert (found["outcome"], found["status"]) == ("not-found", 500)
    assert found["text"].startswith("The search for the rule of GET /y fails with KeyError('y').")
    assert lost(app, "/<broken:x>", "/y")[0] == "converter"


def test_a_websocket_is_asked_for_by_its_scheme() -> None:
    app = app_of(Rule("/ws", endpoint="w", websocket=True), Rule("/page", endpoint="p"))
    assert explain(app, "ws://host/ws")["outcome"] == "match"
    found = explain(app, "/ws")
    assert (found["outcome"], found["status"]) == ("not-found", 400)
    assert "takes only a WebSocket" in found["text"]
    assert lost(app, "/ws", "/ws") == (
        "method",
        "It fits, but is for WebSockets: its URL begins with ws:// or wss://.",
    )
    assert "takes no WebSocket" in explain(app, "wss://host/page")["text"]


def test_a_host_that_flask_refuses_is_told() -> None:
    app = app_of("/")
    found = explain(app, f"http://{'x' * 80}/")
    assert (found["outcome"], found["status"]) == ("not-found", 400)
    assert found["text"].startswith("Flask refuses the host xxx")


def test_an_app_that_fails_before_any_rule_is_tried_is_told() -> None:
    class Failing(Flask):
        def create_url_adapter(self, request: object) -> Any:
            raise KeyError("tenant")

    found = explain(Failing(__name__), "/")
    assert (found["outcome"], found["status"]) == ("not-found", 500)
    assert found["text"] == "Before any rule is tried, the app fails with KeyError('tenant')."


def test_an_apps_own_converters_run_for_the_winner_alone() -> None:
    ran = []

    class Noted(BaseConverter):
        def to_python(self, value: str) -> str:
            ran.append(value)
            return value.upper()

    app = Flask(__name__, static_folder=None)
    app.url_map.converters["noted"] = Noted
    app.url_map.add(Rule("/<noted:x>", endpoint="a"))
    app.url_map.add(Rule("/me", endpoint="b"))
    assert explain(app, "/me")["outcome"] == "match"
    assert ran == []
    assert explain(app, "/you")["arguments"] == {"x": "'YOU'"}
    assert ran == ["you"]


# --- why others lost ---


@pytest.mark.parametrize(
    ("rule", "url", "kind", "reason"),
    [
        ("/user/me", "/users/me", "path", "Part 1 is 'users', but this rule has 'user' there."),
        (
            "/Me",
            "/me",
            "path",
            "Part 1 is 'me', but this rule has 'Me' there: capital letters count.",
        ),
        ("/a/b", "/a", "path", "The path ends before part 2, b."),
        ("/a", "/", "path", "The path ends before part 1, a."),
        ("/a/<path:p>", "/a", "path", "The path ends before part 2, <path:p>."),
        ("/a", "/a/b/c", "path", "The path goes on with 'b/c' where this rule ends."),
        ("/", "/a", "path", "The path goes on with 'a' where this rule ends."),
        ("/a/", "/a/b", "path", "The path goes on with 'b' where this rule ends."),
        ("/a", "/a/", "slash", "It would match without the slash at the end."),
        ("/<int:id>", "/abc", "converter", "Part 1 is 'abc', but <int:id> takes a whole number."),
        (
            "/<float:x>",
            "/7",
            "converter",
            "Part 1 is '7', but <float:x> takes a number with a decimal point.",
        ),
        (
            "/a//<int:id>",
            "/a/x",
            "converter",
            "Part 2 is 'x', but <int:id> takes a whole number.",
        ),
        (
            "/<int:id>",
            "/-7",
            "converter",
            "Part 1 is '-7', but <int:id> takes a whole number. "
            "With signed=True it would take a minus.",
        ),
        ("/<any(a,b):x>", "/c", "converter", "Part 1 is 'c', but <any(a,b):x> takes one of a, b."),
        (
            "/<string(length=2):x>",
            "/c",
            "converter",
            "Part 1 is 'c', but <string(length=2):x> takes text without a slash of 2 characters.",
        ),
        (
            "/v<int:a>.<b>",
            "/v1",
            "converter",
            "Part 1 is 'v1', but this rule has v<int:a>.<b> there, "
            "where <a> takes a whole number and <b> takes text without a slash.",
        ),
        (
            "/a/<path:p>/edit",
            "/a/b/c",
            "converter",
            "Part 2 is 'b/c', but this rule has <path:p>/edit there, "
            "where <p> takes text that may contain slashes.",
        ),
    ],
)
def test_a_rule_that_does_not_fit_is_told_where(
    rule: str, url: str, kind: str, reason: str
) -> None:
    assert lost(app_of(rule), rule, url) == (kind, reason)


def test_an_empty_part_is_called_empty() -> None:
    app = app_of("/a/<int:x>/b")
    app.url_map.merge_slashes = False
    assert lost(app, "/a/<int:x>/b", "/a//b")[1].startswith("Part 2 is empty, but <int:x>")


def test_a_rest_of_the_path_ends_with_one_slash() -> None:
    app = app_of(Rule("/<path:x>/", endpoint="x", merge_slashes=False))
    app.url_map.merge_slashes = False  # Werkzeug 3.0.0 looks there only
    assert lost(app, "/<path:x>/", "/a//")[1].startswith("Part 1 is 'a//', but this rule has <path")


def test_a_rule_for_other_methods_says_which() -> None:
    app = app_of("/x", Rule("/<x>", endpoint="b", methods=["POST", "PUT"]))
    assert lost(app, "/<x>", "/x") == ("method", "It fits, but takes only POST and PUT, not GET.")


@pytest.mark.parametrize(
    ("winner", "loser", "url", "reason"),
    [
        ("/u/me", "/u/<x>", "/u/me", "comes later: in part 2 the plain text 'me' goes before <x>."),
        ("/<int:x>", "/<x>", "/7", "comes later: in part 1 Flask tries <int:x> before <x>."),
        (
            "/<x>",
            "/<y>",
            "/7",
            "comes later: <x> takes the same in part 1 and was defined before it.",
        ),
        ("/v<x>", "/<x>", "/v1", "comes later: in part 1 v<x> has more plain text than <x>."),
        (
            "/a/<x>",
            "/<path:x>",
            "/a/b",
            "comes later: in part 1 the plain text 'a' goes before <path:x>.",
        ),
    ],
)
def test_a_rule_that_fits_too_says_why_it_comes_later(
    winner: str, loser: str, url: str, reason: str
) -> None:
    app = app_of(winner, loser)
    assert explain(app, url)["winner"] == 0
    assert lost(app, loser, url) == ("later", f"It fits too, but {reason}")


def test_the_same_rule_defined_again_says_so() -> None:
    app = app_of(Rule("/x", endpoint="a"), Rule("/x", endpoint="b"))
    (other,) = explain(app, "/x")["others"]
    assert (other["index"], other["reason"]) == (
        1,
        "It fits too, but /x (a) was defined before it.",
    )


def test_a_rule_that_would_redirect_says_where_to() -> None:
    app = app_of("/<x>", "/a/")
    assert lost(app, "/a/", "/b")[0] == "path"
    assert lost(app_of("/<x>", Rule("/<int:x>/", endpoint="b")), "/<x>", "/7")[0] == "later"
    app = app_of("/a", "/<x>/")
    assert lost(app, "/<x>/", "/a") == (
        "slash",
        "It would match with a slash at the end: '/a/'.",
    )


def test_without_strict_slashes_the_exact_rule_goes_first() -> None:
    app = app_of(
        Rule("/a", endpoint="a", strict_slashes=False),
        Rule("/a/", endpoint="b", strict_slashes=False),
    )
    found = explain(app, "/a/")
    assert found["winner"] == 1
    assert (
        found["others"][0]["reason"]
        == "It fits too, but /a/ fits exactly, up to the slash at the end."
    )


def test_a_rule_that_only_makes_urls_says_so() -> None:
    app = app_of(Rule("/x", endpoint="a", build_only=True))
    assert lost(app, "/x", "/x")[0] == "build-only"


def test_a_rule_for_another_host_says_so() -> None:
    app = Flask(__name__, static_folder=None, host_matching=True)
    app.url_map.add(Rule("/", endpoint="a", host="a.test"))
    app.url_map.add(Rule("/", endpoint="b", host="<user>.b.test"))
    found = explain(app, "http://me.b.test/")
    assert (found["winner"], found["arguments"]) == (1, {"user": "'me'"})
    assert found["others"][0] == {
        "index": 0,
        "kind": "host",
        "reason": "It is for the host a.test, and this URL has the host me.b.test.",
    }


def test_a_rule_for_a_subdomain_says_so() -> None:
    app = Flask(__name__, static_folder=None, subdomain_matching=True)
    app.config["SERVER_NAME"] = "shop.test"
    app.url_map.add(Rule("/", endpoint="a", subdomain="api"))
    assert explain(app, "http://api.shop.test/")["winner"] == 0
    assert lost(app, "/", "/") == (
        "host",
        "It is for the subdomain api, and this URL has none.",
    )


# --- Flask itself is the judge ---


@settings(max_examples=200, deadline=None)
@given(app=apps(), path=paths)
def test_the_outcome_is_what_flask_does(app: Flask, path: str) -> None:
    client, routes = app.test_client(), describe(app)
    for method in METHODS:
        found = explain(app, quote(path), method, "/m/")
        answer = client.open(quote("/" + path.lstrip("/")), method=method)
        assert found["status"] == answer.status_code
        if found["outcome"] == "match" and answer.data:
            number, _, arguments = answer.text.partition(" ")
            assert routes[found["winner"]]["endpoint"] == f"view{number}"
            assert {k: repr(v) for k, v in eval(arguments, vars(uuid)).items()} == (
                found["arguments"]
            )
        if found["outcome"] == "method-not-allowed":
            assert set(found["allowed"]) == set(answer.allow)
        if found["outcome"] == "redirect":
            assert unquote(found["redirect_to"]) == "/m" + unquote(urlsplit(answer.location).path)
            assert found["winner"] is not None


@settings(max_examples=150, deadline=None)
@given(app=apps(), path=paths)
def test_each_other_rule_has_a_reason_of_its_own(app: Flask, path: str) -> None:
    indexes = list(range(len(list(app.url_map.iter_rules()))))
    for method in METHODS:
        found = explain(app, quote(path), method)
        told = [other["index"] for other in found["others"]]
        assert sorted([*told, *({found["winner"]} - {None})]) == indexes
        for other in found["others"]:
            assert other["reason"] != "Its pattern does not fit this path."
            if other["kind"] == "later" and "up to the slash" not in other["reason"]:
                assert found["winner"] is None or other["index"] > found["winner"]


def test_it_warns_of_nothing() -> None:
    app = app_of("/x")
    app.config["SERVER_NAME"] = "shop.test"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert explain(app, "/x")["outcome"] == "match"
