"""The keys of a configuration file: every one, what it takes, its default, and a sentence on it.

They are declared only here. The values in force, what ``/config`` shows and the tables of docs/configuration.md derive
from it. Each section is a dataclass (see ``sections.py``); a class that is in force as it was written, such as
`Module`, is used unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import voluptuous as vol

from probe_exporter.config import values
from probe_exporter.config.sections import Section, called, key
from probe_exporter.config.tariff_section import PRICE, TARIFF
from probe_exporter.config.tedapi_section import TEDAPI, TedapiConfig, TedapiPart
from probe_exporter.config.values import (
    Address,
    HiddenKeyError,
    Kind,
    as_mapping,
    one_or_many,
    suggestion,
    text,
)
from probe_exporter.secrets import Secret
from probe_exporter.tariffs import Tariff

COLLECTORS = ("core", "meters", "grid", "site", "network", "solar", "tedapi", "tariff")
DEFAULT_MODULE = "default"
DEFAULT_TARIFF = "default"
"""The tariff of gateways that name none."""
DEFAULT_EMAIL = "powerwall_exporter@example.org"

RESERVED_LABELS = frozenset(
    """
    alert brand category check ct currency device device_type diagnostic din disconnect_type distributor ecu_type
    endpoint fan git_hash grid_code grid_country grid_region grid_state id index interface inverter is_fault leader
    location mode model name pack_serial part part_number partno period phase problem quantity reason retailer sensor
    serial short_id site_name source state status string sync_type tariff teg_type timezone tyoe type utility version
    """.split()
)
"""The labels of the exported metrics: Prometheus would rename these in a sample if a target had them."""

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _collector(value: object) -> str:
    name = text(value)
    if name not in COLLECTORS:
        raise vol.Invalid(
            f"is not a collector{suggestion(name, COLLECTORS)}; there are {', '.join(COLLECTORS)}"
        )
    return name


def _collectors(value: object) -> tuple[str, ...]:
    """Return the subjects that are exported, in the order of ``COLLECTORS``; core is always exported."""
    asked = {"core", *one_or_many(_collector)(list(COLLECTORS) if value == "all" else value)}
    return tuple(name for name in COLLECTORS if name in asked)


def _labels(value: object) -> dict[str, str]:
    errors: list[vol.Invalid] = []
    found: dict[str, str] = {}
    for name, item in as_mapping(value).items():
        try:
            _check_label_name(name)
            found[name] = text(item)
        except vol.Invalid as error:
            error.prepend([name])
            errors.append(error)
    if errors:
        raise vol.MultipleInvalid(errors)
    return found


def _check_label_name(name: str) -> None:
    if not _LABEL_NAME.fullmatch(name):
        raise HiddenKeyError(
            "is not a label name; use letters, digits and _ only (and a space after the colon)"
        )
    if name.startswith("__"):
        raise vol.Invalid("labels that begin with __ belong to Prometheus; choose another name")
    if name in ("job", "instance"):
        raise vol.Invalid("Prometheus sets this label itself; choose another name")
    if name in RESERVED_LABELS:
        raise vol.Invalid("is a label of the exported metrics; choose another name")


COLLECTOR_LIST = Kind("list", _collectors, list)
LABELS = Kind("section", _labels, dict)


@dataclass(frozen=True, slots=True)
class Pin:
    """The SHA-256 (32 octets, of the DER) of the only certificate that a gateway may show.

    ``source`` is the path of the certificate file, or the name of the key or variable that holds the fingerprint.
    """

    sha256: bytes
    source: str


@dataclass(frozen=True, slots=True)
class WebConfig:
    """``web:``: where the exporter itself listens."""

    listen_address: str = key(
        values.LISTEN_ADDRESS, ":9871", "`host:port` or `:port`; `--web.listen-address` takes precedence"
    )
    metrics_path: str = key(
        values.METRICS_PATH, "/metrics", "where the exporter's own metrics are, and those of `device:`"
    )


@dataclass(frozen=True, slots=True)
class Module:
    """``modules.<name>:``: how to probe. Times are seconds.

    ``timeout_is_default`` is true where the file does not set a ``timeout``.
    """

    name: str = DEFAULT_MODULE
    collectors: tuple[str, ...] = key(
        COLLECTOR_LIST, "all", f"subjects that are exported: {', '.join(f'`{one}`' for one in COLLECTORS)}"
    )
    endpoint_metrics: bool = key(
        values.BOOLEAN,
        "true",
        "`false` leaves out the metrics about endpoints, a fourth of all, and the alerts that need them",
    )
    timeout: float = key(
        values.SOME_DURATION,
        "10s",
        "of a probe where Prometheus gives no time limit; `retry_timeout` + 10s where that is longer",
    )
    timeout_offset: float = key(
        values.DURATION, "0.5s", "subtracted from the time that Prometheus allows, for the way back"
    )
    scrape_interval: float | None = key(
        values.SOME_DURATION, None, "goes out at `/sd`, with `scrape_timeout`; both or neither"
    )
    scrape_timeout: float | None = key(
        values.SOME_DURATION, None, "goes out at `/sd`; not longer than `scrape_interval`"
    )
    request_timeout: float = key(values.SOME_DURATION, "5s", "of one request to a gateway")
    connect_timeout: float = key(values.SOME_DURATION, "3s", "to connect, and for the TLS handshake")
    retry_interval: float = key(
        values.SOME_DURATION, "1s", "a connection that failed is tried again this often …"
    )
    retry_timeout: float = key(values.DURATION, "0s", "… for this long, inside the time of the probe")
    max_connections: int = key(values.CONNECTIONS, "2", "to one gateway at a time")
    min_interval: float = key(
        values.DURATION,
        "0s",
        "a younger answer is given again, its age exported; never one that ran out of time",
    )
    network_names: bool = key(
        values.BOOLEAN, "true", "`false` puts the kind of the interface in place of a Wi-Fi's name"
    )
    timeout_is_default: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """The access to a gateway, login and certificate: keys of a gateway, and of a module that shares them."""

    login_email: str | None = key(
        values.TEXT, None, "a free label; the gateway does not check it", otherwise=DEFAULT_EMAIL
    )
    login_password: Secret | None = key(
        values.SECRET, None, "the customer password of the gateway's web page"
    )
    login_password_file: str | None = key(
        values.FILE_PATTERN,
        None,
        "a file with the password and at most a newline after it, such as a systemd credential",
    )
    tls_cert_file: str | None = key(
        values.FILE_PATTERN, None, "the only certificate that the gateway may show; `fetchcert` saves it"
    )


@dataclass(frozen=True, slots=True)
class OwnPin:
    """The other way to pin a certificate, which a gateway alone can have."""

    tls_fingerprint: bytes | None = key(
        values.FINGERPRINT, None, "the same as `tls_cert_file`, as `sha256:…` and without a file"
    )


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """``gateways.<name>:``: the gateway to probe, and the access to it that its keys and its module's lead to.

    ``tls_cert_file`` is set even while the file does not exist; then ``pin`` is None and ``pin_missing`` true, and
    no connection is made without validation instead. ``retry_*`` (s) are None where the module's hold. ``capacity`` is
    in joules. ``prices`` is the tariff that ``tariff``, or else the one called ``default``, leads to.
    ``tedapi`` is what its section leads to. ``variables`` has the variable of each key where there is no file.
    """

    name: str
    login_email: str = DEFAULT_EMAIL
    login_password: Secret | None = None
    pin: Pin | None = None
    tls_cert_file: Path | None = None
    pin_missing: bool = False
    addresses: tuple[Address, ...] = key(
        values.ADDRESSES,
        None,
        "`host`, `host:port`, `[v6]:port`, or a list that is tried in order",
        name="gateway_address",
        otherwise="the name",
    )
    module: str = key(values.TEXT, DEFAULT_MODULE, "module to probe with, unless the URL names one")
    labels: Mapping[str, str] = key(LABELS, "", "go out at `/sd` and onto the pages, never into samples")
    retry_interval: float | None = key(
        values.SOME_DURATION, None, "as in the module", otherwise="the module's"
    )
    retry_timeout: float | None = key(values.DURATION, None, "as in the module", otherwise="the module's")
    home: str | None = key(
        values.TEXT,
        None,
        "the home that this gateway shares with others behind one utility meter; a label at `/sd`",
    )
    timezone: str | None = key(
        values.TIME_ZONE,
        None,
        "the site's own time zone, such as `Europe/Berlin`",
        otherwise="what the gateway reports",
    )
    capacity: float | None = key(
        values.ENERGY, None, "energy that fits into the batteries, such as `13.5kWh`, where none is measured"
    )
    tariff: str | None = key(
        values.TEXT,
        None,
        "the name of one below `tariffs:`",
        otherwise="the one called `default`, if there is one",
    )
    prices: Tariff | None = None
    tedapi: TedapiConfig | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def called(self, *keys: str) -> str:
        """Return how the user writes these keys, for messages."""
        return called(self.variables, *keys)


@dataclass(frozen=True, slots=True)
class Top:
    """The sections and keys at the top of the configuration file."""

    web: Mapping[str, Any] = key(values.MAPPING, "", "where the exporter itself listens")
    modules: Mapping[str, Any] = key(
        values.MAPPING, "", "how to probe; `default` exists without being written"
    )
    gateways: Mapping[str, Any] = key(
        values.MAPPING, "", "what to probe; the key is the name that `?target=` takes"
    )
    tariffs: Mapping[str, Any] = key(
        values.MAPPING, "", "prices of electricity; the key is the name that a gateway's `tariff:` takes"
    )
    gateway_files: list[str] | None = key(
        values.FILE_PATTERNS, None, "files with more gateways, or patterns such as `gateways.d/*.yaml`"
    )
    state_directory: str | None = key(
        values.FILE,
        None,
        "where sessions, and counters that are held back, survive a restart; by default `$STATE_DIRECTORY`, else "
        "`$XDG_STATE_HOME/probe_exporter` or `~/.local/state/probe_exporter`, where that can be written",
    )
    device: Mapping[str, Any] | None = key(
        values.MAPPING, None, "the Go exporter's section: every key of a gateway is allowed in it"
    )


@dataclass(frozen=True, slots=True)
class GatewayFile:
    """The one section of a gateway file, which may also list its gateways without it."""

    gateways: Mapping[str, Any] = key(values.MAPPING, "", "as in the configuration file")


TOP = Section(Top)
GATEWAY_FILE = Section(GatewayFile)
WEB = Section(WebConfig)
MODULE = Section(Module, Access)
GATEWAY = Section(GatewayConfig, Access, OwnPin, TedapiPart)

SECTIONS = {
    "top": TOP,
    "web": WEB,
    "modules": MODULE,
    "gateways": GATEWAY,
    "tedapi": TEDAPI,
    "tariffs": TARIFF,
    "prices": PRICE,
}
"""The sections by the name under which docs/configuration.md has their tables."""
