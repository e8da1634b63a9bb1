"""Configuration values for tests that need no file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from probe_exporter.config import Address, Config, GatewayConfig, Module, WebConfig
from probe_exporter.secrets import Secret

PASSWORD = "correct horse"

MODULE = Module(timeout_is_default=False)

GATEWAY = GatewayConfig(
    name="home",
    addresses=(Address("127.0.0.1", 9, "127.0.0.1:9"),),
    login_email="me@example.com",
    login_password=Secret(PASSWORD),
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
        web=WebConfig(),
        modules={one.name: one for one in modules},
        gateways={one.name: one for one in gateways},
        device=None,
        state_directory=None,
        warnings=(),
    )
    return replace(whole, **changes)
