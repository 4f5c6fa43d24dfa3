"""The running WebUI, whichever of the family it is; every difference between them is in here."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bp_core.text.image_model import ImageModel, naming

from . import tokens

if TYPE_CHECKING:
    import torch

# SD.Next's compel joins prompts, and its texts for further encoders begin behind a mark: what is
# added at the end would be no prompt any more, or go to one encoder alone.
_JOINED = re.compile(r"\)\s*\.\s*(?:blend|and|swap)\s*\(")
_FURTHER_ENCODER = re.compile(r"TE[234]:")
_COMPEL_WEIGHT = re.compile(r"[\w)](?:\+{1,4}|-{1,4})(?![\w+-])|\)\d*\.\d+")


class WebUI:
    """AUTOMATIC1111, Forge, Forge Neo, reForge, SD.Next: through the modules that this one has."""

    @contextmanager
    def quiet(self, wait: bool) -> Iterator[bool]:
        """Hold the generation queue and the lock of the first model load.

        Never call it from a hook of a job: the queue is held by the job, and is not re-entrant.
        """
        from modules.call_queue import queue_lock

        locks = [queue_lock]
        data = getattr(_module("modules.sd_models"), "model_data", None)
        if hasattr(data, "lock"):
            locks.append(data.lock)
        with ExitStack() as stack:
            for lock in locks:
                if not lock.acquire(blocking=wait):
                    yield False
                    return
                stack.callback(lock.release)
            yield True

    def accelerator(self) -> torch.device | None:
        from modules import devices

        device = getattr(devices, "device", None)
        return None if device is None or device.type in ("cpu", "meta") else device

    @property
    def syntax(self) -> str:
        """The table of what this host reads as syntax, as `Settings.syntax` has it."""
        if not tokens.is_sdnext():
            return "webui"
        parser = str(getattr(self.options(), "prompt_attention", ""))
        return {"compel": "invoke", "fixed": "plain"}.get(parser, "sdnext")

    def make_room(self, size: int) -> None:
        memory = _module("backend.memory_management") or _module(
            "ldm_patched.modules.model_management"
        )
        if hasattr(memory, "free_memory"):
            memory.free_memory(size, memory.get_torch_device())
            return
        lowvram = _module("modules.lowvram")
        if lowvram is not None:
            lowvram.send_everything_to_cpu()

    def collect(self) -> None:
        from modules import devices

        devices.torch_gc()

    def interrupted(self) -> bool:
        from modules import shared

        return bool(shared.state.interrupted or shared.state.skipped)

    def say(self, text: str) -> None:
        """One line beside the progress bar of the running job."""
        from modules import shared

        shared.state.textinfo = text

    def options(self) -> Any:
        from modules import shared

        return shared.opts

    def flags(self) -> Any:
        """The command line's."""
        from modules import shared

        return shared.cmd_opts

    def models_folder(self) -> Path:
        from modules import paths

        return Path(paths.models_path) / "beautifulprompt"

    def count_tokens(self, prompt: str) -> int:
        """Length of a prompt in the loaded checkpoint's tokens, as the host's own counter has it.

        Never makes the host load a checkpoint: without one the count is an estimate.
        """
        return tokens.count(prompt)

    def structure(self, prompt: str, mode: str) -> str:
        """Why this host's parser would read `prompt` as another one once it is rewritten; or ""."""
        if _module("modules.prompt_parser_diffusers") is None:
            return ""
        parser = str(getattr(self.options(), "prompt_attention", ""))
        if _FURTHER_ENCODER.search(prompt):
            return "it has a part of its own for a further text encoder"
        if parser == "compel" and _JOINED.search(prompt):
            return "compel joins several prompts in it"
        if parser == "compel" and mode == "rewrite" and _COMPEL_WEIGHT.search(prompt):
            return "compel weights words of it: use the mode expand"
        return ""

    def infotext_takes_functions(self) -> bool:
        """Whether the infotext's entries may be functions of an image's prompt, or text only."""
        from modules.processing import create_infotext

        return "callable" in getattr(create_infotext, "__code__", self._none).co_names

    _none = SimpleNamespace(co_names=())

    def image_model(self) -> ImageModel:
        """What is known of the checkpoint that is loaded, or of the one that is to be.

        Never makes the host load one: Forge does so only when a picture is asked for.
        """
        model = getattr(getattr(_models(), "model_data", None), "sd_model", None)
        about = getattr(model, "sd_checkpoint_info", None)
        loaded = str(getattr(about, "name", None) or "")
        selected = str(getattr(self.options(), "sd_model_checkpoint", None) or loaded)
        if not loaded or _stem(loaded) != _stem(selected):
            return ImageModel((), "", (selected,) if selected else ())
        metadata = getattr(about, "metadata", None)
        names = naming(metadata) if isinstance(metadata, dict) else ()
        return ImageModel(_encoders(model), type(model).__name__, (loaded, *names))

    def trigger_words(self, prompt: str) -> list[str]:
        """Activation texts of the LoRAs that `prompt` names, from the files beside them."""
        networks = _module("networks") or sys.modules.get("modules.lora.lora_load")  # SD.Next
        known: dict[str, Any] = {}
        for table in ("available_networks", "available_network_aliases"):
            known |= getattr(networks, table, None) or {}
        words: list[str] = []
        for name in re.findall(r"<(?:lora|lyco):([^:>]+)", prompt):
            filename = getattr(known.get(name.strip()), "filename", None)
            words += _activation(Path(filename)) if filename else []
        return words

    def report(self, message: str) -> None:
        """An unexpected error with its traceback, to the console."""
        from modules import errors

        errors.report(message, exc_info=True)


