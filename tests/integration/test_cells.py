"""Flask apps in cells that are run again, as a browser sees them.

A real server and a real kernel, driven cell by cell as a front end does it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from jupyter_processes import CellError, Kernel, wait_until
from notebook_cells import Notebook

IMPORTS = """
import threading
from flask import (
    Blueprint, Flask, g, redirect, render_template, render_template_string, request, url_for,
)
from flask.views import MethodView
"""


class Lesson:
    """A notebook with a served app in its variable ``app``, and a browser at the app's address."""

    def __init__(self, notebook: Notebook, name: str) -> None:
        self.notebook = notebook
        self.run = notebook.run
        self.start = notebook.start
        self.name = name
        self.browser = notebook.client(name)
        self.run("load", "%load_ext jupyter_flaskserve\n%flaskserve stop --all")
        self.run("imports", IMPORTS)
        self.run("app", "app = Flask(__name__)\ncalls = []")
        self.run("serve", f"%flaskserve app --name {name}")

    def get(self, path: str = "", **options: object) -> str | int:
        """The text at a path, or the status where that is not 200."""
        answer = self.browser.get(path, **options)
        return answer.text if answer.status_code == 200 else answer.status_code

    def fail(self, cell_id: str, source: str, error: str) -> None:
        """Run a cell that fails."""
        with pytest.raises(CellError, match=error):
            self.run(cell_id, source)


@pytest.fixture
def lesson(kernel: Kernel, name: str) -> Lesson:
    """In a front end that says which cell it runs."""
    return Lesson(Notebook(kernel), name)


@pytest.fixture(params=[True, False], ids=["cells with ids", "cells without ids"])
def any_lesson(request: pytest.FixtureRequest, kernel: Kernel, name: str) -> Lesson:
    """The same, and in a front end that does not: there a name takes the place of the same name."""
    return Lesson(Notebook(kernel, ids=request.param), name)


def test_a_changed_route_replaces_the_earlier_one(any_lesson: Lesson) -> None:
    any_lesson.run("1", "@app.route('/old')\ndef page(): return 'one'")
    assert any_lesson.get("old") == "one"
    any_lesson.run("1", "@app.post('/new')\ndef page(): return 'two'")
    assert (any_lesson.get("old"), any_lesson.get("new")) == (404, 405)
    assert any_lesson.browser.post("new").text == "two"


def test_a_route_deleted_from_its_cell_disappears(lesson: Lesson) -> None:
    lesson.run("1", "@app.route('/a')\ndef a(): return 'a'\n@app.route('/b')\ndef b(): return 'b'")
    assert (lesson.get("a"), lesson.get("b")) == ("a", "b")
    lesson.run("1", "@app.route('/a')\ndef a(): return 'a'")
    assert (lesson.get("a"), lesson.get("b")) == ("a", 404)
    lesson.run("1", "pass")
    assert (lesson.get("a"), lesson.get("b")) == (404, 404)


def test_a_renamed_view_answers_alone(lesson: Lesson) -> None:
    lesson.run("1", "@app.route('/')\ndef before(): return 'before'")
    lesson.run("1", "@app.route('/')\ndef after(): return url_for('after')")
    assert lesson.get() == f"/flaskserve/{lesson.name}/"
    lesson.run("2", "@app.route('/gone')\ndef gone(): return url_for('before')")
    assert lesson.get("gone") == 500


def test_of_two_cells_with_one_address_the_one_that_ran_last_answers(any_lesson: Lesson) -> None:
    source = "@app.route('/')\ndef {0}(): return '{0} at ' + url_for('{0}')"
    for view in ("one", "two", "one"):
        any_lesson.run(view, source.format(view))
        assert any_lesson.get() == f"{view} at /flaskserve/{any_lesson.name}/"


def test_a_class_based_view_run_again_replaces_the_earlier_one(any_lesson: Lesson) -> None:
    source = """
        class Items(MethodView):
            def {}(self, id=None): return "{} %s" % id
        app.add_url_rule("/items/", view_func=Items.as_view("items"))
        app.add_url_rule("/items/<int:id>", view_func=Items.as_view("{}"))
        """
    any_lesson.run("1", source.format("get", "got", "item"))
    assert (any_lesson.get("items/"), any_lesson.get("items/3")) == ("got None", "got 3")
    any_lesson.run("1", source.format("post", "posted", "item"))
    assert (any_lesson.get("items/"), any_lesson.get("items/3")) == (405, 405)
    assert any_lesson.browser.post("items/3").text == "posted 3"


