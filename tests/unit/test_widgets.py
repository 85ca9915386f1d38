"""The panels as widgets: what is in their state, what a notebook keeps of them, when they are made,
and how they hear that there is news."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from getpass import getpass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest
from flask import Flask
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import CapturedIO, capture_output

from jupyter_flaskserve import records
from jupyter_flaskserve.kernel import mount as kernel_mount
from jupyter_flaskserve.kernel.mount import Mount, mounts, serve
from jupyter_flaskserve.widgets import modules, mount_panel, news
from jupyter_flaskserve.widgets.modules import ModuleError
from jupyter_flaskserve.widgets.panel import Panel

TOKEN = "a0b1c2d3e4f5a0b1c2d3e4f5"
WIDGET = "application/vnd.jupyter.widget-view+json"
KINDS = ("header", "routes", "requests", "preview")


@pytest.fixture(autouse=True)
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this process look like a kernel of a server, to what it serves."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv(records.SERVER_ENV, "0123456789abcdef")
    monkeypatch.setenv(records.BASE_URL_ENV, "/user/ann/")
    monkeypatch.setenv(records.SERVER_URL_ENV, "http://127.0.0.1:8888/user/ann/")
    monkeypatch.setenv("JUPYTER_TOKEN", TOKEN)
    connection_file = "/tmp/kernel-0a1b2c3d-0000-4000-8000-000000000001.json"
    monkeypatch.setattr("ipykernel.get_connection_file", lambda: connection_file)
    yield
    for mount in mounts():
        mount.stop()
    mount_panel.close_all()


@pytest.fixture
def app() -> Flask:
    """An app with a view that answers and one that fails."""
    app = Flask("lesson")
    app.secret_key = "the app's own secret"
    app.add_url_rule("/", "hello", lambda: "hello")
    app.add_url_rule("/boom", "boom", lambda: 1 / 0)
    return app


@pytest.fixture
def mount(app: Flask) -> Mount:
    return serve(app, "demo")


def panel_of(mount: Mount, kind: str) -> Panel:
    return mount_panel.single_panel(mount, kind)


def ask_app(mount: Mount, path: str = "/") -> None:
    """Run a view as the responder does, so that it is noted."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "/flaskserve/demo",
        "PATH_INFO": path,
        "QUERY_STRING": "",
    }
    with mount.requests.begin(environ):
        pass


