"""``probe_exporter metrics``: the catalogue of metrics."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--format",
    "style",
    type=click.Choice(["markdown", "json", "text"]),
    default="text",
    show_default=True,
    help="markdown is the catalogue in METRICS.md, json is for programs, text has a line for each metric.",
)
def metrics(style: str) -> None:
    """List every metric: its name, kind, labels, meaning and origin."""
    from probe_exporter.metrics import reference

    write = {"markdown": reference.markdown, "json": reference.as_json, "text": reference.text}[style]
    click.echo(write(), nl=False)
