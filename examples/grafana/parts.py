"""What the dashboards are made of: colours, queries, and panels with the settings that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOLAR = "#e0b000"
BATTERY = "#3fae68"
GRID = "#9b6fe0"
HOME = "#3d82e8"
GOOD = "green"
BAD = "red"
CALM = "#6e7681"

COLOURS = {"Solar": SOLAR, "Battery": BATTERY, "Grid": GRID, "Home": HOME}
"""By the legend of a series; a name beside a colour, never the colour alone."""

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
SAME_CHOICE = "${datasource:queryparam}&${job:queryparam}"
"""What a link takes along, so that the other dashboard shows the same data."""

FULL_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what it shows (queries by legend), in which unit, and how wide it is (of 24)."""

    title: str
    description: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: str = "chart"
    width: int = 12
    height: int = 8
    low: float | None = None
    high: float | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Text and colour in place of a value."""
    stacked: bool = False
    right: str = ""
    """The legend of a ratio that has an axis of its own, from 0 to 1."""
    daily: bool = False
    """A bar a day over the last thirty days, in whichever range the dashboard shows."""
    named: bool = False
    """The name of each series beside its value, not instead of it."""
    alarm: bool = False
    """Any number above 0 is bad."""
    decimals: float | None = None
    missing: str = "No data: this model does not report it, or no probe succeeded."
    """The text in place of values where there are none."""


def build(panel: Panel) -> object:
    """The builder of a panel."""
    return {"chart": _chart, "stat": _stat, "states": _states}[panel.kind](panel)


def _targets(panel: Panel, instant: bool = False) -> list[prometheus.Dataquery]:
    targets = []
    for number, (legend, expression) in enumerate(panel.queries.items()):
        target = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        targets.append(target.instant() if instant else target.range())
    return targets


def _common(made: object, panel: Panel, instant: bool = False) -> object:
    made.title(panel.title).description(panel.description).unit(panel.unit).datasource(DATASOURCE)
    made.no_value(panel.missing).span(panel.width).height(panel.height).targets(_targets(panel, instant))
    if panel.low is not None:
        made.min(panel.low)
    if panel.high is not None:
        made.max(panel.high)
    for legend, colour in {**COLOURS, **panel.colours}.items():
        if legend in panel.queries:
            made.override_by_name(legend, [fixed(colour)])
    if panel.decimals is not None:
        made.decimals(panel.decimals)
    if panel.words:
        results = {
            value: models.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(panel.words.items())
        }
        made.mappings([models.ValueMap(options=results)])
    return made


def fixed(colour: str) -> models.DynamicConfigValue:
    """One colour for a series."""
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _chart(panel: Panel) -> object:
    made = timeseries.Panel().line_width(2).fill_opacity(30 if panel.stacked else 8)
    made.show_points(looks.VisibilityMode.NEVER).span_nulls(False)
    made.legend(
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    made.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI))
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    if panel.daily:
        made.draw_style(looks.GraphDrawStyle.BARS).fill_opacity(80).interval("1d").time_from("30d")
    if panel.right:
        made.override_by_name(panel.right, _right_axis())
    return _common(made, panel)


def _right_axis() -> list[models.DynamicConfigValue]:
    settings = {
        "unit": "percentunit",
        "min": 0,
        "max": 1,
        "custom.axisPlacement": "right",
        "custom.fillOpacity": 0,
        "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
    }
    return [models.DynamicConfigValue(name, value) for name, value in settings.items()]


def _stat(panel: Panel) -> object:
    made = stat.Panel().color_mode(looks.BigValueColorMode.VALUE).graph_mode(looks.BigValueGraphMode.NONE)
    made.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    made.text_mode(_text_mode(panel))
    if panel.alarm:
        made.color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.THRESHOLDS))
        steps = [models.Threshold(value=None, color=GOOD), models.Threshold(value=1.0, color=BAD)]
        made.thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    else:
        made.color_scheme(neutral())
    return _common(made, panel, instant=True)


def _text_mode(panel: Panel) -> looks.BigValueTextMode:
    if panel.named or len(panel.queries) > 1:
        return looks.BigValueTextMode.VALUE_AND_NAME
    if next(iter(panel.queries)).startswith("{{"):
        return looks.BigValueTextMode.NAME
    return looks.BigValueTextMode.VALUE


def neutral() -> dashboard.FieldColor:
    """A calm colour for what has no colour of its own."""
    return dashboard.FieldColor().mode(models.FieldColorModeId.FIXED).fixed_color("text")


def _states(panel: Panel) -> object:
    made = statetimeline.Panel().show_value(looks.VisibilityMode.AUTO).row_height(0.85).fill_opacity(75)
    made.legend(
        common.VizLegendOptions()
        .display_mode(looks.LegendDisplayMode.LIST)
        .placement(looks.LegendPlacement.BOTTOM)
        .show_legend(False)
    )
    return _common(made, panel)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: an instant query by ``instance``, with its unit."""

    title: str
    expression: str
    unit: str = "short"
    colour: str | None = None
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    label: str | None = None
    """The label that is shown in place of the value."""


