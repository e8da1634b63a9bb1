"""The answer to one request: the result of a probe, which several requests may share, with prices and settings."""

from __future__ import annotations

from dataclasses import replace

from probe_exporter.config.schema import GatewayConfig, Module
from probe_exporter.fleet import ProbeResult
from probe_exporter.metrics.site import told_timezone
from probe_exporter.metrics.tariff import site_metrics


def answer(result: ProbeResult, gateway: GatewayConfig, module: Module, moment: float) -> ProbeResult:
    """Return the result with the prices and settings that hold at ``moment``, when the request arrived (Unix seconds).

    They are in the answer of a failed probe too, are never cached, and do not affect its success.
    """
    told = told_timezone(result.readings) if result.success else ""
    metrics = site_metrics(gateway, module.collectors, moment, told)
    return replace(result, metrics=(*result.metrics, *metrics)) if metrics else result
