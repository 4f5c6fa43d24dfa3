"""Put a trained writer and its reward into the bundle, packed.

    python -m train.starter.bundle --writer runs/starter_writer/model --group 192 --tables 4

The writer's weights are packed in 4 bits (as its training rounded them, `sft.py --rounded`), the
reward's in 8; unpacked ones go. The concepts are packed; the words of the pairs and of the concepts
are listed anew, and no other will be added. What else a bundle holds stays: the taste, the cards.

    python -m train.starter.bundle

packs and lists alone, after a change of the concepts.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from pathlib import Path

import train
from bp_core.errors import InputError
from bp_core.models.checkpoint import PLAIN
from bp_core.models.folder import BUNDLED, dialects, read_about
from bp_core.models.load import pack_folder
from bp_core.score.preference import FILE as PREFERENCE
from bp_core.score.text_reward import HEAD
from bp_core.text import concepts, lexicon
from bp_core.text.word_lists import read_beside

_LARGEST = 64e6  # bytes of the bundle
PAIRS = Path(__file__).parent / "pairs"
CONCEPTS = Path(__file__).parent / "concepts/concepts.txt"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", type=Path, help="model folder of train/sft.py; none: as it is")
    parser.add_argument("--reward", type=Path, help="folder of train/reward.py; none: as it is")
    parser.add_argument("--group", type=int, default=192, help="weights that share a step")
    parser.add_argument("--tables", type=int, default=4, choices=(4, 8), help="bits of embeddings")
    parser.add_argument("--dialects", nargs="+", help="that it writes itself; none: as it says")
    parser.add_argument("--composes", action="store_true", help="chooses additions from its notes")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args(argv)
    if args.out.resolve() in {p.resolve() for p in (args.writer, args.reward) if p is not None}:
        raise InputError(f"{args.out} is what is packed: give another folder as --out")
    train.make_folder(args.out)
    if args.writer is not None:
        pack_folder(args.writer, args.out, 4, args.group, args.tables)
    said = {"dialects": args.dialects, "composes": args.composes}
    if said := {key: value for key, value in said.items() if value}:
        stated = read_about(args.out) | said
        text = json.dumps(stated, indent=2) + "\n"
        (args.out / "beautifulprompt.json").write_text(text, encoding="utf-8")
        dialects(args.out)  # which raises for one that does not exist
    (args.out / PLAIN).unlink(missing_ok=True)
    pack_concepts(args.out)
    list_words(args.out)
    if args.writer is not None:
        # One of another writer says nothing of this one's drafts.
        (args.out / PREFERENCE).unlink(missing_ok=True)
        if (args.writer / PREFERENCE).is_file():
            shutil.copyfile(args.writer / PREFERENCE, args.out / PREFERENCE)
    if args.reward is not None:
        pack_folder(args.reward, args.out / "reward", 8, heads=[HEAD])
        (args.out / "reward" / PLAIN).unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB of {_LARGEST / 1e6:.0f}")


def pack_concepts(folder: Path) -> None:
    """Write the concepts of a bundle, unless it has some of its own that may be edited."""
    if not (folder / concepts.FILE).is_file():
        packed = gzip.compress(CONCEPTS.read_bytes(), 9, mtime=0)
        (folder / concepts.PACKED).write_bytes(packed)


def list_words(folder: Path) -> None:
    """Write the list of words of a bundle: those of the writer's training pairs and its notes."""
    texts = []
    for path in sorted(PAIRS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts += [row["prompt"], row["text"], *row.get("notes", ())]
    file = concepts.file_of(folder)
    if file is not None:
        texts += [line.split("| grades:")[0] for line in read_beside(file)]
    lexicon.write(folder / lexicon.FILE, texts)


if __name__ == "__main__":
    train.run(main)
