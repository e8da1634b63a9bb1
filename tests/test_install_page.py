"""The commands of docs/install.md, run as they stand there, on a fresh Debian 12 that boots with its own systemd.

Two things differ: the gateway is a simulated one, and the port is one that is free here.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate
from tests.conftest import program
from tests.debian import root_archive, unpacked
from tests.prometheus_server import free_port

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
BOOT_SECONDS = 900.0
UNTOUCHED = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info"
)
PROBE = "curl --silent --show-error 'http://localhost:9871/probe?target=home'"

CHECKS = {
    "1. The program": "/opt/probe_exporter/bin/powerwall-probe-exporter --version",
    "3. The password": "stat --format='%a %U' /etc/probe_exporter/credentials/home /etc/probe_exporter/credentials",
    "4. The service": f"""
        systemctl is-active probe_exporter; systemctl is-enabled probe_exporter
        {PROBE} --retry 20 --retry-connrefused --retry-delay 1
        stat --format=%u /proc/$(systemctl show --value --property=MainPID probe_exporter)""",
    "5. The certificate": """
        ls -l /etc/probe_exporter/certs/home.pem
        ls -la /var/lib/private/probe_exporter
        systemctl show --property=MainPID,NRestarts,StatusText probe_exporter""",
    "Without a pinned certificate": f"""
        for _ in $(seq 30); do  # a reload is under way when systemctl ends
            {PROBE} >/tmp/probe
            ! grep --quiet 'powerwall_tls_pinned 0' /tmp/probe || break
            sleep 1
        done
        cat /tmp/probe""",
    # What docs/fleet.md says of a folder of passwords.
    "6. A change": """
        mkdir /etc/systemd/system/probe_exporter.service.d
        printf '[Service]\\nLoadCredential=\\nLoadCredential=sites:/etc/probe_exporter/credentials\\n' \\
            >/etc/systemd/system/probe_exporter.service.d/override.conf
        sed --in-place s,probe_exporter.service/home,probe_exporter.service/sites_home, \\
            /etc/probe_exporter/probe_exporter.yaml
        systemctl daemon-reload
        systemctl restart probe_exporter
        probe_exporter check
        ls /run/credentials/probe_exporter.service
        sed --in-place s,service/sites_home,service/home, /etc/probe_exporter/probe_exporter.yaml
        rm --recursive /etc/systemd/system/probe_exporter.service.d""",
    "7. Upgrade": f"""
        {PROBE} --retry 20 --retry-connrefused --retry-delay 1
        systemctl is-active probe_exporter
        journalctl --no-pager --unit=probe_exporter""",
    "8. Removal": "find / /run -xdev -name '*probe_exporter*' ! -path '/root/*'",
}
"""What is looked at behind the commands of a section."""

RUNNER = """
[Unit]
Description=The commands of the page
After=basic.target
SuccessAction=poweroff
FailureAction=poweroff

[Service]
Type=oneshot
WorkingDirectory=/root/checkout
Environment=HOME=/root DEBIAN_FRONTEND=noninteractive
ExecStart=/bin/bash /page/all
TimeoutStartSec=850

[Install]
WantedBy=multi-user.target
"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Section:
    """A heading of the page and the commands below it, as one script."""

    title: str
    script: str


def sections() -> list[Section]:
    """The sections with commands, in the order of the page."""
    parts = re.split(r"^##+ (.+)$", PAGE, flags=re.MULTILINE)[1:]
    found = (
        Section(title, "".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)))
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    )
    return [section for section in found if section.script]


