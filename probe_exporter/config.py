"""From configuration files to ``Config``: finds them, reads them, checks them, and says every mistake in one go."""

from __future__ import annotations

from pathlib import Path

from probe_exporter.settings import (
    COLLECTORS,
    DEFAULT_EMAIL,
    DEFAULT_MODULE,
    Address,
    Config,
    GatewayConfig,
    Module,
    Pin,
    WebConfig,
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


def find_config() -> Path | None:
    raise NotImplementedError


def load_config(path: Path) -> Config:
    raise NotImplementedError
