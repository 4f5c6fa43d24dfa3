"""The words that a small writer may add: a file beside its weights names them.

A small model sometimes joins pieces of words to what is none ("foccus"). The file holds every word
of the texts that it was taught from and of its notes; a prompt brings its own.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import cached_property
from pathlib import Path

from .word_lists import read_beside
from .words import stem, words

FILE = "words.txt"

# 85mm, 1920s, 17th, 3d, f/2.8: a figure with its unit or ending.
_FIGURE = re.compile(r"f?\d+(?:[.,]\d+)*(?:mm|cm|m|k|mp|am|pm|s|d|th|st|nd|rd|x)?")


class Lexicon:
    """The words of a file, which is read when the first word is asked for.

    Args:
        path: a text file, words parted by white space; "#" begins a comment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def load(cls, folder: Path) -> Lexicon | None:
        """That of a model folder; None where it has no such file."""
        path = folder / FILE
        return cls(path) if path.is_file() else None

    @cached_property
    def known(self) -> frozenset[str]:
        """The words, lower-case.

        Raises:
            ModelError: the file cannot be read.
        """
        return frozenset(" ".join(read_beside(self.path)).split())

    def unknown(self, text: str, also: Container[str] = ()) -> list[str]:
        """The words of `text` that are neither in the file nor in `also`, in order.

        Plural and simple inflection of a word that is known, and figures with a unit, pass.
        """
        return [
            word
            for word in words(text)
            if not (
                word in self.known
                or word in also
                or _FIGURE.fullmatch(word)
                or word.removesuffix("'s") in self.known
                or stem(word) in self.known
                or stem(word) in self._stems
            )
        ]

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(map(stem, self.known))


def write(path: Path, texts: list[str]) -> None:
    """Make the file of the words of `texts`."""
    known = sorted({word for text in texts for word in words(text)})
    head = "# Every word that the writer was taught from or reads in its notes; it adds no other.\n"
    path.write_text(head + "\n".join(known) + "\n", encoding="utf-8")
