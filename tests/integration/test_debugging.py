"""Views that fail: the response, the log, the mount's line and the debugger, in a real kernel."""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections.abc import Callable

import httpx
import pytest
from jupyter_processes import CellError, Kernel, Output, RunningCell, Server, wait_until

FAILING = """
from flask import Flask, g, request, session
app = Flask(__name__)
app.secret_key = "a secret"
closed = []

def total(prices):
    return sum(prices) / len(prices)

@app.route("/boom")
def boom():
    a_local = "forty-two"
    session["user"] = "ada"
    g.basket = "apples"
    return str(total([]))

@app.route("/deep")
def deep():
    a_local = "where the app is"
    import json
    return json.loads("{")

@app.route("/stop")
def stop():
    a_local = "at the breakpoint"
    breakpoint()
    return "went on"

@app.route("/sqlite")
def sqlite():
    return str(connection.execute("select 1").fetchone())

@app.route("/fine")
def fine():
    return "fine"

@app.teardown_request
def close(error):
    closed.append(request.path)

import sqlite3
connection = sqlite3.connect(":memory:")
"""

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def app(kernel: Kernel, name: str) -> httpx.Client:
    kernel.run("%load_ext jupyter_flaskserve")
    return kernel.serve(name, FAILING)


@pytest.fixture
def debugging(app: httpx.Client, kernel: Kernel) -> httpx.Client:
    """The same app in debug mode."""
    kernel.run("app.debug = True")
    return app


def plain(text: str) -> str:
    """A text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def ask_debugger(cell: RunningCell, *commands: str) -> str:
    """What the debugger of a cell says to some commands; then it is left."""
    for command in (*commands, "quit"):
        cell.wait_for_input()
        cell.answer(command)
    return plain(cell.wait().stdout)


def usage_error(kernel: Kernel, code: str) -> str:
    """What a line says of a mistake; it must be no more than that."""
    shown = kernel.run(code)
    assert shown.stdout == ""
    return shown.stderr.removeprefix("UsageError: ").strip()


# The response and the log


def test_without_debug_mode_the_response_is_flasks_own(
    app: httpx.Client, kernel: Kernel, server: Server
) -> None:
    answer = app.get("boom", headers=BROWSER)
    assert answer.status_code == 500
    assert answer.text.startswith("<!doctype html>\n<html lang=en>\n<title>500 Internal Server")
    assert "ZeroDivisionError" not in answer.text
    log = kernel.run("print(_mount.requests.last.output)").stdout
    assert "Exception on /boom [GET]" in log
    assert re.search(r"  Cell In\[\d+\], line 7, in total\n    return sum", log), log
    assert "ipykernel" not in log
    wait_until(lambda: re.search(r"Cell In\[\d+\], line 7, in total", server.log), what="the log")


@pytest.mark.unvalidated("the calls of the validator are among those that it counts")
def test_in_debug_mode_a_browser_gets_a_page_with_cells_and_lines(
    debugging: httpx.Client, kernel: Kernel
) -> None:
    answer = debugging.get("boom", headers=BROWSER, params={"q": "a-query"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = answer.text
    assert "<h1>ZeroDivisionError</h1>" in text
    assert "division by zero" in text
    assert re.search(r"<b>Cell In\[\d+\], line 7</b> in <code>total</code>", text)
    assert re.search(r'class="line current">.*\n?.*return sum\(prices\) / len\(prices\)', text)
    assert "ipykernel" not in text
    folded = re.findall(r"<summary>(.*)</summary>", text)
    assert re.fullmatch(r"\d+ calls in jupyter_flaskserve, flask", folded[0])
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:,")', text)  # nothing is loaded from anywhere


def test_in_debug_mode_a_program_gets_the_traceback_as_text(debugging: httpx.Client) -> None:
    for accept in ("*/*", "application/json", "text/plain"):
        answer = debugging.get("boom", headers={"Accept": accept})
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert re.search(r"  Cell In\[\d+\], line 7, in total\n", answer.text)
        assert answer.text.rstrip().endswith("ZeroDivisionError: division by zero")


def test_the_usual_failure_says_what_to_do(debugging: httpx.Client, kernel: Kernel) -> None:
    """Of a connection that was made in a cell, which is another thread."""
    advice = "%flaskserve app --main-thread"
    assert advice in debugging.get("sqlite", headers=BROWSER).text
    assert advice in debugging.get("sqlite").text
    kernel.run("app.debug = False")
    assert advice not in debugging.get("sqlite", headers=BROWSER).text
    outputs = kernel.run("for e in _mount.requests: print(e.output.count('--main-thread'))")
    assert outputs.stdout.split() == ["1", "1", "1"]
    assert advice not in debugging.get("boom").text


# The mount's line


def updates(kernel: Kernel, seconds: float = 1.5) -> list[dict[str, str]]:
    """What the displays of a kernel are updated to from now on."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            message = kernel._client.get_iopub_msg(timeout=0.2)
        except queue.Empty:
            continue
        assert message["msg_type"] == "update_display_data"
        found.append(message["content"]["data"])
    return found


