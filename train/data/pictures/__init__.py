"""Prompts that image generators wrote into their pictures.

containers  what a PNG, JPEG or WebP file carries as text, in plain sight or not
tools       what each program means by it: positive prompt, and what the artist typed
comfyui     the same for ComfyUI, whose text is a graph
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bp_core.errors import InputError
from train.data.pictures.containers import Unreadable, texts_of
from train.data.pictures.tools import Found, prompt_in

__all__ = ["Found", "Unreadable", "pictures_in", "read_picture"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def pictures_in(folder: Path) -> list[Path]:
    """All PNG, JPEG and WebP files of a folder and those in it, in order; InputError for none."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: give the one with your pictures")
    found = [p for p in _files(folder) if p.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError(f"{folder} has no PNG, JPEG or WebP file: give another folder")
    return sorted(found)


def _files(folder: Path) -> Iterator[Path]:
    # Previews and bins of file managers, and what begins with a dot, are nobody's pictures.
    for path in folder.rglob("*"):
        if path.is_file() and not any(part[0] == "." for part in path.relative_to(folder).parts):
            yield path


def read_picture(path: Path) -> Found | None:
    """The prompt that a picture was made from; None where it carries none.

    Raises:
        Unreadable: it is no whole picture.
    """
    return prompt_in(texts_of(path))
