"""``tedapi:`` of a gateway: its keys, and what holds once the files that it names were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import voluptuous as vol

from probe_exporter.config import values
from probe_exporter.config.sections import Section, key, nested, show
from probe_exporter.config.values import Address, Kind
from probe_exporter.secrets import Secret
from probe_exporter.tedapi.queries import Queries
from probe_exporter.tedapi.questions import Din

if TYPE_CHECKING:
    from probe_exporter.config.schema import Pin


COLLECTOR: Final = "tedapi"
"""The collector of everything that TEDAPI delivers."""


def _din(value: object) -> Din:
    try:
        return Din(values.text(value))
    except ValueError as error:
        raise vol.Invalid(str(error).replace("this is", "is")) from None


def _one_address(value: object) -> Address:
    if not isinstance(value, str):
        raise vol.Invalid("must be one address; a list is only for the gateway itself")
    return values.address(value)


DIN: Final = Kind("DIN", _din, lambda din: din.text)
ONE_ADDRESS: Final = Kind("address", _one_address, lambda address: address.text)


@dataclass(frozen=True, slots=True)
class TedapiKeys:
    """The keys as they are written."""

    rsa_key_file: str | None = key(
        values.FILE, None, "home network (v1r): the private key that was registered with Tesla"
    )
    gateway_password: Secret | None = key(
        values.SECRET, None, "the gateway's own Wi-Fi (v1): the whole password of its label"
    )
    gateway_password_file: str | None = key(values.FILE, None, "a file with that password")
    din: Din | None = key(
        DIN, None, "the gateway's part number and serial", otherwise="asked once, with `login_password`"
    )
    gateway_address: Address | None = key(
        ONE_ADDRESS,
        None,
        "where TEDAPI is asked, and never with the gateway's pin",
        otherwise="the gateway's",
    )
    tls_cert_file: str | None = key(values.FILE, None, "the only certificate that may be shown there")
    tls_fingerprint: bytes | None = key(values.FINGERPRINT, None, "the same as `sha256:…`")
    queries_file: str | None = key(
        values.FILE, None, "`V2024_06.json` of pypowerwall", otherwise="that of the installed package"
    )
    request_timeout: float = key(values.SOME_DURATION, "15s", "of one request: some gateways take 9 s")


@dataclass(frozen=True, slots=True)
class TedapiConfig:
    """The access to a gateway through TEDAPI: by its signed key, or with the password of its own Wi-Fi.

    ``addresses`` are empty where they are the gateway's, and then its pin holds unless there is one of its own.
    ``variables`` has the variable of each key where there is no file.
    """

    keys: TedapiKeys
    rsa_key: Secret | None
    password: Secret | None
    queries: Queries
    pin: Pin | None
    tls_cert_file: Path | None
    pin_missing: bool
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def own_pin(self) -> bool:
        """Return True if the section pins a certificate of its own."""
        return self.pin is not None or self.pin_missing

    def shown(self) -> dict[str, object]:
        """Return the section without its secrets."""
        return show(self.keys)


@dataclass(frozen=True, slots=True)
class TedapiPart:
    """The key of a gateway that has the section."""

    tedapi: TedapiKeys | None = key(
        nested(TedapiKeys), None, "the newer interface: Powerwall 3 in full, vitals of the others"
    )


TEDAPI: Final = Section(TedapiKeys)
"""The section, for the tables of docs/configuration.md."""
