"""nginx in front of our responder, over the socket of the mount that the contender ``ours`` is."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from .contender import Contender
from .processes import environment, find_program, free_port, listens, only_child, running

if TYPE_CHECKING:
    from .stage import Stage

__all__ = ["start"]

# One worker, as the others have one process. The socket's mode lets in the kernel's user only.
_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 8192;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    keepalive_requests 1000000;
    upstream app {{ server unix:{socket}; keepalive {keepalive}; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_pass app;
            fastcgi_keep_conn on;
            fastcgi_buffering off;
            fastcgi_request_buffering off;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param SCRIPT_NAME "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type if_not_empty;
            fastcgi_param CONTENT_LENGTH $content_length if_not_empty;
            fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param SERVER_NAME $server_name;
            fastcgi_param SERVER_PORT $server_port;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param REMOTE_PORT $remote_port;
            fastcgi_param HTTP_HOST $http_host;
        }}
    }}
}}
"""


def start(stage: Stage, stack: ExitStack) -> Contender:
    ours = stage.contender("ours")
    program, port = find_program("nginx", "nginx"), free_port()
    directory = stage.directory / "nginx"
    directory.mkdir()
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",
            directory=directory,
            port=port,
            socket=stage.our_server.mount_socket("ours"),
            keepalive=stage.threads,
        )
    )
    log = directory / "error.log"
    process = stack.enter_context(
        running(
            [program, "-c", str(configuration), "-p", str(directory), "-e", str(log)],
            ready=lambda: listens(port),
            log=directory / "output.log",
            variables=environment(stage.directory),
        )
    )
    return Contender(
        "nginx-ours",
        f"http://127.0.0.1:{port}/",
        {"nginx": only_child(process.pid), "kernel": ours.processes["kernel"]},
        kernel=ours.kernel,
    )
