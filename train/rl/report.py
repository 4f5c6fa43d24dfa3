"""report.html of a run: its curves and its last samples, in one file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from train.report.page import marked, svg, write_page

# Curves in this order; the rest of a log's figures follow.
_FIRST = ("eval/", "score/", "kl", "beta")
_NOT_DRAWN = {"step", "eval/step"}


def write_report(
    folder: Path, rows: Sequence[dict], samples: Sequence[dict[str, str]], title: str
) -> None:
    """Write it, whole or not at all.

    Args:
        rows: of the run's log; "flag" in a row is a warning to show.
        samples: dictionaries with mode, prompt and text.
    """
    flags = [f"step {row['step']}: {row['flag']}" for row in rows if row.get("flag")]
    body = [f"<p>Step {rows[-1]['step'] if rows else 0}.</p>"]
    body += [f'<p class="flag">{html.escape(flag)}</p>' for flag in flags]
    body += [_curves(rows), "<h2>Rewrites of held-out prompts</h2>", "<table>"]
    body += [f"<tr><td><small>{s['mode']}</small><td>{_sample(s)}</tr>" for s in samples]
    write_page(folder / "report.html", title, [*body, "</table>"])


def _sample(sample: dict[str, str]) -> str:
    """A rewrite, and the prompt under it unless it is its beginning."""
    prompt, text = sample["prompt"], sample["text"]
    below = "" if text.startswith(prompt) else f"<br><small>{html.escape(prompt)}</small>"
    return marked(prompt, text) + below


def _curves(rows: Sequence[dict]) -> str:
    """One small plot a figure, as SVG."""
    from matplotlib.figure import Figure

    names = {n for row in rows for n, v in row.items() if isinstance(v, (int, float))}
    names = sorted(names - _NOT_DRAWN, key=lambda n: (not n.startswith(_FIRST), n))
    if not names:
        return ""
    wide = 4
    high = -(-len(names) // wide)
    figure = Figure(figsize=(3.2 * wide, 2.2 * high))
    # Laid out by hand: matplotlib's own layouts draw everything twice.
    figure.subplots_adjust(0.04, 0.3 / high / 2.2, 0.99, 1 - 0.3 / high / 2.2, 0.25, 0.45)
    for place, name in enumerate(names, 1):
        axis = figure.add_subplot(high, wide, place)
        points = [(row["step"], row[name]) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True), linewidth=1, marker="." if len(points) < 40 else None)
        axis.set_title(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    return svg(figure, "Curves of the run's figures over its steps")
