"""Does it speak HTTPS, with a certificate that was made on the spot?"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import replace

from ..cell import NO, UNKNOWN, YES, Cell
from ..contenders.contender import Contender
from ..wire import Address, ask, connect
from .control import failed_control

__all__ = ["probe"]

TIMEOUT = 2.0  # seconds


def probe(contender: Contender) -> Cell:
    site = contender.site
    if contender.tls_address is None and site.certificate is None:
        return Cell(UNKNOWN, site.certificate_error)
    plain = contender.address
    assert plain is not None
    if contender.tls_address is not None:
        return _handshake(contender.tls_address, f"{site.prefix}who", late=UNKNOWN)
    if plain.tls:
        return _handshake(plain, f"{site.prefix}who", late=UNKNOWN)
    if (failed := failed_control(contender, TIMEOUT)) is not None:
        return failed
    # It has no address for TLS: here is what it makes of a client that begins a handshake.
    return _handshake(replace(plain, tls=True), f"{site.prefix}who", late=NO)


def _handshake(address: Address, path: str, *, late: str) -> Cell:
    """
    :param late: what it means that nothing comes in time: where TLS is set up, that the machine
        is busy.
    """
    where = f"port {address.port}"
    try:
        with connect(address, TIMEOUT) as peer:
            assert isinstance(peer, ssl.SSLSocket)
            version, cipher = peer.version(), peer.cipher()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        state = late if isinstance(error, TimeoutError) else NO
        return Cell(state, f"a TLS handshake at {where} failed: {reason}")
    checked = "checked against its own file" if address.authority else "not checked"
    name = cipher[0] if cipher else "?"
    try:
        answer = ask(address, path, TIMEOUT)
        scheme = answer.json()["scheme"] if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        state = late if isinstance(error, TimeoutError) else NO
        return Cell(state, f"after the handshake ({version}) no response came: {error}")
    told = f"handshake at {where}: {version}, {name}, the certificate {checked}"
    if scheme is None:
        return Cell(NO, f"{told}; the request after it was answered with {answer.status}")
    return Cell(YES, f"{told}; the app was told that the scheme is {scheme}")
