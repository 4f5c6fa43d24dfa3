"""Several writers' versions of the same prompts, from files or from an evaluation's results."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bp_core.errors import InputError
from bp_core.settings import DIALECTS
from train.data.json_lines import read_json_lines


@dataclass(frozen=True)
class Version:
    """What one writer made of a prompt: a text, and maybe the picture that was drawn of it.

    Attributes:
        seed: of the picture; None for a text.
    """

    prompt: str
    text: str
    dialect: str = "auto"
    picture: Path | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Item:
    """The different versions of one prompt, as they are laid before readers.

    Attributes:
        writers: of each version the names of those who wrote it; equal versions stand once.
        pictures: of each version, where pictures are compared.
    """

    prompt: str
    dialect: str
    texts: tuple[str, ...]
    writers: tuple[tuple[str, ...], ...]
    pictures: tuple[Path, ...] = ()
    seed: int | None = None


def read_versions(named: Sequence[str]) -> dict[str, list[Version]]:
    """Versions by writer from arguments `NAME=FILE`.

    A file has a JSON object a line, as `bp beautify --json` writes them: `prompt`, `text`, maybe
    `dialect`; or `picture`, a file beside it, with the `seed` that it was drawn from.

    Raises:
        InputError: a file or a row that cannot be used, or other prompts than `aligned` takes.
    """
    versions: dict[str, list[Version]] = {}
    for argument in named:
        name, _, file = argument.partition("=")
        if not name or not file:
            raise InputError(f"--blind {argument}: give NAME=FILE for each writer")
        if name in versions:
            raise InputError(f"two writers are called {name}: give each another name")
        path = Path(file)
        if not path.is_file():
            raise InputError(f"no versions at {path}: give a .jsonl, as bp beautify --json writes")
        versions[name] = list(read_json_lines(path, lambda row, at=path: _version(row, at.parent)))
    return aligned(versions)


def aligned(versions: Mapping[str, Sequence[Version]]) -> dict[str, list[Version]]:
    """The versions of all writers in the first one's order of prompts.

    Raises:
        InputError: a prompt comes twice with a writer, or is not with all of them; no prompt.
    """
    tables = {name: _by_prompt(name, rows) for name, rows in versions.items()}
    (first, table), *others = tables.items()
    if not table:
        raise InputError(f"{first} has no versions: give a row a prompt")
    for name, other in others:
        if apart := table.keys() ^ other.keys():
            prompt, _ = min(apart, key=str)
            raise InputError(f"{first} and {name} have different prompts: {prompt!r} is in one")
    return {name: [of[key] for key in table] for name, of in tables.items()}


def _version(row: dict, folder: Path) -> Version:
    picture = folder / row["picture"] if row.get("picture") else None
    if picture is not None and not picture.is_file():
        raise ValueError(f"there is no picture {picture}")
    text = row.get("text", row["prompt"] if picture else None)
    if not isinstance(row["prompt"], str) or not isinstance(text, str):
        raise ValueError("give prompt and text")
    dialect = row.get("dialect", "auto")
    if dialect not in DIALECTS:
        raise ValueError(f"dialect {dialect!r}: choose from {', '.join(DIALECTS)}")
    return Version(row["prompt"], text, dialect, picture, row.get("seed"))


def to_items(versions: Mapping[str, Sequence[Version]], seed: int) -> list[Item]:
    """Items in random order, the versions of each in random order, drawn by `seed`.

    Raises:
        InputError: one writer alone; other prompts than `aligned` takes; some have pictures and
            others have none; no prompt has two different versions.
    """
    if len(versions) < 2:
        raise InputError("one writer alone cannot be compared: give two or more")
    versions = aligned(versions)
    everyone = [v for rows in versions.values() for v in rows]
    if len({v.picture is None for v in everyone}) > 1:
        raise InputError("some versions have pictures and others have none: compare like with like")
    rng = random.Random(seed)
    prompts = list(zip(*versions.values(), strict=True))
    items = [
        _item(dict(zip(versions, of_prompt, strict=True)), rng)
        for of_prompt in rng.sample(prompts, len(prompts))
    ]
    if not any(len(item.texts) > 1 for item in items):
        raise InputError("all writers wrote the same: there is nothing to choose between")
    return items


def _by_prompt(name: str, rows: Sequence[Version]) -> dict[tuple[str, int | None], Version]:
    table: dict[tuple[str, int | None], Version] = {}
    for row in rows:
        if (row.prompt, row.seed) in table:
            raise InputError(f"{name} has {row.prompt!r} twice: give each prompt once")
        table[row.prompt, row.seed] = row
    return table


def _item(by_name: Mapping[str, Version], rng: random.Random) -> Item:
    writers: dict[tuple[str, Path | None], list[str]] = {}
    for name, version in by_name.items():
        writers.setdefault((version.text, version.picture), []).append(name)
    different = sorted(writers, key=str)
    order = rng.sample(different, len(different))
    one = next(iter(by_name.values()))
    return Item(
        one.prompt,
        next((v.dialect for v in by_name.values() if v.dialect != "auto"), "auto"),
        tuple(text for text, _ in order),
        tuple(tuple(writers[version]) for version in order),
        tuple(picture for _, picture in order if picture is not None),
        one.seed,
    )
