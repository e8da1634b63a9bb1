"""Probes without Prometheus: a simulation probes its own gateways, so that its pages have something to show."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from probe_exporter.fleet import Fleet
from probe_exporter.web.messages import OverloadedError
from probe_exporter.web.probing import ProbeRunner

PAUSE: Final = 15.0
"""Seconds of rest after a round."""

AT_ONCE: Final = 8
"""Gateways that are probed at a time."""


async def probe_in_rounds(fleet: Fleet, runner: ProbeRunner) -> None:
    """Probe every gateway of a fleet again and again, until it is cancelled."""
    await asyncio.gather(*(_lane(fleet, runner, number) for number in range(AT_ONCE)))


async def _lane(fleet: Fleet, runner: ProbeRunner, number: int) -> None:
    while True:
        for site in list(fleet.sites.values())[number::AT_ONCE]:
            module = site.module()
            with suppress(OverloadedError):
                await runner.probe(site, module, time.monotonic() + module.timeout)
        await asyncio.sleep(PAUSE)
