"""What programs are told of the mounts: the answers to ``GET {base_url}api/flaskserve/mounts`` and
``…/mounts/NAME``. Knows nothing of Jupyter Server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..gateway.answer import Answer
from . import pages

if TYPE_CHECKING:
    from .serving import FlaskServe

__all__ = ["mount_status", "mounts_status"]

_JSON = "application/json"


async def mounts_status(serving: FlaskServe) -> Answer:
    """All mounts: 200, the live ones first, then those whose kernel stopped."""
    listed = await serving.listed()
    return pages.index(listed, base_path=serving.base_url, accept=_JSON)


async def mount_status(serving: FlaskServe, name: str) -> Answer:
    """One mount: 200, or 404 with those there are."""
    mount = await serving.listed_as(name)
    if mount is not None:
        return pages.status(mount)
    return pages.unknown_mount(name, await serving.listed(), accept=_JSON)
