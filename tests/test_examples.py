"""Every file in ``examples/`` is loaded by the program that it is written for, or by us in its place.

``CHECKS`` says how; a file that no line of it matches fails.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter.cli.options import variable_of
from probe_exporter.config import Config, load_config
from probe_exporter.fleet import Fleet
from probe_exporter.simulator import make_certificate
from probe_exporter.telemetry import Telemetry
from probe_exporter.web.passwords import check
from probe_exporter.web.webconfig import WebConfigFile
from tests import configs
from tests.conftest import program
from tests.program_runs import run_program
from tests.test_web import served

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
RULES = EXAMPLES / "prometheus/rules"
NAMED_FILE = re.compile(r"\b(login_password_file|password_file|tls_cert_file|ca_file): \"?([\w./-]+)")
MOST_EXPOSED = 13
"""What systemd calls an exposure of 1.3, of 10."""


def example_files() -> list[str]:
    names = (path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.is_file())
    # What somebody who tries the examples puts there is no example.
    return sorted(name for name in names if "/secrets/" not in name and "__pycache__" not in name)


def python_tool(name: str) -> str:
    """A program that is installed beside Python by the extra ``dev``."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def succeed(*command: str | Path) -> str:
    """Run a program; what it prints on both streams. Fails with its own words."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def load_yaml(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def with_named_files(folder: Path, root: Path | None = None) -> None:
    """Make what the YAML files below a folder name: passwords and certificates. Absolute paths go below ``root``."""
    certificate = make_certificate().pem
    for path in sorted(folder.rglob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        for key, name in NAMED_FILE.findall(text):
            is_secret = key.endswith("password_file")
            there = (root or folder) / name.lstrip("/") if name.startswith("/") else path.parent / name
            text = text.replace(f"{key}: {name}", f"{key}: {there}") if name.startswith("/") else text
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(b"not a password" if is_secret else certificate)
            there.chmod(0o600)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)


def load_configuration(path: Path) -> Config:
    """A configuration without a mistake, and without a warning but the one of a certificate not pinned yet."""
    config = load_config(path, environment={})
    assert all("tls_fingerprint" in str(warning) for warning in config.warnings)
    return config


# Configurations of the exporter


def check_configuration(name: str, folder: Path) -> None:
    shutil.copytree(EXAMPLES / "config", folder / "config")
    with_named_files(folder / "config")
    config = load_configuration(folder / name)
    assert not config.warnings
    assert (config.device is not None) == name.endswith("powerwall_exporter.yaml")


def check_tariff(name: str, folder: Path) -> None:
    """With a gateway it is a whole configuration; tests/test_cli_tariff.py proofreads its days."""
    file = folder / "tariff.yaml"
    file.write_text(f"{(EXAMPLES / name).read_text()}\ngateways: {{home: {{gateway_address: 192.0.2.1}}}}\n")
    assert len(load_config(file, environment={}).tariffs) == 1


def check_gateway_file(name: str, folder: Path) -> None:
    check_configuration("config/fleet.yaml", folder)
    fleet = load_configuration(folder / "config/fleet.yaml")
    assert load_yaml(name)["gateways"].keys() <= fleet.gateways.keys()
    assert {gateway.module for gateway in fleet.gateways.values()} == fleet.modules.keys()


def check_web_configuration(name: str, folder: Path) -> None:
    shutil.copy(EXAMPLES / name, folder)
    certificate = make_certificate()
    (folder / "exporter.crt").write_bytes(certificate.pem)
    (folder / "exporter.key").write_bytes(certificate.key_pem)
    pytest.importorskip("bcrypt")
    settings = WebConfigFile(folder / "web.yaml").read()
    assert settings.tls is not None
    assert settings.users is not None
    assert not check(settings.users, "prometheus", "prometheus")


# Prometheus


def check_prometheus(name: str, folder: Path) -> None:
    parts = folder / "prometheus"
    shutil.copytree(EXAMPLES / "prometheus", parts)
    path = parts / Path(name).name
    shutil.copy(EXAMPLES / name, path)
    with_named_files(parts)
    agent = ["--agent"] if path.name == "agent.yml" else []
    succeed(program("promtool"), "check", "config", *agent, path)


def check_target_file(name: str, folder: Path) -> None:
    """The check of file_sd.yml reads it too; its names and modules are those of the example fleet."""
    check_prometheus("prometheus/file_sd.yml", folder)
    check_configuration("config/fleet.yaml", folder)
    fleet = load_configuration(folder / "config/fleet.yaml")
    for group in load_yaml(name):
        for target in group["targets"]:
            assert fleet.gateways[target].module == group["labels"].get("module", "default")


def check_rules(name: str, folder: Path) -> None:
    succeed(program("promtool"), "check", "rules", "--lint-fatal", EXAMPLES / name)


def check_fleet_rules(name: str, folder: Path) -> None:
    """With the rules of single sites beside them, as prometheus.yml names both."""
    check_rules("fleet/regions.yml", folder)
    shutil.copytree(EXAMPLES / "fleet", folder / "fleet")
    shutil.copytree(RULES, folder / "fleet/rules")
    succeed(program("promtool"), "check", "config", folder / "fleet/prometheus.yml")


def check_alertmanager(name: str, folder: Path) -> None:
    """Every alert that it names exists; that it works is shown in test_fleet_example."""
    succeed(program("amtool"), "check-config", EXAMPLES / name)
    known = "".join(
        path.read_text(encoding="utf-8") for path in (*RULES.glob("*.yml"), EXAMPLES / "fleet/regions.yml")
    )
    named = re.findall(r"Powerwall\w+", (EXAMPLES / name).read_text(encoding="utf-8"))
    assert named
    assert not [alert for alert in named if f"alert: {alert}\n" not in known]


def check_fleet_part(name: str, folder: Path) -> None:
    """test_fleet_example reads it."""
    assert f"examples/{name}" in (ROOT / "docs/fleet.md").read_text(encoding="utf-8")


# Grafana: that every panel's query answers is a test of its own


def check_dashboard(name: str, folder: Path) -> None:
    dashboard = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    assert dashboard["title"]
    assert dashboard["panels"]


def check_provisioning(name: str, folder: Path) -> None:
    """What it takes from the environment is set in compose.yaml, and the folder of dashboards is mounted there."""
    document = load_yaml(name)
    assert document["apiVersion"] == 1
    grafana = load_yaml("compose/compose.yaml")["services"]["grafana"]
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{?(\w+)", text)) <= grafana["environment"].keys()
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    assert {one["options"]["path"] for one in document.get("providers", [])} <= mounted


def check_readme(name: str, folder: Path) -> None:
    """Every file that it names stands beside it."""
    named = re.findall(r"`([\w./-]+(?:\.py|\.json|\.yaml|/))`", (EXAMPLES / name).read_text(encoding="utf-8"))
    beside = (EXAMPLES / name).parent
    assert named
    assert not [path for path in named if path[0] != "/" and not (beside / path).exists()]


def check_program(name: str, folder: Path) -> None:
    compile((EXAMPLES / name).read_text(encoding="utf-8"), name, "exec")


# systemd


def check_unit(name: str, folder: Path) -> None:
    analyze = program("systemd-analyze")
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    started = re.search(r"^ExecStart=(\S+) (.+)$", text, re.MULTILINE)
    assert started is not None
    assert_is_command(*started[2].split())
    unit = folder / Path(name).name
    unit.write_text(text.replace(started[1], "/bin/true"), encoding="utf-8")
    # A directive that it does not understand is a warning to it.
    assert str(unit) not in succeed(analyze, "verify", "--man=no", unit)
    succeed(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)


def check_socket(name: str, folder: Path) -> None:
    """The unit of the port, beside the service of the same name with the drop-in that its comment gives."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    service = (EXAMPLES / name).with_suffix(".service").read_text(encoding="utf-8")
    drop_in = re.search(r"^#   \[Service\]\n#   Environment=(\w+)=true$", text, re.MULTILINE)
    assert drop_in is not None
    assert drop_in[1] == variable_of("--web.systemd-socket")
    assert f"ListenStream={re.findall('SocketBindAllow=tcp:([0-9]+)', service)[0]}\n" in text
    unit = folder / Path(name).name
    unit.write_text(text, encoding="utf-8")
    unit.with_suffix(".service").write_text(
        re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", service), encoding="utf-8"
    )
    assert str(folder) not in succeed(program("systemd-analyze"), "verify", "--man=no", unit)


