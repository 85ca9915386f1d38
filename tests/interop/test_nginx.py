"""nginx serves a notebook's app (``ngx_http_fastcgi_module``)."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from programs import free_ports, listens

PREFIX = "/lessons/one"
DOOMED = "/doomed"  # the app that may be killed
MEBIBYTE = 1024 * 1024
SECONDS = 20


class Front(NamedTuple):
    """A web server that has the app at its root and at :data:`PREFIX`.

    :ivar log: the file with its errors.
    :ivar streams_uploads: whether it hands on a request's body while it arrives.
    :ivar streams_responses: whether it hands on a response while it arrives, also where the app
        does not ask for that with ``X-Accel-Buffering: no``.
    :ivar heeds_lost_links: whether it tells a link that ended before ``END_REQUEST`` from one that
        ended after it, and breaks the response off.
    """

    port: int
    log: Path
    streams_uploads: bool
    streams_responses: bool
    heeds_lost_links: bool


@pytest.fixture
def client(front: Front) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{front.port}", timeout=SECONDS) as client:
        yield client


@pytest.fixture
def token() -> str:
    return uuid.uuid4().hex


class FrontServer:
    """What any web server that speaks FastCGI does with the app."""

    # Addresses

    @pytest.mark.parametrize("prefix", ["", PREFIX])
    @pytest.mark.parametrize(
        ("path", "path_info"),
        [
            ("/environ/", "/environ/"),
            ("/environ/a/b.html", "/environ/a/b.html"),
            ("/environ/a%2Fb", "/environ/a/b"),
            ("/environ/a//b", "/environ/a//b"),
            ("/environ/a%20b+c", "/environ/a b+c"),
            ("/environ/caf%C3%A9", "/environ/caf\xc3\xa9"),
            ("/environ/%FF%FE", "/environ/\xff\xfe"),
            ("/environ/100%25", "/environ/100%"),
            ("/environ/a.php/b", "/environ/a.php/b"),
            ("/environ/a;b=c&d", "/environ/a;b=c&d"),
        ],
    )
    def test_the_app_knows_its_address(
        self, client: httpx.Client, prefix: str, path: str, path_info: str
    ) -> None:
        environ = client.get(f"{prefix}{path}?q=%2F&q=2").raise_for_status().json()
        assert environ["SCRIPT_NAME"] == prefix
        assert environ["PATH_INFO"] == path_info
        assert environ["REQUEST_URI"] == f"{prefix}{path}?q=%2F&q=2"
        assert environ["url_for"] == f"{client.base_url}{prefix}/"

    @pytest.mark.parametrize(
        "query", ["", "a=1", "a=1&a=2", "caf%C3%A9=%ff", "a=b?c=d", "%25&&", "=;+"]
    )
    def test_the_query_string_is_the_clients(self, client: httpx.Client, query: str) -> None:
        environ = client.get(f"/environ/?{query}").json()
        assert environ["QUERY_STRING"] == query

    def test_the_environ_is_of_this_connection(self, client: httpx.Client, front: Front) -> None:
        environ = client.post(
            "/environ/x", content=b"abc", headers={"X-A": "1", "Content-Type": "text/x"}
        ).json()
        assert environ["REQUEST_METHOD"] == "POST"
        assert environ["SERVER_PORT"] == str(front.port)
        assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert environ["REMOTE_ADDR"] == "127.0.0.1"
        assert environ["REMOTE_PORT"].isdigit()
        assert environ["CONTENT_TYPE"] == "text/x"
        assert environ["CONTENT_LENGTH"] == "3"
        assert environ["HTTP_X_A"] == "1"
        assert environ["HTTP_HOST"] == f"127.0.0.1:{front.port}"
        assert environ["wsgi.url_scheme"] == "http"

    def test_a_proxy_header_does_not_reach_the_app(self, client: httpx.Client) -> None:
        environ = client.get("/environ/", headers={"Proxy": "http://evil.example"}).json()
        assert "HTTP_PROXY" not in environ

    # Responses

    @pytest.mark.parametrize("prefix", ["", PREFIX])
    def test_a_page_is_served(self, client: httpx.Client, prefix: str) -> None:
        response = client.get(f"{prefix}/")
        assert response.status_code == 200
        assert response.text == "hello from the app"
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"

    @pytest.mark.parametrize("code", [201, 404, 410, 418, 500, 503])
    def test_the_status_is_the_apps(self, client: httpx.Client, code: int) -> None:
        response = client.get(f"/status/{code}")
        assert (response.status_code, response.text) == (code, f"this is {code}")

    def test_an_unknown_page_is_the_apps_404(self, client: httpx.Client) -> None:
        response = client.get("/no-such-page")
        assert response.status_code == 404
        assert "The requested URL was not found on the server." in response.text

    def test_a_failing_view_is_the_apps_500(self, client: httpx.Client) -> None:
        response = client.get("/fail")
        assert response.status_code == 500
        assert "The server encountered an internal error" in response.text

    def test_head_has_the_headers_and_no_body(self, client: httpx.Client) -> None:
        for _ in range(3):  # on one connection: a body would be taken for the next response
            response = client.head("/")
            assert response.status_code == 200
            assert response.headers["Content-Length"] == "18"
            assert response.content == b""
        assert client.get("/").text == "hello from the app"

    def test_304_and_204_have_no_body(self, client: httpx.Client) -> None:
        for _ in range(3):
            response = client.get("/tagged", headers={"If-None-Match": '"the-tag"'})
            assert (response.status_code, response.content) == (304, b"")
            assert response.headers["ETag"] == '"the-tag"'
            assert client.get("/empty").status_code == 204
        assert client.get("/tagged").text == "tagged"

    def test_repeated_cookies_arrive_as_they_were_set(self, client: httpx.Client) -> None:
        response = client.get("/cookies")
        assert response.headers.get_list("Set-Cookie") == [
            f"c{number}={number}; Path=/" for number in range(3)
        ]

    def test_large_headers_pass_both_ways(self, client: httpx.Client) -> None:
        response = client.get("/headers?count=20", headers={"X-Large": "x" * 7000})
        assert response.text == "7000"
        parts = [value for name, value in response.headers.items() if name.startswith("x-part-")]
        assert parts == ["v" * 1000] * 20

    def test_a_large_response_arrives_whole(self, client: httpx.Client) -> None:
        block = bytes(range(256)) * 256
        expected = hashlib.sha256(block * 320).hexdigest()
        with client.stream("GET", f"/large?size={20 * MEBIBYTE}") as response:
            digest = hashlib.sha256()
            for data in response.iter_bytes():
                digest.update(data)
        assert digest.hexdigest() == expected

    def test_what_a_view_writes_to_errors_is_in_the_servers_log(
        self, client: httpx.Client, front: Front, token: str
    ) -> None:
        assert client.get("/log", params={"text": token}).text == "logged"
        deadline = time.monotonic() + SECONDS
        while token not in front.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    # Uploads

    @pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 20 * MEBIBYTE])
    @pytest.mark.parametrize("chunked", [False, True])
    def test_an_upload_arrives_whole(self, client: httpx.Client, size: int, chunked: bool) -> None:
        body = (b"0123456789abcdef" * (size // 16 + 1))[:size]

        def pieces() -> Iterator[bytes]:
            for start in range(0, size, 100_000):
                yield body[start : start + 100_000]

        response = client.post("/upload", content=pieces() if chunked else body)
        assert response.status_code == 200
        assert response.json() == {"size": size, "sha256": hashlib.sha256(body).hexdigest()}

    def test_a_form_with_a_file_arrives(self, client: httpx.Client) -> None:
        response = client.post(
            "/form",
            data={"text": "caf\xe9"},
            files={"file": ("caf\xe9.txt", b"x" * 100_000)},
        )
        assert response.json() == {"text": "caf\xe9", "name": "caf\xe9.txt", "size": 100_000}

    def test_a_body_nobody_reads_does_no_harm(self, client: httpx.Client) -> None:
        for _ in range(3):
            # nginx ends a connection on which a body was not read, whatever it has announced.
            response = client.post(
                "/status/201", content=b"x" * 300_000, headers={"Connection": "close"}
            )
            assert response.status_code == 405
        assert client.get("/").text == "hello from the app"

    def test_a_view_reads_an_upload_while_it_arrives(self, front: Front) -> None:
        with socket.create_connection(("127.0.0.1", front.port), timeout=SECONDS) as connection:
            connection.sendall(
                b"POST /while-arriving HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n"
                b"Connection: close\r\n\r\nhead"
            )
            received = b""
            if front.streams_uploads:
                while b"<head>" not in received:
                    data = connection.recv(65536)
                    assert data, received
                    received += data
            connection.sendall(b"tail")
            while data := connection.recv(65536):
                received += data
        assert b"tail>" in received

    # Streams

    def test_the_first_chunk_arrives_before_the_second_is_made(
        self, client: httpx.Client, front: Front, token: str
    ) -> None:
        query = "" if front.streams_responses else "?unbuffered"
        with client.stream("GET", f"/stream/{token}{query}") as response:
            parts = response.iter_raw()
            assert next(parts) == b"first"
            client.post(f"/release/{token}").raise_for_status()
            assert b"".join(parts) == b"last"

    @pytest.mark.parametrize("query", ["", "?length=1000000", "?times=100000"])
    def test_a_view_that_fails_midway_gives_no_whole_response(
        self, client: httpx.Client, query: str
    ) -> None:
        try:
            response = client.get(f"/fail-midway{query}")
        except httpx.RemoteProtocolError:
            pass  # it broke off
        else:
            assert response.status_code >= 500  # the server noticed before it sent the head
        assert client.get("/").text == "hello from the app"

    def test_the_generator_ends_when_the_client_leaves(
        self, client: httpx.Client, front: Front, token: str
    ) -> None:
        with socket.create_connection(("127.0.0.1", front.port), timeout=SECONDS) as connection:
            connection.sendall(b"GET /endless/%s HTTP/1.1\r\nHost: a\r\n\r\n" % token.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            assert client.get(f"/events/{token}").json() == []
        deadline = time.monotonic() + SECONDS
        while client.get(f"/events/{token}").json() != ["finally"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    # A kernel that is killed

    @pytest.mark.parametrize("times", [1, 100_000], ids=["short", "long"])
    @pytest.mark.parametrize("has_length", [True, False])
    def test_a_kernel_that_is_killed_gives_no_whole_response(
        self,
        client: httpx.Client,
        front: Front,
        doomed: subprocess.Popen[bytes],
        times: int,
        has_length: bool,
    ) -> None:
        query = f"times={times}" + ("&length=1000000" if has_length else "")
        with client.stream(
            "GET", f"{DOOMED}/unfinished?{query}", headers={"Connection": "close"}
        ) as response:
            assert response.status_code == 200
            parts = response.iter_raw()
            assert next(parts).startswith(b"begun")
            doomed.kill()
            if has_length or front.heeds_lost_links:
                with pytest.raises(httpx.RemoteProtocolError):
                    b"".join(parts)
            else:  # the README says so
                assert len(b"".join(parts)) < 5 * times

    def test_a_kernel_that_is_killed_before_it_answers_gives_an_error(
        self, client: httpx.Client, front: Front, doomed: subprocess.Popen[bytes]
    ) -> None:
        with socket.create_connection(("127.0.0.1", front.port), timeout=SECONDS) as connection:
            connection.sendall(
                b"GET %s/unfinished?times=0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                % DOOMED.encode()
            )
            time.sleep(0.5)
            doomed.kill()
            received = b""
            while data := connection.recv(65536):
                received += data
        assert received.split()[1] in (b"502", b"503")
        assert client.get("/").text == "hello from the app"

    # Many

    def test_32_requests_run_at_once(self, client: httpx.Client) -> None:
        def ask(number: int) -> str:
            return client.get(f"/together?number={number}").raise_for_status().text

        with ThreadPoolExecutor(32) as threads:
            assert list(threads.map(ask, range(32))) == [str(number) for number in range(32)]

    def test_many_requests_in_a_row_are_each_answered(self, client: httpx.Client) -> None:
        for number in range(200):
            answer = client.get(f"/environ/{number}").json()
            assert answer["PATH_INFO"] == f"/environ/{number}"


# nginx

LOCATION = """
        fastcgi_pass {upstream};
        fastcgi_keep_conn {keep};
        fastcgi_buffering {buffering};
        fastcgi_request_buffering {buffering};
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param CONTENT_TYPE $content_type if_not_empty;
        fastcgi_param CONTENT_LENGTH $content_length if_not_empty;
        fastcgi_param HTTPS $https if_not_empty;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param SERVER_NAME $server_name;
        fastcgi_param SERVER_PORT $server_port;
        fastcgi_param REMOTE_ADDR $remote_addr;
        fastcgi_param REMOTE_PORT $remote_port;
