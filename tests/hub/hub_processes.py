"""A real JupyterHub: its proxy, its users' servers and their kernels, each a process of its own.

A :class:`Hub` lives in a directory of its own, with a home for each user. Whatever it starts is
stopped with it.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
from jupyter_processes import Kernel, Web, environment_in, wait_until

__all__ = ["FRONT_ENDS", "STREAMS", "Hub", "UserServer", "find_proxy"]

_MARK = "FLASKSERVE_TESTS_HUB"  # in the environment of all processes of one hub

FRONT_ENDS = """
    c.ServerApp.jpserver_extensions = {"jupyterlab": True, "notebook_shim": True}
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
    c.LabApp.extension_manager = "readonly"
"""
"""What a user's server is told, so that it has JupyterLab."""

STREAMS = """
import threading
from flask_sock import Sock
sock = Sock(app)
go_on = threading.Event()

@app.get("/events")
def events():
    def tell():
        yield "data: first\\n\\n"
        go_on.wait(30)
        yield "data: last\\n\\n"
    return Response(tell(), mimetype="text/event-stream")

@app.post("/go-on")
def go():
    go_on.set()
    return "", 204

@sock.route("/echo")
def echo(socket):
    while True:
        socket.send(socket.receive())
"""
"""Views for the Flask app ``app``: an event stream that waits for a request, and a WebSocket."""

_WITHOUT_FRONT_ENDS = """
c = get_config()
c.ServerApp.jpserver_extensions = dict.fromkeys(
    ("jupyter_lsp", "jupyter_server_proxy", "jupyterlab", "notebook", "notebook_shim"), False
)
"""

_CONFIG = """
import sys
from pathlib import Path

c = get_config()
directory = Path({directory!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{port}{base_url}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = f"sqlite:///{{directory / 'hub.sqlite'}}"
c.JupyterHub.cookie_secret_file = str(directory / "cookie_secret")
c.ConfigurableHTTPProxy.command = [{proxy!r}]
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = str(directory / "proxy.pid")
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"root"}}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(directory / "{{username}}" / "home")
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.notebook_dir = str(directory / "{{username}}" / "notebooks")
c.Spawner.environment = {{
    "JUPYTER_CONFIG_DIR": lambda spawner: str(directory / spawner.user.name / "config"),
    "JUPYTER_DATA_DIR": lambda spawner: str(directory / spawner.user.name / "data"),
    "JUPYTER_RUNTIME_DIR": lambda spawner: str(directory / spawner.user.name / "run"),
    "IPYTHONDIR": lambda spawner: str(directory / spawner.user.name / "ipython"),
    "PYTHONUNBUFFERED": "1",
}}
c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL", {mark!r}]
c.Spawner.start_timeout = c.Spawner.http_timeout = 90
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [{{
    "name": "tests",
    "services": ["tests"],
    "scopes": [
        "admin:users", "admin:servers", "access:servers", "tokens", "shares", "list:users",
    ],
}}]
"""


