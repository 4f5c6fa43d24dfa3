"""What ranks a writer's drafts: a small head on its own trunk, learned from readers' rankings.

    python train/preference.py --model runs/writer/model --depths 8 12

For each depth (how many of the trunk's layers read) five folds, split by clusters of like prompts,
tell how often the head and the readers agree: over all judgements, and over those between drafts of
the writer alone (source `writer`), which decide which depth is best, where there are any. Its head,
learned from all, is written into the model's folder as `preference.safetensors`, with its figures
beside it in `preference.json`. `--rankings` takes those of `train/evaluate.py --votes`, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import train
from bp_core.models.checkpoint import write_safetensors
from bp_core.models.load import Model, load
from bp_core.score.preference import FILE, Reading, features
from bp_core.text.prompt import parse
from train.data.dedup import clusters
from train.rewards.preference import Pairs, Ranking, accuracy, learn, pairs, read_rankings

_FOLDS = 5
RANKINGS = Path(__file__).parent / "starter" / "preferences"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the writer")
    parser.add_argument("--rankings", type=Path, default=RANKINGS, help=".jsonl, or a folder")
    parser.add_argument("--depths", type=int, nargs="+", default=[8], help="layers that read")
    parser.add_argument("--epochs", type=int, default=30)
    args = parser.parse_args(argv)
    rankings = read_rankings(args.rankings)
    model = load(args.model, dtype="float32")
    # From 0, so that folds are of like size: a cluster's number says which fold it is in.
    fold = torch.as_tensor(clusters([r.prompt for r in rankings]) % _FOLDS)
    judged, ours = pairs(rankings), pairs(rankings, ["writer"])
    report, best = {}, None
    decides = "writer" if len(ours.kept) else "all"
    for depth in args.depths:
        x = read(model, rankings, depth)
        figures = cross_validate(x, judged, ours, fold, args.epochs)
        report[str(depth)] = figures
        print(f"{depth} layers: {json.dumps(figures)}", file=sys.stderr)
        if best is None or figures[decides] > report[str(best[0])][decides]:
            best = depth, x
    depth, x = best
    write(args.model, learn(x, judged, epochs=args.epochs), x, depth)
    about = {"judgements": len(judged.kept), "of the writer": len(ours.kept), "depth": depth}
    text = json.dumps(about | {"accuracy by depth": report}, indent=2) + "\n"
    (args.model / "preference.json").write_text(text, encoding="utf-8")


def read(model: Model, rankings: Sequence[Ranking], depth: int) -> Tensor:
    """Features of every addition of every ranking, in order: (n, 2 hidden_size)."""
    readings = []
    for ranking in rankings:
        parsed = parse(ranking.prompt)
        for addition in ranking.ranked:
            text = f"{parsed.prose}{addition.text}"
            readings.append(Reading(parsed.prose, "expand", ranking.dialect, text))
    return features(model, readings, depth)


def cross_validate(
    x: Tensor, judged: Pairs, ours: Pairs, fold: Tensor, epochs: int
) -> dict[str, float]:
    """Accuracies (0-1) and their standard errors on held-out prompts, all folds together."""
    parts: dict[str, list[tuple[float, float]]] = {"all": [], "writer": []}
    for held in range(_FOLDS):
        head = learn(x, _of(judged, fold != held), epochs=epochs)
        for name, some in (("all", judged), ("writer", ours)):
            parts[name].append(accuracy(head, x, _of(some, fold == held)))
    means = {name: sum(a for a, _ in values) / _FOLDS for name, values in parts.items()}
    errors = {
        f"{name}, standard error": sum(e for _, e in values) / len(values) / _FOLDS**0.5
        for name, values in parts.items()
    }
    return means | errors


def _of(judged: Pairs, prompts: Tensor) -> Pairs:
    """Judgements of the prompts that a mask names."""
    mask = prompts[judged.prompt]
    return Pairs(*(column[mask] for column in judged))


def write(folder: Path, head: torch.nn.Module, x: Tensor, depth: int) -> None:
    """The head, its scores shifted so that an average addition has 0."""
    with torch.inference_mode():
        head.get_parameter("2.bias").sub_(head(x).mean())
    state = {name: tensor.contiguous() for name, tensor in head.state_dict().items()}
    write_safetensors(state, folder / FILE, metadata={"depth": str(depth)})


if __name__ == "__main__":
    train.run(main)
