"""How the exporter's own port is served."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DRAIN_SECONDS = 30.0
"""How long running probes may take after SIGTERM."""


@dataclass(frozen=True, slots=True)
class WebOptions:
    """``reload`` reads the configuration again, all or nothing; it gives what is wrong, None where nothing is."""

    listen_address: str = ":9871"
    metrics_path: str = "/metrics"
    external_url: str | None = None
    enable_lifecycle: bool = False
    web_config_file: Path | None = None
    reload: Callable[[], str | None] | None = None
    drain: float = DRAIN_SECONDS
