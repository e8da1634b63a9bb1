"""Gateways that are not there: for tests, for trying the exporter out, and for benchmarks."""

from __future__ import annotations

from probe_exporter.simulator.certificates import Certificate, make_certificate
from probe_exporter.simulator.counts import Counts
from probe_exporter.simulator.farm import Farm, write_config
from probe_exporter.simulator.fault import Fault
from probe_exporter.simulator.faults import KINDS, Faults
from probe_exporter.simulator.living import LivingSite
from probe_exporter.simulator.reboot import Reboot
from probe_exporter.simulator.recorded import RecordedSystem
from probe_exporter.simulator.server import SimulatedGateway
from probe_exporter.simulator.system import Answer, System

__all__ = [
    "KINDS",
    "Answer",
    "Certificate",
    "Counts",
    "Farm",
    "Fault",
    "Faults",
    "LivingSite",
    "Reboot",
    "RecordedSystem",
    "SimulatedGateway",
    "System",
    "make_certificate",
    "write_config",
]
