"""``probe_exporter fetchcert``: fetch, show and save the certificates of gateways."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe_exporter.cli.endings import describe_system_error
from probe_exporter.cli.options import Settings, choose_targets, duration_option, with_targets
from probe_exporter.cli.progress import over_targets
from probe_exporter.errors import GatewayError, PinError
from probe_exporter.files import write_whole

if TYPE_CHECKING:
    from probe_exporter.config import Config, GatewayConfig


@click.command()
@with_targets
@click.option("--force", is_flag=True, help="Replace a stored certificate that differs.")
@duration_option("--timeout", "10s", "Time limit for each address of a gateway.")
@click.pass_obj
def fetchcert(
    settings: Settings, targets: tuple[str, ...], everything: bool, force: bool, timeout: float
) -> int:
    """Save the certificate of gateways to their tls_cert_file.

    Shows subject, expiry and SHA-256, also for an address that TEDAPI has of its own. Nothing is sent to a gateway,
    and no password is needed. A gateway without tls_cert_file gets its certificate printed, with the tls_fingerprint:
    line to paste into the configuration.
    """
    settings.start_logging("error")
    config = settings.load(without_secrets=True)
    names = choose_targets(config, targets, everything)

    def fetch(name: str) -> str:
        gateway = config.gateways[name]
        told = _fetch(config, gateway, timeout, force)
        other = _elsewhere(gateway)
        if other is None:
            return told
        return f"{told}\n  TEDAPI at {other.addresses[0].text}: {_fetch(config, other, timeout, force)}"

    failed = 0
    for name, outcome in over_targets(names, fetch, "Fetching certificates"):
        if isinstance(outcome, Exception):
            failed += 1
            click.echo(f"{name}: {_describe(outcome)}", err=True)
        else:
            click.echo(f"{name}: {outcome}")
    if len(names) > 1:
        click.echo(f"{len(names)} gateways: {len(names) - failed} fetched, {failed} failed", err=True)
    return 1 if failed else 0


def _fetch(config: Config, gateway: GatewayConfig, timeout: float, force: bool) -> str:
    """Fetch one certificate, and save it if a file is configured. Return the text to print.

    Raises GatewayError and OSError.
    """
    from probe_exporter.gateway.client import fetch_certificate

    der = fetch_certificate(gateway, timeout)
    shown = hashlib.sha256(der).digest()
    pin = gateway.pin
    same = pin is not None and pin.sha256 == shown
    if pin is not None and not same and not force:
        raise PinError(
            f"the gateway shows the certificate sha256:{shown.hex()}, but {pin.source} has "
            f"sha256:{pin.sha256.hex()}; if the gateway was replaced or updated, accept the new one with "
            f"`probe_exporter fetchcert --force {gateway.name}`"
        )
    if gateway.tls_cert_file is None:
        verdict = "the same as tls_fingerprint" if same else "not saved, as no tls_cert_file is configured"
        return f"{verdict}\n{_summary(der, shown)}\n{_paste(der, shown, gateway)}"
    verdict = "unchanged" if same else "saved"
    if not same:
        save(gateway.tls_cert_file, _pem(der))
    return f"{verdict} {gateway.tls_cert_file}\n{_summary(der, shown)}"


def _elsewhere(gateway: GatewayConfig) -> GatewayConfig | None:
    """Return the access to TEDAPI where it has its own certificate, None where it shares the gateway's."""
    from probe_exporter.config.tedapi_access import tedapi_address

    section = gateway.tedapi
    if section is None or (section.keys.gateway_address is None and not section.own_pin):
        return None
    return tedapi_address(gateway, section)


def _describe(error: Exception) -> str:
    """Return one line about an error that `_fetch` raised; raise any error that is not of a gateway or a file."""
    if isinstance(error, OSError):
        return describe_system_error(error)
    if isinstance(error, GatewayError):
        return str(error)
    raise error


def _summary(der: bytes, sha256: bytes) -> str:
    from probe_exporter.gateway.certificate import read_certificate

    certificate = read_certificate(der)
    subject = certificate.subject if certificate else "unreadable"
    expiry = f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC" if certificate else "unreadable"
    return f"  subject  {subject}\n  expires  {expiry}\n  SHA-256  sha256:{sha256.hex()}"


def _paste(der: bytes, sha256: bytes, gateway: GatewayConfig) -> str:
    return (
        f"{_pem(der)}To trust this certificate and no other, save it and name it as tls_cert_file, or paste below "
        f'{gateway.name}:\n    tls_fingerprint: "sha256:{sha256.hex()}"'
    )


def _pem(der: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der)


def save(path: Path, pem: str) -> None:
    """Keep a certificate. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, pem.encode("ascii"), 0o644)  # it is public, and the service may run as another user