def test_hooks_and_handlers_are_not_doubled(any_lesson: Lesson) -> None:
    source = """
        @app.before_request
        def begin(): g.words = getattr(g, "words", "") + "begin{0} "
        @app.after_request
        def end(response):
            response.data += b"end{0} "
            return response
        @app.teardown_request
        def done(error): calls.append("done{0}")
        @app.context_processor
        def names(): return {{"word": "word{0}"}}
        @app.template_filter()
        def mark(text): return text + "{0} "
        @app.errorhandler(404)
        def missing(error): return "missing{0} ", 200
        """
    any_lesson.run(
        "view",
        "@app.route('/')\ndef page(): return g.words + render_template_string('{{ word|mark }}')",
    )
    for number in (1, 2, 3):
        any_lesson.run("hooks", source.format(number))
        assert any_lesson.get() == f"begin{number} word{number}{number} end{number} "
        assert any_lesson.get("none") == f"missing{number} end{number} "
    assert any_lesson.run("see", "print(*calls)").stdout.split() == [
        f"done{number}" for number in (1, 2, 3) for _ in range(2)
    ]


def test_hooks_deleted_from_their_cell_run_no_more(lesson: Lesson) -> None:
    lesson.run("view", "@app.route('/')\ndef page(): return 'page'")
    lesson.run("1", "app.before_request(lambda: 'in the way')")
    assert lesson.get() == "in the way"
    lesson.run("1", "pass")
    assert lesson.get() == "page"


class TestBlueprints:
    @pytest.fixture
    def lesson(self, any_lesson: Lesson) -> Lesson:
        any_lesson.run("make", "shop = Blueprint('shop', __name__)")
        any_lesson.run("view", "@shop.route('/a')\ndef a(): return url_for('.a')")
        any_lesson.run("register", "app.register_blueprint(shop, url_prefix='/shop')")
        assert any_lesson.get("shop/a") == f"/flaskserve/{any_lesson.name}/shop/a"
        return any_lesson

    def test_registering_again_replaces(self, lesson: Lesson) -> None:
        lesson.run("register", "app.register_blueprint(shop, url_prefix='/store')")
        assert lesson.get("shop/a") == 404
        assert lesson.get("store/a") == f"/flaskserve/{lesson.name}/store/a"

    def test_a_view_run_again_reaches_the_app(self, lesson: Lesson) -> None:
        lesson.run("view", "@shop.route('/b')\ndef a(): return 'b'")
        assert (lesson.get("shop/a"), lesson.get("shop/b")) == (404, "b")
        lesson.run("more", "@shop.before_request\ndef closed():\n    return 'closed'")
        assert lesson.get("shop/b") == "closed"
        lesson.run("more", "@shop.before_request\ndef closed():\n    pass")
        assert lesson.get("shop/b") == "b"

    def test_all_cells_run_again_give_the_same(self, lesson: Lesson) -> None:
        lesson.run("make", "shop = Blueprint('shop', __name__)")
        lesson.run("view", "@shop.route('/a')\ndef a(): return 'again'")
        lesson.run("register", "app.register_blueprint(shop, url_prefix='/shop')")
        assert lesson.get("shop/a") == "again"


def test_an_app_made_anew_is_fresh_and_is_what_is_served(any_lesson: Lesson) -> None:
    any_lesson.run("1", "@app.route('/old')\ndef old(): return 'old'")
    assert any_lesson.get("old") == "old"
    any_lesson.run("app", "app = Flask(__name__)")
    assert any_lesson.get("old") == 404
    any_lesson.run("2", "@app.route('/new')\ndef new(): return 'new'")
    assert any_lesson.get("new") == "new"
    any_lesson.run("other", "app = Flask(__name__)\n@app.route('/new')\ndef new(): return 'newer'")
    assert any_lesson.get("new") == "newer"


def test_a_factory_run_again_is_what_is_served(any_lesson: Lesson) -> None:
    factory = """
        def create_app():
            app = Flask(__name__)
            @app.route("/")
            def page(): return "{}"
            return app
        """
    for text in ("one", "two"):
        any_lesson.run("factory", factory.format(text))
        any_lesson.run("make", "app = create_app()")
        assert any_lesson.get() == text


