"""A byte-level BPE vocabulary cut to the tokens that some texts use.

A pretrained model's vocabulary holds much that prompts never say. What is kept is closed under
merges: a word whose tokens are all kept is encoded as before, any other in smaller pieces. Works
on tokenizer.json as a dictionary, as `json.loads` of it.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from tokenizers import Tokenizer

from bp_core.errors import InputError

_BATCH = 4096  # texts


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str], weight: int = 1) -> Counter[int]:
    """How often texts use each id, times `weight`."""
    counts: Counter[int] = Counter()
    texts = list(texts)
    for start in range(0, len(texts), _BATCH):
        batch = tokenizer.encode_batch(texts[start : start + _BATCH], add_special_tokens=False)
        for encoded in batch:
            counts.update(encoded.ids)
    return Counter({i: n * weight for i, n in counts.items()})


def spare_tokens(data: dict, used: Collection[str], count: int) -> list[str]:
    """The first `count` control tokens that are not in use; raises InputError for too few."""
    spare = [t["content"] for t in _added(data) if t["special"] and t["content"] not in used]
    if len(spare) < count:
        raise InputError(
            f"the base has {len(spare)} control tokens to spare, {count} are needed: choose another"
        )
    return spare[:count]


def choose_tokens(data: dict, counts: Counter[int], size: int) -> list[int]:
    """At most `size` ids to keep: control tokens in front, then the others in their order.

    All single bytes stay; then come the tokens by their counts, each with those that it is merged
    from.

    Raises:
        InputError: no byte-level BPE, or `size` is too small for bytes and control tokens.
    """
    vocabulary = data["model"].get("vocab")
    if data["model"].get("type") != "BPE" or "ByteLevel" not in str(data.get("decoder")):
        raise InputError("the base's tokenizer is no byte-level BPE: choose another base")
    text_of = {i: text for text, i in vocabulary.items()}
    # A token that several pairs make: the first of them is the one that words go through.
    parts: dict[str, tuple[str, str]] = {}
    for a, b in _merges(data):
        parts.setdefault(a + b, (a, b))
    controls = sorted(t["id"] for t in _added(data))
    kept = {text for text in vocabulary if len(text) == 1}
    room = size - len(controls)
    if len(kept) > room:
        raise InputError(f"a vocabulary needs {len(kept) + len(controls)} tokens or more: {size}")
    for i, _ in counts.most_common():
        if i in controls or i not in text_of:
            continue
        missing = _made_from(text_of[i], parts) - kept
        if len(kept) + len(missing) <= room:
            kept |= missing
    return controls + sorted(vocabulary[text] for text in kept)


def cut_tokenizer(data: dict, ids: Sequence[int], names: Mapping[str, str]) -> dict:
    """tokenizer.json with these tokens alone, numbered as they come, some of them renamed."""
    data = copy.deepcopy(data)
    text_of = {i: text for text, i in data["model"]["vocab"].items()}
    text_of |= {t["id"]: t["content"] for t in _added(data)}
    number = {i: n for n, i in enumerate(ids)}
    kept = {text_of[i] for i in ids}
    data["model"]["vocab"] = {names.get(text_of[i], text_of[i]): n for i, n in number.items()}
    data["model"]["merges"] = [
        f"{a} {b}" for a, b in _merges(data) if {a, b, a + b} <= kept
    ]  # strings, which tokenizers 0.13 reads
    for token in _added(data):
        token["id"] = number[token["id"]]
        token["content"] = names.get(token["content"], token["content"])
    # Templates are filled in by bp_core; nothing else comes before or behind a text.
    data["post_processor"] = None
    return data


def _made_from(token: str, parts: Mapping[str, tuple[str, str]]) -> set[str]:
    """A token, those that it is merged from, those that they are merged from, …"""
    found, open_ = set(), [token]
    while open_:
        text = open_.pop()
        if text not in found:
            found.add(text)
            open_ += parts.get(text, ())
    return found


def _merges(data: dict) -> list[tuple[str, str]]:
    merges = data["model"]["merges"]
    return [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in merges]


def _added(data: dict) -> list[dict]:
    return data.get("added_tokens") or []