def table(title: str, description: str, columns: Sequence[Column], link: str, height: int) -> tables.Panel:
    """One row an instance, one column a query; the instance leads to ``link``. The first column sorts it."""
    made = (
        tables.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .no_value("No site is scraped.")
        .span(FULL_WIDTH)
        .height(height)
    )
    fields = ["instance"]
    for number, column in enumerate(columns):
        letter = chr(ord("A") + number)
        query = prometheus.Dataquery().expr(column.expression).instant().ref_id(letter)
        made.with_target(query.format(PromQueryFormat.TABLE))
        made.override_by_name(column.title, _column_settings(column))
        fields.append(column.label or f"Value #{letter}")
    opening = [{"title": "Open this site", "url": link}]
    made.override_by_name("Site", [models.DynamicConfigValue("links", opening)])
    made.sort_by([common.TableSortByFieldState().display_name(columns[0].title).desc(False)])
    titles = ["Site", *(column.title for column in columns)]
    organize = {
        "renameByName": dict(zip(fields, titles, strict=True)),
        "indexByName": {name: number for number, name in enumerate(fields)},
    }
    kept = {"include": {"pattern": f"^({'|'.join(fields)})$"}}
    made.transformations(
        [
            models.DataTransformerConfig("joinByField", options={"byField": "instance", "mode": "outer"}),
            models.DataTransformerConfig("filterFieldsByName", options=kept),
            models.DataTransformerConfig("organize", options=organize),
        ]
    )
    return made


def outages(selector: str, width: int, height: int) -> tables.Panel:
    """One row an outage of the time shown: when it began, how long it was, how far the charge fell.

    Each moment tells the outage that lasts, or else the last one. So the moments are grouped by its beginning.
    """
    made = tables.Panel().title("Outages").datasource(DATASOURCE).span(width).height(height)
    made.description(
        "Of the time shown. Two that lie within five minutes are one row. Choose 30 days for a month."
    )
    made.no_value("No outage is known.").interval("5m").max_data_points(10_000)
    queries = {
        "A": f"1000 * max(powerwall:outage:begin_timestamp_seconds{{{selector}}})",
        "B": f"max(powerwall:outage:known_seconds{{{selector}}})",
        "C": f"min(powerwall:outage:lowest_charge_ratio{{{selector}}})",
    }
    for letter, expression in queries.items():
        query = prometheus.Dataquery().expr(expression).legend_format(letter).range().ref_id(letter)
        made.with_target(query.format(PromQueryFormat.TABLE))
    columns = {
        "Value #A": ("Began", "dateTimeAsLocal", {"operation": "groupby", "aggregations": []}),
        "Value #B (max)": ("Known length", "s", {"operation": "aggregate", "aggregations": ["max"]}),
        "Value #C (min)": (
            "Lowest charge",
            "percentunit",
            {"operation": "aggregate", "aggregations": ["min"]},
        ),
    }
    for title, unit, _ in columns.values():
        made.override_by_name(title, [models.DynamicConfigValue(id_val="unit", value=unit)])
    grouped = {name.partition(" (")[0]: operation for name, (_, _, operation) in columns.items()}
    renamed = {name: title for name, (title, _, _) in columns.items()}
    made.sort_by([common.TableSortByFieldState().display_name("Began").desc(True)])
    made.transformations(
        [
            models.DataTransformerConfig("joinByField", options={"byField": "Time", "mode": "outer"}),
            models.DataTransformerConfig("groupBy", options={"fields": grouped}),
            models.DataTransformerConfig("organize", options={"renameByName": renamed}),
        ]
    )
    return made


