"""What of a notebook's cells ends up in app.py, and what runs there."""

from __future__ import annotations

import random
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exported_notebooks import quick_metadata, write

from jupyter_flaskserve.export import Cell, ExportError, Notebook, export, read_notebook

__all__ = ["quick_metadata"]  # a fixture

FLASK = "from flask import Flask\napp = Flask(__name__)"
SEVENTH = str(random.Random(7).random())
HOME = "@app.route('/')\ndef home():\n    return str(data)"


def app_text(directory: Path, *cells: str, **options: Any) -> str:
    write(directory, *cells, **options)
    return (directory / "out" / "app.py").read_text()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Exports cells and runs the app.py that comes of them; gives the module."""
    monkeypatch.syspath_prepend(str(tmp_path / "out"))
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def loaded(*cells: str, **options: Any) -> types.ModuleType:
        exported = write(tmp_path, *cells, **options)
        for name, value in exported.secrets.items():
            monkeypatch.setenv(name, value)
        module = types.ModuleType("app")
        module.__file__ = str(tmp_path / "out" / "app.py")
        monkeypatch.setitem(sys.modules, "app", module)
        text = Path(module.__file__).read_text()
        exec(compile(text, module.__file__, "exec"), module.__dict__)
        return module

    yield loaded
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def get(module: types.ModuleType, path: str = "/", app: str = "app") -> str:
    response = getattr(module, app).test_client().get(path)
    assert response.status_code == 200, response.text
    return response.text


# What is kept


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (["data = [1]", "data.append(2)"], "[1, 2]"),
        (["data = [1]\ndata += [2]"], "[1, 2]"),
        (["data = 1", "data = data + 1", "data = data + 1"], "3"),
        (["data = {}", "data['a'] = 1", "del data['a']", "data['b'] = 2"], "{'b': 2}"),
        (["data = []", "for n in range(3):\n    data.append(n)"], "[0, 1, 2]"),
        (["data = []", "while len(data) < 2:\n    data.append(0)"], "[0, 0]"),
        (["data = 0", "if True:\n    data = 5"], "5"),
        (["try:\n    import tomllib as data\nexcept ImportError:\n    data = 0\ndata = 7"], "7"),
        (["data = []\nalias = data", "alias.append(1)"], "[1]"),
        (["data = {'a': []}\ninner = data['a']", "inner.append(1)"], "{'a': [1]}"),
        (["data = [[], []]", "for part in data:\n    part.append(1)"], "[[1], [1]]"),
        (["data = [3, 1]", "data.sort()"], "[1, 3]"),
        (["data = [3, 1]\nlast = data.pop()"], "[3]"),
        (["def fill(x):\n    x.append(1)", "data = []", "fill(data)"], "[1]"),
        (["def fill(x):\n    x.append(1)", "data = []", "done = fill(data)"], "[1]"),
        (["data = []", "def fill():\n    data.append(1)", "fill()"], "[1]"),
        (["data = 0", "def count():\n    global data\n    data += 1", "count()\ncount()"], "2"),
        (["data = []", "def a():\n    data.append(1)\ndef b():\n    a()", "b()"], "[1]"),
        (["n = 1", "def f():\n    return n", "data = f()", "n = 2"], "1"),
        (["n = 1", "def f():\n    return n\ndef g():\n    return f()", "n = 2", "data = g()"], "2"),
        (["def load():\n    global data\n    data = 4", "load()"], "4"),
        (["def load():\n    global data\n    data = 4\ndef all():\n    load()", "all()"], "4"),
        (["def load():\n    global data\n    data = 4", "load()", "data = data + 1"], "5"),
        (["@app.before_request\ndef load():\n    global data\n    data = 4"], "4"),
        (["class P:\n    size = 3", "data = P().size"], "3"),
        (["class P:\n    def __init__(self): self.n = base", "base = 4", "data = P().n"], "4"),
        (["base = 5", "data = [base * x for x in range(2)]"], "[0, 5]"),
        (["import json, re, math", "data = math.floor(2.5)"], "2"),
        (["import os.path\nimport os", "data = os.path.basename('a/b')"], "b"),
        (["from math import *", "data = floor(3.5)"], "3"),
        (["try:\n    from math import *\nexcept ImportError:\n    pass", "data = floor(1.5)"], "1"),
        (["import dataclasses", "@dataclasses.dataclass\nclass P:\n    x: int",
          "data = P(1).x"], "1"),
        (["import random", "random.seed(7)", "data = random.random()"], SEVENTH),
        (["data, other = 1, 2"], "1"),
        (["if (data := 9):\n    pass"], "9"),
        (["with open('f.txt', 'w') as f:\n    data = f.write('x')"], "1"),
        (["import sqlite3\ndb = sqlite3.connect(':memory:', check_same_thread=False)",
          "cursor = db.cursor()", "cursor.execute('create table t (x)')",
          "cursor.execute('insert into t values (4)')\ndb.commit()",
          "data = db.execute('select x from t').fetchall()"], "[(4,)]"),
        (["%time data = 8"], "8"),
        (["%%time\ndata = 8"], "8"),
        (["%%capture\ndata = 8\nprint(data)"], "8"),
        (["%env FLAVOUR=mint\nimport os\ndata = os.environ['FLAVOUR']"], "mint"),
        (["import os\nos.environ['FLAVOUR'] = 'lime'", "import os\ndata = os.getenv('FLAVOUR')"],
         "lime"),
        (["data = 1; other = 2; print(other)"], "1"),
        (["def f(x=None):\n    return x or []\ndata = f()"], "[]"),
        (["base = 6", "data = (lambda: base)()"], "6"),
        (["data = []", "def handler(f):\n    data.append(f.__name__)\n    return f",
          "@handler\ndef one():\n    pass", "@handler\ndef two():\n    pass"], "['one', 'two']"),
        (["data = []\nb = data", "b += [2]"], "[2]"),
        (["data = []\nadd = data.append", "@add\ndef one():\n    pass", "data = len(data)"], "1"),
        (["data = []", "class A:\n    def __init_subclass__(cls):\n        data.append(1)",
          "class B(A):\n    pass", "data.append(A)\ndata.pop()"], "[1]"),
        (["class A:\n    pass", "class B(A):\n    pass", "data = len(A.__subclasses__())"], "1"),
    ],
)  # fmt: skip
def test_what_the_app_answers_with_is_as_it_was_in_the_notebook(
    load: Any, cells: list[str], answer: str
) -> None:
    module = load(FLASK, *cells, HOME)
    assert get(module) == answer


def test_a_definition_that_was_replaced_is_left_out(tmp_path: Path) -> None:
    text = app_text(tmp_path, FLASK, "data = 'old'", "data = 'new'", HOME)
    assert "old" not in text


def test_each_step_of_a_lesson_with_its_own_app_is_left_out_but_the_last(tmp_path: Path) -> None:
    step = "app = Flask(__name__)\n@app.route('/')\ndef home():\n    return 'step {}'"
    text = app_text(tmp_path, "from flask import Flask", *(step.format(n) for n in range(5)))
    assert re.findall(r"step \d", text) == ["step 4"]


@pytest.mark.parametrize(
    "cell",
    [
        "print(data)",
        "data",
        "data.head()",
        "response = app.test_client().get('/')\nprint(response.status)",
        "client = app.test_client()\nfor path in ['/']:\n    print(client.get(path).status)",
        "with app.test_request_context('/'):\n    print(data)",
        "with app.test_client() as client:\n    client.post('/')",
        "client = app.test_client()\nclient.post('/', data={'x': 1})",
        "app.test_client().post('/')",
        "def main():\n    app.run()\nmain()",
        "import threading\nthreading.Thread(target=app.run, daemon=True).start()",
        "from threading import Thread\nt = Thread(target=lambda: app.run(port=1))\nt.start()",
        "from werkzeug.serving import make_server\nserver = make_server('', 0, app)\n"
        "server.shutdown()",
        "from waitress import serve\nserve(app, port=1)",
        "import waitress, werkzeug.serving as s\nwaitress.serve(app)\ns.run_simple('', 1, app)",
        "from wsgiref.simple_server import make_server\nmake_server('', 1, app).handle_request()",
        "import pprint\npprint.pprint(data)",
        "summary = sorted(data)",
        "len(data), sum(data)",
        "display(data)",
        "assert data",
        "print(app.url_map)",
        "[rule.rule for rule in app.url_map.iter_rules()]",
        "from jupyter_flaskserve import serve\nmount = serve(app, name='x')\nmount.url",
        "from IPython.display import IFrame\nIFrame('/x', width=1, height=1)",
        "environ = {'PATH_INFO': '/'}\nb''.join(app(environ, lambda *head: print(head)))",
        "try:\n    app(b'GET / HTTP/1.1', print)\nexcept Exception as error:\n    print(error)",
        "from jupyter_flaskserve import running\nwith running(app, 'flask') as server:\n"
        "    print(server.get('/').text)",
        "from jupyter_flaskserve import compare\nrows = compare(app)\nrows",
        "rows = %flaskserve compare app\nrows['nginx']",
        "app.run(debug=True, port=5000)",
        "if __name__ == '__main__':\n    app.run()",
        "%flaskserve app --name x",
        "%flaskserve request /",
        "reply = %flaskserve request /",
        "%matplotlib inline",
        "%load_ext autoreload\n%autoreload 2",
        "%timeit sum(data)",
        "!ls",
        "files = !ls",
        "%%bash\nls",
        "%%html\n<b>x</b>",
        "%%javascript\nalert(1)",
        "data?",
        "?data",
        "import time\ntime.sleep(0)",
        "import json\njson.dumps(data)",
        "def helper():\n    return data\nhelper()",
        "breakpoint()",
        "return data",
        "data = (",
        "data = [" + "(" * 300,
        "# only a comment",
    ],
)
def test_experiments_are_left_out(tmp_path: Path, cell: str) -> None:
    without = app_text(tmp_path, FLASK, "data = [1]", HOME, "pass")
    assert app_text(tmp_path, FLASK, "data = [1]", HOME, cell) == without


def test_only_the_names_that_are_used_are_imported(tmp_path: Path) -> None:
    text = app_text(
        tmp_path,
        "from flask import Flask, redirect as go, request, url_for\nimport os, json as j, sys",
        "app = Flask(__name__)\n@app.route('/')\ndef home():\n    return go(url_for(j.dumps(1)))",
    )
    assert "from flask import Flask, redirect as go, url_for\n" in text
    assert "import json as j\n" in text
    assert "request" not in text
    assert "sys" not in text


def test_future_imports_come_first(load: Any) -> None:
    module = load(FLASK, "from __future__ import annotations", "data: Unknown = 1", HOME)
    assert get(module) == "1"


# The app and what registers with it


@pytest.mark.parametrize(
    "cell",
    [
        "@app.before_request\ndef hook():\n    seen.append(1)",
        "def hook():\n    seen.append(1)\napp.before_request(hook)",
        "class Extension:\n    def __init__(self, app):\n        app.before_request(hook)\n"
        "def hook():\n    seen.append(1)\nextension = Extension(app)",
        "class Extension:\n    def init_app(self, app):\n        app.before_request(hook)\n"
        "def hook():\n    seen.append(1)\nextension = Extension()\nextension.init_app(app)",
        "def set_up(target):\n    @target.before_request\n    def hook():\n        seen.append(1)\n"
        "set_up(app)",
        "class Middleware:\n    def __init__(self, inner):\n        self.inner = inner\n"
        "    def __call__(self, *args):\n        seen.append(1)\n        return self.inner(*args)\n"
        "app.wsgi_app = Middleware(app.wsgi_app)",
        "for add in (app.before_request,):\n    add(lambda: seen.append(1))",
    ],
)
def test_all_that_registers_with_the_app_is_kept(load: Any, cell: str) -> None:
    module = load(
        FLASK, "seen = []", cell, "@app.route('/')\ndef home():\n    return str(len(seen))"
    )
    assert get(module) == "1"


@pytest.mark.parametrize(
    "cell",
    [
        "app.get('/x')(lambda: 'x')",
        "app.route('/x')(lambda: 'x')",
        "get = app.get\nget('/x')(lambda: 'x')",
        "def x():\n    return 'x'\napp.add_url_rule('/x', view_func=x)",
        "for path in ['/x']:\n    app.add_url_rule(path, view_func=lambda: 'x', endpoint=path)",
        "with app.app_context():\n    app.route('/x')(lambda: 'x')",
        "views = {'/x': lambda: 'x'}\n[app.add_url_rule(p, p, v) for p, v in views.items()]",
        "app.view_functions['x'] = lambda: 'x'\napp.add_url_rule('/x', endpoint='x')",
        "if True:\n    @app.route('/x')\n    def x():\n        return 'x'",
        "for p in ['/x']:\n    @app.get(p, endpoint=p)\n    def x():\n        return 'x'",
        "try:\n    @app.route('/x')\n    def x():\n        return 'x'\nfinally:\n    pass",
        "with app.app_context():\n    @app.route('/x')\n    def x():\n        return 'x'",
        "if True:\n    @app.errorhandler(404)\n    def missing(e):\n        return 'x'",
        "if True:\n    @app.before_request\n    def hook():\n        return 'x'",
        "def x():\n    return 'x'\nadded = app.route('/x')(x)",
    ],
)
def test_routes_are_kept_however_they_were_added(load: Any, cell: str) -> None:
    assert load(FLASK, cell).app.test_client().get("/x").text == "x"


MODEL = """
class Model:
    n = 0
    def fit(self, x=None):
        self.n += 1
        return self
    fit_transform = partial_fit = train_on_batch = fit
    def __str__(self):
        return str(self.n)
