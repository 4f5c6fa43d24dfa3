"""Text reward models: how good a picture a prompt will make, told without rendering it.

A reward model is a BLOOM trunk with a scalar head that reads a filled text template. Two scores are
combined as in BeautifulPrompt (arXiv 2311.06752, section 3.3), as z-scores so that α is the
weighting that it says: r = α · z(r_ps(x, y)) + (1 - α) · z(r_aes(y)).

The folder's `beautifulprompt.json` says how a model is read:

    {"kind": "reward",
     "template": "{prompt}</s>",          what it reads; "{raw}" too when it judges relevance
     "pooling": "last" or "mean",         of the trunk's outputs over the tokens
     "scores": {"mean": …, "std": …},     of its outputs over held-out prompts: makes z-scores
     "vocabulary": "…",                   fingerprint of the tokenizer that it was trained with
     "tokenizer": "..",                   optional: the folder, relative, whose tokenizer it shares
     "kept": {"mean": …, "std": …},       optional: of the kept share, which stands in for r_ps
     "max_tokens": 256}                   optional: what it reads of longer texts
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..decode.threads import few_threads
from ..errors import InputError, ModelError
from ..models.checkpoint import read_json
from ..models.folder import BUNDLED, find
from ..models.network import load_network
from ..models.tokenizer import read_tokenizer, special_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..decode.transformer import Transformer

ALPHA = 0.7  # the paper's weight of relevance
HEAD = "score.weight"
POOLINGS = ("last", "mean")
BUNDLED_REWARD = BUNDLED / "reward"
_ROWS = 64  # texts in one forward


@dataclass(frozen=True)
class Constants:
    """Mean and standard deviation that turn a quantity into its z-score."""

    mean: float
    std: float

    def z(self, value):
        return (value - self.mean) / self.std


@dataclass(frozen=True)
class RewardTemplate:
    """The text that a reward model reads: `{prompt}` once, `{raw}` at most once."""

    text: str

    def __post_init__(self) -> None:
        slots = re.findall(r"\{(\w*)\}", self.text)
        if slots.count("prompt") != 1 or slots.count("raw") > 1 or len(set(slots)) != len(slots):
            raise ModelError(
                f"reward template {self.text!r} must hold {{prompt}} once and may hold {{raw}} "
                "once: mend beautifulprompt.json"
            )
        if set(slots) - {"prompt", "raw"}:
            raise ModelError(
                f"reward template {self.text!r} has an unknown slot: only {{prompt}} and {{raw}} "
                "are filled; mend beautifulprompt.json"
            )

    @property
    def needs_raw(self) -> bool:
        return "{raw}" in self.text

    def encode(
        self,
        tokenizer: Tokenizer,
        prompt: str,
        raw: str = "",
        control: frozenset[int] = frozenset(),
    ) -> list[int]:
        """Token ids of the filled template; its own text and the prose are encoded apart.

        White space in prose becomes single spaces, and a space that ends a piece of the template
        goes to the prose behind it, where the tokenizers of GPT-2's kin want it.

        Args:
            control: ids that prose may not produce: an end token typed by the artist is dropped.
        """
        ids: list[int] = []
        space = ""
        for piece in re.split(r"(\{prompt\}|\{raw\})", self.text):
            if piece in ("{prompt}", "{raw}"):
                prose = " ".join((prompt if piece == "{prompt}" else raw).split())
                found = tokenizer.encode(space + prose, add_special_tokens=False).ids
                ids += [i for i in found if i not in control]
            elif piece:
                fixed = piece.rstrip(" ")
                space = piece[len(fixed) :]
                ids += tokenizer.encode(fixed, add_special_tokens=False).ids if fixed else []
        return ids


# r_ps judges a rewrite against the raw prompt, r_aes alone (released code of BeautifulPrompt).
TEMPLATES = {
    "ps": RewardTemplate("Input: {raw}\nOutput: {prompt}</s>"),
    "aes": RewardTemplate("{prompt}</s>"),
}


def fingerprint(tokenizer: Tokenizer) -> str:
    """A short hash of a tokenizer's vocabulary."""
    vocabulary = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda v: v[1])
    return hashlib.sha256(repr(vocabulary).encode()).hexdigest()[:16]


def pool(hidden: Tensor, lengths: Tensor, pooling: str) -> Tensor:
    """One vector a row, (n, d), of right-padded trunk outputs (n, T, d); lengths (n,) in tokens."""
    if pooling == "last":
        return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
    mask = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
    return (hidden * mask[..., None].to(hidden.dtype)).sum(1) / lengths[:, None].to(hidden.dtype)


