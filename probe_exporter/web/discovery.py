"""Prometheus HTTP SD: one target group for each gateway, complete without any relabelling."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from probe_exporter.config import Config, GatewayConfig
from probe_exporter.web.messages import Answer, BadRequestError, Request
from probe_exporter.web.options import HOST, ExternalUrl, WebOptions


@dataclass(frozen=True, slots=True)
class Discovery:
    """The choice of a scrape job: modules or None for all, the values allowed of each label, and our own address."""

    modules: tuple[str, ...] | None
    labels: tuple[tuple[str, tuple[str, ...]], ...]
    ourselves: ExternalUrl


def discovery(request: Request, options: WebOptions) -> Discovery:
    """Return what a request asks for: ``?module=`` and ``?label.<name>=<value>`` filter. Raises BadRequestError."""
    request.refuse_others("module", beginning="label.")
    modules = request.query.get("module")
    ourselves = options.external_url or _as_asked(request, options)
    return Discovery(None if modules is None else tuple(modules), request.labels(), ourselves)


def target_groups(config: Config, wanted: Discovery) -> Answer:
    """Return the gateways as target groups."""
    chosen = _filter(config.gateways.values(), wanted)
    groups = [_group(config, gateway, wanted.ourselves) for gateway in chosen]
    return Answer(200, json.dumps(groups).encode("utf-8"), "application/json")


def _as_asked(request: Request, options: WebOptions) -> ExternalUrl:
    """Return the address by which Prometheus has just reached this exporter."""
    host = request.headers.get("host", "")
    if not HOST.fullmatch(host):
        raise BadRequestError(
            "the Host header is not a host name or address; or start with --web.external-url"
        )
    return ExternalUrl(request.scheme, host, options.external_path)


def _filter(gateways: Iterable[GatewayConfig], wanted: Discovery) -> Iterable[GatewayConfig]:
    for gateway in gateways:
        if wanted.modules is not None and gateway.module not in wanted.modules:
            continue
        if all(gateway.labels.get(name) in values for name, values in wanted.labels):
            yield gateway


def _group(config: Config, gateway: GatewayConfig, ourselves: ExternalUrl) -> dict[str, object]:
    module = config.module_for(gateway)
    labels = {
        **gateway.labels,
        "instance": gateway.name,
        "__metrics_path__": f"{ourselves.path}/probe",
        "__param_target": gateway.name,
    }
    if gateway.module != "default":
        labels["__param_module"] = gateway.module
    if ourselves.scheme == "https":
        labels["__scheme__"] = "https"
    if module.scrape_interval is not None and module.scrape_timeout is not None:
        labels["__scrape_interval__"] = f"{round(module.scrape_interval * 1000)}ms"
        labels["__scrape_timeout__"] = f"{round(module.scrape_timeout * 1000)}ms"
    return {"targets": [ourselves.address], "labels": labels}
