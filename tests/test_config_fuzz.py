"""Whatever a configuration file holds, loading gives a configuration or its mistakes, and never shows a secret."""

from __future__ import annotations

import os
import string
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probe_exporter.config import Config, load_config, schema, typed_yaml
from probe_exporter.config.environment import NAME, VARIABLES
from probe_exporter.errors import ConfigurationError

MARKER = "Marker7Secret"
GOOD = f"""\
web: {{listen_address: ":9871", metrics_path: /metrics}}
modules:
  patient: {{retry_timeout: 50s, timeout: 60s, login_password: {MARKER}}}
gateways:
  home:
    gateway_address: [192.0.2.1, "[2001:db8::1]:443"]
    login_email: me@example.com
    login_password: "{MARKER}"
    tls_fingerprint: "sha256:{"ab" * 32}"
    module: patient
    labels: {{site: home}}
  barn:
    gateway_address: 192.0.2.2
    login_password: {MARKER}
device:
  gateway_address: 192.0.2.3
  login_password: {MARKER}
  retry_timeout: 1m20s
"""
KEYS = [
    *(name for section in schema.SECTIONS.values() for name in section.keys),
    "default",
    "home",
    "192.0.2.1",
    "a b",
    "",
    "__x",
    "job",
    "site",
    "<<",
    "\ud7ff",
    "x\x00y",
]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def outcome(
    directory: Path, content: bytes, variables: dict[str, str] | None = None
) -> Config | ConfigurationError:
    """What loading these bytes gives; anything but a configuration or its mistakes is an error of the test."""
    path = directory / "probe_exporter.yaml"
    path.write_bytes(content)
    return loaded(path, variables or {}, expand=variables is not None)


def loaded(path: Path | None, variables: dict[str, str], *, expand: bool) -> Config | ConfigurationError:
    try:
        config = load_config(path, environment=variables, expand=expand)
    except ConfigurationError as error:
        return error
    config.as_yaml()
    for gateway in config.gateways.values():
        config.module_for(gateway)
    return config


def told(result: Config | ConfigurationError) -> str:
    if isinstance(result, ConfigurationError):
        assert result.mistakes
        assert all("\n" not in str(mistake) for mistake in result.mistakes)
        return str(result)
    return "\n".join([repr(result), *map(str, result.warnings)])


scalars = st.one_of(
    st.text(max_size=20),
    st.text(string.printable, max_size=20),
    st.sampled_from(
        [
            "",
            "1s",
            "-1s",
            "0",
            "192.0.2.9",
            "core",
            "true",
            "default",
            "/",
            ":1",
            "*",
            "[",
            "~",
            ".",
            "${A}",
            "a #b",
        ]
    ),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
documents: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda below: st.one_of(
        st.lists(below, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=8)), below, max_size=5),
    ),
    max_leaves=25,
)
shaped = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("modules", "gateways"), st.dictionaries(st.sampled_from(KEYS), documents, max_size=4)
        ),
        **dict.fromkeys(("web", "device", "gateway_files", "state_directory"), documents),
    },
)
edits = st.lists(
    st.tuples(
        st.integers(0, len(GOOD)),
        st.integers(0, 6),
        st.one_of(st.text(string.punctuation + " \n\t", max_size=3), st.text(max_size=3)),
    ),
    min_size=1,
    max_size=6,
)
MANY = 2000 if os.environ.get("CI_FUZZ") else 150
thorough = settings(
    max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@thorough
@given(content=st.binary(max_size=200))
def test_any_bytes(directory: Path, content: bytes) -> None:
    told(outcome(directory, content))


@thorough
@given(text=st.text(alphabet=string.printable, max_size=200))
def test_any_text(directory: Path, text: str) -> None:
    told(outcome(directory, text.encode()))


@thorough
@given(document=st.one_of(documents, shaped))
def test_any_document(directory: Path, document: object) -> None:
    told(outcome(directory, yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace")))


@thorough
@given(
    value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    place=st.sampled_from(["gateway_address", "login_password", "labels", "capacity", "module", "anything"]),
)
def test_any_value_of_a_variable_that_is_put_in(directory: Path, value: str, place: str) -> None:
    content = f"gateways: {{home: {{gateway_address: 192.0.2.1, {place}: '${{A}}'}}}}"
    told(outcome(directory, content.encode(), {"A": value}))


@thorough
@given(
    variables=st.dictionaries(
        st.sampled_from([NAME, *VARIABLES]),
        st.one_of(
            st.just(MARKER), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
        ),
    )
)
def test_any_environment(variables: dict[str, str]) -> None:
    text = told(loaded(None, {"POWERWALL_ADDRESS": "192.0.2.1", **variables}, expand=False))
    if all("PASSWORD" in name for name, value in variables.items() if value == MARKER):
        assert MARKER not in text


def edited(edits: list[tuple[int, int, str]]) -> bytes:
    text = GOOD
    for position, removed, added in edits:
        text = text[:position] + added + text[position + removed :]
    return text.encode("utf-8", "replace")


@thorough
@given(edits=edits)
@pytest.mark.parametrize("libyaml", [True, False])
def test_no_slip_of_the_finger_shows_a_secret(
    directory: Path, libyaml: bool, edits: list[tuple[int, int, str]]
) -> None:
    loader = yaml.CSafeLoader if libyaml and yaml.__with_libyaml__ else yaml.SafeLoader
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typed_yaml, "_LOADER", loader)
        result = outcome(directory, edited(edits))
    assert not shows_secret(told(result))


def shows_secret(text: str) -> bool:
    """Return True if the secret, or most of it, can be read."""
    return any(MARKER[start : start + 8] in text for start in range(len(MARKER) - 7))


def every_single_slip() -> Iterator[bytes]:
    """The file with each character taken out, doubled, or replaced by one that means something to YAML."""
    for position in range(len(GOOD)):
        yield (GOOD[:position] + GOOD[position + 1 :]).encode()
        for character in ":{}[],\n #'\"&*!|>-?$\\\t":
            yield (GOOD[:position] + character + GOOD[position:]).encode()


@pytest.mark.slow
def test_no_single_slip_shows_a_secret(directory: Path) -> None:
    for content in every_single_slip():
        text = told(outcome(directory, content))
        assert not shows_secret(text), (content.decode(), text)
