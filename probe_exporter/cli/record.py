"""``probe_exporter record`` and ``replay``: the answers of a gateway in one file, and the metrics of such a file."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from probe_exporter import __version__
from probe_exporter.cli.options import (
    FilePath,
    Refusal,
    Settings,
    choose_targets,
    complete_target,
    duration_option,
)
from probe_exporter.cli.tedapi_record import read_tedapi, record_tedapi
from probe_exporter.errors import GatewayError
from probe_exporter.files import read_regular, write_whole

if TYPE_CHECKING:
    from probe_exporter.config import Config
    from probe_exporter.gateway.client import Fetched
    from probe_exporter.metrics.filled import FilledMetric
    from probe_exporter.readings.scrubbing import Scrubber

_KINDS: Final = ("application/json", "text/plain", "text/html")
_ABSENT: Final = "404 page not found"
_MAX_SIZE: Final = 32 << 20


@click.command()
@click.argument("target", shell_complete=complete_target)
@click.argument("file", type=FilePath(dir_okay=False))
@duration_option("--timeout", "60s", "Time limit of all requests together.")
@click.option("--force", is_flag=True, help="Replace a FILE that exists.")
@click.pass_obj
def record(settings: Settings, target: str, file: Path, timeout: float, force: bool) -> int:
    """Save what a gateway answers, for a bug report or a new test payload.

    Requests once every path that the exporter uses. The FILE holds statuses, times and bodies; secrets,
    serials, names, addresses and e-mails are replaced by stand-ins. Read it before you send it on.
    """
    settings.start_logging("warning")
    config = settings.load()
    (name,) = choose_targets(config, (target,), everything=False)
    if not file.parent.is_dir():
        raise Refusal(f"{file.parent}: no such folder")
    if file.exists() and not force:
        raise Refusal(f"{file} exists; choose another name, or give --force to replace it")

    try:
        document = _record(config, name, timeout)
    except GatewayError as error:
        click.echo(f"{name}: {error.reason}: {error}", err=True)
        return 1
    text = json.dumps(document, indent=1) + "\n"
    write_whole(file, text.encode("ascii"))
    answers = document["endpoints"].values()
    good = sum(answer["status"] == 200 for answer in answers)
    silent = len(document["unanswered"])
    click.echo(
        f"{file}: {len(answers)} answers, {good} of them good, and {silent} without an answer", err=True
    )
    click.echo("Read the file before you send it on.", err=True)
    return 0


def _record(config: Config, name: str, timeout: float) -> dict[str, Any]:
    """The record of one gateway. Raises GatewayError where there is no connection."""
    from probe_exporter.fleet import Fleet
    from probe_exporter.gateway.endpoints import ENDPOINTS
    from probe_exporter.gateway.once import Once
    from probe_exporter.readings.scrubbing import Scrubber
    from probe_exporter.simulator.recorded import FORMAT
    from probe_exporter.telemetry import Telemetry

    fleet = Fleet(config, Telemetry())
    site = fleet.find(name)
    scrubber = Scrubber()
    try:
        once = Once(ENDPOINTS, site.module(), time.monotonic() + timeout)
        site.gateway.fetch(once)
        newer: dict[str, Any] = {}
        newer_silent: dict[str, str] = {}
        if site.config.tedapi is not None:
            session = site.gateway.session.headers
            newer, newer_silent = record_tedapi(site.config, site.config.tedapi, session, scrubber)
    finally:
        fleet.close()
    if once.error is not None:
        raise once.error
    fetched = once.fetched
    answered = {name: one for name, one in fetched.items() if one.answer is not None}
    return {
        "format": FORMAT,
        "program": __version__,
        "recorded": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "endpoints": {
            endpoint.name: entry(endpoint.name, answered[endpoint.name], scrubber)
            for endpoint in ENDPOINTS
            if endpoint.name in answered
        }
        | newer,
        "unanswered": {
            name: one.error.reason for name, one in fetched.items() if one.error and one.answer is None
        }
        | newer_silent,
        "replaced": sorted(scrubber.replaced),
    }


def entry(name: str, fetched: Fetched, scrubber: Scrubber) -> dict[str, Any]:
    """Return the record of an answer: status, kind, seconds, and the scrubbed body (text if it is not JSON)."""
    answer = fetched.answer
    assert answer is not None
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    body: Any
    try:
        body = scrubber.scrub(name, json.loads(answer.body))
    except (ValueError, RecursionError):
        text = answer.body.decode("utf-8", "replace")
        body = text if text.strip() in ("", _ABSENT) else scrubber.stand_in(text)
    return {
        "status": answer.status,
        "content_type": kind if kind in _KINDS else None,
        "seconds": None if fetched.duration is None else round(fetched.duration, 3),
        "body": body,
    }


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "openmetrics"]),
    default="text",
    show_default=True,
    help="Text format of Prometheus.",
)
def replay(file: Path, style: str) -> None:
    """Print the metrics of a FILE that record wrote, without a gateway."""
    from probe_exporter.cli.rendering import exposition

    click.echo(exposition(_metrics(_load(file)), openmetrics=style == "openmetrics"), nl=False)


def _load(file: Path) -> dict[str, Any]:
    """The record in a file. Raises Refusal where there is none."""
    from probe_exporter.simulator.recorded import FORMAT

    try:
        content = read_regular(file, _MAX_SIZE + 1, "name a record of `probe_exporter record`")
    except ValueError as error:
        raise Refusal(f"{file}: {error}") from None
    if len(content) > _MAX_SIZE:
        raise Refusal(f"{file}: this is too large for a record")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(f"{file}: this is not a record: it is not JSON") from None
    if (
        not isinstance(document, dict)
        or document.get("format") != FORMAT
        or not isinstance(document.get("endpoints"), dict)
    ):
        raise Refusal(f"{file}: this is not a record of `probe_exporter record`, or it has another version")
    return document


def _metrics(document: dict[str, Any]) -> list[FilledMetric]:
    """The families of a record. Times that are calculated from the moment of reading use that of the record."""
    from probe_exporter.config.schema import COLLECTORS
    from probe_exporter.gateway.endpoints import BY_NAME
    from probe_exporter.metrics import CATALOGUE
    from probe_exporter.metrics.assembly import assemble
    from probe_exporter.readings import ATTRIBUTES, Readings, read
    from probe_exporter.readings.payload import decode

    readings = Readings()
    recorded = _moment(document.get("recorded"))
    for name, answer in document["endpoints"].items():
        if name in BY_NAME and isinstance(answer, dict) and answer.get("status") == 200 and "body" in answer:
            body = decode(json.dumps(answer["body"]).encode())
            setattr(readings, ATTRIBUTES[name], read(name, body, recorded).value)
    read_tedapi(document["endpoints"], readings, recorded)
    return assemble(CATALOGUE, readings, COLLECTORS, lambda *_: True).metrics


def _moment(text: object) -> float:
    """The time of the record in Unix seconds; now, if the record has none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return time.time()