def find_proxy() -> str | None:
    """The path of configurable-http-proxy: on ``PATH``, or where npm puts it in this checkout."""
    local = Path(__file__).resolve().parents[2] / "node_modules" / ".bin"
    name = "configurable-http-proxy"
    return shutil.which(name) or shutil.which(name, path=str(local))


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Hub:
    """A JupyterHub with its proxy, in processes of their own.

    Anyone may log in with the same password; ``root`` is its administrator.

    :param directory: an empty directory for everything that is read and written.
    :param proxy: the path of configurable-http-proxy.
    :param config: the text of its configuration, beyond what all hubs of the tests have.
    :param base_url: the path all its addresses begin with.
    :param subdomains: whether each user has a host name of his own, under ``hub.localhost``.
    :ivar api: a client of its REST interface that may start, stop and enter all servers.
    :ivar api_token: the token of that client.
    :ivar password: everybody's.
    """

    api_token = "the-tests-own-token-of-the-hub"
    password = "the-password-of-all"

    def __init__(
        self,
        directory: Path,
        *,
        proxy: str,
        config: str = "",
        base_url: str = "/",
        subdomains: bool = False,
    ) -> None:
        self.directory = directory
        self.base_url = base_url
        self.subdomains = subdomains
        self.log_file = directory / "hub.log"
        self.log_file.touch()
        self.port, hub_port, proxy_port = _free_ports(3)
        self._users: dict[str, UserServer] = {}
        config_file = directory / "jupyterhub_config.py"
        config_file.write_text(
            _CONFIG.format(
                directory=str(directory),
                port=self.port,
                hub_port=hub_port,
                proxy_port=proxy_port,
                base_url=base_url,
                proxy=proxy,
                password=self.password,
                token=self.api_token,
                mark=_MARK,
            )
            + (f"c.JupyterHub.subdomain_host = 'http://{self.host()}'\n" if subdomains else "")
            + textwrap.dedent(config)
        )
        (directory / "home").mkdir()
        environment = {**environment_in(directory, directory / "run"), _MARK: str(directory)}
        self.api = httpx.Client(
            base_url=f"{self.url}hub/api/",
            headers={"Authorization": f"token {self.api_token}", "Host": self.host()},
            timeout=60,
            trust_env=False,
        )
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config_file)],
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._answers, seconds=60, what="the hub's first answer")
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(f"the hub does not answer:\n{self.log}") from error
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """The address all others begin with, ending in a slash."""
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    def host(self, user: str = "") -> str:
        """The host that browsers know the hub by, or the server of a user of it, with its port."""
        names = [user, "hub", "localhost"] if user else ["hub", "localhost"]
        return f"{'.'.join(names) if self.subdomains else '127.0.0.1'}:{self.port}"

    @property
    def public_url(self) -> str:
        """The address that browsers know it by; programs may know none but ``127.0.0.1``."""
        return f"http://{self.host()}{self.base_url}"

    @property
    def log(self) -> str:
        """What the hub, its proxy and its users' servers have written so far."""
        return self.log_file.read_text(errors="replace")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the hub ended at its start:\n{self.log}")
        try:
            return self.api.get("").status_code == 200
        except httpx.TransportError:
            return False

    def server(self, user: str, config: str = "") -> UserServer:
        """A user's server, started where it does not run.

        :param config: the text of its ``jupyter_server_config.py``, where it is started.
        """
        if user not in self._users:
            self.add_user(user)
            self._users[user] = UserServer(self, user, config)
        return self._users[user]

    def add_user(self, user: str) -> None:
        """Make a user known to the hub."""
        answer = self.api.post(f"users/{user}")
        if answer.status_code != 409:  # known already
            answer.raise_for_status()

    def token(self, user: str, *scopes: str) -> str:
        """A new token of a user's.

        :param scopes: what it may be used for; all that the user may do where there are none.
        """
        self.add_user(user)
        asked = {"scopes": list(scopes)} if scopes else {}
        answer = self.api.post(f"users/{user}/tokens", json={"note": "tests", **asked})
        return str(answer.raise_for_status().json()["token"])

    def browser(self, user: str = "") -> httpx.Client:
        """A browser without scripts: it keeps cookies, follows redirects and asks for HTML.

        :param user: who has logged in with it; an empty string for nobody.
        """
        client = httpx.Client(
            follow_redirects=True,
            timeout=60,
            trust_env=False,
            headers={"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"},
        )
        if user:
            page = client.get(f"{self.url}hub/login")
            xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
            assert xsrf is not None, page.text
            form = {"username": user, "password": self.password, "_xsrf": xsrf[1]}
            home = quote(f"{self.base_url}hub/home")
            answer = client.post(f"{self.url}hub/login?next={home}", data=form)
            assert answer.status_code == 200, answer.text
        return client

    def stop(self) -> None:
        """Stop the hub and everything it has started."""
        for server in list(self._users.values()):
            server.forget()
        self._users.clear()
        self.api.close()
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        left = self._processes()
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        _, left = psutil.wait_procs(left, timeout=5)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)

    def _processes(self) -> list[psutil.Process]:
        """All processes that have this hub's mark in their environment."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self.directory):
                    found.append(process)
        return found


class UserServer(Web):
    """The server of a user of a hub, reached through the hub's proxy.

    :param config: the text of its ``jupyter_server_config.py``, beyond what all have.
    """

    def __init__(self, hub: Hub, user: str, config: str) -> None:
        super().__init__()
        self.hub = hub
        self.user = user
        self.port = hub.port
        self.log_file = hub.log_file
        self.base_url = f"{hub.base_url}user/{quote(user)}/"
        directory = hub.directory / user
        for name in ("home", "notebooks", "config", "data", "run"):
            (directory / name).mkdir(parents=True, mode=0o700, exist_ok=True)
        self.notebooks = directory / "notebooks"
        self.runtime_dir = directory / "run"
        self.config_dir = directory / "config"
        (self.config_dir / "jupyter_server_config.py").write_text(
            _WITHOUT_FRONT_ENDS + textwrap.dedent(config)
        )
        self.token = hub.token(user)
        self.http = httpx.Client(
            base_url=self.url, headers=self.authorization, timeout=30, trust_env=False
        )
        self.kernels: list[Kernel] = []
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    @property
    def public_url(self) -> str:
        """The address that browsers know it by."""
        return f"http://{self.hub.host(self.user)}{self.base_url}"

    @property
    def authorization(self) -> dict[str, str]:
        """The headers that carry the token, and by which the hub's proxy finds the server."""
        return {**super().authorization, "Host": self.hub.host(self.user)}

    def start(self) -> None:
        """Have the hub start it, and wait until it answers."""
        self.hub.api.post(f"users/{self.user}/server").raise_for_status()
        wait_until(self._answers, seconds=90, what=f"the first answer of {self.user}'s server")
        info = next(self.runtime_dir.glob("jpserver-*.json"))
        self.pid = int(json.loads(info.read_text())["pid"])
        if self not in self.running:
            self.running.append(self)

    def _answers(self) -> bool:
        answer = self.http.get("api/status")
        return answer.status_code == 200

    def kernel(self, notebook: str = "Lesson 1.ipynb") -> Kernel:
        """Start a kernel for a notebook, which need not exist."""
        kernel = Kernel(self, notebook)  # type: ignore[arg-type]
        self.kernels.append(kernel)
        return kernel

    def restart(self) -> None:
        """Have the hub stop the server with its kernels, and start it again."""
        for kernel in self.kernels:
            kernel.disconnect()
        self.kernels.clear()
        answer = self.hub.api.delete(f"users/{self.user}/server")
        answer.raise_for_status()
        wait_until(
            lambda: not self.model()["servers"], seconds=60, what=f"the end of {self.user}'s server"
        )
        self.start()

    def model(self) -> dict[str, Any]:
        """What the hub knows of the user."""
        answer: dict[str, Any] = self.hub.api.get(f"users/{self.user}").raise_for_status().json()
        return answer

    def end_sessions(self) -> None:
        """Shut down the kernels of all notebooks."""
        for session in self.http.get("api/sessions").json():
            self.http.delete(f"api/sessions/{session['id']}").raise_for_status()

    def forget(self) -> None:
        """Close the connections to the server and its kernels; the hub stops them."""
        for kernel in self.kernels:
            kernel.disconnect()
        self.kernels.clear()
        self._ended()
