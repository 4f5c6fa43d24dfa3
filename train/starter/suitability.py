"""What readers' judgements of notes teach beside the writer's own reading of them.

    python -m train.starter.suitability --model runs/starter_writer/model --limit 0.08

Each phrase of the folder's concepts gets a grade: how often readers struck it out and how often it
was among the best, in `judgements/*.jsonl` (see `train/data/judged.py`) and in the additions that
the writer composed (`composed/*.jsonl`, see `train/data/marked.py`), drawn towards what they made
of its field of the same concept and of all, and towards what was estimated of it beforehand
(`train/starter/estimates.py`). The grade, the place of its concept in the prompt and what the
writer's directions say are then weighed together by two logistic regressions, on prompts that the
writer was not trained on: what is wrong is learned of the composed additions, where a wrong phrase
is one that readers find among those it would write; what is best, of the judgements that are held
out (`train/data/held_out.py`). Five folds tell how well that works. Drafts that readers ranked
(`phrases/marked.jsonl`) tell how the likelihood of a draft and its phrases' log-odds of wrong are
weighed to rank what the writer writes word by word.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

import train
from bp_core.errors import InputError
from bp_core.models.load import Model, load
from bp_core.text.concepts import FILE
from bp_core.text.notes import GRADES, Concept, Note, origins
from train.data.held_out import held_out
from train.data.json_lines import read_json_lines
from train.data.judged import Judged, read_judged
from train.data.marked import Marked, read_marked
from train.starter.estimates import Digits, Expected, Place, read_estimates

_HERE = Path(__file__).parent
JUDGEMENTS, COMPOSED = _HERE / "judgements", _HERE / "composed"
CONCEPTS, ESTIMATES = _HERE / "concepts" / "concepts.txt", _HERE / "estimates" / "estimates.txt"
RANKED = _HERE / "phrases" / "marked.jsonl"
_FOLDS = 5
# Judgements that the means above a phrase count as: of everything, of its concept's field, and of
# the field together with what was estimated, which has twice the field's part. Of those tried,
# these told best what held-out readers struck out.
_OF_ALL, _OF_FIELD, _OF_ESTIMATED, _ESTIMATE = 6, 3, 6, 2


class Grades:
    """What readers made of phrases: the share of best less the share of wrong, drawn to means.

    Args:
        marks: (place, 1 for best, -1 for wrong, else 0) of each judged phrase.
        estimates: digits of places, see `train.starter.estimates`.
    """

    def __init__(
        self, marks: Iterable[tuple[Place, int]], estimates: Mapping[Place, Digits] | None = None
    ) -> None:
        self._sums: dict[tuple, list[int]] = defaultdict(lambda: [0, 0])
        for place, mark in marks:
            for key in (place, place[:2], ()):
                self._sums[key][0] += 1
                self._sums[key][1] += mark
        judged = {key: tuple(sums) for key, sums in self._sums.items() if len(key) == 3}
        self._expected = Expected(estimates or {}, judged)

    def of(self, place: Place) -> int:
        """A digit, 0 to 9."""
        count, total = self._sums.get((), (0, 0))
        mean = self._drawn(place[:2], total / max(1, count), _OF_ALL)
        weight, expected = _OF_FIELD, self._expected.of(place)
        if expected is not None:
            weight, mean = _OF_ESTIMATED, (mean + _ESTIMATE * expected) / (1 + _ESTIMATE)
        mean = min(1.0, max(-1.0, self._drawn(place, mean, weight)))
        return round((mean + 1) * 4.5)

    def _drawn(self, key: tuple, mean: float, weight: float) -> float:
        """The mean mark of a key, drawn to another as if that were so many judgements."""
        count, total = self._sums.get(key, (0, 0))
        return (total + weight * mean) / (count + weight)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of train/sft.py")
    parser.add_argument("--judgements", type=Path, default=JUDGEMENTS, help="folder of .jsonl")
    parser.add_argument("--composed", type=Path, default=COMPOSED, help="folder of .jsonl")
    parser.add_argument("--estimates", type=Path, default=ESTIMATES, help="file of estimates")
    parser.add_argument("--ranked", type=Path, default=RANKED, help=".jsonl of ranked drafts")
    parser.add_argument("--limit", type=float, help="doubt above which a note goes; none: as it is")
    parser.add_argument("--grades", action="store_true", help="grade anew, weigh nothing anew")
    args = parser.parse_args(argv)
    model = load(args.model)
    if model.suitability is None or model.concepts is None:
        raise InputError(f"{args.model} judges no notes: train it with sft.py --judgements")
    rows = [row for file in sorted(args.judgements.glob("*.jsonl")) for row in read_judged(file)]
    if not any(held_out(row.prompt) for row in rows):
        raise InputError(f"{args.judgements}: no row of a prompt that was held out; judge more")
    composed = [
        _as_judged(row)
        for file in sorted(args.composed.glob("*.jsonl"))
        for row in read_marked(file)
    ]
    own = args.model / FILE
    written = own if own.is_file() else CONCEPTS
    estimates = read_estimates(args.estimates, read_concepts(written))
    named = {row.prompt: model.concepts.named(row.prompt) for row in [*rows, *composed]}
    grades = Grades((mark for row in [*rows, *composed] for mark in marks(row, named)), estimates)
    write_grades(written, grades)
    if args.limit is not None:
        model.suitability.limit = args.limit
        model.suitability.save(args.model)
    if args.grades:
        return
    learned = Grades(
        (mark for row in rows if not held_out(row.prompt) for mark in marks(row, named)), estimates
    )
    held = examples(model, [row for row in rows if held_out(row.prompt)], named, learned)
    # The notes that a writer would choose are what it has to judge; no prompt of these taught it.
    chosen = examples(model, composed, named, learned) if composed else held
    weights = [
        fit(name, x, y[:, i], prompts)
        for i, (name, (x, y, prompts)) in enumerate((("wrong", chosen), ("best", held)))
    ]
    model.suitability.weights = torch.tensor(np.array(weights), dtype=torch.float32)
    model.suitability.ranking = rank(model, args.ranked)
    model.suitability.save(args.model)


def _as_judged(row: Marked) -> Judged:
    """A row's phrases, in an order of chance as those of notes are."""
    phrases = random.Random(row.prompt).sample(row.phrases, len(row.phrases))
    wrong = frozenset(i for i, phrase in enumerate(phrases) if phrase in row.wrong)
    liked = frozenset(i for i, phrase in enumerate(phrases) if phrase in row.liked)
    prompt, dialect = row.read
    return Judged(prompt, dialect, tuple(phrases), wrong, liked)


