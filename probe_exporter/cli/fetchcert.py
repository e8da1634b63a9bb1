"""``probe_exporter fetchcert``: fetch, show and save the certificates of gateways."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from probe_exporter.cli.certificates import FORMATS, ShownCertificate, as_json, as_table, certificate_facts
from probe_exporter.cli.endings import describe_failure
from probe_exporter.cli.options import Settings, choose_targets, duration_option, with_targets
from probe_exporter.cli.progress import over_targets
from probe_exporter.errors import PinError
from probe_exporter.files import write_whole

if TYPE_CHECKING:
    from probe_exporter.config import GatewayConfig


@click.command()
@with_targets
@click.option("--force", is_flag=True, help="Replace a stored certificate that differs.")
@click.option("--quiet", is_flag=True, help="Print only failures.")
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How the certificates are printed; failures go to standard error.",
)
@duration_option("--timeout", "10s", "Time limit for each address of a gateway.")
@click.pass_obj
def fetchcert(
    settings: Settings,
    targets: tuple[str, ...],
    everything: bool,
    force: bool,
    quiet: bool,
    style: str,
    timeout: float,
) -> int:
    """Save the certificate of gateways to their tls_cert_file.

    Shows subject, expiry and SHA-256, also for an address that TEDAPI has of its own. Nothing is sent to a gateway,
    and no password is needed. A gateway with neither tls_cert_file nor tls_fingerprint gets its certificate
    printed, with the tls_fingerprint: line to paste into the configuration.
    """
    settings.start_logging("error")
    config = settings.load(without_secrets=True)
    names = choose_targets(config, targets, everything)

    def fetch(name: str) -> list[ShownCertificate]:
        gateway = config.gateways[name]
        other = _elsewhere(gateway)
        return [_fetch(one, timeout, force) for one in (gateway, other) if one is not None]

    shown: list[ShownCertificate] = []
    errors: dict[str, str] = {}
    for name, outcome in over_targets(names, fetch, "Fetching certificates"):
        if isinstance(outcome, Exception):
            errors[name] = describe_failure(outcome)
            click.echo(f"{name}: {errors[name]}", err=True)
        else:
            shown += outcome
            if style == "text" and not quiet:
                click.echo(f"{name}: {_sentences(outcome)}")
    if style != "text" and not quiet:
        click.echo(as_table(shown) if style == "table" else as_json(shown, errors), nl=False)
    if len(names) > 1 and (errors or not quiet):
        click.echo(
            f"{len(names)} gateways: {len(names) - len(errors)} fetched, {len(errors)} failed", err=True
        )
    return 1 if errors else 0


def _sentences(certificates: list[ShownCertificate]) -> str:
    """Return the text about the certificates of a gateway: its own, and that of TEDAPI where it has another address."""
    own, *others = certificates
    return "\n".join([str(own), *(f"  TEDAPI at {other.address}: {other}" for other in others)])


def _fetch(gateway: GatewayConfig, timeout: float, force: bool) -> ShownCertificate:
    """Fetch a certificate, and save it where a file is configured. Raises GatewayError and OSError."""
    from probe_exporter.gateway.client import fetch_certificate

    der = fetch_certificate(gateway, timeout)
    sha256 = hashlib.sha256(der).digest()
    pin = gateway.pin
    same = pin is not None and pin.sha256 == sha256
    if pin is not None and not same and not force:
        raise PinError(
            f"the gateway shows the certificate sha256:{sha256.hex()}, but {pin.source} has "
            f"sha256:{pin.sha256.hex()}; if the gateway was replaced or updated, accept the new one with "
            f"`probe_exporter fetchcert --force {gateway.name}`"
        )
    file = gateway.tls_cert_file
    if file is not None and not same:
        save(file, _pem(der))
    if file is None:
        verdict = f"the same as {gateway.called('tls_fingerprint')}" if same else _not_saved(gateway)
    else:
        verdict = "unchanged" if same else "saved"
    subject, expires = certificate_facts(der)
    return ShownCertificate(
        gateway.name,
        gateway.addresses[0].text,
        verdict,
        None if file is None else str(file),
        subject,
        expires,
        sha256.hex(),
        "" if same or file is not None else _paste(der, sha256, gateway),
    )


def _not_saved(gateway: GatewayConfig) -> str:
    file = gateway.called("tls_cert_file")
    return f"not saved, as no {file} is configured" if file else "not saved"


def _elsewhere(gateway: GatewayConfig) -> GatewayConfig | None:
    """Return the access to TEDAPI where it has its own certificate, None where it shares the gateway's."""
    from probe_exporter.config.tedapi_access import tedapi_address

    section = gateway.tedapi
    if section is None or (section.keys.gateway_address is None and not section.own_pin):
        return None
    return tedapi_address(gateway, section)


def _paste(der: bytes, sha256: bytes, gateway: GatewayConfig) -> str:
    """Return the certificate, and the setting that makes it the only trusted one."""
    file, fingerprint = gateway.called("tls_cert_file"), gateway.called("tls_fingerprint")
    where = f"save it and name it as {file}, or " if file else ""
    line = (
        f"set\n    {fingerprint}=sha256:{sha256.hex()}"
        if gateway.variables
        else f'paste below {gateway.name}:\n    {fingerprint}: "sha256:{sha256.hex()}"'
    )
    return f"{_pem(der)}To trust this certificate and no other, {where}{line}"


def _pem(der: bytes) -> str:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der)


def save(path: Path, pem: str) -> None:
    """Keep a certificate. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, pem.encode("ascii"), 0o644)  # it is public, and the service may run as another user
