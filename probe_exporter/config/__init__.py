"""The configuration: its keys, its files, and what is in force."""

from __future__ import annotations

from probe_exporter.config.loading import find_config, load_config
from probe_exporter.config.schema import (
    COLLECTORS,
    DEFAULT_EMAIL,
    DEFAULT_MODULE,
    GatewayConfig,
    Module,
    Pin,
    WebConfig,
)
from probe_exporter.config.settings import Config
from probe_exporter.config.values import Address

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
