"""The configuration in force, as frozen values: what ``config.load_config`` gives and everybody else reads.

All times are seconds. Nothing here reads a file or knows YAML's quirks; ``Config.as_yaml`` only shows what holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from probe_exporter.durations import format_duration
from probe_exporter.errors import UnknownModuleError
from probe_exporter.secrets import MASK, Secret

COLLECTORS = ("core", "meters", "grid", "site", "network", "solar")
DEFAULT_MODULE = "default"
DEFAULT_EMAIL = "powerwall_exporter@example.org"
DEFAULT_TIMEOUT = 10.0

RESERVED_LABELS = frozenset(
    """
    alert brand category check ct device device_type diagnostic din disconnect_type distributor ecu_type endpoint
    git_hash grid_code grid_country grid_region grid_state id index inverter is_fault leader location mode model name
    part part_number partno phase quantity reason retailer serial short_id site_name source state status string
    sync_type teg_type timezone type tyoe utility version
    """.split()
)
"""The labels of the exported metrics: Prometheus would rename these in a sample if a target had them."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a gateway listens; ``text`` is what the user typed."""

    host: str
    port: int
    text: str


@dataclass(frozen=True, slots=True)
class Pin:
    """The SHA-256 (32 octets, of the DER) of the only certificate that a gateway may show.

    ``source`` is the path of the certificate file, or ``tls_fingerprint``.
    """

    sha256: bytes
    source: str


@dataclass(frozen=True, slots=True)
class Module:
    """How to probe. ``timeout_is_default`` is true where the file does not say a ``timeout``."""

    name: str
    collectors: tuple[str, ...]
    timeout: float
    timeout_offset: float
    scrape_interval: float | None
    scrape_timeout: float | None
    request_timeout: float
    connect_timeout: float
    retry_interval: float
    retry_timeout: float
    max_connections: int
    min_interval: float
    network_names: bool
    timeout_is_default: bool = False


PLAIN_MODULE = Module(
    name=DEFAULT_MODULE,
    collectors=COLLECTORS,
    timeout=DEFAULT_TIMEOUT,
    timeout_offset=0.5,
    scrape_interval=None,
    scrape_timeout=None,
    request_timeout=5.0,
    connect_timeout=3.0,
    retry_interval=1.0,
    retry_timeout=0.0,
    max_connections=2,
    min_interval=0.0,
    network_names=True,
    timeout_is_default=True,
)
"""What every module says where the file says nothing about it."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Whom to probe. Credentials are already those that count: the gateway's own, else its module's.

    ``tls_cert_file`` is set even while the file does not exist; then ``pin`` is None and ``pin_missing`` true, and
    nobody may connect without validation instead. ``retry_*`` are None where the module's hold.
    """

    name: str
    addresses: tuple[Address, ...]
    login_email: str
    login_password: Secret | None
    pin: Pin | None
    tls_cert_file: Path | None
    pin_missing: bool
    module: str
    labels: Mapping[str, str]
    retry_interval: float | None
    retry_timeout: float | None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the exporter itself listens."""

    listen_address: str
    metrics_path: str


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that one configuration file, with the files it names, says.

    ``modules`` always has ``default``; ``gateways`` includes the gateway of ``device:`` under its address, which
    ``device`` then names. ``warnings`` are sentences for the log, in file order.
    """

    path: Path | None
    web: WebConfig
    modules: Mapping[str, Module]
    gateways: Mapping[str, GatewayConfig]
    device: str | None
    state_directory: Path | None
    warnings: tuple[str, ...]

    def module_for(self, gateway: GatewayConfig, module: str | None = None) -> Module:
        """The module with which this gateway is probed, the gateway's own ``retry_*`` worked in.

        ``module`` names another one than the gateway's. Raises UnknownModuleError, without repeating the name.
        """
        found = self.modules.get(gateway.module if module is None else module)
        if found is None:
            known = ", ".join(self.modules)
            raise UnknownModuleError(f"no such module is configured; the configured ones are: {known}")
        if gateway.retry_interval is None and gateway.retry_timeout is None:
            return found
        interval, timeout = gateway.retry_interval, gateway.retry_timeout
        own = replace(
            found,
            retry_interval=found.retry_interval if interval is None else interval,
            retry_timeout=found.retry_timeout if timeout is None else timeout,
        )
        return replace(own, timeout=default_timeout(own.retry_timeout)) if own.timeout_is_default else own

    def as_yaml(self) -> str:
        """The configuration in force as YAML, secrets as ``<secret>``."""
        gateways = {name: _show_gateway(gateway) for name, gateway in self.gateways.items()}
        device = None if self.device is None else gateways.pop(self.device)
        shown: dict[str, object] = {
            "web": {"listen_address": self.web.listen_address, "metrics_path": self.web.metrics_path},
            "modules": {name: _show_module(module) for name, module in self.modules.items()},
            "gateways": gateways,
        }
        if self.state_directory is not None:
            shown["state_directory"] = str(self.state_directory)
        if device is not None:
            shown["device"] = device
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: str = yaml.dump(shown, Dumper=dumper, sort_keys=False, allow_unicode=True)
        return text


def default_timeout(retry_timeout: float) -> float:
    """How long a probe may take (s) where neither Prometheus nor the file says so."""
    return max(DEFAULT_TIMEOUT, retry_timeout + 10.0)


def _show_module(module: Module) -> dict[str, object]:
    shown: dict[str, object] = {
        "collectors": list(module.collectors),
        "timeout": format_duration(module.timeout),
        "timeout_offset": format_duration(module.timeout_offset),
    }
    if module.scrape_interval is not None and module.scrape_timeout is not None:
        shown["scrape_interval"] = format_duration(module.scrape_interval)
        shown["scrape_timeout"] = format_duration(module.scrape_timeout)
    return shown | {
        "request_timeout": format_duration(module.request_timeout),
        "connect_timeout": format_duration(module.connect_timeout),
        "retry_interval": format_duration(module.retry_interval),
        "retry_timeout": format_duration(module.retry_timeout),
        "max_connections": module.max_connections,
        "min_interval": format_duration(module.min_interval),
        "network_names": module.network_names,
    }


def _show_gateway(gateway: GatewayConfig) -> dict[str, object]:
    addresses = [address.text for address in gateway.addresses]
    shown: dict[str, object] = {
        "gateway_address": addresses[0] if len(addresses) == 1 else addresses,
        # No secret to the gateway, but somebody's address.
        "login_email": DEFAULT_EMAIL if gateway.login_email == DEFAULT_EMAIL else MASK,
    }
    if gateway.login_password is not None:
        shown["login_password"] = MASK
    if gateway.tls_cert_file is not None:
        shown["tls_cert_file"] = str(gateway.tls_cert_file)
    elif gateway.pin is not None:
        shown["tls_fingerprint"] = "sha256:" + gateway.pin.sha256.hex()
    if gateway.retry_interval is not None:
        shown["retry_interval"] = format_duration(gateway.retry_interval)
    if gateway.retry_timeout is not None:
        shown["retry_timeout"] = format_duration(gateway.retry_timeout)
    shown["module"] = gateway.module
    if gateway.labels:
        shown["labels"] = dict(gateway.labels)
    return shown