def read_concepts(path: Path) -> dict[str, Concept]:
    """The concepts of a file, by name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    read = (Concept.read(line) for line in lines if "|" in line and not line.startswith("#"))
    return {concept.name: concept for concept in read}


def marks(row: Judged, named: dict[str, list[Concept]]) -> Iterable[tuple[Place, int]]:
    """The phrases of a row that are notes, each with what the reader made of it."""
    known = origins(named[row.prompt])
    for number, phrase in enumerate(row.phrases):
        if phrase in known and row.best is not None:
            yield _place(known[phrase]), (number in row.best) - (number in row.wrong)


def _place(note: Note) -> Place:
    return note.concept, note.field, note.text


def examples(
    model: Model, rows: Sequence[Judged], named: dict[str, list[Concept]], grades: Grades
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of n judged phrases features (n, len(FEATURES)), whether wrong and whether best (n, 2), -1
    where no reader said, and the number of the prompt (n,)."""
    x, y, prompts = [], [], []
    for index, row in enumerate(rows):
        known = {
            phrase: note._replace(grade=grades.of(_place(note)))
            for phrase, note in origins(named[row.prompt]).items()
        }
        phrases = [known.get(phrase, phrase) for phrase in row.phrases]
        x.append(model.suitability.features(model, row.prompt, row.dialect, phrases).numpy())
        for number in range(len(phrases)):
            y.append((number in row.wrong, -1 if row.best is None else number in row.best))
            prompts.append(index)
    return np.concatenate(x), np.array(y, dtype=float), np.array(prompts)


def fit(name: str, x: np.ndarray, y: np.ndarray, prompts: np.ndarray) -> list[float]:
    """Weights of all features and a constant, last; how well they do is told."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    def learn(part: np.ndarray) -> LogisticRegression:
        return LogisticRegression(C=0.3, max_iter=1000).fit(x[part], y[part])

    told = y >= 0
    scores = np.zeros(len(y))
    for fold in range(_FOLDS):
        away = prompts % _FOLDS == fold
        scores[away] = learn(told & ~away).decision_function(x[away])
    alone = roc_auc_score(y[told], x[told, ("wrong", "best").index(name)])
    area = roc_auc_score(y[told], scores[told])
    print(
        f"{name}: {y[told].mean():.1%} of {told.sum()}; area under the curve {area:.3f}, of the "
        f"directions alone {alone:.3f}",
        file=sys.stderr,
    )
    whole = learn(told)
    return [*map(float, whole.coef_[0]), float(whole.intercept_[0])]


def rank(model: Model, path: Path) -> tuple[float, float, float]:
    """Weights of a draft's log-probability and of its phrases' mean log-odds of wrong, by which
    most drafts stand as readers ranked them; and the constant that puts the average at 0.

    Each row of the file has `prompt`, `dialect` and `drafts`, best first, each with `logprob` and
    `phrases`, whose `text` counts.
    """
    from sklearn.linear_model import LogisticRegression

    def draft(row: dict, fields: dict) -> tuple[float, float]:
        known = origins(model.concepts.named(row["prompt"]))
        phrases = [known.get(p["text"], p["text"]) for p in fields["phrases"]]
        verdicts = model.suitability.of(model, row["prompt"], row["dialect"], phrases)
        return fields["logprob"], float(np.mean([v.wrong for v in verdicts.values()] or [0.0]))

    rows = [
        np.array([draft(row, fields) for fields in row["drafts"]])
        for row in read_json_lines(path, dict)
        if row["drafts"] and row["dialect"] in model.dialects
    ]
    gains = np.concatenate([a - b for x in rows for a, b in combinations(x[:, None], 2)])
    # Each judgement both ways, so that there is something to tell apart.
    both, first = np.concatenate((gains, -gains)), np.repeat((True, False), len(gains))
    of_logprob, of_wrong = LogisticRegression(fit_intercept=False).fit(both, first).coef_[0]
    right = (gains @ (of_logprob, of_wrong) > 0).mean()
    print(f"ranking: as readers in {right:.1%} of {len(gains)} pairs", file=sys.stderr)
    usual = np.concatenate(rows).mean(0)
    return float(of_logprob), float(of_wrong), -float(usual @ (of_logprob, of_wrong))


def write_grades(path: Path, grades: Grades) -> None:
    """Write a file of concepts anew, with a grade for each phrase."""

    def graded(line: str) -> str:
        if line.startswith("#") or "|" not in line:
            return line
        body = line.partition(f" | {GRADES}:")[0]
        concept = Concept.read(body)
        digits = (
            "".join(str(grades.of((concept.name, name, phrase))) for phrase in phrases)
            for name, phrases in concept.fields.items()
        )
        return f"{body} | {GRADES}: {' '.join(digits)}"

    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(map(graded, lines)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    train.run(main)
