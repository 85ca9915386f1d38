"""Chapters of Flask's user's guide, page by page, pasted into notebooks."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from pasting import Paste

SHELL = "a line for a terminal"
LAYOUT = "a drawing of folders"
ANOTHER_FILE = "imports from the other files of a package"
IN_A_VIEW = "lines of a view, outside of it"
ANSWER = "shows what another app answers"


def blueprints(page: Paste) -> None:
    (page.folder / "static").mkdir(exist_ok=True)
    (page.folder / "static" / "style.css").write_text("body {}")
    page.give("from flask import Flask, jsonify, request, url_for\napp = Flask(__name__)")
    page.serve()
    page.run("My First Blueprint")
    page.give("%%template pages/index.html\nthe index at {{ url_for('.show') }}")
    page.leave_out("Registering Blueprints", ANOTHER_FILE)
    page.give("app.register_blueprint(simple_page)")
    page.leave_out("Registering Blueprints 2", ANSWER)
    address = f"/flaskserve/{page.name}"
    assert (page.get(), page.status("none")) == (f"the index at {address}/", 404)
    page.run("Registering Blueprints 3")
    page.leave_out("Registering Blueprints 4", ANSWER)
    assert (page.get("pages/"), page.status()) == (f"the index at {address}/pages/", 404)

    page.run("Nesting Blueprints")
    page.give("@child.route('/create')\ndef create(): return url_for('parent.child.create')")
    assert page.get("parent/child/create") == f"{address}/parent/child/create"
    page.leave_out("Nesting Blueprints 2", IN_A_VIEW)
    page.leave_out("Nesting Blueprints 3", "needs a host name of its own, and ends in a view")
    page.leave_out("Blueprint Resource Folder", ANSWER)
    page.run("Blueprint Resource Folder 2")
    assert page.give("print(code)").stdout == "b'body {}'\n"
    page.run("Static Files")
    page.give("app.register_blueprint(admin, url_prefix='/admin')")
    assert page.get("admin/static/style.css") == "body {}"
    page.leave_out("Static Files 2", IN_A_VIEW)
    page.run("Templates")
    page.give("app.register_blueprint(admin, url_prefix='/admin')")
    assert page.status("admin/static/style.css") == 404
    page.leave_out("Templates 2", LAYOUT)
    page.leave_out("Building URLs", IN_A_VIEW)
    page.leave_out("Building URLs 2", IN_A_VIEW)
    page.give("%%template pages/404.html\nnot here")
    page.run("Blueprint Error Handlers")
    assert page.get("pages/none") == "not here"
    page.run("Blueprint Error Handlers 2")
    answer = page.browser.get("api/none")
    assert (answer.status_code, answer.json()["error"][:3]) == (404, "404")
    assert page.browser.get("none").headers["Content-Type"].startswith("text/html")


def errorhandling(page: Paste) -> None:
    page.give(
        "import werkzeug\n"
        "from flask import Flask, abort\n"
        "app = Flask(__name__)\n"
        "@app.route('/')\n"
        "def index(): return 'index'\n"
        "@app.route('/abort/<int:code>')\n"
        "def end(code): abort(code)\n"
        "@app.route('/raise/<name>')\n"
        "def fail(name): raise globals()[name]('what happened')\n"
        "class Mistake(Exception): pass"
    )
    page.give(
        "%%template layout.html\n<title>{% block title %}{% endblock %}</title>"
        "{% block body %}{% endblock %}"
    )
    page.serve()
    page.leave_out("Error Logging Tools", SHELL)
    page.leave_out("Error Logging Tools 2", "needs the account of a service")
    page.run("Registering")
    assert page.browser.get("abort/400").text == "bad request!"
    page.give("def handle_507(error): return error.description, 507")
    page.fails("Registering 2", "InsufficientStorage")
    assert page.status("raise/InsufficientStorage") == 507
    page.run("Generic Exception Handlers")
    assert page.browser.get("none").json()["code"] == 404
    assert page.browser.get("abort/400").text == "bad request!"
    page.give("from flask import render_template")
    page.give("%%template 500_generic.html\nfailed: {{ e }}")
    page.run("Generic Exception Handlers 2")
    assert page.browser.get("raise/Mistake").text == "failed: what happened"
    page.run("Custom Error Pages")
    assert page.status("profile") == 500  # request.arg is what the page says
    page.run("Custom Error Pages 2")
    page.run("Custom Error Pages 3")
    page.give("create_app('settings.cfg')")
    page.template("Custom Error Pages 4", "404.html")
    answer = page.browser.get("none")
    assert answer.status_code == 404
    assert f'<a href="/flaskserve/{page.name}/">go somewhere nice</a>' in answer.text
    page.template("Further Examples", "500.html")
    page.run("Further Examples 2")
    answer = page.browser.get("abort/500")
    assert (answer.status_code, "we seem to have made a mistake" in answer.text) == (500, True)
    page.run("Further Examples 3")
    page.give("create_app()")
    page.run("Further Examples 4")
    page.give("@blog.route('/post')\ndef post(): abort(500)")
    page.give("app.register_blueprint(blog, url_prefix='/blog')")
    assert "we seem to have made a mistake" in page.browser.get("blog/post").text
    page.give("%%template blog/404.html\nno such post")
    page.give("%%template 405.html\nnot this way")
    page.run("Blueprint Error Handlers")
    assert page.browser.get("blog/none").text == "no such post"
    assert "go somewhere nice" in page.browser.get("none").text
    page.give("@app.post('/api/new')\ndef new(): return 'new'")
    assert page.browser.get("api/new").json() == {"message": "Method Not Allowed"}
    assert page.post("").text == "not this way"
    page.give("def get_resource(): return None")
    page.run("Returning API Errors as JSON")
    answer = page.browser.get("cheese")
    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "404 Not Found: Resource not found"},
    )
    page.run("Returning API Errors as JSON 2")
    answer = page.browser.get("raise/InvalidAPIUsage")
    assert (answer.status_code, answer.json()) == (400, {"message": "what happened"})


def logging(page: Paste) -> None:
    page.give(
        "import logging\n"
        "from flask import Flask, abort, redirect, request, url_for\n"
        "app = Flask(__name__)\n"
        "app.logger.setLevel(logging.INFO)\n"
        "class User:\n"
        "    username = 'ada'\n"
        "    def check_password(self, password): return password == 'secret'\n"
        "def get_user(name): return User()\n"
        "def login_user(user): pass\n"
        "@app.route('/')\n"
        "def index(): return 'index'"
    )
    page.serve()
    page.run("Logging")
    right, wrong = ({"username": "ada", "password": word} for word in ("secret", "guess"))
    assert page.location("login", "POST", data=right) == "/"
    assert page.post("login", data=wrong).status_code == 401
    assert "ada failed to log in" in page.give(f"%flaskserve log {page.name}").stdout
    page.run("Basic Configuration")
    page.give("@app.route('/')\ndef index():\n    app.logger.info('seen')\n    return 'index'")
    assert page.get() == "index"
    assert ": seen" in page.give(f"%flaskserve log {page.name}").stdout
    page.run("Removing the Default Handler")
    page.run("Email Errors to Admins")
    page.run("Injecting Request Information")
    page.run("Other Libraries")
    assert page.get() == "index"
    url = f"{page.browser.base_url}"
    assert f"requested {url}" in page.give(f"%flaskserve log {page.name}").stdout
    page.run("Other Libraries 2")
    assert page.get() == "index"


def signals(page: Paste) -> None:
    page.give(
        "from flask import Flask, render_template\n"
        "app = Flask(__name__)\n"
        "@app.route('/')\n"
        "def index(): return render_template('index.html', items=list(range(10)))"
    )
    page.give("%%template index.html\n{{ items | sum }}")
    page.serve()
    page.run("Subscribing to Signals")
    page.run("Subscribing to Signals 2")
    page.run("Subscribing to Signals 3")
    page.leave_out("Subscribing to Signals 4", "a block in which nothing is rendered")
    page.run("Creating Signals")
    page.run("Creating Signals 2")
    page.run("Sending Signals")
    page.give(
        "saved = []\n"
        "@model_saved.connect\n"
        "def note(sender): saved.append(sender)\n"
        "Model().save()\n"
        "assert len(saved) == 1"
    )
    page.run("Decorator Based Signal Subscriptions")
    assert page.get() == "45"
    logged = page.give(f"%flaskserve log {page.name}").stdout
    assert logged.count("Template index.html is rendered") == logged.count("GET /")


def templating(page: Paste) -> None:
    page.give(
        "from flask import Flask, g, render_template\n"
        "app = Flask(__name__)\n"
        "@app.before_request\n"
        "def load_user(): g.user = 'ada'\n"
        "@app.route('/page/<name>')\n"
        "def page(name):\n"
        "    return render_template(name, will_not_be_escaped='<b>', mylist=[1, 2, 3])"
    )
    page.serve()
    page.give("%%template _helpers.html\n{% macro my_macro() %}{{ request.path }}{% endmacro %}")
    page.template("Standard Context", "import.html")
    page.give(
        "%%template macro.html\n{% from '_helpers.html' import my_macro with context %}"
        "{{ my_macro() }}"
    )
    assert (page.get("page/import.html"), page.get("page/macro.html")) == ("", "/page/macro.html")
    page.template("Controlling Autoescaping", "escaping.html")
    assert "<p><b>" in page.get("page/escaping.html")
    page.run("Registering Filters")
    page.template("Registering Filters 2", "loop.html")
    assert page.get("page/loop.html").strip() == ""
    page.give("%%template reversed.html\n{% for x in mylist | reverse %}{{ x }}{% endfor %}")
    assert page.get("page/reversed.html") == "321"
    page.run("Context Processors")
    page.give("%%template user.html\n{{ user }}")
    assert page.get("page/user.html") == "ada"
    page.run("Context Processors 2")
    page.template("Context Processors 3", "price.html")
    assert page.get("page/price.html") == "0.33€"
    assert page.get("page/user.html") == "ada"
    page.give("%%template timeline.html\n{% for x in (1, 2) %}{{ x }}{{ user }}{% endfor %}")
    page.run("Streaming")
    assert page.get("timeline") == "1ada2ada"


def views(page: Paste) -> None:
    page.give(
        "from flask import Flask, jsonify, render_template, request\n"
        "app = Flask(__name__)\n"
        "class User:\n"
        "    def __init__(self, name='ada'): self.name = name\n"
        "    def to_json(self): return {'name': self.name}\n"
        "    def update_from_json(self, data): self.name = data['name']\n"
        "    class query:\n"
        "        def all(): return [User('ada'), User('grace')]\n"
        "        def get_or_404(id): return User()\n"
        "class Story(User): pass\n"
        "class db:\n"
        "    class session:\n"
        "        def commit(): pass\n"
        "        def delete(item): pass\n"
        "def login_required(view): return view\n"
        "def cache(minutes): return login_required\n"
        "class generate_validator:\n"
        "    def __init__(self, model, create=False): pass\n"
        "    def validate(self, item, data): return None if data['name'] else ['no name']"
    )
    shown = "{% for user in users or objects or items %}{{ user.name }} {% endfor %}"
    page.give(f"%%template users.html\nusers: {shown}")
    page.give(f"%%template stories.html\nstories: {shown}")
    page.serve()
    page.run("Basic Reusable View")
    assert page.get("users/").strip() == "users: ada grace"
    page.run("Basic Reusable View 2")
    assert page.get("users/").strip() == "users: ada grace"
    page.run("Basic Reusable View 3")
    page.run("Basic Reusable View 4")
    assert page.get("users/").strip() == "users: ada grace"
    assert page.get("stories/").strip() == "stories: ada grace"
    page.fails("URL Variables", "SyntaxError")  # the page has left out a colon
    page.run("View Lifetime and ``self``")
    page.fails("View Decorators", "TypeError")  # the page has left out the view's name
    page.run("View Decorators 2")
    assert page.status("users/") == 500  # that class has no dispatch_request()
    page.run("View Decorators 3")
    for listing in ("Method Hints", "Method Hints 2"):
        page.run(listing)
        allowed = page.browser.options("my-view").headers["Allow"].split(", ")
        assert set(allowed) == {"GET", "HEAD", "OPTIONS", "POST"}
        assert page.browser.put("my-view").status_code == 405
    page.run("Method Dispatching and APIs")
    assert json.loads(page.get("users/")) == [{"name": "ada"}, {"name": "grace"}]
    assert json.loads(page.get("stories/7")) == {"name": "ada"}
    change = page.browser.patch("users/7", json={"name": "grace"})
    assert change.json() == {"name": "grace"}
    assert page.browser.patch("users/7", json={"name": ""}).status_code == 400
    assert page.browser.delete("users/7").status_code == 204
    assert page.browser.put("users/7").status_code == 405


@pytest.mark.parametrize(
    "run",
    [blueprints, errorhandling, logging, signals, templating, views],
    ids=lambda run: run.__name__,
)
def test_a_chapter_runs_unchanged_and_again(
    paste: Callable[[str], Paste], run: Callable[[Paste], None]
) -> None:
    page = paste(run.__name__)
    for _ in range(2):
        page.begin()
        run(page)
        page.end()
