"""Clients with little time: what they get is theirs alone, and costs the patient ones nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from probe_exporter.fleet import Fleet
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.scenes import scene
from tests.test_web import Exporter, served


@contextmanager
def slow_gateway(latency: float, **module: object) -> Iterator[tuple[Exporter, SimulatedGateway]]:
    """An exporter before a gateway that takes its time, session and connections ready."""
    telemetry = Telemetry()
    with SimulatedGateway(LivingSite(seed=1), password=configs.PASSWORD) as gateway:
        one = configs.module(**module)
        config = configs.config(configs.gateway(gateway.address), modules=(one,))
        with served(Fleet(config, telemetry), telemetry) as exporter:
            assert probe(exporter, 10.0)
            gateway.latency = latency
            yield exporter, gateway


def probe(exporter: Exporter, patience: float) -> bool:
    reply = exporter.ask("/probe?target=home", X_Prometheus_Scrape_Timeout_Seconds=str(patience))
    return "\nprobe_success 1.0\n" in reply.text


def test_who_comes_to_a_run_of_an_impatient_client_does_not_share_its_end() -> None:
    with slow_gateway(0.5) as (exporter, _), ThreadPoolExecutor(2) as pool:
        impatient = pool.submit(probe, exporter, 0.6)
        time.sleep(0.1)
        patient = pool.submit(probe, exporter, 10.0)
        assert not impatient.result()
        assert patient.result()


def test_who_has_as_much_time_shares_a_bad_end() -> None:
    with slow_gateway(5.0) as (exporter, gateway), ThreadPoolExecutor(2) as pool:
        gateway.counts.requests.clear()
        both = [pool.submit(probe, exporter, 1.2) for _ in range(2)]
        assert [one.result() for one in both] == [False, False]
        assert exporter.telemetry.registry.get_sample_value("probe_exporter_shared_probes_total") == 1.0


def test_an_answer_cut_short_is_not_given_again() -> None:
    with scene() as home:
        module = configs.module(min_interval=30.0)
        assert not home.probe(module, patience=0.0).success
        assert home.probe(module).success


def test_modules_asked_in_turn_have_each_their_younger_answer() -> None:
    with scene() as home:
        modules = [configs.module(name=name, min_interval=30.0) for name in ("one", "two")]
        for module in modules:
            home.probe(module)
        asked = home.requests
        for module in modules * 3:
            home.clock.turn(1.0)
            assert home.probe(module).success
        assert home.requests == asked


def test_a_login_belongs_to_the_gateway_whoever_begins_it() -> None:
    with scene() as home:
        home.gateway.latency = 0.4
        assert home.probe(patience=0.1).reason == "timeout"
        time.sleep(0.6)
        home.gateway.latency = 0.0
        assert home.probe().success
        assert home.logins == 1


@pytest.mark.parametrize("patience", [0.0, -1.0, 1e-6])
def test_no_time_at_all_is_a_timeout(patience: float) -> None:
    with scene() as home:
        result = home.probe(patience=patience)
        assert (result.success, result.reason) == (False, "timeout")
