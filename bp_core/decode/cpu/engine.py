"""Chooses what runs a network on a CPU, once, when it is loaded.

numba's engine is the faster one and has to be compiled first, which takes half a minute once on a
machine; FBGEMM's is there at once, on x86. So: numba's where its compiled code is kept and checked,
else FBGEMM's in this process, while another compiles for the next.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import ModelError
from ..config import Config
from ..generate import Network
from ..transformer import Transformer
from . import fbgemm, numba_layers, self_check
from .rounding import Nibbles, Rounded

KINDS = "float16", "int8"

# Below this many weights those of half precision, which change no text, cost little more.
_WORTH_8_BITS = 50_000_000


def best_kind(config: Config) -> str | None:
    """How to pack a network on this machine; None to leave it as it is."""
    kind = "int8" if config.parameters >= _WORTH_8_BITS else "float16"
    return kind if fbgemm.has(kind) or self_check.compile_now(kind) else None


def pack(
    network: Transformer,
    kind: str,
    rounded: Mapping[str, Rounded | Nibbles] | None = None,
    lasting: bool = True,
) -> Network:
    """A network with its weights packed, over the engine that suits it; the network is used up.

    Args:
        kind: one of KINDS.
        rounded: for "int8", what `round_all` once made of these weights.
        lasting: the process will decode more than a prompt or two: what takes a second to load
            may pay.

    Raises:
        ModelError: this machine has no engine for this kind.
    """
    if kind not in KINDS:
        raise ModelError(f"weights cannot be packed as {kind}: use {' or '.join(KINDS)}")
    engine = _choose(kind, lasting or network.config.parameters >= _WORTH_8_BITS)
    if engine == "fbgemm":
        return fbgemm.FbgemmNetwork(network, kind, rounded)
    from .numba_network import NumbaNetwork

    return NumbaNetwork(network, kind, rounded)


def _choose(kind: str, worth_loading: bool) -> str:
    if not fbgemm.has(kind):
        if self_check.compile_now(kind):
            return "numba"
        raise ModelError(
            f"{kind} weights cannot be packed on this machine: use dtype float32, or install "
            'numba: pip install "beautifulprompt[fast]"'
        )
    if worth_loading and numba_layers.installed():
        passed = self_check.passed(kind)
        self_check.start(kind)
        if passed:
            return "numba"
    return "fbgemm"
