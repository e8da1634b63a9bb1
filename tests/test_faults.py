"""The fault matrix: every fault at every endpoint and at the login, against `tests.fault_table`."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe_exporter.errors import GatewayError
from probe_exporter.fleet import Fleet, ProbeResult
from probe_exporter.gateway.endpoints import ENDPOINTS
from probe_exporter.gateway.transport import Connection
from probe_exporter.metrics import CATALOGUE
from probe_exporter.probe import Prober
from probe_exporter.simulator import (
    KINDS,
    Counts,
    LivingSite,
    SimulatedCertificate,
    SimulatedGateway,
    make_certificate,
)
from probe_exporter.telemetry import Telemetry
from tests import configs, fault_table
from tests.fault_table import FAULTS, PUBLIC, Outcome

PATIENCE = 1.5
"""Seconds that a probe has; its answer may be a second late at most."""

NAMES = [endpoint.name for endpoint in ENDPOINTS if endpoint.name != "system_status/grid_faults"]
"""What is asked of a gateway whose system_status carries the list of grid faults."""
DECISIVE = {"meters/aggregates", "system_status/soe", "system_status/grid_status", "status"}
GATEWAY_KINDS = [kind for kind, outcome in FAULTS.items() if outcome.alone == "gateway"]

COUPLED = {
    "status": {"powerwall_imported_joules_total", "powerwall_exported_joules_total"},
    "sitemaster": {"powerwall_battery_grid_state", "powerwall_battery_check"},
    "system_status": {"powerwall_grid_faults"},
}
"""Families that change with an endpoint which is not theirs: the uptime decides whether a zero is believed, a stopped
site master whether a diagnostic is, and the list of grid faults comes from either of two endpoints."""


@dataclass(frozen=True, slots=True)
class Run:
    """A first probe of a gateway with a fault. ``late`` is by how many seconds it missed its deadline.

    ``garbage`` is what it left to the garbage collector.
    """

    result: ProbeResult
    counts: Counts
    late: float
    cooldown: float
    garbage: list[object]

    @property
    def up(self) -> set[str]:
        return {one.name for one in self.result.endpoints if one.up}

    @property
    def samples(self) -> set[tuple[str, tuple[str, ...]]]:
        return {
            (sample.name, tuple(sorted(sample.labels.values())))
            for metric in self.result.metrics
            for sample in metric.samples
        }


@pytest.fixture(scope="module")
def certificate() -> SimulatedCertificate:
    return make_certificate()


def probe(certificate: SimulatedCertificate, *faults: tuple[str, str, str | None]) -> Run:
    """Probe a fresh gateway with faults: kind, endpoint, phase (None for the kind's own)."""
    telemetry = Telemetry()
    system = LivingSite(seed=1)
    with SimulatedGateway(system, password=configs.PASSWORD, certificate=certificate) as gateway:
        for kind, endpoint, phase in faults:
            # 6,000 entries are above 1 MiB already, and do not keep the simulator busy for longer than a probe lasts.
            count = 6_000 if kind == "many_entries" else 60_000
            # An answer of two bytes is whole within the second that lies between them.
            gateway.faults.add(kind, endpoint=endpoint, phase=phase, count=count, seconds=3.0)
        fleet = Fleet(configs.config(configs.gateway(gateway.address)), telemetry)
        site = fleet.find("home")
        # Nothing waits for a deadline here, but 21 such answers take the simulator its time to make.
        patience = 10.0 if ("many_entries", "*") in {fault[:2] for fault in faults} else PATIENCE
        with collected() as garbage:
            began = time.monotonic()
            result = Prober(telemetry).probe(site, site.module(), began + patience)
            late = time.monotonic() - began - patience
        cooldown = site.gateway.session.cooldown()
        fleet.close()
        return Run(result, gateway.counts, late, cooldown, garbage)


@contextmanager
def collected() -> Iterator[list[object]]:
    """The errors and connections of ours that a block leaves in circles, for the garbage collector to find.

    It comes seldom, and does not see how much memory a dead TLS connection holds.
    """
    left: list[object] = []
    gc.freeze()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield left
        gc.collect()
        left += [one for one in gc.garbage if isinstance(one, (GatewayError, Connection))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def assert_promises(run: Run) -> None:
    """What holds whatever the fault."""
    assert run.late < 1.0
    assert not run.garbage
    assert not run.counts.unexpected
    assert run.counts.login_attempts <= 1
    assert run.counts.max_open_connections <= 2
    assert (run.result.reason is None) == run.result.success
    if not run.result.success:
        assert run.result.error
        assert configs.PASSWORD not in run.result.error


@pytest.fixture(scope="module")
def healthy(certificate: SimulatedCertificate) -> Run:
    run = probe(certificate)
    assert run.up == set(NAMES)
    return run


def test_the_table_has_every_kind_of_fault() -> None:
    assert list(FAULTS) == list(KINDS)


def test_the_page_is_current() -> None:
    page = Path(__file__).parent.parent / "docs" / "faults.md"
    assert page.read_text(encoding="utf-8") == fault_table.markdown(), "run make docs"


@pytest.mark.parametrize(("kind", "outcome"), FAULTS.items(), ids=FAULTS)
def test_everywhere(kind: str, outcome: Outcome, certificate: SimulatedCertificate) -> None:
    run = probe(certificate, (kind, "*", None))
    assert_promises(run)
    assert run.result.reason == outcome.reason, run.result.error
    assert run.counts.login_attempts == (0 if outcome.alone == "gateway" else 1)
    if outcome.requests is not None:
        assert run.counts.data_requests == outcome.requests


LOGINS = [(kind, outcome) for kind, outcome in FAULTS.items() if outcome.at_login]
ALONE = [(kind, name) for kind in FAULTS if kind not in GATEWAY_KINDS for name in NAMES]


@pytest.mark.parametrize(("kind", "outcome"), LOGINS, ids=[kind for kind, _ in LOGINS])
def test_at_login(kind: str, outcome: Outcome, certificate: SimulatedCertificate) -> None:
    run = probe(certificate, (kind, "*", "login"))
    assert_promises(run)
    assert run.result.reason == outcome.login_reason, run.result.error
    assert run.up == (set(NAMES) if outcome.at_login == "session" else set(PUBLIC))
    assert run.counts.login_attempts == 1
    assert run.cooldown == pytest.approx(outcome.cooldown, abs=3.0)
    if outcome.at_login in ("refused", "public", "hang"):
        assert run.counts.data_requests == len(PUBLIC), "what needs a session is not asked without one"


@pytest.mark.parametrize("phase", ["connect", "tls"])
@pytest.mark.parametrize(
    ("kind", "reasons"),
    [
        ("hang", {"tls"}),
        ("reset", {"connect"}),
        ("close_early", {"connect", "tls"}),  # a reset or an end, whichever the system notices first
        ("drip", {"tls"}),
    ],
)
def test_before_a_request(
    kind: str, phase: str, reasons: set[str], certificate: SimulatedCertificate
) -> None:
    phase = phase if phase in KINDS[kind].phases else "tls"
    run = probe(certificate, (kind, "*", phase))
    assert_promises(run)
    assert run.result.reason in reasons
    assert run.counts.requests.total() == 0, "nothing was sent, least of all a password"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), ALONE, ids=["-".join(one) for one in ALONE])
def test_one_endpoint_alone(kind: str, name: str, certificate: SimulatedCertificate, healthy: Run) -> None:
    outcome = FAULTS[kind]
    run = probe(certificate, (kind, name, None))
    assert_promises(run)
    if kind == "token_dies":
        return  # what comes after the token's death is another test's
    assert run.result.success, run.result.error
    if outcome.alone in ("lost", "repeated") and "once" not in kind:
        assert name not in run.up
    assert set(NAMES) - run.up <= {name}, "the others are not touched"
    lost = {sample for sample in healthy.samples - run.samples if not belongs(sample[0], name)}
    assert not lost, "what comes from other endpoints is there"


def belongs(sample: str, endpoint: str) -> bool:
    """Whether a sample is about this endpoint."""
    if sample.startswith(("powerwall_endpoint_", "powerwall_unknown_values", "probe_")):
        return True
    if sample in COUPLED.get(endpoint, set()):
        return True
    declared = (
        "meters/site" if endpoint == "meters/solar" else endpoint
    )  # the same families, another location
    return any(family.name == sample and family.endpoint == declared for family in CATALOGUE)
