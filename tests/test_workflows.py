"""The workflows of the forge: of their schema, with nothing for an auditor to find, and notes from the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from probe_exporter import __version__
from tests.test_examples import python_tool, succeed

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"^[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
NOTES = ROOT / ".ci/release_notes"


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["jobs"]
    return found


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_of_the_schema(workflow: Path) -> None:
    succeed(python_tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", workflow)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_an_auditor_finds_nothing(workflow: Path) -> None:
    succeed(python_tool("zizmor"), "--offline", "--no-progress", "--min-severity=medium", workflow)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_nothing_is_allowed_by_default(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    used = [name for name in re.findall(r"uses: (.+)$", text, re.MULTILINE) if not name.startswith("./")]
    assert used
    assert not [name for name in used if not PINNED.match(name)]
    assert yaml.safe_load(text)["permissions"] == {}
    for name, job in yaml.safe_load(text)["jobs"].items():
        assert job["permissions"], name


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_its_commands_are_of_a_shell(workflow: Path) -> None:
    for job in jobs(workflow.name).values():
        for step in job.get("steps", []):
            if "run" in step:
                assert "${{" not in step["run"], "what a stranger may write goes through env"
                subprocess.run(["bash", "-n"], input=step["run"], text=True, check=True, timeout=20)


def test_the_gate_is_the_one_of_everybody() -> None:
    assert {"run": ".ci/run"} in jobs("ci.yml")["gate"]["steps"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_every_python_of_the_classifiers_is_tried() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    supported = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', pyproject)
    assert jobs("ci.yml")["python"]["strategy"]["matrix"]["python"] == supported


def test_nothing_is_published_before_the_gate() -> None:
    found = jobs("release.yml")
    assert found["gate"]["uses"] == "./.github/workflows/ci.yml"
    for name in ("pypi", "image"):
        assert "gate" in found[name]["needs"]
    assert found["pypi"]["permissions"] == {"id-token": "write"}
    machines = found["image"]["strategy"]["matrix"]["include"]
    assert [one["machine"] for one in machines] == ["amd64", "arm64"]


# Release notes


def notes(tag: str, heading: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the program says of a changelog whose newest section has this heading."""
    (folder / "probe_exporter").mkdir()
    (folder / "probe_exporter/__init__.py").write_text(
        '"""Doc."""\n\n__version__ = "1.2.3"\n', encoding="utf-8"
    )
    changelog = (
        f"# Changelog\n\n{heading}\n\n### Added\n\n- A thing.\n\n## [1.2.2] – 2026-01-01\n\n- Older.\n"
    )
    (folder / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    command = [sys.executable, str(NOTES), tag, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


def test_the_notes_are_the_section_of_the_version(tmp_path: Path) -> None:
    done = notes("v1.2.3", "## [1.2.3] – 2026-02-03", tmp_path)
    assert (done.returncode, done.stdout) == (0, "### Added\n\n- A thing.\n")


@pytest.mark.parametrize(
    ("tag", "heading", "told"),
    [
        ("v1.2.4", "## [1.2.3] – 2026-02-03", "the tag v1.2.4 is not v1.2.3"),
        ("v1.2.3", "## [1.2.3] – unreleased", "'unreleased' where the date of 1.2.3 belongs"),
        ("v1.2.3", "## [1.2.4] – 2026-02-03", "no section ## [1.2.3]"),
    ],
)
def test_no_release_without_agreement(tag: str, heading: str, told: str, tmp_path: Path) -> None:
    done = notes(tag, heading, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr


def test_the_changelog_has_the_shape_that_the_notes_need() -> None:
    done = subprocess.run(
        [sys.executable, str(NOTES), f"v{__version__}"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0 or f"where the date of {__version__} belongs" in done.stderr
