"""Loads a model folder's network, tokenizer and template, ready to encode and decode."""

from __future__ import annotations

import json
import logging
import re
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..decode import families
from ..decode.config import Unsupported
from ..decode.cpu import engine, packed_file
from ..decode.transformer import Transformer
from ..errors import ModelError
from ..settings import DIALECTS
from ..text.concepts import FILE as CONCEPTS
from ..text.concepts import PACKED as CONCEPTS_PACKED
from ..text.concepts import Concepts
from ..text.lexicon import FILE as LEXICON
from ..text.lexicon import Lexicon
from . import STARTER, packed
from .checkpoint import PACKED, fingerprint, read_json, weight_files
from .folder import BUNDLED, about, composes, dialects, find, name_of, read_about
from .network import chosen_dtype, load_network, open_tokenizer, opened, packed_weights
from .suitability import FILE as SUITABILITY
from .suitability import Suitability
from .template import Template
from .tokenizer import prompt_parts, special_ids
from .vision import define_operators

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..decode.generate import Network

log = logging.getLogger(__name__)

_JUDGED = 600  # characters of a prompt that are read to judge phrases behind it
_WORD_STARTS = ("Ġ", "▁", " ")  # how byte-level and other vocabularies write a space

_MOST_IDS = 10**7  # no vocabulary is larger


@dataclass
class Model:
    """A rewriter's network with what turns text into its ids and back.

    Attributes:
        special_ids: ids of control tokens, which no user's text may produce.
        eos_id: the end token.
        fields: its config.json.
        concepts: what is known of the things that prompts name, where its template has notes.
        suitability: which phrases suit a prompt, where it was taught to tell.
        lexicon: the words that it may add; None for any.
        dialects: those that it writes itself, where its template has dialects.
        composes: its additions are notes that it finds to suit, and not written word by word.
    """

    name: str
    path: Path
    network: Network
    tokenizer: Tokenizer
    template: Template
    eos_id: int
    special_ids: frozenset[int]
    fields: dict[str, Any]
    concepts: Concepts | None = None
    suitability: Suitability | None = None
    lexicon: Lexicon | None = None
    dialects: tuple[str, ...] = DIALECTS[1:]
    composes: bool = False

    def __post_init__(self) -> None:
        words = [self.tokenizer.id_to_token(i) for i in sorted(self.special_ids)]
        # A lookahead finds control tokens that overlap, too.
        self._control = re.compile("(?=" + "|".join(map(re.escape, words)) + ")" if words else "$^")

    @property
    def english_only(self) -> bool:
        """Whether other languages are letters to it: so with the bundled model, which is small."""
        return self.path.resolve() == BUNDLED.resolve()

    def encode(
        self,
        raw: str,
        mode: str,
        lead_text: str = "",
        dialect: str = "tags",
        notes: Sequence[str] = (),
    ) -> list[int]:
        """The template of `mode` ("expand" or "rewrite") filled with the artist's prose, as ids.

        Args:
            raw: plain text; control tokens and template text in it are read as mere letters.
            lead_text: what the model's output is made to begin with.
            dialect: "tags", "prose" or "booru", where the model was taught several.
            notes: phrases of `concepts`, where the model was taught to read them.
        """
        ids = []
        for text, typed in prompt_parts(self.template, mode, raw, dialect, notes):
            ids += self._inert(text) if typed else self._ids(text)
        return ids + self._inert(self.template.lead + lead_text) if lead_text else ids

    def encode_phrases(
        self, raw: str, dialect: str, phrases: Sequence[str]
    ) -> tuple[list[int], list[int]]:
        """A prompt and phrases behind it, to be judged, as ids; and where each phrase ends. Of a
        long prompt the beginning is read: what it is about is said there."""
        ids = self.encode(raw[:_JUDGED], "judge", dialect=dialect)
        ends = []
        for phrase in phrases:
            ids += self._inert(f" {phrase},")
            ends.append(len(ids) - 1)
        return ids, ends

    def encode_words(self, text: str) -> list[list[int]]:
        """The ids with which the model would write a text, those of each word together."""
        words: list[list[int]] = []
        for i in self._inert(self.template.lead + " ".join(text.split())):
            begins = self.tokenizer.id_to_token(i)[:1] in _WORD_STARTS
            if begins or not words:
                words.append([])
            words[-1].append(i)
        return words

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, control tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _inert(self, text: str) -> list[int]:
        """Ids of text in which control tokens are only letters: each is cut behind its first."""
        cuts = [match.start() + 1 for match in self._control.finditer(text)]
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        ids = [i for part in parts if part for i in self._ids(part)]
        # The tokenizer's own normalisation may yet have made a control token of a look-alike.
        return [i for i in ids if i not in self.special_ids]


