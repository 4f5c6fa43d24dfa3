"""Plots of an evaluation as SVG, narrow enough to be read at their own size beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from train.report.page import svg

# A phrase in more of the rewrites than this is a stock tail.
STOCK = 0.25
_WIDE = 4.2  # inches, a telephone's width
_TEXT = {"font.size": 8, "text.parse_math": False, "axes.spines.top": False}
_TEXT |= {"axes.spines.right": False, "axes.axisbelow": True, "grid.alpha": 0.3}
# Told apart without seeing colours.
_KINDS = {"best": ("o", "#0b57a4"), "candidate 0": ("D", "#d95f02"), "fixed tail": ("s", "#777777")}


@dataclass(frozen=True)
class Row:
    """One run's part of a plot: its name, and its colour's number, the same for one rewriter."""

    name: str
    colour: int = 0


def gains(rows: Sequence[Row], figures: Sequence[dict[str, dict]]) -> str:
    """Mean gains with their intervals; `figures` are the runs' {kind: {mean, interval}}."""

    def draw(axis: Axes) -> None:
        for shift, (kind, (sign, colour)) in enumerate(_KINDS.items(), -1):
            for place, gain in enumerate(figures):
                at = place + 0.22 * shift
                axis.plot(gain[kind]["interval"], [at, at], color=colour, linewidth=1.5)
                label = kind if place == 0 else None
                axis.plot(gain[kind]["mean"], at, sign, color=colour, markersize=4.5, label=label)
        axis.axvline(0, color="#222222", linewidth=0.8)
        axis.figure.legend(loc="outside upper left", ncols=len(_KINDS), frameon=False)
        axis.set_xlabel("z-score")

    return _by_run(rows, draw, "Mean gain of each run by the judge", each=0.5)


def spread(rows: Sequence[Row], values: Sequence[Sequence[float]], what: str, unit: str) -> str:
    """A box a run: quartiles and median, lines from 5 to 95 % of the prompts."""

    def draw(axis: Axes) -> None:
        boxes = axis.boxplot(
            list(values),
            positions=range(len(values)),
            vert=False,
            whis=(5, 95),
            widths=0.55,
            showfliers=False,
            patch_artist=True,
            medianprops={"color": "#222222", "linewidth": 1.5},
        )
        for box, row in zip(boxes["boxes"], rows, strict=True):
            box.set(facecolor=f"C{row.colour % 10}", alpha=0.6)
        if axis.get_xlim()[0] < 0:
            axis.axvline(0, color="#222222", linewidth=0.8)
        axis.locator_params(axis="x", steps=[1, 2, 5, 10])
        axis.set_xlabel(unit)

    return _by_run(rows, draw, what, each=0.4)


def phrases(row: Row, shares: Sequence[tuple[str, float]], largest: float) -> str:
    """A run's commonest added phrases, and the mark above which one is a stock tail.

    Args:
        shares: (phrase, share of the best candidates, 0-1).
        largest: share of all runs, for one scale.
    """
    with rc_context(_TEXT):
        figure = Figure(figsize=(_WIDE, 0.6 + 0.19 * max(4, len(shares))), layout="constrained")
        axis = figure.add_subplot()
        names = [p if len(p) <= 30 else p[:29] + "…" for p, _ in shares]
        over = ["#b00020" if share > STOCK else f"C{row.colour % 10}" for _, share in shares]
        axis.barh(range(len(shares)), [100 * share for _, share in shares], color=over, alpha=0.7)
        axis.set_yticks(range(len(shares)), names)
        axis.invert_yaxis()
        axis.axvline(100 * STOCK, color="#b00020", linestyle="--", linewidth=1)
        axis.set_xlim(0, 100 * max(1.2 * STOCK, 1.05 * largest))
        axis.set_xlabel("% of best candidates")
        axis.grid(axis="x")
        return svg(figure, f"Commonest added phrases of {row.name}")


def _by_run(rows: Sequence[Row], draw, label: str, each: float) -> str:
    """A plot with a line a run, the first on top; `each` is its height in inches."""
    with rc_context(_TEXT):
        figure = Figure(figsize=(_WIDE, 0.8 + each * len(rows)), layout="constrained")
        axis = figure.add_subplot()
        draw(axis)
        axis.set_yticks(range(len(rows)), [row.name for row in rows])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.grid(axis="x")
        return svg(figure, label)
