"""What is told of an app's rules: their order, parts and arguments, and the views behind them."""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask.views import MethodView, View
from IPython.core.interactiveshell import InteractiveShell
from werkzeug.routing import BaseConverter, IntegerConverter, Rule

from jupyter_flaskserve.kernel.routes import describe, explain


@pytest.fixture
def app() -> Flask:
    return Flask(__name__, static_folder=None)


def add(app: Flask, rule: str, endpoint: str | None = None, **options: Any) -> None:
    app.add_url_rule(rule, endpoint or rule, lambda **_: rule, **options)


def rules(app: Flask) -> list[str]:
    return [route["rule"] for route in describe(app)]


def route(app: Flask, rule: str) -> dict[str, Any]:
    return next(route for route in describe(app) if route["rule"] == rule)


def argument(app: Flask, rule: str) -> dict[str, Any]:
    add(app, rule)
    (found,) = route(app, rule)["arguments"]
    assert isinstance(found, dict)
    return found


def test_an_app_that_is_not_flasks_has_no_rules() -> None:
    def plain(environ: object, start_response: object) -> list[bytes]:
        return []

    assert describe(plain) == []


def test_rules_come_in_the_order_in_which_they_are_tried(app: Flask) -> None:
    tried_last_first = ["/<path:any>", "/x/<name>", "/x/<int:id>", "/x/v<name>", "/x/me", "/x"]
    for rule in tried_last_first:
        add(app, rule)
    assert rules(app) == tried_last_first[::-1]
    assert [found["index"] for found in describe(app)] == list(range(6))
    assert [found["defined"] for found in describe(app)] == [5, 4, 3, 2, 1, 0]


def test_of_two_rules_with_the_same_parts_the_one_added_first_is_first(app: Flask) -> None:
    for rule, endpoint in (("/one", "a"), ("/<x>", "b"), ("/<y>", "a")):
        app.url_map.add(Rule(rule, endpoint=endpoint))
    assert rules(app) == ["/one", "/<x>", "/<y>"]


def test_a_rule_that_only_makes_urls_comes_last_and_says_so(app: Flask) -> None:
    add(app, "/a", build_only=True)
    add(app, "/b")
    last = describe(app)[-1]
    assert (last["rule"], last["build_only"], last["unreachable"]) == ("/a", True, None)
    assert not describe(app)[0]["build_only"]


def test_the_parts_of_a_rule_are_its_text(app: Flask) -> None:
    rule = "/caf\u00e9/v<int(min=1):major>.<minor>/<any('a/b', \"c>d\"):x>//<path:rest>/"
    add(app, rule, merge_slashes=False)
    parts = route(app, rule)["parts"]
    assert "".join(part["text"] for part in parts) == rule
    named = [(p["argument"], p["converter"]) for p in parts if p["kind"] == "argument"]
    assert named == [("major", "int"), ("minor", "string"), ("x", "any"), ("rest", "path")]
    assert all(part["converter"] is None for part in parts if part["kind"] == "static")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("/<x>", {"type": "string", "converter": "string", "length": None}),
        ("/<string(length=2):x>", {"type": "string", "length": 2, "example": "x7"}),
        ("/<string(minlength=2, maxlength=5):x>", {"shortest": 2, "longest": 5, "length": None}),
        ("/<string(maxlength=1):x>", {"length": 1, "example": "q"}),
        ("/<path:x>", {"type": "path", "example": "folder/file.txt"}),
        ("/<int:x>", {"type": "int", "minimum": None, "maximum": None, "example": "7"}),
        ("/<int(min=10,max=12):x>", {"minimum": 10, "maximum": 12, "example": "10"}),
        ("/<int(fixed_digits=3):x>", {"length": 3, "example": "007"}),
        ("/<int(signed=True):x>", {"signed": True, "minimum": None, "example": "7"}),
        ("/<float:x>", {"type": "float", "example": "7.5"}),
        ("/<float(min=0.25, max=0.3):x>", {"minimum": 0.25, "maximum": 0.3, "example": "0.25"}),
        ("/<uuid:x>", {"type": "uuid"}),
        ("/<any('b|c', a, 'a.b', ab):x>", {"type": "any", "options": ["b|c", "a", "a.b", "ab"]}),
    ],
)
def test_an_argument_says_what_it_may_be(
    app: Flask, rule: str, expected: dict[str, object]
) -> None:
    found = argument(app, rule)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("rule", "takes"),
    [
        ("/<string(length=1):x>", "text without a slash of 1 character"),
        ("/<string(minlength=3):x>", "text without a slash of at least 3 characters"),
        ("/<int(min=1,max=9):x>", "a whole number from 1 to 9"),
        ("/<int(signed=True):x>", "a whole number (also negative)"),
        ("/<float(max=2):x>", "a number with a decimal point of at most 2"),
        ("/<any(a,b):x>", "one of a, b"),
    ],
)
def test_an_argument_says_in_words_what_it_takes(app: Flask, rule: str, takes: str) -> None:
    assert argument(app, rule)["takes"] == takes