def test_a_route_after_the_first_request_works(any_lesson: Lesson) -> None:
    assert any_lesson.get() == 404
    any_lesson.run("1", "@app.route('/')\ndef page(): return 'page'")
    assert any_lesson.get() == "page"
    any_lesson.run("2", "@app.before_request\ndef first(): return 'first'")
    assert any_lesson.get() == "first"


class TestRequestsUnderWay:
    SLOW = """
        @app.route("/slow")
        def slow():
            from flask import stream_with_context
            def chunks():
                yield "begun"
                go_on.wait(20)
                yield " " + url_for("slow") + render_template_string("{{ ' before'|mark }}")
            return stream_with_context(chunks())
        @app.template_filter()
        def mark(text): return text + " marked"
        @app.teardown_request
        def done(error): calls.append("done before")
        """

    @pytest.mark.parametrize("change", ["cells", "app"])
    def test_a_stream_sees_the_old_app_to_its_end(self, lesson: Lesson, change: str) -> None:
        lesson.run("event", "go_on = threading.Event()")
        lesson.run("1", self.SLOW)
        with lesson.browser.stream("GET", "slow") as answer:
            parts = answer.iter_text()
            assert next(parts) == "begun"
            if change == "app":
                lesson.run("app", "app = Flask(__name__)")
            lesson.run(
                "1",
                """
                @app.route("/moved")
                def slow(): return "moved"
                @app.template_filter()
                def mark(text): return text + " wrong"
                """,
            )
            assert (lesson.get("moved"), lesson.get("slow")) == ("moved", 404)
            lesson.run("2", "go_on.set()")
            assert "".join(parts) == f" /flaskserve/{lesson.name}/slow before marked"
        # Flask 3.1 ends the context of such a stream twice, on any server.
        assert lesson.run("see", "print(*set(calls))").stdout == "done before\n"

    HALVES = """
        {app}
        @app.before_request
        def begin(): g.version = "{version}"
        @app.route("/{moving}")
        def moves(): return "moved"
        @app.route("/")
        def page():
            import time; time.sleep(0.002)
            texts = [g.version, "{version}", render_template_string("{{{{ 0 | version }}}}")]
            texts.append(url_for("moves").rpartition("/")[2])
            return " ".join(texts)
        import time; time.sleep(0.02)
        @shop.route("/page")
        def inside(): return g.version + " {version} {version} {moving}"
        @app.template_filter("version")
        def version_filter(_): return "{version}"
        @app.after_request
        def end(response):
            response.headers.add("X-Version", "{version}")
            return response
        {register}
        """

    @pytest.mark.parametrize("anew", [False, True], ids=["the same app", "an app made anew"])
    def test_a_load_of_requests_sees_whole_states_only(self, lesson: Lesson, anew: bool) -> None:
        """Thirty runs of a cell whose routes and hooks all say which run they are of."""
        lesson.run("shop", "shop = Blueprint('shop', __name__, url_prefix='/shop')")

        def cell(number: int) -> str:
            again = "app = Flask(__name__); shop = Blueprint('shop', __name__, url_prefix='/shop')"
            return self.HALVES.format(
                version=number,
                moving="even" if number % 2 == 0 else "odd",
                app=again if anew else "",
                register="app.register_blueprint(shop)",
            )

        lesson.run("1", cell(0))
        ended = threading.Event()
        finished = 0  # the newest run that has ended

        def ask(path: str) -> int:
            count = 0
            with httpx.Client(
                base_url=lesson.browser.base_url,
                headers=lesson.browser.headers,
                timeout=20,
                trust_env=False,
            ) as client:
                while not ended.is_set():
                    oldest = finished
                    answer = client.get(path)
                    assert answer.status_code == 200, answer.text
                    versions = answer.headers.get_list("X-Version")
                    number = int(versions[0])
                    moving = "even" if number % 2 == 0 else "odd"
                    assert answer.text == f"{number} {number} {number} {moving}"
                    assert versions == [str(number)]
                    assert number >= oldest
                    count += 1
            return count

        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, path) for path in ["", "shop/page"] * 3]
            try:
                for number in range(1, 31):
                    lesson.run("1", cell(number))
                    finished = number
                    assert lesson.get("odd" if number % 2 else "even") == "moved"
                    assert lesson.get("even" if number % 2 else "odd") == 404
            finally:
                ended.set()
            assert sum(future.result() for future in asked) > 60


