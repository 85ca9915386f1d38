"""Rules that another rule keeps from ever matching."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from made_routes import apps, paths
from werkzeug.routing import BaseConverter, Rule

from jupyter_flaskserve.kernel.routes import describe, explain


def app_of(*rules: str | Rule) -> Flask:
    app = Flask(__name__, static_folder=None)
    for rule in rules:
        made = rule if isinstance(rule, Rule) else Rule(rule, endpoint=rule, methods=["GET"])
        app.url_map.add(made)
    return app


def lost(app: Flask) -> dict[str, dict[str, Any]]:
    """What is said of the rules that can never match, by their endpoint."""
    return {
        route["endpoint"]: route["unreachable"] for route in describe(app) if route["unreachable"]
    }


def test_a_duplicate_is_found_and_told() -> None:
    app = app_of(Rule("/x", endpoint="a"), Rule("/x", endpoint="b"))
    assert lost(app) == {
        "b": {
            "methods": ["GET"],
            "by": "/x",
            "text": "It can probably never match: "
            "GET /x goes to the same rule of a, which was defined before it.",
        }
    }


def test_a_rule_that_another_shadows_is_told_with_a_url_that_shows_it() -> None:
    (found,) = lost(app_of("/<x>", "/<y>")).values()
    assert found["by"] == "/<x>"
    assert found["text"] == "It can probably never match: GET /sample goes to /<x> (/<x>)."


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/<any(a,b):x>", "/<y>"),
        ("/<int:x>", "/<y>"),
        ("/<string(minlength=4):x>", "/<y>"),
        ("/<string(maxlength=4):x>", "/<y>"),
        ("/<path:x>", "/<path:y>/edit"),
        ("/<x>", "/<path:y>"),
        ("/me", "/<y>"),
        ("/sample", "/<string:y>"),
        ("/<float:x>", "/<y>"),
        ("/<uuid:x>", "/<y>"),
        ("/x/", "/<y>"),
        ("/<int:x>", "/<int(signed=True):y>"),
    ],
)
def test_a_rule_with_urls_of_its_own_is_not_marked(first: str, second: str) -> None:
    assert lost(app_of(first, second)) == {}


def test_one_option_of_several_is_enough_to_be_reached() -> None:
    assert lost(app_of("/a/x", "/b/x", "/<any(a,b,c):p>/x")) == {}
    assert list(lost(app_of("/a/x", "/b/x", "/<any(a,b):p>/x"))) == ["/<any(a,b):p>/x"]
    options = "/<any(a,b):p>/<any(c,d):q>"
    assert lost(app_of("/a/c", "/b/d", "/a/d", options)) == {}
    assert list(lost(app_of("/a/c", "/b/d", "/a/d", "/b/c", options))) == [options]


def test_a_rule_whose_values_another_refuses_is_found() -> None:
    (found,) = lost(app_of("/<int(max=9):x>", "/<int(min=10):y>")).values()
    assert found["by"] == "/<int(max=9):x>"
    assert found["text"].endswith(
        "goes to /<int(max=9):x> (/<int(max=9):x>), and is refused there."
    )


def test_a_sample_that_does_not_fit_its_own_rule_says_nothing() -> None:
    class NotAfterX(BaseConverter):
        regex = "(?<!x)[a-z]+"

    app = app_of("/<other>")
    app.url_map.converters["not_after_x"] = NotAfterX
    app.url_map.add(Rule("/x<not_after_x:y>", endpoint="n"))
    assert lost(app) == {}


def test_each_method_is_looked_at() -> None:
    app = app_of(
        Rule("/<x>", endpoint="a", methods=["GET"]),
        Rule("/<y>", endpoint="b", methods=["GET", "POST", "OPTIONS"]),
    )
    found = lost(app)["b"]
    assert found["methods"] == ["GET"]
    assert found["text"].startswith("With GET, it can probably never match: GET /sample goes to")


def test_head_and_options_are_not_reported_alone() -> None:
    app = app_of(
        Rule("/x", endpoint="a", methods=["OPTIONS", "HEAD"]),
        Rule("/x", endpoint="b", methods=["GET", "OPTIONS"]),
        Rule("/x", endpoint="c", methods=["OPTIONS"]),
    )
    assert lost(app) == {}


def test_a_redirect_of_a_rules_own_is_no_loss() -> None:
    app = app_of(
        Rule("/p/", endpoint="e", defaults={"n": 1}),
        Rule("/p/<int(max=1,min=1):n>", endpoint="e"),
        Rule("/old", endpoint="o", redirect_to="/p/"),
        Rule("/alias/<int:n>", endpoint="e", alias=True),
    )
    assert lost(app) == {}


def test_a_redirect_of_another_rule_is_a_loss() -> None:
    app = app_of(Rule("/old", endpoint="a", redirect_to="/new"), Rule("/old", endpoint="b"))
    assert list(lost(app)) == ["b"]


def test_websockets_and_pages_do_not_shadow_each_other() -> None:
    assert lost(app_of(Rule("/x", endpoint="a", websocket=True), Rule("/x", endpoint="b"))) == {}


class Version(BaseConverter):
    regex = r"v\d+"

    def to_python(self, value: str) -> object:
        raise AssertionError("run")


class Strange(BaseConverter):
    regex = "#{7}x{3}"


def test_an_apps_own_converter_is_judged_by_its_pattern_and_not_run() -> None:
    app = Flask(__name__, static_folder=None)
    app.url_map.converters |= {"version": Version, "strange": Strange}
    for rule in ("/<version:x>", "/<version:y>", "/<z>", "/<strange:x>/a", "/<strange:y>/a"):
        app.url_map.add(Rule(rule, endpoint=rule, methods=["GET"]))
    # No sample is known for the strange ones.
    assert list(lost(app)) == ["/<version:y>"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("regex", ["(?:[a-z]+-?)+", r"(?:\w+-?)+\.png", "(?:[a-z]|[a-y])*!"])
def test_a_pattern_that_takes_very_long_for_long_text_is_not_given_any(regex: str) -> None:
    app = app_of("/<x>", "/<y>")
    app.url_map.converters["slow"] = type("Slow", (BaseConverter,), {"regex": regex})
    app.url_map.add(Rule("/<slow:x>.html", endpoint="slow"))
    assert list(lost(app)) == ["/<y>"]


def test_a_rule_for_a_subdomain_that_flask_does_not_look_at_is_found() -> None:
    app = app_of(Rule("/", endpoint="a", subdomain="api"), "/")
    assert lost(app)["a"]["text"] == (
        "It can probably never match: it is for the subdomain api, and the app looks at "
        "subdomains only with Flask(..., subdomain_matching=True) and a SERVER_NAME."
    )
    matching = Flask(__name__, static_folder=None, subdomain_matching=True)
    matching.config["SERVER_NAME"] = "shop.test"
    matching.url_map.add(Rule("/", endpoint="a", subdomain="<x>"))
    assert lost(matching) == {}


def test_a_rule_without_a_host_is_found_where_hosts_are_matched() -> None:
    app = Flask(__name__, static_folder=None, host_matching=True)
    app.url_map.add(Rule("/", endpoint="a", host="<x>.test"))
    app.url_map.add(Rule("/", endpoint="b"))
    assert list(lost(app)) == ["b"]
    assert lost(app)["b"]["text"].endswith("this app matches hosts, and this rule names none.")


@settings(max_examples=150, deadline=None)
@given(app=apps(), path=paths.filter(lambda path: "//" not in path))
def test_no_url_reaches_a_rule_that_is_marked(app: Flask, path: str) -> None:
    """Samples prove nothing in general; for Werkzeug's converters they are to be good enough, but
    for paths with empty parts: ``/x//`` is all that reaches ``/<path:p>`` after ``/<path:p>/``."""
    routes = describe(app)
    for method in ("GET", "POST", "PUT"):
        found = explain(app, path, method)
        if found["outcome"] == "match":
            loss = routes[found["winner"]]["unreachable"]
            assert loss is None or method not in loss["methods"]