class TextReward:
    """One reward model; `score` gives z-scores.

    Attributes:
        template: what is read; `needs_raw` tells whether raw prompts must be given.
        kept: constants of the kept share (0-1) that stands in for r_ps beside this model, or None.
    """

    def __init__(
        self,
        trunk: Transformer,
        head: Tensor,
        tokenizer: Tokenizer,
        template: RewardTemplate,
        pooling: str,
        scores: Constants,
        kept: Constants | None = None,
        max_tokens: int = 256,
        control: frozenset[int] = frozenset(),
    ) -> None:
        self.trunk, self.head, self.tokenizer = trunk, head, tokenizer
        self.template, self.pooling, self.scores = template, pooling, scores
        self.kept, self.max_tokens, self.control = kept, max_tokens, control

    @classmethod
    def load(cls, path: str | Path | None = None, device: str | torch.device = "cpu") -> TextReward:
        """Load a reward folder, or the bundled starter's (None); float32 on a CPU.

        Raises:
            ModelError: a file, a constant or the tokenizer is missing, or not this model's.
        """
        folder = BUNDLED_REWARD if path is None else find(path)
        about_path = folder / "beautifulprompt.json"
        about = read_json(about_path)
        if about.get("kind") != "reward":
            raise ModelError(f"{folder} is a {about.get('kind')} model: choose a reward model")
        template = _text(about, "template", about_path)
        pooling = _text(about, "pooling", about_path)
        if pooling not in POOLINGS:
            raise ModelError(f"{about_path}: pooling '{pooling}' is none of {', '.join(POOLINGS)}")
        scores = _constants(about, "scores", about_path)
        kept = _constants(about, "kept", about_path) if "kept" in about else None
        longest = about.get("max_tokens", 256)
        if type(longest) is not int or longest < 2:
            raise ModelError(f"{about_path}: max_tokens is {longest!r}, not a whole number above 1")
        home = tokenizer_home(folder, about)
        tokenizer = read_tokenizer(home)
        if fingerprint(tokenizer) != _text(about, "vocabulary", about_path):
            raise ModelError(
                f"{folder}: its tokenizer.json is not the one that the model was trained with; "
                "download both again"
            )
        trunk, heads = load_network(folder, device, heads=[HEAD])
        head = heads[HEAD]
        if head.shape != (1, trunk.config.hidden_size):
            raise ModelError(f"{folder}: {HEAD} has shape {tuple(head.shape)}, not a scalar head")
        return cls(
            trunk,
            head,
            tokenizer,
            RewardTemplate(template),
            pooling,
            scores,
            kept,
            longest,
            special_ids(tokenizer),
        )

    def score(self, prompts: Sequence[str], raw: Sequence[str] | None = None) -> Tensor:
        """z-scores (n,), float32 on the CPU.

        Args:
            prompts: what is judged; an empty one is judged as the empty text.
            raw: the artist's prompts, one each; only read by templates with `{raw}`.

        Raises:
            InputError: raw prompts are needed and missing, or not one each.
        """
        if self.template.needs_raw and raw is None:
            raise InputError("this reward judges a rewrite against its raw prompt: give raw")
        if raw is not None and len(raw) != len(prompts):
            raise InputError(f"{len(raw)} raw prompts for {len(prompts)} prompts: give one each")
        head = self.head.float().cpu()
        return self.scores.z((self.vectors(prompts, raw) @ head.T).squeeze(-1))

    def vectors(self, prompts: Sequence[str], raw: Sequence[str] | None = None) -> Tensor:
        """What the head reads, (n, d), float32 on the CPU; arguments as of `score`."""
        raw = raw or [""] * len(prompts)
        rows = [self._ids(prompt, given) for prompt, given in zip(prompts, raw, strict=True)]
        # Texts of like length share a forward, so that little of it is padding.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        out = torch.empty(len(rows), self.trunk.config.hidden_size)
        with few_threads(self.trunk):
            for start in range(0, len(order), _ROWS):
                chosen = order[start : start + _ROWS]
                out[chosen] = self._forward([rows[i] for i in chosen])
        return out

    def _ids(self, prompt: str, raw: str) -> list[int]:
        ids = self.template.encode(self.tokenizer, prompt, raw, self.control)
        # A long text loses its middle: the end token is what the last-token head reads.
        if len(ids) > self.max_tokens:
            ids = ids[: self.max_tokens - 1] + ids[-1:]
        return ids or [0]

    @torch.inference_mode()
    def _forward(self, rows: list[list[int]]) -> Tensor:
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        device = self.trunk.device
        # Right padding comes after every real token, where the causal mask hides it.
        hidden = self.trunk.hidden(ids.to(device))
        return pool(hidden, lengths.to(device), self.pooling).float().cpu()


