"""Generates grafana/dashboards/movie-stream.json: `python -m monitoring.dashboard`, or `make docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from monitoring.panels import ROWS, TILES, Graph, Tile

PATH: Final = Path(__file__).parent / "grafana" / "dashboards" / "movie-stream.json"
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLUMNS: Final = 24


def made() -> str:
    """The dashboard as JSON."""
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    built = (
        dashboard.Dashboard("movie-stream")
        .uid("movie-stream")
        .description("Workers and server of movie-stream. Made by monitoring/dashboard.py.")
        .tags(["movie-stream"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("utc")
        .readonly()
        .with_variable(source)
    )
    for tile in TILES:
        built = built.with_panel(_stat(tile))
    for title, graphs in ROWS:
        built = built.with_row(dashboard.Row(title))
        for graph in graphs:
            built = built.with_panel(_graph(graph))
    encoded: str = JSONEncoder(sort_keys=True, indent=2).encode(built.build())
    return encoded + "\n"


def _stat(tile: Tile) -> Any:
    steps = [Threshold(value=value, color=color) for value, color in tile.steps]
    return (
        stat.Panel()
        .title(tile.title)
        .description(tile.says)
        .datasource(_SOURCE)
        .unit(tile.unit)
        .height(4)
        .span(_COLUMNS // len(TILES))
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(prometheus.Dataquery().expr(tile.expr).instant().ref_id("A"))
    )


def _graph(graph: Graph) -> Any:
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .description(graph.says)
        .datasource(_SOURCE)
        .unit(graph.unit)
        .min(0)
        .height(8)
        .span(_COLUMNS // 3)
        .fill_opacity(10)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
    )
    for nth, (expr, legend) in enumerate(graph.lines):
        panel = panel.with_target(prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + nth)))
    return panel


if __name__ == "__main__":
    PATH.write_text(made(), encoding="utf-8")
