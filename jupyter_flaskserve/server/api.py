"""The REST interface to the mounts: ``{base_url}api/flaskserve/mounts``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from . import pages
from .access import RESOURCE

if TYPE_CHECKING:
    from .serving import FlaskServe

__all__ = ["MountHandler", "MountsHandler"]


class _Handler(APIHandler):
    auth_resource = RESOURCE
    _track_activity = False  # an open page that waits for its app asks again and again

    def initialize(self, serving: FlaskServe) -> None:
        self.serving = serving


class MountsHandler(_Handler):
    """All mounts."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer 200 with ``{"mounts": [...]}``: the live ones, then those whose kernel stopped."""
        mounts = [mount.to_json() for mount in await self.serving.listed()]
        await self.finish(json.dumps({"mounts": mounts}))


class MountHandler(_Handler):
    """One mount."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Answer 200 with the mount, or 404 with those there are."""
        mount = await self._find(name)
        if mount is not None:
            await self.finish(json.dumps(mount.to_json()))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Stop the mount: 204, or 404, or 504 where its kernel does not answer."""
        mount = await self._find(name)
        if mount is None:
            return
        try:
            await self.serving.stop(name)
        except (OSError, asyncio.TimeoutError):
            raise web.HTTPError(
                504, f"The kernel that serves {name} does not answer. Restart it or shut it down."
            ) from None
        self.set_status(204)
        await self.finish()

    async def _find(self, name: str) -> pages.Listed | None:
        """The mount of this name; ``None`` where there is none and 404 has been answered."""
        mounts = await self.serving.listed()
        found = next((mount for mount in mounts if mount.name == name), None)
        if found is None:
            answer = pages.unknown_mount(name, mounts, accept="application/json")
            self.set_status(answer.status)
            await self.finish(answer.body)
        return found
