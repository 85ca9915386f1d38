"""The servers that are compared, one file each."""

from __future__ import annotations

from .apache import Apache
from .by_hand import ByHand
from .contender import Contender
from .development_server import DevelopmentServer
from .gunicorn import Gunicorn
from .jupyter import Jupyter
from .kernel import ApacheToKernel, NginxToKernel
from .nginx import Nginx
from .waitress import Waitress

__all__ = ["CONTENDERS", "CannotCompare", "Contender", "find"]


class CannotCompare(ValueError):
    """There is no such server. The message is one line that says which there are."""


CONTENDERS: dict[str, type[Contender]] = {
    kind.key: kind
    for kind in (
        ByHand,
        DevelopmentServer,
        Gunicorn,
        Waitress,
        Nginx,
        Apache,
        NginxToKernel,
        ApacheToKernel,
        Jupyter,
    )
}
"""What there is, by the word that names it, in the order in which it is compared."""


def find(key: str) -> type[Contender]:
    """One of :data:`CONTENDERS`.

    :raises CannotCompare: there is no such one.
    """
    if key not in CONTENDERS:
        raise CannotCompare(f"There is no server {key!r}. There is {', '.join(CONTENDERS)}.")
    return CONTENDERS[key]
