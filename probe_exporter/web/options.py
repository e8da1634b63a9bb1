"""The options of the exporter's own port."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

DRAIN_SECONDS: Final = 30.0
"""Seconds from SIGTERM to the end of the process at the latest."""

HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True, slots=True)
class ExternalUrl:
    """The URL by which others reach this exporter. ``path`` is empty, or begins with a slash and ends without one."""

    scheme: str
    address: str
    path: str

    @classmethod
    def parse(cls, text: str) -> ExternalUrl:
        """The parts of a URL. Raises ValueError, without any part of the URL: it may hold a password."""
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError("is not a URL; write https://host/path") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError("must begin with http:// or https://")
        if "@" in parts.netloc:
            raise ValueError("must not hold a user or a password: /sd is public")
        if not HOST.fullmatch(parts.netloc):
            raise ValueError("must name a host, and a port where it is not the usual one: https://host:8443")
        if "?" in text or "#" in text:
            raise ValueError("must end with its path, without ? and #")
        return cls(parts.scheme, parts.netloc, path_prefix(parts.path))


def path_prefix(text: str) -> str:
    """A path that is put before all others: ``/powerwall``, or nothing for ``/``. Raises ValueError."""
    path = f"/{text.strip('/')}".rstrip("/")
    if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ValueError("must have a path of letters, digits and . _ ~ - between single slashes")
    return path


@dataclass(frozen=True, slots=True)
class WebOptions:
    """``reload`` reads the configuration again and gives what puts it in force; it raises ConfigurationError.

    ``route_prefix`` is None if it was not given: then it is the path of ``external_url``.
    """

    listen_addresses: tuple[str, ...] = (":9871",)
    systemd_socket: bool = False
    metrics_path: str = "/metrics"
    external_url: ExternalUrl | None = None
    route_prefix: str | None = None
    enable_lifecycle: bool = False
    web_config_file: Path | None = None
    reload: Callable[[], Callable[[], None]] | None = None
    drain: float = DRAIN_SECONDS

    @property
    def external_path(self) -> str:
        """The prefix of every path in links and at /sd."""
        return self.external_url.path if self.external_url is not None else self.route_prefix or ""

    @property
    def routes_below(self) -> str:
        """The prefix of every path that arrives here."""
        return self.external_path if self.route_prefix is None else self.route_prefix
