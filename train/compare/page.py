"""vote.html: one file on which a person votes between versions without names, without a network."""

from __future__ import annotations

import hashlib
import html
import io
import json
import random
from base64 import b64encode
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from train.compare.secret import cover
from train.compare.versions import Item
from train.compare.votes import FORMAT
from train.report.page import marked, write_page

_HERE = Path(__file__).parent
_SIDE = 768  # pixels of a picture in the page


def write_voting_page(path: Path, items: Sequence[Item], seed: int, need_marks: bool) -> int:
    """Write the page; how many votes it asks for.

    Args:
        seed: draws the order of the pairs and which version is on the left.
        need_marks: no vote counts before both versions have a mark.
    """
    rng = random.Random(seed)
    pairs = [
        [place, *rng.sample(pair, 2)]
        for place, item in enumerate(items)
        for pair in combinations(range(len(item.texts)), 2)
    ]
    rng.shuffle(pairs)
    names = sorted({name for item in items for of in item.writers for name in of})
    secret = json.dumps(
        {
            "names": names,
            "texts": [item.texts for item in items],
            "writers": [[[names.index(n) for n in of] for of in item.writers] for item in items],
        }
    )
    identity = hashlib.sha256(f"{secret} {pairs}".encode()).hexdigest()[:16]
    data = {
        "format": FORMAT,
        "id": identity,
        "needMarks": need_marks,
        "pairs": pairs,
        "key": cover(secret, identity),
        "items": [
            {
                "prompt": item.prompt,
                "dialect": item.dialect,
                "seed": item.seed,
                "versions": _shown(item),
            }
            for item in items
        ],
    }
    # Nothing in a text may end the script that it stands in.
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    body = [
        (_HERE / "vote.html").read_text(encoding="utf-8"),
        f'<script id="data" type="application/json">{text}</script>',
        f"<script>\n{(_HERE / 'vote.js').read_text(encoding='utf-8')}</script>",
    ]
    what = "picture" if items[0].pictures else "text"
    title = f"Which {what} would you keep?"
    write_page(path, title, body, (_HERE / "vote.css").read_text(encoding="utf-8"))
    return len(pairs)


def _shown(item: Item) -> list[dict[str, str]]:
    """Of each version its text as HTML, or its picture as a data address: never both."""
    if item.pictures:
        return [{"picture": _embedded(picture)} for picture in item.pictures]
    return [{"html": marked(item.prompt, text) or html.escape(text)} for text in item.texts]


def _embedded(path: Path) -> str:
    from bp_core.score.image import open_image

    image = open_image(path)
    image.thumbnail((_SIDE, _SIDE))
    data = io.BytesIO()
    # Encoded anew, so that no prompt is left in its metadata.
    image.save(data, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{b64encode(data.getvalue()).decode()}"