# The state


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_says_where_to_ask_and_nothing_else(mount: Mount, kind: str) -> None:
    state = panel_of(mount, kind).get_state()
    own = {name: value for name, value in state.items() if not name.startswith("_")}
    for name in ("layout", "tabbable", "tooltip"):  # of every widget
        own.pop(name)
    assert own == {
        "mount": "demo",
        "inspector": "/user/ann/api/flaskserve/inspector/demo/",
        "address": "/user/ann/flaskserve/demo/",
        "url": "http://127.0.0.1:8888/user/ann/flaskserve/demo/",
        "module": kind,
        "version": modules.version(kind),
        "other_origin": False,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_is_small_and_does_not_grow_with_traffic(mount: Mount, kind: str) -> None:
    panel = panel_of(mount, kind)
    before = json.dumps(panel.get_state(), default=str)
    for _ in range(50):
        ask_app(mount)
    mount.mark_changed()
    assert json.dumps(panel.get_state(), default=str) == before
    assert len(before) < 6000


def test_no_secret_is_in_what_a_notebook_may_keep(mount: Mount, app: Flask) -> None:
    widget = mount.panel()
    kept = json.dumps(
        [
            widget._repr_mimebundle_(),
            *(panel.get_state() for panel in widget.panels),
            *(panel._repr_mimebundle_() for panel in widget.panels),
        ],
        default=str,
    )
    assert TOKEN not in kept
    assert "secret" not in kept
    assert "token" not in kept.replace(modules.loader(), "")


def test_a_mount_of_the_kernels_own_server_is_of_another_origin(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(records.SERVER_ENV)
    mount = serve(app, "lonely")
    state = panel_of(mount, "header").get_state()
    assert state["other_origin"] is True
    assert mount.token
    assert mount.token not in json.dumps(state, default=str)
    assert "token" not in state["url"]


# What stands for them where no kernel is


@pytest.mark.parametrize("kind", KINDS)
def test_a_notebook_that_is_not_trusted_has_a_sentence(mount: Mount, kind: str) -> None:
    data, _ = panel_of(mount, kind)._repr_mimebundle_()
    assert set(data) == {WIDGET, "text/plain", "text/html"}
    assert data["text/plain"].endswith(" of demo. Run this cell to see it live.")
    assert data["text/plain"] in data["text/html"]
    assert "<script" not in data["text/html"]


def test_all_panels_together_have_a_sentence_too(mount: Mount) -> None:
    data, _ = mount.panel()._repr_mimebundle_()
    assert set(data) == {WIDGET, "text/plain", "text/html"}
    assert data["text/plain"] == "The panels of demo. Run this cell to see it live."


# When they are made


def test_a_kernel_loads_no_widgets_before_a_panel_is_shown() -> None:
    code = """
import sys, threading
import jupyter_flaskserve
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
jupyter_flaskserve.load_ipython_extension(shell)
from flask import Flask
mount = jupyter_flaskserve.serve(Flask("lesson"), "demo")
mount.show()
print(sorted({"ipywidgets", "anywidget", "pandas"} & set(sys.modules)))
print([thread.name for thread in threading.enumerate() if "news" in thread.name])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_there_is_one_of_each_for_a_name(mount: Mount, app: Flask) -> None:
    before = mount.panel(), mount.routes_panel(), mount.requests_panel(), mount.preview_panel()
    mount.stop()
    again = serve(app, "demo")
    assert again is not mount
    after = again.panel(), again.routes_panel(), again.requests_panel(), again.preview_panel()
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_a_panel_that_was_closed_is_made_anew(mount: Mount) -> None:
    together, routes = mount.panel(), mount.routes_panel()
    routes.close()
    assert mount.routes_panel() is not routes
    assert mount.routes_panel().comm is not None
    assert mount.panel() is not together
    assert mount.routes_panel() in mount.panel().panels


def test_panels_compose_with_other_widgets(mount: Mount) -> None:
    box = ipywidgets.HBox([mount.routes_panel(), ipywidgets.Label("and"), mount.preview_panel()])
    assert len(box.children) == 3


# In cells


@pytest.fixture
def notebook(
    loaded_shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], CapturedIO]:
    """Runs a cell as a notebook's kernel does, which must not fail, and returns what it showed."""
    kernel = SimpleNamespace(raw_input=input, getpass=getpass)
    monkeypatch.setattr(loaded_shell, "kernel", kernel, raising=False)

    def run_cell(cell: str) -> CapturedIO:
        with capture_output() as shown:
            result = loaded_shell.run_cell(cell)
        result.raise_error()
        return shown

    return run_cell


MAKE_APP = "from flask import Flask\napp = Flask(__name__)\n"


def shown_texts(shown: CapturedIO) -> list[str]:
    """What a cell has displayed, widgets in angle brackets."""
    return [
        f"<{output.data['text/plain']}>" if WIDGET in output.data else output.data["text/plain"]
        for output in shown.outputs
    ]


PANELS_SHOWN = "<The panels of demo. Run this cell to see it live.>"


@pytest.mark.parametrize(
    "line", ["%flaskserve app --name demo", "%%flaskserve --name demo\napp.config['x'] = 1"]
)
def test_serving_shows_the_line_and_then_the_panels(
    notebook: Callable[[str], CapturedIO], line: str
) -> None:
    notebook(MAKE_APP)
    shown = notebook(line)
    assert shown_texts(shown) == [repr(mounts()[0]), PANELS_SHOWN]
    assert shown.stdout == ""


def test_without_a_panel_there_is_the_line_alone(notebook: Callable[[str], CapturedIO]) -> None:
    notebook(MAKE_APP)
    shown = notebook("%flaskserve app --name demo --no-panel")
    assert shown_texts(shown) == [repr(mounts()[0])]


def test_no_words_show_the_panels_where_one_app_is_served(
    notebook: Callable[[str], CapturedIO],
) -> None:
    notebook(MAKE_APP + "%flaskserve app --name demo --no-panel")
    assert shown_texts(notebook("%flaskserve")) == [repr(mounts()[0]), PANELS_SHOWN]
    notebook("admin = Flask('admin')\n%flaskserve admin --name two --no-panel")
    assert shown_texts(notebook("%flaskserve")) == [repr(mount) for mount in mounts()]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_each_panel_is_to_be_had_on_its_own(
    notebook: Callable[[str], CapturedIO], kind: str
) -> None:
    notebook(MAKE_APP + "%flaskserve app --name demo --no-panel")
    shown = f"<The {kind} of demo. Run this cell to see it live.>"
    assert shown_texts(notebook(f"%flaskserve {kind}")) == [shown]
    assert shown_texts(notebook(f"%flaskserve {kind} demo")) == [shown]


def test_app_run_shows_the_panels_too(notebook: Callable[[str], CapturedIO]) -> None:
    shown = notebook(MAKE_APP + "app.run()")
    (mount,) = mounts()
    assert shown_texts(shown) == [
        repr(mount),
        f"<The panels of {mount.name}. Run this cell to see it live.>",
    ]
    assert shown.stdout == "app.run() serves through Jupyter and returns.\n"


def test_cells_that_are_run_again_make_no_more_widgets(
    notebook: Callable[[str], CapturedIO],
) -> None:
    cell = MAKE_APP + "%flaskserve app --name demo\n%flaskserve requests"
    notebook(cell)
    before = len(ipywidgets.widgets.widget._instances)
    for _ in range(100):
        notebook(cell)
    assert len(ipywidgets.widgets.widget._instances) == before


def test_unloading_the_extension_closes_the_panels(
    notebook: Callable[[str], CapturedIO],
) -> None:
    before = set(ipywidgets.widgets.widget._instances.values())
    notebook(MAKE_APP + "%flaskserve app --name demo")
    widget = mounts()[0].panel()
    notebook("%unload_ext jupyter_flaskserve")
    assert widget.comm is None
    ours = set(ipywidgets.widgets.widget._instances.values()) - before
    assert not [one for one in ours if type(one).__module__.startswith("jupyter_flaskserve")]
    assert kernel_mount.watchers == []


def test_without_the_widgets_there_is_the_line_and_a_sentence(
    notebook: Callable[[str], CapturedIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook(MAKE_APP)
    monkeypatch.delitem(sys.modules, "jupyter_flaskserve.widgets.mount_panel")
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    shown = notebook("%flaskserve app --name demo")
    assert shown_texts(shown) == [repr(mounts()[0])]
    assert shown.stdout.startswith("The panels cannot be shown: ")
    assert "pip install anywidget" in shown.stdout
    assert shown.stdout.count("\n") == 1


def test_a_terminal_shows_the_line_and_says_that_it_has_no_panels(
    loaded_shell: InteractiveShell,
) -> None:
    with capture_output() as shown:
        loaded_shell.run_cell(MAKE_APP + "%flaskserve app --name demo")
    assert shown_texts(shown) == [repr(mounts()[0])]
    with capture_output() as shown:
        loaded_shell.run_cell("%flaskserve requests")
    assert shown.stderr == (
        "UsageError: Panels are shown in notebooks only. Here, try %flaskserve log.\n"
    )


# News


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, dict[str, Any]]]:
    """The messages that panels send to the page, and when."""
    messages: list[tuple[float, dict[str, Any]]] = []

    def send(self: Panel, content: dict[str, Any], buffers: object = None) -> None:
        messages.append((time.monotonic(), content))

    monkeypatch.setattr(Panel, "send", send)
    return messages


def wait_for(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_request_is_news(mount: Mount, told: list[tuple[float, dict[str, Any]]]) -> None:
    mount.requests_panel()
    ask_app(mount)
    wait_for(lambda: told)
    assert told[-1][1] == {
        "kind": "news",
        "last": 1,
        "revision": mount.revision,
        "generation": mount.requests.generation,
        "stopped": False,
    }


def test_news_come_at_most_ten_times_a_second_and_the_last_is_told(
    mount: Mount, told: list[tuple[float, dict[str, Any]]]
) -> None:
    mount.requests_panel()
    begun = time.monotonic()
    while time.monotonic() - begun < 1:
        ask_app(mount)
    wait_for(lambda: told and told[-1][1]["last"] == mount.requests.last_number)
    assert 2 <= len(told) <= 13
    assert mount.requests.last_number > 100


def test_a_change_and_a_stop_are_news(
    mount: Mount, told: list[tuple[float, dict[str, Any]]]
) -> None:
    mount.routes_panel()
    mount.mark_changed()
    wait_for(lambda: told)
    assert told[-1][1]["revision"] == mount.revision == 1
    mount.follow(Flask("another"))
    wait_for(lambda: len(told) > 1)
    mount.stop()
    wait_for(lambda: told[-1][1]["stopped"])


def test_a_mount_that_takes_the_name_again_is_followed(
    mount: Mount, app: Flask, told: list[tuple[float, dict[str, Any]]]
) -> None:
    mount.routes_panel()
    mount.stop()
    wait_for(lambda: told and told[-1][1]["stopped"])
    again = serve(app, "demo")
    wait_for(lambda: told[-1][1]["generation"] == again.requests.generation)
    assert told[-1][1]["stopped"] is False
    ask_app(again)
    wait_for(lambda: told[-1][1]["last"] == 1)


def test_a_mount_that_is_served_otherwise_is_never_told_as_stopped(
    mount: Mount,
    app: Flask,
    told: list[tuple[float, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mount.routes_panel()
    told_at_stop = []
    stop = mount._responder.stop

    def stop_slowly() -> None:
        ask_app(mount)
        wait_for(lambda: told)
        told_at_stop.append(told[-1][1]["stopped"])
        stop()

    monkeypatch.setattr(mount._responder, "stop", stop_slowly)
    successor = serve(app, "demo", threads=2)
    assert successor is not mount
    assert told_at_stop == [False]
    time.sleep(0.3)
    assert all(message["stopped"] is False for _, message in told)


def test_when_nobody_looks_it_stops_listening_until_somebody_does(
    mount: Mount, told: list[tuple[float, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_PATIENCE", 0.3)
    mount.requests_panel()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        count = len(told)
        ask_app(mount)
        time.sleep(0.25)
        if len(told) == count:
            break
    ask_app(mount)
    time.sleep(0.3)
    assert len(told) == count
    list(mount._inspect(inspector_environ("/state"), lambda *_: None))
    ask_app(mount)
    wait_for(lambda: len(told) > count)


def inspector_environ(path: str) -> dict[str, Any]:
    from werkzeug.test import create_environ

    return create_environ(path)


def test_what_is_fetched_in_time_keeps_it_listening(
    mount: Mount, told: list[tuple[float, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_PATIENCE", 0.3)
    mount.requests_panel()
    for _ in range(5):
        count = len(told)
        ask_app(mount)
        wait_for(lambda count=count: len(told) > count)
        list(mount._inspect(inspector_environ("/state"), lambda *_: None))
        time.sleep(0.2)


def test_a_message_that_cannot_be_sent_does_no_harm(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def send(self: Panel, content: dict[str, Any], buffers: object = None) -> None:
        sent.append(content)
        raise RuntimeError("the socket is closed")

    monkeypatch.setattr(Panel, "send", send)
    mount.requests_panel()
    ask_app(mount)
    wait_for(lambda: sent)
    ask_app(mount)
    wait_for(lambda: len(sent) > 1)


def test_nothing_of_a_mount_that_has_stopped_is_kept(
    app: Flask, told: list[tuple[float, dict[str, Any]]]
) -> None:
    mount = serve(app, "demo")
    mount.panel()
    requests = weakref.ref(mount.requests)
    mount.stop()
    wait_for(lambda: told and told[-1][1]["stopped"])
    del mount

    def is_gone() -> bool:
        gc.collect()
        return requests() is None

    wait_for(is_gone)


def test_without_panels_there_is_no_thread_and_no_listener(mount: Mount) -> None:
    mount.panel()
    assert [thread for thread in threading.enumerate() if thread.name == "flaskserve news"]
    mount_panel.close_all()
    wait_for(
        lambda: (
            not [t for t in threading.enumerate() if t.name == "flaskserve news" and t.is_alive()]
        )
    )
    assert kernel_mount.watchers == []


# Asking by message


def answer_to(
    panel: Panel, told: list[tuple[float, dict[str, Any]]], **question: object
) -> dict[str, Any]:
    before = len(told)
    panel._receive(panel, {"kind": "ask", "id": "1", "method": "GET", "body": None, **question}, [])
    wait_for(lambda: any(message["kind"] == "answer" for _, message in told[before:]))
    return next(message for _, message in told[before:] if message["kind"] == "answer")


def test_the_kernel_answers_by_message_what_the_inspector_would(
    mount: Mount, told: list[tuple[float, dict[str, Any]]]
) -> None:
    panel = mount.requests_panel()
    answer = answer_to(panel, told, path="state")
    assert (answer["id"], answer["status"]) == ("1", 200)
    assert answer["headers"]["Flaskserve-Inspector"] == "demo"
    answer = answer_to(panel, told, path="modules/header.js?v=1")
    assert answer["headers"]["Content-Type"].startswith("text/javascript")
    assert answer_to(panel, told, path="nowhere")["status"] == 404


def test_what_is_not_served_any_more_is_told_from_what_the_inspector_does_not_know(
    mount: Mount, told: list[tuple[float, dict[str, Any]]]
) -> None:
    panel = mount.requests_panel()
    assert "Flaskserve-Inspector" in answer_to(panel, told, path="nowhere")["headers"]
    mount.stop()
    answer = answer_to(panel, told, path="state")
    assert answer["status"] == 404
    assert "Flaskserve-Inspector" not in answer["headers"]


def test_an_answer_that_takes_long_keeps_no_cell_waiting(
    mount: Mount, told: list[tuple[float, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = mount.requests_panel()
    may_answer = threading.Event()

    def ask(*question: object) -> tuple[int, dict[str, str], bytes]:
        assert may_answer.wait(5)
        return 200, {}, b""

    monkeypatch.setattr(news, "ask", ask)
    panel._receive(panel, {"kind": "ask", "id": "1", "method": "POST", "path": "send"}, [])
    assert told == []
    may_answer.set()
    wait_for(lambda: told)


def test_a_question_without_words_is_answered(
    mount: Mount, told: list[tuple[float, dict[str, Any]]]
) -> None:
    assert answer_to(mount.requests_panel(), told, method=None)["status"] == 404


@pytest.mark.parametrize("message", [None, [], "ask", {}, {"kind": "other"}])
def test_other_messages_are_not_answered(
    mount: Mount, told: list[tuple[float, dict[str, Any]]], message: object
) -> None:
    panel = mount.requests_panel()
    panel._receive(panel, message, [])
    assert not [thread for thread in threading.enumerate() if thread.name == "flaskserve answer"]
    assert told == []


# Modules


@pytest.fixture
def files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, str]], str]]:
    """Joins a panel's module from files of the test's own, among them ``panel.js``."""
    monkeypatch.setattr(modules, "_FOLDER", tmp_path)

    def join(texts: dict[str, str]) -> str:
        for name, text in texts.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return modules.module("panel")

    for function in (modules.module, modules.stylesheet, modules.version):
        function.cache_clear()
    yield join
    for function in (modules.module, modules.stylesheet, modules.version):
        function.cache_clear()


def test_a_module_stands_after_what_it_imports_and_each_once(
    files: Callable[[dict[str, str]], str],
) -> None:
    text = files(
        {
            "panel.js": 'import { a } from "./shared/a.js";\n'
            'import { b, c } from "./shared/b.js";\n'
            "export function helper() { return a + b() + c; }\n"
            "export default function render() {}\n",
            "shared/a.js": 'import { c } from "./b.js";\nexport const a = c;\n',
            "shared/b.js": "export async function b() {}\nexport const c = 1;\nconst hidden = 2;\n",
        }
    )
    assert [line for line in text.splitlines() if line] == [
        "async function b() {}",
        "const c = 1;",
        "const hidden = 2;",
        "const a = c;",
        "export function helper() { return a + b() + c; }",
        "export default function render() {}",
    ]


@pytest.mark.parametrize(
    ("panel", "shared", "message"),
    [
        (
            'import { a } from "./shared/a.js";\nconst a = 1;\n',
            "export const a = 1;",
            "has the name a",
        ),
        ('import { b } from "./shared/a.js";\n', "export const a = 1;", "a.js has no b"),
        ('import a from "./shared/a.js";\n', "export const a = 1;", "form of import is not known"),
        ('import { a as b } from "./shared/a.js";\n', "export const a = 1;", "form of import"),
        ('import { a } from "https://cdn.example/a.js";\n', "", "form of import is not known"),
        ('import { a } from "../a.js";\n', "", "is not a module of the panels"),
        ('import { a } from "./shared/gone.js";\n', "", "There is no gone.js"),
        ("export { a };\n", "", "form of export is not known"),
        ("export let a = 1;\n", "", "form of export is not known"),
        (
            'import { a } from "./shared/a.js";\n',
            "export default function a() {}",
            "form of export",
        ),
        ("const { a, b } = window;\n", "", "one name at a time"),
        (
            'import { a } from "./shared/a.js";\n',
            'import { a } from "./a.js";\nexport const a = 1;',
            "imports itself",
        ),
    ],
)
def test_what_cannot_be_joined_is_said(
    files: Callable[[dict[str, str]], str], panel: str, shared: str, message: str
) -> None:
    with pytest.raises(ModuleError, match=re.escape(message)):
        files({"panel.js": panel, "shared/a.js": shared})


def test_the_version_changes_with_the_stylesheet(
    files: Callable[[dict[str, str]], str], tmp_path: Path
) -> None:
    files({"panel.js": "export default function render() {}\n", "shared/base.css": "a {}"})
    before = modules.version("panel")
    (tmp_path / "panel.css").write_text("b {}")
    modules.stylesheet.cache_clear()
    modules.version.cache_clear()
    assert modules.stylesheet("panel") == "a {}\nb {}"
    assert modules.version("panel") != before


@pytest.mark.parametrize("name", KINDS)
def test_each_panel_is_one_module_that_needs_no_other(name: str) -> None:
    text = modules.module(name)
    assert not re.search(r"^\s*import\b", text, re.MULTILINE)
    assert text.count("export default function render(") == 1
    assert "//cdn" not in text
    assert modules.stylesheet(name).startswith("/*\n * What the panels have in common.")


def test_no_two_stylesheets_speak_of_the_same_class() -> None:
    """All of them hold in the whole page, so one panel's rules would change another panel."""
    folder = Path(modules.__file__).parent
    classes: dict[str, str] = {}
    for file in sorted(folder.rglob("*.css")):
        text = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.DOTALL)
        found = set(re.findall(r"\.(flaskserve-[\w-]+)", text)) - _SHARED_CLASSES
        twice = {f".{name}: {classes[name]} and {file.name}" for name in found & classes.keys()}
        assert not twice
        classes |= dict.fromkeys(found, file.name)


_SHARED_CLASSES = set(
    re.findall(
        r"\.(flaskserve-[\w-]+)",
        (Path(modules.__file__).parent / "shared" / "base.css").read_text(),
    )
)