SERVICE = [one for one in sections() if re.match(r"\d\. |Without", one.title)]
"""Those that lead to a systemd service and away from it."""


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, str]]:
    """What the commands of each section printed, and below the title with a ``?`` what its check did."""
    nspawn = program("systemd-nspawn")
    archive = root_archive("bookworm", "systemd-sysv", "dbus", "procps")
    with (
        SimulatedGateway(LivingSite(seed=1), certificate=make_certificate()) as gateway,
        tempfile.TemporaryDirectory(prefix="page-") as name,
        unpacked(archive) as root,
    ):
        page = Path(name)
        port = free_port()
        checkout = root / "root/checkout"
        shutil.copytree(ROOT, checkout, ignore=UNTOUCHED)
        for path in (checkout / "examples", checkout / "probe_exporter"):
            another_port(path, port)
        (page / "password").write_text(gateway.password + "\n", encoding="utf-8")
        steps = []
        for number, section in enumerate(SERVICE):
            steps.append(
                (f"{number}", section.script.replace("GATEWAY=192.0.2.10", f"GATEWAY={gateway.address}"))
            )
            steps.append((f"{number}?", CHECKS.get(section.title, "true")))
        for step, script in steps:
            (page / f"{step}.sh").write_text(script.replace("9871", str(port)), encoding="utf-8")
        # Each has the password as its input, and the first that fails is the last.
        lines = [
            f"bash -euo pipefail '/page/{step}.sh' </page/password >'/page/{step}.log' 2>&1"
            for step, _ in steps
        ]
        (page / "all").write_text(" &&\n".join([*lines, "touch /page/done"]) + "\n", encoding="utf-8")
        (root / "etc/systemd/system/page.service").write_text(RUNNER, encoding="utf-8")
        wants = root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        (wants / "page.service").symlink_to("/etc/systemd/system/page.service")
        console = boot(nspawn, f"--directory={root}", f"--bind={page}:/page")
        found = {}
        for number, section in enumerate(SERVICE):
            for mark in ("", "?"):
                log = page / f"{number}{mark}.log"
                found[section.title + mark] = log.read_text(encoding="utf-8") if log.exists() else ""
        if not (page / "done").exists():
            last = next((text for text in reversed(found.values()) if text), console)
            pytest.fail(f"the commands did not come to their end:\n{last}\n{console[-2000:]}")
        yield found


def another_port(folder: Path, port: int) -> None:
    """Put another port in place of 9871 in every file of a folder, as that one may be taken here."""
    for path in folder.rglob("*"):
        if path.is_file() and b"9871" in (content := path.read_bytes()):
            path.write_bytes(content.replace(b"9871", str(port).encode()))


def boot(nspawn: str, *options: str) -> str:
    """Boot such a system until it powers itself off; what its console said. systemd wants a terminal."""
    ours, theirs = pty.openpty()
    command = [
        nspawn,
        "--boot",
        "--register=no",
        "--keep-unit",
        *options,
        "systemd.journald.forward_to_console=1",
    ]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    console: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(ours, console), daemon=True)
    reader.start()
    try:
        process.wait(BOOT_SECONDS)
    finally:
        process.kill()
        process.wait()
        reader.join(5.0)
        os.close(ours)
    return b"".join(console).decode(errors="replace")


def read_all(descriptor: int, into: list[bytes]) -> None:
    """Read until the other end of a terminal is closed, which is an error to the system."""
    try:
        while data := os.read(descriptor, 65536):
            into.append(data)
    except OSError:
        pass


def test_the_commands_come_to_their_end(said: dict[str, str]) -> None:
    assert said.keys() >= {"1. The program", "8. Removal"}
    assert CHECKS.keys() <= {section.title for section in SERVICE}


def test_the_password_is_for_root_alone(said: dict[str, str]) -> None:
    assert said["3. The password?"].splitlines() == ["600 root", "700 root"]


def test_the_service_runs_unprivileged(said: dict[str, str]) -> None:
    assert "active (running)" in said["4. The service"]
    assert said["4. The service?"].splitlines()[:2] == ["active", "enabled"]
    assert int(said["4. The service?"].splitlines()[-1]) > 0


def test_nothing_is_sent_before_the_certificate_is_known(said: dict[str, str]) -> None:
    assert "probe_success 0" in said["4. The service?"]
    assert 'probe_failure_reason{reason="tls"} 1' in said["4. The service?"]


def test_the_gateway_is_pinned_and_read(said: dict[str, str]) -> None:
    assert "home: saved /etc/probe_exporter/certs/home.pem" in said["5. The certificate"]
    assert "probe_success 1" in said["5. The certificate"]
    assert "powerwall_tls_pinned 1" in said["5. The certificate"]
    assert "NRestarts=0" in said["5. The certificate?"]


def test_without_a_pin_it_is_read_too(said: dict[str, str]) -> None:
    assert "probe_success 1" in said["Without a pinned certificate?"]
    assert "powerwall_tls_pinned 0" in said["Without a pinned certificate?"]


def test_a_folder_of_passwords_is_one_line_of_the_unit(said: dict[str, str]) -> None:
    assert "sites_home" in said["6. A change?"].splitlines()


def test_an_upgrade_keeps_the_session(said: dict[str, str]) -> None:
    assert "probe_success 1" in said["7. Upgrade?"]
    assert "active" in said["7. Upgrade?"].splitlines()


def test_nothing_is_left_behind(said: dict[str, str]) -> None:
    assert said["8. Removal?"] == ""
