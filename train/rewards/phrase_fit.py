"""How well a phrase fits a prompt, learned from what people write behind such prompts.

Two small networks, one over the vector of a prompt, one over that of a phrase; their product learns
to tell the phrase that somebody put behind a prompt from those behind others (InfoNCE; van den Oord
et al. 2018, arXiv 1807.03748), and so the pointwise mutual information of the two: in nats, how
much likelier the phrase is behind this prompt than behind prompts at large. "Lush vegetation" has
+1.8 behind a cottage, "long hair" -2.6 behind a boy with a kite.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bp_core.errors import InputError
from bp_core.models.checkpoint import read_json
from bp_core.score.taste import HIDDEN, WIDTH
from bp_core.text.words import clauses, words
from train.data.progress import watched
from train.models.sentences import embed, find_encoder, last_layer

# Rarer phrases are not learned.
_LEARNED = 2
# What is put forward: phrases behind so many prompts, of so many words at most.
_COMMON, _SHORT = 15, 4
# A phrase behind so many prompts, in more than this share of them with one other phrase, is one
# person's, who wrote the same tail again and again: "turbulent blood lake".
_COPIED, _TOGETHER = 5, 0.5
_DROPOUT = 0.3
_EPOCHS, _BATCH, _RATE = 12, 512, 1e-3
# Prompts that stand for prompts at large.
_BACKGROUND = 2000
Embed = Callable[[list[str]], np.ndarray]


def tower(size: int) -> nn.Sequential:
    """From a sentence's vector (…, size) to (…, 128)."""
    return nn.Sequential(
        nn.Dropout(_DROPOUT),
        nn.Linear(size, HIDDEN),
        nn.ReLU(),
        nn.Dropout(_DROPOUT),
        nn.Linear(HIDDEN, WIDTH),
    )


