"""``tedapi:`` in a configuration: what it leads to, every mistake with its remedy, and nothing of a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from probe_exporter.cli import cli
from probe_exporter.config import Config, load_config, tedapi_access
from probe_exporter.errors import ConfigurationError
from probe_exporter.simulator import LivingSite, SimulatedGateway
from probe_exporter.tedapi import queries
from probe_exporter.tedapi.questions import Question
from tests.program_runs import run_program
from tests.tedapi_parts import LEADER, key, key_file, needs_extra

pytestmark = needs_extra
MARKER = "MARKER-secret"


def load(folder: Path, tedapi: object, **gateway: object) -> Config:
    home = {"gateway_address": "192.0.2.10", "tls_fingerprint": "sha256:" + "ab" * 32, **gateway}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"gateways": {"home": {**home, "tedapi": tedapi}}}), "utf-8")
    path.chmod(0o600)
    return load_config(path, environment={})


def mistakes(folder: Path, tedapi: object, **gateway: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, tedapi, **gateway)
    assert MARKER not in str(caught.value)
    return [f"{one.path}: {one.problem}" for one in caught.value.mistakes]


def test_a_key_for_the_home_network(tmp_path: Path) -> None:
    key_file(tmp_path)
    config = load(tmp_path, {"rsa_key_file": "key.pem", "din": LEADER}, login_password=MARKER)
    tedapi = config.gateways["home"].tedapi
    assert tedapi is not None
    assert (tedapi.password, tedapi.pin, tedapi.pin_missing) == (None, None, False)
    assert set(tedapi.queries) == {Question.CONTROLLER, Question.COMPONENTS}
    assert tedapi.keys.request_timeout == 15.0
    assert "PRIVATE" not in repr(config)
    assert config.warnings == ()


def test_the_password_of_the_label(tmp_path: Path) -> None:
    keys = {"gateway_password": MARKER, "gateway_address": "192.168.91.1", "request_timeout": "20s"}
    config = load(tmp_path, keys)
    tedapi = config.gateways["home"].tedapi
    assert tedapi is not None
    assert tedapi.password is not None
    assert tedapi.password.reveal() == MARKER
    assert any("TLS is not validated at the address of TEDAPI" in str(warning) for warning in config.warnings)
    shown = yaml.safe_load(config.as_yaml())["gateways"]["home"]["tedapi"]
    assert shown == {
        "gateway_password": "<secret>",
        "gateway_address": "192.168.91.1",
        "request_timeout": "20s",
    }
    assert MARKER not in config.as_yaml() + repr(config)


def test_a_pin_of_its_own_needs_no_warning(tmp_path: Path) -> None:
    keys = {
        "gateway_password": MARKER,
        "gateway_address": "192.168.91.1",
        "tls_fingerprint": "sha256:" + "cd" * 32,
    }
    config = load(tmp_path, keys, login_password=MARKER)
    assert config.warnings == ()
    tedapi = config.gateways["home"].tedapi
    assert tedapi is not None
    assert tedapi.pin is not None
    assert tedapi.pin.sha256 == b"\xcd" * 32


def test_a_certificate_that_is_not_there_yet(tmp_path: Path) -> None:
    tedapi = load(tmp_path, {"gateway_password": MARKER, "tls_cert_file": "wifi.pem"}).gateways["home"].tedapi
    assert tedapi is not None
    assert tedapi.pin_missing


def test_a_key_that_everybody_can_read(tmp_path: Path) -> None:
    key_file(tmp_path).chmod(0o644)
    config = load(tmp_path, {"rsa_key_file": "key.pem", "din": LEADER}, login_password=MARKER)
    assert any("chmod o-rwx" in str(warning) for warning in config.warnings)


def test_a_module_without_the_collector(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    document = {
        "modules": {"small": {"collectors": ["meters"]}},
        "gateways": {
            "home": {
                "gateway_address": "192.0.2.10",
                "module": "small",
                "tedapi": {"gateway_password": MARKER},
            }
        },
    }
    path.write_text(yaml.safe_dump(document), "utf-8")
    warnings = [str(warning) for warning in load_config(path, environment={}).warnings]
    assert any("leaves out the collector tedapi" in warning for warning in warnings)


ONE = (
    "gateways.home.tedapi: must have exactly one of rsa_key_file (home network), gateway_password and "
    "gateway_password_file (the gateway's own Wi-Fi)"
)


@pytest.mark.parametrize(
    ("keys", "promised"),
    [
        ({}, [ONE]),
        ({"gateway_password": MARKER, "gateway_password_file": "password"}, [ONE]),
        ({"gateway_password": MARKER, "rsa_key_file": "key.pem", "din": LEADER}, [ONE]),
        (
            {"rsa_key_file": "key.pem"},
            [
                (
                    "gateways.home.tedapi: has no din, and without login_password there is no way to ask for it; "
                    "write the DIN of the label, such as 1707000-21-K--TG1234567890AB"
                )
            ],
        ),
        (
            {"rsa_key_file": "absent.pem", "din": LEADER},
            [
                (
                    "gateways.home.tedapi.rsa_key_file: the file cannot be read: no such file or directory; check path "
                    "and permissions"
                )
            ],
        ),
        (
            {"rsa_key_file": "password", "din": LEADER},
            [
                (
                    "gateways.home.tedapi.rsa_key_file: the file does not hold a private key in PEM form; name the key "
                    "that was registered"
                )
            ],
        ),
        (
            {"gateway_password": MARKER, "din": MARKER},
            ["gateways.home.tedapi.din: is not a DIN, which looks like 1707000-21-K--TG1234567890AB"],
        ),
        (
            {"gateway_password": MARKER, "gateway_address": ["192.168.91.1", "192.0.2.9"]},
            [
                "gateways.home.tedapi.gateway_address: must be one address; a list is only for the gateway itself"
            ],
        ),
        (
            {"gateway_password": MARKER, "queries_file": "password"},
            [
                (
                    "gateways.home.tedapi.queries_file: is not JSON; use V2024_06.json of pypowerwall 0.22 or 0.23, "
                    "which `pip install '.[tedapi]'` brings"
                )
            ],
        ),
        (
            {"gateway_password": MARKER, "queries_file": "absent.json"},
            [
                (
                    "gateways.home.tedapi.queries_file: the file cannot be read: no such file or directory; check path "
                    "and permissions"
                )
            ],
        ),
        (
            {"gateway_password": MARKER, "tls_cert_file": "c.pem", "tls_fingerprint": "sha256:" + "cd" * 32},
            ["gateways.home.tedapi.tls_fingerprint: tls_cert_file is given too; keep one of them"],
        ),
        (
            {"gateway_password": [MARKER]},
            ["gateways.home.tedapi.gateway_password: must be a text, not a list or"],
        ),
        ({"gateway_pasword": MARKER}, ["gateways.home.tedapi.gateway_pasword: unknown key, did you mean"]),
        ([MARKER], ["gateways.home.tedapi: must be a mapping"]),
    ],
)
def test_mistakes(tmp_path: Path, keys: object, promised: list[str]) -> None:
    key_file(tmp_path)
    (tmp_path / "password").write_text(MARKER, "utf-8")
    told = mistakes(tmp_path, keys)
    assert len(told) == len(promised)
    for message, expected in zip(told, promised, strict=True):
        assert message.startswith(expected)


def test_fetchcert_covers_both_addresses(tmp_path: Path) -> None:
    with (
        SimulatedGateway(LivingSite(profile="pw3")) as first,
        SimulatedGateway(LivingSite(profile="pw3")) as other,
    ):
        keys = {"gateway_password": MARKER, "gateway_address": other.address, "tls_cert_file": "wifi.pem"}
        load(
            tmp_path,
            keys,
            gateway_address=first.address,
            tls_fingerprint=f"sha256:{first.certificate.sha256}",
        )
        done = CliRunner().invoke(cli, [f"--config.file={tmp_path / 'config.yaml'}", "fetchcert", "home"])
        assert "the same as tls_fingerprint" in done.output
        assert f"TEDAPI at {other.address}: saved {tmp_path / 'wifi.pem'}" in done.output
        assert other.certificate.sha256 in done.output
        same = {"gateway_address": first.address, "tls_fingerprint": f"sha256:{first.certificate.sha256}"}
        tedapi = load(tmp_path, keys, **same).gateways["home"].tedapi
        assert tedapi is not None
        assert tedapi.pin is not None
        assert tedapi.pin.sha256.hex() == other.certificate.sha256
        other.swap_certificate()
        again = CliRunner().invoke(cli, [f"--config.file={tmp_path / 'config.yaml'}", "fetchcert", "home"])
        assert "--force" in again.output


@pytest.mark.parametrize(
    ("fault", "by_key", "code", "expected"),
    [
        ("", True, 0, "; the password is accepted; TEDAPI: the key is accepted\n"),
        ("", False, 0, "; the password is accepted; TEDAPI: the password is accepted\n"),
        (
            "tedapi_key_pending",
            True,
            1,
            "home: TEDAPI: the gateway has the key, but the key is not confirmed yet",
        ),
        ("tedapi_key_unknown", True, 1, "home: TEDAPI: the key is not registered at this gateway"),
        ("tedapi_busy", False, 1, "home: TEDAPI: "),
    ],
)
def test_check_tries_the_key_once(tmp_path: Path, fault: str, by_key: bool, code: int, expected: str) -> None:
    from probe_exporter.simulator.tedapi import LivingSource, Tedapi

    site = LivingSite(profile="pw3")
    with SimulatedGateway(site) as gateway:
        gateway.tedapi = Tedapi(LivingSource(site))
        gateway.tedapi.register(key().public_key())
        if fault:
            gateway.tedapi.play(fault)
        keys = (
            {"rsa_key_file": key_file(tmp_path).name}
            if by_key
            else {"gateway_password": gateway.tedapi.password}
        )
        own = {
            "gateway_address": gateway.address,
            "login_password": gateway.password,
            "tls_fingerprint": f"sha256:{gateway.certificate.sha256}",
        }
        load(tmp_path, keys, **own)
        command = [f"--config.file={tmp_path / 'config.yaml'}", "check", "--connect"]
        run_program(*command)
        assert not gateway.counts.requests, "nothing is sent without --login"
        done = run_program(*command, "--login")
        asked = [path for path in gateway.counts.requests if "tedapi" in path]
    assert done.code == code, done.stderr
    assert expected in done.stdout + done.stderr
    assert [gateway.counts.requests[path] for path in asked] == [1] * len(asked) != [], "each once"


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tedapi_access, "extra_installed", lambda: False)
    (told,) = mistakes(tmp_path, {"gateway_password": MARKER})
    assert told.endswith("run: pip install '.[tedapi]'")


def test_without_the_query_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "_PACKAGE", "no-such-package-anywhere")
    (told,) = mistakes(tmp_path, {"gateway_password": MARKER})
    assert "no query texts are found: run pip install" in told
    assert "queries_file" in told