def shown(kernel: Kernel) -> Output:
    return kernel.run("_mount.show(panel=False)")


def test_the_mounts_line_names_the_failure_and_nothing_else_is_put_out(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    (line,) = shown(kernel).displays
    assert "failed" not in line["text/plain"]
    assert app.get("boom", params={"key": "s3cret"}).status_code == 500
    (update,) = updates(kernel)
    failed = (
        rf"GET /boom failed: ZeroDivisionError in Cell In\[\d+\], line 7"
        rf" · %flaskserve debug {name}"
    )
    assert re.fullmatch(re.escape(line["text/plain"]) + "\n" + failed, update["text/plain"])
    assert re.search(f"<br>{failed}</span>", update["text/html"])
    assert "s3cret" not in str(update)


def test_a_failure_before_the_line_is_shown_is_in_it_too(app: httpx.Client, kernel: Kernel) -> None:
    assert app.get("boom").status_code == 500
    kernel._client.execute("_mount.show(panel=False)")
    assert "GET /boom failed" in texts_of_displays(kernel)[-1]


def texts_of_displays(kernel: Kernel, seconds: float = 1.5) -> list[str]:
    """What displays show, and are updated to, until nothing has come for a while."""
    texts = []
    with contextlib.suppress(queue.Empty):
        while True:
            message = kernel._client.get_iopub_msg(timeout=seconds)
            if message["msg_type"] in ("display_data", "update_display_data"):
                texts.append(message["content"]["data"]["text/plain"])
    return texts


def test_the_mounts_line_follows_the_app(
    server: Server, new_kernel: Callable[[], Kernel], name: str
) -> None:
    kernel = new_kernel()
    kernel.run("%load_ext jupyter_flaskserve\nfrom flask import Flask\nlined = Flask(__name__)")

    def line_after(cell: str) -> str:
        """What the line says in the end, some time after a cell."""
        kernel._client.execute(cell)
        return texts_of_displays(kernel)[-1]

    url = f"{server.url}flaskserve/{name}/?token={server.token}"
    ask = f"import urllib.request\ntry: urllib.request.urlopen({url!r})\nexcept OSError: pass"
    assert " · 0 routes · " in line_after(f"%flaskserve lined --name {name} --no-panel")
    assert " · 1 route · " in line_after("@lined.route('/')\ndef lined_page(): return 1 / 0")
    assert "GET / failed" in line_after(ask)
    assert "failed" not in line_after("@lined.route('/')\ndef lined_page(): return 'mended'")
    assert line_after("_ = __import__('jupyter_flaskserve').mounts()[0].stop()").endswith("stopped")


def test_what_is_asked_for_is_no_markup_in_the_line(app: httpx.Client, kernel: Kernel) -> None:
    kernel.run("app.add_url_rule('/<path:rest>', 'rest', lambda rest: 1 / 0)")
    updates(kernel)  # the line has one route more
    shown(kernel)
    assert app.get("<img src=x>%1B[2J").status_code == 500
    (update,) = updates(kernel)
    assert "/&lt;img src=x&gt;%1B[2J failed" in update["text/html"]
    assert "/<img src=x>%1B[2J failed" in update["text/plain"]


def test_the_line_is_updated_twice_a_second_at_most_and_ends_with_the_newest(
    app: httpx.Client, kernel: Kernel
) -> None:
    shown(kernel)
    for _ in range(20):
        app.get("boom")
    app.get("deep")
    found = updates(kernel)
    assert 1 <= len(found) <= 3
    assert "GET /deep failed: JSONDecodeError in Cell In[" in found[-1]["text/plain"]
    (line,) = shown(kernel).displays  # a fresh one
    assert "failed" not in line["text/plain"]


def test_a_running_cell_is_not_disturbed_by_a_failure(app: httpx.Client, kernel: Kernel) -> None:
    display = shown(kernel)
    cell = kernel.start("import time\nfor i in range(15): print(i); time.sleep(0.1)")
    time.sleep(0.3)
    app.get("boom")
    output = cell.wait()
    assert output.stdout.split() == [str(i) for i in range(15)]
    assert output.stderr == ""
    assert not output.displays
    assert display.displays


# The debugger


def test_the_debugger_opens_in_the_view_with_the_request_at_hand(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    app.get("boom", params={"q": "pears"})
    app.get("fine")
    before = kernel.run("print(closed)").stdout
    cell = kernel.start(f"%flaskserve debug {name}")
    text = ask_debugger(
        cell,
        "p prices",
        "up",
        "p a_local, request.args['q'], session['user'], g.basket",
        "p app.name",
    )
    assert text.startswith("#1 GET /boom?q=pears: ZeroDivisionError: division by zero\n")
    assert re.search(r"> Cell In\[\d+\]\(7\)total\(", text)
    assert "[]\n" in text
    assert "('forty-two', 'pears', 'ada', 'apples')" in text
    assert kernel.run("print(closed)").stdout == before  # no teardown runs a second time
    with pytest.raises(CellError, match="outside of request context"):
        kernel.run("request.args")


def test_it_begins_at_the_apps_own_code_and_not_in_a_library(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    app.get("deep")
    text = ask_debugger(kernel.start(f"%flaskserve debug {name}"), "p a_local", "down")
    assert "'where the app is'" in text
    assert "json" in text.split("'where the app is'")[1]  # the library's frames are there, too


def test_percent_debug_straight_after_does_the_same(app: httpx.Client, kernel: Kernel) -> None:
    app.get("boom", params={"q": "plums"})
    text = ask_debugger(kernel.start("%debug"), "up", "p a_local, request.args['q']")
    assert "('forty-two', 'plums')" in text


def test_percent_debug_is_for_the_cell_that_has_failed_since(
    app: httpx.Client, kernel: Kernel
) -> None:
    app.get("boom")
    with pytest.raises(CellError):
        kernel.run("def fails():\n    of_the_cell = 'yes'\n    raise KeyError\nfails()")
    text = ask_debugger(kernel.start("%debug"), "p of_the_cell")
    assert "'yes'" in text
    assert "GET /boom" not in text


def test_a_breakpoint_ends_the_request_and_the_debugger_opens_there(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    cell = kernel.start("import time; time.sleep(1); print('CELL')")
    time.sleep(0.3)
    assert app.get("stop", timeout=5).status_code == 500
    assert cell.wait().stdout == "CELL\n"
    log = kernel.run("print(_mount.requests.last.output)").stdout
    assert f"run %flaskserve debug {name} in a cell" in log
    text = ask_debugger(kernel.start(f"%flaskserve debug {name}"), "p a_local")
    assert "'at the breakpoint'" in text
    assert "breakpoint()" in text


def test_the_debugger_takes_the_number_of_a_request(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    app.get("boom", params={"q": 1})
    app.get("fine")
    app.get("boom", params={"q": 3})
    for line in (f"%flaskserve debug {name} 1", f"%flaskserve debug {name} '#1'"):
        text = ask_debugger(kernel.start(line), "p request.args['q']")
        assert "'1'" in text
    assert usage_error(kernel, f"%flaskserve debug {name} 2") == (
        f"Request #2 of {name} (GET /fine) has not failed. Those that failed last: #1, #3."
    )
    assert usage_error(kernel, f"%flaskserve debug {name} 9") == (
        f"{name} has no request #9 among the latest ones. Those that failed last: #1, #3."
    )
    for _ in range(10):
        app.get("boom")
    message = usage_error(kernel, f"%flaskserve debug {name} 1")
    assert message.startswith(f"What request #1 of {name} raised (ZeroDivisionError in Cell In[")
    assert "is no longer kept. Those that failed last: #4, #5," in message


def test_where_nothing_has_failed_the_debugger_says_so(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    app.get("fine")
    assert usage_error(kernel, f"%flaskserve debug {name}") == f"No request of {name} has failed."


# The log


def test_the_log_shows_each_request_and_what_it_said(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    assert "has had no request yet" in kernel.run(f"%flaskserve log {name}").stdout
    kernel.run("app.add_url_rule('/say', 'say', lambda: print('one\\ntwo') or 'said')")
    app.get("say", params={"q": 1})
    app.get("fine")
    app.get("boom")
    lines = kernel.run(f"%flaskserve log {name}").stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  #1  GET /say\?q=1  200  \d+\.\d ms", lines[0])
    assert lines[1:3] == ["    one", "    two"]
    assert re.fullmatch(r".*  #2  GET /fine  200  \d+\.\d ms", lines[3])
    assert re.fullmatch(r".*  #3  GET /boom  500  \d+\.\d ms", lines[4])
    assert lines[-1] == "    ZeroDivisionError: division by zero"


FOLLOWED = """
import threading
from flask import Flask
app = Flask(__name__)
go = threading.Event()

@app.route("/")
def slow():
    print("begins")
    print("waits", end="")
    go.wait(10)
    print(" no more")
    return "done"

@app.route("/quick")
def quick():
    print("quick")
    return "done"

@app.route("/go")
def let_go():
    go.set()
    return "done"
"""


def test_following_goes_on_until_the_cell_is_interrupted(
    kernel: Kernel, name: str, server: Server
) -> None:
    import threading

    kernel.run("%load_ext jupyter_flaskserve")
    app = kernel.serve(name, FOLLOWED)
    cell = kernel.start(f"%flaskserve log {name} -f")
    slow = threading.Thread(target=lambda: server.client(name).get(""))
    slow.start()
    time.sleep(1)
    app.get("quick")
    time.sleep(1)
    app.get("go")
    slow.join(10)
    time.sleep(1)
    kernel.interrupt()
    shown = cell.wait()  # and no traceback
    assert shown.stderr == ""
    lines = [re.sub(r"^\d\d:\d\d:\d\d|\d+\.\d ms$", "", line) for line in shown.stdout.splitlines()]
    assert lines[1:5] == [
        "  #1  GET /  open",
        "    begins",
        "  #2  GET /quick  200  ",
        "    quick",
    ]
    last = lines.index("  #1  GET /  200  ")
    assert lines[last + 1] == "    waits no more"
    assert sorted(lines[5:]) == ["    waits no more", "  #1  GET /  200  ", "  #3  GET /go  200  "]


@pytest.mark.jupyter_server("it stops the mount through the REST API")
def test_following_ends_when_the_mount_is_stopped(
    kernel: Kernel, name: str, server: Server
) -> None:
    kernel.run("%load_ext jupyter_flaskserve")
    kernel.serve(name, FOLLOWED)
    cell = kernel.start(f"%flaskserve log {name} --follow")
    time.sleep(0.5)
    server.http.delete(f"api/flaskserve/mounts/{name}").raise_for_status()
    assert cell.wait().stdout.endswith(f"{name} has been stopped.\n")