def _module(name: str) -> Any:
    """A module of the host if this host has it; `networks` only once it is loaded."""
    if name in sys.modules:
        return sys.modules[name]
    if name == "networks":
        return None
    try:
        return import_module(name)
    except ImportError:
        return None


def _models() -> Any:
    """The module that holds the loaded checkpoint."""
    module = _module("modules.sd_models")
    return module if hasattr(module, "model_data") else _module("modules.modeldata")


def _stem(name: str) -> str:
    """A checkpoint's file name without folder, ending and hash: hosts mix these forms."""
    name = re.sub(r" \[[0-9a-f]+\]$", "", name)
    name = re.split(r"[/\\]", name)[-1]
    return re.sub(r"\.(safetensors|ckpt|pt|gguf|sft)$", "", name, flags=re.IGNORECASE).lower()


def _encoders(model: Any) -> tuple[str, ...]:
    """Names or classes of a loaded checkpoint's text encoders."""
    clip = getattr(getattr(model, "forge_objects", None), "clip", None)
    stage = getattr(clip, "cond_stage_model", None)  # Forge, Forge Neo, reForge
    if stage is not None:
        return tuple(name for name, _ in stage.named_children())
    parts = (getattr(model, f"text_encoder{i}", None) for i in ("", "_2", "_3"))  # SD.Next
    classes = tuple(type(part).__name__ for part in parts if part is not None)
    if classes:
        return classes
    # AUTOMATIC1111 knows two kinds: CLIP alone, and SD 3, which its class tells.
    clip_alone = any(getattr(model, f"is_{kind}", False) for kind in ("sd1", "sd2", "sdxl"))
    return ("clip",) if clip_alone else ()


def _activation(weights: Path) -> list[str]:
    """What the artist filled in beside the weights; where that is nothing, what its page says."""
    try:
        about = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        words = str(about.get("activation text") or "").split(",")
        versions = [about, *(about.get("modelVersions") or [])]  # as SD.Next stores them
        trained = [v.get("trainedWords") for v in versions if v.get("trainedWords")]
        if not any(word.strip() for word in words) and trained:
            words = [word for text in trained[0] for word in str(text).split(",")]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
    return [word.strip() for word in words if word.strip()]
