"""The routes, as a plain ASGI application. Probes run on the loop; pages are rendered in a thread."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from prometheus_client.exposition import generate_latest as generate_text
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from probe_exporter.answer import answer
from probe_exporter.config import Module
from probe_exporter.errors import UnknownModuleError, UnknownTargetError
from probe_exporter.fleet import Fleet, ProbeResult, Site
from probe_exporter.metrics.compat import go_exporter
from probe_exporter.metrics.exposition import Format, render
from probe_exporter.metrics.filled import FilledMetric
from probe_exporter.probe import EndpointOutcome, Prober, probe_deadline
from probe_exporter.telemetry import Telemetry
from probe_exporter.web import pages
from probe_exporter.web.discovery import discovery, target_groups
from probe_exporter.web.listing import Choice
from probe_exporter.web.messages import (
    Answer,
    BadRequestError,
    OverloadedError,
    Receive,
    Request,
    Scope,
    Send,
)
from probe_exporter.web.negotiation import choose_format, wants_page
from probe_exporter.web.options import WebOptions
from probe_exporter.web.probing import ProbeRunner
from probe_exporter.web.reloading import Reloading
from probe_exporter.web.renderer import Renderer

Handler = Callable[[Request], Awaitable[Answer]]

TIMEOUT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
_READING: Final = ("GET", "HEAD")
_WITH_ANY_PREFIX: Final = ("/-/healthy", "/-/ready")
"""The paths of health checks: they do not pass the proxy for which --web.route-prefix is set."""
_GATEWAY_PAGES: Final = "/gateways/"
_FLEET_SECONDS: Final = 1.0
"""Seconds for which the page of the fleet is cached: rendering it takes a tenth of a second at 5,000 gateways."""
_ALWAYS: Final = math.inf
"""For what changes with the configuration alone."""


def create_app(fleet: Fleet, prober: Prober, telemetry: Telemetry, options: WebOptions) -> Application:
    """The application over a fleet."""
    return Application(fleet, prober, telemetry, options)


class Application:
    """Answers every request; what goes wrong inside becomes an answer, too."""

    def __init__(self, fleet: Fleet, prober: Prober, telemetry: Telemetry, options: WebOptions) -> None:
        self._fleet = fleet
        self._telemetry = telemetry
        self._options = options
        self.runner = ProbeRunner(prober)
        self._renderer = Renderer()
        self._reloading = Reloading(options.reload) if options.reload else None
        self._routes: dict[str, Handler] = {
            "/": self._index,
            "/style.css": self._style,
            "/favicon.ico": self._no_icon,
            "/probe": self._probe,
            "/sd": self._discovery,
            "/config": self._config,
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            options.metrics_path: self._metrics,
        }
        pages.prepare()
        self._links = pages.Links(options.external_path, options.metrics_path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        request = Request.unread(scope)
        try:
            request = Request.of(scope)
            answer = await self._answer(request)
        except BadRequestError as error:
            answer = Answer.refusal(error)
        except OverloadedError:
            answer = Answer.line(
                503, "too much is under way, or the exporter is shutting down", Retry_After="5"
            )
        await answer.send(request, send)

    async def _answer(self, request: Request) -> Answer:
        request = self._below_the_prefix(request)
        if request.path == "/-/reload":
            return await self._reload(request)
        handler = self._routes.get(request.path)
        if handler is None and request.path.startswith(_GATEWAY_PAGES):
            handler = self._gateway
        if handler is None:
            return Answer.line(
                404, f"this page does not exist; {self._options.external_path}/ lists the pages"
            )
        if request.method not in _READING:
            return Answer.line(405, "only GET and HEAD are answered here", Allow="GET, HEAD")
        return await handler(request)

    def _below_the_prefix(self, request: Request) -> Request:
        """The request as it were without --web.route-prefix; an empty path where it does not begin with that."""
        prefix = self._options.routes_below
        if not prefix or request.path in _WITH_ANY_PREFIX:
            return request
        if request.path == prefix:
            return replace(request, path="/")
        below = request.path.startswith(f"{prefix}/")
        return replace(request, path=request.path.removeprefix(prefix) if below else "")

    # Probes

    async def _probe(self, request: Request) -> Answer:
        target = request.single("target")
        if not target:
            raise BadRequestError("the parameter target is missing: it names a configured gateway")
        module_name = request.single("module")
        try:
            site = self._fleet.find(target)
        except UnknownTargetError:
            self._telemetry.unknown_target_requests.inc()
            return Answer.line(404, "the target is not a configured gateway")
        try:
            module = site.module(module_name or None)
        except UnknownModuleError:
            raise BadRequestError("the module is not configured") from None
        result = await self._run(site, module, request)
        if request.single("debug") == "true":
            return Answer(200, _debug(result))
        form = choose_format(request.headers.get("accept", ""))
        return Answer(200, render(result.metrics, form), form.value)

    async def _run(self, site: Site, module: Module, request: Request) -> ProbeResult:
        moment = time.time()
        deadline = probe_deadline(module, request.headers.get(TIMEOUT_HEADER), time.monotonic())
        return answer(await self.runner.probe(site, module, deadline), site.config, module, moment)

    async def _metrics(self, request: Request) -> Answer:
        """The exporter's own metrics; before them, for a Go exporter's configuration, its gateway's."""
        form = choose_format(request.headers.get("accept", ""))
        metrics: tuple[FilledMetric, ...] = ()
        device = self._fleet.config.device
        if device is not None:
            site = self._fleet.find(device)
            metrics = go_exporter((await self._run(site, site.module(), request)).metrics)
        own = generate_openmetrics if form is Format.OPENMETRICS else generate_text
        probed = render(metrics, form).removesuffix(b"# EOF\n")
        return Answer(200, probed + own(self._telemetry.registry), form.value)

    # Discovery and management

    async def _discovery(self, request: Request) -> Answer:
        chosen = discovery(request, self._options)
        config = self._fleet.config

        def render() -> Answer:
            groups = target_groups(config, chosen)
            return pages.discovery_page(groups, self._links) if as_page else groups

        as_page = _wants_page(request)
        return await self._renderer.answer(("/sd", as_page, chosen), render, config, _ALWAYS)

    async def _config(self, request: Request) -> Answer:
        config, as_page = self._fleet.config, _wants_page(request)

        def render() -> Answer:
            text = config.as_yaml()
            return pages.configuration_page(text, self._links) if as_page else Answer(200, text.encode())

        return await self._renderer.answer(("/config", as_page), render, config, _ALWAYS)

    async def _healthy(self, request: Request) -> Answer:
        return Answer.line(200, "healthy")

    async def _ready(self, request: Request) -> Answer:
        if self.runner.draining:
            return Answer.line(503, "shutting down")
        return Answer.line(200, "ready")

    async def _reload(self, request: Request) -> Answer:
        if request.method != "POST":
            return Answer.line(405, "a reload needs the method POST", Allow="POST")
        if not self._options.enable_lifecycle:
            return Answer.line(
                403, "reloading over HTTP is off; start with --web.enable-lifecycle, or send SIGHUP"
            )
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            # A page of another site may make a browser send this; none of our own pages does.
            return Answer.line(
                403, "a reload is not allowed from a browser; use curl -X POST, or send SIGHUP"
            )
        if self.runner.draining or self._reloading is None:
            raise OverloadedError
        problem = await self._reloading.reload()
        if problem is not None:
            return Answer(500, f"reload failed, keeping the previous configuration:\n{problem}\n".encode())
        return Answer.line(200, "configuration reloaded")

    # The server's side

    def request_reload(self) -> None:
        """Read the configuration again soon: once, however many signals ask for it."""
        if self._reloading is not None:
            self._reloading.request()

    @property
    def busy(self) -> bool:
        """Return True if a thread is at work for which no client waits."""
        return self._reloading is not None and self._reloading.busy

    def drain(self, seconds: float) -> None:
        """Take no new probes and no reload; running probes answer within ``seconds``."""
        self.runner.drain(seconds)
        if self._reloading is not None:
            self._reloading.close()

    def close(self) -> None:
        """End the threads, without waiting for one that is stuck."""
        self.runner.close()
        self._renderer.close()
        if self._reloading is not None:
            self._reloading.close()

    # Pages

    async def _index(self, request: Request) -> Answer:
        choice = Choice.of(request)
        failed = self._reloading is not None and self._reloading.failed

        def render() -> Answer:
            return pages.fleet_page(self._fleet, self._links, choice, reload_failed=failed)

        key = ("/", choice, failed)
        return await self._renderer.answer(key, render, self._fleet.config, _FLEET_SECONDS)

    async def _gateway(self, request: Request) -> Answer:
        site = self._fleet.sites.get(request.path.removeprefix(_GATEWAY_PAGES))
        if site is None:
            return Answer.line(404, "no gateway of this name is configured; / lists them")
        if request.single("probe") == "now":
            await self._run(site, site.module(), request)
            # Another address, so that the page that renews itself asks no gateway.
            here = f"{self._links.root}{_GATEWAY_PAGES}{quote(site.name, safe='')}"
            return Answer.line(303, "probed", Location=here)
        request.refuse_others("probe")
        return await self._renderer.answer(
            ("/gateways", site.name), lambda: pages.gateway_page(site, self._links), site, 0.0
        )

    async def _style(self, request: Request) -> Answer:
        return pages.style_sheet()

    async def _no_icon(self, request: Request) -> Answer:
        return Answer(204, b"")


def _wants_page(request: Request) -> bool:
    return wants_page(request.headers.get("accept", ""))


def _debug(result: ProbeResult) -> bytes:
    """Return a probe step by step, then its metrics."""
    head = [
        f"target {result.target}, module {result.module}: "
        + ("success" if result.success else f"failed ({result.reason})"),
        *([f"error: {result.error}"] if result.error else []),
        "",
        *result.log,
        *(_tedapi_line(outcome) for outcome in result.endpoints if outcome.name.startswith("tedapi/")),
        "",
        "",
    ]
    return "\n".join(head).encode("utf-8") + render(result.metrics, Format.TEXT)


def _tedapi_line(outcome: EndpointOutcome) -> str:
    """Return the last request of a question of TEDAPI, which has its own run and is not a step of this probe."""
    took = "not asked" if outcome.duration is None else f"{outcome.duration:.3f} s"
    state = "failed" if outcome.reason is None else outcome.reason
    age = "" if outcome.age is None else f", the answer shown is {outcome.age:.0f} s old"
    return f"        {outcome.name} ({took}): {'answered' if outcome.up else state}{age}"
