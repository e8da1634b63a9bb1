"""Private keys that were registered with Tesla: read from PEM; only RSA keys are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from probe_exporter.files import read_regular
from probe_exporter.secrets import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

_LARGEST: Final = 64 << 10


def read_key_file(path: Path) -> Secret:
    """The PEM text in a file. Raises OSError, and ValueError with what to do where it does not hold an RSA key."""
    pem = read_regular(path, _LARGEST, "name the private key that was registered")
    rsa_key(pem)
    return Secret(pem.decode("ascii"))


def rsa_key(pem: bytes) -> rsa.RSAPrivateKey:
    """The key in PEM text. Raises ValueError, with a sentence that says what to do."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError(
            "the key is encrypted; write it without a passphrase, readable by its owner only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            "the file does not hold a private key in PEM form; name the key that was registered"
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the key is not an RSA key; Tesla registers RSA keys of 4096 bits for a gateway")
    return key