def _column_settings(column: Column) -> list[models.DynamicConfigValue]:
    settings = [models.DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.colour:
        settings += [
            fixed(column.colour),
            models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    if column.words:
        options = {
            value: {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(column.words.items())
        }
        settings += [
            models.DynamicConfigValue("mappings", [{"type": "value", "options": options}]),
            models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}),
        ]
    return settings


class Board:
    """A dashboard while it is made: rows of panels, numbered in their order."""

    def __init__(self, title: str, uid: str, description: str, *others: tuple[str, str]) -> None:
        """``others`` are the titles and uids of the dashboards that this one links to."""
        made = dashboard.Dashboard(title).uid(uid).description(description).tags(["powerwall"]).editable()
        made.timezone("browser").refresh("30s").time("now-24h", "now").tooltip(
            models.DashboardCursorSync.CROSSHAIR
        )
        made.with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        for name, other in others:
            link = dashboard.DashboardLink(name).type(models.DashboardLinkType.LINK)
            made.link(link.url(f"/d/{other}?{SAME_CHOICE}").keep_time(True))
        self._made = made
        self._numbers = count(1)

    def choice(self, name: str, label: str, query: str, multi: bool) -> None:
        """A variable whose values come from Prometheus."""
        made = dashboard.QueryVariable(name).label(label).datasource(DATASOURCE)
        made.query(query).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        made.sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        if multi:
            everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
            made.multi(True).include_all(True).current(everything)
        self._made.with_variable(made)

    def jobs(self) -> None:
        """The variable ``job``. Not by probe_success: blackbox_exporter has one as well."""
        self.choice("job", "Job", "label_values(powerwall_tls_pinned, job)", multi=True)

    def sites(self, multi: bool) -> None:
        """The variables ``job`` and ``site``."""
        self.jobs()
        self.choice("site", "Site", 'label_values(powerwall_tls_pinned{job=~"$job"}, instance)', multi)

    def words(self, name: str, label: str, words: Sequence[str]) -> None:
        """A variable with a few words to choose from; the first is chosen."""
        made = dashboard.CustomVariable(name).label(label).values(",".join(words))
        first = models.VariableOption(selected=True, text=words[0], value=words[0])
        others = [models.VariableOption(selected=False, text=word, value=word) for word in words[1:]]
        self._made.with_variable(made.current(first).options([first, *others]))

    def filters(self, name: str, label: str) -> None:
        """Filters that whoever looks may add, by any label; they apply to every query."""
        self._made.with_variable(dashboard.AdHocVariable(name).label(label).datasource(DATASOURCE))

    def mark(self, title: str, expression: str, colour: str) -> None:
        """Shade every chart where an expression has series."""
        mark = dashboard.AnnotationQuery().name(title).datasource(DATASOURCE).expr(expression).enable(True)
        self._made.annotation(mark.icon_color(colour))

    def row(self, title: str, panels: Sequence[object], folded: bool = False) -> None:
        """A row with its panels; one that is folded is asked for only when it is opened."""
        row = dashboard.Row(title).id(next(self._numbers))
        made = [build(panel) if isinstance(panel, Panel) else panel for panel in panels]
        for panel in made:
            panel.id(next(self._numbers))
        if folded:
            row.collapsed(True)
            for panel in made:
                row.with_panel(panel)
        self._made.with_row(row)
        if not folded:
            for panel in made:
                self._made.with_panel(panel)

    def build(self) -> models.Dashboard:
        """The dashboard."""
        return self._made.build()
