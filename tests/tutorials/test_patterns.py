"""Flask's patterns, page by page, pasted into notebooks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pasting import Paste

SHELL = "a line for a terminal"
LAYOUT = "a drawing of folders"
ANOTHER_FILE = "imports from the other files of a package"
IN_A_VIEW = "lines of a view, outside of it"
JAVASCRIPT = "a piece of a page's script, with gaps in it"
NOT_AN_APP = "shows what could be done, and is not part of the app"


def appdispatch(page: Paste) -> None:
    page.run("Working with this Document")
    page.serve()
    assert page.get() == "Hello World!"
    page.leave_out("Combining Applications", ANOTHER_FILE)
    page.run("Dispatch by Subdomain")
    page.leave_out("Dispatch by Subdomain 2", ANOTHER_FILE)
    page.give(
        "def create_app(user):\n"
        "    made = Flask(__name__)\n"
        "    @made.route('/')\n"
        "    def page(): return f'{user} has a page'\n"
        "    return made\n"
        "application = SubdomainDispatcher('127.0.0.1', lambda subdomain: create_app('ada'))"
    )
    page.serve("application")
    assert page.get() == "ada has a page"
    page.run("Dispatch by Path")
    page.leave_out("Dispatch by Path 2", ANOTHER_FILE)
    page.give(
        "application = PathDispatcher("
        "app, lambda prefix: create_app(prefix) if prefix == 'grace' else None)"
    )
    assert (page.get("grace/"), page.get()) == ("grace has a page", "Hello World!")


def appfactories(page: Paste) -> None:
    page.give("from flask import Flask")
    page.leave_out("Basic Factories", ANOTHER_FILE)
    page.run("Basic Factories 2")
    page.give(
        "def create_app():\n"
        "    made = Flask(__name__)\n"
        "    made.config['INDEX_TEMPLATE'] = 'index.html'\n"
        "    made.register_blueprint(admin)\n"
        "    return made\n"
        "app = create_app()"
    )
    page.give("%%template index.html\nthe index at {{ url_for('admin.index') }}")
    page.serve()
    assert page.get("admin/") == f"the index at /flaskserve/{page.name}/admin/"
    (page.folder / "settings.cfg").write_text("INDEX_TEMPLATE = 'index.html'")
    page.give(
        "class SQLAlchemy:\n"
        "    def __init__(self, app=None):\n"
        "        if app is not None: self.init_app(app)\n"
        "    def init_app(self, app):\n"
        "        if 'sqlalchemy' in app.extensions: raise RuntimeError('twice')\n"
        "        app.extensions['sqlalchemy'] = self"
    )
    page.run("Factories & Extensions")
    page.give("create_app('settings.cfg')")  # beside the notebook; this one returns nothing
    page.run("Factories & Extensions 2")
    page.leave_out("Factories & Extensions 3", ANOTHER_FILE)
    page.give("db.init_app(app)")
    page.leave_out("Using Applications", SHELL)
    page.leave_out("Using Applications 2", SHELL)


def deferredcallbacks(page: Paste) -> None:
    page.give(
        "from flask import Flask, g\n"
        "app = Flask(__name__)\n"
        "def guess_language_from_request(): return 'fr'\n"
        "@app.route('/')\n"
        "def index(): return g.language"
    )
    page.run("Deferred Request Callbacks")
    page.serve()
    answer = page.browser.get("")
    assert (answer.text, answer.headers.get_list("Set-Cookie")) == (
        "fr",
        [f"user_lang=fr; Path=/flaskserve/{page.name}/"],
    )
    assert "Set-Cookie" not in page.browser.get("").headers


def favicon(page: Paste) -> None:
    (page.folder / "static").mkdir(exist_ok=True)
    (page.folder / "static" / "favicon.ico").write_bytes(b"icon")
    page.give("from flask import Flask, render_template, url_for\napp = Flask(__name__)")
    page.template("Adding a favicon", "head.html")
    page.give("@app.route('/')\ndef index(): return render_template('head.html')")
    page.serve()
    address = f"/flaskserve/{page.name}/static/favicon.ico"
    assert page.get().strip() == f'<link rel="shortcut icon" href="{address}">'
    page.fails("Adding a favicon 2", "RuntimeError")
    page.run("Adding a favicon 3")
    icon = page.browser.get("favicon.ico")
    assert (icon.content, icon.headers["Content-Type"]) == (b"icon", "image/vnd.microsoft.icon")


def fileuploads(page: Paste) -> None:
    uploads = page.folder / "uploads"
    uploads.mkdir(exist_ok=True)
    page.run("A Gentle Introduction")
    page.give(f"app.config['UPLOAD_FOLDER'] = {str(uploads)!r}\napp.secret_key = 'secret'")
    page.run("A Gentle Introduction 2")
    page.serve()
    assert "<h1>Upload new File</h1>" in page.get()
    page.leave_out("A Gentle Introduction 3", NOT_AN_APP)
    page.run_as_doctest("A Gentle Introduction 4")
    page.run("A Gentle Introduction 5")
    for _ in range(2):
        target = page.location("", "POST", files={"file": ("a cat.txt", b"miaow")})
        assert target == "/uploads/a_cat.txt"
        assert page.get(target[1:]) == "miaow"
    assert page.location("", "POST", files={"file": ("", b"")}) == "/"
    assert page.get("", follow_redirects=True).count("Upload") >= 1
    assert "Upload new File" in page.post(files={"file": ("a.exe", b"no")}).text
    assert page.status("uploads/none.txt") == 404
    page.run("A Gentle Introduction 6")
    assert page.get("uploads/a_cat.txt") == "miaow"
    page.run("Improving Uploads")
    page.give(
        "from flask import request\n"
        "app.config['MAX_CONTENT_LENGTH'] //= 1000\n"
        "@app.post('/')\n"
        "def upload(): return str(len(request.get_data()))"
    )
    assert page.post(content=b"x" * 15_000).text == "15000"
    assert page.post(content=b"x" * 17_000).status_code == 413


def flashing(page: Paste) -> None:
    page.run("Simple Flashing")
    page.template("Simple Flashing 2", "layout.html")
    page.template("Simple Flashing 3", "index.html")
    page.template("Simple Flashing 4", "login.html")
    page.serve()
    assert f'<a href="/flaskserve/{page.name}/login">log in?</a>' in page.get()
    right = {"username": "admin", "password": "secret"}
    assert "Invalid credentials" in page.post("login", data={**right, "password": "no"}).text
    assert page.location("login", "POST", data=right) == "/"
    assert "<li>You were successfully logged in</li>" in page.get()
    assert "You were successfully" not in page.get()
    page.leave_out("Flashing With Categories", IN_A_VIEW)
    page.give(
        "@app.route('/guess/<name>')\n"
        "def guess(name):\n"
        "    flash('Invalid password provided', 'error')\n"
        "    return render_template(name)"
    )
    page.template("Flashing With Categories 2", "categories.html")
    assert '<li class="error">Invalid password provided</li>' in page.get("guess/categories.html")
    page.template("Filtering Flash Messages", "filtered.html")
    assert "<li>Invalid password provided</li>" in page.get("guess/filtered.html")


def javascript(page: Paste) -> None:
    page.give(
        "from flask import Flask, render_template, url_for\n"
        "app = Flask(__name__)\n"
        "class User:\n"
        "    username, email = 'ada', 'ada@example.org'\n"
        "    name = None\n"
        "    class query:\n"
        "        def get_or_404(id): return User()\n"
        "        def order_by(name): return User.query\n"
        "        def all(): return [User(), User()]\n"
        "    def to_json(self): return {'name': self.username}\n"
        "    def update_from_json(self, data): self.username = data['name']\n"
        "class db:\n"
        "    class session:\n"
        "        def commit(): pass"
    )
    page.leave_out("Rendering Templates", IN_A_VIEW)
    page.template("Rendering Templates 2", "report.html")
    page.template("Rendering Templates 3", "data.html")
    page.give(
        "@app.route('/report/<name>')\n"
        "def report(name): return render_template(name, chart_data=['</script>', 1])"
    )
    page.serve()
    assert r'const chart_data = ["\u003c/script\u003e", 1]' in page.get("report/report.html")
    assert r"""<div data-chart='["\u003c""" in page.get("report/data.html")
    page.leave_out("Generating URLs", JAVASCRIPT)
    page.leave_out("Generating URLs 2", JAVASCRIPT)
    page.leave_out("Making a Request with ``fetch``", JAVASCRIPT)
    page.leave_out("Making a Request with ``fetch`` 2", JAVASCRIPT)
    page.leave_out("Making a Request with ``fetch`` 3", JAVASCRIPT)
    page.leave_out("Following Redirects", JAVASCRIPT)
    page.leave_out("Replacing Content", JAVASCRIPT)
    page.run("Return JSON from Views")
    picture = f"/flaskserve/{page.name}/static/users/7/profile.png"
    assert json.loads(page.get("user/7")) == {
        "username": "ada",
        "email": "ada@example.org",
        "picture": picture,
    }
    page.run("Return JSON from Views 2")
    assert json.loads(page.get("users")) == [{"name": "ada"}, {"name": "ada"}]
    page.run("Receiving JSON in Views")
    assert page.post("user/7", json={"name": "grace"}).json() == {"name": "grace"}
    assert page.post("user/7", content=b"text").status_code == 415
    assert json.loads(page.get("user/7"))["username"] == "ada"


