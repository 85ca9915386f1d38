"""``%flaskserve request``: its line, its client and what it shows."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_flaskserve import running_servers
from jupyter_flaskserve.cli import process
from jupyter_flaskserve.kernel.client import client
from jupyter_flaskserve.kernel.client.reply import Reply, Sent
from jupyter_flaskserve.kernel.home import Home
from jupyter_flaskserve.kernel.magics import line
from jupyter_flaskserve.kernel.magics import request as magic

SENT = Sent("GET", "http://127.0.0.1:8888/flaskserve/demo/", (), b"")


def reply(body: bytes = b"", *headers: tuple[str, str], **changes: Any) -> Reply:
    values = {"status": 200, "reason": "OK", **changes}
    return Reply(
        headers=headers,
        body=body,
        request=SENT,
        connect_seconds=0.0011,
        first_byte_seconds=0.0102,
        seconds=0.0203,
        **values,
    )


def shown(reply: Reply) -> tuple[str, str]:
    bundle = reply._repr_mimebundle_()
    return bundle["text/plain"], bundle["text/html"]


# What is shown


def test_it_shows_status_timing_headers_and_body() -> None:
    text, _ = shown(reply(b"hello", ("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")))
    assert text.splitlines() == [
        "200 OK · GET http://127.0.0.1:8888/flaskserve/demo/",
        "connected in 1.1 ms, first byte after 10.2 ms, 5 bytes after 20.3 ms",
        "",
        "Content-Type: text/plain",
        "X-A: 1",
        "X-A: 2",
        "",
        "hello",
    ]


@pytest.mark.parametrize(
    ("media_type", "body", "seen"),
    [
        ("application/json", b'{"a":[1,"\xc3\xa9"]}', '{\n  "a": [\n    1,\n    "é"\n  ]\n}'),
        ("application/problem+json", b"[]", "[]"),
        ("application/json", b"{broken", "{broken"),
        ("text/html; charset=latin-1", b"<p>\xe9</p>", "<p>é</p>"),
        ("text/plain; charset=no-such", b"\xc3\xa9", "é"),
        ("text/plain", b"\x1b[31mred\x00", "\\x1b[31mred\\x00"),
        ("application/octet-stream", b"plain text", "plain text"),
        ("application/octet-stream", b"\x00AB\xff", "00000000  00 41 42 ff"),
        ("image/png", b"\x89PNG", "[image/png, 4 bytes]"),
        ("image/svg+xml", b"<svg/>", "<svg/>"),
    ],
)
def test_the_body_is_shown_as_what_it_is(media_type: str, body: bytes, seen: str) -> None:
    text, _ = shown(reply(body, ("Content-Type", media_type)))
    assert text.split("\n\n", 2)[2].startswith(seen)


def test_a_long_body_is_cut_with_a_note() -> None:
    text, _ = shown(reply(b"x" * 12_345, ("Content-Type", "text/plain")))
    assert text.endswith("\n… [2345 more characters]")
    text, _ = shown(reply(bytes(1000)))
    assert text.endswith("\n… [744 more bytes]")


def test_the_html_runs_nothing_of_the_response() -> None:
    attack = "<script>alert(1)</script>"
    changes: dict[str, Any] = {"reason": attack, "note": attack}
    _, page = shown(
        reply(attack.encode(), ("Content-Type", "text/html"), ("X-A", attack), **changes)
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
    _, page = shown(reply(attack.encode(), ("Content-Type", 'image/png" onload="alert(1)')))
    assert "onload" not in page.replace("&quot; onload=", "")


def test_an_image_is_an_image() -> None:
    _, page = shown(reply(b"\x89PNG", ("Content-Type", "image/png")))
    assert '<img src="data:image/png;base64,iVBORw=="' in page


def test_a_note_says_why_a_body_is_not_whole() -> None:
    assert shown(reply(b"a", note="The response broke off."))[0].endswith(
        "\n\n[The response broke off.]"
    )


def test_a_reply_in_python() -> None:
    answer = reply(b'{"a": 1}', ("Content-Type", "application/json"), status=404, reason="NO")
    assert (answer.json(), answer.text, answer.ok) == ({"a": 1}, '{"a": 1}', False)
    assert answer.header("content-type") == "application/json"
    assert answer.header("X-None") is None
    assert repr(answer) == "<Reply 404 NO · GET http://127.0.0.1:8888/flaskserve/demo/>"


# The line


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """What a line asks for."""
    mount = SimpleNamespace(
        name="demo", url="http://127.0.0.1:8888/flaskserve/demo/", path="/flaskserve/demo/"
    )
    monkeypatch.setattr(line, "mounts", lambda: [mount])

    def asked(text: str, **variables: Any) -> dict[str, Any]:
        sent: dict[str, Any] = {}

        def send(mount: Any, method: str, path: str, headers: Any, body: Any, **more: Any) -> Reply:
            sent.update(method=method, path=path, headers=headers, body=body, **more)
            return reply()

        monkeypatch.setattr(magic, "send", send)
        shell: Any = SimpleNamespace(user_ns=variables)
        assert magic.request(shlex.split(text), shell) is not None
        return sent

    return asked


@pytest.mark.parametrize(
    ("text", "method", "path"),
    [
        ("", "GET", "/"),
        ("/users/7?x=1", "GET", "/users/7?x=1"),
        ("users", "GET", "users"),
        ("DELETE /users/7", "DELETE", "/users/7"),
        ("delete /users/7", "DELETE", "/users/7"),
        ("PURGE /users", "PURGE", "/users"),
        ("HEAD", "HEAD", "/"),
        ("/ -d a", "POST", "/"),
        ("PUT /a --json 1", "PUT", "/a"),
        ("-H A:1 PUT --timeout 3 /a", "PUT", "/a"),
        ("/flaskserve/demo/users", "GET", "/users"),
        ("http://127.0.0.1:8888/flaskserve/demo/users", "GET", "/users"),
        ("https://hub.example.org/flaskserve/demo/users?x=1", "GET", "/users?x=1"),
        ("https://hub.example.org/flaskserve/demo", "GET", ""),
    ],
)
def test_method_and_path(
    asked: Callable[..., dict[str, Any]], text: str, method: str, path: str
) -> None:
    sent = asked(text)
    assert (sent["method"], sent["path"]) == (method, path)


def test_the_body_has_its_type_unless_a_header_says_another(
    asked: Callable[..., dict[str, Any]],
) -> None:
    assert asked("/ --json $a", a={"b": 1})["headers"] == [("Content-Type", "application/json")]
    sent = asked("/ -H 'Content-Type: text/plain' -d 'a b' -H 'X: y:z'")
    assert sent["headers"] == [("Content-Type", "text/plain"), ("X", "y:z")]
    assert sent["body"] == b"a b"
    assert asked("/")["timeout"] == 60.0
    assert asked("/ --timeout 0.5 -L")["timeout"] == 0.5
    assert asked("/ -L")["follow"] is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("GET /a /b", "'/b' is one word too many"),
        ("/ -H broken", "'broken' is not a header field"),
        ("/ -H 'A: b\r\nC: d'", "is not a header field"),
        ("/ -d a --json 1", "A request has one body"),
        ("/ --json '{a: 1}'", "This is not JSON"),
        ("/ --json $a", "There is no variable a."),
        ("/ --json $thing", "$thing cannot be JSON: Object of type object"),
        ("/ -d $thing", "$thing is of type object."),
        ("/ -d @/no/such/file", "/no/such/file cannot be read: No such file"),
        ("/ --form a=@/no/such/file", "/no/such/file cannot be read: No such file"),
        ("/ --form a", "'a' is not a form's field"),
        ("/ --timeout soon", "argument --timeout: 'soon' is not a number of seconds"),
        ("/ --jsn 1", "There is no option --jsn. Did you mean --json?"),
        ("http://example.org/", "http://example.org/ is not an address of demo."),
        ("/ --name other", "This notebook does not serve other."),
    ],
)
def test_a_mistake_is_one_clear_line(
    asked: Callable[..., dict[str, Any]], text: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        asked(text, thing=object())
    assert said in str(caught.value)


# The client


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps([self.path, self.headers.get("Authorization")]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", "username-127-0-0-1=secret")
        self.send_header("Set-Cookie", "session=the-apps")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Starts a server, announces it as Jupyter does, and returns a mount of a kernel there."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    servers = []

    def start(
        *, host: str = "127.0.0.1", context: ssl.SSLContext | None = None, **info: Any
    ) -> Any:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        scheme = "http" if context is None else "https"
        url = f"{scheme}://{host}:{server.server_port}/user/ada/"
        announced = {"url": url, "token": "word", "pid": os.getpid(), "sock": "", **info}
        (tmp_path / f"jpserver-{os.getpid()}.json").write_text(json.dumps(announced))
        home = Home("0" * 16, "kernel", "/user/ada/", url)
        monkeypatch.setattr(client, "known_home", lambda: home)
        return SimpleNamespace(url=f"{url}flaskserve/demo/", token=None)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(mount: Any, *headers: tuple[str, str]) -> Any:
    return client.send(mount, "GET", "/a?b=1", headers, timeout=5)


def test_the_running_servers_token_is_sent_and_its_cookies_are_not_shown(
    at_home: Callable[..., Any],
) -> None:
    answer = ask(at_home())
    assert answer.json() == ["/user/ada/flaskserve/demo/a?b=1", "token word"]
    cookies = [value for name, value in answer.headers if name == "Set-Cookie"]
    assert cookies == ["session=the-apps"]
    without_body = dataclasses.replace(answer, body=b"")
    assert "word" not in "".join(shown(without_body)) + repr(answer.request)


def test_the_callers_authorization_goes_to_the_app(at_home: Callable[..., Any]) -> None:
    answer = ask(at_home(), ("Authorization", "Basic QTpC"))
    assert answer.json() == ["/user/ada/flaskserve/demo/a?b=1&token=word", "Basic QTpC"]
    assert "word" not in answer.url


def test_a_server_at_all_addresses_is_known_by_its_port(at_home: Callable[..., Any]) -> None:
    mount = at_home()
    port = mount.url.split(":")[2].split("/")[0]
    mount = at_home(url=f"http://some-host:{port}/user/ada/")
    running = running_servers.running_server(f"http://127.0.0.1:{port}/user/ada/")
    assert running is not None
    assert running.token == "word"
    assert running_servers.running_server(f"http://127.0.0.1:{port}/user/eve/") is None


def test_a_server_that_has_ended_is_not_running(at_home: Callable[..., Any]) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    at_home(pid=ended.pid)
    assert list(running_servers.running_servers()) == []


def test_on_windows_no_process_is_asked_because_that_would_end_it(
    at_home: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: asked.append(pid))
    at_home()
    monkeypatch.setattr(sys, "platform", "win32")
    assert [server.token for server in running_servers.running_servers()] == ["word"]
    assert process.exists(os.getpid())
    assert asked == []


def test_servers_are_told_apart_by_host_port_and_base_url() -> None:
    key = running_servers.server_key("http://localhost:8888/user/ada/")
    assert key == running_servers.server_key("127.0.0.1:8888/user/ada")
    for other in ("localhost:8889/user/ada", "localhost:8888/", "some-host:8888/user/ada"):
        assert running_servers.server_key(other) != key


def test_jupyterhubs_token_is_for_the_hubs_server_only(
    at_home: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = at_home(token="")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hubs")
    assert ask(mount).json()[1] is None
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/eve/")
    assert ask(mount).json()[1] is None
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    assert ask(mount).json()[1] == "token hubs"


def test_the_kernels_own_server_has_its_own_token(at_home: Callable[..., Any]) -> None:
    mount = at_home()
    mount.token = "own"
    assert ask(mount).json()[1] == "token own"


def test_a_server_that_does_not_answer_is_one_line(at_home: Callable[..., Any]) -> None:
    mount = at_home()
    mount.url = "http://127.0.0.1:9/"
    with pytest.raises(client.RequestFailed, match=r"^http://127.0.0.1:9/a\?b=1 does not answer: "):
        ask(mount)


def test_a_certificate_signed_by_itself_will_do_on_this_machine_only(
    at_home: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=jupyter"
    command += f" -keyout {key} -out {certificate}"
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    assert ask(at_home(context=context)).status == 200
    assert ask(at_home(context=context, host="localhost")).status == 200
    monkeypatch.setattr(client, "_is_loopback", lambda host: False)
    with pytest.raises(client.RequestFailed, match="cannot be trusted"):
        ask(at_home(context=context))


def test_loopback_is_told_from_other_hosts() -> None:
    assert all(map(client._is_loopback, ["127.0.0.1", "127.8.9.1", "::1", "localhost"]))
    assert not any(map(client._is_loopback, ["10.0.0.1", "example.org", "127.0.0.1.nip.io", ""]))


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("other?a=\u00e9", "http://127.0.0.1:1/flaskserve/demo/other?a=%C3%A9"),
        ("http://127.0.0.1:x9/", None),
        ("http://[::1/", None),
        ("/flaskserve/demo/%2e%2e/%2e%2e/api", None),
        ("http://127.0.0.1:2/flaskserve/demo/", None),
    ],
)
def test_where_a_redirect_may_lead(location: str, target: str | None) -> None:
    mount: Any = SimpleNamespace(
        url="http://127.0.0.1:1/flaskserve/demo/", path="/flaskserve/demo/"
    )
    sent = Sent("GET", "http://127.0.0.1:1/flaskserve/demo/old", (), b"")
    reply = Reply(302, "Found", (("Location", location),), b"", sent, 0.0, 0.0, 0.0)
    assert client._target(reply, mount) == target
