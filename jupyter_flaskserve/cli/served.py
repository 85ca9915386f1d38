"""``jupyter flaskserve list`` and ``stop``: the mounts of this user's running servers."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote

from jupyter_flaskserve.records import API
from jupyter_flaskserve.running_servers import running_servers, server_key

from .api import ServerAPI
from .ending import Failure

__all__ = ["list_mounts", "stop_mount"]


class _Served(NamedTuple):
    api: ServerAPI
    mount: dict[str, Any]


def list_mounts(options: argparse.Namespace) -> int:
    """Print what is served, as columns or as JSON."""
    served = _served(_servers())
    if options.json:
        objects = [
            {**mount, "url": api.address(mount["path"]), "server": api.url} for api, mount in served
        ]
        print(json.dumps(objects, indent=2))
    elif served:
        rows = [("NAME", "URL", "NOTEBOOK", "STATE")]
        rows += [
            (mount["name"], api.address(mount["path"]), mount["notebook"] or "-", mount["state"])
            for api, mount in served
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print(line.rstrip())
    else:
        print("Nothing is served.")
    return 0


def stop_mount(options: argparse.Namespace) -> int:
    """Stop the mount of a name.

    :raises Failure: there is none, several servers have one, or it does not stop.
    """
    name = options.name
    servers = _servers()
    if options.server is not None:
        servers = [
            api for api in servers if server_key(api.url) == server_key(options.server)
        ] or _fail(f"No running Jupyter Server is at {options.server}.{_known_servers(servers)}")
    served = _served(servers)
    found = [each for each in served if each.mount["name"] == name]
    if not found:
        raise Failure(f"Nothing is served as {name!r}. {_known_names(name, served)}")
    if len(found) > 1:
        where = "".join(f"\n    {each.api.url}  ({each.mount['notebook']})" for each in found)
        raise Failure(
            f"{len(found)} servers serve {name!r}. Say which one with --server URL:{where}"
        )
    api = found[0].api
    try:
        status, answer = api.request("DELETE", f"{API}/mounts/{quote(name, safe='')}", timeout=15)
    except OSError as error:
        raise Failure(f"{name} is not stopped: {api.url} does not answer ({error}).") from error
    if status not in (204, 404):  # 404: it has ended just now
        said = answer.get("message") if isinstance(answer, dict) else None
        raise Failure(f"{name} is not stopped: {said or f'{api.url} answers {status}.'}")
    print(f"Stopped {name}.")
    return 0


def _fail(message: str) -> Any:
    raise Failure(message)


def _servers() -> list[ServerAPI]:
    servers = []
    for server in running_servers():
        if server.socket:
            _warn(f"{server.url} listens on a Unix socket only, so it is left out.")
        else:
            servers.append(ServerAPI(server.url, server.token))
    return sorted(servers, key=lambda api: api.url)


def _served(servers: list[ServerAPI]) -> list[_Served]:
    """What the servers serve; one that cannot be asked is named on stderr and left out."""

    def ask(api: ServerAPI) -> tuple[int | OSError, list[dict[str, Any]]]:
        try:
            return api.mounts()
        except OSError as error:
            return error, []

    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(ask, servers))

    def readable() -> Iterator[_Served]:
        for api, (status, mounts) in zip(servers, answers, strict=True):
            if isinstance(status, TimeoutError) or "timed out" in str(status):
                _warn(f"{api.url} has not answered within 2 seconds, so it is left out.")
            elif isinstance(status, OSError):
                _warn(f"{api.url} cannot be reached, so it is left out: {status}.")
            elif status in (401, 403):
                _warn(f"{api.url} wants a password, so it is left out.")
            elif status not in (200, 404):  # 404: it has no extension of ours
                _warn(f"{api.url} answers with status {status}, so it is left out.")
            yield from (_Served(api, mount) for mount in mounts)

    return list(readable())


def _known_names(name: str, served: list[_Served]) -> str:
    names = sorted({each.mount["name"] for each in served})
    if not names:
        return "Nothing is served at all."
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Served: {', '.join(names)}."


def _known_servers(servers: list[ServerAPI]) -> str:
    return f" Running: {', '.join(api.url for api in servers)}." if servers else " None is running."


def _warn(message: str) -> None:
    print(f"jupyter flaskserve: {message}", file=sys.stderr)
