"""This notebook's own Jupyter Server, in front of the kernel: what ``%flaskserve app`` does."""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_core.paths import jupyter_runtime_dir

from ...kernel.client.client import RequestFailed, token_for
from ...kernel.home import Home, known_home
from ...kernel.mount import Mount, ServeError, serve
from ..observed import KEY_HEADER
from ..processes import NotStarted, Workshop
from ..site import Site
from ..wire import Address, ask
from .contender import Contender, Place, Target

__all__ = ["Jupyter"]

_TIMEOUT = 30.0  # seconds for Jupyter's own answers, and for a second kernel to start

_STANDS_FOR = "a second kernel that serves the app's probe, so that this notebook goes on"

_CELL = """\
from jupyter_flaskserve import serve
from jupyter_flaskserve.comparison.observed import Observed
serve(Observed(None, **{settings!r}), name={name!r})
"""


class Jupyter(Contender):
    key = "jupyter"
    title = "This Jupyter Server"
    places = (
        Place("client", "Browser", "browser"),
        Place("server", "Jupyter Server", "jupyter", "HTTP"),
        Place("kernel", "This notebook's kernel", "kernel", "FastCGI"),
        Place("app", "Flask app", "kernel", "WSGI"),
    )

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._mount: Mount | None = None

    def start(self) -> None:
        name = f"compare-{secrets.token_hex(6)}"
        try:
            self._mount = mount = serve(self.site.observed, name=name)
            self.address = address = self._address(mount.url, token_for(mount))
            answer = ask(address, f"{self.site.prefix}hello", _TIMEOUT)
        except (ServeError, RequestFailed, OSError, http.client.HTTPException) as error:
            raise NotStarted(str(error) or type(error).__name__) from None
        self.configuration["cell"] = "%flaskserve app\n"
        if answer.status != 200:
            raise NotStarted(
                f"Jupyter Server answers with status {answer.status}, because it has no token that"
                " the kernel can find."
            )

    def stop(self) -> None:
        mount, self._mount = self._mount, None
        if mount is not None:
            mount.stop()
        super().stop()

    @contextlib.contextmanager
    def victim(self) -> Iterator[Target]:
        home, mount = known_home(), self._mount
        assert home is not None
        assert mount is not None
        if home.own is not None:
            raise OSError("the kernel serves the app itself, and is not killed")
        token = token_for(mount)
        name = f"compare-{secrets.token_hex(6)}"
        with _second_kernel(self.site.workshop, home, token) as kernel_id:
            site = self.site
            pid = _run_cell(kernel_id, _CELL.format(settings=site.settings, name=name))
            url = mount.url[: -len(f"{mount.name}/")] + f"{name}/"
            yield Target(self._address(url, token), lambda named: named == pid > 1, _STANDS_FOR)

    def _address(self, url: str, token: str) -> Address:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        login = (("Authorization", f"token {token}"),) if token else ()
        return Address(
            port=parts.port or (443 if tls else 80),
            root=parts.path,
            host=parts.hostname or "127.0.0.1",
            headers=((KEY_HEADER, self.site.key), *login),
            tls=tls,
        )


@contextlib.contextmanager
def _second_kernel(workshop: Workshop, home: Home, token: str) -> Iterator[str]:
    """Another kernel of the same server, of the same kind: its id.

    Jupyter Server starts it again when it is killed, and it does not end with this one. So the
    workshop sees to it that it is deleted where this process does not come to it.
    """

    def start() -> tuple[str, Callable[[], None]]:
        kind = _api(home, token, "GET", f"api/kernels/{home.kernel_id}")["name"]
        kernel_id: str = _api(home, token, "POST", "api/kernels", {"name": kind})["id"]
        url = home.url_of(f"{home.base_url}api/kernels/{kernel_id}")
        try:
            return kernel_id, workshop.delete_at_end(url, {"Authorization": f"token {token}"})
        except NotStarted:  # it was interrupted again and again, and all else has ended
            _api(home, token, "DELETE", f"api/kernels/{kernel_id}")
            raise

    kernel_id, forget = workshop.uninterrupted(start)
    try:
        yield kernel_id
    finally:
        _api(home, token, "DELETE", f"api/kernels/{kernel_id}")
        forget()


def _api(home: Home, token: str, method: str, path: str, body: object = None) -> Any:
    """
    :raises OSError: Jupyter Server does not do what is asked.
    """
    request = urllib.request.Request(  # noqa: S310  the address is the kernel's own server's
        home.url_of(f"{home.base_url}{path}"),
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
        data = response.read()
    return json.loads(data) if data else None


def _run_cell(kernel_id: str, code: str) -> int:
    """Run a cell that no history keeps.

    :returns: the kernel's process id, as itself says.
    :raises OSError: the kernel does not run it.
    """
    file = Path(jupyter_runtime_dir()) / f"kernel-{kernel_id}.json"
    client: Any = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_TIMEOUT)
        reply = client.execute_interactive(
            code,
            timeout=_TIMEOUT,
            output_hook=lambda _: None,
            store_history=False,
            user_expressions={"pid": "__import__('os').getpid()"},
        )
    except (RuntimeError, TimeoutError) as error:
        raise OSError(f"a second kernel does not answer: {error}") from None
    finally:
        client.stop_channels()
    content = reply["content"]
    if content["status"] != "ok":
        raise OSError(f"a second kernel does not serve: {content.get('evalue')}")
    return int(content["user_expressions"]["pid"]["data"]["text/plain"])
