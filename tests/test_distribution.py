"""What is published: sdist and wheel are built from a checkout, checked, installed in a fresh environment, started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest

from probe_exporter import __version__
from tests.prometheus_server import free_port
from tests.started import PATIENCE, get, run

ROOT = Path(__file__).parent.parent
NAME = "powerwall-probe-exporter"
NOBODY = 65534
SUPPORTED = ["3.10", "3.11", "3.12", "3.13", "3.14"]
LEFT_BEHIND = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".*_cache", ".hypothesis", "build", "dist", "*.egg-info"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder where every user may look."""
    with tempfile.TemporaryDirectory(prefix="installed-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def built(folder: Path) -> Path:
    """The folder ``dist`` with the sdist, made from a checkout, and the wheel, made from the sdist."""
    shutil.copytree(ROOT, folder / "checkout", ignore=LEFT_BEHIND)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "checkout")
    return folder / "dist"


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    """The only sdist."""
    (path,) = built.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The only wheel."""
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module", params=["sdist", "wheel"])
def programs(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The programs of a fresh environment with one of the two in it."""
    path: Path = request.getfixturevalue(request.param)
    environment = folder / request.param
    run(public_python(), "-m", "venv", "--without-pip", environment)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, f"--python={environment / 'bin/python'}", "install", path)
    return environment / "bin"


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


def test_a_package_index_takes_both(sdist: Path, wheel: Path) -> None:
    said = run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    assert said.count("PASSED") == 2


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == (NAME, __version__)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Author"]
    classified = re.findall(
        r"Python :: (3\.\d+)$", "\n".join(metadata.get_all("Classifier", [])), re.MULTILINE
    )
    assert classified == SUPPORTED
    assert metadata["Requires-Python"] == f">={SUPPORTED[0]}"


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    source = ROOT / "probe_exporter"
    assert names == {
        path.relative_to(ROOT).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_sdist_holds_no_part_of_the_tests(sdist: Path) -> None:
    """Some of them without their payloads would be worse than none."""
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "pyproject.toml" in names
    assert not [name for name in names if name.startswith(("tests", "bench", ".github"))]


@pytest.mark.parametrize("name", ["probe_exporter", NAME])
def test_it_is_a_program_of_either_name(programs: Path, name: str) -> None:
    assert run(programs / name, "--version").startswith(f"probe_exporter {__version__} ")


def test_it_serves_as_an_unprivileged_user(programs: Path, folder: Path) -> None:
    config = folder / "probe_exporter.yaml"
    config.write_text('gateways: {home: {gateway_address: "127.0.0.1:1"}}\n', encoding="utf-8")
    config.chmod(0o644)
    port = free_port()
    process = subprocess.Popen(
        [
            str(programs / "probe_exporter"),
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
        assert "home" in get(process, f"http://127.0.0.1:{port}/"), "the templates are in it"
        assert "probe_success 0" in get(process, f"http://127.0.0.1:{port}/probe?target=home")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()
