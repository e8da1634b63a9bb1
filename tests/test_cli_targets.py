"""probe, fetchcert, check, record and replay against simulated gateways, as a user runs them."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from probe_exporter.cli.options import choose_targets
from probe_exporter.config import load_config
from probe_exporter.metrics.probe import PROBE_FAMILIES
from probe_exporter.metrics.tariff import SITE_FAMILIES
from probe_exporter.simulator import RecordedSystem, SimulatedGateway, make_certificate
from tests.program_runs import Ended, run_program

PAYLOADS = Path(__file__).parent / "payloads"
RECORDED = os.environ.get("RECORDED_PAYLOADS")
SYSTEMS = sorted(
    path
    for parent in (PAYLOADS, *([Path(RECORDED)] if RECORDED else []))
    for path in parent.iterdir()
    if any(path.glob("*meters_aggregates*.json")) or any(path.glob("*system_status_grid_status*.json"))
)
"""Our payloads and, where they are at hand, recorded systems that tell enough for a probe to succeed."""

OWN = {name for name, _, _ in (*PROBE_FAMILIES, *SITE_FAMILIES)}
DEAD = "127.0.0.1:1"
PASSWORD = "canary-password"


@pytest.fixture(scope="module")
def gateways() -> Iterator[dict[str, SimulatedGateway]]:
    systems = {"home": "pw2-21.44-running", "cabin": "pw3-26"}
    made = {
        name: SimulatedGateway(RecordedSystem.from_folder(PAYLOADS / folder), password=PASSWORD)
        for name, folder in systems.items()
    }
    for gateway in made.values():
        gateway.start()
    yield made
    for gateway in made.values():
        gateway.close()


class Folder:
    """A folder with a configuration in it, and the program run there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[str] = []
        self.modules: list[str] = []

    def add(self, name: str, address: str, *lines: str) -> None:
        self.entries += [f"  {name}:", f"    gateway_address: '{address}'", f"    login_password: {PASSWORD}"]
        self.entries += [f"    {line}" for line in lines]

    def run(self, *arguments: str) -> Ended:
        file = self.path / "probe_exporter.yaml"
        file.write_text("\n".join([*self.modules, "gateways:", *self.entries, ""]))
        file.chmod(0o600)
        ended = run_program(f"--config.file={file}", *arguments)
        assert PASSWORD not in ended.stdout + ended.stderr
        return ended


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def home(folder: Folder, gateways: dict[str, SimulatedGateway]) -> Folder:
    folder.add("home", gateways["home"].address)
    return folder


@pytest.fixture
def fleet(home: Folder, gateways: dict[str, SimulatedGateway]) -> Folder:
    home.add("cabin", gateways["cabin"].address)
    return home


# probe


def test_the_only_gateway_needs_no_name(home: Folder) -> None:
    result = home.run("probe")
    assert result.code == 0
    families = {family.name for family in parse_text(result.stdout)}
    assert {"probe_success", "powerwall_instant_power_watts"} <= families


def test_a_target_may_be_named_by_address(home: Folder, gateways: dict[str, SimulatedGateway]) -> None:
    result = home.run("probe", gateways["home"].address)
    assert result.code == 0
    assert "probe_success 1.0" in result.stdout


def test_openmetrics(home: Folder) -> None:
    result = home.run("probe", "--format", "openmetrics")
    assert result.stdout.endswith("# EOF\n")
    assert list(parse_openmetrics(result.stdout))


def test_several_gateways_share_the_families(fleet: Folder) -> None:
    result = fleet.run("probe", "--all")
    assert result.code == 0
    success = next(family for family in parse_text(result.stdout) if family.name == "probe_success")
    assert {sample.labels["target"]: sample.value for sample in success.samples} == {
        "home": 1.0,
        "cabin": 1.0,
    }
    assert result.stdout.count("# TYPE probe_success") == 1
    assert result.stderr.strip().splitlines()[-1].startswith("2 gateways: 2 answered, none failed, in ")


def test_json(fleet: Folder) -> None:
    documents = json.loads(fleet.run("probe", "--all", "--format", "json").stdout)
    assert [(document["target"], document["success"]) for document in documents] == [
        ("cabin", True),
        ("home", True),
    ]
    samples = {
        sample["name"]: sample["value"]
        for family in documents[0]["metrics"]
        for sample in family["samples"]
        if not sample["labels"]
    }
    assert 0.0 < samples["powerwall_charge_ratio"] <= 1.0


