"""Configuration values for tests that need no file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from probe_exporter.config import COLLECTORS, Address, Config, GatewayConfig, Module, WebConfig
from probe_exporter.secrets import Secret

PASSWORD = "correct horse"

MODULE = Module(
    name="default",
    collectors=COLLECTORS,
    timeout=10.0,
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
)

GATEWAY = GatewayConfig(
    name="home",
    addresses=(Address("127.0.0.1", 9, "127.0.0.1:9"),),
    login_email="me@example.com",
    login_password=Secret(PASSWORD),
    pin=None,
    tls_cert_file=None,
    pin_missing=False,
    module="default",
    labels={},
    retry_interval=None,
    retry_timeout=None,
)


def module(**changes: Any) -> Module:
    return replace(MODULE, **changes)


def gateway(*addresses: str, **changes: Any) -> GatewayConfig:
    """A gateway at ``host:port`` addresses on loopback."""
    if addresses:
        parts = [(text, *text.rsplit(":", 1)) for text in addresses]
        changes["addresses"] = tuple(Address(host, int(port), text) for text, host, port in parts)
    return replace(GATEWAY, **changes)


def config(*gateways: GatewayConfig, modules: tuple[Module, ...] = (MODULE,), **changes: Any) -> Config:
    whole = Config(
        path=None,
        web=WebConfig(":9871", "/metrics"),
        modules={one.name: one for one in modules},
        gateways={one.name: one for one in gateways},
        device=None,
        state_directory=None,
        warnings=(),
    )
    return replace(whole, **changes)
