"""Draw the CPU cost of every server and workload as bars; runs in the environment with matplotlib.

usage: plot.py RESULT.json OUT.png
"""

from __future__ import annotations

import json
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLUMNS = 3


def main() -> None:
    """One small chart for each workload; Barkeep stands out by colour."""
    result = json.loads(pathlib.Path(sys.argv[1]).read_text())
    charts = {name: chart for name, row in result["workloads"].items() if (chart := _medians(row))}
    if not charts:
        sys.exit("nothing to draw: no server has a figure")
    line_count = -(-len(charts) // COLUMNS)
    figure, axes = pyplot.subplots(line_count, COLUMNS, figsize=(13, 2.6 * line_count), squeeze=False)
    flat = list(axes.flat)
    for axis, (name, (unit, bars)) in zip(flat, charts.items(), strict=False):
        colours = [
            "#b5651d" if server == "barkeep" else "#bbbbbb" if server == "floor" else "#5b7fa3"
            for server in bars
        ]
        drawn = axis.barh(list(bars), list(bars.values()), color=colours)
        axis.bar_label(drawn, fmt="%.4g", padding=2, fontsize=7)
        axis.set_title(f"{name}: {unit}", fontsize=9)
        axis.tick_params(labelsize=7)
        axis.margins(x=0.15)
        axis.invert_yaxis()
    for axis in flat[len(charts) :]:
        axis.axis("off")
    figure.suptitle(f"{result['machine']['date']}  {result['machine']['cpu']}; lower is better", fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=110)


def _medians(row: dict[str, dict[str, object]]) -> tuple[str, dict[str, float]] | None:
    """The figure to draw for one workload: the start time where that is measured, else CPU per request."""
    for figure, unit in (("start_ms", "start, ms"), ("cpu_us", "CPU us per request")):
        bars = {}
        for server, cell in row.items():
            rounds = cell["rounds"]
            values = (
                [numbers[figure] for numbers in rounds if figure in numbers]
                if isinstance(rounds, list)
                else []
            )
            if values and not cell["failure"]:
                bars[server] = statistics.median(values)
        if bars:
            return unit, bars
    return None


main()