def load(
    model: str | Path = STARTER,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    *,
    graph: bool = True,
    lasting: bool = True,
) -> Model:
    """Load a rewriter; never downloads.

    Args:
        model: STARTER for the bundled one; a folder; the name of one under `models_dir()`; a
            downloaded hub id.
        dtype: of the weights, plain and movable between devices. None for the fastest: on a CPU
            packed for it (see `decode.cpu.engine`) and bound to it, elsewhere the file's own half
            precision or float16. "int8" packs 8-bit weights for the CPU.
        graph: a network loaded on a CUDA GPU decodes by kernels of our own, captured in a graph
            (see `decode.cuda.decoder`); otherwise by PyTorch's, one at a time.
        lasting: the process will write for more than a prompt or two.

    Raises:
        ModelError: nothing there, or a file of it is missing, truncated or foreign.
    """
    folder = find(model)
    device = _usable(device, dtype)
    kind, template = about(folder)
    if kind != "rewriter":
        raise ModelError(f"{folder} is a {kind} model: choose a rewriter")
    fields, _ = opened(folder)
    tokenizer = open_tokenizer(folder)
    try:
        families.from_hf(fields)
    except Unsupported as reason:
        from ..decode import transformers_network

        log.info("%s runs through transformers: %s", folder, reason)
        define_operators()
        weight_files(folder)
        network = transformers_network.load(folder, device, chosen_dtype(dtype, device, None))
    except ModelError as error:
        raise ModelError(f"{folder}: {error}") from error
    else:
        network = load_fastest(folder, device, dtype, graph, lasting)
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest >= network.vocab_size:
        raise ModelError(
            f"{folder / 'tokenizer.json'} has ids up to {largest}, the model only "
            f"{network.vocab_size}: they are of different models; download both again"
        )
    concepts = Concepts.load(folder) if template.notes else None
    suitability = _suitability(folder, template, network)
    able = concepts is not None and suitability is not None
    return Model(
        name=name_of(folder) if isinstance(model, Path) else model,
        path=folder,
        network=network,
        tokenizer=tokenizer,
        template=template,
        eos_id=_eos(folder, fields, tokenizer),
        special_ids=special_ids(tokenizer),
        fields=fields,
        concepts=concepts,
        suitability=suitability,
        lexicon=Lexicon.load(folder),
        dialects=dialects(folder),
        composes=composes(folder) and able,
    )


def _suitability(folder: Path, template: Template, network: Network) -> Suitability | None:
    """What the network tells of phrases, if its template is of one that does."""
    own = getattr(network, "model", network)
    if not template.judge or not isinstance(own, Transformer):
        return None
    return Suitability.load(folder, own.width)


def _usable(name: str | torch.device, dtype: str | torch.dtype | None) -> torch.device:
    """A device by name; raises ModelError when this PyTorch cannot compute on it."""
    try:
        device = torch.device(name)
        if dtype == "int8" and device.type != "cpu":
            raise ModelError(f"int8 weights run on the CPU only, not on {device}: use float16")
        if device.type in ("meta", "privateuseone"):
            raise ModelError(f"'{name}' holds no numbers: choose another device, or cpu")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = textwrap.shorten(str(error), 80, placeholder=" …")
        raise ModelError(f"no device '{name}' here ({reason}): choose another, or cpu") from error
    return device


