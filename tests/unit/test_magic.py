"""``%flaskserve`` in a real IPython shell, with real mounts in a runtime directory of its own."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ipykernel
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output

import jupyter_flaskserve.records as records
from jupyter_flaskserve.kernel import extension as magics
from jupyter_flaskserve.kernel.mount import mounts, serve

SERVER = "0123456789abcdef"

COMMANDS = [
    *("list", "stop", "request", "routes", "requests", "preview", "log", "debug", "compare"),
    "export",
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
OPTIONS = ["--name", "--threads", "--transport", "--reload", "--main-thread", "--no-panel"]

REQUEST_OPTIONS = [
    *("-H", "-d", "--data", "--json", "--form", "--name", "--timeout"),
    *("-L", "--follow"),
]

MAKE_APPS = """
from flask import Flask
app = Flask("app")
admin = Flask("admin")
numbers = [1, 2]
@app.route("/")
def hello():
    return "hello"
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this process look like a kernel of a server, to what it serves."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv(records.SERVER_ENV, SERVER)
    monkeypatch.setenv(records.BASE_URL_ENV, "/hub&co/")
    monkeypatch.setenv(records.SERVER_URL_ENV, "http://127.0.0.1:8888/hub&co/")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ada/Lesson 2.ipynb")
    connection_file = "/tmp/kernel-0a1b2c3d-0000-4000-8000-000000000001.json"
    monkeypatch.setattr(ipykernel, "get_connection_file", lambda: connection_file)
    yield
    for mount in mounts():
        mount.stop()


pytestmark = pytest.mark.usefixtures("kernel", "loaded_shell")


@pytest.fixture
def run(shell: InteractiveShell) -> Callable[[str], CapturedIO]:
    """Runs a cell, which must not fail, and returns what it showed."""

    def run_cell(cell: str) -> CapturedIO:
        with capture_output() as shown:
            result = shell.run_cell(cell)
        result.raise_error()
        return shown

    return run_cell


@pytest.fixture
def says(shell: InteractiveShell) -> Callable[[str], str]:
    """What a line says that shows text or fails on the user's mistake."""

    def message(line: str) -> str:
        with capture_output() as shown:
            result = shell.run_cell(line)
        if result.error_in_exec is not None:
            assert type(result.error_in_exec) is UsageError, result.error_in_exec
            assert shown.stderr == f"UsageError: {result.error_in_exec}\n"
            return str(result.error_in_exec)
        return str(shown.stdout).rstrip("\n")

    return message


def served() -> dict[str, Any]:
    return {mount.name: mount.app for mount in mounts()}


# Serving