def lazyloading(page: Paste) -> None:
    page.run("Converting to Centralized URL Map")
    page.serve()
    assert (page.status(), page.status("user/ada"), page.status("none")) == (500, 500, 404)
    page.run("Converting to Centralized URL Map 2")
    page.leave_out("Converting to Centralized URL Map 3", ANOTHER_FILE)
    page.run("Loading Late")
    package = page.folder / "yourapplication"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "views.py").write_text(
        "def index(): return 'the index'\ndef user(username='nobody'): return username\n"
    )
    page.give(f"import sys\nsys.path.insert(0, {str(page.folder)!r})")
    page.leave_out("Loading Late 2", ANOTHER_FILE)
    page.give("app = Flask(__name__)")
    page.run("Loading Late 3")
    assert page.get() == "the index"
    assert (page.get("user/ada"), page.get("user/")) == ("ada", "nobody")


def methodoverrides(page: Paste) -> None:
    page.run("Adding HTTP Method Overrides")
    page.run("Adding HTTP Method Overrides 2")
    page.serve()
    page.give("@app.delete('/')\ndef delete(): return 'deleted'")
    assert page.post().status_code == 405
    assert page.post(headers={"X-HTTP-Method-Override": "delete"}).text == "deleted"


def requestchecksum(page: Paste) -> None:
    page.give("from flask import Flask, request\napp = Flask(__name__)")
    page.run("Request Content Checksums")
    page.run("Request Content Checksums 2")
    page.serve()
    files = {"file": ("a.txt", b"content")}
    request = page.browser.build_request("POST", "special-api", files=files)
    checksum = hashlib.sha1(request.read()).hexdigest()
    assert page.browser.send(request).text == f"Hash was: {checksum}"


