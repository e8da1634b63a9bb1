"""The configuration: its keys, its files, and what is in force."""

from __future__ import annotations

from probe_exporter.config.loading import (
    COLLECTORS,
    DEFAULT_EMAIL,
    DEFAULT_MODULE,
    Address,
    Config,
    GatewayConfig,
    Module,
    Pin,
    WebConfig,
    find_config,
    load_config,
)

__all__ = [
    "COLLECTORS",
    "DEFAULT_EMAIL",
    "DEFAULT_MODULE",
    "Address",
    "Config",
    "GatewayConfig",
    "Module",
    "Pin",
    "WebConfig",
    "find_config",
    "load_config",
]
