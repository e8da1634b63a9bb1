"""Certificates of gateways as people see them: odd and hostile ones harm neither a probe nor a terminal."""

from __future__ import annotations

import ssl
import warnings
from datetime import datetime, timezone
from pathlib import Path

import pytest

from probe_exporter.gateway.certificate import read_certificate
from probe_exporter.simulator import (
    LivingSite,
    SimulatedCertificate,
    SimulatedGateway,
    make_certificate,
    write_config,
)
from tests import configs
from tests.program_runs import run_program
from tests.scenes import scene, value

VERSION_3 = bytes.fromhex("a003020102")


def of_version(number: int) -> SimulatedCertificate:
    """A certificate whose version says something else; its signature, which nobody checks, is broken by that."""
    usual = make_certificate()
    assert usual.der.count(VERSION_3) == 1
    der = usual.der.replace(VERSION_3, VERSION_3[:-1] + bytes([number]))
    return SimulatedCertificate(ssl.DER_cert_to_PEM_cert(der).encode(), usual.key_pem)


def with_subject(text: str) -> SimulatedCertificate:
    """A certificate with 10 characters of its subject replaced."""
    usual = make_certificate()
    der = usual.der.replace(b"California", text.encode("latin-1").ljust(10)[:10])
    return SimulatedCertificate(ssl.DER_cert_to_PEM_cert(der).encode(), usual.key_pem)


def test_subject_and_end() -> None:
    start = datetime(2023, 7, 14, tzinfo=timezone.utc)
    certificate = read_certificate(make_certificate(start).der)
    assert certificate is not None
    assert certificate.subject.endswith("OU=Tesla Energy Products,O=Tesla,L=Palo Alto,ST=California,C=US")
    assert certificate.not_after == datetime(2048, 7, 7, tzinfo=timezone.utc)


def test_what_cannot_be_read_is_none() -> None:
    for der in (b"", b"0", b"0\x82\xff\xff", make_certificate().der[:100], of_version(1).der):
        assert read_certificate(der) is None


@pytest.mark.parametrize("version", [1, 4])
def test_a_certificate_of_an_odd_version_costs_a_probe_nothing_but_its_end(version: int) -> None:
    with scene() as home:
        home.gateway.swap_certificate(of_version(version))
        result = home.probe()
        assert result.success
        assert value(result, "powerwall_tls_certificate_not_after_timestamp_seconds") is None


def fetched(certificate: SimulatedCertificate, folder: Path) -> str:
    with SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD, certificate=certificate) as gateway:
        file = folder / "gateways.yaml"
        write_config({"home": gateway}, file)
        text = "".join(line for line in file.read_text().splitlines(True) if "tls_fingerprint" not in line)
        file.write_text(text)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ended = run_program(f"--config.file={file}", "fetchcert", "home")
    assert ended.code == 0, ended.stderr
    return ended.stdout


def test_fetchcert_of_an_odd_version(tmp_path: Path) -> None:
    certificate = of_version(1)
    assert f"  SHA-256  sha256:{certificate.sha256}\n" in fetched(certificate, tmp_path)


def test_a_subject_cannot_forge_lines_or_command_the_terminal(tmp_path: Path) -> None:
    certificate = with_subject("\n SHA-256\x1b")
    shown = fetched(certificate, tmp_path)
    assert "\x1b" not in shown
    assert [line for line in shown.splitlines() if "SHA-256" in line and "subject" not in line] == [
        f"  SHA-256  sha256:{certificate.sha256}"
    ]


def test_a_bit_string_as_common_name_is_read_as_nothing() -> None:
    """TLS takes it, and `cryptography` allows bit strings for one attribute alone."""
    usual = make_certificate().der
    place = usual.rindex(b"California") - 2
    assert usual[place : place + 2] in (b"\x0c\x0a", b"\x13\x0a"), "a text of ten characters"
    odd = usual[:place] + b"\x03" + usual[place + 1 : place + 2] + b"\x00" + usual[place + 3 :]
    assert read_certificate(odd) is None
