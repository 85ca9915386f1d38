"""Apache serves a notebook's app (``mod_proxy_fcgi``)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import free_ports, listens
from test_nginx import DOOMED, PREFIX, Front, FrontServer, client, token

__all__ = ["client", "token"]  # fixtures

MODULES = {
    "mpm_event_module": "mod_mpm_event.so",
    "authz_core_module": "mod_authz_core.so",
    "env_module": "mod_env.so",
    "proxy_module": "mod_proxy.so",
    "proxy_fcgi_module": "mod_proxy_fcgi.so",
}

# retry=0: a kernel that restarts is tried again at once. AllowEncodedSlashes and MergeSlashes: an
# app may tell a%2Fb and a//b from other paths. ap_trust_cgilike_cl: since 2.4.59 Apache drops the
# Content-Length of a FastCGI application without it.
HOST = """
Listen 127.0.0.1:{port}
<VirtualHost 127.0.0.1:{port}>
    ServerName localhost
    AllowEncodedSlashes On
    MergeSlashes Off
    SetEnv ap_trust_cgilike_cl yes
    ProxyPass "{doomed}/" "unix:{doomed_socket}|fcgi://doomed-{port}{doomed}/" {options} retry=0
    ProxyPass "{prefix}/" "unix:{socket}|fcgi://flaskserve-{port}{prefix}/" {options} retry=0
    ProxyPass "/" "unix:{socket}|fcgi://flaskserve-{port}/" {options} retry=0
    <Location "/">
        ProxyFCGISetEnvIf "true" SCRIPT_NAME ""
        ProxyFCGISetEnvIf "true" PATH_INFO "%{{REQUEST_URI}}"
    </Location>
    <Location "{doomed}/">
        ProxyFCGISetEnvIf "true" SCRIPT_NAME "{doomed}"
        ProxyFCGISetEnvIf "%{{REQUEST_URI}} =~ m#^{doomed}(/.*)$#" PATH_INFO "$1"
    </Location>
    <Location "{prefix}/">
        ProxyFCGISetEnvIf "true" SCRIPT_NAME "{prefix}"
        ProxyFCGISetEnvIf "%{{REQUEST_URI}} =~ m#^{prefix}(/.*)$#" PATH_INFO "$1"
    </Location>
</VirtualHost>
"""

CONFIGURATION = """
ServerRoot "{directory}"
DefaultRuntimeDir "{directory}"
PidFile "{directory}/apache.pid"
ErrorLog "{log}"
LogLevel warn
{user}
{modules}
ServerName localhost
Timeout 60
KeepAliveTimeout 1
StartServers 1
ServerLimit 1
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 64
{hosts}
"""

SETTINGS = ["enablereuse=on flushpackets=on", "enablereuse=off flushpackets=on"]


@pytest.fixture(scope="module")
def apache(
    app_socket: str,
    doomed_socket: str,
    find_program: Callable[[str, str], str],
    run_directory: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    worker: str,
) -> dict[str, Front]:
    """One Apache with a virtual host for each of :data:`SETTINGS`."""
    program = find_program("apache2", "apache2")
    directory = run_directory / "apache"
    directory.mkdir(mode=0o755)
    temporary = run_directory / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)  # where Apache puts an upload whose length it is not told
    log = directory / "error.log"
    ports = dict(zip(SETTINGS, free_ports(len(SETTINGS)), strict=True))
    modules = (f"LoadModule {k} /usr/lib/apache2/modules/{v}" for k, v in MODULES.items())
    configuration = directory / "apache.conf"
    configuration.write_text(
        CONFIGURATION.format(
            directory=directory,
            log=log,
            user=f"User {worker}\nGroup {worker}" if worker else "",
            modules="\n".join(modules),
            hosts="".join(
                HOST.format(
                    port=port,
                    socket=app_socket,
                    prefix=PREFIX,
                    doomed=DOOMED,
                    doomed_socket=doomed_socket,
                    options=options,
                )
                for options, port in ports.items()
            ),
        )
    )
    start(
        [program, "-f", str(configuration), "-DFOREGROUND"],
        ready=lambda: all(listens(port) for port in ports.values()),
        log=directory / "output.log",
        environment={"TMPDIR": str(temporary)},
    )
    return {
        options: Front(
            port, log, streams_uploads=False, streams_responses=True, heeds_lost_links=True
        )
        for options, port in ports.items()
    }


class TestApache(FrontServer):
    @pytest.fixture(params=SETTINGS)
    def front(self, apache: dict[str, Front], request: pytest.FixtureRequest) -> Front:
        return apache[request.param]
