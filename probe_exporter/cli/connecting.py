"""``probe_exporter check --connect``: does a gateway answer, with the certificate and the password configured?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from probe_exporter.config import Config, GatewayConfig

if TYPE_CHECKING:
    from probe_exporter.config.tedapi_section import TedapiConfig
    from probe_exporter.fleet import Site

_ASKED: Final = "meters/aggregates"
"""The endpoint that is read with the session: every model and firmware has it, and none shows it without a session."""


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
    """Log in to a gateway at most once, as a probe would, and ask TEDAPI once where it is configured.

    Return the outcome. Raises GatewayError. Remembered logins count here too: after a refusal nothing is sent.
    """
    from probe_exporter.fleet import Fleet
    from probe_exporter.telemetry import Telemetry

    fleet = Fleet(config, Telemetry(), one_off=True)
    site = fleet.find(name)
    try:
        told = _log_in(site, timeout)
        if site.config.tedapi is not None:
            told += f"; TEDAPI: {_ask_tedapi(site, site.config.tedapi)}"
    finally:
        fleet.close()
    return told


def _log_in(site: Site, timeout: float) -> str:
    from probe_exporter.gateway.endpoints import BY_NAME
    from probe_exporter.gateway.once import Once

    session = site.gateway.session
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
    return "a session of an earlier login is kept and accepted" if kept else "the password is accepted"


def _ask_tedapi(site: Site, section: TedapiConfig) -> str:
    """Read one thing with the key or password of the section, within its ``request_timeout``. Raises GatewayError."""
    from probe_exporter.clock import SystemClock
    from probe_exporter.errors import GatewayError
    from probe_exporter.gateway.tedapi_talk import TedapiTalk
    from probe_exporter.tedapi.questions import Question
    from probe_exporter.telemetry import Telemetry

    talk = TedapiTalk(site.config, section, SystemClock(), site.gateway.session.headers, Telemetry())
    try:
        talk.ask(Question.SYSTEM, None)
    except GatewayError as error:
        raise GatewayError(f"TEDAPI: {error}") from error
    finally:
        talk.close()
    return "the password is accepted" if section.rsa_key is None else "the key is accepted"