class Trainer:
    def __init__(self, model=None):
        self.model = model
    def step(self, model=None):
        (model or self.model).n += 1
    train = learn = step
data = Model()
"""


@pytest.mark.parametrize(
    "cells",
    [
        ["opt = Trainer(data)", "for _ in [1]:\n    opt.step()"],
        ["trainer = Trainer(model=data)", "trainer.train()"],
        ["trainer = Trainer(model=data)", "trainer.learn()"],
        ["trainer = Trainer(model=data)", "result = trainer.train()"],
        ["trainer = Trainer()", "trainer.learn(data)"],
        ["x = data.fit_transform([1])"],
        ["x = data.partial_fit([1])"],
        ["for _ in [1]:\n    loss = data.train_on_batch([1])"],
        ["opt: Trainer = Trainer(data)\nloop = Trainer(opt.model)\nloop.learn()"],
    ],
)
def test_a_model_is_trained_in_the_project_as_it_was_in_the_notebook(
    load: Any, cells: list[str]
) -> None:
    assert get(load(FLASK, MODEL, *cells, HOME)) == "1"


@pytest.mark.parametrize(
    "cell",
    [
        "t = threading.Thread(target=job)\nt.start()\nt.join()",
        "with futures.ThreadPoolExecutor() as ex:\n    ex.submit(job)",
        "with futures.ThreadPoolExecutor() as ex:\n    done = ex.submit(job)",
        "with futures.ThreadPoolExecutor() as ex:\n    list(ex.map(job, [1]))",
        "class Jobs:\n    def add_job(self, job): job()\njobs = Jobs()\njobs.add_job(job)",
        "list(map(job, [1]))",
        "done = [*map(job, [1])]",
    ],
)
def test_what_a_function_fills_in_the_background_is_filled(load: Any, cell: str) -> None:
    job = "data = {}\ndef job(x=None):\n    data['a'] = 1"
    module = load(FLASK, "import threading\nfrom concurrent import futures", job, cell, HOME)
    assert get(module) == "{'a': 1}"


def test_settings_that_the_app_takes_of_its_own_module_are_kept(load: Any) -> None:
    module = load(FLASK, "VALUE = 1\nother = 2", "app.config.from_object(__name__)\nVALUE = 3")
    assert module.app.config["VALUE"] == 1
    assert not hasattr(module, "other")


@pytest.mark.parametrize(
    "cell",
    [
        "client = app.test_client()\nclient.post('/', json=data)",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.bar(data, data)",
        "import matplotlib.pyplot as plt\nax = plt.gca()\naxis = ax.twinx()\naxis.bar(data, 1)",
        "import matplotlib.pyplot as plt\nfig, axes = plt.subplots(2)\n"
        "for ax, n in zip(axes, data):\n    ax.bar(data, n)",
        "import requests\nsession = requests.Session()\nsession.post('http://x/', json=data)",
        "with open('x', 'w') as f:\n    f.write(data)",
        "import logging\nlog = logging.Logger('x')\nlog.info(data)",
    ],
)
def test_what_only_looks_at_a_value_is_left_out(tmp_path: Path, cell: str) -> None:
    text = app_text(tmp_path, FLASK, "data = []", cell, HOME)
    assert cell.splitlines()[-1] not in text


@pytest.mark.parametrize("annotation", ["'Item'", "list['Item']", "'list[Item] | None'"])
def test_a_class_in_an_annotation_that_is_a_text_is_kept(tmp_path: Path, annotation: str) -> None:
    box = f"class Box:\n    items: {annotation}"
    text = app_text(tmp_path, FLASK, "class Item:\n    pass", box, "data = Box()", HOME)
    assert "class Item" in text


def test_a_view_of_a_decorator_that_registers_it_is_kept(load: Any) -> None:
    module = load(
        FLASK,
        "def page(f):\n    app.add_url_rule('/' + f.__name__, view_func=f)\n    return f",
        "@page\ndef x():\n    return 'x'",
    )
    assert get(module, "/x") == "x"


@pytest.mark.parametrize(
    "cell",
    [
        "atexit.register(data.close)",
        "def end():\n    data.close()\natexit.register(end)",
        "@atexit.register\ndef end():\n    data.close()",
    ],
)
def test_what_is_closed_at_the_end_is_closed_in_the_project(tmp_path: Path, cell: str) -> None:
    make = "import atexit, io\ndata = io.StringIO('a')\nunused = io.StringIO('b')"
    other = "atexit.register(unused.close)"
    text = app_text(tmp_path, FLASK, make, cell, other, HOME)
    assert cell in text
    assert other not in text


def test_of_two_views_with_a_method_in_common_the_later_cells_has_it(load: Any) -> None:
    module = load(
        FLASK,
        "@app.route('/', methods=['GET', 'POST'])\ndef first():\n    return 'first'",
        "@app.route('/', methods=['GET', 'PUT'])\ndef second():\n    return 'second'",
    )
    assert get(module) == "second"
    assert module.app.test_client().post("/").text == "first"


def test_classes_that_register_with_their_base_are_kept(tmp_path: Path) -> None:
    text = app_text(
        tmp_path,
        FLASK + "\nfrom flask_sqlalchemy import SQLAlchemy\ndb = SQLAlchemy()",
        "class Shop(db.Model):\n    orders = db.relationship('Order')",
        "class Order(db.Model):\n    pass",
        "class Unused(Exception):\n    pass",
        "db.init_app(app)\nwith app.app_context():\n    db.create_all()",
    )
    assert "class Order" in text
    assert "class Shop" in text
    assert "class Unused" not in text
    assert "db.create_all()" in text


def test_a_dash_app_keeps_its_layout_and_callbacks(tmp_path: Path) -> None:
    text = app_text(
        tmp_path,
        "from dash import Dash, Input, Output, callback, html\nview = Dash(__name__)",
        "server = view.server",
        "view.layout = html.Div()",
        "@callback(Output('a', 'b'), Input('c', 'd'))\ndef update(v):\n    return v",
        "@view.callback(Output('e', 'f'), Input('g', 'h'))\ndef other(v):\n    return v",
        "view.run(debug=True)",
        variable="server",
    )
    assert "view.layout" in text
    assert "def update" in text
    assert "def other" in text
    assert "view.run" not in text


def test_settings_of_the_app_are_kept(load: Any) -> None:
    module = load(
        FLASK,
        "app.config['A'] = 1\napp.config.update(B=2)\nsettings = app.config\nsettings['C'] = 3",
        "app.json.sort_keys = False\napp.url_map.strict_slashes = False",
    )
    assert [module.app.config[name] for name in "ABC"] == [1, 2, 3]
    assert module.app.json.sort_keys is False
    assert module.app.url_map.strict_slashes is False


def test_a_view_of_another_cell_takes_the_place_of_one_of_its_name(load: Any) -> None:
    module = load(
        FLASK,
        "@app.route('/old')\ndef home():\n    return 'old'",
        "@app.route('/')\ndef home():\n    return 'new'",
    )
    assert get(module) == "new"
    assert module.app.test_client().get("/old").status_code == 404


def test_of_two_views_at_one_address_the_later_cells_answers(load: Any) -> None:
    module = load(
        FLASK,
        "@app.route('/<int:a>')\n@app.route('/first')\ndef first(a=0):\n    return 'first'",
        "@app.route('/<int:number>')\ndef second(number):\n    return 'second'",
    )
    assert get(module, "/1") == "second"
    assert get(module, "/first") == "first"


def test_a_rule_that_was_added_again_replaces_the_first(load: Any) -> None:
    views = "def a():\n    return 'a'\ndef b():\n    return 'b'"
    module = load(
        FLASK,
        views,
        "app.add_url_rule('/', 'home', a)",
        "app.add_url_rule('/', 'home', view_func=b)",
    )
    assert get(module) == "b"


def test_a_blueprint_may_get_routes_after_it_was_registered(load: Any) -> None:
    module = load(
        "from flask import Blueprint, Flask\napp = Flask(__name__)\nbp = Blueprint('b', __name__)",
        "app.register_blueprint(bp, url_prefix='/b')",
        "@bp.route('/')\ndef home():\n    return 'blue'",
        "inner = Blueprint('inner', __name__)\nbp.register_blueprint(inner, url_prefix='/i')",
        "@inner.get('/')\ndef nested():\n    return 'nested'",
    )
    assert get(module, "/b/") == "blue"
    assert get(module, "/b/i/") == "nested"


def test_a_factory_makes_the_app(load: Any) -> None:
    module = load(
        "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n"
        "    app.route('/')(lambda: word)\n    return app",
        "word = 'made'",
        "shop = create_app()",
    )
    assert get(module, app="shop") == "made"


def test_a_wsgi_function_is_an_app(load: Any) -> None:
    module = load(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [word]",
        "word = b'plain'",
    )
    assert module.application({}, lambda *args: None) == [b"plain"]


def test_class_views_keep_their_class(load: Any) -> None:
    module = load(
        FLASK,
        "from flask.views import MethodView\n"
        "class Item(MethodView):\n    def get(self):\n        return word",
        "word = 'item'",
        "app.add_url_rule('/', view_func=Item.as_view('item'))",
    )
    assert get(module) == "item"


def test_what_only_a_notebook_can_is_cut_out_of_views(tmp_path: Path, load: Any) -> None:
    module = load(
        FLASK,
        "def show(x):\n    display(x)\n    return x",
        "@app.route('/')\ndef home():\n    breakpoint()\n    if True:\n        breakpoint()\n"
        "    return show('shown')",
    )
    assert get(module) == "shown"
    assert "breakpoint" not in (tmp_path / "out" / "app.py").read_text()


def test_a_block_for_the_main_module_is_run_too(load: Any) -> None:
    module = load(
        FLASK,
        "data = []",
        'if __name__ == "__main__":\n    data.append("""a\n    b""")\n    data.append(2)\n'
        "    app.run()",
        HOME,
    )
    assert get(module) == str(["a\n    b", 2])


def test_comments_stay_with_their_code(tmp_path: Path) -> None:
    text = app_text(
        tmp_path,
        FLASK,
        "# unused, with its comment\nx = 1\n\n# the data\n# of the app\ndata = 1  # one\n",
        HOME + "  # at home",
    )
    assert "# the data\n# of the app\ndata = 1  # one\n" in text
    assert "return str(data)  # at home" in text
    assert "unused" not in text


def test_text_is_kept_as_it_was_written(tmp_path: Path) -> None:
    view = '@app.route("/")\ndef home( ):\n    return ("\u00e9\u20ac"   "b") # \u00fc'
    assert view in app_text(tmp_path, FLASK, f'"\u00fc"; y = 1\n{view}')


def test_all_cells_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    text = app_text(
        tmp_path,
        "%load_ext jupyter_flaskserve",
        FLASK,
        "x = [1]\nprint(x)",
        "response = app.test_client().get('/')",
        "%flaskserve app",
        "reply = %flaskserve request /",
        "reply.status",
        "from jupyter_flaskserve import serve\nmount = serve(app)",
        "mount.url",
        "app.run()",
        all_cells=True,
    )
    assert "print(x)" in text
    assert "response = app.test_client().get('/')" in text
    assert "flaskserve" not in text
    assert "reply" not in text
    assert "mount" not in text
    assert "app.run" not in text


def test_with_all_cells_an_app_is_tried_out_when_it_is_complete(
    load: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(
        FLASK,
        "response = app.test_client().get('/')\nprint(response.status)",
        "for path in ['/']:\n    print(app.test_client().get(path).text)",
        "@app.route('/')\ndef home():\n    return 'home'",
        all_cells=True,
    )
    assert get(module) == "home"
    assert capsys.readouterr().out == "200 OK\nhome\n"


@pytest.mark.parametrize("all_cells", [False, True])
@pytest.mark.parametrize("lesson", ["01-hello-flask", "02-working-in-cells"])
def test_a_lesson_runs_without_jupyter(load: Any, lesson: str, all_cells: bool) -> None:
    notebook = read_notebook(Path(__file__).parents[2] / "notebooks" / f"{lesson}.ipynb")
    module = load(*(cell.source for cell in notebook.cells), all_cells=all_cells)
    assert "Hello" in get(module)


# What cannot be exported


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [FLASK, HOME],
            "Cell 2 (@app.route('/')) uses data, which no cell makes any more. Add a cell that"
            " makes it, and export again.",
        ),
        (
            [FLASK, HOME, "data = 1", "del data"],
            "Cell 2 (@app.route('/')) uses data, which cell 4 deletes. Take that out, and export"
            " again.",
        ),
        (
            ["app = Flask(__name__)", "from flask import Flask"],
            "Cell 1 (app = Flask(__name__)) uses Flask before it is made, in cell 2. Put that cell"
            " before this one.",
        ),
        ([FLASK, "%run other.py", HOME], "Cell 2 may with %run …, which cannot be exported"),
        (
            [FLASK, "data = !ls", HOME],
            "Cell 2 (data = !ls) uses !ls, which only a notebook can run",
        ),
        ([FLASK, "data = %sql select 1", HOME], "uses %sql …, which only a notebook can"),
        ([FLASK, "data = Out[1]", HOME], "uses Out, which only a notebook has"),
        ([FLASK, "data = _", HOME], "uses _, which only a notebook has"),
        ([FLASK, "data = (", HOME], "Cell 2 is not valid Python"),
        (
            [FLASK, "async def f(): return 1", "data = await f()", HOME],
            "Cell 3 (data = await f()) waits with await outside a function",
        ),
        (
            [FLASK, "data = input('?')", HOME],
            "Cell 2 (data = input('?')) asks somebody for a value",
        ),
        (
            [FLASK, "import getpass\napp.secret_key = getpass.getpass()"],
            "asks somebody for a value, and nobody answers a server",
        ),
        (["x = 1"], "The notebook has no Flask app."),
        (
            ["from flask import Flask\na = Flask('a')\nb = Flask('b')"],
            "The notebook has 2 apps: a, b. Say which one with --app VARIABLE.",
        ),
        ([FLASK, "%%template ../../etc/x\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%template /etc/x\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%static a/../../x\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%static a//x\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%static 'C:/x'\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%writefile ~/.bashrc\nhello"], "whose name leads out of the project"),
        ([FLASK, "%%writefile ../x.py\nhello"], "whose name leads out of the project"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_its_cell(
    tmp_path: Path, cells: list[str], message: str
) -> None:
    with pytest.raises(ExportError) as raised:
        write(tmp_path, *cells)
    assert message in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_an_app_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no variable 'ap'. Did you mean 'app'\? Its apps: app"):
        write(tmp_path, FLASK, variable="ap")


def test_with_all_cells_a_command_is_refused_with_its_cell(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Cell 2 \(!ls\) runs !ls, which only a notebook can"):
        write(tmp_path, FLASK, "!ls", all_cells=True)


def test_a_notebook_of_another_language_is_refused(tmp_path: Path) -> None:
    notebook = Notebook("test", tmp_path, [Cell(1, "x <- 1")], language="r")
    with pytest.raises(ExportError, match="a notebook in r, not in Python"):
        export(notebook, tmp_path / "out")


# What is said


def test_state_that_views_change_is_told(tmp_path: Path) -> None:
    exported = write(
        tmp_path,
        FLASK + "\ncount = 0\nguests = []\nfixed = [1]",
        "@app.before_request\ndef hook():\n    global count\n    count += 1",
        "def add(name):\n    guests.append(name)",
        "@app.route('/<name>')\ndef home(name):\n    global latest\n    latest = name\n"
        "    add(name)\n    return str(fixed)",
    )
    assert exported.state == ["count", "guests", "latest"]
    text = (tmp_path / "out" / "gunicorn.conf.py").read_text()
    assert 'os.environ.get("WEB_CONCURRENCY", "1")' in text
    assert any("count, guests, latest" in note for note in exported.notes)


def test_an_app_with_socketio_gets_one_worker(tmp_path: Path) -> None:
    write(tmp_path, FLASK, "from flask_socketio import SocketIO\nio = SocketIO(app)\nio.run(app)")
    assert "Flask-SocketIO wants" in (tmp_path / "out" / "gunicorn.conf.py").read_text()
    assert "io.run" not in (tmp_path / "out" / "app.py").read_text()


def test_an_app_without_state_gets_several_workers(tmp_path: Path) -> None:
    exported = write(tmp_path, FLASK, "data = [1]", HOME)
    assert exported.state == []
    exported = write(
        tmp_path,
        FLASK,
        "def db():\n    return []",
        "@app.route('/')\ndef home():\n    return db().execute('select 1')",
    )
    assert exported.state == []
    assert "os.cpu_count()" in (tmp_path / "out" / "gunicorn.conf.py").read_text()


def test_an_app_of_the_main_thread_gets_one_thread(tmp_path: Path) -> None:
    exported = write(tmp_path, FLASK, "data = 1", HOME, "%flaskserve app --main-thread")
    assert exported.is_main_thread
    assert 'worker_class = "sync"' in (tmp_path / "out" / "gunicorn.conf.py").read_text()


def test_the_threads_are_those_that_the_notebook_gave_it(tmp_path: Path) -> None:
    write(tmp_path, FLASK, "data = 1", HOME, "%flaskserve app --threads 5")
    assert '"THREADS", "5"' in (tmp_path / "out" / "gunicorn.conf.py").read_text()
    assert " threads=5 " in (tmp_path / "out" / "apache.conf").read_text()


def test_cells_that_are_left_out_are_told(tmp_path: Path) -> None:
    exported = write(tmp_path, FLASK, "x = 1", "data = 1", HOME, "print(data)", "!ls")
    assert any("cells 2, 5" in note for note in exported.notes)
    assert any("!ls (cell 6)" in note for note in exported.notes)
    assert "cells 2, 5" in (tmp_path / "out" / "README.md").read_text()
