"""Draws the bars of docs/images/performance.svg to PATH, from JSON on standard input. report.py runs it in a virtual
environment of its own.
"""

import json
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

OURS, OTHERS = "#1b7f5c", "#9aa5b1"


def main(path: str) -> None:
    given = json.load(sys.stdin)
    bars = sorted(given["bars"], key=lambda bar: bar[2])
    names = [bar[0] for bar in bars]
    colours = [OURS if name == given["ours"] else OTHERS for name in names]
    matplotlib.rcParams.update({"svg.hashsalt": "movie-stream", "font.size": 9, "svg.fonttype": "none"})
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 0.5 + 0.32 * len(bars)), sharey=True, layout="constrained")
    for axis, column, title in zip(axes, (1, 2), ("events/s", "events per CPU-second"), strict=True):
        drawn = axis.barh(names, [bar[column] for bar in bars], color=colours)
        axis.bar_label(drawn, labels=[f"{bar[column]:,.0f}" for bar in bars], padding=3)
        axis.set_xscale("log")
        axis.set_title(title, loc="left")
        axis.margins(x=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