def singlepageapplications(page: Paste) -> None:
    folder = page.folder / "app"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text("the page")
    (folder / "app.js").write_text("the script")
    page.run("Single-Page Applications")
    page.serve()
    assert (page.get(), page.get("any/path")) == ("the page", "the page")
    assert json.loads(page.get("heartbeat")) == {"status": "healthy"}
    assert page.get("app/app.js") == "the script"


def sqlite3(page: Paste) -> None:
    page.give("from flask import Flask\napp = Flask(__name__)")
    page.run("Using SQLite 3 with Flask")
    (page.folder / "schema.sql").write_text(
        "drop table if exists users;"
        "create table users (user_id integer primary key, username text);"
        "insert into users (username) values ('ada'), ('grace');"
    )
    page.give(f"DATABASE = {str(page.folder / 'database.db')!r}")
    page.run("Using SQLite 3 with Flask 2")
    page.serve()
    assert page.status() == 500  # the view returns nothing, as it is printed
    page.leave_out("Connect on Demand", "a block with nothing but a comment in it")
    page.give("db = sqlite3.connect(DATABASE)")
    page.run("Easy Querying")
    page.run("Easy Querying 2")
    page.leave_out("Easy Querying 3", NOT_AN_APP)
    page.give(
        "_get_db = get_db\n"
        "def get_db():\n"
        "    db = _get_db()\n"
        "    db.row_factory = sqlite3.Row\n"
        "    return db"
    )
    page.run("Easy Querying 4")
    page.leave_out("Easy Querying 5", IN_A_VIEW)
    page.leave_out("Easy Querying 6", IN_A_VIEW)
    page.run("Initial Schemas")
    page.leave_out("Initial Schemas 2", ANOTHER_FILE)
    page.give("init_db()\ndb.close()")
    page.give(
        "@app.route('/users')\n"
        "def users():\n"
        "    found = query_db('select * from users where username = ?', ['grace'], one=True)\n"
        "    names = [user['username'] for user in query_db('select * from users')]\n"
        "    return {'names': names, 'id': found['user_id']}"
    )
    assert json.loads(page.get("users")) == {"names": ["ada", "grace"], "id": 2}


