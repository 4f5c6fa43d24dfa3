"""Model folders: where they are, what they are called, and what they say about themselves."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from ..errors import ModelError
from ..settings import DIALECTS
from . import STARTER
from .checkpoint import read_json, weight_files
from .gguf_file import GGUF, file_of
from .template import KNOWN_MODELS, TEMPLATES, Template

BUNDLED = Path(__file__).parents[1] / "starter"
FOLDER_VARIABLE = "BEAUTIFULPROMPT_DIR"
_ABOUT = "beautifulprompt.json"


@dataclass(frozen=True)
class ModelInfo:
    """A model that is on this machine.

    Attributes:
        name: what `load` takes.
        size: bytes of its weight files.
        kind: "rewriter" or "reward".
        template: its name; "" for a reward model.
    """

    name: str
    path: Path
    size: int
    kind: str
    template: str


def find(model: str | Path) -> Path:
    """The folder that a name means; raises ModelError with the remedy when there is none."""
    if model == STARTER:
        if not (BUNDLED / "config.json").is_file():
            raise ModelError(f"the bundled starter is missing from {BUNDLED}: reinstall")
        return BUNDLED
    try:
        path = Path(model).expanduser()
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, RuntimeError, ValueError) as error:
        name = shorten(str(model), 80, placeholder=" …")
        raise ModelError(
            f"no model can be named {name[:80]!r} ({error.__class__.__name__}): "
            "`bp models` lists what there is"
        ) from error
    if path.is_dir():
        return path
    if path.is_file() and path.suffix == ".gguf":
        return path
    if path.is_file():
        raise ModelError(f"{path} is a file: give the model folder that holds it")
    if isinstance(model, str):
        local = next((p for p in _local(model) if _is_model(p)), None)
        if local:
            return local
        if re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            raise ModelError(f"{model} is not downloaded: run `bp models --download {model}`")
    raise ModelError(
        f"no model '{model}' here or in {models_dir()}: `bp models` lists what there is"
    )


def available(folder: Path | None = None) -> list[ModelInfo]:
    """Whole models on this machine: the starter, those in `folder` (default `models_dir()`), and
    known ones in the hub's cache."""
    folder = models_dir() if folder is None else folder
    found = [BUNDLED, *sorted(p for p in folder.glob("*") if p.is_dir())]
    found += [path for name in KNOWN_MODELS if (path := _cached(name)) is not None]
    infos = []
    for path in found:
        try:
            kind, template = about(path)
            size = sum(file.stat().st_size for file in weight_files(path))
        except ModelError:
            continue
        infos.append(ModelInfo(name_of(path), path, size, kind, template.name if template else ""))
    return infos


def models_dir() -> Path:
    """Where the user's models live: $BEAUTIFULPROMPT_DIR, else the platform's data folder."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "beautifulprompt" / "models"


def download_folder(repo_id: str) -> Path:
    """Where `hub.download` puts a hub model."""
    return models_dir() / repo_id.replace("/", "--")


def read_about(folder: Path) -> dict:
    """All that a folder's beautifulprompt.json says; raises ModelError."""
    return read_json(folder / _ABOUT)


def dialects(folder: Path) -> tuple[str, ...]:
    """The dialects that a folder says its model writes; all, where it says nothing.

    Raises:
        ModelError: it names one that does not exist.
    """
    path, about_it = _stated(folder)
    stated = (about_it or {}).get("dialects")
    if stated is None:
        return DIALECTS[1:]
    named = isinstance(stated, list) and all(isinstance(name, str) for name in stated)
    if not named or not stated or not set(stated) <= set(DIALECTS[1:]):
        raise ModelError(f"{path}: 'dialects' must list some of {', '.join(DIALECTS[1:])}")
    return tuple(stated)


def composes(folder: Path) -> bool:
    """Whether a folder says that its model's additions are chosen from its notes.

    Raises:
        ModelError: it says neither true nor false.
    """
    path, about_it = _stated(folder)
    stated = (about_it or {}).get("composes", False)
    if not isinstance(stated, bool):
        raise ModelError(f"{path}: 'composes' must be true or false")
    return stated


def about(folder: Path) -> tuple[str, Template | None]:
    """A folder's kind, and its template if it is a rewriter."""
    path, stated = _stated(folder)
    if stated is None:
        known = KNOWN_MODELS.get(_hub_id(folder))
        if known is None:
            raise ModelError(
                f"{path} is missing: write there which template the model was taught, as in "
                '{"kind": "rewriter", "template": {"name": "v1"}}'
            )
        return "rewriter", TEMPLATES[known]
    kind = stated.get("kind")
    if kind == "reward":
        return kind, None
    if kind != "rewriter":
        raise ModelError(f"{path} says kind {kind!r}: it must be 'rewriter' or 'reward'")
    fields = stated.get("template")
    if isinstance(fields, dict) and all(isinstance(text, str) for text in fields.values()):
        if set(fields) == {"name"} and fields["name"] in TEMPLATES:
            return kind, TEMPLATES[fields["name"]]
        needed = {"name", "rewrite", "expand"}
        if needed <= set(fields) <= needed | {"lead", "judge"}:
            return kind, Template(**fields)
    raise ModelError(
        f"{path}: 'template' must have 'name', 'rewrite', 'expand' and may have 'lead' and "
        f"'judge', or be one of {', '.join(TEMPLATES)} by 'name'"
    )


def _stated(folder: Path) -> tuple[Path, dict | None]:
    """Where a model should say what it is, and what it says: in beautifulprompt.json, or in a GGUF
    file of ours; None where it says nothing."""
    path = (folder.parent if folder.is_file() else folder) / _ABOUT
    if path.is_file():
        return path, read_json(path)
    file = file_of(folder)
    return path, None if file is None else GGUF(file).about()


def _hub_id(folder: Path) -> str:
    """The known hub id that a folder is named after, however it was fetched; else ""."""
    for name in KNOWN_MODELS:
        owner, _, short = name.partition("/")
        plain = {short, f"{owner}--{short}"}
        if folder.name in plain or folder.parent.parent.name == f"models--{owner}--{short}":
            return name
    return ""


def name_of(folder: Path) -> str:
    """What `find` takes for a folder."""
    if folder == BUNDLED:
        return STARTER
    return _hub_id(folder) or (folder.name if folder.parent == models_dir() else str(folder))


def _local(model: str) -> Iterator[Path]:
    """Where a name that is no path may be found."""
    yield models_dir() / model
    yield download_folder(model)
    yield models_dir() / model.rpartition("/")[2]
    if "/" in model and (cached := _cached(model)) is not None:
        yield cached


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path.is_dir() and file_of(path) is not None)


def _cached(repo_id: str) -> Path | None:
    """A hub id's folder in the cache that other programs share."""
    from huggingface_hub import try_to_load_from_cache

    try:
        file = try_to_load_from_cache(repo_id, "config.json")
    except ValueError:  # not a hub id
        return None
    return Path(file).parent if isinstance(file, str) else None
