"""Downloads from the Hugging Face hub: only when asked, only the files that are read, resumable."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from pathlib import Path

from ..errors import BeautifulPromptError, ModelError
from .checkpoint import WEIGHT_FILES, read_json
from .folder import download_folder

Progress = Callable[[str, int, int], None]

_NEEDED = ("config.json", "tokenizer.json")


def download(repo_id: str, progress: Progress | None = None, folder: Path | None = None) -> Path:
    """Fetch a model; a broken download goes on where it stopped.

    Args:
        repo_id: "owner/name" on the hub.
        progress: called with a file's name, the bytes of it that are here, and its size in bytes.
            What it raises stops the download.
        folder: where the model's files go; its place under `models_dir()` when None.

    Returns:
        The model's folder.

    Raises:
        ModelError: no such model, no network, or not a model that can run.
    """
    import huggingface_hub

    folder = download_folder(repo_id) if folder is None else folder
    try:
        info = huggingface_hub.HfApi().model_info(repo_id, files_metadata=True)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        for name in _NEEDED:
            if name not in sizes:
                raise ModelError(f"{repo_id} has no {name}: it cannot be used, choose another")
        weights = next((name for name in WEIGHT_FILES if name in sizes), None)
        if weights is None:
            raise ModelError(f"{repo_id} has none of {', '.join(WEIGHT_FILES)}: choose another")
        names = [name for name in ("beautifulprompt.json", *_NEEDED) if name in sizes]
        for name in [*names, weights]:
            _fetch(repo_id, name, sizes[name], folder, progress)
        if weights.endswith(".index.json"):
            shards = read_json(folder / weights).get("weight_map") or {}
            for name in sorted(set(shards.values())):
                _fetch(repo_id, name, sizes.get(name, 0), folder, progress)
    except BeautifulPromptError:
        raise
    except Exception as error:  # three HTTP libraries, by huggingface_hub's version
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{repo_id} could not be downloaded ({line}): check the name and the network and "
            f"download it again, or put its files into {folder}"
        ) from error
    return folder


def _fetch(repo_id: str, name: str, size: int, folder: Path, progress: Progress | None) -> None:
    from huggingface_hub import hf_hub_download

    options = {}
    if progress is not None:
        progress(name, 0, size)
        if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
            options["tqdm_class"] = _bar(name, size, progress)
    hf_hub_download(repo_id, name, local_dir=folder, **options)
    if progress is not None:
        progress(name, size, size)


def _bar(name: str, size: int, progress: Progress) -> type:
    """A progress bar class that draws nothing and tells `progress` instead."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **{**kwargs, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            progress(name, min(int(self.n), size), size)
            return shown

    return Bar
