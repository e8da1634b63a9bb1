"""The container image is really built, by Buildah over a fresh Debian in place of its base, and it is run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from probe_exporter.simulator import LivingSite, SimulatedGateway, make_certificate
from tests.conftest import program
from tests.debian import need_root, pip_files, root_archive
from tests.prometheus_server import free_port
from tests.started import PATIENCE, get, run

ROOT = Path(__file__).parent.parent
CONTAINERFILE = ROOT / "examples/container/Containerfile"
BASE = "docker.io/library/python:3.13-slim"
INSTALL = (ROOT / "docs/install.md").read_text(encoding="utf-8")
IMAGE = "probe_exporter"

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Image:
    """A built image, in a storage of its own, and a container made of it."""

    buildah: tuple[str, ...]
    container: str
    config: dict[str, Any]

    def command(self, *arguments: str, **variables: str) -> list[str]:
        """A command that runs these arguments in the container, as its user, with some variables set."""
        settings = [f"--env={name}={value}" for name, value in variables.items()]
        return [*self.buildah, "run", "--isolation=chroot", *settings, self.container, "--", *arguments]

    @contextlib.contextmanager
    def started(self, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """The entry point of the image, with these arguments or else its own, and some variables set."""
        command = self.command(*self.config["Entrypoint"], *(arguments or self.config["Cmd"]), **variables)
        process = subprocess.Popen(command, start_new_session=True)
        try:
            yield process
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The image of this checkout."""
    need_root()
    base = root_archive("trixie", "python3", "python3-venv", "python3-pip")
    with tempfile.TemporaryDirectory(prefix="buildah-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        storage = [f"--root={folder / 'root'}", f"--runroot={folder / 'run'}", "--storage-driver=vfs"]
        buildah = (program("buildah"), *storage)
        build = [*buildah, "build", "--isolation=chroot", "--format=docker", "--pull-never"]
        (folder / "Containerfile").write_text(f"FROM scratch\nADD {base.name} /\n", encoding="utf-8")
        run(*build, f"--tag={BASE}", f"--file={folder / 'Containerfile'}", base.parent)
        mounts = []
        for path, content in pip_files().items():
            file = folder / Path(path).name
            file.write_bytes(content)
            mounts.append(f"--volume={file}:{path}:ro")
        documented = re.search(r"^docker build (.+)$", INSTALL, re.MULTILINE)
        assert documented is not None
        ignored = f"--ignorefile={CONTAINERFILE}.dockerignore"
        run(*build, *mounts, ignored, *documented[1].split(), cwd=ROOT)
        container = run(*buildah, "from", "--pull-never", IMAGE).split()[-1]
        inspected = json.loads(run(*buildah, "inspect", "--type=image", IMAGE))
        yield Image(buildah, container, inspected["Docker"]["config"])


def test_it_serves_and_is_healthy(image: Image) -> None:
    port = free_port()
    check = [part.replace("9871", str(port)) for part in image.config["Healthcheck"]["Test"]]
    assert check[0] == "CMD"
    healthy = image.command(*check[1:])
    assert subprocess.run(healthy, capture_output=True, timeout=60, check=False).returncode == 1
    with image.started("simulate", "--serve", f"--web.listen-address=127.0.0.1:{port}") as process:
        assert "probe_success 1" in get(process, f"http://127.0.0.1:{port}/probe?target=home")
        run(*healthy)


def test_an_address_and_a_password_are_enough(image: Image) -> None:
    """As in ``docker run -e POWERWALL_ADDRESS=… -e POWERWALL_PASSWORD=…``; here another port has to be said, too."""
    port = free_port()
    with (
        SimulatedGateway(LivingSite(seed=1), certificate=make_certificate()) as gateway,
        image.started(
            POWERWALL_ADDRESS=gateway.address,
            POWERWALL_PASSWORD=gateway.password,
            PROBE_EXPORTER_WEB_LISTEN_ADDRESS=f"127.0.0.1:{port}",
        ) as process,
    ):
        assert "probe_success 1" in get(process, f"http://127.0.0.1:{port}/probe?target=home")
        assert "powerwall_instant_power_watts" in get(process, f"http://127.0.0.1:{port}/metrics")


def test_it_serves_by_default(image: Image) -> None:
    assert image.config["Cmd"] == ["serve"]
    assert image.config["ExposedPorts"] == {"9871/tcp": {}}
    assert "serve" in run(*image.command(*image.config["Entrypoint"], "--help"))


def test_it_is_not_root_and_may_keep_sessions(image: Image) -> None:
    user, _, group = image.config["User"].partition(":")
    assert int(user) > 0
    state = dict(setting.split("=", 1) for setting in image.config["Env"])["STATE_DIRECTORY"]
    script = f"touch {state}/session && stat -c %u:%g {state}/session && rm {state}/session"
    assert run(*image.command("sh", "-c", script)).strip() == f"{user}:{group}"


def test_it_brings_the_extras(image: Image) -> None:
    run(*image.command("python3", "-c", "import bcrypt, probe_exporter.tedapi.messages"))


def test_it_holds_no_installer_and_no_source(image: Image) -> None:
    left = "ls -d /opt/probe_exporter/bin/pip* /source 2>/dev/null || true"
    assert run(*image.command("sh", "-c", left)) == ""


def test_its_labels_are_those_of_the_open_container_initiative(image: Image) -> None:
    labels = {
        key.rpartition(".")[2]: value
        for key, value in image.config["Labels"].items()
        if "opencontainers" in key
    }
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for label, key in (("title", "name"), ("description", "description"), ("licenses", "license")):
        found = re.search(rf'^{key} = "(.+)"$', pyproject, re.MULTILINE)
        assert found is not None
        assert labels[label] == found[1]
