"""What tests of TEDAPI share: keys, the query texts of an installed pypowerwall, and a simulated interface."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from probe_exporter.tedapi.queries import extra_installed, installed_file, load_queries

if TYPE_CHECKING:
    from probe_exporter.tedapi.queries import Queries

needs_extra = pytest.mark.skipif(
    not extra_installed() or installed_file() is None, reason="the extra [tedapi] is not installed"
)
"""For tests that build or read messages."""

LEADER = "1707000-30-L--TG1234567890AB"
FOLLOWER = "1707000-30-L--TG1234567890CD"


@cache
def queries() -> Queries:
    """The two queries of the installed package."""
    path = installed_file()
    assert path is not None
    return load_queries(path)


@cache
def key(bits: int = 2048, name: str = "") -> rsa.RSAPrivateKey:
    """A key; ``name`` tells several apart. Fewer bits than Tesla asks for: making 4096 takes seconds."""
    return rsa.generate_private_key(65537, bits)


def pem(private: rsa.RSAPrivateKey) -> bytes:
    """A key as its owner keeps it."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_file(folder: Path, private: rsa.RSAPrivateKey | None = None) -> Path:
    """A key in a file that only its owner may read."""
    path = folder / "key.pem"
    path.write_bytes(pem(private or key()))
    path.chmod(0o600)
    return path
