"""What a configuration file means, and what is said about one that is wrong."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from probe_exporter.config import (
    COLLECTORS,
    DEFAULT_EMAIL,
    Address,
    Config,
    Pin,
    find_config,
    load_config,
    schema,
    typed_yaml,
)
from probe_exporter.config import loading as config_module
from probe_exporter.config.schema import RESERVED_LABELS
from probe_exporter.errors import ConfigurationError, UnknownModuleError
from probe_exporter.metrics import CATALOGUE
from probe_exporter.metrics.tariff import TARIFF_FAMILIES
from probe_exporter.secrets import Secret

FILES = Path(__file__).parent / "config"
BAD = sorted(path.name for path in (FILES / "bad").glob("*.yaml"))
GOOD = sorted(path.name for path in (FILES / "good").glob("*.yaml"))
MARKER = "MARKER"
PINNED = "00112233445566778899aabbccddeeff" * 2

Write = Callable[..., Config]


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A copy of the files that nobody else may read, so that no warning depends on the checkout's modes."""
    copy = tmp_path / "config"
    shutil.copytree(FILES, copy)
    for path in copy.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copy


@pytest.fixture
def load(tmp_path: Path) -> Write:
    """Writes a configuration and loads it."""

    def write_and_load(text: str, **options: object) -> Config:
        path = tmp_path / "probe_exporter.yaml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return load_config(path, **{"environment": {}, **options})  # type: ignore[arg-type]

    return write_and_load


