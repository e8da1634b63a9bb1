"""A configured gateway: its configuration, its client, its memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from probe_exporter.config import GatewayConfig, Module
from probe_exporter.gateway.client import Gateway
from probe_exporter.probe.memory import Memory
from probe_exporter.probe.result import PastProbe, ProbeResult


class Site:
    """A configured gateway: its configuration, its client, its memory."""

    def __init__(
        self,
        config: GatewayConfig,
        modules: Callable[[GatewayConfig, str | None], Module],
        gateway: Gateway,
        memory: Memory,
    ) -> None:
        self.config = config
        self.gateway = gateway
        self.memory = memory
        self._modules = modules

    @property
    def name(self) -> str:
        """The name that ``?target=`` takes."""
        return self.config.name

    @property
    def history(self) -> deque[PastProbe]:
        """The last probes, the oldest first."""
        return self.memory.history

    @property
    def last(self) -> ProbeResult | None:
        """The last probe, None before the first."""
        return self.memory.last

    @property
    def last_good(self) -> ProbeResult | None:
        """The last probe that succeeded, None before one did."""
        return self.memory.last_good

    def module(self, name: str | None = None) -> Module:
        """The module to probe with: the gateway's own, or the one named. Raises UnknownModuleError."""
        return self._modules(self.config, name)