def load_fastest(
    folder: Path,
    device: torch.device | str = "cpu",
    dtype: str | torch.dtype | None = None,
    graph: bool = True,
    lasting: bool = True,
) -> Network:
    """A folder's network over the engine that suits the device; arguments and errors as of `load`.

    It needs no tokenizer and no template.
    """
    device = torch.device(device)
    if dtype != "int8" and (dtype is not None or device.type != "cpu"):
        network, _ = load_network(folder, device, dtype)
        if not graph or device.type != "cuda":
            return network
        from ..decode.cuda.decoder import CudaNetwork

        return CudaNetwork(network)
    path = packed_weights(folder)
    if path is not None and engine.best_kind(families.from_hf(opened(folder)[0])) is not None:
        return _unpacked(folder, path, lasting)
    network, _ = load_network(folder, device, "as stored")
    kind = dtype or engine.best_kind(network.config)
    if kind is None:
        return network.float()
    rounded = None
    if kind == "int8":
        rounded = packed_file.read(folder / packed_file.FILE, lambda: fingerprint(folder))
    return engine.pack(network, kind, rounded, lasting)


def _unpacked(folder: Path, path: Path, lasting: bool) -> Network:
    """A folder's packed weights, in 8 bits on the CPU's engine."""
    config = families.from_hf(read_json(folder / "config.json"))
    plain, matrices = packed.rounded(path, config.names)
    try:
        network = Transformer.from_tensors(config, plain)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return engine.pack(network, "int8", matrices, lasting)


def pack_folder(
    model: str | Path,
    folder: Path,
    bits: int = 4,
    group: int = 64,
    table_bits: int = 8,
    heads: Sequence[str] = (),
) -> Path:
    """Write a model as a folder of its own with packed weights only; the folder.

    Args:
        bits, group, table_bits: as for `packed.write`.
        heads: names of tensors beside the network (a reward model's "score.weight").

    Raises:
        ModelError: the model is missing or damaged, or the folder cannot be written to.
    """
    source = find(model)
    kind, template = about(source)
    try:
        network, beside = load_network(source, dtype="float32", heads=heads)
    except Unsupported as error:
        raise ModelError(f"{source} runs through transformers: it cannot be packed") from error
    folder.mkdir(parents=True, exist_ok=True)
    packed.write(folder / PACKED, network, bits, group, table_bits, beside)
    # What transformers notes of where and how the weights were kept says nothing of these.
    fields = {
        key: value
        for key, value in opened(source)[0].items()
        if key not in ("dtype", "torch_dtype") and not key.startswith("_")
    }
    stated = {"kind": kind, "template": template.to_dict()} if template else read_about(source)
    if dialects(source) != DIALECTS[1:]:
        stated["dialects"] = list(dialects(source))
    if composes(source):
        stated["composes"] = True
    for name, content in (("config.json", fields), ("beautifulprompt.json", stated)):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    # Copied as it is: what today's tokenizers write, those of old hosts cannot read.
    beside_it = source if source.is_dir() else source.parent
    for name in ("tokenizer.json", CONCEPTS, CONCEPTS_PACKED, LEXICON, SUITABILITY):
        if (beside_it / name).is_file() and beside_it.resolve() != folder.resolve():
            shutil.copyfile(beside_it / name, folder / name)
    if not (folder / "tokenizer.json").is_file():
        open_tokenizer(source).save(str(folder / "tokenizer.json"), pretty=False)
    return folder


def pack(model: str | Path) -> Path:
    """Keep 8-bit weights beside a model's own, for faster loading; the file's path."""
    folder = find(model)
    network, _ = load_network(folder, dtype="as stored")
    return packed_file.write(folder / packed_file.FILE, network, fingerprint(folder))


def _eos(folder: Path, config: dict, tokenizer: Tokenizer) -> int:
    eos = config.get("eos_token_id")
    eos = eos[0] if isinstance(eos, list) and eos else eos
    if eos is None:
        eos = tokenizer.token_to_id("</s>")
    if not isinstance(eos, int) or isinstance(eos, bool) or not 0 <= eos < _MOST_IDS:
        raise ModelError(f"{folder / 'config.json'} names no eos_token_id ({eos!r}): add it")
    return eos
