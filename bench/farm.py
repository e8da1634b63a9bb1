"""Simulated gateways in processes of their own, so that what they use is not counted as the exporter's.

Run as a program it reads a list of gateways from standard input, prints where they are, and ends when standard input
does: no farm outlives its bench.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.processes import ROOT, allow_descriptors, environment
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.simulator import Farm, LivingSite, RecordedSystem, make_certificate


@dataclass(frozen=True, slots=True)
class Wanted:
    """A gateway to simulate. ``latency`` in seconds of every answer; ``fault`` is a kind, ``phase`` when it strikes."""

    name: str
    latency: float = 0.0
    batteries: int = 1
    fault: str | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class There:
    """A gateway that is simulated."""

    name: str
    address: str
    password: str
    fingerprint: str

    @property
    def port(self) -> int:
        """Its port on loopback."""
        return int(self.address.rpartition(":")[2])

    @property
    def probe(self) -> str:
        """The path at which the exporter probes it."""
        return f"/probe?target={self.name}"


@contextmanager
def farm(wanted: Sequence[Wanted], processes: int = 1) -> Iterator[list[There]]:
    """These gateways, dealt out to so many processes; in the order wanted."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(_child(wanted[number::processes]))
            for number in range(min(processes, len(wanted)))
        ]
        found = {there.name: there for child in children for there in _answers(child)}
        yield [found[one.name] for one in wanted]


@contextmanager
def _child(wanted: Sequence[Wanted]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.farm"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps([asdict(one) for one in wanted]) + "\n")
        process.stdin.flush()
        yield process
    finally:
        process.communicate()


def _answers(process: subprocess.Popen[str]) -> list[There]:
    assert process.stdout is not None
    return [There(**one) for one in json.loads(process.stdout.readline())]


def write_config(gateways: Sequence[There], path: Path) -> Path:
    """A configuration for the exporter, in the form that people write."""
    lines = ["gateways:"]
    for one in gateways:
        lines += [
            f"  {one.name}:",
            f'    gateway_address: "{one.address}"',
            '    login_email: "owner@example.org"',
            f'    login_password: "{one.password}"',
            f'    tls_fingerprint: "{one.fingerprint}"',
            f"    labels: {{site: {one.name}, fleet: bench}}",
        ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    path.chmod(0o600)
    return path


@cache
def _answers_of(batteries: int) -> RecordedSystem:
    """Answers that are made once: what a gateway thinks about is its latency, and no CPU of the machine."""
    site = LivingSite(seed=7, batteries=batteries)
    return RecordedSystem({one.name: site.answer(one.name) for one in ENDPOINTS})


def main() -> None:
    """Serve until standard input ends."""
    allow_descriptors()
    wanted: list[dict[str, Any]] = json.loads(sys.stdin.readline())
    with Farm(
        {one["name"]: _answers_of(one["batteries"]) for one in wanted}, certificate=make_certificate()
    ) as running:
        for one in wanted:
            gateway = running.gateways[one["name"]]
            gateway.latency = one["latency"]
            if one["fault"]:
                gateway.faults.add(one["fault"], phase=one["phase"])
        there = [
            There(name, gateway.address, gateway.password, f"sha256:{gateway.certificate.sha256}")
            for name, gateway in running.gateways.items()
        ]
        print(json.dumps([asdict(one) for one in there]), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
