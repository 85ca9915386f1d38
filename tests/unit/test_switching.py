"""The switch interval while an app is served."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator

import pytest
from fastcgi_clients import Environ, Serve, StartResponse, wait_until

from jupyter_flaskserve.kernel.responder.switching import BRISK, DEFAULT, brisk_switching

ANOTHER = 0.02


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


@pytest.fixture(autouse=True)
def default_interval() -> Iterator[None]:
    # Responders of tests before this may still be about to end.
    wait_until(lambda: not any(t.name.endswith(" accept") for t in threading.enumerate()))
    assert sys.getswitchinterval() == DEFAULT
    yield
    sys.setswitchinterval(DEFAULT)


def test_it_is_short_while_an_app_is_served(serve: Serve) -> None:
    served = serve(app)
    wait_until(lambda: sys.getswitchinterval() == BRISK)
    served.responder.stop()
    wait_until(lambda: sys.getswitchinterval() == DEFAULT)


def test_it_is_short_until_the_last_app_has_ended() -> None:
    with brisk_switching():
        with brisk_switching():
            pass
        assert sys.getswitchinterval() == BRISK
    assert sys.getswitchinterval() == DEFAULT


def test_an_app_may_be_served_again() -> None:
    for _ in range(2):
        with brisk_switching():
            assert sys.getswitchinterval() == BRISK
        assert sys.getswitchinterval() == DEFAULT


@pytest.mark.parametrize("interval", [ANOTHER, BRISK], ids=["longer", "as short as ours"])
def test_what_was_set_before_stays(interval: float) -> None:
    sys.setswitchinterval(interval)
    with brisk_switching():
        assert sys.getswitchinterval() == interval
    assert sys.getswitchinterval() == interval


def test_what_is_set_meanwhile_stays() -> None:
    with brisk_switching():
        sys.setswitchinterval(ANOTHER)
        with brisk_switching():
            assert sys.getswitchinterval() == ANOTHER
    assert sys.getswitchinterval() == ANOTHER


def test_an_app_that_fails_to_end_well_restores_it() -> None:
    with pytest.raises(ValueError, match="listener"), brisk_switching():
        raise ValueError("listener")
    assert sys.getswitchinterval() == DEFAULT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no fork on this system.")
def test_a_child_process_has_the_default() -> None:
    with brisk_switching():
        pid = os.fork()
        if pid == 0:
            well = sys.getswitchinterval() == DEFAULT
            with brisk_switching():
                well = well and sys.getswitchinterval() == BRISK
            os._exit(0 if well and sys.getswitchinterval() == DEFAULT else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert sys.getswitchinterval() == BRISK