def streaming(page: Paste) -> None:
    page.give(
        "from flask import Flask\n"
        "app = Flask(__name__)\n"
        "def iter_all_rows(): return ([str(n), 'row'] for n in range(20_000))"
    )
    page.run("Basic Usage")
    page.serve()
    table = page.browser.get("large.csv")
    assert table.headers["Content-Type"] == "text/csv"
    assert "Content-Length" not in table.headers
    assert table.text.splitlines()[-1] == "19999,row"
    page.give(
        "%%template timeline.html\n{% for n in range(3) %}{{ n }} {{ request.path }} {% endfor %}"
    )
    page.run("Streaming from Templates")
    assert page.get("timeline").strip() == "0 /timeline 1 /timeline 2 /timeline"
    page.run("Streaming with Context")
    assert page.get("stream", params={"name": "<b>"}) == "<p>Hello &lt;b&gt;!</p>"
    page.leave_out("Streaming with Context 2", IN_A_VIEW)


def subclassing(page: Paste) -> None:
    page.run("Subclassing Flask")
    page.give(
        "from flask import request\n"
        "app = MyFlask(__name__)\n"
        "@app.route('/')\n"
        'def index(): return f"{type(app).__name__} {type(request.args).__name__} '
        '{isinstance(app, MyFlask)}"'
    )
    page.serve()
    application, arguments, is_it = page.get("?a=1").split()
    assert (application, is_it) == ("MyFlask", "True")
    assert arguments.endswith("ImmutableOrderedMultiDict")


def templateinheritance(page: Paste) -> None:
    page.give("from flask import Flask, render_template\napp = Flask(__name__)")
    page.template("Base Template", "layout.html")
    page.template("Child Template", "index.html")
    page.give("@app.route('/')\ndef index(): return render_template('index.html')")
    page.serve()
    answer = page.get()
    assert "<title>Index - My Webpage</title>" in answer
    assert f'href="/flaskserve/{page.name}/static/style.css"' in answer
    assert "Welcome on my awesome homepage." in answer
    assert "&copy; Copyright" in answer


