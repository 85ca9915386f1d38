"""What ``--validate`` finds: servers that break the rules of WSGI in ways made here on purpose."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from jupyter_processes import Kernel, arrangement, wait_until

pytestmark = pytest.mark.validated("it is about what the validator finds")

APP = """
from flask import Flask, request
app = Flask(__name__)

@app.route("/", methods=["GET", "POST"])
def length():
    return str(len(request.get_data()))
"""


def changed_environ(change: str) -> str:
    return (
        "from jupyter_flaskserve.kernel.responder import responder\n"
        "make_environ = responder.make_environ\n"
        "def make_other(params):\n"
        "    environ = make_environ(params)\n"
        f"    {change}\n"
        "    return environ\n"
        "responder.make_environ = make_other\n"
    )


FAULTS = {
    "a key that is missing": (
        changed_environ("del environ['wsgi.version']"),
        "missing required key: 'wsgi.version'",
    ),
    "a header that is no str": (
        changed_environ("environ['HTTP_HOST'] = b'localhost'"),
        "HTTP_HOST is not a string",
    ),
    "a header that has a key of its own": (
        changed_environ("environ['HTTP_CONTENT_LENGTH'] = '0'"),
        "should not have the key: HTTP_CONTENT_LENGTH",
    ),
    "a path that is relative": (
        changed_environ("environ['PATH_INFO'] = 'here'"),
        "PATH_INFO doesn't start with /",
    ),
    "a body that is a str": (
        "from jupyter_flaskserve.kernel.responder.streams import BodyInput\n"
        "BodyInput.read = lambda self, size=-1: 'text'\n",
        "an assertion without words",
    ),
    "an iterable that is not closed": (
        "from jupyter_flaskserve.kernel.responder.wsgi import Transaction\n"
        "Transaction._close = lambda self, close: None\n",
        "Iterator garbage collected without being closed",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_server_is_found(
    fault: str, new_kernel: Callable[..., Kernel], name: str
) -> None:
    assert arrangement.validation is not None
    code, finding = FAULTS[fault]
    kernel = new_kernel()
    client = kernel.serve(name, APP)
    assert client.post("", content=b"hello").text == "5"
    assert arrangement.validation.take() == ""
    kernel.run(code)
    client.post("", content=b"hello")
    assert finding in wait_until(arrangement.validation.take, what="a finding")
