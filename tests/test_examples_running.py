"""Examples at work: relabelling and shards in a real Prometheus; the wheel and the container, installed and started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from probe_exporter.fleet import Fleet
from probe_exporter.telemetry import Telemetry
from tests import configs
from tests.prometheus_server import free_port, prometheus
from tests.test_web import served

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SITES = [f"site-{number:02}" for number in range(40)]
AGENTS = 4
NOBODY = 65534
PATIENCE = 20.0


# Relabelling


def job(file: str, name: str, **replaced: str) -> dict[str, Any]:
    """The job ``powerwall`` of an example under another name, texts replaced and scraped once a day."""
    text = (EXAMPLES / "prometheus" / file).read_text(encoding="utf-8")
    for old, new in replaced.items():
        assert OLD[old] in text
        text = text.replace(OLD[old], new)
    found = next(one for one in yaml.safe_load(text)["scrape_configs"] if one["job_name"] == "powerwall")
    return {**found, "job_name": name, "scrape_interval": "1d", "scrape_timeout": "1s"}


OLD = {
    "first_exporter": "exporter-0.example.net:9871",
    "exporters": "exporter-$1.example.net:9871",
    "exporter": "127.0.0.1:9871",
    "agent": 'regex: "0"',
    "files": '"file_sd/',
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What Prometheus makes of the examples: the targets of each job."""
    gateways = [
        configs.gateway(f"127.0.0.1:{number}", name=name, module="patient")
        for number, name in enumerate(SITES, start=1)
    ]
    modules = (configs.MODULE, replace(configs.MODULE, name="patient"))
    telemetry = Telemetry()
    fleet = Fleet(configs.config(*gateways, modules=modules), telemetry)
    with served(fleet, telemetry) as exporter:
        here = f"127.0.0.1:{exporter.port}"
        jobs = [
            job("sharded.yml", "sharded", first_exporter=here, exporters="127.0.0.1:1$1"),
            job("file_sd.yml", "file_sd", exporter=here, files=f'"{EXAMPLES}/prometheus/file_sd/'),
        ]
        jobs += [job("agent.yml", f"agent-{n}", exporter=here, agent=f'regex: "{n}"') for n in range(AGENTS)]
        config = json.dumps({"scrape_configs": jobs})
        with prometheus(config, tmp_path_factory.mktemp("prometheus")) as server:
            server.wait(lambda: len({target["scrapePool"] for target in server.targets()}) == len(jobs))
            found = server.targets()
    return {one["job_name"]: [t for t in found if t["scrapePool"] == one["job_name"]] for one in jobs}


def sites(found: list[dict[str, Any]]) -> list[str]:
    return sorted(parse_qs(urlsplit(target["scrapeUrl"]).query)["target"][0] for target in found)


def test_every_site_is_scraped_through_one_of_the_exporters(targets: dict[str, list[dict[str, Any]]]) -> None:
    assert sites(targets["sharded"]) == SITES
    shares = Counter(urlsplit(target["scrapeUrl"]).port for target in targets["sharded"])
    assert shares.keys() == {10, 11, 12}
    assert min(shares.values()) >= len(SITES) // 6


def test_every_site_is_scraped_by_one_of_the_agents(targets: dict[str, list[dict[str, Any]]]) -> None:
    shares = [sites(targets[f"agent-{number}"]) for number in range(AGENTS)]
    assert sorted(chain(*shares)) == SITES
    assert all(shares)


@pytest.mark.parametrize("name", ["sharded", "agent-0"])
def test_no_label_of_a_shard_stays(targets: dict[str, list[dict[str, Any]]], name: str) -> None:
    for target in targets[name]:
        assert target["labels"].keys() == {"instance", "job"}
        assert target["labels"]["instance"] in SITES
        assert parse_qs(urlsplit(target["scrapeUrl"]).query)["module"] == ["patient"]


def test_sites_of_files_keep_their_labels_and_module(targets: dict[str, list[dict[str, Any]]]) -> None:
    found = {target["labels"]["instance"]: target for target in targets["file_sd"]}
    assert found["north-001"]["labels"] == {"instance": "north-001", "job": "file_sd", "region": "north"}
    queries = {name: urlsplit(target["scrapeUrl"]).query for name, target in found.items()}
    assert queries["north-001"] == "target=north-001"
    assert parse_qs(queries["south-001"]) == {"target": ["south-001"], "module": ["cellular"]}


# Installed


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """A fresh environment with the wheel in it, where every user may look."""
    with tempfile.TemporaryDirectory(prefix="installed-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = folder / "source"
        shutil.copytree(
            ROOT / "probe_exporter", source / "probe_exporter", ignore=shutil.ignore_patterns("__pycache__")
        )
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, source)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        run(*pip, "wheel", "--no-deps", f"--wheel-dir={folder}", str(source))
        (wheel,) = folder.glob("*.whl")
        shutil.rmtree(source)
        run(public_python(), "-m", "venv", "--without-pip", str(folder / "venv"))
        run(*pip, f"--python={folder / 'venv/bin/python'}", "install", str(wheel))
        yield folder


def public_python() -> str:
    """An interpreter that an unprivileged user may start too: one in a home directory cannot serve."""
    for path in (getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"):
        supported = [path, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
        try:
            if subprocess.run(supported, check=False, **unprivileged()).returncode == 0:
                return str(path)
        except OSError:
            continue
    pytest.skip("an unprivileged user can start no Python of at least 3.10")


def unprivileged() -> dict[str, Any]:
    """For subprocess: another user where the tests run as root."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_wheel_serves_as_an_unprivileged_user(installed: Path) -> None:
    config = installed / "probe_exporter.yaml"
    config.write_text('gateways: {home: {gateway_address: "127.0.0.1:1"}}\n', encoding="utf-8")
    config.chmod(0o644)
    port = free_port()
    process = subprocess.Popen(
        [
            str(installed / "venv/bin/probe_exporter"),
            f"--config.file={config}",
            "serve",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        env={"PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        **unprivileged(),
    )
    try:
        assert get(process, f"http://127.0.0.1:{port}/-/healthy")
        assert "home" in get(process, f"http://127.0.0.1:{port}/"), "the templates are in the wheel"
        assert "probe_success 0" in get(process, f"http://127.0.0.1:{port}/probe?target=home")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def get(process: subprocess.Popen[bytes], url: str) -> str:
    """The body; asked again while nobody listens yet."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                body: bytes = answer.read()
                return body.decode()
        except urllib.error.URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.slow
def test_the_container_serves() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no container engine answers")
    image = "probe_exporter:test"
    run(docker, "build", "--file", str(EXAMPLES / "container/Containerfile"), "--tag", image, str(ROOT))
    started = [
        docker,
        "run",
        "--rm",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--publish=127.0.0.1::9871",
    ]
    process = subprocess.Popen([*started, "--name=probe_exporter_test", image, "simulate", "--serve"])
    try:
        deadline = time.monotonic() + PATIENCE
        while (found := published(docker)) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "probe_success 1" in get(process, f"http://{found}/probe?target=home")
    finally:
        subprocess.run([docker, "stop", "probe_exporter_test"], capture_output=True, check=False)
        process.wait(PATIENCE)


def published(docker: str) -> str | None:
    command = [docker, "port", "probe_exporter_test", "9871/tcp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split()[0] if done.returncode == 0 and done.stdout else None
