"""Does it send a file of the app's static folder itself, without asking the app?"""

from __future__ import annotations

import secrets

from ..cell import DOES_NOT_APPLY, NO, UNKNOWN, YES, Cell
from ..contenders.contender import Contender
from ..wire import ask

__all__ = ["NO_FOLDER", "probe"]

TIMEOUT = 10.0  # seconds

NO_FOLDER = Cell(
    DOES_NOT_APPLY, "the app has no static files, or none in a folder of which a server can be told"
)


def probe(contender: Contender) -> Cell:
    address, site = contender.address, contender.site
    assert address is not None
    if not site.static_url:
        return NO_FOLDER
    noted = site.notes / "marker"
    noted.unlink(missing_ok=True)
    # What reaches the app must be seen to, or that nothing was seen would say nothing.
    ask(address, f"/{secrets.token_hex(8)}/{site.marker}", TIMEOUT)
    if not noted.exists():
        return Cell(UNKNOWN, "requests that reach the app are not noted, so none can be missed")
    noted.unlink()
    path = f"{site.static_url}{site.marker}"
    answer = ask(address, path, TIMEOUT)
    asked = noted.exists()
    whole = answer.status == 200 and answer.body == site.marker_text.encode()
    size = f"{len(answer.body):,} bytes"
    if whole and not asked:
        return Cell(YES, f"GET {site.static_url}…: 200, {size}; the app has not seen the request")
    if asked:
        pid = noted.read_text().split()[-1]
        what = "200" if whole else str(answer.status)
        return Cell(
            NO, f"GET {site.static_url}…: the app in process {pid} was asked, and said {what}"
        )
    return Cell(NO, f"GET {site.static_url}…: {answer.status}, {size}, which are not the file's")
