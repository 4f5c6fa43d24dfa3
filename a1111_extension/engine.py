"""One rewriter in memory, used by one caller at a time: loading, device, unloading.

It knows no WebUI; what it must ask of one goes through a `Host`.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bp_core.errors import ModelError

if TYPE_CHECKING:
    import torch

    from bp_core import Rewriter

DEVICES = ("auto", "always CPU", "unload after use")
# A smaller model is no slower on a CPU, and leaves the GPU to the pictures.
_WORTH_A_GPU = 200 * 2**20  # bytes of weights
# Activations and key/value cache beside the weights, as a share of them.
_ROOM = 1.5


class Host(Protocol):
    """What the engine asks of the WebUI."""

    def quiet(self, wait: bool) -> AbstractContextManager[bool]:
        """Hold off the host's own work; gives whether that was possible without waiting."""

    def accelerator(self) -> torch.device | None:
        """The device of the pictures, None for a CPU."""

    def make_room(self, size: int) -> None:
        """Move the host's models off the accelerator until `size` bytes are free."""

    def collect(self) -> None:
        """Give cached memory back."""


class Engine:
    """Holds at most one rewriter; `use` gives it to one caller at a time."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._key: tuple[str, str | None] | None = None
        self._rewriter: Rewriter | None = None

    @contextmanager
    def use(self, model: str, policy: str, *, exclusive: bool) -> Iterator[Rewriter]:
        """The rewriter of `model`, on its device while the context lasts.

        Args:
            model: a name for `bp_core.models.load.find`; "" for the bundled starter.
            policy: one of DEVICES.
            exclusive: the caller holds the host's queue, as a hook does: nothing renders, and no
                checkpoint is being loaded.

        Raises:
            ModelError: the model is missing or damaged.
        """
        with ExitStack() as held:
            rewriter = self._enter(held, model, policy, exclusive)
            if rewriter is None:
                # Never wait for the queue with our own lock: a hook holds the one, and may be
                # waiting for the other.
                held.close()
                held.enter_context(self._host.quiet(wait=True))
                rewriter = self._enter(held, model, policy, exclusive=True)
            yield rewriter

    def _enter(self, held: ExitStack, model: str, policy: str, exclusive: bool) -> Rewriter | None:
        """The rewriter, ready to use until `held` ends; None if only the queue makes it sound."""
        held.enter_context(self._lock)
        device = self._device(model, policy)
        # None: packed for the CPU, the fastest there, and bound to it.
        dtype = None if device is None else "float16"
        if device is not None and not exclusive:
            # Nothing may be rendered, or begin to be, while we are on the accelerator.
            exclusive = held.enter_context(self._host.quiet(wait=False))
            if not exclusive:
                # A big model, packed in 8 bits, would write another text than there.
                device, dtype = None, "float32"
        rewriter = self._load(model, dtype, exclusive)
        if rewriter is None:
            return None
        unload = policy == DEVICES[2]
        if device is not None:
            self._host.make_room(int(weights_size(model) * _ROOM))
            held.callback(self._host.collect)
        if unload:
            held.callback(self._drop, exclusive)
        if device is not None:
            network = rewriter.model.network
            # The caller may hold the network a little longer, but not its memory.
            held.callback(_move, network, "meta" if unload else "cpu")
            _move(network, device)
        return rewriter

    def _drop(self, exclusive: bool) -> None:
        if self._rewriter is None:
            return
        self._rewriter = self._key = None
        # A collection ends whatever of the host's is in a cycle, in our thread: Forge Neo loses
        # its checkpoint when that happens while it counts its models.
        with self._alone(exclusive) as alone:
            if alone:
                gc.collect()

    def _alone(self, exclusive: bool) -> AbstractContextManager[bool]:
        """Whether the host does nothing, and keeps to that while the context lasts."""
        return nullcontext(True) if exclusive else self._host.quiet(wait=False)

    def _device(self, model: str, policy: str) -> torch.device | None:
        """The accelerator, when there is one and the model is worth it."""
        accelerator = None if policy == DEVICES[1] else self._host.accelerator()
        if accelerator is None or weights_size(model) < _WORTH_A_GPU:
            return None
        return accelerator

    def _load(self, model: str, dtype: str | None, exclusive: bool) -> Rewriter | None:
        key = (model, dtype)
        if self._rewriter is None or self._key != key:
            self._drop(exclusive)  # never two in memory
            self._rewriter = self._build(*key, exclusive)
            self._key = key
        return self._rewriter

    def _build(self, model: str, dtype: str | None, exclusive: bool) -> Rewriter | None:
        from bp_core import Rewriter
        from bp_core.models import STARTER
        from bp_core.models.folder import BUNDLED

        # Without a reward model there are rewrites still, only unranked.
        reward = "starter" if (BUNDLED / "reward").is_dir() else None

        def load() -> Rewriter:
            return Rewriter.load(model or STARTER, dtype=dtype, reward=reward)

        # While it loads a checkpoint the host replaces parts of torch: layers made meanwhile have
        # no values, or are of another class. So: with its queue held if that is free; else try,
        # and look at what came of it.
        with self._alone(exclusive) as alone:
            if alone:
                return load()
        try:
            rewriter = load()
        except Exception:  # a half-patched torch raises anything; the next try tells the truth
            return None
        return rewriter if _sound(rewriter) else None


def weights_size(model: str) -> int:
    """Bytes of a model's weight files; raises ModelError when it is missing or damaged."""
    from bp_core.models import STARTER
    from bp_core.models.checkpoint import weight_files
    from bp_core.models.folder import find

    return sum(Path(file).stat().st_size for file in weight_files(find(model or STARTER)))


def resident_names() -> list[str]:
    """Names of the rewriters on this machine, the bundled one first."""
    from bp_core.models.folder import available

    return [info.name for info in available() if info.kind == "rewriter"]


def checked_name(name: str) -> str:
    """`name` if it is a model of this machine's folders, so that no remote caller names a path.

    A damaged model in the folder passes: loading it then says what is wrong with it.
    """
    from bp_core.models.folder import models_dir

    plain = name not in ("", ".", "..") and not set(name) & set("/\\\0:")
    if plain and (models_dir() / name).is_dir():
        return name
    names = resident_names()
    if name in names:
        return name
    raise ModelError(f"no model '{name}' here: choose one of {', '.join(names) or 'none'}")


def _move(network: Any, device: torch.device | str) -> None:
    getattr(network, "model", network).to(device)


def _sound(rewriter: Rewriter) -> bool:
    network = rewriter.model.network
    modules = getattr(network, "model", network)
    return not any(tensor.is_meta for tensor in [*modules.parameters(), *modules.buffers()])
