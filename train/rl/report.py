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
    "deviations. It should rise.",
    "judge": "A second reward model, which neither trains nor ranks. It should rise with the "
    "reward; where it falls instead, the reward is being tricked.",
    "kept": "Share of the artist's words in what the model itself writes, before lost ones are put "
    "back. It should stay.",
    "kl": "How far the model has moved from the one it began as, in nats a rewrite. It should stay "
    "near its target",
}
_TITLES = {"reward": "reward", "judge": "judge", "kept": "kept words", "kl": "KL"}
_LAST = 10  # steps that "now" is a mean of, where there are no held-out prompts
# All curves in this order; the rest of a log's figures follow.
_FIRST = ("eval/", "score/", "kl", "beta")
_NOT_DRAWN = {"step", "eval/step"}
_STYLE = """
h1{font-size:1.4rem;margin:.3rem 0} body{margin-top:1rem}
.stand td:nth-child(-n+4){white-space:nowrap} .stand th{font-weight:600}
.stand td:last-child{color:var(--dim);font-size:13.5px;line-height:1.35;min-width:16rem}
.wide{overflow-x:auto} .well{color:var(--dim)} details{margin-top:1.5rem}
.samples td{overflow-wrap:anywhere}
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
    body.append(_main_curves(rows, evaluations, config))
    body += ["<h2>Rewrites of held-out prompts</h2>", '<table class="samples">']
    body += [f"<tr><td><small>{s['mode']}</small><td>{_sample(s)}</tr>" for s in samples]
    body += ["</table>", "<details><summary>All figures of the log</summary>", _curves(rows)]
    write_page(folder / "report.html", folder.name, [*body, "</details>"], _STYLE)


def _verdict(rows: Sequence[dict], evaluations: Sequence[dict]) -> str:
    flags = [f"step {row['step']}: {row['flag']}" for row in rows if row.get("flag")]
    if flags:
        shown = [*(flags[:1] if len(flags) > 2 else []), *flags[-2:]]
        lines = "".join(f'<br><span class="flag">{html.escape(flag)}</span>' for flag in shown)
        return f"{len(flags)} warning{'s' if len(flags) > 1 else ''}, the last ones:{lines}"
    if not evaluations:
        return '<span class="well">No held-out prompts (eval_prompts): nobody watches.</span>'
    prompts = len(next(v for name, v in evaluations[-1].items() if name != "step"))
    return (
        f'<span class="well">No warning: judge and kept words have not fallen by more than the '
        f"noise of {prompts} held-out prompts while the reward rose.</span>"
    )


def _standing(rows: Sequence[dict], evaluations: Sequence[dict], config: Mapping) -> list[str]:
    """The four figures: at the start, now, what changed, and what they mean."""
    lines = ['<div class="wide"><table class="stand"><tr><th></th><th>start</th><th>now</th>']
    lines.append("<th>change, 95 %</th><th>what it means</th></tr>")
    modes = _modes(evaluations)
    for name in ("reward", "judge", "kept"):
        for place, mode in enumerate(modes or [""]):
            first, now, changed = _figure(rows, evaluations, name, mode)
            meaning = _MEANING[name] if place == 0 else ""
            if name == "judge" and now == "":
                meaning = "None is given: --judge FOLDER, a reward that does not train."
            title = f"{_TITLES[name]}, {mode}" if len(modes) > 1 else _TITLES[name]
            lines.append(_row(title, first, now, changed, meaning))
            if now == "":
                break
    kl = [row["kl"] for row in rows if "kl" in row]
    target = config.get("kl_target")
    meaning = _MEANING["kl"] + (
        f" of {target:g}." if target else ", however far its weight lets it."
    )
    shown = [f"{mean(part):.2f}" if part else "" for part in (kl[:1], kl[-_LAST:])]
    lines.append(_row(_TITLES["kl"], *shown, "", meaning))
    return [*lines, "</table></div>"]


def _row(*cells: str) -> str:
    first, *others = map(html.escape, cells)
    return f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in others)}</tr>"


def _modes(evaluations: Sequence[dict]) -> list[str]:
    names = [name for name in (evaluations[-1] if evaluations else {}) if name.endswith("/reward")]
    return [name.partition("/")[0] for name in names]


def _figure(
    rows: Sequence[dict], evaluations: Sequence[dict], name: str, mode: str
) -> tuple[str, str, str]:
    """(start, now, change), of held-out prompts where there are any, else of the rollouts."""
    shown: Callable[[float], str] = "{:.1%}".format if name == "kept" else "{:+.3f}".format
    if not mode:
        key = {"reward": "score/reward", "kept": "kept"}.get(name)
        values = [row[key] for row in rows if key in row]
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


def _main_curves(rows: Sequence[dict], evaluations: Sequence[dict], config: Mapping) -> str:
    """The four figures over the steps, with their 95 % intervals over the held-out prompts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.6, 2.3))
    figure.subplots_adjust(0.04, 0.16, 0.995, 0.88, 0.2)
    for place, name in enumerate(_TITLES, 1):
        axis = figure.add_subplot(1, 4, place)
        for mode in _modes(evaluations) if name != "kl" else ():
            key = f"{mode}/{name}"
            found = [(row["step"], row[key]) for row in evaluations if key in row]
            if not found:
                continue
            steps = [step for step, _ in found]
            middle = [mean(values) for _, values in found]
            half = [spread(values) for _, values in found]
            axis.plot(steps, middle, linewidth=1.3, marker="." if len(steps) < 40 else None,
                      label=mode)  # fmt: skip
            axis.fill_between(
                steps,
                [m - h for m, h in zip(middle, half, strict=True)],
                [m + h for m, h in zip(middle, half, strict=True)],
                alpha=0.15,
            )
        key = {"kl": "kl", "reward": "score/reward", "kept": "kept"}.get(name, "")
        points = [(row["step"], row[key]) for row in rows if key in row]
        if points and (name == "kl" or not evaluations):
            axis.plot(*zip(*points, strict=True), linewidth=1)
        if name == "kl" and config.get("kl_target"):
            axis.axhline(config["kl_target"], color="#777777", linestyle="--", linewidth=1)
        for row in rows:
            if row.get("flag"):
                axis.axvline(row["step"], color="#b00020", linewidth=0.8, alpha=0.6)
        if len(axis.lines) > 1 and name == "reward" and len(_modes(evaluations)) > 1:
            axis.legend(fontsize=7, frameon=False)
        axis.set_title(_TITLES[name], fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    return svg(figure, "Reward, judge, kept words and KL over the steps, with 95 % intervals")


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