def test_it_serves_the_variable_and_shows_one_line(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    shown = run("%flaskserve app --name demo")
    assert served() == {"demo": shell.user_ns["app"]}
    (line,) = shown.outputs
    assert line.data["text/plain"] == repr(mounts()[0])
    assert 'href="/hub&amp;co/flaskserve/demo/"' in line.data["text/html"]
    assert shown.stdout == shown.stderr == ""


def test_the_name_comes_from_the_notebook(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve app")
    run("%flaskserve admin")
    assert list(served()) == ["lesson-2", "lesson-2-admin"]


def test_running_it_again_keeps_the_mount_and_serves_the_new_app(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    first = run("%flaskserve app").outputs[0].data
    (mount,) = mounts()
    run(MAKE_APPS)
    assert run("%flaskserve app").outputs[0].data == first
    assert mounts() == [mount]
    assert mount.app is shell.user_ns["app"]


def test_a_comment_and_quotes_are_no_part_of_the_words(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve app --name 'demo' # it's --all new")
    assert list(served()) == ["demo"]


def test_variables_are_not_put_in_place_of_braces_and_dollars(
    run: Callable[[str], CapturedIO], says: Callable[[str], str]
) -> None:
    run(MAKE_APPS + "which = 'app'")
    assert says("%flaskserve $which").startswith("%flaskserve takes a variable")
    assert says("%flaskserve {which}").startswith("%flaskserve takes a variable")


def test_routes_are_listed_in_the_order_they_are_matched(
    run: Callable[[str], CapturedIO],
) -> None:
    run(
        MAKE_APPS
        + "for rule in ('/<path:rest>', '/<name>', '/<int:number>', '/about'):\n"
        + "    app.add_url_rule(rule, rule, hello)\n"
        + "%flaskserve app"
    )
    (mount,) = mounts()
    dynamic = [route.rule for route in mount.routes if route.endpoint == route.rule]
    assert dynamic == ["/about", "/<int:number>", "/<name>", "/<path:rest>"]
    assert "5 routes" in repr(mount)  # without Flask's own for static files
    assert ("/", ("GET", "HEAD", "OPTIONS"), "hello") in mount.routes


def test_the_number_of_threads_is_passed_on(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve app --threads 3")
    assert mounts()[0].threads == 3


def test_without_a_number_of_threads_it_is_that_of_serve(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve admin")
    run("serve_like_python = __import__('jupyter_flaskserve').serve(app, 'python')")
    by_magic, by_python = mounts()
    assert by_magic.threads == by_python.threads


def test_the_mount_knows_its_variable(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS + "alias = app")
    run("%flaskserve alias")
    assert mounts()[0].variable == "alias"


def test_an_attribute_may_be_served(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "from types import SimpleNamespace as N; course = N(week=N(app=app))")
    run("%flaskserve course.week.app --name demo")
    assert served() == {"demo": shell.user_ns["app"]}
    assert mounts()[0].variable == "course.week.app"


@pytest.mark.parametrize("name", [*COMMANDS, "serve"])
def test_a_variable_named_like_a_subcommand_is_served_with_serve(
    run: Callable[[str], CapturedIO], shell: InteractiveShell, name: str
) -> None:
    run(MAKE_APPS + f"{name} = admin")
    run(f"%flaskserve serve {name}")
    assert list(served().values()) == [shell.user_ns["admin"]]


def test_options_may_come_before_the_variable(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve --name=demo app")
    assert list(served()) == ["demo"]


# A person's mistakes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ap", "There is no variable ap. Did you mean: %flaskserve app"),
        ("lst", "There is no variable lst. Did you mean: %flaskserve list"),
        ("shop", "There is no variable shop. The apps here are: app, admin."),
        ("shop.app", "There is no variable shop. The apps here are: app, admin."),
        ("print", "There is no variable print. The apps here are: app, admin."),
        ("app.shop", "app has no attribute shop."),
        ("numbers.shop", "numbers has no attribute shop."),
        ("app.config.shop.x", "app.config has no attribute shop."),
        ("serve", "Which app? Name its variable: %flaskserve app"),
        ("--name demo", "Which app? Name its variable: %flaskserve app"),
        ("app --nme demo", "There is no option --nme. Did you mean --name?"),
        (
            "app --port=5000",
            "There is no option --port."
            " There is --name, --threads, --transport, --reload, --main-thread and --no-panel.",
        ),
        (
            "app --all",
            "There is no option --all."
            " There is --name, --threads, --transport, --reload, --main-thread and --no-panel.",
        ),
        ("app --name", "argument --name: expected one argument"),
        ("app --threads many", "argument --threads: 'many' is not a whole number"),
        (
            "app My_Shop",
            "'My_Shop' is one word too many. To give the app a name:"
            " %flaskserve app --name my-shop",
        ),
        (
            "app ???x",
            "'???x' is one word too many. To give the app a name: %flaskserve app --name x",
        ),
        ("app 'open", "A quotation mark is not closed."),
        ("list app", "%flaskserve list takes no name and no option."),
        ("list --al", "There is no option --al. There is --help."),
        ("log --folow", "There is no option --folow. Did you mean --follow?"),
        ("log --hlp", "There is no option --hlp. Did you mean --help?"),
        ("debug --all", "There is no option --all. There is --help."),
        ("serve --nme demo list", "There is no option --nme. Did you mean --name?"),
        ("stop --al1", "There is no option --al1. Did you mean --all?"),
        ("stop a b", "%flaskserve stop takes one name, or --all."),
        ("routes a b", "%flaskserve routes takes the name of one app."),
        ("preview --nam", "There is no option --nam. There is --help."),
        ("stop a --all", "Give the name of a mount or --all, not both."),
    ],
)
def test_a_mistake_is_one_clear_line(
    run: Callable[[str], CapturedIO], says: Callable[[str], str], line: str, message: str
) -> None:
    run(MAKE_APPS)
    assert says(f"%flaskserve {line}") == message
    assert served() == {}


@pytest.mark.parametrize(
    "line", ["Flask(__name__)", "apps['x']", "make_app( 1 )", "my-app", "app.", ".app", "app..x"]
)
def test_an_expression_is_refused(
    run: Callable[[str], CapturedIO], says: Callable[[str], str], line: str
) -> None:
    run(MAKE_APPS)
    assert says(f"%flaskserve {line}") == (
        "%flaskserve takes a variable, such as app or course.app, and no other expression."
        " Assign the app to a variable in a line before."
    )


def test_before_there_is_an_app_it_says_to_run_its_cell(says: Callable[[str], str]) -> None:
    assert says("%flaskserve shop") == (
        "There is no variable shop, and no app yet."
        " Run the cell that makes it, then this one again."
    )


def test_a_module_without_the_attribute_names_its_apps(
    run: Callable[[str], CapturedIO], says: Callable[[str], str], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    shell.user_ns["course"] = module = ModuleType("course")
    assert says("%flaskserve course.ap") == "course has no attribute ap."
    vars(module).update(app=shell.user_ns["app"], version=1)
    assert says("%flaskserve course.ap") == "course has no attribute ap. Its apps are: app."


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("numbers", r"numbers is of type list, not a WSGI app\."),
        ("Flask", r"Flask is the class Flask, not an app\."),
        ("app --name 'My Shop'", r"'My Shop' cannot be a mount's name.* such as 'my-shop'\."),
        ("app --threads -1", r"threads is -1;"),
    ],
)
def test_what_serve_refuses_is_one_clear_line_too(
    run: Callable[[str], CapturedIO], says: Callable[[str], str], line: str, what: str
) -> None:
    run(MAKE_APPS)
    message = says(f"%flaskserve {line}")
    assert re.match(what, message), message
    assert "\n" not in message


def test_a_name_that_another_notebook_holds_is_refused_and_says_which(
    run: Callable[[str], CapturedIO], says: Callable[[str], str], neighbour: Callable[..., None]
) -> None:
    run(MAKE_APPS)
    neighbour("demo")
    assert says("%flaskserve app --name demo").startswith(
        "The name 'demo' is taken by Neighbour.ipynb"
    )


# Showing and stopping


def test_alone_it_shows_every_mount_of_this_kernel(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS)
    run("%flaskserve app --name one\n%flaskserve admin --name two")
    shown = run("%flaskserve")
    assert [o.data["text/plain"] for o in shown.outputs] == [repr(m) for m in mounts()]
    assert len(shown.outputs) == 2
    assert shown.stdout == ""


def test_alone_and_with_nothing_served_it_says_how_to_serve(
    run: Callable[[str], CapturedIO], says: Callable[[str], str]
) -> None:
    assert says("%flaskserve") == "This notebook serves nothing yet. To serve an app: " + (
        "%flaskserve app"
    )
    run("from flask import Flask; shop = Flask('shop')")
    assert says("%flaskserve") == "This notebook serves nothing yet. To serve an app: " + (
        "%flaskserve shop"
    )


def test_stop_stops_the_only_mount(
    run: Callable[[str], CapturedIO], says: Callable[[str], str]
) -> None:
    run(MAKE_APPS + "\n%flaskserve app")
    (mount,) = mounts()
    assert says("%flaskserve stop") == "Stopped: lesson-2."
    assert mount.stopped
    assert says("%flaskserve stop").startswith("This notebook serves nothing. To serve an app:")
    assert says("%flaskserve stop --all") == "This notebook serves nothing."


def test_stop_asks_which_of_several(
    run: Callable[[str], CapturedIO], says: Callable[[str], str]
) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name one\n%flaskserve admin --name two")
    assert says("%flaskserve stop") == (
        "Which one? This notebook serves: one, two."
        " Write %flaskserve stop --all, or %flaskserve stop NAME."
    )
    assert list(served()) == ["one", "two"]


def test_stop_with_a_name_stops_that_one(
    run: Callable[[str], CapturedIO], says: Callable[[str], str]
) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name one\n%flaskserve admin --name two")
    assert says("%flaskserve stop two") == "Stopped: two."
    assert list(served()) == ["one"]
    assert says("%flaskserve stop two") == "This notebook does not serve two. It serves: one."
    run("%flaskserve stop one")
    assert says("%flaskserve stop two").startswith("This notebook serves nothing. To serve an app:")


def test_stop_all_stops_all(run: Callable[[str], CapturedIO], says: Callable[[str], str]) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name one\n%flaskserve admin --name two")
    assert says("%flaskserve stop --all") == "Stopped: one, two."
    assert served() == {}


# The mounts of the server


@pytest.fixture
def neighbour(kernel: None) -> Iterator[Callable[..., None]]:
    """Writes records as other kernels would, with somebody listening or nobody."""
    listeners: list[socket.socket] = []

    def add(name: str, *, server: str = SERVER, notebook: str = "", live: bool = True) -> None:
        generation = uuid.uuid4().hex
        record = records.MountRecord(
            name=name,
            server=server,
            kernel_id="k2",
            pid=os.getppid(),
            generation=generation,
            socket=str(records.socket_path(generation)),
            threads=1,
            title="Flask app app",
            notebook=notebook or "/home/ada/Neighbour.ipynb",
            started=1.0,
        )
        records.claim(record)
        if live:
            listener = socket.socket(socket.AF_UNIX)
            listeners.append(listener)
            listener.bind(record.socket)
            listener.listen()
        if notebook == "none":
            path = records.record_path(server, name)
            path.write_text(dataclasses.replace(record, notebook="").to_json())

    yield add
    for listener in listeners:
        listener.close()


def test_list_shows_the_mounts_of_all_kernels_of_this_server(
    run: Callable[[str], CapturedIO], neighbour: Callable[..., None]
) -> None:
    run(MAKE_APPS + "\n%flaskserve app")
    neighbour("zoo", notebook="/home/ada/<b>.ipynb")
    neighbour("a", notebook="none")
    neighbour("dead", live=False)
    neighbour("elsewhere", server="fedcba9876543210")
    (records.records_directory() / f"{SERVER}-broken.json").write_text("{")
    (shown,) = run("%flaskserve list").outputs
    lines = shown.data["text/plain"].splitlines()
    address = "http://127.0.0.1:8888/hub&co/flaskserve"
    assert [re.split(r" {2,}", line) for line in lines] == [
        ["NAME", "ADDRESS", "NOTEBOOK"],
        ["a", f"{address}/a/", "-"],
        ["lesson-2", f"{address}/lesson-2/", "Lesson 2.ipynb"],
        ["zoo", f"{address}/zoo/", "<b>.ipynb"],
    ]
    assert len({line.rindex("  ") for line in lines}) == 1, "the columns are not aligned"


def test_lists_table_escapes_what_it_shows(
    run: Callable[[str], CapturedIO], neighbour: Callable[..., None]
) -> None:
    neighbour("zoo", notebook="/home/ada/<b>.ipynb")
    (shown,) = run("%flaskserve list").outputs
    assert shown.data["text/html"].endswith(
        "<tbody><tr><td><b>zoo</b></td>"
        '<td><a href="/hub&amp;co/flaskserve/zoo/" target="_blank" rel="noopener">'
        "/hub&amp;co/flaskserve/zoo/</a></td>"
        "<td>&lt;b&gt;.ipynb</td></tr></tbody></table>"
    )


def test_list_says_so_when_nothing_is_served(
    says: Callable[[str], str], neighbour: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = "No notebook serves anything yet. To serve an app: %flaskserve app"
    assert says("%flaskserve list") == nothing
    neighbour("zoo")
    assert says("%flaskserve list") != nothing
    monkeypatch.delenv(records.SERVER_ENV)
    assert says("%flaskserve list") == nothing


# %%flaskserve


def test_a_cell_is_run_and_its_app_is_served(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run("admin = 'no app'")
    run("%%flaskserve --name demo --threads 3\n" + MAKE_APPS.replace('admin = Flask("admin")', ""))
    assert served() == {"demo": shell.user_ns["app"]}
    assert mounts()[0].threads == 3
    assert mounts()[0].variable == "app"


def test_a_cell_that_only_mentions_an_app_serves_it(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    run("%%flaskserve\n@admin.route('/')\ndef index(): return 'index'")
    assert list(served().values()) == [shell.user_ns["admin"]]


def test_of_an_app_and_another_wsgi_app_flasks_is_served(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(
        "%%flaskserve\nfrom flask import Flask\n"
        "def plain(environ, start_response): return []\n"
        "page = Flask('page')"
    )
    assert list(served().values()) == [shell.user_ns["page"]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "%%flaskserve\n1",
            "This cell has no Flask app to serve. Make one in it, such as app = Flask(__name__),"
            " or name its variable: %%flaskserve app",
        ),
        (
            "%%flaskserve\napp, admin",
            "This cell has 2 apps: app, admin. Say which one: %%flaskserve app",
        ),
        ("%%flaskserve app demo\n1", "'demo' is one word too many."),
    ],
)
def test_a_cell_without_one_app_is_told_so(
    run: Callable[[str], CapturedIO], shell: InteractiveShell, cell: str, message: str
) -> None:
    run(MAKE_APPS)
    with capture_output():
        result = shell.run_cell(cell)
    assert str(result.error_in_exec) == message
    assert served() == {}


def test_a_named_app_is_served_whatever_the_cell_mentions(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    run("%%flaskserve admin\napp, admin")
    assert list(served().values()) == [shell.user_ns["admin"]]


def test_nothing_is_served_of_a_cell_that_fails(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    shown = run("%%flaskserve\napp\n1/0")
    assert "ZeroDivisionError" in shown.stdout
    assert shown.stdout.endswith("Nothing was served, because the cell failed.\n")
    assert served() == {}


# What is served follows the notebook


def test_what_is_served_follows_its_variable(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name demo")
    (mount,) = mounts()
    run("app = Flask(__name__)")
    assert mounts() == [mount]
    assert mount.app is shell.user_ns["app"]


def test_what_is_served_stays_when_its_variable_holds_no_app_any_more(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name demo")
    app = shell.user_ns["app"]
    for cell in ("app = 1", "app = len", "del app"):
        run(cell)
        assert served() == {"demo": app}


def test_what_is_served_stays_when_the_cell_that_makes_it_anew_fails(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "\n%flaskserve app --name demo")
    app = shell.user_ns["app"]
    with capture_output():
        shell.run_cell("app = Flask(__name__)\n1/0")
    assert served() == {"demo": app}
    run("1")
    assert served() == {"demo": shell.user_ns["app"]}


def test_the_revision_counts_the_changes_an_open_page_should_show(
    run: Callable[[str], CapturedIO],
) -> None:
    run(MAKE_APPS)
    run("from flask import Flask\napp = Flask(__name__)\ngreeting = 'Hello'")
    run("@app.route('/')\ndef page(): return greeting")
    run("%flaskserve app --name demo")

    def revision() -> int:
        (record,) = records.read_all()
        return record.revision

    for cell, changes in (
        ("other = 1", 0),
        ("greeting = 'Good day'", 1),
        ("@app.route('/more')\ndef more(): return 'more'", 1),
        ("%%template page.html\n<p>", 1),
        ("app = Flask(__name__)", 1),
    ):
        before = revision()
        run(cell)
        assert revision() - before == changes, cell


# app.run()


RUN_APP = """
from flask import Flask
app = Flask(__name__)
@app.route("/")
def hello():
    return "hello"
if __name__ == "__main__":
    app.run({})
print("went on")
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "app.run() serves through Jupyter and returns."),
        ("debug=True", "app.run() serves through Jupyter and returns."),
        ("port=5001", "app.run() serves through Jupyter and returns; port has no effect."),
        (
            "host='0.0.0.0', port=80, debug=True",
            "app.run() serves through Jupyter and returns; host and port have no effect.",
        ),
        (
            "use_reloader=True",
            "app.run() serves through Jupyter and returns; to reload, run a cell again.",
        ),
        (
            "ssl_context='adhoc'",
            "app.run() serves through Jupyter and returns; Jupyter's own certificate holds.",
        ),
    ],
)
def test_app_run_serves_and_returns(
    run: Callable[[str], CapturedIO], shell: InteractiveShell, arguments: str, said: str
) -> None:
    shown = run(RUN_APP.format(arguments))
    app = shell.user_ns["app"]
    assert served() == {"lesson-2": app}
    assert shown.stdout.splitlines() == [said, "went on"]
    assert app.debug is ("debug=True" in arguments)


def test_app_run_again_keeps_the_address_and_serves_the_new_app(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(RUN_APP.format(""))
    (mount,) = mounts()
    run(RUN_APP.format(""))
    assert mounts() == [mount]
    assert mount.app is shell.user_ns["app"]


def test_app_run_without_threads_answers_one_request_at_a_time(
    run: Callable[[str], CapturedIO],
) -> None:
    run(RUN_APP.format("threaded=False"))
    assert mounts()[0].threads == 1


def test_app_run_of_a_modules_app_is_flasks_own(
    run: Callable[[str], CapturedIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr("werkzeug.serving.run_simple", lambda *args, **options: calls.append(args))
    run(RUN_APP.format("").replace("Flask(__name__)", "Flask('a_module')"))
    assert len(calls) == 1
    assert served() == {}


# Help


@pytest.mark.parametrize("line", ["-h", "--help", "app -h"])
def test_help_starts_with_what_it_does_and_examples(says: Callable[[str], str], line: str) -> None:
    text = says(f"%flaskserve {line}").splitlines()
    assert text[0] == "Serve the Flask app in a variable through Jupyter Server."
    assert text[2:5] == [
        "Examples::",
        "",
        "    %flaskserve app                 serve the app in the variable app",
    ]
    for option in ("--name NAME", "--threads N", "--all", "-h, --help"):
        assert any(line.startswith(f"  {option} ") for line in text)


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize(
    ("command", "what_it_does"),
    [
        ("list", "Show what all notebooks of this server serve"),
        ("stop", "Stop serving an app of this notebook."),
        ("serve", "Serve the app in a variable, also in one that has the name of a command."),
        ("request", "Send a request to an app through its address, and show the response."),
        ("log", "Show the latest requests, and what their views printed and logged."),
        ("routes", "Show an app's routes: what there is, which one matches, and forms to try"),
        ("requests", "Show the requests to an app and what came of them, as they come."),
        ("preview", "Show an app's pages in a frame."),
        ("debug", "Open the debugger on a request that failed"),
    ],
)
def test_each_command_has_help_of_its_own(
    says: Callable[[str], str], command: str, what_it_does: str, option: str
) -> None:
    text = says(f"%flaskserve {command} {option}")
    assert text.startswith(what_it_does)
    assert f"%flaskserve {command} " in text or f"%flaskserve {command}\n" in f"{text}\n"
    assert ":raises" not in text
    assert says(f"%flaskserve {command} word {option}") == text


@pytest.mark.parametrize("command", ["stop", "serve", "request", "log"])
def test_the_help_of_a_command_tells_its_options(
    says: Callable[[str], str], complete: Callable[[str], list[str]], command: str
) -> None:
    text = says(f"%flaskserve {command} --help" if command != "serve" else "%flaskserve --help")
    options = [offer.split()[-1] for offer in complete(f"%flaskserve {command} --")]
    assert len(options) > 1
    assert not [
        option for option in options if option not in (*text.replace(",", " ").split(), "--help")
    ]


def test_help_says_how_to_serve_a_variable_with_the_name_of_a_command(
    says: Callable[[str], str], complete: Callable[[str], list[str]]
) -> None:
    (sentence,) = re.findall(r"An app in a variable named ([^:]*):", says("%flaskserve -h"))
    commands = {offer.split()[-1] for offer in complete("%flaskserve ")}
    assert set(re.split(r",\s+|\s+or ", sentence)) == commands == {*COMMANDS, "serve"}


def test_the_question_mark_gives_the_same_help(
    shell: InteractiveShell, says: Callable[[str], str]
) -> None:
    assert says("%flaskserve --help") in shell.object_inspect_text("%flaskserve")


# Completion


def test_it_offers_apps_and_subcommands_and_nothing_else(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]]
) -> None:
    run(MAKE_APPS + "_hidden = app")
    assert complete("%flaskserve ") == [
        f"%flaskserve {word}"
        for word in (
            *("app", "admin", "list", "stop", "serve", "request", "routes", "requests", "preview"),
            *("log", "debug", "compare", "export"),
        )
    ]
    assert complete("x = 1\n  %flaskserve a") == [
        "x = 1\n  %flaskserve app",
        "x = 1\n  %flaskserve admin",
    ]
    assert complete("%flaskserve serve ad") == ["%flaskserve serve admin"]


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("%flaskserve --", [*OPTIONS, "--help"]),
        ("%flaskserve app ", OPTIONS),
        ("%flaskserve app --na", ["--name"]),
        ("%flaskserve app --name demo ", OPTIONS[1:]),
        ("%flaskserve app --transport ", ["unix", "tcp"]),
        ("%flaskserve --name demo ", ["app", "admin", *OPTIONS[1:]]),
        ("%flaskserve app --name ", ["lesson-2", "two"]),
        ("%flaskserve stop ", ["lesson-2", "two", "--all"]),
        ("%flaskserve stop lesson-", ["lesson-2"]),
        ("%flaskserve stop --a", ["--all"]),
        ("%flaskserve serve --name demo ", ["app", "admin", *OPTIONS[1:]]),
        ("%flaskserve log ", ["lesson-2", "two", "-f", "--follow"]),
        ("%flaskserve log two ", ["-f", "--follow"]),
        ("%flaskserve log -f ", ["lesson-2", "two"]),
        ("%flaskserve log --", ["--follow", "--help"]),
        ("%flaskserve debug ", ["lesson-2", "two"]),
        ("%flaskserve routes ", ["lesson-2", "two"]),
        ("%flaskserve requests t", ["two"]),
        ("%flaskserve preview ", ["lesson-2", "two"]),
        ("%flaskserve pre", ["preview"]),
        ("%flaskserve request ", [*METHODS, *REQUEST_OPTIONS]),
        ("%flaskserve request DE", ["DELETE"]),
        ("%flaskserve request /users --j", ["--json"]),
        ("%flaskserve request / -d x -L ", [*REQUEST_OPTIONS[:1], *REQUEST_OPTIONS[3:7]]),
        ("%flaskserve request / --name ", ["lesson-2", "two"]),
        ("%flaskserve request --name two P", ["POST", "PUT", "PATCH"]),
        ("%flaskserve list --", ["--help"]),
    ],
)
def test_it_offers_what_may_come_next(
    run: Callable[[str], CapturedIO],
    complete: Callable[[str], list[str]],
    line: str,
    offers: list[str],
) -> None:
    run(MAKE_APPS + "\n%flaskserve app\n%flaskserve admin --name two")
    before = line[: line.rindex(" ") + 1]
    assert complete(line) == [before + offer for offer in offers]


@pytest.mark.parametrize(
    "line",
    [
        "%flaskserve app --threads ",
        "%flaskserve list ",
        "%flaskserve stop two ",
        "%flaskserve stop --all ",
        "%flaskserve debug two ",
        "%flaskserve request --timeout ",
        "%flaskserve app # ",
        "%flaskserver ",
    ],
)
def test_it_offers_nothing_of_its_own_elsewhere(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]], line: str
) -> None:
    run(MAKE_APPS)
    own = {line + word for word in ("stop", "--name", "--all")}
    assert not own & set(complete(line))


def test_other_lines_are_completed_as_before(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]]
) -> None:
    run(MAKE_APPS)
    assert "admin.route" in complete("admin.rou")
    assert "%flaskserve" in complete("%flasks")


def test_every_kind_of_wsgi_app_is_offered_and_no_other_value(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]]
) -> None:
    run("""
from flask import Flask, current_app
class Own(Flask):
    def __call__(self, *arguments): return super().__call__(*arguments)
class Framework:
    def __call__(self, environ, start_response): return []
class Meddler:
    def __getattribute__(self, name): raise RuntimeError(name)
v_framework = Framework()
def v_function(environ, start_response): return []
v_own = Own("own")
_v_hidden = v_own
v_class, v_proxy, v_number, v_meddler = Own, current_app, 3, Meddler()
def v_other(a, b): return []
""")
    assert complete("%flaskserve v_") == [
        "%flaskserve v_own",
        "%flaskserve v_framework",
        "%flaskserve v_function",
    ]


def test_the_apps_of_a_module_are_offered(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]], shell: InteractiveShell
) -> None:
    run(MAKE_APPS)
    shell.user_ns["course"] = module = ModuleType("course")
    vars(module).update(app=shell.user_ns["app"], version=1)
    assert complete("%flaskserve course.") == ["%flaskserve course.app"]
    assert complete("%flaskserve course.a") == ["%flaskserve course.app"]


def test_completing_after_the_dot_of_anything_else_does_no_harm(
    run: Callable[[str], CapturedIO],
    complete: Callable[[str], list[str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    run(MAKE_APPS)
    complete("%flaskserve numbers.a")
    complete("%flaskserve nowhere.a")
    assert capfd.readouterr() == ("", "")


def test_completing_imports_nothing(
    run: Callable[[str], CapturedIO], complete: Callable[[str], list[str]]
) -> None:
    run("def application(environ, start_response): return []")
    complete("%flaskserve ")
    before = set(sys.modules)
    assert complete("%flaskserve app") == ["%flaskserve application"]
    assert set(sys.modules) == before


# Loading


def test_loading_twice_is_loading_once(
    run: Callable[[str], CapturedIO],
    complete: Callable[[str], list[str]],
    shell: InteractiveShell,
) -> None:
    run(MAKE_APPS)
    matchers = list(shell.Completer.custom_matchers)
    magics.load(shell)
    assert shell.Completer.custom_matchers == matchers
    assert len(matchers) == len(set(matchers))


def test_unloading_leaves_nothing_behind_and_stops_the_mounts(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "\n%flaskserve app")
    (mount,) = mounts()
    ours = [c for c in shell.configurables if type(c).__module__.startswith("jupyter_flaskserve")]
    run("%unload_ext jupyter_flaskserve")
    assert mount.stopped
    assert mounts() == []
    assert shell.find_line_magic("flaskserve") is None
    assert "FlaskServeMagics" not in shell.magics_manager.registry
    assert shell.Completer.custom_matchers == []
    assert ours
    assert not [c for c in shell.configurables if c in ours]
    for kind in ("line", "cell"):
        for name in ("flaskserve", "template", "static"):
            assert name not in shell.magics_manager.magics[kind]
    magics.unload(shell)


def test_unloading_what_is_not_loaded_does_nothing(
    run: Callable[[str], CapturedIO], shell: InteractiveShell
) -> None:
    run(MAKE_APPS + "\n%unload_ext jupyter_flaskserve")
    mount = serve(shell.user_ns["app"])
    magics.unload(shell)
    assert mounts() == [mount]


def test_reloading_brings_the_magic_back(run: Callable[[str], CapturedIO]) -> None:
    run(MAKE_APPS + "\n%reload_ext jupyter_flaskserve\n%flaskserve app --name demo")
    assert list(served()) == ["demo"]