class TestAppRun:
    SOURCE = """
        app = Flask(__name__)
        @app.route("/")
        def page(): return "{}"
        @app.route("/fails")
        def fails(): return 1 // 0
        if __name__ == "__main__":
            app.run(debug=True, port=5000)
        print("the cell goes on")
        """

    @pytest.fixture
    def lesson(self, new_kernel: Callable[..., Kernel], name: str) -> Lesson:
        return Lesson(Notebook(new_kernel(f"{name} run.ipynb")), f"{name}-other")

    @pytest.mark.jupyter_server("its name is made from the notebook's, which the server knows")
    def test_it_serves_and_returns(self, lesson: Lesson, name: str) -> None:
        process = psutil.Process(lesson.notebook.kernel.pid)
        before = process.children(recursive=True)
        browser = lesson.notebook.client(f"{name}-run")
        lesson.run("stop", "%flaskserve stop --all")
        for text in ("one", "two"):
            put_out = lesson.run("1", self.SOURCE.format(text), seconds=10)
            said, goes_on = put_out.stdout.splitlines()
            assert said.startswith("app.run() serves through Jupyter and returns")
            assert "port has no effect" in said
            assert goes_on == "the cell goes on"
            assert f"/flaskserve/{name}-run/" in put_out.displays[0]["text/html"]
            assert browser.get("").text == text
        mounted = lesson.notebook.kernel.server.mounts()
        assert [mount for mount in mounted if mount.startswith(name)] == [f"{name}-run"]
        assert "ZeroDivisionError" in browser.get("fails").text
        assert process.children(recursive=True) == before
        listening = {
            connection.laddr.port
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert 5000 not in listening
        assert lesson.run("2", "import os; print(os.getpid())").stdout == f"{process.pid}\n"

    def test_its_routes_are_followed(self, lesson: Lesson, name: str) -> None:
        lesson.run("1", "app.run(use_reloader=True, host='0.0.0.0', debug=True)")
        lesson.run("2", "@app.route('/late')\ndef late(): return 'late'")
        assert lesson.get("late") == "late"


def test_the_cell_magic_serves_the_app_of_its_cell(any_lesson: Lesson, name: str) -> None:
    source = """\
%%flaskserve --name {}-cell
app = Flask(__name__)
@app.route("/")
def page(): return "{}"
"""
    browser = any_lesson.notebook.client(f"{name}-cell")
    for text in ("one", "two"):
        any_lesson.run("1", source.format(name, text))
        assert browser.get("").text == text
    any_lesson.run("2", "@app.route('/late')\ndef late(): return 'late'")
    assert browser.get("late").text == "late"


def test_routes_of_a_cell_with_the_cell_magic_go_with_it(lesson: Lesson, name: str) -> None:
    magic = f"%%flaskserve app --name {name}-cell\n"
    browser = lesson.notebook.client(f"{name}-cell")
    lesson.run("1", magic + "@app.route('/a')\ndef a(): return 'a'")
    assert browser.get("a").text == "a"
    lesson.run("1", magic + "@app.route('/b')\ndef b(): return 'b'")
    assert (browser.get("a").status_code, browser.get("b").text) == (404, "b")


@pytest.mark.jupyter_server("the server tells the kernel where the notebook is")
class TestFiles:
    @pytest.fixture
    def folder(self, new_kernel: Callable[..., Kernel], name: str) -> Path:
        """The folder of a notebook whose kernel's working directory is another one."""
        self.kernel = new_kernel(f"{name}/Lesson.ipynb")
        folder = self.kernel.server.notebooks / name
        (folder / "templates").mkdir(parents=True)
        (folder / "static").mkdir()
        return folder

    @pytest.fixture
    def lesson(self, folder: Path, tmp_path: Path, name: str) -> Lesson:
        elsewhere = tmp_path / "elsewhere"
        (elsewhere / "templates").mkdir(parents=True)
        (elsewhere / "templates" / "hello.html").write_text("the wrong folder")
        notebook = Notebook(self.kernel)
        notebook.run("cd", f"import os\nos.chdir({str(elsewhere)!r})")
        return Lesson(notebook, name)

    def test_folders_are_those_beside_the_notebook(self, lesson: Lesson, folder: Path) -> None:
        (folder / "templates" / "hello.html").write_text(
            "hello <link href='{{ url_for('static', filename='style.css') }}'>"
        )
        (folder / "static" / "style.css").write_text("body {}")
        lesson.run("1", "@app.route('/')\ndef page(): return render_template('hello.html')")
        page = lesson.get()
        assert page == f"hello <link href='/flaskserve/{lesson.name}/static/style.css'>"
        style = lesson.browser.get("static/style.css")
        assert (style.text, style.headers["Content-Type"]) == ("body {}", "text/css; charset=utf-8")
        (folder / "templates" / "hello.html").write_text("changed")
        assert lesson.get() == "changed"

    def test_cells_and_files_extend_each_other(self, lesson: Lesson, folder: Path) -> None:
        (folder / "templates" / "base.html").write_text(
            "<title>{% block title %}{% endblock %}</title>{% include 'foot.html' %}"
        )
        lesson.run(
            "page",
            "%%template page.html\n{% extends 'base.html' %}{% block title %}One{% endblock %}",
        )
        lesson.run("foot", "%%template foot.html\n<p>foot")
        lesson.run("1", "@app.route('/')\ndef page(): return render_template('page.html')")
        assert lesson.get() == "<title>One</title><p>foot"
        lesson.run("foot", "%%template foot.html\n<p>other foot")
        assert lesson.get() == "<title>One</title><p>other foot"
        lesson.run("base", "%%template base.html\n{% block title %}{% endblock %}!")
        assert lesson.get() == "One!"
        lesson.run("base", "%template --remove base.html")
        assert lesson.get() == "<title>One</title><p>other foot"

    def test_a_static_cell_comes_before_a_file(self, lesson: Lesson, folder: Path) -> None:
        (folder / "static" / "style.css").write_text("/* file */")
        assert lesson.get("static/style.css") == "/* file */"
        lesson.run("1", "%%static style.css\n/* cell */")
        assert str(lesson.get("static/style.css")).strip() == "/* cell */"
        lesson.run("1", "%%static style.css\n/* changed */")
        answer = lesson.browser.get("static/style.css")
        assert answer.text.strip() == "/* changed */"
        known = {"If-None-Match": answer.headers["ETag"]}
        assert lesson.browser.get("static/style.css", headers=known).status_code == 304


class TestCellsThatFail:
    SOURCE = """
        @app.before_request
        def begin(): g.word = "word"
        @app.route("/a")
        def a(): return g.word + " a"
        @app.route("/b")
        def b(): return g.word + " b"
        """

    def test_half_of_a_cell_leaves_the_rest_as_it_was(self, lesson: Lesson) -> None:
        lesson.run("1", self.SOURCE)
        lesson.fail("1", "@app.route('/new')\ndef a(): return g.word + ' new'\n1 / 0", "ZeroDiv")
        assert lesson.get("new") == "word new"
        assert (lesson.get("a"), lesson.get("b")) == (404, "word b")
        lesson.run("1", self.SOURCE)
        assert (lesson.get("a"), lesson.get("b"), lesson.get("new")) == ("word a", "word b", 404)

    def test_a_cell_that_does_not_compile_changes_nothing(self, lesson: Lesson) -> None:
        lesson.run("1", self.SOURCE)
        lesson.fail("1", "@app.route('/c'\ndef c(): return 'c'", "SyntaxError")
        assert (lesson.get("a"), lesson.get("b")) == ("word a", "word b")

    def test_an_interrupted_cell_leaves_what_it_did_not_come_to(self, lesson: Lesson) -> None:
        lesson.run("1", self.SOURCE)
        cell = lesson.start(
            "1",
            """
            @app.route("/new")
            def new(): return g.word + " new"
            import time
            calls.append("waits")
            time.sleep(30)
            @app.route("/a")
            def a(): return "never"
            """,
        )
        assert lesson.get("a") == "word a"  # the cell is running: nothing of it is seen yet
        time.sleep(0.5)
        lesson.notebook.kernel.interrupt()
        with pytest.raises(CellError, match="KeyboardInterrupt"):
            cell.wait(10)
        assert [lesson.get(path) for path in ("new", "a", "b")] == ["word new", "word a", "word b"]
        lesson.run("1", "pass")
        assert [lesson.get(path) for path in ("new", "a", "b")] == [404, 404, 404]

    def test_a_cell_that_never_ran_an_app_is_no_worse_for_it(self, lesson: Lesson) -> None:
        lesson.fail("1", "app = Flask(__name__)\n1 / 0", "ZeroDivisionError")
        lesson.run("2", "@app.route('/')\ndef page(): return 'page'")
        assert lesson.get() == "page"


def test_unloading_restores_what_was(new_kernel: Callable[..., Kernel], name: str) -> None:
    lesson = Lesson(Notebook(new_kernel(f"{name}.ipynb")), name)
    route = "@app.route('/{0}')\ndef page(): return '{0}'"
    lesson.run("1", route.format("one"))
    assert lesson.get("one") == "one"
    lesson.run("unload", "%unload_ext jupyter_flaskserve")
    assert lesson.get("one") in (404, 503)
    seen = "print(app.test_client().get('/one').text, type(app) is Flask, 'run' in vars(Flask))"
    assert lesson.run("2", seen).stdout == "one True True\n"
    lesson.fail("1", route.format("two"), "AssertionError.*|has already handled its first request")
    for magic in ("flaskserve", "template"):
        found = f"print(get_ipython().find_line_magic({magic!r}))"
        assert lesson.run("3", found).stdout == "None\n"
    lesson.run("load", f"%load_ext jupyter_flaskserve\n%flaskserve app --name {name}")
    lesson.run("1", route.format("three"))
    wait_until(lambda: lesson.get("three") == "three", what="the app at its address again")
    assert lesson.get("one") == 404


EXTENSION = """
class Store:
    \"\"\"An extension as many are written: set up once for an app, with hooks of its own.\"\"\"
    def __init__(self, app=None):
        self.opened = 0
        if app is not None:
            self.init_app(app)
    def init_app(self, app):
        if "store" in app.extensions:
            raise RuntimeError("A 'Store' instance has already been registered on this Flask app.")
        app.extensions["store"] = self
        app.before_request(self.open)
        app.context_processor(lambda: {"store": self})
    def open(self):
        self.opened += 1
"""


@pytest.mark.parametrize("setup", ["store = Store(app)", "store = Store(); store.init_app(app)"])
def test_an_extension_is_set_up_again_by_its_cell(lesson: Lesson, setup: str) -> None:
    lesson.run("class", EXTENSION)
    lesson.run(
        "view", "@app.route('/')\ndef page(): return render_template_string('{{ store.opened }}')"
    )
    for _ in range(2):
        lesson.run("setup", setup)
        assert [lesson.get(), lesson.get()] == ["1", "2"]


def test_an_app_with_sockets_can_be_run_again(lesson: Lesson) -> None:
    pytest.importorskip("flask_socketio")
    socketio, requests = (pytest.importorskip(name) for name in ("socketio", "requests"))
    on_ask = "@socketio.on('ask')\ndef answer(data): emit('answer', data + ' {0}')"
    source = f"""
from flask_socketio import SocketIO, emit
app = Flask(__name__)
socketio = SocketIO(app, async_mode="threading")
@app.route("/")
def page(): return "{{0}}"
{on_ask}
if __name__ == "__main__":
    app.run(debug=True)
"""

    def ask() -> list[str]:
        server = lesson.notebook.kernel.server
        session = requests.Session()
        session.headers.update(server.authorization)
        with session, socketio.SimpleClient(http_session=session) as client:
            client.connect(
                server.url,
                socketio_path=f"flaskserve/{lesson.name}/socket.io",
                transports=["polling"],
                wait_timeout=10,
            )
            client.emit("ask", "hello")
            return client.receive(timeout=10)

    for text in ("one", "two"):
        lesson.run("1", source.format(text))
        assert (lesson.get(), ask()) == (text, ["answer", f"hello {text}"])
    lesson.run("2", on_ask.format("three"))
    assert ask() == ["answer", "hello three"]


def test_names_imported_with_a_star_are_flasks(lesson: Lesson) -> None:
    source = "from flask import *\napp = Flask(__name__)\n@app.route('/')\ndef page(): return '{}'"
    for text in ("one", "two"):
        lesson.run("1", source.format(text))
        assert lesson.get() == text
