"""Cells that define Flask apps, run again: in a real IPython shell, seen by requests as the
responder runs them."""

from __future__ import annotations

import gc
import textwrap
import threading
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Blueprint, Flask
from IPython.core.interactiveshell import InteractiveShell
from werkzeug.test import create_environ, run_wsgi_app

import jupyter_flaskserve
from jupyter_flaskserve.kernel.cells import rerun
from jupyter_flaskserve.kernel.cells.rerun import registrations
from jupyter_flaskserve.kernel.cells.rerun.registrations import copied_map
from jupyter_flaskserve.kernel.cells.runs import Run
from jupyter_flaskserve.kernel.exchanges.exchanges import Exchanges


class Notebook:
    """Cells with ids, as JupyterLab sends them; and requests as the responder runs them."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self._exchanges = Exchanges()

    def cell(self, cell_id: str | None, source: str, *, fails: bool = False) -> None:
        result = self.shell.run_cell(textwrap.dedent(source), cell_id=cell_id)
        assert result.success is not fails, result

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def ask(self, path: str, method: str = "GET", app: Any = None) -> str:
        """Status and text of a request's answer."""
        environ = create_environ(path, method=method)
        with self._exchanges.begin(environ):
            body, status, _ = run_wsgi_app(app or self["app"], environ)
            text = b"".join(body).decode()
            getattr(body, "close", lambda: None)()
        return f"{status[:3]} {text}" if status[:3] == "200" else status[:3]


@pytest.fixture
def notebook(loaded_shell: InteractiveShell) -> Notebook:
    notebook = Notebook(loaded_shell)
    notebook.cell(
        "app",
        """
        from flask import Blueprint, Flask, render_template_string, request
        from flask.views import MethodView
        calls = []
        app = Flask(__name__)
        """,
    )
    return notebook


