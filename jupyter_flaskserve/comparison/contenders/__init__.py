"""The servers that are compared, one file each."""

from __future__ import annotations

from ..site import Site
from .apache import Apache
from .by_hand import ByHand
from .contender import Contender
from .development_server import DevelopmentServer
from .gunicorn import Gunicorn
from .jupyter import Jupyter
from .kernel import ApacheToKernel, NginxToKernel
from .nginx import Nginx
from .waitress import Waitress

__all__ = ["CONTENDERS", "Contender", "make"]

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


def make(key: str, site: Site) -> Contender:
    """One of :data:`CONTENDERS`, which has not started yet."""
    return CONTENDERS[key](site)
