"""What is known of the things that a prompt names: short notes for a small model to choose from.

A small model cannot know what a fox, a library or a watercolour looks like, nor need it: a file
beside its weights says so, a line a concept, and phrases of the concepts that a prompt names are
read to it before the prompt. Which of the notes suit this picture is what it was taught.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import ModelError
from .notes import Concept, Note, negated, notes_of
from .word_lists import read_beside
from .words import STOPWORDS, WORD, normal, stem, words

FILE, PACKED = "concepts.txt", "concepts.txt.gz"
ANYTHING = "*"
_ALIAS = " = "

_LONGEST = 4  # words of a concept's name
# Things whose names are colours before another thing: an orange cat has no rind.
LENT = frozenset(
    "orange olive chestnut lavender lilac cream peach plum mint salmon rose rust tan coral lemon "
    "lime cherry pumpkin raspberry apricot navy turquoise emerald ruby sapphire amber mustard "
    "burgundy slate ivory jade".split()
)
_JOINTS = (" ", "-")  # between the words of one name


class _Mention(NamedTuple):
    """Where a prompt names a concept; `leads` and `follows` as of `Concept`, the rest as of
    `Mention`."""

    key: tuple[str, ...]
    leads: bool
    follows: bool
    start: int
    end: int


class Mention(NamedTuple):
    """Where a text names a concept, by offsets; `name` and `kind` are the concept's."""

    name: str
    kind: str
    start: int
    end: int


class Concepts:
    """The concepts of a file, found by the words of a prompt.

    Args:
        lines: as of `Concept.read`; they are read when a prompt names them. That of the name
            `ANYTHING` is read for a prompt that names nothing else. A line as "tv = television"
            says that the one is called the other, too.
    """

    def __init__(self, lines: list[str], path: Path | None = None) -> None:
        self.path = path
        # By the very words, and by their stems: "bowling" is no bowl, but "bowls" are.
        self._lines: dict[tuple[str, ...], str] = {}
        self._stemmed: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._called: dict[tuple[str, ...], tuple[str, ...]] = {}
        others: list[tuple[str, ...]] = []
        for line in lines:
            if _ALIAS in line and "|" not in line:
                others.append(tuple(map(_name, line.split(_ALIAS, 1))))
                continue
            name = _name(line)
            if line.startswith(f"{ANYTHING} "):
                name = (ANYTHING,)  # no words of a prompt are this
            if not name or self._lines.setdefault(name, line) is not line:
                continue
            self._add_stems(name, name)
        for name, meant in others:
            if name and name not in self._lines and meant in self._lines:
                self._called[name] = meant
                self._add_stems(name, meant)

    def _add_stems(self, name: tuple[str, ...], meant: tuple[str, ...]) -> None:
        stems = tuple(map(stem, name))
        if stems == name or stems not in self._stemmed:
            self._stemmed[stems] = meant

    @classmethod
    def load(cls, folder: Path) -> Concepts | None:
        """Those of a model folder; None where it has no such file.

        Raises:
            ModelError: the file cannot be read.
        """
        path = file_of(folder)
        return None if path is None else cls(read_beside(path), path)

    def __len__(self) -> int:
        return len(self._lines)

    def named(self, prompt: str) -> list[Concept]:
        """The concepts that a prompt names, in its order, each once; longer names first.

        Of a prompt with words that names none, what is true of anything: a small model that is told
        nothing makes things up.

        Raises:
            ModelError: a line of the file is damaged.
        """
        mentions: dict[tuple[str, ...], _Mention] = {}
        for mention in self._mentions(prompt):
            mentions.setdefault(mention.key, mention)
        if not mentions and (ANYTHING,) in self._lines and words(prompt):
            return [self._read((ANYTHING,))]
        return [
            replace(self._read(key), leads=mention.leads, follows=mention.follows)
            for key, mention in mentions.items()
        ]

    def mentions(self, text: str) -> list[Mention]:
        """Where `text` names concepts, in its order; nothing of text whose letters have another
        form (full-width ones)."""
        if not unicodedata.is_normalized("NFKC", text) or len(normal(text)) != len(text):
            return []
        found = []
        for mention in self._mentions(text):
            name, _, rest = self._lines[mention.key].partition("|")
            kind = rest.partition("|")[0].strip()
            found.append(Mention(name.strip(), kind, mention.start, mention.end))
        return found

    def _mentions(self, prompt: str) -> Iterator[_Mention]:
        text = normal(prompt)
        places = list(WORD.finditer(text))
        said = [place.group() for place in places]

        def content(word: int, gap: int) -> bool:
            """Whether a word says something and only a space or hyphen is in the gap behind
            another."""
            if not (0 <= word < len(said) and said[word] not in STOPWORDS):
                return False
            return text[places[gap].end() : places[gap + 1].start()] in _JOINTS

        at = 0
        while at < len(said):
            for length in range(min(_LONGEST, len(said) - at), 0, -1):
                name = tuple(said[at : at + length])
                name = self._called.get(name, name)
                if name not in self._lines:
                    name = self._stemmed.get(tuple(map(stem, name)), ())
                if name and not (length == 1 and _says_little(said[at : at + 2])):
                    if not negated(said[max(0, at - 2) : at]):
                        end = at + length
                        around = content(end, end - 1), content(at - 1, at - 1)
                        yield _Mention(name, *around, places[at].start(), places[end - 1].end())
                    at += length
                    break
            else:
                at += 1

    def _read(self, key: tuple[str, ...]) -> Concept:
        line = self._lines[key]
        try:
            return Concept.read(line)
        except ValueError as error:
            where = self.path or "concepts"
            raise ModelError(f"{where}: {error} in the line of '{line[:40]}'") from error

    def notes(self, prompt: str, dialect: str, n: int, rng: random.Random) -> list[Note]:
        """Up to `n` phrases about what a prompt names, or of anything, in random order.

        Raises:
            ModelError: a line of the file is damaged.
        """
        told = notes_of(prompt, self.named(prompt), dialect, n, rng)
        if not told and (ANYTHING,) in self._lines and words(prompt):
            told = notes_of(prompt, [self._read((ANYTHING,))], dialect, n, rng)
        return told


def file_of(folder: Path) -> Path | None:
    """The file of a model folder: FILE, which may be edited, else PACKED."""
    return next((folder / name for name in (FILE, PACKED) if (folder / name).is_file()), None)


def _says_little(pair: list[str]) -> bool:
    """Whether the first of two words (or the only one) names no thing by itself."""
    word, *following = pair
    return word in STOPWORDS or (word in LENT and bool(set(following) - STOPWORDS))


def _name(line: str) -> tuple[str, ...]:
    """The words of a line's name."""
    name = line.partition("|")[0]
    # Of plain letters, as most are, these are what `words` finds, in a third of its time.
    plain = name.isascii() and name.islower() and name.replace(" ", "").isalpha()
    return tuple(name.split() if plain else words(name))
