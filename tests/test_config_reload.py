"""Reading the configuration again: what refuses a reload, what is told once, and files that change by themselves."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probe_exporter.cli.options import Settings
from probe_exporter.cli.reloading import FileWatch, Reloader
from probe_exporter.config import Config, load_config
from probe_exporter.config.sources import Files
from probe_exporter.errors import ConfigurationError
from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests.test_cli_environment import serving
from tests.test_cli_serve import end, get

SUCCESS = "probe_exporter_config_last_reload_successful"
CERTIFICATE = Path(__file__).parent / "config/good/certs/home.pem"
PIN = f"tls_fingerprint: 'sha256:{'ab' * 32}', login_password: x"


class Running:
    """A fleet, and the reading of its configuration again."""

    def __init__(self, file: Path) -> None:
        self.telemetry = Telemetry()
        self.files = Files()
        settings = Settings(file, None, "logfmt")
        self.fleet = Fleet(settings.load(files=self.files), self.telemetry)
        self.reloader = Reloader(settings, self.fleet, self.telemetry, self.files)

    @property
    def names(self) -> list[str]:
        return list(self.fleet.sites)

    @property
    def success(self) -> float | None:
        return self.telemetry.registry.get_sample_value(SUCCESS)

    def reload(self) -> str:
        """What is wrong; nothing where the new configuration is in force."""
        try:
            self.reloader.read()()
        except ConfigurationError as error:
            return str(error)
        return ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration that gets its gateways from ``gateways.d``."""
    (tmp_path / "probe_exporter.yaml").write_text("gateway_files: ['gateways.d/*.yaml']\n")
    (tmp_path / "probe_exporter.yaml").chmod(0o600)
    (tmp_path / "gateways.d").mkdir()
    gateway(tmp_path / "gateways.d", "north")
    return tmp_path