class Fit(nn.Module):
    """Pointwise mutual information of prompts and phrases, in nats.

    Args:
        encode: texts to vectors (n, size) of norm 1.
        size: of a vector.
        counts: behind how many prompts a phrase stands; what may be put forward, common ones.
        copied: phrases of one person, which are not.
    """

    def __init__(
        self, encode: Embed, size: int, counts: Mapping[str, int], copied: Iterable[str] = ()
    ) -> None:
        super().__init__()
        self.encode, self.counts, self.copied = encode, dict(counts), frozenset(copied)
        self.prompt, self.phrase = tower(size), tower(size)
        self.register_buffer("background", torch.zeros(_BACKGROUND, WIDTH))
        self.common = [
            phrase
            for phrase, count in self.counts.items()
            if count >= _COMMON and len(words(phrase)) <= _SHORT and phrase not in self.copied
        ]
        self._log = np.log([self.counts[phrase] for phrase in self.common])
        self._known: dict[str, Tensor] = {}

    def products(self, prompts: Tensor, phrases: Tensor) -> Tensor:
        """Of vectors (n, size) and (m, size): (n, m)."""
        return self.prompt(prompts) @ self.phrase(phrases).T / WIDTH**0.5

    def loss(self, prompts: Tensor, phrases: Tensor, same: Tensor) -> Tensor:
        """InfoNCE of pairs (n, size), both ways; `same` (n, n) marks what is no other pair."""
        products = self.products(prompts, phrases).masked_fill(same, -torch.inf)
        diagonal = torch.arange(len(prompts))
        return (cross_entropy(products, diagonal) + cross_entropy(products.T, diagonal)) / 2

    @torch.inference_mode()
    def nats(self, prompts: Sequence[str], phrases: Sequence[str]) -> np.ndarray:
        """Of each prompt and phrase: (prompts, phrases)."""
        asked = [phrase.lower() for phrase in phrases]
        new = sorted(set(asked) - self._known.keys())
        vectors = torch.from_numpy(self.encode([*prompts, *new]))
        towers = self.phrase(vectors[len(prompts) :]) / WIDTH**0.5
        self._known.update(zip(new, towers, strict=True))
        columns = torch.stack([self._known[phrase] for phrase in asked])
        products = self.prompt(vectors[: len(prompts)]) @ columns.T
        at_large = torch.logsumexp(self.background @ columns.T, 0) - np.log(len(self.background))
        return (products - at_large).numpy()

    def draw(self, nats: np.ndarray, count: int, rng: np.random.Generator) -> list[str]:
        """So many of `common`, drawn without replacement, that fit and that many wrote.

        Args:
            nats: of one prompt and each of `common`.
        """
        keys = nats + self._log / 2 + rng.gumbel(size=len(nats))
        order = np.argsort(-np.where(nats > 0, keys, -np.inf))
        return [self.common[i] for i in order[:count] if nats[i] > 0]

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "fit.safetensors")
        phrases = {"counts": self.counts, "copied": sorted(self.copied)}
        (folder / "phrases.json").write_text(json.dumps(phrases, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, encode: Embed | None = None) -> Fit:
        """What `save` wrote; raises InputError where there is none."""
        from safetensors.torch import load_file

        folder = Path(folder)
        if not (folder / "fit.safetensors").is_file():
            raise InputError(
                f"{folder} holds no fit.safetensors: make it with python -m train.starter.fit"
            )
        state = load_file(folder / "fit.safetensors")
        size = state["prompt.1.weight"].shape[1]
        fit = cls(encode or encoder(), size, **read_json(folder / "phrases.json"))
        fit.load_state_dict(state)
        return fit.eval()


def encoder() -> Embed:
    """Texts to the vectors of the package's sentence encoder."""
    folder = find_encoder()
    last = last_layer(folder)
    return lambda texts: embed(list(texts), folder, [last])[last]


def tails(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Prompt and each phrase that somebody put behind it, lower case."""
    return [
        (row["raw_prompt"], phrase.lower())
        for row in rows
        if row["mode"] == "expand" and row["source"] != "borrowed"
        for phrase in clauses(row["prompt"])
    ]


def copied(pairs: Iterable[tuple[str, str]]) -> set[str]:
    """Phrases that another one accompanies in most of the tails that have them."""
    tails: dict[str, set[str]] = defaultdict(set)
    for prompt, phrase in pairs:
        tails[prompt].add(phrase)
    counts = Counter(chain.from_iterable(tails.values()))
    often = {phrase for phrase, count in counts.items() if count >= _COPIED}
    beside: dict[str, Counter] = {phrase: Counter() for phrase in often}
    for tail in tails.values():
        for phrase in tail & often:
            beside[phrase].update(tail - {phrase})
    return {p for p in often if max(beside[p].values(), default=0) > _TOGETHER * counts[p]}


def learn(pairs: Sequence[tuple[str, str]], encode: Embed, seed: int = 0) -> Fit:
    """A `Fit` of (prompt, phrase) as people wrote them."""
    counts = {p: n for p, n in Counter(p for _, p in set(pairs)).items() if n >= _LEARNED}
    if not counts:
        raise InputError("no phrase stands in two of the pairs: give more pairs")
    prompts = sorted({prompt for prompt, _ in pairs})
    phrases = sorted(counts)
    vectors = torch.from_numpy(encode([*prompts, *phrases]))
    prompt_vectors, phrase_vectors = vectors[: len(prompts)], vectors[len(prompts) :]
    place = {prompt: i for i, prompt in enumerate(prompts)}
    column = {phrase: i for i, phrase in enumerate(phrases)}
    data = torch.tensor([[place[x], column[y]] for x, y in pairs if y in counts])
    torch.manual_seed(seed)
    fit = Fit(encode, vectors.shape[1], counts, copied(pairs)).train()
    optimiser = torch.optim.AdamW(fit.parameters(), lr=_RATE, weight_decay=0.01)
    for _ in watched(range(_EPOCHS), _EPOCHS, "learning"):
        for part in data[torch.randperm(len(data))].split(_BATCH):
            x, y = part.T
            same = (x[:, None] == x) | (y[:, None] == y)
            loss = fit.loss(prompt_vectors[x], phrase_vectors[y], same.fill_diagonal_(False))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    fit.eval()
    with torch.inference_mode():
        fit.background = fit.prompt(
            prompt_vectors[data[torch.randint(len(data), (_BACKGROUND,)), 0]]
        )
    return fit


def above(fits: Sequence[float], other: Sequence[float]) -> float:
    """How often one of the first is above one of the second: the area under the ROC curve."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(fits, other).statistic / (len(fits) * len(other)))


def score(fit: Fit, asked: Sequence[tuple[str, str]]) -> np.ndarray:
    """Nats of each (prompt, phrase)."""
    prompts = {prompt: i for i, prompt in enumerate(dict.fromkeys(p for p, _ in asked))}
    phrases = {phrase: i for i, phrase in enumerate(dict.fromkeys(p for _, p in asked))}
    nats = fit.nats(list(prompts), list(phrases))
    return np.array([nats[prompts[x], phrases[y]] for x, y in asked])