def promised(path: Path) -> list[str]:
    """The messages at the top of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        if not re.match(r"# (FILE|parts/)", line):
            break
        found.append(line[2:])
    return found


def shown(text: str, path: Path) -> list[str]:
    """Messages with the file called FILE, and files beside it by their names alone."""
    return text.replace(str(path), "FILE").replace(f"{path.parent}{os.sep}", "").splitlines()


def mistakes_in(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, environment={})
    return str(caught.value)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gives_the_messages_that_it_begins_with(private: Path, name: str) -> None:
    path = private / "bad" / name
    told = mistakes_in(path)
    assert shown(told, path) == promised(path)
    assert MARKER not in told


@pytest.mark.parametrize("name", BAD)
def test_the_messages_do_not_depend_on_libyaml(
    private: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typed_yaml, "_LOADER", yaml.SafeLoader)
    path = private / "bad" / name
    told = mistakes_in(path)

    def unworded(messages: list[str]) -> list[str]:
        return [
            re.sub(r"FILE:\d+: is not valid YAML \(.*?\);", "is not valid YAML", message)
            for message in messages
        ]

    assert unworded(shown(told, path)) == unworded(promised(path))
    assert MARKER not in told


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_gives_the_warnings_that_it_begins_with(private: Path, name: str) -> None:
    path = private / "good" / name
    config = load_config(path, environment={})
    assert shown("\n".join(map(str, config.warnings)), path) == promised(path)
    assert all(
        password not in config.as_yaml() for password in ("own", "in a file", "012345", "Super!Secret")
    )


def test_the_go_exporters_file_works_unchanged(private: Path) -> None:
    config = load_config(private / "good/go-exporter.yaml")
    device = config.gateways["192.0.2.10"]
    assert config.device == "192.0.2.10"
    assert (config.web.listen_address, config.web.metrics_path) == (":9871", "/metrics")
    assert device.addresses == (Address("192.0.2.10", 443, "192.0.2.10"),)
    assert device.login_email == "me@example.com"
    assert device.login_password == Secret("012345")
    assert (device.pin, device.tls_cert_file, device.pin_missing) == (None, None, False)
    module = config.module_for(device)
    assert module.retry_interval == 1.5
    assert module.retry_timeout == 5 * 86400 + 12 * 3600 + 10.07
    assert module.timeout == module.retry_timeout + 10


def test_the_go_exporters_defaults(load: Write) -> None:
    config = load("device: {gateway_address: 192.0.2.10}")
    device = config.gateways["192.0.2.10"]
    module = config.module_for(device)
    assert (config.web.listen_address, config.web.metrics_path) == (":9871", "/metrics")
    assert (device.login_email, device.login_password) == (DEFAULT_EMAIL, None)
    assert (module.retry_interval, module.retry_timeout, module.timeout) == (1.0, 0.0, 10.0)


def test_the_device_looks_in_the_working_directory_next(
    private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = private / "elsewhere" / "powerwall_exporter.yaml"
    path.parent.mkdir()
    shutil.copy(private / "good/go-exporter-pinned.yaml", path)
    beside = path.parent / "certs/home.pem"
    assert load_config(path).gateways["powerwall.example:8443"].tls_cert_file == beside
    monkeypatch.chdir(private / "good")
    device = load_config(path).gateways["powerwall.example:8443"]
    assert device.tls_cert_file == Path.cwd() / "certs/home.pem"
    assert not device.pin_missing
    path.write_text("gateways: {192.0.2.1: {tls_cert_file: certs/home.pem}}")
    assert load_config(path).gateways["192.0.2.1"].pin_missing


def test_every_key_reaches_its_place(private: Path) -> None:
    path = private / "good/everything.yaml"
    config = load_config(path, environment={"STATE_DIRECTORY": "/var/lib/other"})
    assert config.path == path
    assert config.device is None
    assert (config.web.listen_address, config.web.metrics_path) == ("[::1]:9872", "/go")
    assert config.state_directory == path.parent / "state"
    default = config.modules["default"]
    assert default.collectors == ("core", "meters")
    assert (default.timeout, default.timeout_offset) == (20.0, 0.25)
    assert (default.scrape_interval, default.scrape_timeout) == (60.0, 59.0)
    assert (default.request_timeout, default.connect_timeout) == (4.0, 2.0)
    assert (default.retry_interval, default.retry_timeout) == (2.0, 3.0)
    assert (default.max_connections, default.min_interval, default.network_names) == (1, 0.5, False)
    assert not default.endpoint_metrics
    home = config.gateways["home"]
    assert [(one.host, one.port) for one in home.addresses] == [("192.0.2.10", 443), ("2001:db8::1", 8443)]
    assert (home.login_email, home.login_password) == ("me@example.com", Secret("no"))
    assert home.labels == {"site": "007", "fleet": "north", "home": "villa"}
    assert (home.home, home.timezone, home.capacity) == ("villa", "Europe/Berlin", 13.5 * 3.6e6)
    assert home.tls_cert_file == path.parent / "certs/home.pem"
    assert config.gateways["192.0.2.13"].addresses[0].host == "192.0.2.13"
    assert list(config.gateways) == ["home", "barn", "shed", "192.0.2.13", "attic", "cellar", "192.0.2.22"]


def test_other_modules_inherit_plain_defaults_and_core_is_implied(private: Path) -> None:
    config = load_config(private / "good/everything.yaml")
    patient = config.modules["patient"]
    assert patient.collectors == COLLECTORS
    assert (patient.timeout, patient.request_timeout, patient.max_connections) == (60.0, 5.0, 2)
    assert config.modules["idle"].collectors == ("core", "solar")


def test_a_gateways_own_credentials_win_over_its_modules(private: Path) -> None:
    gateways = load_config(private / "good/everything.yaml").gateways
    assert (gateways["barn"].login_email, gateways["barn"].login_password) == (
        "fleet@example.com",
        Secret("own"),
    )
    assert gateways["shed"].login_password == Secret("shared")


def test_every_key_of_the_schema_is_in_that_file() -> None:
    written = typed_yaml.read_yaml((FILES / "good/everything.yaml").read_text(encoding="utf-8"), "").value
    assert isinstance(written, dict)
    sections = {
        "top": [written, {"device": None}],  # beside gateways: it would be another gateway at metrics_path
        "web": [written["web"]],
        "modules": [*written["modules"].values(), {"login_password": None, "tls_cert_file": None}],
        "gateways": [*written["gateways"].values(), {"login_password_file": None, "tedapi": None}],
        "tariffs": [*written["tariffs"].values()],
        "prices": [price for one in written["tariffs"].values() for price in one["import"]],
    }
    elsewhere = {"tedapi"}  # needs files, an extra and tests of its own
    for name in schema.SECTIONS.keys() - elsewhere:
        found = {key for one in sections[name] for key in one or ()}
        assert found >= schema.SECTIONS[name].keys.keys(), name


def test_a_modules_patterns_name_files_for_each_gateway(load: Write, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("north", "south"):
        (tmp_path / "secrets" / name).write_text(f"of-{name}\n")
    config = load(
        "modules: {default: {login_password_file: 'secrets/{name}', tls_cert_file: 'certs/{name}.pem'}}\n"
        "gateways:\n"
        "  north: {gateway_address: 192.0.2.1}\n"
        "  south: {gateway_address: 192.0.2.2}\n"
        "  west: {gateway_address: 192.0.2.3, login_password: own, tls_cert_file: west.pem}\n"
    )
    north, south, west = config.gateways.values()
    assert (north.login_password, south.login_password) == (Secret("of-north"), Secret("of-south"))
    assert (north.tls_cert_file, north.pin_missing) == (tmp_path / "certs/north.pem", True)
    assert (west.login_password, west.tls_cert_file) == (Secret("own"), tmp_path / "west.pem")
    assert [str(warning.path) for warning in config.warnings if "exist" in warning.problem] == [
        "gateways.north",
        "gateways.south",
        "gateways.west.tls_cert_file",
    ]


def test_a_fingerprint_takes_precedence_over_a_modules_pattern(load: Write) -> None:
    config = load(
        "modules: {default: {tls_cert_file: 'certs/{name}.pem'}}\n"
        f"gateways: {{home: {{gateway_address: 192.0.2.1, tls_fingerprint: 'sha256:{PINNED}'}}}}"
    )
    home = config.gateways["home"]
    assert (home.tls_cert_file, home.pin) == (None, Pin(bytes.fromhex(PINNED), "tls_fingerprint"))


def test_a_password_file_loses_its_newline_only(private: Path) -> None:
    gateways = load_config(private / "good/everything.yaml").gateways
    assert gateways["attic"].login_password == Secret("in a file ")


def test_a_gateways_retries_win_over_its_modules_and_lengthen_the_timeout(private: Path) -> None:
    config = load_config(private / "good/everything.yaml")
    barn = config.gateways["barn"]
    assert config.module_for(barn).retry_interval == 5.0
    assert config.module_for(barn).retry_timeout == 40.0
    assert config.module_for(barn).timeout == 50.0
    assert config.module_for(barn, "default").timeout == 20.0, "a written timeout stays"
    assert config.module_for(config.gateways["home"]) is config.modules["patient"]


def test_an_unknown_module_is_not_repeated(load: Write) -> None:
    config = load("gateways: {192.0.2.1: }")
    with pytest.raises(UnknownModuleError) as caught:
        config.module_for(config.gateways["192.0.2.1"], MARKER)
    assert MARKER not in str(caught.value)
    assert "default" in str(caught.value)


def test_pins(private: Path) -> None:
    gateways = load_config(private / "good/everything.yaml").gateways
    assert gateways["barn"].pin is not None
    assert gateways["barn"].pin.sha256.hex() == PINNED
    assert gateways["barn"].pin.source == "tls_fingerprint"
    assert gateways["barn"].tls_cert_file is None
    assert (gateways["shed"].pin, gateways["shed"].pin_missing) == (None, True)
    assert gateways["home"].pin is not None
    assert gateways["home"].pin.source == str(gateways["home"].tls_cert_file)


def test_a_certificate_file_pins_its_first_certificate(private: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    home = load_config(private / "good/go-exporter-pinned.yaml").gateways["powerwall.example:8443"]
    leaf, _ = x509.load_pem_x509_certificates((private / "good/certs/home.pem").read_bytes())
    assert home.pin is not None
    assert home.pin.sha256 == leaf.fingerprint(hashes.SHA256())


def test_scalars_stay_as_they_were_typed(private: Path) -> None:
    gateways = load_config(private / "good/scalars.yaml").gateways
    typed = {
        name: gateway.login_password.reveal() for name, gateway in gateways.items() if gateway.login_password
    }
    assert typed == {
        "octal": "012345",
        "boolean": "Yes",
        "nothing": "null",
        "float": "1e3",
        "date": "2024-01-01",
        "sexagesimal": "12:30:45",
        "merge": "<<",
        "underscore": "1_000",
        "tagged": "0x1F",
        "spaces": "  two  words ",
        "unicode": "pässwörd",
    }


def test_merge_keys_fill_what_is_not_written(private: Path) -> None:
    gateways = load_config(private / "good/anchors.yaml").gateways
    assert [gateway.addresses[0].host for gateway in gateways.values()] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
    assert {gateway.login_password for gateway in gateways.values()} == {Secret("one")}


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 443),
        ("192.0.2.1:8443", "192.0.2.1", 8443),
        ("powerwall", "powerwall", 443),
        ("my_gw.example.:1", "my_gw.example.", 1),
        ("[2001:db8::1]", "2001:db8::1", 443),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        ("2001:db8::1", "2001:db8::1", 443),
    ],
)
def test_addresses(load: Write, typed: str, host: str, port: int) -> None:
    config = load(f"gateways: {{home: {{gateway_address: '{typed}'}}}}")
    assert config.gateways["home"].addresses == (Address(host, port, typed),)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.1:443"), ("HOUSE", "house."), ("[2001:db8::1]", "2001:0db8:0::0001")],
)
def test_two_ways_to_write_one_address(load: Write, one: str, other: str) -> None:
    with pytest.raises(ConfigurationError, match="has this address already"):
        load(f"gateways: {{a: {{gateway_address: '{one}'}}, b: {{gateway_address: '{other}'}}}}")


def test_the_reserved_labels_are_those_of_the_catalogue() -> None:
    exported = {label for family in CATALOGUE for label in family.labels}
    exported |= {label for _, _, labels in TARIFF_FAMILIES for label in labels}
    assert exported | {"tyoe", "endpoint", "reason", "interface"} == RESERVED_LABELS


STATE_DIRECTORIES: dict[str, tuple[dict[str, str], str | None]] = {
    "none": ({}, None),
    "systemd": ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "HERE"}, "/var/lib/a"),
    "the user's": ({"STATE_DIRECTORY": "", "HOME": "HERE"}, "HERE/.local/state/probe_exporter"),
    "the user's, elsewhere": ({"XDG_STATE_HOME": "HERE/x", "HOME": "HERE"}, "HERE/x/probe_exporter"),
    "one below a file": ({"XDG_STATE_HOME": "/dev/null"}, None),
    "one that nobody can write": ({"HOME": "/proc/1"}, None),
    "one that is relative": ({"XDG_STATE_HOME": "state"}, None),
}


@pytest.mark.parametrize(("environment", "expected"), STATE_DIRECTORIES.values(), ids=STATE_DIRECTORIES)
def test_the_state_directory_has_a_default(
    load: Write, tmp_path: Path, environment: dict[str, str], expected: str | None
) -> None:
    here = {name: text.replace("HERE", str(tmp_path)) for name, text in environment.items()}
    found = load("gateways: {192.0.2.1: }", environment=here).state_directory
    assert found == (None if expected is None else Path(expected.replace("HERE", str(tmp_path))))
    assert not (tmp_path / ".local").exists()


def test_files_that_everybody_can_read_earn_a_warning_each(load: Write, tmp_path: Path) -> None:
    password = tmp_path / "pass word"
    password.write_text("secret")
    password.chmod(0o644)
    text = (
        "modules: {default: {login_password_file: pass word}}\n"
        "gateways:\n"
        "  192.0.2.1: {login_password: one}\n"
        "  192.0.2.2: {login_password: two}\n"
        "  192.0.2.3: {login_password_file: pass word}\n"
    )
    (warning,) = (one for one in map(str, load(text).warnings) if "chmod" in one)
    assert warning == (
        f"{tmp_path}/probe_exporter.yaml:1: modules.default.login_password_file: everybody on this machine can read "
        f"this password; run: chmod o-rwx '{password}'"
    )
    path = tmp_path / "probe_exporter.yaml"
    path.chmod(0o644)
    exposed = [
        warning for warning in map(str, load_config(path).warnings) if f"chmod o-rwx {path}" in warning
    ]
    assert len(exposed) == 1
    path.write_text("gateways: {192.0.2.1: }")
    assert not [warning for warning in map(str, load_config(path).warnings) if "chmod" in warning], (
        "no secret, no warning"
    )


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: None, "cannot be read: no such file or directory"),
        (lambda path: path.mkdir(), "is not a regular file; name a YAML file"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not UTF-8 text; save it as UTF-8"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 33 << 20), "is larger than 32 MiB"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_files_that_are_none(tmp_path: Path, write: Callable[[Path], object], problem: str) -> None:
    path = tmp_path / "probe_exporter.yaml"
    write(path)
    assert mistakes_in(path).startswith(f"{path}: {problem}")


def test_a_byte_order_mark_is_welcome(tmp_path: Path) -> None:
    path = tmp_path / "probe_exporter.yaml"
    path.write_text("gateways: {192.0.2.1: }", encoding="utf-8-sig")
    assert list(load_config(path).gateways) == ["192.0.2.1"]


def test_a_surrogate_escape_is_a_mistake(load: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typed_yaml, "_LOADER", yaml.SafeLoader)
    with pytest.raises(ConfigurationError, match="half a character"):
        load('device: {gateway_address: 192.0.2.1, login_password: "\\ud800"}')


def test_the_configuration_in_force_can_be_loaded_again(private: Path) -> None:
    for name in GOOD:
        config = load_config(private / "good" / name, environment={})
        again_file = private / "again.yaml"
        again_file.write_text(config.as_yaml(), encoding="utf-8")
        again = load_config(again_file, environment={})
        assert again.as_yaml() == config.as_yaml()
        assert again.device == config.device
        assert again.gateways.keys() == config.gateways.keys()


def test_gateway_files_are_read_once_and_never_the_configuration_itself(load: Write, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("192.0.2.2: {login_password_file: more.yaml}")
    config = load("gateways: {192.0.2.1: }\ngateway_files: ['*.yaml', more.yaml]")
    assert list(config.gateways) == ["192.0.2.1", "192.0.2.2"]


def test_a_mistake_in_one_file_does_not_hide_those_in_another(load: Write, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("gateways: [")
    (tmp_path / "b.yaml").write_text("gateways: {192.0.2.2: {module: none}}")
    with pytest.raises(ConfigurationError) as caught:
        load("gateway_files: ['?.yaml']\nweb: {listen: 1}")
    assert [Path(mistake.file).name for mistake in caught.value.mistakes] == [
        "probe_exporter.yaml",
        "a.yaml",
        "b.yaml",
    ]


def test_where_a_configuration_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, program, system = (tmp_path / name for name in ("here", "program", "etc"))
    for directory in (here, program, system):
        directory.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr("sys.argv", [str(program / "probe_exporter")])
    monkeypatch.setattr(config_module, "SYSTEM_DIRECTORY", system)
    assert find_config() is None
    order = [
        here / "probe_exporter.yaml",
        here / "powerwall_exporter.yaml",
        program / "probe_exporter.yaml",
        program / "powerwall_exporter.yaml",
        system / "probe_exporter.yaml",
        system / "powerwall_exporter.yaml",
    ]
    for path in reversed(order):
        path.write_text("")
        found = find_config()
        assert found is not None
        assert found.resolve() == path


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="fast with libyaml only")
def test_a_large_fleet_loads_at_once(load: Write) -> None:
    lines = ["gateways:"]
    for index in range(5000):
        lines += [
            f"  site-{index}:",
            f"    gateway_address: 10.0.{index >> 8}.{index & 255}",
            f"    login_password: password-{index}",
            f'    tls_fingerprint: "sha256:{index:064x}"',
            "    labels: {site: home, fleet: north}",
        ]
    started = time.process_time()
    config = load("\n".join(lines))
    taken = time.process_time() - started
    assert len(config.gateways) == 5000
    assert taken < 3.0, "it takes a third of a second; the rest is for coverage and slow machines"


def test_a_gateway_without_a_tariff_has_the_default_one(private: Path) -> None:
    config = load_config(private / "good/tariffs.yaml", environment={})
    prices = {name: gateway.prices.name for name, gateway in config.gateways.items() if gateway.prices}
    assert prices == {"plain": "default", "silent": "night"}


def test_tariffs_in_force_are_shown_as_they_may_be_written(private: Path, load: Write) -> None:
    config = load_config(private / "good/everything.yaml", environment={})
    shown = yaml.safe_load(config.as_yaml())["tariffs"]
    again = load(
        yaml.safe_dump({"tariffs": shown, "gateways": {"home": {"gateway_address": "h", "tariff": "night"}}})
    )
    assert again.gateways["home"].prices == config.gateways["home"].prices