def test_table(fleet: Folder) -> None:
    fleet.add("gone", DEAD)
    result = fleet.run("probe", "--all", "--format", "table")
    assert result.code == 1
    heading, cabin, gone, home = result.stdout.splitlines()
    assert heading.split()[:3] == ["TARGET", "STATE", "GRID"]
    assert home.split()[:2] == ["home", "ok"]
    assert cabin.split()[:2] == ["cabin", "ok"]
    assert gone.split()[:5] == ["gone", "failing:", "connect", "-", "-"]


def test_one_failure_is_exit_1_and_says_why(fleet: Folder) -> None:
    fleet.add("gone", DEAD)
    result = fleet.run("probe", "--all", "--timeout", "5s")
    assert result.code == 1
    assert 'probe_success{target="gone"} 0.0' in result.stdout
    assert [line for line in result.stderr.splitlines() if "gone" in line and "(connect)" in line]
    assert "3 gateways: 2 answered, 1 failed (connect 1)" in result.stderr


@pytest.mark.parametrize("command", ["probe", "fetchcert"])
def test_several_gateways_need_a_choice(fleet: Folder, command: str) -> None:
    result = fleet.run(command)
    assert result.code == 2
    assert result.stderr.splitlines()[-1] == "which gateway? Give --all or one of: home, cabin"


@pytest.mark.parametrize("command", ["probe", "fetchcert"])
def test_an_unknown_target_is_exit_2(fleet: Folder, command: str) -> None:
    result = fleet.run(command, "nowhere")
    assert result.code == 2
    assert "the name or address 'nowhere'; there are: home, cabin" in result.stderr


def test_targets_and_all_exclude_each_other(fleet: Folder) -> None:
    assert fleet.run("probe", "--all", "home").code == 2


def test_a_target_named_twice_is_probed_once(fleet: Folder, gateways: dict[str, SimulatedGateway]) -> None:
    config = load_config(_saved(fleet))
    assert choose_targets(config, ("home", gateways["home"].address, "home"), everything=False) == ["home"]


def _saved(folder: Folder) -> Path:
    folder.run("check")
    return folder.path / "probe_exporter.yaml"


def test_a_failure_is_told_once(folder: Folder) -> None:
    folder.add("gone", DEAD)
    result = folder.run("probe")
    assert result.code == 1
    assert sum("gone" in line and "127.0.0.1:1" in line for line in result.stderr.splitlines()) == 1


# check


def test_check(fleet: Folder) -> None:
    result = fleet.run("check")
    assert result.code == 0
    assert "probe_exporter.yaml: OK: 2 gateways, 1 module, 2 warnings" in result.stdout
    assert result.stderr.count("warning: ") == 2


def test_check_shows_every_mistake(home: Folder) -> None:
    home.add("cabin", "192.0.2.1", "colour: red", "retry_interval: soon")
    result = home.run("check")
    assert result.code == 2
    assert result.stderr.count("probe_exporter.yaml:") == 2
    assert result.stderr.count("\n") == 2
    assert "soon" not in result.stderr


# fetchcert


