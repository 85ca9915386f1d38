"""Flask's quickstart, pasted into a notebook."""

from __future__ import annotations

from collections.abc import Callable

from pasting import Paste

SHELL = "a line for a terminal"
LAYOUT = "a drawing of folders"


def test_the_quickstart_runs_unchanged_and_again(paste: Callable[[str], Paste]) -> None:
    page = paste("quickstart")
    for _ in range(2):
        page.begin()
        _routing(page)
        _templates(page)
        _requests(page)
        _responses(page)
        page.end()


def _routing(page: Paste) -> None:
    page.run("A Minimal Application")
    page.serve()
    assert page.get() == "<p>Hello, World!</p>"
    page.leave_out("A Minimal Application 2", SHELL)
    page.leave_out("A Minimal Application 3", SHELL)
    page.leave_out("Debug Mode", SHELL)

    page.run("HTML Escaping")
    assert page.get("hello") == "Hello, Flask!"
    answer = page.get("hello", params={"name": '<script>alert("bad")</script>'})
    assert answer == "Hello, &lt;script&gt;alert(&#34;bad&#34;)&lt;/script&gt;!"

    page.run("Routing")
    assert (page.get(), page.get("hello")) == ("Index Page", "Hello, World")

    page.run("Variable Rules")
    assert page.get("user/<b>") == "User &lt;b&gt;"
    assert (page.get("post/7"), page.status("post/seven")) == ("Post 7", 404)
    assert page.get("path/a/b/c") == "Subpath a/b/c"

    page.run("Unique URLs / Redirection Behavior")
    assert page.get("projects/") == "The project page"
    assert page.location("projects") == "/projects/"
    assert (page.get("about"), page.status("about/")) == ("The about page", 404)

    printed = page.run("URL Building").stdout
    assert printed == "/\n/login\n/login?next=/\n/user/John%20Doe\n"
    page.leave_out("URL Building 2", "what the listing before it prints")
    assert (page.get(), page.get("login")) == ("index", "login")
    assert page.get("user/John Doe") == "John Doe's profile"

    page.give(
        "def do_the_login(): return 'logged in'\ndef show_the_login_form(): return 'the form'"
    )
    page.run("HTTP Methods")
    assert (page.get("login"), page.post("login").text) == ("the form", "logged in")
    page.run("HTTP Methods 2")
    assert (page.get("login"), page.post("login").text) == ("the form", "logged in")
    assert page.browser.head("login").status_code == 200
    allowed = page.browser.options("login").headers["Allow"]
    assert {"GET", "HEAD", "OPTIONS"} <= set(allowed.split(", "))


def _templates(page: Paste) -> None:
    page.leave_out("Static Files", "an expression for use in a view")
    page.give("%%static style.css\nbody { color: navy }")
    assert page.get("static/style.css") == "body { color: navy }\n"
    printed = page.give(
        "with app.test_request_context():\n    print(url_for('static', filename='style.css'))"
    ).stdout
    assert printed == "/static/style.css\n"

    page.run("Rendering Templates")
    page.leave_out("Rendering Templates 2", LAYOUT)
    page.leave_out("Rendering Templates 3", LAYOUT)
    page.template("Rendering Templates 4", "hello.html")
    assert "<h1>Hello, World!</h1>" in page.get("hello/")
    assert "<h1>Hello &lt;b&gt;!</h1>" in page.get("hello/<b>")
    page.run_as_doctest("Rendering Templates 5")


def _requests(page: Paste) -> None:
    page.run("Context Locals")
    page.give(
        "from werkzeug.test import create_environ\nenviron = create_environ('/', method='POST')"
    )
    page.run("Context Locals 2")
    page.run("The Request Object")
    page.give(
        "def valid_login(username, password): return password == 'secret'\n"
        "def log_the_user_in(username): return f'Welcome, {username}'"
    )
    page.give("%%template login.html\n<form method=post>{{ error or '' }}</form>")
    page.run("The Request Object 2")
    assert page.get("login") == "<form method=post></form>"
    right, wrong = (
        page.post("login", data={"username": "ada", "password": word}).text
        for word in ("secret", "guess")
    )
    assert right == "Welcome, ada"
    assert wrong == "<form method=post>Invalid username/password</form>"
    assert page.post("login", data={"username": "ada"}).status_code == 400
    page.leave_out("The Request Object 3", "a line of a view")

    uploads = page.folder / "uploads"
    uploads.mkdir(exist_ok=True)
    page.give(
        "from werkzeug.datastructures import FileStorage\n"
        "_save = FileStorage.save\n"
        "def _save_here(file, path, *rest):\n"
        f"    return _save(file, path.replace('/var/www/uploads', {str(uploads)!r}), *rest)\n"
        "FileStorage.save = _save_here"
    )
    page.run("File Uploads")
    page.post("upload", files={"the_file": ("cat.txt", b"one")})
    assert (uploads / "uploaded_file.txt").read_bytes() == b"one"
    page.run("File Uploads 2")
    page.post("upload", files={"the_file": ("../cat.txt", b"two")})
    assert (uploads / "cat.txt").read_bytes() == b"two"
    assert (uploads / "uploaded_file.txt").read_bytes() == b"one"


def _responses(page: Paste) -> None:
    page.run("Cookies")
    assert page.status() == 500  # the view returns nothing, as it is printed
    page.give("render_template = lambda *_: 'a page'")
    page.run("Cookies 2")
    answer = page.browser.get("")
    assert (answer.text, answer.cookies["username"].strip('"')) == (
        "a page",
        "the username",
    )
    page.give("from flask import render_template")

    page.run("Redirects and Errors")
    assert page.location("") == "/login"
    assert page.status("login") == 401
    page.give("%%template page_not_found.html\nThere is no {{ request.path }}")
    page.run("Redirects and Errors 2")
    answer = page.browser.get("none")
    assert (answer.status_code, answer.text) == (404, "There is no /none")
    page.give("%%template error.html\nAn error")
    page.run("About Responses")
    assert page.browser.get("none").text == "An error"
    page.run("About Responses 2")
    answer = page.browser.get("none")
    assert (answer.text, answer.headers["X-Something"]) == ("An error", "A value")

    page.give(
        "class _User:\n"
        "    username, theme, image = 'ada', 'dark', 'ada.png'\n"
        "    def to_json(self): return {'name': self.username}\n"
        "def get_current_user(): return _User()\n"
        "def get_all_users(): return [_User(), _User()]\n"
        "@app.route('/images/<filename>')\n"
        "def user_image(filename): return filename"
    )
    page.run("APIs with JSON")
    image = f"/flaskserve/{page.name}/images/ada.png"
    me = page.browser.get("me")
    assert me.json() == {"username": "ada", "theme": "dark", "image": image}
    assert me.headers["Content-Type"] == "application/json"
    assert page.browser.get("users").json() == [{"name": "ada"}] * 2

    page.run("Sessions")
    assert page.get() == "You are not logged in"
    assert "<form" in page.get("login")
    assert page.location("login", "POST", data={"username": "ada"}) == "/"
    assert page.get() == "Logged in as ada"
    assert page.location("logout") == "/"
    assert page.get() == "You are not logged in"
    page.leave_out("Sessions 2", SHELL)

    logged = page.run("Logging").stderr
    assert "A warning occurred (42 apples)" in logged
    assert "An error occurred" in logged
    page.run("Hooking in WSGI Middleware")
    assert page.get("post/7", headers={"X-Forwarded-For": "192.0.2.1"}) == "Post 7"
