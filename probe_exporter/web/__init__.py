"""The exporter's own HTTP port: routes, server, discovery, pages."""

from __future__ import annotations

from probe_exporter.web.app import Application, create_app
from probe_exporter.web.options import WebOptions
from probe_exporter.web.server import Server, leave

__all__ = ["Application", "Server", "WebOptions", "create_app", "leave"]
