"""The running WebUI, whichever of the family it is; every difference between them is in here."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bp_core.text.image_model import ImageModel, naming

if TYPE_CHECKING:
    import torch

# Words and marks: about what CLIP's tokenizer makes of them. Used until a checkpoint is loaded.
_ROUGH_TOKEN = re.compile(r"\w+|[^\w\s]")


class WebUI:
    """AUTOMATIC1111, Forge, Forge Neo or reForge, through the modules that this one has."""

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
        extra_networks = _module("modules.extra_networks")
        try:
            text = extra_networks.parse_prompt(prompt)[0]
            count = int(_counter()(text)[0])
        except Exception:  # each host raises its own when there is no checkpoint yet
            return len(_ROUGH_TOKEN.findall(re.sub(r"<[^>]*:[^>]*>", "", prompt)))
        return count

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
        networks = _module("networks")
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


def _counter() -> Any:
    """The host's function from a prompt to (tokens, room)."""
    model = import_module("modules.sd_models").model_data.sd_model
    if hasattr(model, "get_prompt_lengths_on_ui"):  # Forge, Forge Neo
        return model.get_prompt_lengths_on_ui
    hijack = import_module("modules.sd_hijack").model_hijack
    stage = getattr(model, "cond_stage_model", None)
    if "cond_stage_model" in hijack.get_prompt_lengths.__code__.co_varnames:  # reForge
        return lambda text: hijack.get_prompt_lengths(text, stage)
    return hijack.get_prompt_lengths


def _activation(weights: Path) -> list[str]:
    try:
        about = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
        text = about.get("activation text")
    except (OSError, ValueError, AttributeError):
        return []
    return [word.strip() for word in str(text or "").split(",") if word.strip()]
