"""report.html of an evaluation: figures, plots, and unpicked rewrites side by side."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from bp_core.rewriter import Result
from train.report import plots
from train.report.metrics import Figures, added_words, phrase_shares
from train.report.page import marked, write_page

_PHRASES = 10
_BOX = "median, middle half, and 5 to 95 %"
_STYLE = """
.wide{overflow-x:auto} .figures td{min-width:7.5rem}
.figures th:first-child{min-width:16rem;font-weight:400;vertical-align:top}
.figures small{display:block;line-height:1.3} .figures tr+tr>*{border-top:1px solid var(--line)}
.figures tr>:first-child{position:sticky;left:0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}
figure{margin:0} figcaption{margin-bottom:.3rem} .plots svg{width:100%;max-width:32rem}
.samples{table-layout:fixed;overflow-wrap:anywhere} .samples thead th{position:sticky;top:0}
@media (max-width:45rem){
.figures th:first-child{min-width:11rem}
.samples thead{display:none}
.samples tr{display:block;border-top:1px solid var(--line);padding:.4rem 0}
.samples td{display:block;border:0;padding:.15rem 0}
.samples td::before{content:attr(data-of);display:block;font-size:12px;color:var(--dim)}}
"""
_KEPT = {
    "kept_unguarded": "words of the prompt that the model itself writes, before the guard, share",
    "kept_unreminded": "the same when it is not reminded of them while it writes",
}
_GAINS = {
    "best": "of the best candidate, chosen by the ranking reward, above the raw prompt's",
    "candidate 0": "of one candidate, not chosen, above the raw prompt's",
    "fixed tail": "of the prompt with what people append to anything, above the raw prompt's",
    "best over fixed tail": "of the best candidate above the fixed tail's",
    "candidate 0 over fixed tail": "of one candidate above the fixed tail's",
}


@dataclass(frozen=True)
class Run:
    """One rewriter on one prompt set in one mode.

    Attributes:
        model: its short name.
        entry: what report.json says of the run.
        results: one a prompt.
        gains: by kind, of each prompt with a candidate; empty without a judge.
    """

    model: str
    set: str
    mode: str
    entry: dict
    results: Sequence[Result]
    gains: dict[str, np.ndarray]

    def name(self, with_model: bool) -> str:
        """What report.json calls it, among runs of with_model rewriters or of one."""
        name = f"{self.set}, {self.mode}"
        return f"{self.model}, {name}" if with_model else name


def write_report(path: Path, runs: Sequence[Run], about: Sequence[str], total: int) -> None:
    """Write the page, whole or not at all.

    Args:
        runs: those finished, of `total`.
        about: lines on how they were measured.
    """
    models = list(dict.fromkeys(run.model for run in runs))
    # The same prompts in the same mode together.
    kinds = list(dict.fromkeys((run.set, run.mode) for run in runs))
    runs = sorted(runs, key=lambda run: kinds.index((run.set, run.mode)))
    body = [f"<p>{html.escape(line)}</p>" for line in about]
    if len(runs) < total:
        body.append(f'<p class="flag">{len(runs)} of {total} runs are finished.</p>')
    links = [
        f'<a href="#samples{place}">{html.escape(f"{name}, {mode}")}</a>'
        for place, (name, mode) in enumerate(kinds)
    ]
    body.append(f"<p>Rewrites to read: {'; '.join(links)}</p>")
    body += ["<h2>Figures</h2>", *_table(runs), "<h2>Plots</h2>", *_plots(runs, models)]
    body += ["<h2>Rewrites, not picked</h2>", "<p>A seeded draw; what was added is marked.</p>"]
    for place, (name, mode) in enumerate(kinds):
        body.append(f'<h3 id="samples{place}">{html.escape(f"{name}, {mode}")}</h3>')
        body += _samples([run for run in runs if (run.set, run.mode) == (name, mode)])
    write_page(path, "Rewriters measured", body, _STYLE)


def table(runs: Sequence[Run]) -> str:
    """The figures of several runs as a Markdown table."""
    with_model = len({run.model for run in runs}) > 1
    lines = ["| | " + " | ".join(run.name(with_model) for run in runs) + " |"]
    lines.append("|---" * (len(runs) + 1) + "|")
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, _, cells in _figures(runs)]
    return "\n".join(lines)


def _figures(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[str]]]:
    """(name, meaning, a cell a run) of each figure that a run has."""
    meanings = {field.name: field.metadata["meaning"] for field in fields(Figures)} | _KEPT
    for name, meaning in meanings.items():
        if any(name in run.entry for run in runs):
            yield name, meaning, [_shown(run.entry.get(name, "")) for run in runs]
    for name, meaning in _GAINS.items():
        if any(run.gains for run in runs):
            cells = [_interval(run.entry["gain"][name]) for run in runs]
            yield f"gain, {name}", f"judge's score {meaning}; z, 95 % interval", cells


def _table(runs: Sequence[Run]) -> list[str]:
    """The figures as HTML: a figure a row, with what it means, and a run a column."""
    heads = [html.escape(f"{r.model}\n{r.set}\n{r.mode}").replace("\n", "<br>") for r in runs]
    lines = ['<div class="wide"><table class="figures">']
    lines.append("<tr><th></th>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>")
    for name, meaning, cells in _figures(runs):
        # An interval under its mean, or eight runs would not fit a window.
        values = "".join(f"<td>{html.escape(c).replace(' (', '<br>(')}</td>" for c in cells)
        lines.append(f"<tr><th>{name}<small>{html.escape(meaning)}</small></th>{values}</tr>")
    return [*lines, "</table></div>"]


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _interval(gain: dict) -> str:
    low, high = gain["interval"]
    return f"{gain['mean']:+.2f} ({low:.2f} to {high:.2f})"


def _plots(runs: Sequence[Run], models: Sequence[str]) -> list[str]:
    rows = [
        plots.Row(f"{run.model}\n{run.set}, {run.mode}", models.index(run.model)) for run in runs
    ]
    lines = ['<div class="plots">']
    if all(run.gains for run in runs):
        what = "Judge's score above the raw prompt's: mean, and its 95 % interval"
        lines += _plot(what, plots.gains(rows, [run.entry["gain"] for run in runs]))
        what = f"The same of the best candidate over prompts: {_BOX}"
        values = [run.gains["best"] for run in runs]
        lines += _plot(what, plots.spread(rows, values, what, "z-score"))
    what = f"Words that the best candidate adds: {_BOX}"
    values = [added_words(run.results) for run in runs]
    lines += _plot(what, plots.spread(rows, values, what, "words"))
    lines.append("</div><h3>Commonest added phrases</h3>")
    lines.append(f"<p>Dashed: the {plots.STOCK:.0%} that no phrase should reach.</p>")
    shares = [phrase_shares(run.results)[:_PHRASES] for run in runs]
    largest = max((share for phrases in shares for _, share in phrases), default=0.0)
    lines.append('<div class="plots">')
    for row, phrases in zip(rows, shares, strict=True):
        lines += _plot(row.name.replace("\n", ", "), plots.phrases(row, phrases, largest))
    return [*lines, "</div>"]


def _plot(caption: str, svg: str) -> list[str]:
    return [f"<figure><figcaption>{html.escape(caption)}</figcaption>", svg, "</figure>"]


def _samples(runs: Sequence[Run]) -> list[str]:
    """Rewrites of the same prompts, a rewriter a column."""
    lines = ['<table class="samples"><thead><tr><th>prompt</th>']
    lines += [f"<th>{html.escape(run.model)}</th>" for run in runs]
    lines.append("</tr></thead>")
    for row in zip(*(run.entry["samples"] for run in runs), strict=True):
        cells = [f'<td data-of="prompt">{html.escape(row[0]["prompt"])}</td>']
        for run, sample in zip(runs, row, strict=True):
            text = marked(sample["prompt"], sample["text"])
            note = f"<br><small>{html.escape(sample['note'])}</small>" if sample["note"] else ""
            cells.append(f'<td data-of="{html.escape(run.model)}">{text}{note}</td>')
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return [*lines, "</table>"]
