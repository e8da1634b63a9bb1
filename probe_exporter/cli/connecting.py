"""``probe_exporter check --connect``: does a gateway answer, with the certificate and the password configured?"""

from __future__ import annotations

import time
from typing import Final

from probe_exporter.config import Config, GatewayConfig

_ASKED: Final = "meters/aggregates"
"""The endpoint that is read with the session: every model and firmware has it, and none shows it without."""


def try_connection(config: Config, name: str, timeout: float) -> str:
    """Open a connection to a gateway, and to TEDAPI where that has another address. Return what was found.

    Nothing is sent. Raises GatewayError.
    """
    gateway = config.gateways[name]
    told = _dial(gateway, timeout)
    if gateway.tedapi is not None:
        from probe_exporter.config.tedapi_access import tedapi_address

        other = tedapi_address(gateway, gateway.tedapi)
        if other is not gateway:
            told += f"; TEDAPI: {_dial(other, timeout)}"
    return told


def _dial(gateway: GatewayConfig, timeout: float) -> str:
    from probe_exporter.gateway.transport import Dialler

    dialler = Dialler(gateway)
    connection = dialler.dial(timeout)
    connection.close()
    pinned = "the pinned certificate" if dialler.pinned else "a certificate that is not pinned"
    return f"{connection.address.text} answers with {pinned}"


def try_login(config: Config, name: str, timeout: float) -> str:
    """Log in to a gateway at most once, as a probe would. Return what came of it. Raises GatewayError.

    What is remembered of logins holds here too: after a refusal nothing is sent.
    """
    from probe_exporter.fleet import Fleet
    from probe_exporter.gateway.endpoints import BY_NAME
    from probe_exporter.gateway.once import Once
    from probe_exporter.telemetry import Telemetry

    fleet = Fleet(config, Telemetry(), one_off=True)
    site = fleet.find(name)
    session = site.gateway.session
    try:
        if not session.has_password:
            return f"no {site.config.called('login_password')} is configured"
        session.open()
        kept = session.token is not None
        once = Once([BY_NAME[_ASKED]], site.module(), time.monotonic() + timeout)
        site.gateway.fetch(once)
        if once.error is not None:
            raise once.error
        if session.missing:
            raise session.refusal()
    finally:
        fleet.close()
    return "a session of an earlier login is kept and accepted" if kept else "the password is accepted"
