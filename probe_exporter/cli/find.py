"""``probe_exporter find``: gateways on a network, known by their certificates."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from typing import Final

import click

from probe_exporter.cli.certificates import ShownCertificate, aligned, as_json, certificate_facts
from probe_exporter.cli.options import Refusal, Settings, duration_option
from probe_exporter.cli.progress import over_targets

MOST_ADDRESSES: Final = 4096
"""Addresses of one search: at 32 at a time and a second each it takes two minutes."""

_SOMEWHERE: Final = ("192.0.2.1", 9)
"""An address of documentation: nothing is sent there, and the system only tells which of our addresses it would use."""


@click.command()
@click.argument("network", required=False)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=443, show_default=True, help="The port to look at."
)
@duration_option("--timeout", "1s", "Time limit for each address.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How the gateways are printed.",
)
@click.pass_obj
def find(settings: Settings, network: str | None, port: int, timeout: float, style: str) -> int:
    """Look for gateways on a private IPv4 NETWORK, such as 192.168.1.0/24.

    Without one: the /24 of this machine's own address, whatever the size of its network. An address without a size
    is looked at alone. At most 32 addresses are looked at at a time. Each gets a TLS handshake and nothing else; a
    gateway is known by the certificate that it shows. No configuration is needed. The exit code is 1 where no gateway
    was found.
    """
    settings.start_logging("error")
    addresses = _addresses(network)

    def look(host: str) -> ShownCertificate | None:
        return _look(host, port, timeout)

    found: list[ShownCertificate] = []
    for _, outcome in over_targets(addresses, look, "Looking"):
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            found.append(outcome)
    if style == "json":
        click.echo(as_json(found, {}), nl=False)
    elif found:
        rows = [(one.address, one.expires, one.sha256, one.subject) for one in found]
        click.echo(aligned([("ADDRESS", "EXPIRES", "SHA-256", "SUBJECT"), *rows]), nl=False)
    places = "1 address" if len(addresses) == 1 else f"{len(addresses)} addresses"
    noun = "gateway" if len(found) == 1 else "gateways"
    click.echo(f"{places}: {len(found)} {noun} found", err=True)
    return 0 if found else 1


def _addresses(network: str | None) -> list[str]:
    """Return the addresses to look at. Raises Refusal for a network that is not private, or too large."""
    try:
        chosen = ipaddress.IPv4Network(network or f"{_own_address()}/24", strict=False)
    except ValueError:
        raise Refusal("the network is not an IPv4 network; write it such as 192.168.1.0/24") from None
    if not chosen.is_private:
        raise Refusal("the network is not private; only networks such as 192.168.1.0/24 are looked at")
    if chosen.num_addresses > MOST_ADDRESSES:
        raise Refusal(
            f"the network has more than {MOST_ADDRESSES:,} addresses; name a part of it (/20 to /32)"
        )
    return [str(host) for host in chosen.hosts()]


def _own_address() -> str:
    """Return this machine's own address on its default route. Raises Refusal where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(_SOMEWHERE)
        except OSError:
            raise Refusal(
                "which network? This machine has no default route; write it such as 192.168.1.0/24"
            ) from None
        return str(sock.getsockname()[0])


def _look(host: str, port: int, timeout: float) -> ShownCertificate | None:
    """Return the certificate of a gateway; None where there is no gateway."""
    from probe_exporter.config import Address
    from probe_exporter.errors import GatewayError
    from probe_exporter.gateway.certificate import is_gateway
    from probe_exporter.gateway.transport import connect

    text = host if port == 443 else f"{host}:{port}"
    try:
        connection = connect(Address(host, port, text), timeout)
    except GatewayError:
        return None
    der = connection.certificate
    connection.close()
    if not is_gateway(der):
        return None
    subject, expires = certificate_facts(der)
    return ShownCertificate(text, text, "found", None, subject, expires, hashlib.sha256(der).hexdigest())