"""

SERVER = """
    server {{
      listen 127.0.0.1:{port};
      server_name localhost;
      location / {{
        {location}
        fastcgi_param SCRIPT_NAME "";
        fastcgi_param PATH_INFO $uri;
      }}
      location {prefix}/ {{
        {location}
        fastcgi_split_path_info ^({prefix})(/.*)$;
        fastcgi_param SCRIPT_NAME $fastcgi_script_name;
        fastcgi_param PATH_INFO $fastcgi_path_info;
      }}
      location {doomed}/ {{
        {doomed_location}
        fastcgi_split_path_info ^({doomed})(/.*)$;
        fastcgi_param SCRIPT_NAME $fastcgi_script_name;
        fastcgi_param PATH_INFO $fastcgi_path_info;
      }}
    }}
"""

CONFIGURATION = """
{user}
daemon off;
worker_processes 2;
pid {directory}/nginx.pid;
error_log {log} info;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    large_client_header_buffers 4 16k;
    merge_slashes off;  # an app may tell // from /
    fastcgi_buffer_size 64k;  # the largest head of a response
    fastcgi_buffers 8 64k;
    upstream app {{
        server unix:{socket};
        keepalive 16;
    }}
    upstream doomed {{
        server unix:{doomed_socket} max_fails=0;
        keepalive 16;
    }}
    {servers}
}}
"""

SETTINGS = [("off", "off"), ("off", "on"), ("on", "off"), ("on", "on")]


@pytest.fixture(scope="module")
def nginx(
    app_socket: str,
    doomed_socket: str,
    find_program: Callable[[str, str], str],
    run_directory: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    worker: str,
) -> dict[tuple[str, str], Front]:
    """One nginx with a server for each of :data:`SETTINGS`."""
    program = find_program("nginx", "nginx")
    directory = run_directory / "nginx"
    directory.mkdir(mode=0o755)
    log = directory / "error.log"
    ports = dict(zip(SETTINGS, free_ports(len(SETTINGS)), strict=True))
    servers = "".join(
        SERVER.format(
            port=port,
            prefix=PREFIX,
            location=LOCATION.format(upstream="app", keep=keep, buffering=buffering),
            doomed=DOOMED,
            doomed_location=LOCATION.format(upstream="doomed", keep=keep, buffering=buffering),
        )
        for (keep, buffering), port in ports.items()
    )
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(
            user=f"user {worker};" if worker else "",
            directory=directory,
            log=log,
            socket=app_socket,
            doomed_socket=doomed_socket,
            servers=servers,
        )
    )
    start(
        [program, "-c", str(configuration), "-p", str(directory), "-e", str(log)],
        ready=lambda: all(listens(port) for port in ports.values()),
        log=directory / "output.log",
    )
    return {
        (keep, buffering): Front(
            port,
            log,
            streams_uploads=buffering == "off",
            streams_responses=buffering == "off",
            heeds_lost_links=False,
        )
        for (keep, buffering), port in ports.items()
    }


class TestNginx(FrontServer):
    @pytest.fixture(
        params=SETTINGS, ids=[f"keep_conn {keep}, buffering {how}" for keep, how in SETTINGS]
    )
    def front(self, nginx: dict[tuple[str, str], Front], request: pytest.FixtureRequest) -> Front:
        return nginx[request.param]
