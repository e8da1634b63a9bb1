"""A start without a file, options from the environment, variables in values: what a container needs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from probe_exporter.cli import COMMANDS, cli
from probe_exporter.cli.options import take_environment, variable_of
from probe_exporter.config import environment as environment_module
from probe_exporter.config import load_config, schema
from probe_exporter.errors import ConfigurationError
from probe_exporter.secrets import Secret
from probe_exporter.simulator import RecordedSystem, SimulatedGateway
from tests.program_runs import Ended, run_program
from tests.tedapi_parts import needs_extra
from tests.test_cli_serve import end, free_port, get

ROOT = Path(__file__).parent.parent
PASSWORD = "canary-7-password"
FINGERPRINT = f"sha256:{'ab' * 32}"


@pytest.fixture(scope="module")
def gateway() -> Iterator[SimulatedGateway]:
    made = SimulatedGateway(
        RecordedSystem.from_folder(ROOT / "tests/payloads/pw2-21.44-running"), password=PASSWORD
    )
    made.start()
    yield made
    made.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Runs the program in an empty folder with these variables; the password must never be seen."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "probe_exporter")])

    def run_with(*arguments: str, **variables: str) -> Ended:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ended = run_program(*arguments)
        assert PASSWORD not in ended.stdout + ended.stderr
        return ended

    return run_with


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "probe_exporter", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PROBE_EXPORTER_WEB_LISTEN_ADDRESS": f"127.0.0.1:{port}",
            **variables,
        },
    )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def test_a_gateway_from_the_environment_is_served_and_is_the_device(
    tmp_path: Path, gateway: SimulatedGateway
) -> None:
    with serving(tmp_path, POWERWALL_ADDRESS=gateway.address, POWERWALL_PASSWORD=PASSWORD) as (url, process):
        assert "\nprobe_success 1.0\n" in get(f"{url}/probe?target=home")
        assert "\nprobe_success 1.0\n" in get(f"{url}/probe?target={gateway.address}")
        assert "\npowerwall_instant_power_watts{" in get(f"{url}/metrics")
        pages = [get(f"{url}{path}") for path in ("/config", "/", "/gateways/home", "/sd")]
        code, errors = end(process, signal.SIGTERM)
    assert code == 0
    assert "environment" in errors
    assert not [text for text in (*pages, errors) if PASSWORD in text]


def test_every_variable_reaches_its_place(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    (tmp_path / "password").chmod(0o600)
    variables = {
        "POWERWALL_ADDRESS": "192.0.2.1:8443",
        "POWERWALL_NAME": "villa",
        "POWERWALL_EMAIL": "me@example.com",
        "POWERWALL_PASSWORD_FILE": str(tmp_path / "password"),
        "POWERWALL_TLS_CERT_FILE": str(tmp_path / "villa.pem"),
    }
    config = load_config(None, environment=variables)
    villa = config.gateways["villa"]
    assert (config.path, config.device, list(config.gateways)) == (None, "villa", ["villa"])
    assert (villa.addresses[0].port, villa.login_email) == (8443, "me@example.com")
    assert villa.login_password == Secret("from-a-file")
    assert villa.tls_cert_file == tmp_path / "villa.pem"
    pinned = load_config(
        None, environment={"POWERWALL_ADDRESS": "192.0.2.1", "POWERWALL_TLS_FINGERPRINT": FINGERPRINT}
    )
    assert pinned.gateways["home"].pin is not None


def test_every_variable_is_a_key_of_a_gateway() -> None:
    for path in environment_module.VARIABLES.values():
        section = schema.GATEWAY if len(path) == 1 else schema.SECTIONS[str(path[0])]
        assert path[-1] in section.keys


def test_the_password_of_tedapi_may_come_from_the_environment() -> None:
    variables = {"POWERWALL_ADDRESS": "192.0.2.1", "POWERWALL_TEDAPI_GATEWAY_PASSWORD": PASSWORD}
    config = load_config(None, environment=variables)
    tedapi = config.gateways["home"].tedapi
    assert tedapi is not None
    assert tedapi.password == Secret(PASSWORD)
    assert PASSWORD not in config.as_yaml() + repr(config) + repr(config.warnings)
    assert {warning.path for warning in config.warnings} == set(variables)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"POWERWALL_PASSWORD": PASSWORD, "POWERWALL_PASSWORD_FILE": "x"},
            "environment: POWERWALL_PASSWORD_FILE: POWERWALL_PASSWORD is given too",
        ),
        (
            {"POWERWALL_PASSWORD_FILE": PASSWORD},
            "environment: POWERWALL_PASSWORD_FILE: the file cannot be read",
        ),
        ({"POWERWALL_ADDRESS": PASSWORD + " "}, "environment: POWERWALL_ADDRESS: is not an address"),
        ({"POWERWALL_TLS_FINGERPRINT": PASSWORD}, "environment: POWERWALL_TLS_FINGERPRINT: must be sha256:"),
        ({"POWERWALL_NAME": " "}, "environment: POWERWALL_NAME: a name must have"),
    ],
)
def test_a_mistake_names_its_variable(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(None, environment={"POWERWALL_ADDRESS": "192.0.2.1", **variables})
    assert message in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_one_off_commands_take_the_environment(run, gateway: SimulatedGateway) -> None:  # type: ignore[no-untyped-def]
    result = run("probe", POWERWALL_ADDRESS=gateway.address, POWERWALL_PASSWORD=PASSWORD)
    assert result.code == 0
    assert "probe_success 1.0" in result.stdout
    result = run("check", POWERWALL_ADDRESS=gateway.address, POWERWALL_PASSWORD=PASSWORD)
    assert (result.code, result.stdout) == (0, "environment: OK: 1 gateway, 1 module, 1 warning\n")


KEYS_OF_A_FILE = re.compile(r"login_\w+|tls_(cert|fing)\w+|gateway_\w+|rsa_key_file|queries_file|tedapi:")


def test_no_message_names_a_key_of_a_file(run, tmp_path: Path, gateway: SimulatedGateway) -> None:  # type: ignore[no-untyped-def]
    """What to do is said in variables: there is no file in which a key could be written."""
    told = [
        run("check", POWERWALL_ADDRESS=gateway.address, STATE_DIRECTORY=str(tmp_path / "state")),
        run("fetchcert"),
        run("check", "--connect", "--login"),
        run("probe", POWERWALL_PASSWORD="a wrong one"),
        run("probe", POWERWALL_TLS_FINGERPRINT=FINGERPRINT),
        run("fetchcert"),
        run("check", POWERWALL_TLS_CERT_FILE="x.pem", POWERWALL_PASSWORD_FILE="x"),
    ]
    for ended, code, part in zip(
        told,
        (0, 0, 0, 1, 1, 1, 2),
        (
            "set POWERWALL_TLS_CERT_FILE or POWERWALL_TLS_FINGERPRINT",
            f"or set\n    POWERWALL_TLS_FINGERPRINT=sha256:{gateway.certificate.sha256}\n",
            "; no POWERWALL_PASSWORD is configured",
            ": check POWERWALL_PASSWORD",
            f"but POWERWALL_TLS_FINGERPRINT pins {FINGERPRINT}",
            f"but POWERWALL_TLS_FINGERPRINT has {FINGERPRINT}",
            "POWERWALL_TLS_FINGERPRINT: POWERWALL_TLS_CERT_FILE is given too",
        ),
        strict=True,
    ):
        said = ended.stderr + ended.stdout.partition("# HELP")[0]
        assert (ended.code, part in said) == (code, True), said
        assert not KEYS_OF_A_FILE.search(said), said


@needs_extra
def test_no_message_about_tedapi_names_a_key_of_a_file(run) -> None:  # type: ignore[no-untyped-def]
    addresses = {"POWERWALL_ADDRESS": "192.0.2.1", "POWERWALL_TEDAPI_ADDRESS": "192.0.2.2"}
    without = run("check", **addresses)
    assert "must have exactly one of POWERWALL_TEDAPI_RSA_KEY_FILE (home network), " in without.stderr
    with_key = run("check", POWERWALL_TEDAPI_RSA_KEY_FILE="x.pem")
    assert "has no POWERWALL_TEDAPI_DIN, and without POWERWALL_PASSWORD there is no way" in with_key.stderr
    unpinned = run("check", POWERWALL_TEDAPI_GATEWAY_PASSWORD="x", POWERWALL_TEDAPI_RSA_KEY_FILE="")
    assert "set its own POWERWALL_TEDAPI_TLS_FINGERPRINT" in unpinned.stderr
    for ended in (without, with_key, unpinned):
        assert not KEYS_OF_A_FILE.search(ended.stderr), ended.stderr


def test_the_page_names_no_key_of_a_file(tmp_path: Path, gateway: SimulatedGateway) -> None:
    with serving(tmp_path, POWERWALL_ADDRESS=gateway.address) as (url, _):
        get(f"{url}/probe?target=home")
        page = get(f"{url}/gateways/home")
    assert "but no POWERWALL_PASSWORD is configured" in page
    assert not KEYS_OF_A_FILE.search(page)


def test_a_file_beside_the_address_is_an_error_that_names_it(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "probe_exporter.yaml"
    file.write_text("gateways: {192.0.2.1: }")
    for arguments in ([], ["check"], [f"--config.file={file}", "probe"]):
        result = run(*arguments, POWERWALL_ADDRESS="192.0.2.2")
        assert result.code == 2
        assert "probe_exporter.yaml and POWERWALL_ADDRESS both" in result.stderr


def test_the_other_variables_alone_mean_nothing(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = run("check", POWERWALL_PASSWORD=PASSWORD, POWERWALL_ADDRESS="")
    assert result.code == 2
    assert "no configuration file" in result.stderr
    (tmp_path / "probe_exporter.yaml").write_text("gateways: {192.0.2.1: }")
    assert run("check", POWERWALL_PASSWORD=PASSWORD).code == 0


def test_passwords_leave_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERWALL_PASSWORD", PASSWORD)
    monkeypatch.setenv("POWERWALL_TEDAPI_GATEWAY_PASSWORD", PASSWORD)
    taken = take_environment()
    assert taken["POWERWALL_PASSWORD"] == PASSWORD
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ)"], capture_output=True, text=True, check=True
    )
    assert PASSWORD not in child.stdout


# Options


def test_global_options_and_those_of_serve_have_variables_and_no_others() -> None:
    context = click.Context(cli)
    for name in ("", *COMMANDS):
        command = cli.get_command(context, name) if name else cli
        assert command is not None
        for parameter in command.params:
            if not isinstance(parameter, click.Option):
                continue
            named = name in ("", "serve") and parameter.opts[0] not in ("--version", "--fetchcert")
            assert parameter.envvar == (variable_of(parameter.opts[0]) if named else None), parameter.opts


def test_a_variable_is_the_option_and_the_command_line_takes_precedence(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("gateways: {192.0.2.1: {login_password: a}}")
    other.write_text("gateways: {192.0.2.1: , 192.0.2.2: }")
    variables = {"PROBE_EXPORTER_CONFIG_FILE": str(one), "PROBE_EXPORTER_PORT": "tcp://10.0.0.1:9871"}
    assert "1 gateway," in run("check", **variables).stdout
    assert "2 gateways," in run("check", f"--config.file={other}", **variables).stdout
    assert "1 gateway," in run("--config.check", **variables).stdout


def test_no_variable_chooses_a_command_or_an_option_of_another(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "probe_exporter.yaml").write_text("gateways: {192.0.2.1: }")
    variables = {
        f"PROBE_EXPORTER_{name}": "1" for name in ("FETCHCERT", "FETCHCERT_FORCE", "VERSION", "PROBE_MODULE")
    }
    assert "OK: 1 gateway" in run("--config.check", **variables).stdout


def test_config_check_looks_at_the_web_configuration_too(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "probe_exporter.yaml").write_text("gateways: {192.0.2.1: }")
    (tmp_path / "web.yaml").write_text("")
    result = run("serve", "--config.check", "--web.config.file=web.yaml")
    assert result.code == 2
    assert "web.yaml" in result.stderr


def test_simulate_serves_where_its_own_option_says(tmp_path: Path) -> None:
    """A variable of ``serve`` is of no other command, not of one that serves as well; the help says so."""
    port, other = free_port(), free_port()
    arguments = ["simulate", "--gateways=1", "--serve", f"--web.listen-address=127.0.0.1:{port}"]
    variables = {"PROBE_EXPORTER_WEB_LISTEN_ADDRESS": f"127.0.0.1:{other}"}
    with serving(tmp_path, *arguments, **variables) as (_, process):
        get(f"http://127.0.0.1:{port}/-/healthy")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", other), 1.0)
        end(process, signal.SIGTERM)
    assert "variables of the command serve are not read here" in " ".join(
        run_program("simulate", "--help").stdout.split()
    )


# Variables in values


def test_variables_are_put_into_values_where_it_is_asked_for(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "probe_exporter.yaml"
    file.write_text(
        "gateways:\n"
        "  home: {gateway_address: '${PREFIX}.1:443', login_password: '${WORD}', labels: {site: 'a-${PREFIX}-b'}}\n"
    )
    file.chmod(0o600)
    variables = {"PREFIX": "192.0.2", "WORD": f"{PASSWORD}: #${{PREFIX}} 'x'"}
    home = load_config(file, environment=variables, expand=True).gateways["home"]
    assert home.addresses[0].text == "192.0.2.1:443"
    assert home.login_password == Secret(variables["WORD"]), "put in once, and never read as YAML"
    assert home.labels == {"site": "a-192.0.2-b"}
    assert "has the shape ${NAME}" in run("check", **variables).stderr
    assert run("--config.expand-environment-variables", "check", **variables).code == 0
    assert run("check", PROBE_EXPORTER_CONFIG_EXPAND_ENVIRONMENT_VARIABLES="true", **variables).code == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the environment variable that is named here is not set; set it"),
        ("", "is empty; give a value"),
    ],
)
def test_a_variable_without_a_value_is_a_mistake(tmp_path: Path, value: str | None, message: str) -> None:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text("gateways: {192.0.2.1: {login_password: '${WORD}'}}")
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environment={} if value is None else {"WORD": value}, expand=True)
    assert str(caught.value).startswith(f"{file}:1: gateways.192.0.2.1.login_password: {message}")


def test_a_secret_that_was_put_in_shows_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text(
        "gateways: {home: {gateway_address: 192.0.2.1, login_password: '${WORD}', colour: '${WORD}'}}"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, environment={"WORD": PASSWORD}, expand=True)
    assert PASSWORD not in str(caught.value)
    file.write_text("gateways: {home: {gateway_address: 192.0.2.1, login_password: '${WORD}'}}")
    config = load_config(file, environment={"WORD": PASSWORD}, expand=True)
    assert PASSWORD not in config.as_yaml() + repr(config)


# Credentials that are not there


def test_an_absent_password_file_is_a_warning_for_check_and_fetchcert(
    run,  # type: ignore[no-untyped-def]
    tmp_path: Path,
    gateway: SimulatedGateway,
) -> None:
    file = tmp_path / "probe_exporter.yaml"
    file.write_text(
        f"gateways: {{home: {{gateway_address: '{gateway.address}', login_password_file: absent, "
        "tls_cert_file: home.pem}}"
    )
    assert "warning: " in run("check").stderr
    assert run("fetchcert").code == 0
    assert (tmp_path / "home.pem").exists()
    result = run("probe")
    assert result.code == 2
    assert "login_password_file: the file cannot be read" in result.stderr
