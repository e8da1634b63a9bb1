"""A gateway that reboots, stage by stage, as for a firmware update."""

from __future__ import annotations

import asyncio
from typing import Final, Literal, Protocol

from probe_exporter.simulator.fault import Fault
from probe_exporter.simulator.faults import Faults
from probe_exporter.simulator.living import LivingSite
from probe_exporter.simulator.system import System

Stage = Literal["refused", "busy", "zero_counters", "forbidden", "done"]

STAGES: Final[tuple[Stage, ...]] = ("refused", "busy", "zero_counters", "forbidden", "done")
"""Connections are refused, then 503, then counters at zero, then the sessions are found to be lost: 403."""

_FAULTS: Final[dict[Stage, str]] = {"refused": "refuse", "busy": "503_busy", "zero_counters": "zero_counters"}


class Rebooting(Protocol):
    """The interface of a gateway that can be rebooted."""

    faults: Faults
    system: System

    def revoke_tokens(self) -> None:
        """Forget every session."""
        ...


class Reboot:
    """A reboot in its first stage; `advance` goes on to the next."""

    def __init__(self, gateway: Rebooting) -> None:
        self._gateway = gateway
        self._fault: Fault | None = None
        self.stage: Stage = "refused"
        self._enter()

    def advance(self) -> Stage:
        """Go on to the next stage, and give its name."""
        position = STAGES.index(self.stage)
        self.stage = STAGES[min(position + 1, len(STAGES) - 1)]
        self._enter()
        return self.stage

    async def play(self, seconds: float) -> None:
        """Advance every ``seconds`` until it is done; runs in the event loop."""
        while self.stage != "done":
            await asyncio.sleep(seconds)
            self.advance()

    def _enter(self) -> None:
        if self._fault is not None:
            self._gateway.faults.remove(self._fault)
            self._fault = None
        if self.stage in _FAULTS:
            self._fault = self._gateway.faults.add(_FAULTS[self.stage])
        if self.stage == "zero_counters" and isinstance(self._gateway.system, LivingSite):
            self._gateway.system.reboot()
        if self.stage == "forbidden":
            self._gateway.revoke_tokens()
