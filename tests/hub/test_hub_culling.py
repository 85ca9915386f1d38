"""Culling on a JupyterHub leaves alone what is in use: the kernels of apps, and users' servers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import httpx
import pytest
from hub_processes import Hub
from jupyter_processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

APP = """
import threading
from flask import Flask, Response
app = Flask("used")
ended = threading.Event()

@app.get("/")
def index():
    return "in use"

@app.get("/lasting")
def lasting():
    def parts():
        yield "begun"
        ended.wait(60)
    return Response(parts())
"""
IDLE = 5  # seconds after which a kernel is culled
CULLING = f"""
    c.MappingKernelManager.cull_idle_timeout = {IDLE}
    c.MappingKernelManager.cull_interval = 1
    c.MappingKernelManager.cull_connected = True
"""
# A server tells the hub of its activity so often, in seconds.
ACTIVITY = """
    c.JupyterHubSingleUser.hub_activity_interval = 1
"""


@pytest.fixture(scope="module")
def hub(new_hub: Callable[..., Hub]) -> Hub:
    """A hub whose idle users' servers may be culled."""
    return new_hub()


def test_a_kernel_whose_app_is_in_use_is_left_alone_while_an_idle_one_is_culled(hub: Hub) -> None:
    server = hub.server("culled", CULLING)
    used, _, left = (server.kernel(f"{name}.ipynb") for name in ("used", "idle", "left"))
    client = used.serve("used", APP)
    left.serve("left", APP)  # nobody asks for it

    def running() -> set[str]:
        assert client.get("").text == "in use"
        return {kernel["id"] for kernel in server.http.get("api/kernels").json()}

    wait_until(lambda: running() == {used.id}, seconds=60, what="the end of the idle kernels")
    until = time.monotonic() + 1.5 * IDLE
    while time.monotonic() < until:
        assert running() == {used.id}
    for kernel in server.kernels:
        kernel.disconnect()


def test_the_hub_hears_of_activity_when_only_apps_are_used(
    hub: Hub, browser: Callable[..., httpx.Client]
) -> None:
    server = hub.server("active", ACTIVITY)
    kernel = server.kernel()
    kernel.serve("used", APP)
    kernel.disconnect()
    user = browser("active")
    address = f"{server.url}flaskserve/used/"

    def last_activity() -> datetime:
        return datetime.fromisoformat(server.model()["servers"][""]["last_activity"])

    def is_quiet() -> bool:
        before = last_activity()
        time.sleep(3)  # the hub is told three times
        return last_activity() == before

    assert user.get(address).text == "in use"
    wait_until(is_quiet, seconds=60, what="a hub that hears of no activity")
    asked = datetime.now(timezone.utc)
    assert user.get(address).text == "in use"
    wait_until(lambda: last_activity() >= asked, seconds=30, what="the activity at the hub")


def test_the_hub_hears_of_activity_as_long_as_a_response_lasts(hub: Hub) -> None:
    server = hub.server("active", ACTIVITY)
    kernel = server.kernel("Lasting.ipynb")
    client = kernel.serve("lasting", APP)
    kernel.disconnect()

    def last_activity() -> datetime:
        return datetime.fromisoformat(server.model()["servers"][""]["last_activity"])

    with client.stream("GET", "lasting") as answer:
        parts = answer.iter_text()  # kept, as the response is closed with it
        assert next(parts) == "begun"
        late = datetime.now(timezone.utc) + timedelta(seconds=5)
        # Every ten seconds the server looks what is being answered.
        wait_until(lambda: last_activity() >= late, seconds=40, what="the activity")


def test_the_idle_culler_leaves_a_server_alone_whose_apps_are_used(hub: Hub) -> None:
    used, idle = hub.server("active", ACTIVITY), hub.server("idle", ACTIVITY)
    kernel = used.kernel("Used.ipynb")
    client = kernel.serve("still", APP)
    kernel.disconnect()
    command = [sys.executable, "-m", "jupyterhub_idle_culler", f"--url={hub.url}hub/api"]
    with subprocess.Popen(
        [*command, f"--timeout={IDLE}", "--cull-every=1"],
        env={**os.environ, "JUPYTERHUB_API_TOKEN": hub.api_token},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as culler:
        try:
            until = time.monotonic() + 2 * IDLE

            def is_culled() -> bool:
                assert client.get("").text == "in use"
                return not idle.model()["servers"]

            wait_until(is_culled, seconds=90, what="the end of the idle server")
            while time.monotonic() < until:
                assert client.get("").text == "in use"
                time.sleep(0.2)
        finally:
            culler.terminate()
            culler.wait(10)
