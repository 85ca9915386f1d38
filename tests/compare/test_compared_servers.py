"""The real servers: each is started once, and what the probes find is what it is known for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compare_in_process import APP, write_project
from comparisons import Start, check_installed

from jupyter_flaskserve.comparison.contenders import CONTENDERS
from jupyter_flaskserve.comparison.observed import KEY_HEADER
from jupyter_flaskserve.comparison.probes import COLUMNS
from jupyter_flaskserve.comparison.processes import Workshop
from jupyter_flaskserve.comparison.site import make_site
from jupyter_flaskserve.comparison.wire import ask

pytestmark = pytest.mark.timeout(300)

# y: yes, n: no, p: partly, ?: not measured; several: it depends on what the system does first.
# In the order of COLUMNS: listens, parses, static, balances, tls, streams, slow, survives.
KNOWN = {
    "by-hand": "n n n n d y d d",
    "flask": "y p n p y y y n",
    "gunicorn": "y y n y y y np y",
    "waitress": "y y n p n y y n",
    "nginx": "y y y y y yp y y",
    "apache": "y y y y y y p y",
    "nginx-kernel": "y y y p y p y n",
    "apache-kernel": "y y y p y y y n",
    "jupyter": "y y n p n y y ?",
}


@pytest.fixture(scope="module")
def compared(start: Start) -> dict[str, Any]:
    """All servers that are installed, compared once: rows by their keys."""
    with start() as process:
        assert process.stdout is not None
        *_, last = process.stdout
    return {row["key"]: row for row in json.loads(last)["rows"]}


@pytest.fixture(params=KNOWN)
def row(request: pytest.FixtureRequest, compared: dict[str, Any]) -> Any:
    check_installed(request.param)
    return compared[request.param]


def test_each_server_is_found_to_do_what_it_is_known_for(row: dict[str, Any]) -> None:
    assert not row["remark"]
    for column, known in zip(COLUMNS, KNOWN[row["key"]].split(), strict=True):
        cell = row["cells"][column.key]
        state = "?" if cell["state"] == "not measured" else cell["state"][0]
        assert state in known, f"{column.title}: {cell}"
        assert len(cell["evidence"]) > 10


def test_the_load_is_answered(row: dict[str, Any]) -> None:
    throughput = row["throughput"]
    assert throughput["path"] == "/"
    assert throughput["requests"] > 10
    assert throughput["failed"] == 0
    assert 0 < throughput["median"] < 5
    assert throughput["connections"] == (0 if row["key"] == "by-hand" else 8)


def test_one_request_is_seen_on_its_way(row: dict[str, Any]) -> None:
    passage = row["passage"]
    assert passage["status"] == 200
    assert 0 < passage["reached"] < passage["left"]
    assert passage["reached"] < passage["returned"]
    kinds = [place["kind"] for place in row["places"]]
    assert (kinds[0], kinds[-1]) == ("client", "app")


def test_the_configuration_that_was_used_is_shown(row: dict[str, Any]) -> None:
    shown = "\n".join(row["configuration"].values())
    words = {
        "by-hand": "start_response",
        "flask": "run_simple",
        "gunicorn": "workers = 2",
        "waitress": "-m waitress",
        "nginx": "proxy_pass http://app;",
        "apache": "WSGIDaemonProcess",
        "nginx-kernel": "fastcgi_pass app;",
        "apache-kernel": "fcgi://kernel-",
        "jupyter": "%flaskserve app",
    }
    assert words[row["key"]] in shown


def test_every_contender_has_an_expectation() -> None:
    assert list(KNOWN) == list(CONTENDERS)


@pytest.mark.parametrize("key", ["nginx", "apache", "nginx-kernel", "apache-kernel"])
def test_nobody_else_gets_static_files(key: str) -> None:
    check_installed(key)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(APP, namespace)
    with Workshop() as workshop:
        site = make_site(workshop, namespace["app"], write_project)
        contender = CONTENDERS[key](site)
        try:
            contender.start()
            address = contender.address
            assert address is not None
            path = f"{site.static_url}{site.marker}"
            assert ask(address, path, 10).status == 200
            for headers in ((), ((KEY_HEADER, ""),), ((KEY_HEADER, site.key[1:]),)):
                answer = ask(replace(address, headers=headers), path, 10)
                assert answer.status == 403
                assert site.marker_text.encode() not in answer.body
        finally:
            contender.stop()
        assert site.key not in str(contender.configuration)


def test_a_gunicorn_leaves_the_control_socket_of_the_persons_own_alone(
    start: Start, tmp_path: Path
) -> None:
    check_installed("gunicorn")
    sockets = [tmp_path / "runtime" / "gunicorn.ctl", tmp_path / ".gunicorn" / "gunicorn.ctl"]
    for socket in sockets:
        socket.parent.mkdir()
        socket.touch()
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "runtime")}
    before = [socket.stat() for socket in sockets]
    with start("gunicorn", seconds=0, environment=home) as process:
        assert process.stdout is not None
        *_, last = process.stdout
    (row,) = json.loads(last)["rows"]
    assert row["cells"]["listens"]["state"] == "yes"
    assert [socket.stat() for socket in sockets] == before


def test_a_page_that_counts_is_asked_for_by_its_path(start: Start) -> None:
    with start("by-hand", path="/counted") as process:
        assert process.stdout is not None
        *_, last = process.stdout
    (row,) = json.loads(last)["rows"]
    assert row["throughput"]["path"] == "/counted"


def test_a_page_that_does_not_exist_is_replaced_by_the_probes_own(start: Start) -> None:
    with start("by-hand", path="/nowhere") as process:
        assert process.stdout is not None
        *_, last = process.stdout
    (row,) = json.loads(last)["rows"]
    assert row["throughput"]["path"] == ""
    assert row["passage"]["status"] == 404