def gateway(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").write_text(f"{name}: {{gateway_address: {name}.example, {PIN}}}\n")
    (folder / f"{name}.yaml").chmod(0o600)


@pytest.fixture
def running(folder: Path) -> Iterator[Running]:
    made = Running(folder / "probe_exporter.yaml")
    yield made
    made.fleet.close()


def unmounted(folder: Path) -> None:
    (folder / "gateways.d/north.yaml").unlink()


def absent(folder: Path) -> None:
    (folder / "gateways.d").rename(folder / "elsewhere")


def a_file_instead(folder: Path) -> None:
    absent(folder)
    (folder / "gateways.d").write_text("")


@pytest.mark.parametrize("spoil", [unmounted, absent, a_file_instead])
def test_a_pattern_that_matched_and_matches_nothing_refuses_the_reload(
    folder: Path, running: Running, spoil: Callable[[Path], None]
) -> None:
    spoil(folder)
    for _ in range(2):
        told = running.reload()
        assert "gateway_files: no file matches this pattern any more" in told
        assert "leave a file that holds `gateways: {}` there" in told
        assert (running.names, running.success) == (["north"], 0.0)


def test_a_certificate_file_that_was_there_and_is_gone_refuses_the_reload(tmp_path: Path) -> None:
    main, pem = tmp_path / "probe_exporter.yaml", tmp_path / "home.pem"
    main.write_text(
        "gateways: {home: {gateway_address: 192.0.2.1, tls_cert_file: home.pem, login_password: x}}"
    )
    shutil.copy(CERTIFICATE, pem)
    running = Running(main)
    pin = running.fleet.config.gateways["home"].pin
    pem.rename(tmp_path / "elsewhere")
    assert "tls_cert_file: the file was there and is gone" in running.reload()
    assert running.fleet.config.gateways["home"].pin == pin
    assert running.success == 0.0
    (tmp_path / "elsewhere").rename(pem)
    assert running.reload() == ""
    running.fleet.close()


def test_an_empty_gateway_file_is_not_taken_for_gateways_that_were_removed(
    folder: Path, running: Running
) -> None:
    for text in ("", "# north: {gateway_address: north.example}\n", "---\n"):
        (folder / "gateways.d/north.yaml").write_text(text)
        assert "north.yaml:1: is empty; write `gateways: {}`" in running.reload()
        assert running.names == ["north"]


def test_the_last_gateway_is_removed_on_purpose(folder: Path, running: Running) -> None:
    (folder / "gateways.d/north.yaml").write_text("gateways: {}\n")
    assert running.reload() == ""
    assert (running.names, running.success) == ([], 1.0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed_refuses_the_reload(folder: Path, running: Running) -> None:
    (folder / "gateways.d").chmod(0o000)
    try:
        assert "cannot be listed: permission denied" in running.reload()
    finally:
        (folder / "gateways.d").chmod(0o700)
    assert running.names == ["north"]


def test_a_listing_that_fails_refuses_the_reload(
    folder: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("probe_exporter.config.sources.os.scandir", refuse)
    assert "gateway_files: a folder of this pattern cannot be listed: permission denied" in running.reload()
    assert (running.names, running.success) == (["north"], 0.0)


def test_a_pattern_that_matches_nothing_at_the_start_is_a_warning_and_no_success(folder: Path) -> None:
    unmounted(folder)
    running = Running(folder / "probe_exporter.yaml")
    assert (running.names, running.success) == ([], 0.0)
    assert "no file matches this pattern" in str(running.fleet.config.warnings[0])
    assert running.reload() == ""
    assert running.success == 0.0
    gateway(folder / "gateways.d", "south")
    assert running.reload() == ""
    assert (running.names, running.success) == (["south"], 1.0)
    running.fleet.close()


def test_a_warning_is_told_again_only_when_it_is_new(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    main = folder / "probe_exporter.yaml"
    main.write_text("gateways:\n  home: {gateway_address: 192.0.2.1}\n")
    with caplog.at_level(logging.WARNING, "probe_exporter"):
        running = Running(main)
        assert len(caplog.records) == 2
        caplog.clear()
        main.write_text(
            "\n\ngateways:\n  home: {gateway_address: 192.0.2.1}\n  barn: {gateway_address: 192.0.2.2}\n"
        )
        assert running.reload() == ""
        assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["gateways.barn"] * 2
        caplog.clear()
        assert running.reload() == ""
        assert not caplog.records
    running.fleet.close()


def test_warnings_of_one_kind_end_after_ten(tmp_path: Path) -> None:
    file = tmp_path / "probe_exporter.yaml"
    lines = [f"  site-{n}: {{gateway_address: 10.0.0.{n}, tls_cert_file: {n}.pem}}" for n in range(1, 201)]
    file.write_text("\n".join(["gateways:", *lines]))
    warnings = [str(warning) for warning in load_config(file, environment={}).warnings]
    assert len(warnings) == 22
    assert sum("run: probe_exporter fetchcert" in warning for warning in warnings) == 10
    assert f"{file}: 190 more: the file does not exist yet, so probes of this gateway fail" in warnings
    assert f"{file}: 190 more: has no login_password: only what needs no login is read" in warnings


# Versions that must not be mixed


def kubernetes(folder: Path, version: int) -> None:
    """Put a version of all files in place as the kubelet does: one symbolic link is swapped."""
    new = folder / f"..{version}"
    new.mkdir()
    for name in ("north", "south", "west"):
        (new / f"{name}.yaml").write_text(
            f"{name}: {{gateway_address: {name}.example, labels: {{release: v{version}}}, {PIN}}}\n"
        )
        if not (folder / f"{name}.yaml").is_symlink():
            (folder / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    (folder / "..data_tmp").symlink_to(new.name)
    old = os.readlink(folder / "..data") if (folder / "..data").is_symlink() else None
    (folder / "..data_tmp").rename(folder / "..data")
    if old is not None:
        for path in (folder / old).iterdir():
            path.unlink()
        (folder / old).rmdir()


def versions(config: Config) -> set[str]:
    return {gateway.labels["release"] for gateway in config.gateways.values()}


def test_a_swap_in_mid_load_mixes_no_versions(tmp_path: Path) -> None:
    main = tmp_path / "probe_exporter.yaml"
    main.write_text("gateway_files: ['gateways.d/*.yaml']\n")
    mounted = tmp_path / "gateways.d"
    mounted.mkdir()
    kubernetes(mounted, 0)
    ended = threading.Event()

    def swap() -> None:
        version = 0
        while not ended.wait(0.004):
            version += 1
            kubernetes(mounted, version)

    thread = threading.Thread(target=swap)
    thread.start()
    seen: list[set[str]] = []
    refused: list[str] = []
    try:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            try:
                seen.append(versions(load_config(main, environment={})))
            except ConfigurationError as error:
                refused.append(str(error))
    finally:
        ended.set()
        thread.join()
    assert seen or refused
    assert all("change while they are read" in told for told in refused)
    assert all(len(found) == 1 for found in seen)
    assert len(versions(load_config(main, environment={}))) == 1


# Pages


def test_a_failed_reload_shows_on_the_page_until_one_succeeds(folder: Path) -> None:
    hint = "The last reload failed"
    with serving(folder, "--web.enable-lifecycle") as (url, _):
        assert hint not in get(f"{url}/")
        unmounted(folder)
        assert post(f"{url}/-/reload") == 500
        assert hint in get(f"{url}/")
        assert f"\n{SUCCESS} 0.0\n" in get(f"{url}/metrics")
        gateway(folder / "gateways.d", "south")
        assert post(f"{url}/-/reload") == 200
        assert hint not in get(f"{url}/")
        assert f"\n{SUCCESS} 1.0\n" in get(f"{url}/metrics")


def post(url: str) -> int:
    """The status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=15.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# Automatic reload


class Watched:
    """A watch with a short interval that counts what it asks for."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.running = running
        monkeypatch.setattr("probe_exporter.cli.reloading.os.kill", self.ask)
        self.watch = FileWatch(running.files, interval=0.05)

    def ask(self, process: int, number: int) -> None:
        assert (process, number) == (os.getpid(), signal.SIGHUP)
        self.asked += 1
        self.running.reload()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def watched(running: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(running, monkeypatch)
    made.watch.start()
    yield made
    made.watch.end()


def test_files_that_come_change_and_go_are_seen(folder: Path, watched: Watched) -> None:
    gateway(folder / "gateways.d", "south")
    watched.wait_for(lambda: watched.running.names == ["north", "south"])
    (folder / "gateways.d/.new").write_text(f"west: {{gateway_address: west.example, {PIN}}}\n")
    (folder / "gateways.d/.new").rename(folder / "gateways.d/south.yaml")
    watched.wait_for(lambda: watched.running.names == ["north", "west"])
    (folder / "gateways.d/south.yaml").unlink()
    watched.wait_for(lambda: watched.running.names == ["north"])
    asked = watched.asked
    time.sleep(0.3)
    assert watched.asked == asked, "nothing changes, nothing is asked for"


def test_a_half_written_file_is_read_when_it_is_at_rest_and_only_once(
    folder: Path, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(running, monkeypatch)
    with (folder / "gateways.d/north.yaml").open("w") as file:
        for piece in ("north: {gateway_address: no", "rth.example, ", "colour: red}\n"):
            file.write(piece)
            file.flush()
            watched.watch.look()
            assert watched.asked == 0
    for _ in range(3):
        watched.watch.look()
        assert watched.asked == 1, "a bad file is read once"
        assert (running.names, running.success) == (["north"], 0.0), "and changes nothing"
    gateway(folder / "gateways.d", "north")
    for _ in range(3):
        watched.watch.look()
    assert (watched.asked, running.success) == (2, 1.0)


def test_a_symbolic_link_that_is_swapped_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = tmp_path / "probe_exporter.yaml"
    main.write_text("gateway_files: ['gateways.d/*.yaml']\n")
    (tmp_path / "gateways.d").mkdir()
    kubernetes(tmp_path / "gateways.d", 1)
    running = Running(main)
    watched = Watched(running, monkeypatch)
    watched.watch.start()
    kubernetes(tmp_path / "gateways.d", 2)
    watched.wait_for(lambda: versions(running.fleet.config) == {"v2"})
    watched.watch.end()
    running.fleet.close()


def test_a_password_file_that_changes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main, password = tmp_path / "probe_exporter.yaml", tmp_path / "password"
    main.write_text("gateways: {192.0.2.1: {login_password_file: password}}\n")
    password.write_text("old")
    running = Running(main)
    watched = Watched(running, monkeypatch)
    watched.watch.start()
    password.write_text("newer")

    def current() -> str:
        secret = running.fleet.config.gateways["192.0.2.1"].login_password
        assert secret is not None
        return secret.reveal()

    watched.wait_for(lambda: current() == "newer")
    watched.watch.end()
    running.fleet.close()


def test_every_file_that_is_named_is_looked_at(tmp_path: Path) -> None:
    main = tmp_path / "probe_exporter.yaml"
    main.write_text(
        "gateways:\n"
        "  home:\n"
        "    gateway_address: 192.0.2.1\n"
        "    login_password_file: password\n"
        "    tls_cert_file: home.pem\n"
        "    tedapi: {gateway_password_file: label, tls_cert_file: tedapi.pem, queries_file: queries.json}\n"
        "  barn: {gateway_address: 192.0.2.2, tedapi: {rsa_key_file: key.pem, din: 1707000-21-K--TG1234567890AB}}\n"
        "gateway_files: ['gateways.d/*.yaml', more.yaml]\n"
    )
    files = Files()
    with pytest.raises(ConfigurationError):
        load_config(main, environment={}, files=files)
    assert not files.changed()
    names = ["password", "home.pem", "label", "tedapi.pem", "queries.json", "key.pem", "more.yaml"]
    for name in [*names, "gateways.d/new.yaml"]:
        before = files.now()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
        assert files.now() != before, name


def test_the_exporter_reloads_by_itself_where_it_is_asked_for(folder: Path) -> None:
    main = folder / "probe_exporter.yaml"
    with serving(folder, "--config.enable-auto-reload", f"--config.file={main}") as (url, process):
        assert "\nprobe_exporter_gateways 1.0\n" in get(f"{url}/metrics")
        gateway(folder / "gateways.d", "south")
        until = time.monotonic() + 20.0
        while "\nprobe_exporter_gateways 2.0\n" not in get(f"{url}/metrics"):
            assert time.monotonic() < until
            time.sleep(0.2)
        code, errors = end(process, signal.SIGTERM)
    assert code == 0
    assert "the files of the configuration have changed" in errors
