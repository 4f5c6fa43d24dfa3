"""report.html of a run: how it stands, its curves and its last samples, in one file."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from train.report.page import marked, svg, write_page
from train.rl.watch import change, spread

# What decides whether a run is well: shown first, each with what it means.
_MEANING = {
    "reward": "What is trained for: the reward model's score above the raw prompt's, in standard "
    "deviations; it should rise.",
    "judge": "A second reward model, which neither trains nor ranks; it should rise too. Where it "
    "falls while the reward rises, the reward is being tricked.",
    "kept": "Share of the artist's words in what the model itself writes, before lost ones are put "
    "back; it should stay.",
    "kl": "How far the model has moved from the one it began as, in nats a rewrite",
}
_MISSING = {"judge": "Nobody judges but the reward itself: give --judge and --eval_prompts."}
_OF_ROLLOUTS = {"reward": "score/reward", "kept": "kept"}  # in the log, without held-out prompts
_TITLES = {"reward": "reward", "judge": "judge", "kept": "kept words", "kl": "KL"}
_LAST = 10  # steps that "now" is a mean of, where there are no held-out prompts
# All curves in this order; the rest of a log's figures follow.
_FIRST = ("eval/", "score/", "kl", "beta")
_NOT_DRAWN = {"step", "eval/step"}
_STYLE = """
h1{font-size:1.4rem;margin:.3rem 0} body{margin-top:1rem}
.stand th,.stand td{padding:.25rem .5rem;vertical-align:top;white-space:nowrap}
.stand tr+tr th{border-top:1px solid var(--line)}
.stand .means{white-space:normal;color:var(--dim);font-size:13.5px;line-height:1.4}
.well{color:var(--dim)} details{margin-top:1.5rem} .samples td{overflow-wrap:anywhere}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.5rem;
margin-top:.7rem} .curves svg{width:100%}
@media (max-width:45rem){
.stand tr:first-child{display:none} .stand tr{display:flex;flex-wrap:wrap}
.stand tr+tr th{width:100%;padding-bottom:0} .stand td{border:0}
.stand td:nth-child(2)::after{content:" →"} .stand .means{width:100%}}
"""


def write_report(
    folder: Path,
    rows: Sequence[dict],
    evaluations: Sequence[dict],
    samples: Sequence[dict[str, str]],
    config: Mapping,
) -> None:
    """Write it, whole or not at all.

    Args:
        rows: of the run's log; "flag" in a row is a warning to show.
        evaluations: of `evaluations.jsonl`: by step the figures of each held-out prompt.
        samples: dictionaries with mode, prompt and text.
        config: the run's arguments.
    """
    step = rows[-1]["step"] if rows else 0
    body = [f"<p>Step {step} of {config['steps']}. {_verdict(rows, evaluations)}</p>"]
    body += _standing(rows, evaluations, config)
    body += ['<div class="curves">', *_main_curves(rows, evaluations, config), "</div>"]
    if samples:
        body += ["<h2>Rewrites of held-out prompts</h2>", '<table class="samples">']
        body += [f"<tr><td><small>{s['mode']}</small><td>{_sample(s)}</tr>" for s in samples]
        body.append("</table>")
    body += ["<details><summary>All figures of the log</summary>", _curves(rows)]
    write_page(folder / "report.html", folder.name, [*body, "</details>"], _STYLE)


def _verdict(rows: Sequence[dict], evaluations: Sequence[dict]) -> str:
    flags = [f"step {row['step']}: {row['flag']}" for row in rows if row.get("flag")]
    if flags:
        shown = [*(flags[:1] if len(flags) > 2 else []), *flags[-2:]]
        lines = "".join(f'<br><span class="flag">{html.escape(flag)}</span>' for flag in shown)
        which = ", the first and the last:" if len(flags) > 3 else ":"
        return f"{len(flags)} warning{'s' if len(flags) > 1 else ''}{which}{lines}"
    if not evaluations:
        remedy = "No held-out prompts: give --eval_prompts for a warning in time."
        return f'<span class="well">{remedy}</span>'
    prompts = len(next(v for name, v in evaluations[-1].items() if name != "step"))
    judged = any(name.endswith("/judge") for row in evaluations for name in row)
    watched = "judge and kept words have" if judged else "kept words have"
    missing = "" if judged else f" {_MISSING['judge']}"
    return (
        f'<span class="well">No warning: {watched} not fallen by more than the noise of '
        f"{prompts} held-out prompts while the reward rose.{missing}</span>"
    )


def _standing(rows: Sequence[dict], evaluations: Sequence[dict], config: Mapping) -> list[str]:
    """The four figures: at the start, now, what changed, and what they mean."""
    lines = ['<table class="stand"><tr><th></th><th>start</th><th>now</th>']
    lines.append("<th>change, 95 %</th><th>what it means</th></tr>")
    modes = _modes(evaluations)
    for name in ("reward", "judge", "kept"):
        shown = {mode: _figure(rows, evaluations, name, mode) for mode in modes or [""]}
        meaning = _MEANING[name]
        if not any(now for _, now, _ in shown.values()):
            shown, meaning = {"": ("", "none", "")}, _MISSING.get(name, meaning)
        for place, (mode, cells) in enumerate(shown.items()):
            title = f"{_TITLES[name]}, {mode}" if len(shown) > 1 else _TITLES[name]
            lines.append(_row([title, *cells], meaning if place == 0 else "", len(shown)))
    kl = [row["kl"] for row in rows if "kl" in row]
    target = config.get("kl_target")
    meaning = _MEANING["kl"] + (f"; it should stay near {target:g}." if target else ".")
    shown_kl = [f"{mean(part):.2f}" if part else "" for part in (kl[:1], kl[-_LAST:])]
    lines.append(_row([_TITLES["kl"], *shown_kl, ""], meaning, 1))
    return [*lines, "</table>"]


def _row(cells: Sequence[str], meaning: str, lines: int) -> str:
    """A line of the table; the meaning stands beside `lines` of them."""
    first, *others = map(html.escape, cells)
    row = f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}"
    if meaning:
        row += f'<td class="means" rowspan="{lines}">{html.escape(meaning)}</td>'
    return row + "</tr>"


def _modes(evaluations: Sequence[dict]) -> list[str]:
    names = [name for name in (evaluations[-1] if evaluations else {}) if name.endswith("/reward")]
    return [name.partition("/")[0] for name in names]


def _figure(
    rows: Sequence[dict], evaluations: Sequence[dict], name: str, mode: str
) -> tuple[str, str, str]:
    """(start, now, change), of held-out prompts where there are any, else of the rollouts."""
    shown: Callable[[float], str] = "{:.1%}".format if name == "kept" else "{:+.3f}".format
    if not mode:
        values = [figure for _, figure, _ in _points(rows, _OF_ROLLOUTS.get(name, ""))]
        if not values:
            return "", "", ""
        return shown(mean(values[:_LAST])), shown(mean(values[-_LAST:])), ""
    of_prompts = [row[f"{mode}/{name}"] for row in evaluations if f"{mode}/{name}" in row]
    if not of_prompts:
        return "", "", ""
    first, last = of_prompts[0], of_prompts[-1]
    text = ""
    if len(of_prompts) > 1 and len(last) > 1:
        found = change(first, last)
        text = f"{shown(found.low)} to {shown(found.high)}"
    sign = "%" if name == "kept" else ""
    scale = 100 if sign else 1
    now = f"{shown(mean(last))} ± {scale * spread(last):.{1 if sign else 2}f}"
    return shown(mean(first)), now, text


def _main_curves(rows: Sequence[dict], evaluations: Sequence[dict], config: Mapping) -> list[str]:
    """The four figures over the steps as SVG, with 95 % intervals over the held-out prompts."""
    flags = [row["step"] for row in rows if row.get("flag")]
    modes = _modes(evaluations)
    drawn = []
    for name in ("reward", "judge", "kept"):
        lines = {}
        for mode in modes:
            key = f"{mode}/{name}"
            lines[mode] = [
                (row["step"], mean(row[key]), spread(row[key])) for row in evaluations if key in row
            ]
        if not modes:
            lines["rollouts"] = _points(rows, _OF_ROLLOUTS.get(name, ""))
        if any(lines.values()):
            drawn.append(_curve(_TITLES[name], lines, flags))
    kl = {"": _points(rows, "kl")}
    return [*drawn, _curve(_TITLES["kl"], kl, flags, config.get("kl_target"))]


def _points(rows: Sequence[dict], key: str) -> list[tuple[int, float, float]]:
    return [(row["step"], row[key], 0.0) for row in rows if key in row]


def _curve(
    title: str,
    lines: Mapping[str, Sequence[tuple[int, float, float]]],
    flags: Sequence[int],
    target: float | None = None,
) -> str:
    """A plot of (step, figure, half of its interval) by name; warnings are red lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 2.1))
    figure.subplots_adjust(0.13, 0.12, 0.98, 0.89)
    axis = figure.add_subplot()
    for name, points in lines.items():
        if not points:
            continue
        steps, middle, half = zip(*points, strict=True)
        dots = "." if len(steps) < 40 else None
        axis.plot(steps, middle, linewidth=1.2, marker=dots, label=name)
        low = [m - h for m, h in zip(middle, half, strict=True)]
        high = [m + h for m, h in zip(middle, half, strict=True)]
        axis.fill_between(steps, low, high, alpha=0.15)
    if target:
        axis.axhline(target, color="#777777", linestyle="--", linewidth=1)
    for step in flags:
        axis.axvline(step, color="#b00020", linewidth=0.8, alpha=0.6)
    if len(lines) > 1:
        axis.legend(fontsize=7, frameon=False)
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    return svg(figure, f"{title} over the steps")


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
