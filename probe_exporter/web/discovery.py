"""Prometheus HTTP SD: one target group a gateway, complete without any relabelling."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from probe_exporter.config import Config, GatewayConfig
from probe_exporter.web.messages import Answer, BadRequestError, Request

_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def target_groups(config: Config, request: Request, external_url: str | None) -> Answer:
    """The gateways as target groups; ``?module=`` and ``?label.<name>=<value>`` filter. Raises BadRequestError."""
    scheme, address = _own_address(request, external_url)
    chosen = _filter(config.gateways.values(), request)
    groups = [_group(config, gateway, scheme, address) for gateway in chosen]
    return Answer(200, json.dumps(groups).encode("utf-8"), "application/json")


def _own_address(request: Request, external_url: str | None) -> tuple[str, str]:
    """How Prometheus reaches this exporter: as it was told, else as it was asked."""
    if external_url is not None:
        parts = urlsplit(external_url)
        return parts.scheme, parts.netloc
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise BadRequestError("the Host header is no host name or address; or start with --web.external-url")
    return request.scheme, host


def _filter(gateways: Iterable[GatewayConfig], request: Request) -> Iterable[GatewayConfig]:
    modules = request.query.get("module")
    labels = {
        key[len("label.") :]: values for key, values in request.query.items() if key.startswith("label.")
    }
    for gateway in gateways:
        if modules is not None and gateway.module not in modules:
            continue
        if all(gateway.labels.get(name) in values for name, values in labels.items()):
            yield gateway


def _group(config: Config, gateway: GatewayConfig, scheme: str, address: str) -> dict[str, object]:
    module = config.module_for(gateway)
    labels = {
        **gateway.labels,
        "instance": gateway.name,
        "__metrics_path__": "/probe",
        "__param_target": gateway.name,
    }
    if gateway.module != "default":
        labels["__param_module"] = gateway.module
    if scheme == "https":
        labels["__scheme__"] = "https"
    if module.scrape_interval is not None and module.scrape_timeout is not None:
        labels["__scrape_interval__"] = f"{round(module.scrape_interval * 1000)}ms"
        labels["__scrape_timeout__"] = f"{round(module.scrape_timeout * 1000)}ms"
    return {"targets": [address], "labels": labels}
