"""An app's rules as an OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView
from hypothesis import given, settings
from made_routes import apps
from openapi_spec_validator import validate
from werkzeug.routing import BaseConverter, Rule

from jupyter_flaskserve.kernel.routes import openapi


def app_of(*rules: str | Rule, **options: Any) -> Flask:
    app = Flask(__name__, static_folder=None, **options)
    for rule in rules:
        made = rule if isinstance(rule, Rule) else Rule(rule, endpoint=rule, methods=["GET"])
        app.url_map.add(made)
        app.view_functions.setdefault(made.endpoint, lambda **_: "")
    return app


def document(app: object, server: str = "/flaskserve/demo/") -> dict[str, Any]:
    """The document of an app, after the validator has accepted it."""
    made = json.loads(json.dumps(openapi(app, title="demo", server=server)))
    validate(made)
    assert isinstance(made, dict)
    return made


def parameter(app: Flask, rule: str) -> dict[str, Any]:
    (item,) = document(app_of(rule))["paths"].values()
    (found,) = item["get"]["parameters"]
    assert isinstance(found, dict)
    return found


def test_the_document_says_what_and_where_the_app_is() -> None:
    made = document(app_of("/x"))
    assert made["openapi"] == "3.1.0"
    assert made["info"]["title"] == "demo"
    assert made["servers"] == [{"url": "/flaskserve/demo/"}]
    assert list(made["paths"]) == ["/x"]


def test_without_a_server_there_is_none() -> None:
    assert "servers" not in document(app_of(), server="")


def test_of_an_app_that_is_not_flasks_it_says_that_nothing_is_known() -> None:
    def plain(environ: object, start_response: object) -> list[bytes]:
        return []

    made = document(plain)
    assert made["paths"] == {}
    assert made["info"]["description"].startswith("This app is not made with Flask")


@pytest.mark.parametrize(
    ("rule", "schema"),
    [
        ("/<x>", {"type": "string", "minLength": 1}),
        ("/<string(length=2):x>", {"type": "string", "minLength": 2, "maxLength": 2}),
        ("/<int:x>", {"type": "integer", "minimum": 0}),
        ("/<int(min=2,max=9):x>", {"type": "integer", "minimum": 2, "maximum": 9}),
        ("/<int(signed=True,max=9):x>", {"type": "integer", "maximum": 9}),
        ("/<float(min=0.5):x>", {"type": "number", "minimum": 0.5}),
        ("/<any(b,a):x>", {"type": "string", "enum": ["b", "a"]}),
        ("/<uuid:x>", {"type": "string", "format": "uuid"}),
        ("/<path:x>", {"type": "string"}),
        ("/<any():x>", {"type": "string", "enum": []}),
        ("/<int(min='a',max=nan):x>", {"type": "integer", "minimum": 0}),
    ],
)
def test_a_parameter_says_what_it_may_be(rule: str, schema: dict[str, object]) -> None:
    found = parameter(app_of(rule), rule)
    assert (found["name"], found["in"], found["required"]) == ("x", "path", True)
    assert found["schema"] == schema


def test_that_a_path_has_slashes_is_noted() -> None:
    assert "no slashes" in parameter(app_of(), "/<path:x>")["description"]


def test_an_apps_own_converter_is_a_text_with_its_pattern_in_words() -> None:
    class Version(BaseConverter):
        regex = r"v\d+"

    app = app_of()
    app.url_map.converters["version"] = Version
    app.url_map.add(Rule("/<version:x>", endpoint="x", methods=["GET"]))
    (found,) = document(app)["paths"]["/{x}"]["get"]["parameters"]
    assert found["schema"] == {"type": "string"}
    assert found["description"] == r"What Version takes (pattern v\d+)."


def test_text_that_means_something_in_a_template_is_encoded() -> None:
    rules = ["/{a}/<b>", "/caf\u00e9 x", "/100%", "/a?b", "/a#b", "/%7B", "/a//b"]
    app = app_of(*(Rule(rule, endpoint=rule, merge_slashes=False) for rule in rules))
    assert set(document(app)["paths"]) == {
        *("/caf%C3%A9%20x", "/100%25", "/a%3Fb", "/a%23b", "/%257B", "/a//b", "/%7Ba%7D/{b}"),
    }


def test_there_is_an_operation_for_each_method_but_head_and_options() -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/x", "x", lambda: "", methods=["GET", "POST", "DELETE"])
    item = document(app)["paths"]["/x"]
    assert sorted(item) == ["delete", "get", "post"]
    assert item["post"]["requestBody"] == {"content": {"*/*": {}}}
    assert "requestBody" not in item["get"]
    assert "requestBody" not in item["delete"]


def test_head_and_options_are_kept_where_there_is_nothing_else() -> None:
    app = app_of(Rule("/x", endpoint="x", methods=["OPTIONS"]))
    assert list(document(app)["paths"]["/x"]) == ["options"]


def test_a_method_without_a_field_is_noted() -> None:
    app = app_of(Rule("/x", endpoint="x", methods=["PURGE", "OPTIONS"]))
    (item,) = document(app)["paths"].values()
    assert item == {"description": "/x takes PURGE, too. OpenAPI has no field for that."}


def test_operation_ids_are_unique() -> None:
    app = app_of(
        *(Rule(f"/{rule}", endpoint="e", methods=["GET", "POST"]) for rule in "abc"),
        Rule("/d", endpoint="e_get"),
    )
    items = document(app)["paths"].values()
    ids = [item[method]["operationId"] for item in items for method in item]
    assert len(set(ids)) == len(ids) >= 8
    assert ids[0] == "e"


def test_docstrings_become_summary_and_description() -> None:
    class Shelf(MethodView):
        """A shelf."""

        def get(self) -> str:
            """What is on it.

            In order.
            """
            return ""

        def post(self) -> str:
            return ""

    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/shelf", view_func=Shelf.as_view("shelf"))
    item = document(app)["paths"]["/shelf"]
    assert (item["get"]["summary"], item["get"]["description"]) == ("What is on it.", "In order.")
    assert item["post"]["summary"] == "A shelf."
    assert "description" not in item["post"]


def test_operations_are_tagged_with_their_blueprint() -> None:
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/in", "x", lambda: "")
    outer.add_url_rule("/out", "x", lambda: "")
    outer.register_blueprint(inner)
    app = app_of(Rule("/plain", endpoint="with.a.dot"))
    app.register_blueprint(outer)
    made = document(app)
    assert made["paths"]["/in"]["get"]["tags"] == ["outer.inner"]
    assert made["paths"]["/out"]["get"]["tags"] == ["outer"]
    assert "tags" not in made["paths"]["/plain"]["get"]
    assert sorted(tag["name"] for tag in made["tags"]) == ["outer", "outer.inner"]


def test_rules_that_openapi_takes_for_one_are_merged() -> None:
    app = app_of("/a/<int:x>", "/a/<y>", Rule("/a/<z>", endpoint="p", methods=["POST"]))
    made = document(app)
    assert list(made["paths"]) == ["/a/{x}"]
    get, post = made["paths"]["/a/{x}"]["get"], made["paths"]["/a/{x}"]["post"]
    assert get["parameters"][0]["schema"] == {
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}]
    }
    assert "Also the rule `/a/<y>` (`/a/<y>`)" in get["description"]
    assert post["parameters"][0]["schema"] == {"type": "string", "minLength": 1}
    assert post["parameters"][0]["description"].endswith("The app calls it z.")


def test_of_merged_rules_each_method_says_what_its_own_take() -> None:
    app = app_of(Rule("/<int:x>", endpoint="a", methods=["GET", "PUT"]), "/<y>")
    item = document(app)["paths"]["/{x}"]
    assert "anyOf" in item["get"]["parameters"][0]["schema"]
    assert item["put"]["parameters"][0]["schema"]["type"] == "integer"


def test_a_name_that_a_rule_uses_twice_becomes_two() -> None:
    twice = Rule("/<x>/<x>/<x_2>", endpoint="e", defaults={"x": "a"})  # else Werkzeug refuses it
    made = document(app_of(twice))
    (item,) = made["paths"].values()
    names = [found["name"] for found in item["get"]["parameters"]]
    assert len(set(names)) == 3
    assert names[0] == "x"


def test_what_is_no_http_rule_is_left_out() -> None:
    app = app_of(
        Rule("/a", endpoint="a", build_only=True), Rule("/b", endpoint="b", websocket=True), "/c"
    )
    assert list(document(app)["paths"]) == ["/c"]


def test_hosts_and_redirects_are_noted() -> None:
    app = app_of(
        Rule("/a", endpoint="a", subdomain="api"),
        Rule("/b", endpoint="b", redirect_to="/a"),
        Rule("/c", endpoint="b", alias=True),
    )
    paths = document(app)["paths"]
    assert paths["/a"]["get"]["description"] == "Only for the subdomain `api`."
    assert paths["/b"]["get"]["description"] == "Redirects."
    assert paths["/c"]["get"]["description"] == "Redirects to another rule of `b`."


def test_a_server_may_have_braces() -> None:
    made = document(app_of(), server="http://h/{x}/")
    assert made["servers"] == [{"url": "http://h/%7Bx%7D/"}]


def test_flasks_own_rules_are_accepted() -> None:
    assert list(document(Flask(__name__))["paths"]) == ["/static/{filename}"]


@settings(max_examples=50, deadline=None)
@given(app=apps())
def test_the_validator_accepts_whatever_flask_does(app: Flask) -> None:
    made = document(app)
    operations = [operation for item in made["paths"].values() for operation in item]
    routes = [rule for rule in app.url_map.iter_rules() if rule.methods]
    assert bool(operations) == bool(routes)