def test_fetchcert_without_a_file_prints_what_to_paste(
    home: Folder, gateways: dict[str, SimulatedGateway]
) -> None:
    result = home.run("fetchcert")
    assert result.code == 0
    fingerprint = gateways["home"].certificate.sha256
    assert f'tls_fingerprint: "sha256:{fingerprint}"' in result.stdout
    start = result.stdout.index("-----BEGIN CERTIFICATE-----")
    end = result.stdout.index("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(result.stdout[start:end] + "-----END CERTIFICATE-----")
    assert hashlib.sha256(der).hexdigest() == fingerprint
    assert "CN=" in result.stdout
    assert "UTC" in result.stdout


def test_fetchcert_gives_no_advice_on_a_certificate_that_is_pinned(
    folder: Folder, gateways: dict[str, SimulatedGateway]
) -> None:
    pin = f"tls_fingerprint: sha256:{gateways['home'].certificate.sha256}"
    folder.add("home", gateways["home"].address, pin)
    result = folder.run("fetchcert")
    assert (result.code, result.stdout.splitlines()[0]) == (0, "home: the same as tls_fingerprint")
    assert "BEGIN CERTIFICATE" not in result.stdout
    assert "To trust" not in result.stdout


def test_fetchcert_saves_and_keeps(folder: Folder, gateways: dict[str, SimulatedGateway]) -> None:
    folder.add("home", gateways["home"].address, "tls_cert_file: certs/home.pem")
    result = folder.run("fetchcert")
    assert result.code == 0
    file = folder.path / "certs" / "home.pem"
    assert f"home: saved {file}" in result.stdout
    assert ssl.PEM_cert_to_DER_cert(file.read_text()) == gateways["home"].certificate.der
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(file.parent) == ["home.pem"]
    assert "home: unchanged" in folder.run("fetchcert", "home").stdout
    assert folder.run("probe").code == 0


def test_a_certificate_that_differs_needs_force(
    folder: Folder, gateways: dict[str, SimulatedGateway]
) -> None:
    other = make_certificate()
    file = folder.path / "home.pem"
    other.save(file)
    folder.add("home", gateways["home"].address, "tls_cert_file: home.pem")
    result = folder.run("fetchcert")
    assert result.code == 1
    assert result.stdout == ""
    for part in (other.sha256, gateways["home"].certificate.sha256, "fetchcert --force home"):
        assert part in result.stderr
    assert file.read_bytes() == other.pem
    assert folder.run("fetchcert", "--force").code == 0
    assert ssl.PEM_cert_to_DER_cert(file.read_text()) == gateways["home"].certificate.der


def test_fetchcert_of_many(fleet: Folder) -> None:
    fleet.add("gone", DEAD, "tls_cert_file: gone.pem")
    result = fleet.run("fetchcert", "--all")
    assert result.code == 1
    assert "3 gateways: 2 fetched, 1 failed" in result.stderr
    assert not (fleet.path / "gone.pem").exists()


def test_fetchcert_that_cannot_write_leaves_nothing_behind(
    folder: Folder, gateways: dict[str, SimulatedGateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    folder.add("home", gateways["home"].address, "tls_cert_file: home.pem")
    result = folder.run("fetchcert")
    assert result.code == 1
    assert f"home: {folder.path / 'home.pem'}: No space left on device" in result.stderr
    assert os.listdir(folder.path) == ["probe_exporter.yaml"]


def test_the_go_exporters_option(home: Folder) -> None:
    result = home.run("--fetchcert")
    assert result.code == 0
    assert "tls_fingerprint" in result.stdout


# record and replay


def test_a_record_replays_to_the_same_values(home: Folder) -> None:
    file = home.path / "home.json"
    assert home.run("record", "home", str(file)).code == 0
    live = {family.name: family for family in parse_text(home.run("probe").stdout)}
    replayed = {family.name: family for family in parse_text(home.run("replay", str(file)).stdout)}
    assert set(live) - set(replayed) <= {name for name in live if name.startswith(("probe_", "powerwall_"))}
    assert "powerwall_instant_power_watts" in replayed
    for name, family in replayed.items():
        assert len(family.samples) == len(live[name].samples), name
        if "seconds" not in name:
            values = sorted(sample.value for sample in family.samples)
            assert values == pytest.approx(sorted(sample.value for sample in live[name].samples)), name


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda path: path.name)
def test_a_record_replays_to_the_samples_of_a_probe(folder: Folder, system: Path) -> None:
    """The same families, values and labels; a label that was scrubbed is the same stand-in wherever it stands."""
    file = folder.path / "record.json"
    with SimulatedGateway(RecordedSystem.from_folder(system), password=PASSWORD) as gateway:
        folder.add("home", gateway.address)
        live = parse_text(folder.run("probe").stdout)
        assert folder.run("record", "home", str(file)).code == 0
    replayed = {family.name: family for family in parse_text(folder.run("replay", str(file)).stdout)}
    stand_ins: dict[str, str] = {}
    for family in live:
        if family.name in OWN:
            continue
        for was, now in zip(family.samples, replayed.pop(family.name).samples, strict=True):
            close = 5.0 if family.name == "powerwall_start_time_seconds" else 0.0
            assert now.value == pytest.approx(was.value, abs=close), was
            assert now.labels.keys() == was.labels.keys()
            for label, text in now.labels.items():
                if "scrubbed-" in text:
                    assert stand_ins.setdefault(text, was.labels[label]) == was.labels[label]
                else:
                    assert text == was.labels[label], was
    assert not replayed


def test_a_record_can_be_simulated(fleet: Folder) -> None:
    file = fleet.path / "cabin.json"
    assert fleet.run("record", "cabin", str(file)).code == 0
    system = RecordedSystem.from_record(json.loads(file.read_text()))
    assert system.answer("meters/aggregates").status == 200
    assert system.answer("status").status == 404
    assert system.answer("status").body.strip() == b"404 page not found"


def test_a_record_of_nothing_is_exit_1(folder: Folder) -> None:
    folder.add("gone", DEAD)
    file = folder.path / "gone.json"
    result = folder.run("record", "gone", str(file))
    assert result.code == 1
    assert result.stderr.splitlines()[-1].startswith("gone: connect: ")
    assert not file.exists()


def test_a_record_is_never_written_over_by_mistake(home: Folder) -> None:
    file = home.path / "home.json"
    file.write_text("what somebody keeps")
    refused = home.run("record", "home", str(file))
    assert refused.code == 2
    assert "exists" in refused.stderr
    assert file.read_text() == "what somebody keeps"
    assert home.run("record", "home", str(file), "--force").code == 0
    assert json.loads(file.read_text())["format"]


def test_a_record_without_a_folder_to_go_to(home: Folder) -> None:
    result = home.run("record", "home", str(home.path / "nowhere" / "home.json"))
    assert result.code == 2
    assert "no such folder" in result.stderr


def test_simulate_never_writes_over_a_configuration(home: Folder) -> None:
    mine = home.path / "mine.yaml"
    mine.write_text("what somebody keeps")
    assert home.run("simulate", "--write", str(mine)).code == 2
    assert mine.read_text() == "what somebody keeps"


# Politeness over restarts


def test_a_cron_job_with_a_wrong_password_logs_in_once(
    folder: Folder, gateways: dict[str, SimulatedGateway]
) -> None:
    gateway = gateways["home"]
    state = folder.path / "state"
    file = folder.path / "wrong.yaml"
    file.write_text(
        f"state_directory: {state}\n"
        f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password: wrong}}}}\n"
    )
    file.chmod(0o600)
    before = gateway.counts.login_attempts
    for _ in range(3):
        ended = run_program(f"--config.file={file}", "probe")
        assert ended.code == 1
        assert "the gateway refused the login" in ended.stderr
    assert gateway.counts.login_attempts == before + 1
    (kept,) = state.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert b"wrong" not in kept.read_bytes()