@pytest.mark.parametrize("rule", ["/<string(length=200):x>", "/<int(fixed_digits=4, min=1500):x>"])
def test_an_example_matches_its_own_rule(app: Flask, rule: str) -> None:
    example = argument(app, rule)["example"]
    assert app.test_client().get(f"/{example}").status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        *("/<int(min='a'):x>", "/<int(max=nan):x>", "/<float(min=inf):x>", "/<int(max=1e400):x>"),
        *("/<int(fixed_digits='a'):x>", "/<int(fixed_digits=1000000000):x>", "/<any():x>"),
        *("/<string(length=9999999999):x>", "/<string(length=0):x>", "/<any(''):x>"),
        f"/<float(min=1{'0' * 400}):x>",
    ],
)
def test_a_limit_that_makes_no_sense_is_no_harm(app: Flask, rule: str) -> None:
    add(app, "/<other>")
    add(app, rule)
    json.dumps(describe(app), allow_nan=False)
    assert route(app, rule)["unreachable"] is None
    assert explain(app, "/x")["others"]


def test_a_pattern_that_is_none_is_no_harm(app: Flask) -> None:
    class Bad(BaseConverter):
        regex = "("

    app.url_map.converters["bad"] = Bad
    add(app, "/<bad:x>")
    assert route(app, "/<bad:x>")["arguments"][0]["example"] == ""
    assert explain(app, "/x")["status"] == 500


def test_of_very_many_options_some_are_told(app: Flask) -> None:
    options = [f"o{number}" for number in range(1000)]
    found = argument(app, f"/<any({', '.join(options)}):x>")
    assert found["options"] == options
    assert found["takes"].endswith("o18, o19, \u2026")


def test_an_apps_own_converter_is_named_with_its_pattern_and_is_not_run(app: Flask) -> None:
    class Version(BaseConverter):
        regex = r"v\d+"

        def to_python(self, value: str) -> object:
            raise AssertionError("run")

    class Even(IntegerConverter):
        def to_python(self, value: str) -> object:
            raise AssertionError("run")

    app.url_map.converters |= {"version": Version, "even": Even}
    found = argument(app, "/<version:x>")
    assert (found["type"], found["converter"], found["example"]) == ("custom", "version", "v1")
    assert found["takes"] == r"what Version takes (pattern v\d+)"
    add(app, "/<even:x>")
    add(app, "/<x>")
    assert route(app, "/<even:x>")["arguments"][0]["type"] == "custom"


def test_methods_defaults_host_and_kind_of_a_rule_are_told(app: Flask) -> None:
    app.config["SERVER_NAME"] = "shop.test"
    add(app, "/a", methods=["POST"], subdomain="api", defaults={"page": 1})
    app.url_map.add(Rule("/any", endpoint="any"))
    app.url_map.add(Rule("/ws", endpoint="ws", websocket=True))
    app.url_map.add(Rule("/old", endpoint="/a", alias=True))
    app.url_map.add(Rule("/moved", endpoint="m", redirect_to="/a"))
    first = route(app, "/a")
    assert first["methods"] == ["OPTIONS", "POST"]
    assert first["host"] == "api.shop.test"
    assert first["defaults"] == {"page": "1"}
    assert "GET" in route(app, "/any")["methods"]
    assert [r["rule"] for r in describe(app) if r["websocket"]] == ["/ws"]
    assert [r["rule"] for r in describe(app) if r["alias"]] == ["/old"]
    assert [r["rule"] for r in describe(app) if r["redirects"]] == ["/moved"]


def test_a_host_of_a_rule_is_told(app: Flask) -> None:
    app = Flask(__name__, host_matching=True, static_host="s.test")
    add(app, "/a", host="<user>.test:80")
    assert route(app, "/a")["host"] == "<user>.test:80"
    assert route(app, "/a")["arguments"] == []


