"""Taste: how likely a reader finds that a phrase suits the prompt that it is added to.

A reward of whole prompts hardly knows what goes with what: "sunset" pleases it under water,
"fluffy" behind a loaf of bread. Two small networks, one over the reward trunk's vector of the
prompt, one over that of the phrase, learned what a reader said of phrases that the bundled model
had added (`train/taste.py`). What does not suit is not added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import linear, relu

from ..errors import ModelError
from ..models.folder import find
from .text_reward import BUNDLED_REWARD, TextReward

FILE = "taste.safetensors"
HIDDEN, WIDTH = 256, 128
# Phrases that are remembered: a model says the same few thousand again and again.
_REMEMBERED = 16_384


def shapes(size: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights, for vectors of `size`; `train/taste.py` names them so.

    `mean` and `std` standardise vectors; each text's network has two layers, and a third for what
    it says by itself: prompts at large take more or less, and "sharp focus" suits most of them.
    """
    found: dict[str, tuple[int, ...]] = {"mean": (size,), "std": (size,)}
    for text in ("prompt", "phrase"):
        layers = {f"{text}.1": (HIDDEN, size), f"{text}.4": (WIDTH, HIDDEN)}
        layers[f"{text}_alone"] = (1, WIDTH)
        for name, shape in layers.items():
            found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def standard(vectors: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Vectors (n, size) of about norm 1, whose components vary alike."""
    return (vectors - mean) / (std * len(mean) ** 0.5)


def fingerprint(reader: TextReward) -> str:
    """A short hash of a reward's head, which no other reward has."""
    head = reader.head.float().cpu().flatten().tolist()
    return hashlib.sha256(repr(head).encode()).hexdigest()[:16]


class Taste:
    """What suits a prompt, by its weights and the reward that reads for them.

    The weights are plain tensors: hosts put classes of their own in place of torch's layers.

    Args:
        weights: as `shapes` names them, float32 on the CPU.
        reader: the reward on whose trunk's vectors they were trained.
    """

    def __init__(self, weights: Mapping[str, Tensor], reader: TextReward) -> None:
        self.weights, self.reader = weights, reader
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    @classmethod
    def load(cls, folder: Path, reader: TextReward) -> Taste:
        """From a reward folder; raises ModelError where its file is not this reward's."""
        from safetensors import safe_open

        path = folder / FILE
        try:
            with safe_open(path, framework="pt") as file:
                about, names = file.metadata() or {}, file.keys()
                weights = {name: file.get_tensor(name).float() for name in names}
        except Exception as error:
            raise ModelError(f"cannot read {path} ({error}): make it with train/taste.py") from None
        wanted = shapes(reader.trunk.config.hidden_size)
        fits = {name: tuple(tensor.shape) for name, tensor in weights.items()} == wanted
        if not fits or about.get("reward") != fingerprint(reader):
            raise ModelError(f"{path} is not of the reward beside it: make it with train/taste.py")
        return cls(weights, reader)

    def of(self, prompt: str) -> PromptTaste:
        """What suits this prompt."""
        return PromptTaste(self, prompt)

    def ends(self, text: str, texts: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """What is multiplied, (128,), and added, (), for each text.

        Args:
            text: "prompt" or "phrase", which the texts are.
        """
        w = self.weights
        vectors = standard(self.reader.vectors(texts), w["mean"], w["std"])
        hidden = relu(linear(vectors, w[f"{text}.1.weight"], w[f"{text}.1.bias"]))
        made = linear(hidden, w[f"{text}.4.weight"], w[f"{text}.4.bias"])
        alone = linear(made, w[f"{text}_alone.weight"], w[f"{text}_alone.bias"])
        return list(zip(made / WIDTH**0.25, alone.squeeze(-1), strict=True))

    def phrases(self, phrases: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
        """Their `ends`; new ones are read together."""
        asked = [phrase.lower() for phrase in phrases]
        known = self._known if len(self._known) < _REMEMBERED else {}
        new = [phrase for phrase in dict.fromkeys(asked) if phrase not in known]
        if new:
            known |= dict(zip(new, self.ends("phrase", new), strict=True))
        self._known = known
        return [known[phrase] for phrase in asked]

    def read(self, prompts: Sequence[PromptTaste], phrases: Sequence[str]) -> None:
        """Read all that will be asked about, together, which is faster than one by one."""
        new = [prompt for prompt in prompts if prompt.own is None]
        if new:
            for prompt, own in zip(new, self.ends("prompt", [p.text for p in new]), strict=True):
                prompt.own = own
        self.phrases(phrases)


class PromptTaste:
    """What suits one prompt, which is read when the first phrase is asked about.

    Attributes:
        text: the prompt.
        own: its `ends`, once it was read.
    """

    def __init__(self, taste: Taste, prompt: str) -> None:
        self._taste, self.text = taste, prompt
        self.own: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def __call__(self, phrases: Sequence[str]) -> list[float]:
        """That each phrase suits it (0-1)."""
        if not phrases:
            return []
        if self.own is None:
            self._taste.read([self], phrases)
        x, own = self.own
        y, its = map(torch.stack, zip(*self._taste.phrases(phrases), strict=True))
        return torch.sigmoid(y @ x + own + its).tolist()


def load_taste(path: str | Path | None = None, reader: TextReward | None = None) -> Taste:
    """The taste of a reward folder, or the bundled one where that has none; raises ModelError.

    Args:
        path: the folder; None for the bundled reward.
        reader: that folder's model, where it is loaded already.
    """
    folder = BUNDLED_REWARD if path is None else find(path)
    if not (folder / FILE).is_file():
        folder, reader = BUNDLED_REWARD, None
    return Taste.load(folder, reader or TextReward.load(folder))
