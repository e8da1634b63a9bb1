"""Certificates of gateways as text: in sentences, as a table, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

FORMATS: Final = ("text", "table", "json")


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate that was shown at an address, and what was done with it.

    ``file`` is None where it has no file of its own; ``advice`` is what to do with it, "" where nothing is to be done.
    """

    target: str
    address: str
    verdict: str
    file: str | None
    subject: str
    expires: str
    sha256: str
    advice: str = ""

    def __str__(self) -> str:
        where = f" {self.file}" if self.file is not None else ""
        lines = [
            f"{self.verdict}{where}",
            f"  subject  {self.subject}",
            f"  expires  {self.expires}",
            f"  SHA-256  sha256:{self.sha256}",
        ]
        return "\n".join([*lines, self.advice] if self.advice else lines)


def certificate_facts(der: bytes) -> tuple[str, str]:
    """Return the subject and the expiry of a certificate as text."""
    from probe_exporter.gateway.certificate import read_certificate

    certificate = read_certificate(der)
    if certificate is None:
        return "unreadable", "unreadable"
    return certificate.subject, f"{certificate.not_after:%Y-%m-%d %H:%M:%S} UTC"


def as_table(certificates: Iterable[ShownCertificate]) -> str:
    """Return a line for each certificate."""
    rows = [
        ("TARGET", "ADDRESS", "STATE", "EXPIRES", "SHA-256"),
        *((one.target, one.address, one.verdict, one.expires, one.sha256) for one in certificates),
    ]
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of text in columns, two spaces between them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def as_json(certificates: Iterable[ShownCertificate], errors: dict[str, str]) -> str:
    """Return an object for each certificate and for each target that failed, in a list."""
    shown = [
        {
            "target": one.target,
            "address": one.address,
            "state": one.verdict,
            "file": one.file,
            "subject": one.subject,
            "expires": one.expires,
            "sha256": one.sha256,
        }
        for one in certificates
    ]
    failed = [{"target": target, "error": error} for target, error in errors.items()]
    return json.dumps([*shown, *failed], indent=2, ensure_ascii=False) + "\n"