def test_only_flasks_own_static_route_is_static(tmp_path: Path) -> None:
    app = Flask(__name__)
    blueprint = Blueprint("shop", __name__, static_folder=str(tmp_path), url_prefix="/shop")
    app.register_blueprint(blueprint)
    add(app, "/mine", "my.static")
    static = {found["endpoint"] for found in describe(app) if found["static"]}
    assert static == {"static", "shop.static"}


# --- views ---


def decorated(view: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(view)
    def wrapper(**arguments: object) -> str:
        return view(**arguments)

    return wrapper


@decorated
def documented(id: int) -> str:
    """Show a user.

    With all that is known.
    """
    return str(id)


class Shelf(MethodView):
    """A shelf."""

    def get(self) -> str:
        """What is on it."""
        return ""

    def post(self) -> str:
        """Put something there."""
        return ""


class Undocumented(MethodView):
    def get(self) -> str:
        return ""


class Page(View):
    """A page."""

    def dispatch_request(self) -> str:
        return ""


class Bare(Page):
    methods = ("POST",)


class Answer:
    """A callable."""

    def __call__(self) -> str:
        return ""


class Rude:
    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def __call__(self) -> str:
        return ""


def test_a_view_is_found_inside_its_decorators(app: Flask) -> None:
    app.add_url_rule("/<int:id>", "user", documented)
    found = describe(app)[0]
    assert found["view"].endswith("documented")
    assert found["doc_first"] == "Show a user."
    assert found["doc"] == "Show a user.\n\nWith all that is known."
    assert found["source"].startswith("@decorated\ndef documented(id: int) -> str:")
    assert found["source"].endswith("return str(id)")
    assert found["file"] == __file__
    assert Path(__file__).read_text().splitlines()[found["line"] - 1] == "@decorated"
    assert found["cell"] == ""


def test_a_class_of_views_tells_its_own_docstring_and_those_of_its_methods(app: Flask) -> None:
    app.add_url_rule("/shelf", view_func=Shelf.as_view("shelf"))
    app.add_url_rule("/page", view_func=Page.as_view("page"))
    app.add_url_rule("/none", view_func=Undocumented.as_view("none"))
    app.add_url_rule("/bare", view_func=Bare.as_view("bare"))
    found = route(app, "/shelf")
    assert found["doc"] == "A shelf.\n\nGET: What is on it.\n\nPOST: Put something there."
    assert found["view"].endswith("Shelf")
    assert found["source"].startswith("class Shelf(MethodView):")
    assert route(app, "/page")["doc"] == "A page."
    assert route(app, "/none")["doc"] == ""
    assert route(app, "/bare")["source"] == 'class Bare(Page):\n    methods = ("POST",)'


@pytest.mark.parametrize(
    ("view", "name", "doc"),
    [
        (functools.partial(documented, 1), "documented", "Show a user."),
        (functools.lru_cache(documented), "documented", "Show a user."),
        (Answer(), "Answer", "A callable."),
        (Answer().__call__, "Answer.__call__", ""),
        (dict, "dict", dict.__doc__),
        (len, "len", len.__doc__),
        (lambda: "", "<lambda>", ""),
    ],
)
def test_anything_that_can_be_called_is_described(
    app: Flask, view: Any, name: str, doc: str
) -> None:
    app.view_functions["odd"] = view
    app.url_map.add(Rule("/odd", endpoint="odd"))
    found = describe(app)[0]
    assert found["view"].rpartition("test_routes_description.")[2] == name
    assert found["doc_first"] == doc.strip().partition("\n")[0]
    json.dumps(found)


def test_a_view_that_answers_for_itself_when_asked_is_named_by_its_type(app: Flask) -> None:
    app.view_functions["odd"] = Rude()
    app.url_map.add(Rule("/odd", endpoint="odd"))
    assert describe(app)[0]["view"] == "Rude"


def test_a_rule_without_a_view_is_described(app: Flask) -> None:
    app.url_map.add(Rule("/none", endpoint="none"))
    found = describe(app)[0]
    assert (found["view"], found["source"], found["line"]) == ("", "", None)


def test_a_function_whose_file_is_gone_has_no_source(app: Flask) -> None:
    namespace: dict[str, Any] = {}
    exec(compile("def view():\n    return ''\n", "/nowhere/gone.py", "exec"), namespace)
    app.add_url_rule("/", view_func=namespace["view"])
    found = describe(app)[0]
    assert (found["source"], found["file"], found["line"]) == ("", "/nowhere/gone.py", 1)


def test_a_very_long_source_and_docstring_are_cut(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "long.py"
    file.write_text(f'def view():\n    """{"d" * 30_000}"""\n')
    namespace: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    app.add_url_rule("/", view_func=namespace["view"])
    found = describe(app)[0]
    assert len(found["source"]) == len(found["doc"]) == 20_001
    assert found["source"].endswith("d\u2026")


def test_a_default_whose_repr_fails_is_told_by_its_type(app: Flask) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ValueError("no")

    add(app, "/", defaults={"odd": Odd(), "long": "x" * 1000})
    defaults = describe(app)[0]["defaults"]
    assert defaults["odd"] == "<Odd>"
    assert len(defaults["long"]) == 200


CELL = """
from flask import Flask
from flask.views import MethodView
app = Flask(__name__, static_folder=None)

@app.get("/")
def home():
    "Home."
    return ""

class Shelf(MethodView):
    "A shelf."
    def get(self): return ""

app.add_url_rule("/shelf", view_func=Shelf.as_view("shelf"))
"""


def run(shell: InteractiveShell, code: str) -> None:
    shell.run_cell(code, store_history=True).raise_error()


def test_a_view_of_a_cell_is_told_with_its_cell(loaded_shell: InteractiveShell) -> None:
    run(loaded_shell, CELL)
    home, shelf = describe(loaded_shell.user_ns["app"])
    assert (home["rule"], home["cell"], home["file"], home["line"]) == ("/", "Cell In[1]", "", 5)
    assert home["view"] == "home"
    assert home["source"].startswith('@app.get("/")\ndef home():')
    assert (shelf["view"], shelf["cell"], shelf["line"]) == ("Shelf", "Cell In[1]", 10)
    assert shelf["source"].startswith("class Shelf(MethodView):")
    assert shelf["source"].endswith('def get(self): return ""')


def test_a_notebooks_app_is_described_as_requests_see_it(loaded_shell: InteractiveShell) -> None:
    run(loaded_shell, CELL)
    app = loaded_shell.user_ns["app"]
    seen: list[tuple[set[str], str]] = []

    def look() -> None:
        seen.append((set(rules(app)), explain(app, "/new")["outcome"]))

    loaded_shell.user_ns["look"] = look
    loaded_shell.user_ns["outside"] = outside
    run(loaded_shell, 'app.add_url_rule("/new", "home")\nlook()\noutside(look)')
    look()
    before, after = {"/", "/shelf"}, {"/", "/shelf", "/new"}
    assert seen == [(after, "match"), (before, "not-found"), (after, "match")]


def outside(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def test_an_app_may_change_while_it_is_described(app: Flask) -> None:
    for number in range(200):
        add(app, f"/{number}/<x>")
    running = True

    def change() -> None:
        number = 1000
        while running:
            add(app, f"/{number}/<x>")
            number += 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            assert len(describe(app)) >= 200
    finally:
        running = False
        thread.join()
        sys.setswitchinterval(interval)


def test_describing_changes_nothing(app: Flask) -> None:
    for rule in ("/a", "/a/<x>", "/<int:y>"):
        add(app, rule)
    before = [(id(r), dict(vars(r))) for r in app.url_map.iter_rules()]
    describe(app)
    assert [(id(r), dict(vars(r))) for r in app.url_map.iter_rules()] == before


def test_the_sources_of_very_many_views_are_bounded_together(app: Flask, tmp_path: Path) -> None:
    body = "\n".join(f"    'line {'x' * 80} {number}'" for number in range(180))
    for number in range(300):
        file = tmp_path / f"view{number}.py"
        file.write_text(f"def view():\n{body}\n")
        namespace: dict[str, Any] = {}
        exec(compile(file.read_text(), str(file), "exec"), namespace)
        app.add_url_rule(f"/{number}", f"view{number}", namespace["view"])
    found = describe(app)
    assert 3_900_000 < sum(len(route["source"]) for route in found) <= 4_000_000
    assert found[0]["source"]
    assert not found[-1]["source"]


def test_very_many_classes_of_one_file_take_no_time(
    app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = [f"class View{n}(View):\n    methods = ['GET']\n{'#' * 80}\n" for n in range(500)]
    (tmp_path / "many_views.py").write_text("from flask.views import View\n" + "".join(classes))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("many_views")
    for number in range(500):
        view = getattr(module, f"View{number}").as_view(f"view{number}")
        app.add_url_rule(f"/{number}", view_func=view)
    start = time.monotonic()
    assert all(found["source"].startswith("class View") for found in describe(app))
    assert time.monotonic() - start < 5
