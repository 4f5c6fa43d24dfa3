"""Model names as the node shows them: the starter, `models/beautifulprompt`, published ids."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from ..bp_core.errors import ModelError
from ..bp_core.models.template import KNOWN_MODELS
from .memory import AUTO

FOLDER = "beautifulprompt"
STARTER = "starter"
NO_REWARD = "none"


def register() -> None:
    """Tell ComfyUI of the folder, behind those that extra_model_paths.yaml names; make it, so
    that there is a place to put models into."""
    import folder_paths

    folder = os.path.join(folder_paths.models_dir, FOLDER)
    folder_paths.add_model_folder_path(FOLDER, folder)
    with contextlib.suppress(OSError):  # read-only: one can do without
        os.makedirs(folder, exist_ok=True)


def rewriters() -> list[str]:
    """Names for the model widget: the starter, local folders, then published ids."""
    published = {_folder_name(name) for name in KNOWN_MODELS}
    local = [name for name in _local("rewriter") if name not in published]
    return [STARTER, *local, *KNOWN_MODELS]


def rewards() -> list[str]:
    """Names for the reward widget."""
    return [STARTER, NO_REWARD, *_local("reward")]


def judges() -> list[str]:
    """Names for the widget of a node that may have the reward model of a rewriter."""
    return [AUTO, *_local("reward")]


def find_rewriter(name: str) -> Path | None:
    """The folder of a name from `rewriters`; None for a published model that is not here.

    Raises:
        ModelError: the name is not in the list.
    """
    if name == STARTER:
        from ..bp_core.models.folder import BUNDLED

        return BUNDLED
    if name in KNOWN_MODELS:
        local = _local("rewriter")
        matches = [local[n] for n in (_folder_name(name), name.rpartition("/")[2]) if n in local]
        return matches[0] if matches else _elsewhere(name)
    return _chosen(name, "rewriter")


def find_reward(name: str) -> Path | None:
    """The folder of a name from `rewards`; None for the starter's own."""
    return None if name == STARTER else _chosen(name, "reward")


def download(name: str, progress: Callable[[str, int, int], None]) -> Path:
    """Fetch a published model into `models/beautifulprompt`; raises ModelError."""
    from ..bp_core.models.hub import download as fetch

    return fetch(name, progress, folder=roots()[0] / _folder_name(name))


def missing(name: str) -> str:
    """What to do about a published model that is not here."""
    return (
        f"{name} is not on this machine: turn on 'download', or put its files into "
        f"{roots()[0] / _folder_name(name)}"
    )


def roots() -> list[Path]:
    """The folders that models may lie in; the first is where downloads go."""
    import folder_paths

    return [Path(path) for path in folder_paths.get_folder_paths(FOLDER)]


def _local(kind: str) -> dict[str, Path]:
    """Folders of a kind by name. Reads no weights: the list is made whenever the page asks."""
    folders: dict[str, Path] = {}
    for root in roots():
        for config in sorted(root.glob("*/config.json")):
            folder = config.parent
            if _kind(folder) == kind:
                folders.setdefault(folder.name, folder)
    return folders


def _kind(folder: Path) -> str:
    """A folder's kind as it says itself; one that says nothing is shown, and fails with reason."""
    try:
        about = json.loads((folder / "beautifulprompt.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "rewriter"
    return about.get("kind", "rewriter") if isinstance(about, dict) else "rewriter"


def _chosen(name: str, kind: str) -> Path:
    local = _local(kind)
    if name in local:
        return local[name]
    other, widget = ("reward", "reward") if kind == "rewriter" else ("rewriter", "model")
    if name in _local(other):
        raise ModelError(f"'{name}' is a {other} model: choose it under '{widget}'")
    raise ModelError(
        f"no model '{name}' in {roots()[0]}: put its folder there, or choose '{STARTER}'"
    )


def _elsewhere(name: str) -> Path | None:
    """A published model that another program downloaded on this machine."""
    from ..bp_core.models.folder import find

    try:
        return find(name)
    except ModelError:
        return None


def _folder_name(name: str) -> str:
    return name.replace("/", "--")
