"""Simulated gateways: for tests, for trying the exporter out, and for benchmarks."""

from __future__ import annotations

from probe_exporter.simulator.certificates import SimulatedCertificate, make_certificate
from probe_exporter.simulator.counts import Counts
from probe_exporter.simulator.farm import Farm, write_config
from probe_exporter.simulator.fault import Fault
from probe_exporter.simulator.faults import KINDS, Faults
from probe_exporter.simulator.living import LivingSite
from probe_exporter.simulator.reboot import Reboot
from probe_exporter.simulator.recorded import RecordedSystem
from probe_exporter.simulator.server import SimulatedGateway
from probe_exporter.simulator.system import SimulatedAnswer, System

__all__ = [
    "KINDS",
    "Counts",
    "Farm",
    "Fault",
    "Faults",
    "LivingSite",
    "Reboot",
    "RecordedSystem",
    "SimulatedAnswer",
    "SimulatedCertificate",
    "SimulatedGateway",
    "System",
    "make_certificate",
    "write_config",
]
