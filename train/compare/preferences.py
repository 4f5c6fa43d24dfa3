"""Votes as what rewards learn from: judgements of two additions, and scores of whole prompts."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from bp_core.text.words import words
from train.compare.votes import Reading
from train.report.page import write_whole


def write_preferences(out: Path, readings: Sequence[Reading]) -> tuple[int, int]:
    """`preferences.jsonl` for `train/preference.py`, `scores.parquet` for `train/reward.py`.

    A ranking is of two additions to a prompt, so votes for rewrites that reword it have none. The
    score of a text is the share (0-1) of its votes that it won, a tie half; beside it stand
    `mark`, `wrong` and `votes`.

    Returns:
        How many rankings and how many scored texts were written.
    """
    rankings = [row for reading in readings for row in _rankings(reading)]
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rankings]
    write_whole(out / "preferences.jsonl", "".join(lines))
    return len(rankings), _write_scores(out / "scores.parquet", readings)


def _rankings(reading: Reading) -> Iterator[dict]:
    for vote in reading.votes:
        item = reading.items[vote.item]
        texts = [item.texts[version] for version in (vote.kept, vote.left)]
        added = all(text.startswith(item.prompt) for text in texts)
        if vote.equal or not added or texts[0] == texts[1] or not words(item.prompt):
            continue
        ranked = [
            {
                "text": item.texts[version][len(item.prompt) :],
                "source": " and ".join(item.writers[version]),
                "flaw": "wrong" if (vote.item, version) in reading.wrong else "",
            }
            for version in (vote.kept, vote.left)
        ]
        batch = "texts" if item.seed is None else "pictures"
        about = {"reader": reading.reader, "batch": batch}
        yield {"prompt": item.prompt, "dialect": item.dialect, "ranked": ranked} | about


def _write_scores(path: Path, readings: Sequence[Reading]) -> int:
    import pandas as pd

    won, marks, wrong = defaultdict(list), defaultdict(list), defaultdict(list)
    for reading in readings:
        for vote in reading.votes:
            item = reading.items[vote.item]
            if not words(item.prompt):
                continue
            for version, score in ((vote.kept, 1.0), (vote.left, 0.0)):
                won[item.prompt, item.texts[version]].append(0.5 if vote.equal else score)
        for place, version in reading.judged():
            item = reading.items[place]
            wrong[item.prompt, item.texts[version]].append((place, version) in reading.wrong)
            if mark := reading.marks.get((place, version)):
                marks[item.prompt, item.texts[version]].append(mark)
    frame = pd.DataFrame(
        {
            "raw_prompt": raw,
            "prompt": text,
            "score": sum(scores) / len(scores),
            "mark": sum(marks[raw, text]) / len(marks[raw, text]) if marks[raw, text] else None,
            "wrong": sum(wrong[raw, text]) / len(wrong[raw, text]) if wrong[raw, text] else None,
            "votes": len(scores),
        }
        for (raw, text), scores in won.items()
    )
    draft = path.with_name(f".{path.name}")
    frame.to_parquet(draft, index=False)
    draft.replace(path)
    return len(frame)