def assert_is_command(*arguments: str) -> None:
    """Whether the program takes this command line."""
    asked = run_program(*arguments, "--help")
    assert asked.code == 0, asked.stderr


# Containers


def check_containerfile(name: str, folder: Path) -> None:
    succeed(python_tool("hadolint"), EXAMPLES / name)


def check_pinned_requirements(name: str, tmp_path: Path) -> None:
    """Every package with one version and the hash of its file, and of a version that the extra takes too."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z-]+==[0-9.]+ --hash=sha256:[0-9a-f]{64}", line)
    assert "pypowerwall==0.22." in text


def check_build_context(name: str, folder: Path) -> None:
    """Everything is left out but what the build copies."""
    lines = (EXAMPLES / name).read_text(encoding="utf-8").split("\n")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", containerfile(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == sources
    assert all((ROOT / source).exists() for source in sources)


def containerfile() -> str:
    return (EXAMPLES / "container/Containerfile").read_text(encoding="utf-8")


def check_compose(name: str, folder: Path) -> None:
    path = EXAMPLES / name
    succeed(python_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)
    services = load_yaml(name)["services"]
    assert_is_command(*services["demo"]["command"])
    for service in services.values():
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for source in (
            volume.partition(":")[0] for volume in service.get("volumes", []) if volume.startswith(".")
        ):
            assert (path.parent / source).exists(), source
    build = services["exporter"]["build"]
    assert (path.parent / build["context"] / build["dockerfile"]).resolve().is_file()


def check_compose_environment(name: str, folder: Path) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (EXAMPLES / name).read_text(encoding="utf-8"), re.MULTILINE))
    services = load_yaml("compose/compose.yaml")["services"]
    assert [settings["COMPOSE_PROFILES"]] == services["demo"]["profiles"]


def check_compose_configuration(name: str, folder: Path) -> None:
    shutil.copy(EXAMPLES / name, folder)
    with_named_files(folder)
    assert load_configuration(folder / Path(name).name).gateways
    secrets = load_yaml("compose/compose.yaml")["secrets"]
    assert {f"/run/secrets/{secret}" for secret in secrets} == set(
        re.findall(r"login_password_file: (\S+)", (EXAMPLES / name).read_text(encoding="utf-8"))
    )


def check_is_ignored(name: str, folder: Path) -> None:
    assert "/secrets/" in (EXAMPLES / name).read_text(encoding="utf-8")


# Kubernetes


def check_manifest(name: str, folder: Path) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(load_yaml(name), kubernetes_validate.latest_version(), strict=True)


def check_kustomization(name: str, folder: Path) -> None:
    others = {path.name for path in (EXAMPLES / name).parent.glob("*.yaml")} - {Path(name).name}
    assert set(load_yaml(name)["resources"]) == others


def manifest(kind: str) -> Any:
    return next(one for one in manifests() if one["kind"] == kind)


def manifests() -> list[Any]:
    texts = (path.read_text(encoding="utf-8") for path in sorted((EXAMPLES / "kubernetes").glob("*.yaml")))
    return [document for text in texts for document in yaml.safe_load_all(text)]


def check_operator_resources(name: str, folder: Path) -> None:
    """Their schemas are not with Kubernetes' own: what they point to must be there, and Prometheus takes the job."""
    job = {snake_case(key): value for key, value in manifest("ScrapeConfig")["spec"].items()}
    job["http_sd_configs"] = [
        {snake_case(key): value for key, value in one.items()} for one in job.pop("http_sd_configs")
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}), encoding="utf-8")
    succeed(program("promtool"), "check", "config", folder / "prometheus.yml")
    service, namespace = manifest("Service"), manifest("Kustomization")["namespace"]
    port = service["spec"]["ports"][0]
    (discovery,) = manifest("ScrapeConfig")["spec"]["httpSDConfigs"]
    assert discovery["url"] == f"http://{service['metadata']['name']}.{namespace}.svc:{port['port']}/sd"
    monitor = manifest("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == port["name"]
    jobs = [manifest("ScrapeConfig")["spec"]["jobName"], endpoint["relabelings"][0]["replacement"]]
    assert jobs == [one["job_name"] for one in load_yaml("prometheus/http_sd.yml")["scrape_configs"]]


def snake_case(key: str) -> str:
    """A key of the operator as Prometheus writes it: httpSDConfigs is http_sd_configs."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()


CHECKS: dict[str, Callable[[str, Path], None]] = {
    r"config/web\.yaml": check_web_configuration,
    r"config/[\w.]+\.yaml": check_configuration,
    r"config/gateways\.d/\w+\.yaml": check_gateway_file,
    r"tariffs/\w+\.yaml": check_tariff,
    r"prometheus/\w+\.yml": check_prometheus,
    r"prometheus/file_sd/\w+\.yml": check_target_file,
    r"prometheus/rules/\w+\.yml": check_rules,
    r"fleet/(prometheus|regions)\.yml": check_fleet_rules,
    r"fleet/alertmanager\.yml": check_alertmanager,
    r"fleet/(sites\.csv|probe_exporter\.yaml)": check_fleet_part,
    r"grafana/dashboards/\w+\.json": check_dashboard,
    r"grafana/provisioning/\w+/\w+\.ya?ml": check_provisioning,
    r"grafana/\w+\.py": check_program,
    r"grafana/README\.md": check_readme,
    r"systemd/probe_exporter\.service": check_unit,
    r"systemd/probe_exporter\.socket": check_socket,
    r"container/Containerfile": check_containerfile,
    r"container/Containerfile\.dockerignore": check_build_context,
    r"container/tedapi\.txt": check_pinned_requirements,
    r"compose/compose\.yaml": check_compose,
    r"compose/\.env": check_compose_environment,
    r"compose/\.gitignore": check_is_ignored,
    r"compose/probe_exporter\.yaml": check_compose_configuration,
    r"compose/prometheus\.yml": check_prometheus,
    r"kubernetes/kustomization\.yaml": check_kustomization,
    r"kubernetes/prometheus-operator\.yaml": check_operator_resources,
    r"kubernetes/[a-z]+\.yaml": check_manifest,
}
"""What loads a file; the first pattern that matches its whole name counts."""


@pytest.mark.parametrize("name", example_files())
def test_an_example_loads(name: str, tmp_path: Path) -> None:
    check = next((check for pattern, check in CHECKS.items() if re.fullmatch(pattern, name)), None)
    assert check is not None, f"examples/{name} is loaded by no test: add it to CHECKS"
    check(name, tmp_path)


@pytest.mark.parametrize("pattern", CHECKS)
def test_a_check_has_a_file(pattern: str) -> None:
    assert any(re.fullmatch(pattern, name) for name in example_files())


def test_the_health_check_of_the_container(tmp_path: Path) -> None:
    found = re.search(r'^    CMD (\["python3", .+\])$', containerfile(), re.MULTILINE)
    assert found is not None
    _, *arguments = json.loads(found[1])
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as exporter:
        assert exit_code(arguments, exporter.port) == 0
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert exit_code(arguments, nobody.getsockname()[1]) == 1


def exit_code(arguments: list[str], port: int) -> int:
    command = [sys.executable, *(argument.replace("9871", str(port)) for argument in arguments)]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


def test_the_pod_finds_configuration_and_passwords(tmp_path: Path) -> None:
    """What the ConfigMap says loads from the places where the Deployment mounts it and the Secret."""
    pod = manifest("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert mounts.keys() == volumes.keys()
    assert volumes["config"]["configMap"]["name"] == manifest("ConfigMap")["metadata"]["name"]
    assert volumes["passwords"]["secret"]["secretName"] == manifest("Secret")["metadata"]["name"]
    claim = volumes["sessions"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifest("PersistentVolumeClaim")["metadata"]["name"]

    for path, text in manifest("Secret")["stringData"].items():
        write(tmp_path / mounts["passwords"][1:] / path, text)
    for path, text in manifest("ConfigMap")["data"].items():
        write(tmp_path / mounts["config"][1:] / path, text.replace("/run/", f"{tmp_path}/run/"))
    config = load_configuration(tmp_path / "etc/probe_exporter/probe_exporter.yaml")
    assert config.gateways.keys() == manifest("Secret")["stringData"].keys()
    assert str(config.state_directory) == mounts["sessions"]
    assert_is_command(*container["args"])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)


def test_the_pod_is_one_and_reached() -> None:
    deployment = manifest("Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert manifest("Service")["spec"]["selector"] == labels
    assert manifest("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 9871}]
    telemetry = Telemetry()
    with served(Fleet(configs.config(configs.gateway()), telemetry), telemetry) as exporter:
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == "http"
            assert exporter.ask(container[probe]["httpGet"]["path"]).status == 200