@dataclass(frozen=True)
class Score:
    """What one prompt earned.

    Attributes:
        total: α · relevance + (1 - α) · aesthetic.
        relevance: z-score of r_ps(raw, prompt), or of the kept share where that stands in for it.
        aesthetic: z-score of r_aes(prompt).
        kept: share (0-1) of the raw prompt's content words still there; None where r_ps judges.
    """

    total: float
    relevance: float
    aesthetic: float
    kept: float | None = None


class Reward:
    """r = α · z(relevance) + (1 - α) · z(aesthetic), every term visible.

    Args:
        aesthetic: a model that reads the prompt alone.
        relevance: a model that reads raw prompt and rewrite; None: the kept share stands in, by
            the constants that the aesthetic model carries, or else by the bundled one's.
        alpha: weight of relevance, 0-1.
    """

    def __init__(
        self,
        aesthetic: TextReward,
        relevance: TextReward | None = None,
        alpha: float = ALPHA,
    ) -> None:
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha is {alpha}: give a number from 0 to 1")
        if aesthetic.template.needs_raw:
            raise ModelError("the aesthetic reward reads a raw prompt: give it as relevance")
        if relevance is not None and not relevance.template.needs_raw:
            raise ModelError("the relevance reward reads no raw prompt: its template needs {raw}")
        self.aesthetic, self.relevance, self.alpha = aesthetic, relevance, alpha
        self.kept = aesthetic.kept or bundled_kept()

    def score(self, prompts: Sequence[str], raw: Sequence[str]) -> list[Score]:
        """One Score a prompt; `raw` are the artist's prompts, one each."""
        if len(raw) != len(prompts):
            raise InputError(f"{len(raw)} raw prompts for {len(prompts)} prompts: give one each")
        beauty = self.aesthetic.score(prompts).tolist()
        kept: list[float | None] = [None] * len(prompts)
        if self.relevance is not None:
            relevance = self.relevance.score(prompts, raw).tolist()
        else:
            from ..text.fidelity import fidelity

            kept = [fidelity(x, y).kept for x, y in zip(raw, prompts, strict=True)]
            relevance = [self.kept.z(share) for share in kept]
        return [
            Score(self.alpha * r + (1 - self.alpha) * a, r, a, k)
            for r, a, k in zip(relevance, beauty, kept, strict=True)
        ]


def load_reward(
    path: str | Path | None = None,
    relevance: str | Path | None = None,
    alpha: float = ALPHA,
    device: str | torch.device = "cpu",
) -> Reward:
    """The bundled reward (None), or that of one or two reward folders; raises ModelError.

    A model that reads raw prompts, given alone, judges relevance, and the bundled one beauty.
    """
    first = TextReward.load(path, device)
    second = None if relevance is None else TextReward.load(relevance, device)
    if second is None and first.template.needs_raw:
        first, second = TextReward.load(None, device), first
    return Reward(first, second, alpha)


def bundled_kept() -> Constants:
    """Of the kept share over the bundled pairs: what a rewriter keeps depends on no reward."""
    path = BUNDLED_REWARD / "beautifulprompt.json"
    return _constants(read_json(path), "kept", path)


def tokenizer_home(folder: Path, about: dict) -> Path:
    """The folder with a reward's tokenizer, which its beautifulprompt.json may put one above."""
    shared = about.get("tokenizer", ".")
    if shared not in (".", ".."):
        path = folder / "beautifulprompt.json"
        raise ModelError(f"{path}: tokenizer is '.' or '..', not {shared!r}")
    return folder.resolve() if shared == "." else folder.resolve().parent


def _text(about: dict, name: str, path: Path) -> str:
    value = about.get(name)
    if not isinstance(value, str) or not value:
        raise ModelError(f"{path} lacks '{name}': rebuild the model with train/reward.py")
    return value


def _constants(about: dict, name: str, path: Path) -> Constants:
    value = about.get(name)
    numbers = [value.get("mean"), value.get("std")] if isinstance(value, dict) else [None]
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers) or numbers[1] <= 0:
        raise ModelError(
            f"{path} lacks the mean and std (above 0) of '{name}': rebuild with train/reward.py"
        )
    return Constants(float(numbers[0]), float(numbers[1]))
