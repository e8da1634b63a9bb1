"""The contents of a gateway's certificate, for display: trust is decided elsewhere."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import datetime

from probe_exporter.readings.payload import clean


@dataclass(frozen=True, slots=True)
class Certificate:
    """The subject as one line of printable text, and the end of the validity, in UTC."""

    subject: str
    not_after: datetime


def read_certificate(der: bytes) -> Certificate | None:
    """The parts of a certificate. None for one that TLS accepts and `cryptography` is too strict to read."""
    from cryptography import x509  # imported late: most commands never need it
    from cryptography.utils import CryptographyDeprecationWarning

    # Warnings about the certificate of a gateway do not help the person at the terminal.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(clean(certificate.subject.rfc4514_string()), certificate.not_valid_after_utc)
    except (ValueError, TypeError, x509.InvalidVersion):
        return None


def is_gateway(der: bytes) -> bool:
    """Return True if a certificate looks like that of a Tesla gateway: its subject has Tesla's organization."""
    certificate = read_certificate(der)
    return certificate is not None and "O=Tesla" in certificate.subject.split(",")
