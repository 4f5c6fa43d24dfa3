"""Put a trained writer and its reward into the bundle, packed.

    python -m train.starter.bundle --writer runs/starter_writer/model --group 192 --tables 4

The writer's weights are packed in 4 bits (as its training rounded them, `sft.py --rounded`), the
reward's in 8; unpacked ones go. The words of the pairs and of the concepts are listed anew, and no
other will be added. What else a bundle holds stays: the concepts, the taste, the cards.
"""

from __future__ import annotations

import argparse
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

_LARGEST = 64e6  # bytes of the bundle
PAIRS = Path(__file__).parent / "pairs"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", type=Path, required=True, help="model folder of train/sft.py")
    parser.add_argument("--reward", type=Path, help="folder of train/reward.py; none: as it is")
    parser.add_argument("--group", type=int, default=192, help="weights that share a step")
    parser.add_argument("--tables", type=int, default=4, choices=(4, 8), help="bits of embeddings")
    parser.add_argument("--dialects", nargs="+", help="that it writes itself; none: as it says")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    args = parser.parse_args(argv)
    if args.out.resolve() in {p.resolve() for p in (args.writer, args.reward) if p is not None}:
        raise InputError(f"{args.out} is what is packed: give another folder as --out")
    train.make_folder(args.out)
    pack_folder(args.writer, args.out, 4, args.group, args.tables)
    if args.dialects:
        stated = read_about(args.out) | {"dialects": args.dialects}
        text = json.dumps(stated, indent=2) + "\n"
        (args.out / "beautifulprompt.json").write_text(text, encoding="utf-8")
        dialects(args.out)  # which raises for one that does not exist
    (args.out / PLAIN).unlink(missing_ok=True)
    list_words(args.out)
    # One of another writer says nothing of this one's drafts.
    (args.out / PREFERENCE).unlink(missing_ok=True)
    if (args.writer / PREFERENCE).is_file():
        shutil.copyfile(args.writer / PREFERENCE, args.out / PREFERENCE)
    if args.reward is not None:
        pack_folder(args.reward, args.out / "reward", 8, heads=[HEAD])
        (args.out / "reward" / PLAIN).unlink(missing_ok=True)
    size = sum(file.stat().st_size for file in args.out.rglob("*") if file.is_file())
    print(f"{args.out}: {size / 1e6:.1f} MB of {_LARGEST / 1e6:.0f}")


def list_words(folder: Path) -> None:
    """Write the list of words of a bundle: those of the writer's training pairs and its notes."""
    texts = []
    for path in sorted(PAIRS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts += [row["prompt"], row["text"], *row.get("notes", ())]
    if (folder / concepts.FILE).is_file():
        lines = (folder / concepts.FILE).read_text(encoding="utf-8").splitlines()
        texts += [line.split("| grades:")[0] for line in lines if not line.startswith("#")]
    lexicon.write(folder / lexicon.FILE, texts)


if __name__ == "__main__":
    train.run(main)
