"""What views print, log and show while cells run: nothing crosses from one to the other."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from jupyter_processes import Kernel, wait_until

TALKATIVE = """
import logging, sys, warnings
from flask import Flask, request
from IPython.display import HTML, clear_output, display

before = logging.getLogger("before")
before.handlers = [logging.StreamHandler(sys.stderr)]
before.propagate = False
%load_ext jupyter_flaskserve
after = logging.getLogger("after")
after.handlers = [logging.StreamHandler(sys.stdout)]
after.propagate = False
app = Flask(__name__)

class Table:
    def __repr__(self):
        return "VIEW table as text"
    def _repr_html_(self):
        return "<b>VIEW table</b>"

@app.route("/")
def talk():
    number = request.args.get("n", "")
    print("VIEW prints", number, flush=True)
    print("VIEW writes", file=sys.stderr)
    sys.stdout.writelines(["VIEW writes ", "lines\\n"])
    before.warning("VIEW logs before")
    after.warning("VIEW logs after")
    warnings.warn("VIEW warns", stacklevel=1)
    app.logger.warning("VIEW app.logger")
    clear_output()
    display(Table())
    return "done"
"""

SAID = (
    "VIEW prints",
    "VIEW writes\n",
    "VIEW writes lines\n",
    "VIEW logs before\n",
    "VIEW logs after\n",
    "UserWarning: VIEW warns\n",
    "VIEW app.logger\n",
    "VIEW table as text\n",
)


@pytest.fixture
def app(kernel: Kernel, name: str) -> httpx.Client:
    return kernel.serve(name, TALKATIVE)


def output(kernel: Kernel, index: int = -1) -> str:
    return kernel.run(f"print(_mount.requests[{index}].output)").stdout


def published(kernel: Kernel, seconds: float = 0.5) -> list[str]:
    """The kinds of the messages that the kernel publishes from now on, unasked."""
    kinds = []
    end = time.monotonic() + seconds
    while (rest := end - time.monotonic()) > 0:
        try:
            kinds.append(kernel._client.get_iopub_msg(timeout=rest)["msg_type"])
        except queue.Empty:
            break
    return kinds


def asks(kernel: Kernel) -> bool:
    """Whether the kernel has asked the notebook for input."""
    try:
        kernel._client.get_stdin_msg(timeout=0.2)
    except queue.Empty:
        return False
    return True


def test_while_a_cell_prints_in_a_loop_nothing_crosses(app: httpx.Client, kernel: Kernel) -> None:
    cell = kernel.start(
        """
        import time
        end = time.monotonic() + 3
        count = 0
        while time.monotonic() < end:
            print("CELL", count)
            count += 1
            time.sleep(0.001)
        print("CELL saw", len(_mount.requests))
        """
    )
    time.sleep(0.5)

    def ask(number: int) -> str:
        return app.get("", params={"n": number}).text

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(40)))
    shown = cell.wait()
    assert answers == ["done"] * 40
    assert "VIEW" not in shown.stdout + shown.stderr
    assert not shown.displays
    lines = shown.stdout.splitlines()
    assert lines[:-1] == [f"CELL {number}" for number in range(len(lines) - 1)]
    assert lines[-1] == "CELL saw 40"  # they ran while the cell did
    outputs = kernel.run(
        "for exchange in _mount.requests: print(exchange.output.encode())"
    ).stdout.splitlines()
    assert len(outputs) == 40
    assert not any("CELL" in text for text in outputs)
    assert sorted(int(text.split("prints ")[1].split("\\n")[0]) for text in outputs) == [*range(40)]


def test_all_that_a_view_says_is_in_its_exchange(app: httpx.Client, kernel: Kernel) -> None:
    assert app.get("").text == "done"
    text = output(kernel)
    for said in SAID:
        assert text.count(said) == 1, text
    assert "CELL" not in text


def test_between_cells_nothing_is_put_out_either(app: httpx.Client, kernel: Kernel) -> None:
    """It would go into the output of the cell that ran last."""
    kernel.run("print('CELL')")
    assert app.get("").text == "done"
    assert published(kernel) == []
    assert "VIEW prints" in output(kernel)


def test_a_cell_prints_displays_and_asks_as_ever(app: httpx.Client, kernel: Kernel) -> None:
    app.get("")
    shown = kernel.run("print('out'); print('err', file=sys.stderr); display(Table()); 6 * 7")
    assert (shown.stdout, shown.stderr) == ("out\n", "err\n")
    assert [data["text/plain"] for data in shown.displays] == ["VIEW table as text", "42"]
    cell = kernel.start("print('got', input('name? '))")
    cell.wait_for_input()
    cell.answer("ada")
    assert cell.wait().stdout == "got ada\n"


def test_redirecting_and_capturing_work_in_cells(app: httpx.Client, kernel: Kernel) -> None:
    shown = kernel.run(
        """
        import contextlib, io
        with contextlib.redirect_stdout(io.StringIO()) as text:
            print("inside")
        print("got", text.getvalue().strip())
        """
    )
    assert shown.stdout == "got inside\n"
    kernel.run("%%capture captured\nprint('inside')")
    assert kernel.run("print('got', captured.stdout.strip())").stdout == "got inside\n"
    app.get("")
    assert "VIEW prints" in output(kernel)


INPUT = """
from flask import Flask
app = Flask(__name__)

