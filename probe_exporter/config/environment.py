"""A gateway from ``POWERWALL_…`` variables, for a start without a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from probe_exporter.config import typed_yaml
from probe_exporter.config.sources import SourceFile

ADDRESS = "POWERWALL_ADDRESS"
"""The variable that requests a start without a file; without it the others have no effect."""
NAME = "POWERWALL_NAME"
DEFAULT_NAME = "home"

VARIABLES: Mapping[str, typed_yaml.Path] = {
    ADDRESS: ("gateway_address",),
    "POWERWALL_PASSWORD": ("login_password",),
    "POWERWALL_PASSWORD_FILE": ("login_password_file",),
    "POWERWALL_EMAIL": ("login_email",),
    "POWERWALL_TLS_FINGERPRINT": ("tls_fingerprint",),
    "POWERWALL_TLS_CERT_FILE": ("tls_cert_file",),
    "POWERWALL_TEDAPI_RSA_KEY_FILE": ("tedapi", "rsa_key_file"),
    "POWERWALL_TEDAPI_DIN": ("tedapi", "din"),
    "POWERWALL_TEDAPI_GATEWAY_PASSWORD": ("tedapi", "gateway_password"),
    "POWERWALL_TEDAPI_GATEWAY_PASSWORD_FILE": ("tedapi", "gateway_password_file"),
    "POWERWALL_TEDAPI_ADDRESS": ("tedapi", "gateway_address"),
    "POWERWALL_TEDAPI_TLS_FINGERPRINT": ("tedapi", "tls_fingerprint"),
    "POWERWALL_TEDAPI_QUERIES_FILE": ("tedapi", "queries_file"),
}
"""The key of a gateway that each variable sets. An empty variable counts as not set."""


def environment_source(environment: Mapping[str, str]) -> tuple[SourceFile, str] | None:
    """Return the gateway of the environment in the place of a file, and its name; None where there is none."""
    if not environment.get(ADDRESS):
        return None
    name = environment.get(NAME) or DEFAULT_NAME
    root = typed_yaml.Mapping()
    places = {("gateways", name, *path): variable for variable, path in VARIABLES.items()}
    places["gateways", name] = NAME if environment.get(NAME) else ADDRESS
    for variable, path in VARIABLES.items():
        if environment.get(variable):
            whole = ("gateways", name, *path)
            _put(root, whole, environment[variable])
            places.update({whole[:length]: variable for length in range(3, len(whole) + 1)})
    return SourceFile(Path("environment"), root, 1, world_readable=False, variables=places), name


def _put(root: typed_yaml.Mapping, path: typed_yaml.Path, value: str) -> None:
    for step in path[:-1]:
        below = root.setdefault(str(step), typed_yaml.Mapping())
        root.lines[str(step)] = 1
        assert isinstance(below, typed_yaml.Mapping)
        root = below
    root[str(path[-1])] = value
    root.lines[str(path[-1])] = 1
