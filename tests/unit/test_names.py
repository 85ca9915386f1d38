"""Which of the notebook's variables a cell mentions, and which the views of an app use."""

from __future__ import annotations

import types
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from IPython.core.inputtransformer2 import TransformerManager

from jupyter_flaskserve.kernel.cells import files as cell_files
from jupyter_flaskserve.kernel.cells import follow
from jupyter_flaskserve.kernel.cells.names import names_used_by
from jupyter_flaskserve.kernel.cells.runs import Run

OUTSIDE = "a variable of another module"


def names_of(cell: str) -> set[str]:
    return Run(cell, None, TransformerManager().transform_cell).names


# Views


@pytest.fixture
def notebook() -> Callable[[str], dict[str, Any]]:
    """Runs cells in a namespace of their own, as a notebook's."""
    namespace = vars(types.ModuleType("__main__"))

    def run(code: str) -> dict[str, Any]:
        exec(code, namespace)
        return namespace

    return run


APP = """
from flask import Flask, render_template_string
from flask.views import MethodView
import functools
import math as maths
app = Flask("__main__")
greeting, prefix, color, suffix = "Hello", "", "", ""
unused = limit = count = key = other = 1
guests = []

def polite(name):
    return prefix + name

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        global count
        count += 1
        return function(*args)
    return wrapper

class Shop:
    def name(self):
        return suffix

shop = Shop()

@app.get("/")
@logged
def hello():
    names = [polite(guest) for guest in guests]
    return greeting + str(names) + shop.name() + str(maths.pi)

class Users(MethodView):
    def get(self):
        return str(limit)

app.add_url_rule("/users", view_func=Users.as_view("users"))

@app.context_processor
def colors():
    return {"color": color}

@app.errorhandler(404)
def missing(error):
    return str(key)

def nobody():
    return other
"""


def test_the_names_of_views_and_hooks_and_what_they_use_in_turn(
    notebook: Callable[[str], dict[str, Any]],
) -> None:
    names = names_used_by(notebook(APP)["app"])
    used = {"greeting", "limit", "prefix", "count", "color", "suffix", "key", "guests"}
    used |= {"polite", "shop", "maths"}
    assert used <= names
    assert names.isdisjoint({"unused", "other", "nobody", "name", "names", "args", "str"})


def test_a_blueprints_views_count(notebook: Callable[[str], dict[str, Any]]) -> None:
    notebook(APP)
    namespace = notebook(
        "from flask import Blueprint\n"
        "part = Blueprint('part', '__main__')\n"
        "@part.route('/part')\n"
        "def show(): return str(other)\n"
        "app.register_blueprint(part)\n"
    )
    assert "other" in names_used_by(namespace["app"])


def test_a_plain_wsgi_app_and_an_object_that_is_one(
    notebook: Callable[[str], dict[str, Any]],
) -> None:
    namespace = notebook(
        "a = b = c = 1\n"
        "def app(environ, start_response): return [a]\n"
        "class App:\n"
        "    def __call__(self, environ, start_response): return [b]\n"
        "obj = App()\n"
    )
    assert names_used_by(namespace["app"]) == {"a"}
    assert names_used_by(namespace["obj"]) == {"b"}


def test_functions_that_call_each_other_end(notebook: Callable[[str], dict[str, Any]]) -> None:
    namespace = notebook("def app(e, start_response): return g()\ndef g(): return app\n")
    assert names_used_by(namespace["app"]) == {"g", "app"}


def test_an_app_of_a_module_has_no_names_of_the_notebook() -> None:
    app = Flask(__name__)

    @app.get("/")
    def hello() -> str:
        return OUTSIDE

    assert names_used_by(app) == set()


# Cells


@pytest.mark.parametrize(
    ("source", "mentioned"),
    [
        ("greeting = 'Hi'", {"greeting"}),
        ("guests.append(1)", {"guests"}),
        ("a, (b, *c) = d", {"a", "b", "c", "d"}),
        ("def f(x=y): z", {"f", "y", "z"}),
        ("class C(D): e = 1", {"C", "D", "e"}),
        ("import a.b, c.d as e\nfrom f import g as h", {"a", "e", "h"}),
        ("del a\nfor b in (): pass\nwith x as y: pass", {"a", "b", "x", "y"}),
        ("(n := 1)", {"n"}),
        ("match a:\n  case {'k': v, **w}: pass\n  case [*u]: pass", {"a", "v", "w", "u"}),
        ("try: pass\nexcept E as e: pass", {"E", "e"}),
        ("x.attribute", {"x"}),
        ("'greeting'  # greeting", set()),
        ("await a", {"a"}),
        ("def broken(:", set()),
        ("", set()),
    ],
)
def test_the_names_in_a_cell(source: str, mentioned: set[str]) -> None:
    assert names_of(source) == mentioned


@pytest.mark.parametrize(
    ("source", "mentioned"),
    [
        ("%time greeting = 1", {"greeting"}),
        ("%time 1  # greeting", set()),
        ("%timeit -n 1 guests", {"n", "guests"}),
        ("%%time\ngreeting = 'message'  # comment\n%who guests", {"greeting", "guests"}),
        ("%%timeit -n 1 setup\ngreeting = 'message'", {"n", "setup", "greeting"}),
        ("%%bash\necho $greeting", {"echo", "greeting"}),
        ("!echo {greeting} loud", {"echo", "greeting", "loud"}),
        ("files = !ls $folder", {"files", "ls", "folder"}),
        ("x = %timeit -n 1 y", {"x", "n", "y"}),
        ("other = 1  # greeting\n%matplotlib inline", {"other", "inline"}),
        ("get_ipython().system(command)", {"get_ipython", "command"}),
        ("%flaskserve request / --data message", set()),
        ("%flaskserve app --reload", set()),
        ("%time %flaskserve request /", set()),
        ("%%flaskserve app --name demo\ngreeting = 'x'\n%time guests", {"greeting", "guests"}),
        ("%%template hello.html\n<p>{{ greeting }}", set()),
        ("%%static style.css\np { color: red }", set()),
        ("%template --remove greeting", set()),
        ("greeting = 1\n%flaskserve request /app", {"greeting"}),
    ],
)
def test_the_names_in_a_cell_with_magics(source: str, mentioned: set[str]) -> None:
    assert names_of(source) == mentioned


def test_of_two_cells_that_run_at_once_the_longer_one_still_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    callbacks: list[Callable[[Run], None]] = []
    cells: Any = SimpleNamespace(
        shell=SimpleNamespace(user_ns={}), follow=lambda *given: callbacks.extend(given)
    )
    changes: list[str] = []

    class Served:
        variable = "app"

        def __init__(self) -> None:
            self.app = Flask(__name__)

        def mark_changed(self) -> None:
            changes.append("changed")

        def refresh_line(self) -> None: ...

    served = Served()
    monkeypatch.setattr(follow, "mounts", lambda: [served])
    follow.Follower(cells)
    before, after = callbacks
    longer, shorter = (Run("", None, str) for _ in range(2))
    before(longer)
    before(shorter)
    after(shorter)
    assert changes == []
    cell_files.put("static", "a.css", "")
    try:
        after(longer)
    finally:
        cell_files.clear()
    assert changes == ["changed"]