def test_without_a_state_directory_a_refusal_is_said_to_be_forgotten(
    folder: Folder, gateways: dict[str, SimulatedGateway]
) -> None:
    file = folder.path / "forgetful.yaml"
    file.write_text(
        f"gateways: {{home: {{gateway_address: '{gateways['home'].address}', login_password: wrong}}}}\n"
    )
    file.chmod(0o600)
    assert "state_directory" in run_program(f"--config.file={file}", "probe").stderr


def test_a_session_survives_a_restart(folder: Folder, gateways: dict[str, SimulatedGateway]) -> None:
    gateway = gateways["home"]
    file = folder.path / "kept.yaml"
    file.write_text(
        f"state_directory: {folder.path / 'state'}\n"
        f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password: {PASSWORD}}}}}\n"
    )
    file.chmod(0o600)
    before = gateway.counts.login_attempts
    for _ in range(3):
        assert run_program(f"--config.file={file}", "probe").code == 0
    assert gateway.counts.login_attempts == before + 1


# Modules


def test_a_module_may_leave_out_the_metrics_about_endpoints(home: Folder) -> None:
    def names() -> set[str]:
        result = home.run("probe")
        assert result.code == 0
        return {family.name for family in parse_text(result.stdout) if family.samples}

    everything = names()
    home.modules = ["modules: {default: {endpoint_metrics: false}}"]
    lean = names()
    assert everything - lean == {
        "powerwall_endpoint_supported",
        "powerwall_endpoint_up",
        "powerwall_endpoint_duration_seconds",
        "powerwall_endpoint_age_seconds",
        "powerwall_unknown_values",
    }
    assert not lean - everything


# Long lists of names


def test_a_list_of_many_names_ends_after_ten_and_begins_with_the_nearest(folder: Folder) -> None:
    for number in range(1, 301):
        folder.add(f"site-{number}", f"127.0.0.1:{number}")
    asked = folder.run("probe", "site_207")
    assert asked.code == 2
    assert "the name or address 'site_207'; there are: site-207, " in asked.stderr
    assert asked.stderr.endswith(" … and 290 more\n")
    unsaid = folder.run("fetchcert")
    assert unsaid.code == 2
    assert "which gateway? Give --all or one of: site-1, site-2, site-3, " in unsaid.stderr
    assert unsaid.stderr.endswith("site-10 … and 290 more\n")


def test_an_unknown_module_is_repeated_at_the_command_line(home: Folder) -> None:
    result = home.run("probe", "--module", "pateint")
    assert result.code == 2
    assert "there is no module 'pateint'; there are: default" in result.stderr