def told(function):
    try:
        return str(function("VIEW asks"))
    except RuntimeError as error:
        return str(error)

@app.route("/input")
def ask():
    return told(input)

@app.route("/getpass")
def ask_secretly():
    import getpass
    return told(getpass.getpass)
"""


@pytest.mark.parametrize("function", ["input", "getpass"])
def test_a_view_that_asks_for_input_is_told_that_it_cannot(
    kernel: Kernel, name: str, function: str
) -> None:
    app = kernel.serve(name, INPUT)
    between = app.get(function, timeout=5).text
    cell = kernel.start("import time; time.sleep(1.5); print('CELL')")
    time.sleep(0.5)
    during = app.get(function, timeout=5).text
    shown = cell.wait()
    assert during.startswith(f"{function}() asks a person at the notebook")
    assert "asks a person at the notebook" in between
    assert shown.stdout == "CELL\n"
    assert not asks(kernel)


def test_the_cell_that_loads_the_extension_is_safe_from_input_too(
    new_kernel: Callable[..., Kernel], name: str
) -> None:
    kernel = new_kernel("input.ipynb")
    cell = kernel.start(
        "%load_ext jupyter_flaskserve\n" + INPUT + "from jupyter_flaskserve import serve\n"
        f"_mount = serve(app, {name!r})\nimport time; time.sleep(3); print('CELL')"
    )
    app = kernel.server.client(name)
    text = wait_until(
        lambda: (answer := app.get("input", timeout=5)).status_code == 200 and answer.text,
        what="the app",
    )
    assert text.startswith("input() asks a person")
    assert cell.wait().stdout == "CELL\n"
    assert not asks(kernel)


def test_a_figure_shown_in_a_view_does_not_show_in_the_notebook(
    app: httpx.Client, kernel: Kernel, name: str
) -> None:
    """What ``matplotlib``'s inline backend does in ``show()`` is to publish the figure."""
    app = kernel.serve(
        f"{name}-figure",
        """
        from flask import Flask
        app = Flask(__name__)
        @app.route("/")
        def figure():
            get_ipython().display_pub.publish(
                data={"text/plain": "<Figure size 640x480>", "image/png": "iVBORw0KGgo="}
            )
            return "done"
        """,
    )
    cell = kernel.start("import time; time.sleep(1)")
    assert app.get("").text == "done"
    assert not cell.wait().displays
    assert output(kernel) == "<Figure size 640x480>\n\n"


def test_unloading_gives_back_what_was_there(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel("unload.ipynb")
    state = """
    import builtins, getpass, sys
    import flask
    ip = get_ipython()
    print([sorted(vars(o)) for o in (sys.stdout, sys.stderr, sys.stdin, ip.display_pub)],
          "raw_input" in vars(ip.kernel), "getpass" in vars(ip.kernel), "debugger" in vars(ip),
          builtins.input == ip.kernel.raw_input, getpass.getpass == ip.kernel.getpass,
          sys.breakpointhook is sys.__breakpointhook__,
          len(flask.got_request_exception.receivers), len(ip.events.callbacks["pre_run_cell"]))
    """
    kernel.run("print('so that what is made at the first use is there', flush=True)")
    before = kernel.run(state).stdout
    kernel.run("%load_ext jupyter_flaskserve")
    assert kernel.run(state).stdout != before
    kernel.run("%unload_ext jupyter_flaskserve")
    assert kernel.run(state).stdout == before
