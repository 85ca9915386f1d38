"""What an exported app has to stand behind real servers: streams, WebSockets, TLS, proxies that say
who asks, and a Gunicorn that is killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import websocket
import yaml
from programs import SECONDS, program
from projects import Project, write_notebook
from shop import SECRET, write_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def project(shop: Path, make_project: Callable[..., Project]) -> Iterator[Project]:
    """The shop behind nginx and Gunicorn with two workers."""
    project = make_project(shop)
    with project.gunicorn(WEB_CONCURRENCY="2"), project.nginx():
        yield project


@pytest.fixture(scope="module")
def apache(shop: Path, make_project: Callable[..., Project]) -> Iterator[Project]:
    """The shop in Apache."""
    project = make_project(shop)
    with project.apache():
        yield project


def http(address: str, **options: object) -> httpx.Client:
    return httpx.Client(base_url=f"http://{address}", timeout=SECONDS, trust_env=False, **options)


# The configurations


def test_nginx_finds_nothing_wrong_with_its_configuration(project: Project) -> None:
    done = project.as_user([program("nginx", "nginx"), *project.nginx_words, "-t"])
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr, done.stderr
    assert "test is successful" in done.stderr


def test_nginx_finds_nothing_wrong_with_it_as_compose_starts_it(project: Project) -> None:
    compose = yaml.safe_load((project.directory / "compose.yaml").read_text())
    *shell, script = compose["services"]["nginx"]["command"]
    here = script.replace("/srv/app", str(project.directory)).rstrip() + " -t"
    done = project.as_user([*shell, here.replace("nginx -e", f"{program('nginx', 'nginx')} -e")])
    assert "test is successful" in done.stderr
    port = project.port(project.addresses.web)
    assert f"listen {port};" in (project.directory / "nginx-all.conf").read_text()


def test_apache_finds_nothing_wrong_with_its_configuration(apache: Project) -> None:
    command = [program("apachectl", "apache2"), "configtest"]
    words = " ".join(apache.apache_words)
    done = apache.as_user(["env", f"APACHE_ARGUMENTS={words}", *command])
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "Syntax OK"


def test_systemd_finds_nothing_wrong_with_the_unit(project: Project, tmp_path: Path) -> None:
    analyze = program("systemd-analyze", "systemd")
    (unit,) = project.directory.glob("*.service")
    # Here it is not in /srv, and systemd wants the program to be there.
    gunicorn = Path(sys.executable).with_name("gunicorn")
    text = re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={gunicorn}", unit.read_text())
    copy = tmp_path / unit.name
    copy.write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    mine = [line for line in done.stderr.splitlines() if unit.name in line]
    assert mine == []
    assert done.returncode == 0, done.stderr


def test_compose_and_kubernetes_have_what_they_need_and_no_secret(project: Project) -> None:
    compose = yaml.safe_load((project.directory / "compose.yaml").read_text())
    assert set(compose["services"]) == {"app", "nginx"}
    assert compose["services"]["app"]["env_file"] == ".env"
    volumes = [volume.split(":")[0] for volume in compose["services"]["nginx"]["volumes"]]
    assert volumes == ["./nginx.conf", "./tls", "./static"]
    objects = list(yaml.safe_load_all((project.directory / "kubernetes.yaml").read_text()))
    assert [each["kind"] for each in objects] == ["Deployment", "Service", "Ingress"]
    pod = objects[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "shop"}}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= set(container)
    labels = objects[0]["spec"]["template"]["metadata"]["labels"]
    assert objects[0]["spec"]["selector"]["matchLabels"] == labels == objects[1]["spec"]["selector"]


def test_the_dockerfile_does_not_run_as_root(project: Project) -> None:
    text = (project.directory / "Dockerfile").read_text()
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    assert text.index("USER ") < text.index('CMD ["gunicorn"')
    assert "HEALTHCHECK" in text
    ignored = (project.directory / ".dockerignore").read_text().split()
    assert {".env", ".venv/", "tls/"} <= set(ignored)


def test_no_secret_is_in_any_file(project: Project) -> None:
    assert project.exported.secrets == {"SECRET_KEY": SECRET}
    files = [path for path in project.directory.rglob("*") if path.is_file()]
    found = [path.name for path in files if SECRET.encode() in path.read_bytes()]
    assert found == []
    assert "hunter2" not in (project.directory / "app.py").read_text()
    assert "SECRET_KEY=\n" in (project.directory / ".env.example").read_text()


def test_without_its_secrets_the_app_says_which_are_missing(project: Project) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "SECRET_KEY"}
    done = subprocess.run(
        [sys.executable, "-c", "import wsgi"],
        cwd=project.directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(".env.example). Set: SECRET_KEY")


# Who asks, and where


def test_url_for_has_the_address_that_the_visitor_sees(project: Project) -> None:
    web, tls = project.addresses.web, project.addresses.tls
    with http(web) as client:
        assert client.get("/absolute").text == f"http://{web}/greet/Ada"
        host = {"Host": "shop.example:8080"}
        assert client.get("/absolute", headers=host).text == "http://shop.example:8080/greet/Ada"
    with httpx.Client(base_url=f"https://{tls}", verify=project.tls, trust_env=False) as client:
        assert client.get("/absolute").text == f"https://{tls}/greet/Ada"


@pytest.mark.parametrize(
    "header",
    [
        {"X-Forwarded-For": "6.6.6.6"},
        {"X-Real-IP": "6.6.6.6"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Prefix": "/evil"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"X-Forwarded-Host": "evil.example, evil.example"},
    ],
)
def test_a_visitor_cannot_say_what_only_a_proxy_may(
    project: Project, apache: Project, header: dict[str, str]
) -> None:
    for address in (project.addresses.web, apache.addresses.web):
        with http(address) as client:
            answer = client.get("/absolute", headers=header).text
            assert answer == f"http://{address}/greet/Ada"
            assert client.get("/visitor", headers=header).text == "127.0.0.1"


def test_a_session_holds_whichever_worker_answers(project: Project) -> None:
    with http(project.addresses.web) as client:
        client.post("/login", data={"user": "Ada"})
        assert {client.get("/me").text for _ in range(40)} == {"Ada"}


# Streams and WebSockets


@pytest.mark.parametrize("server", ["gunicorn", "nginx", "apache"])
def test_the_first_part_of_a_stream_arrives_before_the_last(
    project: Project, apache: Project, server: str
) -> None:
    address = {
        "gunicorn": project.addresses.backends[0],
        "nginx": project.addresses.web,
        "apache": apache.addresses.web,
    }[server]
    with http(address) as client, client.stream("GET", "/slow/3") as response:
        parts = response.iter_raw()
        started = time.monotonic()
        assert next(parts) == b"first\n"
        first = time.monotonic() - started
        assert b"".join(parts) == b"last\n"
        assert time.monotonic() - started - first > 1.5


def test_what_has_a_length_is_taken_from_the_worker_at_once(project: Project) -> None:
    with http(project.addresses.web) as client:
        assert "X-Accel-Buffering" not in client.get("/stream").headers
    with http(project.addresses.backends[0]) as client:
        assert client.get("/stream").headers["X-Accel-Buffering"] == "no"
        assert "X-Accel-Buffering" not in client.get("/bytes").headers


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_websocket_passes_nginx(project: Project, scheme: str) -> None:
    address = project.addresses.web if scheme == "ws" else project.addresses.tls
    context = project.tls if scheme == "wss" else None
    # A client of one thread: two may not use a TLS socket at once.
    link = websocket.create_connection(
        f"{scheme}://{address}/ws", timeout=SECONDS, sslopt={"context": context}
    )
    with contextlib.closing(link):
        for text in ("hello", "x" * 100_000):
            link.send(text)
            assert link.recv() == text.upper()


def test_an_upload_of_some_megabytes_passes(project: Project, apache: Project) -> None:
    for address in (project.addresses.web, apache.addresses.web):
        with http(address) as client:
            answer = client.post("/api/echo", data={"text": "x" * 400_000})
            assert answer.json()["form"] == {"text": "x" * 400_000}


def test_the_answer_to_an_upload_that_the_app_does_not_read_arrives(
    project: Project, apache: Project
) -> None:
    for address in (project.addresses.web, apache.addresses.web):
        for _ in range(10):  # without care it is lost now and then
            with http(address) as client:
                assert client.post("/login", content=b"x" * 5_000_000).status_code == 400
                assert client.get("/greet/Ada").text == "HELLO ADA"


LARGE = [
    "from flask import Flask, Response, request\napp = Flask(__name__)",
    "@app.route('/large')\ndef large():\n    return Response(bytes(32_000_000))",
    "@app.route('/read', methods=['POST'])\ndef read():\n    return str(len(request.data))",
    "@app.route('/')\ndef home():\n    return 'home'",
]


def test_more_slow_visitors_than_threads_do_not_hold_up_the_others(
    tmp_path: Path, make_project: Callable[..., Project]
) -> None:
    project = make_project(write_notebook(tmp_path / "large.ipynb", LARGE))
    host, _, port = project.addresses.web.rpartition(":")
    with (
        project.gunicorn(WEB_CONCURRENCY="1", THREADS="2"),
        project.nginx(),
        contextlib.ExitStack() as stack,
    ):
        for number in range(6):
            connection = socket.create_connection((host, int(port)), timeout=SECONDS)
            stack.enter_context(contextlib.closing(connection))
            if number % 2:  # it does not send all of its body
                head = b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
                connection.sendall(head + b"some of it")
            else:  # it does not read the response
                connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                assert connection.recv(12) == b"HTTP/1.1 200"
        with http(project.addresses.web) as client:
            for _ in range(5):
                assert client.get("/").text == "home"


# More than one Gunicorn

WHO = [
    "from flask import Flask\nimport os\napp = Flask(__name__)",
    "@app.route('/')\ndef who():\n    return os.environ['BIND']",
    "@app.route('/slow')\ndef slow():\n    import time\n    time.sleep(0.05)\n    return who()",
]


def test_of_two_gunicorns_one_may_be_killed_under_load(
    tmp_path: Path, make_project: Callable[..., Project]
) -> None:
    project = make_project(write_notebook(tmp_path / "who.ipynb", WHO), backends=2)
    first, second = project.addresses.backends
    with project.gunicorn(first) as victim, project.gunicorn(second), project.nginx():
        failed: list[str] = []
        seen: list[str] = []
        after_kill: list[str] = []
        killed = threading.Event()

        def visit() -> None:
            with http(project.addresses.web) as client:
                for _ in range(5000):
                    try:
                        answer = client.get("/slow")
                    except httpx.HTTPError as error:
                        failed.append(repr(error))
                        return
                    if answer.status_code != 200:
                        failed.append(f"{answer.status_code}")
                    seen.append(answer.text)
                    if killed.is_set():
                        if len(after_kill) >= 8 * 25:
                            return
                        after_kill.append(answer.text)

        with ThreadPoolExecutor(8) as threads:
            visitors = [threads.submit(visit) for _ in range(8)]
            deadline = time.monotonic() + SECONDS
            while len(set(seen)) < 2 or len(seen) < 50:
                assert time.monotonic() < deadline, (seen, failed)
                time.sleep(0.01)
            os.killpg(victim.pid, signal.SIGKILL)
            killed.set()
            for visitor in visitors:
                visitor.result(60)
        assert failed == []
        assert set(seen) == {first, second}
        assert after_kill[-1] == second
