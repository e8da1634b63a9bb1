"""Certificates like a gateway's, and the TLS contexts that show them.

A gateway's certificate is signed by an authority of its own, whose certificate it never sends: EC P-256, 25 years, and
the names teg, powerwall and powerpack. A handshake for any other name is dropped.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMES: Final = ("teg", "powerwall", "powerpack")

_LIFE: Final = timedelta(days=25 * 365)
_UNRECOGNISED_NAME: Final = 112
"""The TLS alert that makes OpenSSL abort a handshake."""


@dataclass(frozen=True)
class SimulatedCertificate:
    """A leaf certificate and its key, both as PEM bytes."""

    pem: bytes
    key_pem: bytes

    @cached_property
    def der(self) -> bytes:
        """The certificate as it goes over the wire."""
        return ssl.PEM_cert_to_DER_cert(self.pem.decode("ascii"))

    @cached_property
    def sha256(self) -> str:
        """The fingerprint: 64 hex digits."""
        return hashlib.sha256(self.der).hexdigest()

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The server's side of TLS with this certificate; made once, shared by all connections."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.num_tickets = 1
        # The ssl module reads certificates from files only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self.key_pem + self.pem)
            file.flush()
            context.load_cert_chain(file.name)
        context.sni_callback = _check_name
        return context

    def save(self, path: Path) -> None:
        """Write the certificate, without its key, to ``path``. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.pem)


def _check_name(_connection: object, name: str | None, _context: ssl.SSLContext) -> int | None:
    return None if name is None or name.lower() in NAMES else _UNRECOGNISED_NAME


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "California"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Palo Alto"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tesla"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Tesla Energy Products"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def make_certificate(not_before: datetime | None = None, life: timedelta = _LIFE) -> SimulatedCertificate:
    """A new certificate with a new key, valid since yesterday where ``not_before`` is not given."""
    device = secrets.token_hex(16)
    key = ec.generate_private_key(ec.SECP256R1())
    authority = ec.generate_private_key(ec.SECP256R1())
    start = not_before or datetime.now(timezone.utc) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(device))
        .issuer_name(_name(f"{device} CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(authority, hashes.SHA256())
    )
    return SimulatedCertificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
