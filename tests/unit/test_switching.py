"""The switch interval while an app is served."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator

import pytest
from fastcgi_clients import Serve, wait_until

from jupyter_flaskserve.kernel.responder import switching
from jupyter_flaskserve.kernel.responder.switching import BRISK, DEFAULT, brisk_switching

ANOTHER = 0.02


@pytest.fixture(autouse=True)
def default_interval() -> Iterator[None]:
    # Responders of tests before this may still be about to end.
    wait_until(lambda: not any(t.name.endswith(" accept") for t in threading.enumerate()))
    assert switching._users == 0
    assert sys.getswitchinterval() == DEFAULT
    yield
    sys.setswitchinterval(DEFAULT)


def test_it_is_short_while_an_app_is_served(serve: Serve) -> None:
    served = serve(lambda environ, start_response: [])  # which nobody asks
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


@pytest.mark.parametrize("interval", [ANOTHER, DEFAULT], ids=["another", "the default"])
def test_what_is_set_meanwhile_stays(interval: float) -> None:
    with brisk_switching():
        sys.setswitchinterval(interval)
        with brisk_switching():
            assert sys.getswitchinterval() == interval
    assert sys.getswitchinterval() == interval


def test_an_exception_restores_it() -> None:
    with pytest.raises(ValueError, match="inside"), brisk_switching():
        raise ValueError("inside")
    assert sys.getswitchinterval() == DEFAULT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There is no fork on this system.")
def test_a_child_process_has_the_default() -> None:
    with brisk_switching():
        with switching._lock:  # as another thread may have it just then
            pid = os.fork()
            if pid == 0:
                _leave_as_a_child()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert sys.getswitchinterval() == BRISK


def _leave_as_a_child() -> None:
    """End the process, with status 0 where a child's interval is right."""
    status = 1
    try:
        signal.alarm(10)  # ends a child that waits for a lock
        well = sys.getswitchinterval() == DEFAULT
        with brisk_switching():
            well = well and sys.getswitchinterval() == BRISK
        if well and sys.getswitchinterval() == DEFAULT:
            status = 0
    finally:
        os._exit(status)
