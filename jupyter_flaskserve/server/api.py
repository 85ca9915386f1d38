"""The REST interface to the mounts: ``{base_url}api/flaskserve/mounts``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ..gateway.answer import Answer
from .access import RESOURCE
from .status import mount_status, mounts_status

if TYPE_CHECKING:
    from .serving import FlaskServe

__all__ = ["MountHandler", "MountsHandler"]


class _Handler(APIHandler):
    auth_resource = RESOURCE
    _track_activity = False  # an open page that waits for its app asks again and again

    def initialize(self, serving: FlaskServe) -> None:
        self.serving = serving

    async def give(self, answer: Answer) -> None:
        self.set_status(answer.status)
        await self.finish(answer.body)


class MountsHandler(_Handler):
    """All mounts."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer 200 with ``{"mounts": [...]}``: the live ones, then those whose kernel stopped."""
        await self.give(await mounts_status(self.serving))


class MountHandler(_Handler):
    """One mount."""

    @web.authenticated
    @authorized
    async def get(self, name: str) -> None:
        """Answer 200 with the mount, or 404 with those there are."""
        await self.give(await mount_status(self.serving, name))

    @web.authenticated
    @authorized
    async def delete(self, name: str) -> None:
        """Stop the mount: 204, or 404, or 504 where its kernel does not answer."""
        found = await mount_status(self.serving, name)
        if found.status != 200:
            await self.give(found)
            return
        try:
            await self.serving.stop(name)
        except (OSError, asyncio.TimeoutError):
            raise web.HTTPError(
                504, f"The kernel that serves {name} does not answer. Restart it or shut it down."
            ) from None
        self.set_status(204)
        await self.finish()
