"""pictures.html and pictures.json: what the pictures of several writers' versions scored."""

from __future__ import annotations

import html
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from train.compare.pictures import RAW, SCORES
from train.compare.versions import Version
from train.compare.votes import wilson
from train.report.page import marked, write_page, write_whole
from train.rewards.ranking import interval

_SHOWN = 60  # prompts on the page
_MEANING = {
    "pick_score": "PickScore of the picture against the raw prompt: would people pick it for this",
    "aesthetic": "LAION's aesthetic score of the picture alone, about 4 to 7",
    "hps": "HPS v2 of the picture against the raw prompt: human preference, about 0.2 to 0.3",
}
_STYLE = """
.wide{overflow-x:auto} th small{display:block;font-weight:400;max-width:18rem}
.drawn td{min-width:9rem;width:20rem} .drawn small{display:block;overflow-wrap:anywhere}
.drawn .row{display:grid;grid-template-columns:repeat(auto-fill,minmax(7rem,1fr));gap:.3rem}
.drawn img{width:100%;display:block;border-radius:.3rem} h3{overflow-wrap:anywhere}
"""


def figures(versions: Mapping[str, Sequence[Version]], rows: Sequence[dict]) -> dict:
    """By score and writer: mean, gain over the raw prompt's pictures, prompts that gained.

    A prompt's score is its mean over the seeds; intervals (95 %) are over prompts. Prompts whose
    pictures are not all drawn are left out.
    """
    means = _means(rows)
    report: dict[str, dict] = {}
    for score in [name for name in SCORES if rows and name in rows[0]]:
        complete = [
            of for of in zip(*versions.values(), strict=True)
            if all((v.prompt, v.text, score) in means for v in of)
        ]  # fmt: skip
        of_raw = np.array([means[of[0].prompt, of[0].text, score] for of in complete])
        report[score] = {}
        for place, name in enumerate(versions):
            values = np.array([means[of[place].prompt, of[place].text, score] for of in complete])
            gain = values - of_raw
            entry = {"mean": float(values.mean()) if complete else None, "prompts": len(complete)}
            if name != RAW and complete:
                changed = gain[gain != 0]
                wins = int((changed > 0).sum())
                entry["gain"] = {
                    "mean": float(gain.mean()),
                    "interval": interval(lambda r, g=gain: float(g[r].mean()), len(gain)),
                }
                entry["better"] = {
                    "share": wins / len(changed) if len(changed) else None,
                    "interval": wilson(wins, len(changed)),
                    "of": len(changed),
                }
            report[score][name] = entry
    return report


def _means(rows: Sequence[dict]) -> dict[tuple[str, str, str], float]:
    values = defaultdict(list)
    for row in rows:
        for score in SCORES:
            if score in row:
                values[row["raw_prompt"], row["prompt"], score].append(row[score])
    return {key: float(np.mean(of)) for key, of in values.items()}


def write_gallery(
    out: Path, versions: Mapping[str, Sequence[Version]], rows: Sequence[dict], about: Sequence[str]
) -> dict:
    """Write both files and `pictures.parquet`, a row a picture and raw prompt; the figures.

    Args:
        versions: by writer, the raw prompts first.
        about: lines on how the pictures were drawn.
    """
    import pandas as pd

    found = figures(versions, rows)
    write_whole(out / "pictures.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    draft = out / ".pictures.parquet"
    pd.DataFrame(rows).to_parquet(draft, index=False)
    draft.replace(out / "pictures.parquet")
    body = [f"<p>{html.escape(line)}</p>" for line in about]
    for score, by_writer in found.items():
        body += [f"<h2>{score}</h2>", f"<p>{_MEANING[score]}.</p>", *_table(by_writer)]
    prompts = list(zip(*versions.values(), strict=True))
    drawn = defaultdict(list)
    for row in rows:
        drawn[row["raw_prompt"], row["prompt"]].append(row)
    finished = [of for of in prompts if all(drawn[v.prompt, v.text] for v in of)]
    shown = random.Random(0).sample(finished, min(_SHOWN, len(finished)))
    body.append("<h2>Pictures, not picked</h2>")
    body.append("<p>A seeded draw of prompts; the same seeds side by side.</p>")
    for of in shown:
        body += _side_by_side(dict(zip(versions, of, strict=True)), drawn)
    write_page(out / "pictures.html", "Pictures of rewrites", body, _STYLE)
    return found


def _table(by_writer: Mapping[str, dict]) -> list[str]:
    lines = ['<div class="wide"><table><tr><th></th><th>mean</th>']
    lines += ["<th>gain over the raw prompt<small>95 % interval over prompts</small></th>"]
    lines += ["<th>prompts that gained<small>of those that changed, 95 %</small></th></tr>"]
    for name, entry in by_writer.items():
        mean = "" if entry["mean"] is None else f"{entry['mean']:.4g}"
        gained = better = ""
        if "gain" in entry:
            low, high = entry["gain"]["interval"]
            gained = f"{entry['gain']['mean']:+.3g} ({low:.3g} to {high:.3g})"
            low, high = entry["better"]["interval"]
            if entry["better"]["share"] is not None:
                better = f"{entry['better']['share']:.0%} ({low:.0%} to {high:.0%})"
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in (name, mean, gained, better))
        lines.append(f"<tr>{cells}</tr>")
    return [*lines, "</table></div>"]


def _side_by_side(
    by_writer: Mapping[str, Version], drawn: Mapping[tuple[str, str], Sequence[dict]]
) -> list[str]:
    prompt = next(iter(by_writer.values())).prompt
    lines = [f"<h3>{html.escape(prompt)}</h3>", '<div class="wide"><table class="drawn"><tr>']
    lines += [f"<th>{html.escape(name)}</th>" for name in by_writer]
    lines.append("</tr><tr>")
    for name, version in by_writer.items():
        pictures = [
            f'<img src="{row["picture"]}" loading="lazy" alt="seed {row["seed"]}" '
            f'title="{_scores(row)}">'
            for row in drawn[version.prompt, version.text]
        ]
        text = "" if name == RAW else f"<small>{marked(prompt, version.text)}</small>"
        lines.append(f'<td><div class="row">{"".join(pictures)}</div>{text}</td>')
    return [*lines, "</tr></table></div>"]


def _scores(row: Mapping) -> str:
    shown = [f"{name} {row[name]:.4g}" for name in SCORES if name in row]
    return html.escape(", ".join([f"seed {row['seed']}", *shown]))


def table(found: Mapping[str, dict]) -> str:
    """The gains as Markdown."""
    lines = ["| score | writer | mean | gain | 95 % | prompts better |", "|---" * 6 + "|"]
    for score, by_writer in found.items():
        for name, entry in by_writer.items():
            cells = [score, name, "" if entry["mean"] is None else f"{entry['mean']:.4g}"]
            if "gain" in entry:
                low, high = entry["gain"]["interval"]
                share = entry["better"]["share"]
                cells += [f"{entry['gain']['mean']:+.3g}", f"{low:.3g} to {high:.3g}"]
                cells += ["" if share is None else f"{share:.0%}"]
            lines.append("| " + " | ".join([*cells, *[""] * (6 - len(cells))]) + " |")
    return "\n".join(lines)
