"""The structure of the package: imports point one way, and nothing else may be imported upwards."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "probe_exporter"

LAYERS = (
    {"cli", "__main__"},
    {"web"},
    {"answer"},
    {"fleet"},
    {"probe"},
    {"gateway"},
    {"metrics"},
    {"config"},
    {"tedapi"},
    {"readings"},
    {"secrets", "durations"},
    {"telemetry"},
    {"tariffs"},
    {"clock", "files", "natural"},
    {"errors"},
)
"""From the top down. A module may import from its own layer and from those below it."""

SIDE = {"simulator": {"cli", "__main__"}}
"""Packages beside the layers, and who may import them."""

FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "base"}

FILES = sorted(path for path in ROOT.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("probe_exporter"):
            rest = node.module.split(".")[1:]
            yield from [rest[0]] if rest else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("probe_exporter."):
                    yield alias.name.split(".")[1]


def level(name: str) -> int:
    return next(index for index, layer in enumerate(LAYERS) if name in layer)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    here = room(path)
    for there in imported_rooms(path):
        if there == here or there == "__version__":
            continue
        if there in SIDE:
            assert here in SIDE[there], f"{path} imports {there}"
        elif here not in SIDE and here != "__init__":
            assert level(there) >= level(here), f"{path} imports {there}, which is above it"


def test_every_module_has_a_layer() -> None:
    known = set().union(*LAYERS, SIDE, {"__init__"})
    assert {room(path) for path in FILES} <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_reads_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_are_sentences_or_noun_phrases(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            assert not text.startswith(("What ", "Whether ", "One ")), text


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(str(path.relative_to(ROOT)))
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_is_interned(path: Path) -> None:
    """Python 3.12.0 to 3.12.5 never free it, and what is interned here comes from gateways."""
    assert "sys.intern(" not in path.read_text(encoding="utf-8")