def urlprocessors(page: Paste) -> None:
    page.run("Internationalized Application URLs")
    page.serve()
    assert (page.status("en/"), page.status("en/about"), page.status("en/no")) == (500, 500, 404)
    page.run("Internationalized Application URLs 2")
    page.run("Internationalized Application URLs 3")
    page.give(
        "from flask import url_for\n"
        "@app.route('/<lang_code>/where')\n"
        "def where(): return f\"{g.lang_code} {url_for('about')}\""
    )
    assert page.get("fr/where") == f"fr /flaskserve/{page.name}/fr/about"
    page.run("Internationalized Application URLs 4")
    assert page.status("fr/about") == 500
    page.give(
        "@app.route('/<lang_code>/where')\n"
        "def where(): return f\"{g.lang_code} {url_for('about')}\""
    )
    assert page.get("fr/where") == f"fr /flaskserve/{page.name}/fr/about"
    page.run("Internationalized Blueprint URLs")
    page.give("app = Flask(__name__)\napp.register_blueprint(bp)")
    page.give("@bp.route('/where')\ndef where(): return f\"{g.lang_code} {url_for('.about')}\"")
    assert page.get("de/where") == f"de /flaskserve/{page.name}/de/about"
    assert page.status("de/about") == 500


def viewdecorators(page: Paste) -> None:
    page.give(
        "from flask import Flask, g, request\n"
        "app = Flask(__name__)\n"
        "@app.before_request\n"
        "def load_user(): g.user = request.args.get('user')\n"
        "@app.route('/login')\n"
        "def login(): return 'log in'"
    )
    page.serve()
    page.run("Login Required Decorator")
    page.run("Login Required Decorator 2")
    target = page.location("secret_page")
    assert target.startswith("/login?next=")
    assert page.get(target[1:]) == "log in"
    assert page.status("secret_page?user=ada") == 500  # the view returns nothing, as it is printed
    page.template("Login Required Decorator 3", "login.html")
    page.give(
        "from flask import render_template\n"
        "@app.route('/login')\n"
        "def login(): return render_template('login.html')"
    )
    assert 'value="/x"' in page.get("login?next=/x")
    page.run("Caching Decorator")
    page.give(
        "class cache(dict):\n"
        "    def set(self, key, value, timeout): self[key] = value\n"
        "cache = cache()\n"
        "calls = []\n"
        "@app.route('/dear')\n"
        "@cached()\n"
        "def dear():\n"
        "    calls.append(1)\n"
        "    return str(len(calls))"
    )
    assert [page.get("dear"), page.get("dear")] == ["1", "1"]
    page.leave_out("Templating Decorator", "three views of one name, of which Flask takes one")
    page.run("Templating Decorator 2")
    page.give("%%template index.html\nthe value {{ value }}")
    page.give("@app.route('/')\n@templated()\ndef index(): return dict(value=42)")
    assert page.get().strip() == "the value 42"
    page.run("Endpoint Decorator")
    assert (page.get(), page.status("login")) == ("Hello world", 404)


PAGES = [
    appdispatch,
    appfactories,
    deferredcallbacks,
    favicon,
    fileuploads,
    flashing,
    javascript,
    lazyloading,
    methodoverrides,
    requestchecksum,
    singlepageapplications,
    sqlite3,
    streaming,
    subclassing,
    templateinheritance,
    urlprocessors,
    viewdecorators,
]
LEFT_OUT = {
    "caching": "it has no listing",
    "celery": "its listings need Celery and a broker, and run in a worker's process",
    "index": "it has no listing",
    "jquery": "it has no listing",
    "mongoengine": "its listings need MongoDB",
    "packages": "its listings are the files of a package",
    "sqlalchemy": "its listings are the modules of a package, and need SQLAlchemy",
    "wtforms": "its listings need WTForms",
}


@pytest.mark.parametrize("run", PAGES, ids=lambda run: run.__name__)
def test_a_page_runs_unchanged_and_again(
    paste: Callable[[str], Paste], run: Callable[[Paste], None]
) -> None:
    page = paste(f"patterns/{run.__name__}")
    for _ in range(2):
        page.begin()
        run(page)
        page.end()


def test_no_page_is_passed_over(docs: Path) -> None:
    there = {file.stem for file in (docs / "patterns").glob("*.rst")}
    assert there == {run.__name__ for run in PAGES} | set(LEFT_OUT)