def rules(app: Flask) -> set[str]:
    return {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"}


def test_a_changed_rule_replaces_the_earlier_one(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/old')\ndef page(): return 'one'")
    assert notebook.ask("/old") == "200 one"
    notebook.cell("1", "@app.route('/new')\ndef page(): return 'two'")
    assert (notebook.ask("/old"), notebook.ask("/new")) == ("404", "200 two")
    assert rules(notebook["app"]) == {"/new"}


def test_changed_methods_replace_the_earlier_ones(notebook: Notebook) -> None:
    notebook.cell("1", "@app.post('/')\ndef page(): return 'posted'")
    notebook.cell("1", "@app.get('/')\ndef page(): return 'got'")
    assert notebook.ask("/", "POST") == "405"
    assert notebook.ask("/") == "200 got"


def test_a_renamed_function_leaves_nothing_of_its_earlier_name(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/')\ndef before(): return 'before'")
    notebook.cell("1", "@app.route('/')\ndef after(): return 'after'")
    assert notebook.ask("/") == "200 after"
    assert set(notebook["app"].view_functions) == {"static", "after"}


def test_several_routes_on_one_function_stay_together(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/a')\n@app.route('/b')\ndef page(): return request.path")
    notebook.cell("1", "@app.route('/b')\n@app.route('/c')\ndef page(): return request.path")
    assert rules(notebook["app"]) == {"/b", "/c"}
    assert notebook.ask("/c") == "200 /c"


def test_method_views_can_be_run_again(notebook: Notebook) -> None:
    source = """
        class Items(MethodView):
            def {}(self): return "{}"
        app.add_url_rule("/items", view_func=Items.as_view("items"))
        """
    notebook.cell("1", source.format("get", "got"))
    notebook.cell("1", source.format("post", "posted"))
    assert notebook.ask("/items") == "405"
    assert notebook.ask("/items", "POST") == "200 posted"


def test_a_route_that_was_deleted_from_its_cell_disappears(notebook: Notebook) -> None:
    notebook.cell(
        "1", "@app.route('/a')\ndef a(): return 'a'\n@app.route('/b')\ndef b(): return 'b'"
    )
    notebook.cell("1", "@app.route('/a')\ndef a(): return 'a'")
    assert (notebook.ask("/a"), notebook.ask("/b")) == ("200 a", "404")
    notebook.cell("1", "pass")
    assert notebook.ask("/a") == "404"


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [("/", "/", "/"), ("/<name>", "/<user>", "/x")],
)
def test_of_two_cells_with_the_same_rule_the_one_that_ran_last_holds(
    notebook: Notebook, first: str, second: str, path: str
) -> None:
    one = f"@app.route('{first}')\ndef one(**values): return 'one'"
    two = f"@app.route('{second}')\ndef two(**values): return 'two'"
    notebook.cell("1", one)
    notebook.cell("2", two)
    assert notebook.ask(path) == "200 two"
    notebook.cell("1", one)
    assert notebook.ask(path) == "200 one"
    notebook.cell("1", "pass")
    assert notebook.ask(path) == "200 two"


def test_a_cell_that_sends_a_request_gets_its_own_answer(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/')\ndef one(): return 'one'")
    notebook.cell(
        "2", "@app.route('/')\ndef two(): return 'two'\nseen = app.test_client().get('/').text"
    )
    assert notebook["seen"] == "two"


def test_of_two_views_with_the_same_rule_in_one_cell_the_first_holds_as_in_flask(
    notebook: Notebook,
) -> None:
    source = "@app.route('/')\ndef one(): return 'one'\n@app.route('/')\ndef two(): return 'two'"
    for _ in range(2):
        notebook.cell("1", source)
        assert notebook.ask("/") == "200 one"


def test_a_cell_leaves_the_routes_of_other_cells_alone(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/a')\ndef a(): return 'a'")
    notebook.cell("2", "@app.route('/b')\ndef b(): return 'b'")
    notebook.cell("1", "pass")
    assert (notebook.ask("/a"), notebook.ask("/b")) == ("404", "200 b")


@pytest.mark.parametrize("cell_id", [None, "another"])
def test_a_view_of_the_same_name_in_another_cell_replaces_the_earlier_one(
    notebook: Notebook, cell_id: str | None
) -> None:
    notebook.cell("1", "@app.route('/old')\ndef page(): return 'one'")
    notebook.cell(cell_id, "@app.route('/new')\ndef page(): return 'two'")
    assert (notebook.ask("/old"), notebook.ask("/new")) == ("404", "200 two")


def test_two_views_of_one_name_in_one_cell_are_a_mistake_as_in_flask(notebook: Notebook) -> None:
    notebook.cell(
        "1",
        "@app.route('/a')\ndef page(): return 'a'\n@app.route('/b')\ndef page(): return 'b'",
        fails=True,
    )


def test_a_second_rule_for_a_view_of_another_cell_leaves_the_first(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/a')\ndef page(): return 'page'")
    for _ in range(2):
        notebook.cell(None, "app.add_url_rule('/b', view_func=page)")
    assert sorted(rule.rule for rule in notebook["app"].url_map.iter_rules("page")) == ["/a", "/b"]


HOOKS = {
    "before_request": "def hook(): calls.append({})",
    "after_request": "def hook(response):\n    calls.append({})\n    return response",
    "teardown_request": "def hook(error): calls.append({})",
    "teardown_appcontext": "def hook(error): calls.append({})",
    "url_value_preprocessor": "def hook(endpoint, values): calls.append({})",
}


@pytest.mark.parametrize("cell_id", ["1", None])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_runs_once_however_often_its_cell_ran(
    notebook: Notebook, hook: str, cell_id: str | None
) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    for number in (1, 2):
        notebook.cell(cell_id, f"@app.{hook}\n{HOOKS[hook].format(number)}")
    notebook.ask("/")
    assert notebook["calls"] == [2]


def test_a_hook_that_was_deleted_runs_no_more(notebook: Notebook) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    notebook.cell("1", "@app.before_request\ndef hook(): calls.append(1)")
    notebook.cell("1", "pass")
    notebook.ask("/")
    assert notebook["calls"] == []


def test_hooks_without_a_name_of_their_own_are_told_apart_by_their_cell(notebook: Notebook) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    for _ in range(2):
        notebook.cell("1", "app.before_request(lambda: calls.append('first'))")
        notebook.cell("2", "app.before_request(lambda: calls.append('second'))")
    notebook.ask("/")
    assert sorted(notebook["calls"]) == ["first", "second"]


def test_context_processors_and_filters_are_those_of_the_last_run(notebook: Notebook) -> None:
    notebook.cell(
        "view",
        "@app.route('/')\ndef page(): return render_template_string('{{ name | mark }}')",
    )
    source = """
        @app.context_processor
        def names(): return {{"name": "{0}"}}
        @app.template_filter()
        def mark(text): return text + "{1}"
        """
    notebook.cell("1", source.format("Ada", "!"))
    assert notebook.ask("/") == "200 Ada!"
    notebook.cell("1", source.format("Grace", "?"))
    assert notebook.ask("/") == "200 Grace?"
    assert len(notebook["app"].template_context_processors[None]) == 2  # one is Flask's own


def test_a_filter_that_hid_one_of_jinjas_gives_it_back(notebook: Notebook) -> None:
    notebook.cell(
        "view", "@app.route('/')\ndef page(): return render_template_string('{{ \"x\" | upper }}')"
    )
    notebook.cell("1", "@app.template_filter()\ndef upper(text): return 'mine'")
    assert notebook.ask("/") == "200 mine"
    notebook.cell("1", "pass")
    assert notebook.ask("/") == "200 X"


def test_error_handlers_are_those_of_the_last_run(notebook: Notebook) -> None:
    notebook.cell("1", "@app.errorhandler(404)\ndef missing(error): return 'one', 200")
    assert notebook.ask("/none") == "200 one"
    notebook.cell("1", "@app.errorhandler(404)\ndef missing(error): return 'two', 200")
    assert notebook.ask("/none") == "200 two"
    notebook.cell("1", "pass")
    assert notebook.ask("/none") == "404"


def test_an_error_handler_that_hid_another_cells_gives_it_back(notebook: Notebook) -> None:
    notebook.cell("1", "@app.errorhandler(404)\ndef missing(error): return 'one', 200")
    notebook.cell("2", "@app.errorhandler(404)\ndef lost(error): return 'two', 200")
    assert notebook.ask("/none") == "200 two"
    notebook.cell("2", "pass")
    assert notebook.ask("/none") == "200 one"


def test_cli_commands_are_those_of_the_last_run(notebook: Notebook) -> None:
    notebook.cell("1", "@app.cli.command('first')\ndef command(): pass")
    notebook.cell("1", "@app.cli.command('second')\ndef command(): pass")
    assert list(notebook["app"].cli.commands) == ["second"]


def test_middleware_is_not_wrapped_around_itself(notebook: Notebook) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    source = """
        class Counting:
            def __init__(self, inner): self.inner = inner
            def __call__(self, environ, start_response):
                calls.append("counted")
                return self.inner(environ, start_response)
        app.wsgi_app = Counting(app.wsgi_app)
        """
    notebook.cell("1", source)
    notebook.cell("1", source)
    notebook.ask("/")
    assert notebook["calls"] == ["counted"]
    notebook.cell("1", "pass")
    notebook.ask("/")
    assert notebook["calls"] == ["counted"]


def test_a_cell_that_configures_logging_leaves_the_apps_logger_on(notebook: Notebook) -> None:
    source = """
        from logging.config import dictConfig
        dictConfig({"version": 1})
        app = Flask(__name__)
        app.logger.warning("A warning")
        """
    for _ in range(2):
        notebook.cell("1", source)
        assert not notebook["app"].logger.disabled


def test_an_extension_can_be_set_up_again(notebook: Notebook) -> None:
    source = """
        if "thing" in app.extensions:
            raise RuntimeError("already there")
        app.extensions["thing"] = object()
        """
    notebook.cell("1", source)
    notebook.cell("1", source)


def test_converters_and_endpoints_of_the_map_itself_reach_requests(notebook: Notebook) -> None:
    notebook.cell(
        "1",
        """
        from werkzeug.routing import BaseConverter, Rule
        class Words(BaseConverter):
            def to_python(self, value): return value.split("+")
        app.url_map.converters["words"] = Words
        app.url_map.add(Rule("/<words:given>", endpoint="words"))
        @app.endpoint("words")
        def words(given): return repr(given)
        """,
    )
    assert notebook.ask("/a+b") == "200 ['a', 'b']"


def test_a_route_added_after_the_first_request_works(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/a')\ndef a(): return 'a'")
    notebook.cell("2", "app.test_client().get('/a')")
    assert notebook.ask("/a") == "200 a"
    notebook.cell("3", "@app.route('/b')\ndef b(): return 'b'")
    assert notebook.ask("/b") == "200 b"


def test_a_view_may_not_add_routes_as_in_flask(notebook: Notebook) -> None:
    notebook.cell(
        "1", "@app.route('/')\ndef page():\n    app.add_url_rule('/x', 'x')\n    return 'no'"
    )
    assert notebook.ask("/") == "500"


def test_the_cell_itself_sees_what_it_has_just_defined(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/')\ndef page(): return 'one'")
    notebook.cell(
        "1",
        """
        before = app.test_client().get("/").status_code
        @app.route("/")
        def page(): return "two"
        after = app.test_client().get("/").text
        """,
    )
    assert (notebook["before"], notebook["after"]) == (404, "two")


class TestBlueprints:
    @pytest.fixture
    def notebook(self, notebook: Notebook) -> Notebook:
        notebook.cell("bp", "pages = Blueprint('pages', __name__)")
        notebook.cell("1", "@pages.route('/a')\ndef a(): return 'a'")
        notebook.cell("register", "app.register_blueprint(pages, url_prefix='/pages')")
        return notebook

    def test_registering_again_replaces(self, notebook: Notebook) -> None:
        notebook.cell("register", "app.register_blueprint(pages, url_prefix='/other')")
        assert (notebook.ask("/pages/a"), notebook.ask("/other/a")) == ("404", "200 a")
        notebook.cell(None, "app.register_blueprint(pages, url_prefix='/third')")
        assert (notebook.ask("/other/a"), notebook.ask("/third/a")) == ("404", "200 a")

    def test_a_blueprint_made_anew_replaces_the_one_of_its_name(self, notebook: Notebook) -> None:
        notebook.cell("bp", "pages = Blueprint('pages', __name__)")
        notebook.cell("1", "@pages.route('/b')\ndef b(): return 'b'")
        notebook.cell("register", "app.register_blueprint(pages, url_prefix='/pages')")
        assert (notebook.ask("/pages/a"), notebook.ask("/pages/b")) == ("404", "200 b")

    def test_registering_twice_in_one_cell_is_a_mistake_as_in_flask(
        self, notebook: Notebook
    ) -> None:
        twice = "app.register_blueprint(pages)\napp.register_blueprint(pages)"
        notebook.cell("register", twice, fails=True)

    @pytest.mark.parametrize("cell_id", ["1", None])
    def test_a_route_can_be_run_again(self, notebook: Notebook, cell_id: str | None) -> None:
        notebook.cell(cell_id, "@pages.route('/changed')\ndef a(): return 'changed'")
        assert notebook.ask("/pages/a") == "404"
        assert notebook.ask("/pages/changed") == "200 changed"

    def test_a_route_of_a_later_cell_reaches_the_app(self, notebook: Notebook) -> None:
        notebook.ask("/pages/a")
        notebook.cell(
            "2",
            "@pages.route('/b')\ndef b(): return 'b'\n"
            "seen = app.test_client().get('/pages/b').text",
        )
        assert notebook["seen"] == "b"
        assert notebook.ask("/pages/b") == "200 b"
        notebook.cell("2", "pass")
        assert notebook.ask("/pages/b") == "404"

    @pytest.mark.parametrize("cell_id", ["hook", None])
    @pytest.mark.parametrize(
        "hook", ["before_request", "before_app_request", "url_value_preprocessor"]
    )
    def test_a_hook_runs_once_however_often_its_cell_ran(
        self, notebook: Notebook, hook: str, cell_id: str | None
    ) -> None:
        arguments = "endpoint, values" if hook == "url_value_preprocessor" else ""
        for number in (1, 2):
            notebook.cell(cell_id, f"@pages.{hook}\ndef hook({arguments}): calls.append({number})")
        notebook.ask("/pages/a")
        assert notebook["calls"] == [2]

    def test_error_handlers_are_those_of_the_last_run(self, notebook: Notebook) -> None:
        notebook.cell("2", "@pages.route('/boom')\ndef boom(): raise KeyError")
        for text in ("one", "two"):
            notebook.cell(
                "3", f"@pages.errorhandler(KeyError)\ndef missing(error): return '{text}'"
            )
            assert notebook.ask("/pages/boom") == f"200 {text}"

    def test_nested_blueprints_follow_their_cells(self, notebook: Notebook) -> None:
        notebook.cell("inner", "inner = Blueprint('inner', __name__)")
        notebook.cell("nest", "pages.register_blueprint(inner, url_prefix='/inner')")
        notebook.cell("4", "@inner.route('/x')\ndef x(): return request.endpoint")
        assert notebook.ask("/pages/inner/x") == "200 pages.inner.x"
        notebook.cell("nest", "pages.register_blueprint(inner, url_prefix='/deeper')")
        assert notebook.ask("/pages/inner/x") == "404"
        assert notebook.ask("/pages/deeper/x") == "200 pages.inner.x"

    def test_a_blueprint_of_the_notebook_on_an_app_of_a_module_obeys_flask(
        self, notebook: Notebook
    ) -> None:
        notebook.shell.user_ns["module_app"] = Flask("a_module")
        notebook.cell("5", "module_app.register_blueprint(pages)")
        notebook.cell("6", "@pages.route('/late')\ndef late(): return ''", fails=True)


class TestCellsThatFail:
    @pytest.fixture
    def notebook(self, notebook: Notebook) -> Notebook:
        notebook.cell(
            "1",
            """
            @app.before_request
            def hook(): calls.append("hook")
            @app.route("/a")
            def a(): return "a"
            @app.route("/b")
            def b(): return "b"
            """,
        )
        return notebook

    def test_a_cell_that_does_not_compile_changes_nothing(self, notebook: Notebook) -> None:
        notebook.cell("1", "@app.route('/c'\ndef c(): return 'c'", fails=True)
        assert (notebook.ask("/a"), notebook.ask("/b")) == ("200 a", "200 b")
        assert notebook["calls"] == ["hook", "hook"]

    def test_what_a_failing_cell_did_not_come_to_stays(self, notebook: Notebook) -> None:
        notebook.cell("1", "@app.route('/new')\ndef a(): return 'new'\nraise OSError", fails=True)
        assert notebook.ask("/new") == "200 new"
        assert (notebook.ask("/a"), notebook.ask("/b")) == ("404", "200 b")
        assert notebook["calls"] == ["hook"] * 3

    def test_a_hook_that_a_failing_cell_has_defined_again_is_not_doubled(
        self, notebook: Notebook
    ) -> None:
        notebook.cell(
            "1", "@app.before_request\ndef hook(): calls.append(2)\nraise OSError", fails=True
        )
        assert notebook.ask("/a") == "200 a"
        assert notebook["calls"] == [2]

    def test_a_cell_magic_whose_code_fails_is_a_cell_that_fails(self, notebook: Notebook) -> None:
        notebook.cell("1", "%%flaskserve\n@app.route('/a'\n")
        assert (notebook.ask("/a"), notebook.ask("/b")) == ("200 a", "200 b")

    def test_a_registration_that_a_failing_cell_did_not_come_to_stays(
        self, notebook: Notebook
    ) -> None:
        notebook.cell("bp", "pages = Blueprint('pages', __name__)")
        notebook.cell("2", "@pages.route('/x')\ndef x(): return 'x'")
        notebook.cell("3", "app.register_blueprint(pages)")
        notebook.cell("3", "raise OSError\napp.register_blueprint(pages)", fails=True)
        notebook.cell("2", "raise OSError", fails=True)
        assert notebook.ask("/x") == "200 x"

    @pytest.mark.parametrize("fails", ["1", "2"])
    def test_of_two_cells_with_the_same_rule_it_leaves_the_one_that_held(
        self, notebook: Notebook, fails: str
    ) -> None:
        notebook.cell("2", "@app.route('/a')\ndef other(): return 'other'")
        notebook.cell(fails, "raise OSError", fails=True)
        assert notebook.ask("/a") == "200 other"

    def test_the_next_run_that_succeeds_replaces_all_of_it(self, notebook: Notebook) -> None:
        notebook.cell("1", "@app.route('/c')\ndef c(): return 'c'\nraise OSError", fails=True)
        notebook.cell("1", "@app.route('/d')\ndef d(): return 'd'")
        assert rules(notebook["app"]) == {"/d"}


def test_an_app_made_anew_is_fresh_and_leaves_the_earlier_one_alone(notebook: Notebook) -> None:
    source = "app = Flask(__name__)\n@app.route('/')\ndef page(): return 'page'"
    notebook.cell("1", source)
    first = notebook["app"]
    notebook.cell("2", "@app.route('/more')\ndef more(): return 'more'")
    notebook.cell("1", source)
    assert notebook["app"] is not first
    assert notebook.ask("/more") == "404"
    assert notebook.ask("/", app=first) == "200 page"
    assert notebook.ask("/more", app=first) == "200 more"


def test_a_request_in_flight_sees_the_app_as_it_was_when_it_began(notebook: Notebook) -> None:
    notebook.cell("0", "import threading\nbegun, go_on = threading.Event(), threading.Event()")
    notebook.cell(
        "1",
        """
        @app.route("/")
        def page():
            begun.set()
            go_on.wait(10)
            return render_template_string("{{ 'x' | mark }} {{ url_for('page') }}")
        @app.template_filter()
        def mark(text): return text + " before"
        @app.after_request
        def hook(response):
            response.data += b" hook before"
            return response
        """,
    )
    notebook.ask("/none")  # the Jinja environment is made by the first that needs it
    answers: list[str] = []
    request = threading.Thread(target=lambda: answers.append(notebook.ask("/")))
    request.start()
    assert notebook["begun"].wait(10)
    notebook.cell(
        "1",
        """
        @app.route("/moved")
        def page(): return render_template_string("{{ 'x' | mark }} {{ url_for('page') }}")
        @app.template_filter()
        def mark(text): return text + " after"
        """,
    )
    notebook["go_on"].set()
    request.join(10)
    assert answers == ["200 x before / hook before"]
    assert notebook.ask("/moved") == "200 x after /moved"


def test_a_request_during_a_cell_sees_nothing_of_it(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/')\ndef page(): return 'before'")
    notebook.shell.user_ns["ask"] = notebook.ask
    notebook.cell(
        "1",
        """
        calls.append(ask("/"))
        @app.route("/")
        def page(): return "after"
        @app.before_request
        def hook(): return "half"
        calls.append(ask("/"))
        """,
    )
    assert notebook["calls"] == ["200 before", "200 before"]
    assert notebook.ask("/") == "200 half"


def test_apps_of_modules_are_untouched(notebook: Notebook) -> None:
    module = ModuleType("a_module")
    source = """
from flask import Blueprint, Flask
app = Flask(__name__)
pages = Blueprint("pages", __name__)
@app.route("/")
def page(): return "page"
app.register_blueprint(pages)
"""
    exec(source, module.__dict__)
    assert type(module.app) is Flask
    assert type(module.pages) is Blueprint
    notebook.shell.user_ns["module"] = module
    notebook.cell("1", "@module.app.route('/again')\ndef page(): return ''", fails=True)
    notebook.cell("2", "module.app.test_client().get('/')")
    notebook.cell("3", "@module.app.route('/late')\ndef late(): return ''", fails=True)


def test_classes_of_the_notebook_stay_what_they_are(notebook: Notebook) -> None:
    notebook.cell(
        "1",
        """
        class Shop(Flask):
            def __init__(self):
                super().__init__(__name__)
                self.add_url_rule("/", "index", self.index)
                inner = self.wsgi_app
                self.wsgi_app = lambda *arguments: inner(*arguments)
            def index(self): return f"{type(self).__name__} {isinstance(self, Shop)}"
        app = Shop()
        """,
    )
    assert notebook.ask("/") == "200 Shop True"
    notebook.cell("2", "@app.route('/a')\ndef a(): return 'a'")
    notebook.cell("2", "@app.route('/b')\ndef a(): return 'b'")
    assert (notebook.ask("/a"), notebook.ask("/b")) == ("404", "200 b")


def test_files_are_those_beside_the_notebook(
    loaded_shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "lessons"
    (beside / "templates").mkdir(parents=True)
    (beside / "static").mkdir()
    (beside / "templates" / "hello.html").write_text("hello from the template")
    (beside / "static" / "style.css").write_text("body {}")
    monkeypatch.setenv("JPY_SESSION_NAME", str(beside / "One.ipynb"))
    notebook = Notebook(loaded_shell)
    notebook.cell(
        "1",
        """
        from flask import Flask, render_template
        app = Flask(__name__)
        @app.route("/")
        def page(): return render_template("hello.html")
        """,
    )
    assert notebook.ask("/") == "200 hello from the template"
    assert notebook.ask("/static/style.css") == "200 body {}"
    assert notebook["app"].instance_path == str(beside / "instance")
    (beside / "templates" / "hello.html").write_text("changed")
    assert notebook.ask("/") == "200 changed"


def test_a_root_path_that_was_given_is_kept(notebook: Notebook, tmp_path: Path) -> None:
    notebook.cell("1", f"app = Flask(__name__, root_path={str(tmp_path / 'x')!r})")
    assert notebook["app"].root_path == str(tmp_path / "x")


def test_apps_made_before_the_extension_can_be_run_again_too(shell: InteractiveShell) -> None:
    try:
        notebook = Notebook(shell)
        route = "@app.route('/{0}')\ndef page(): return '{0}'"
        notebook.cell("1", "from flask import Blueprint, Flask\napp = Flask(__name__)\ncalls = []")
        notebook.cell("2", route.format("one"))
        notebook.cell("3", "@app.before_request\ndef hook(): calls.append(1)")
        notebook.cell("4", "pages = Blueprint('pages', __name__)\napp.register_blueprint(pages)")
        jupyter_flaskserve.load_ipython_extension(shell)
        notebook.cell("2", route.format("two"))
        notebook.cell("3", "@app.before_request\ndef hook(): calls.append(2)")
        notebook.cell("4", "pages = Blueprint('pages', __name__)\napp.register_blueprint(pages)")
        assert (notebook.ask("/one"), notebook.ask("/two")) == ("404", "200 two")
        assert notebook["calls"] == [2, 2]
    finally:
        jupyter_flaskserve.unload_ipython_extension(shell)


@pytest.mark.parametrize("kind", [Flask, Blueprint])
def test_unloading_restores_flask(loaded_shell: InteractiveShell, kind: type) -> None:
    shell = loaded_shell
    notebook = Notebook(shell)
    notebook.cell("1", "from flask import Blueprint, Flask\napp = Flask(__name__)\ncalls = []")
    notebook.cell("2", "pages = Blueprint('pages', __name__)\napp.register_blueprint(pages)")
    notebook.cell("3", "@app.route('/')\ndef page(): return 'page'")
    changed = kind.__init__
    jupyter_flaskserve.unload_ipython_extension(shell)
    assert kind.__init__ is not changed
    assert type(notebook["app"]) is Flask
    assert type(notebook["pages"]) is Blueprint
    assert not [name for name in vars(notebook["app"]) if "flaskserve" in name]
    assert notebook["app"].test_client().get("/").text == "page"
    assert type(Flask("__main__")) is Flask
    notebook.cell("3", "@app.route('/again')\ndef page(): return ''", fails=True)
    jupyter_flaskserve.load_ipython_extension(shell)
    notebook.cell("3", "@app.route('/again')\ndef page(): return 'again'")
    assert notebook.ask("/again") == "200 again"


def test_what_is_published_is_replaced_when_requests_can_see_a_change(notebook: Notebook) -> None:
    def published(cell_id: str, source: str) -> object:
        notebook.cell(cell_id, source)
        return rerun.published_of(notebook["app"])

    first = published("1", "@app.route('/')\ndef page(): return 'page'")
    assert published("2", "1 + 1") is first
    second = published("1", "@app.route('/')\ndef page(): return 'other'")
    assert second is not first
    notebook.ask("/none")  # Flask looks for an error handler
    assert published("3", "app.test_client().get('/none')") is second
    assert published("4", "app.debug = True") is second
    assert published("4", "app.debug = False") is second


@pytest.mark.parametrize("chosen", [None, False])
def test_templates_are_looked_at_again_unless_the_app_says_so(
    notebook: Notebook, chosen: bool | None
) -> None:
    notebook.cell(
        "1",
        f"""
        class Shop(Flask):
            default_config = {{**Flask.default_config, "TEMPLATES_AUTO_RELOAD": {chosen}}}
        app = Shop(__name__)
        """,
    )
    app = notebook["app"]
    notebook.cell("2", "app.debug = False")
    assert app.jinja_env.auto_reload is (chosen is None)
    jupyter_flaskserve.unload_ipython_extension(notebook.shell)
    assert app.config["TEMPLATES_AUTO_RELOAD"] is chosen


def test_jinja_globals_that_cannot_be_compared_do_no_harm(notebook: Notebook) -> None:
    class Incomparable:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    notebook.shell.user_ns["Incomparable"] = Incomparable
    for number in range(2):
        notebook.cell("1", "app.jinja_env.globals['table'] = Incomparable()")
        notebook.cell("2", f"app.jinja_env.globals['n'] = {number}")
    notebook.cell("3", "@app.route('/')\ndef page(): return render_template_string('{{ n }}')")
    assert notebook.ask("/") == "200 1"


def test_two_thousand_routes_can_be_run_again(notebook: Notebook) -> None:
    source = """
        def view(): return "view"
        for number in range(2000):
            app.add_url_rule(f"/page/{number}", f"page{number}", view)
        """
    notebook.cell("1", source)
    notebook.cell("1", source)
    assert len(list(notebook["app"].url_map.iter_rules())) == 2001
    assert notebook.ask("/page/1999") == "200 view"


class TestMistakesInBlueprints:
    @pytest.fixture
    def notebook(self, notebook: Notebook) -> Notebook:
        notebook.cell("bp", "pages = Blueprint('pages', __name__)")
        notebook.cell("1", "@pages.route('/a')\ndef a(): return 'a'")
        notebook.cell("register", "app.register_blueprint(pages)")
        return notebook

    def test_a_mistake_leaves_the_app_as_it_was_until_it_is_corrected(
        self, notebook: Notebook, capsys: pytest.CaptureFixture[str]
    ) -> None:
        twice = "@pages.route('/c')\ndef c(): return 'c'\n@pages.route('/d')\ndef {}(): return 'd'"
        notebook.cell("2", twice.format("c"))
        said = capsys.readouterr().err
        assert "A blueprint could not be registered again: View function mapping" in said
        notebook.cell("3", "@app.route('/other')\ndef other(): return 'other'")
        assert (notebook.ask("/a"), notebook.ask("/c")) == ("200 a", "404")
        assert notebook.ask("/other") == "200 other"
        notebook.cell("2", twice.format("d"))
        assert (notebook.ask("/c"), notebook.ask("/d")) == ("200 c", "200 d")

    def test_a_cell_that_fails_half_way_keeps_the_other_half(self, notebook: Notebook) -> None:
        source = "@pages.route('/{0}')\ndef {0}(): return '{0}{1}'\n"
        notebook.cell("2", source.format("x", 1) + source.format("y", 1))
        notebook.cell("2", source.format("x", 2) + "1/0", fails=True)
        assert (notebook.ask("/x"), notebook.ask("/y")) == ("200 x2", "200 y1")
        notebook.cell("2", source.format("x", 3) + source.format("y", 3))
        assert (notebook.ask("/x"), notebook.ask("/y")) == ("200 x3", "200 y3")

    def test_hooks_for_the_whole_app_stay_where_it_is_registered_twice(
        self, notebook: Notebook
    ) -> None:
        notebook.cell("hook", "@pages.before_app_request\ndef hook(): calls.append('hook')")
        notebook.cell("twice", "app.register_blueprint(pages, name='two', url_prefix='/two')")
        notebook.cell("1", "@pages.route('/a')\ndef a(): return 'again'")
        assert (notebook.ask("/a"), notebook.ask("/two/a")) == ("200 again", "200 again")
        assert notebook["calls"] == ["hook", "hook"]

    def test_an_unrelated_change_leaves_the_order_of_rules_and_hooks(
        self, notebook: Notebook
    ) -> None:
        notebook.cell("hook", "@pages.before_app_request\ndef hook(): calls.append('pages')")
        notebook.cell("2", "@app.route('/a')\ndef of_app(): return 'app'")
        notebook.cell("3", "@app.before_request\ndef own(): calls.append('app')")
        notebook.cell("4", "@pages.route('/b')\ndef b(): return 'b'")
        assert (notebook.ask("/a"), notebook.ask("/b")) == ("200 app", "200 b")
        assert notebook["calls"] == ["pages", "app"] * 2

    def test_a_blueprint_made_anew_by_its_cell_takes_the_place_of_the_earlier_one(
        self, notebook: Notebook
    ) -> None:
        source = "new = Blueprint('new', __name__)\n@new.route('/n')\ndef n(): return '{}'"
        notebook.cell("new", source.format(1))
        notebook.cell("use", "app.register_blueprint(new)")
        assert notebook.ask("/n") == "200 1"
        notebook.cell("new", source.format(2))
        assert notebook.ask("/n") == "200 2"


def test_requests_during_a_cell_see_the_extensions_and_middleware_from_before(
    notebook: Notebook,
) -> None:
    notebook.cell(
        "view",
        "from flask import current_app\n"
        "@app.route('/')\ndef page(): return current_app.extensions['thing']",
    )
    notebook.cell("1", "app.extensions['thing'] = 'before'")
    notebook.shell.user_ns["ask"] = notebook.ask
    notebook.cell("1", "calls.append(ask('/'))\napp.extensions['thing'] = 'after'")
    assert notebook["calls"] == ["200 before"]
    assert notebook.ask("/") == "200 after"
    notebook["calls"].clear()
    notebook.cell(
        "2",
        """
        def counting(inner):
            def middleware(environ, start_response):
                calls.append("counted")
                return inner(environ, start_response)
            return middleware
        app.wsgi_app = counting(app.wsgi_app)
        ask("/")
        """,
    )
    assert notebook["calls"] == []
    notebook.ask("/")
    assert notebook["calls"] == ["counted"]


def test_what_an_extension_makes_in_a_request_is_the_apps(notebook: Notebook) -> None:
    notebook.cell(
        "1",
        "from flask import current_app\n"
        "@app.route('/')\ndef page(): return current_app.extensions.setdefault('late', 'made')",
    )
    assert notebook.ask("/") == "200 made"
    assert notebook["app"].extensions["late"] == "made"


def test_middleware_of_two_cells_is_one_layer_each(notebook: Notebook) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    source = """
        def layer{0}(inner):
            def middleware(environ, start_response):
                calls.append({0})
                return inner(environ, start_response)
            return middleware
        app.wsgi_app = layer{0}(app.wsgi_app)
        """
    for number in (1, 2, 1, 2, 1):
        notebook.cell(str(number), source.format(number))
    notebook.ask("/")
    assert sorted(notebook["calls"]) == [1, 2]


def test_bound_methods_of_two_objects_are_two_hooks(notebook: Notebook) -> None:
    notebook.cell(
        "0",
        """
        @app.route("/")
        def page(): return "page"
        class Counter:
            def __init__(self, name): self.name = name
            def check(self): calls.append(self.name)
        """,
    )
    notebook.cell("1", "app.before_request(Counter('one').check)")
    notebook.cell("2", "app.before_request(Counter('two').check)")
    notebook.ask("/")
    assert notebook["calls"] == ["one", "two"]


def test_hooks_of_a_cell_that_fails_stay_in_their_order(notebook: Notebook) -> None:
    notebook.cell("view", "@app.route('/')\ndef page(): return 'page'")
    notebook.cell(
        "1",
        """
        def check(): calls.append("first")
        app.before_request(check)
        def check(): calls.append("second")
        app.before_request(check)
        """,
    )
    notebook.cell("2", "@app.before_request\ndef last(): calls.append('last')")
    notebook.cell("1", "1/0", fails=True)
    notebook.ask("/")
    assert notebook["calls"] == ["first", "second", "last"]


def test_what_no_cell_has_any_more_does_not_come_back(notebook: Notebook) -> None:
    source = "@app.errorhandler(404)\ndef missing{0}(error): return '{0}', 200"
    for number in (1, 2, 1):
        notebook.cell(str(number), source.format(number))
    notebook.cell("2", "pass")
    assert notebook.ask("/none") == "200 1"
    notebook.cell("1", "pass")
    assert notebook.ask("/none") == "404"


def test_what_was_replaced_many_times_is_not_kept(notebook: Notebook) -> None:
    handlers = []
    for number in range(20):
        notebook.cell(str(number), "@app.errorhandler(404)\ndef gone(error): return 'x', 200")
        handlers.append(weakref.ref(notebook["gone"]))
    gc.collect()
    assert sum(handler() is not None for handler in handlers) <= 2


def test_a_route_on_the_app_of_another_cell_goes_with_a_cell_that_makes_one(
    notebook: Notebook,
) -> None:
    notebook.cell("1", "admin = Flask(__name__)\n@app.route('/x')\ndef x(): return 'x'")
    notebook.cell("1", "admin = Flask(__name__)")
    assert notebook.ask("/x") == "404"


@pytest.mark.parametrize("inner", ["get_ipython().run_cell('')", "get_ipython().run_cell('1/0')"])
def test_code_that_a_cell_runs_is_a_part_of_it(notebook: Notebook, inner: str) -> None:
    notebook.cell("1", f"{inner}\n@app.route('/a')\ndef a(): return 'a'")
    assert notebook.ask("/a") == "200 a"
    notebook.cell("1", inner)
    assert notebook.ask("/a") == "404"


def test_a_cell_in_a_subshell_takes_nothing_from_the_one_that_runs(notebook: Notebook) -> None:
    notebook.cell("1", "@app.route('/one')\ndef one(): return 'one'")
    notebook.cell("0", "import threading\nbegun, go_on = threading.Event(), threading.Event()")
    main = Run("begun.set()", "1", notebook.shell.transform_cell)
    rerun._begin(main)
    other = Run("1 + 1", "2", notebook.shell.transform_cell)
    rerun._begin(other)
    rerun._end(other)
    main.failed = True
    rerun._end(main)
    assert notebook.ask("/one") == "200 one"


def test_a_class_that_defines_run_is_asked_first(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Any] = []
    monkeypatch.setattr(rerun, "serve_by_run", lambda app, *others: served.append(app))
    notebook.cell(
        "1",
        """
        class Shop(Flask):
            def run(self, **options):
                calls.append("set up")
                super().run(**options)
        shop = Shop(__name__)
        shop.run(port=80)
        """,
    )
    assert notebook["calls"] == ["set up"]
    assert served == [notebook["shop"]]


@pytest.mark.parametrize(
    "source",
    [
        "again = type(app)(__name__)",
        "class Again(type(app)): pass\nagain = Again(__name__)",
        "class Equal(Flask):\n    def __eq__(self, other): return True\nagain = Equal(__name__)",
        "again = Blueprint('b', __name__, None, None, None, None, None, None, None)",
    ],
)
def test_apps_of_unusual_classes_can_be_made(
    notebook: Notebook, source: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "One.ipynb"))
    notebook.cell("1", source)
    notebook.cell("2", "@again.route('/a')\ndef a(): return 'a'")
    notebook.cell("2", "@again.route('/b')\ndef a(): return 'b'")
    if isinstance(notebook["again"], Flask):
        assert rules(notebook["again"]) == {"/b"}


def test_classes_that_are_no_longer_used_are_not_kept(notebook: Notebook) -> None:
    classes = []
    for _ in range(20):
        notebook.cell("1", "class Shop(Flask): pass\nshop = Shop(__name__)")
        classes.append(weakref.ref(type(notebook["shop"])))
    gc.collect()
    assert sum(made() is not None for made in classes) <= 4


def test_settings_of_the_url_map_reach_requests(notebook: Notebook) -> None:
    notebook.cell(
        "1",
        "@app.route('/', defaults={'n': 1})\n@app.route('/<int:n>')\ndef page(n): return str(n)",
    )
    assert notebook.ask("/1") == "308"
    notebook.cell("2", "app.url_map.redirect_defaults = False")
    assert notebook.ask("/1") == "200 1"


def test_the_url_map_is_made_anew_once_for_many_routes(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        for number in range(50):
            def view(): return "view"
            app.add_url_rule(f"/page/{number}", f"page{number}", view)
        """
    notebook.cell(None, source)
    made: list[int] = []

    def counted(*args: Any) -> Any:
        made.append(1)
        return copied_map(*args)

    monkeypatch.setattr(registrations, "copied_map", counted)
    notebook.cell(None, source)
    assert 1 <= len(made) <= 2
    assert len(list(notebook["app"].url_map.iter_rules())) == 51
