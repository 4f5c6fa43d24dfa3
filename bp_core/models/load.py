"""Models by name: the bundled starter, folders and downloads, loaded ready to encode and decode."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..decode.bloom import Bloom, BloomConfig, bare_name
from ..decode.cpu import fbgemm as quant
from ..decode.cpu import packed_file as packed
from ..decode.cuda.decoder import GraphDecoder
from ..errors import ModelError
from ..trim import prompt_tokens
from .checkpoint import read_json, tensors, weight_files
from .template import KNOWN_MODELS, TEMPLATES, Template
from .tokenizer import prompt_parts, read_tokenizer, special_ids

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from ..decode.generate import Network

STARTER = Path(__file__).parents[1] / "starter"
FOLDER_VARIABLE = "BEAUTIFULPROMPT_DIR"
_ABOUT = "beautifulprompt.json"
_WORD_STARTS = ("Ġ", "▁", " ")  # how byte-level and other vocabularies write a space


@dataclass(frozen=True)
class ModelInfo:
    """A model that is on this machine.

    Attributes:
        name: what `load` takes.
        size: bytes of its weight files.
        kind: "rewriter" or "reward".
        template: its name; "" for a reward model.
    """

    name: str
    path: Path
    size: int
    kind: str
    template: str


@dataclass
class Model:
    """A rewriter's network with what turns text into its ids and back.

    Attributes:
        special_ids: ids of control tokens, which no user's text may produce.
        eos_id: the end token.
    """

    name: str
    path: Path
    network: Network
    tokenizer: Tokenizer
    template: Template
    eos_id: int
    special_ids: frozenset[int]

    def __post_init__(self) -> None:
        words = [self.tokenizer.id_to_token(i) for i in sorted(self.special_ids)]
        # A lookahead finds control tokens that overlap, too.
        self._control = re.compile("(?=" + "|".join(map(re.escape, words)) + ")" if words else "$^")

    def encode(self, raw: str, mode: str, lead_text: str = "") -> list[int]:
        """The template of `mode` ("expand" or "rewrite") filled with the artist's prose, as ids.

        Args:
            raw: plain text; control tokens and template text in it are read as mere letters.
            lead_text: what the model's output is made to begin with.
        """
        ids = []
        for text, typed in prompt_parts(self.template, mode, raw):
            ids += self._inert(text) if typed else self._ids(text)
        return ids + self._inert(self.template.lead + lead_text) if lead_text else ids

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
    model: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    *,
    trim: bool = False,
    graph: bool = True,
) -> Model:
    """Load a rewriter; never downloads.

    Args:
        model: a folder; the name of one under `models_dir()`; a downloaded hub id; None for the
            bundled starter.
        dtype: of the weights, plain and movable between devices. None for the fastest: on a CPU
            packed for it (see `quant`) and bound to it, elsewhere the file's own half precision
            or float16. "int8" packs 8-bit weights for the CPU.
        trim: let a packed network write only Latin letters, digits, signs and the prompt's own
            tokens, which is faster where the vocabulary is large.
        graph: a BLOOM network loaded on a CUDA GPU decodes by kernels of our own, captured in a
            graph (see `graph`); otherwise by PyTorch's, one at a time.

    Raises:
        ModelError: nothing there, or a file of it is missing, truncated or foreign.
    """
    folder = find(model)
    device = _usable(device, dtype)
    kind, template = _about(folder)
    if kind != "rewriter":
        raise ModelError(f"{folder} is a {kind} model: choose a rewriter")
    config = read_json(folder / "config.json")
    tokenizer = read_tokenizer(folder)
    if config.get("model_type") == "bloom":
        network = _bloom(folder, device, dtype, prompt_tokens(tokenizer) if trim else None)
        if graph and device.type == "cuda":
            network.decoder = GraphDecoder()
    else:
        from ..decode import transformers_network as hf

        weight_files(folder)
        network = hf.load(folder, device, _dtype(dtype, device, None))
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if largest >= network.vocab_size:
        raise ModelError(
            f"{folder / 'tokenizer.json'} has ids up to {largest}, the model only "
            f"{network.vocab_size}: they are of different models; download both again"
        )
    return Model(
        name=_name(folder) if model is None or isinstance(model, Path) else model,
        path=folder,
        network=network,
        tokenizer=tokenizer,
        template=template,
        eos_id=_eos(folder, config, tokenizer),
        special_ids=special_ids(folder),
    )


def _usable(name: str | torch.device, dtype: str | torch.dtype | None) -> torch.device:
    """A device by name; raises ModelError when this PyTorch cannot compute on it."""
    try:
        device = torch.device(name)
        if dtype == "int8" and device.type != "cpu":
            raise ModelError(f"int8 weights run on the CPU only, not on {device}: use float16")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = textwrap.shorten(str(error), 80, placeholder=" …")
        raise ModelError(f"no device '{name}' here ({reason}): choose another, or cpu") from error
    return device


def _bloom(
    folder: Path, device: torch.device, dtype: str | torch.dtype | None, kept: Tensor | None
) -> Bloom:
    """A rewriter's network, packed where that was asked for or is the fastest."""
    if dtype != "int8" and (dtype is not None or device.type != "cpu"):
        return load_bloom(folder, device, dtype)[0]
    network, _ = load_bloom(folder, device, "as stored")
    kind = dtype or quant.best_kind(sum(p.numel() for p in network.parameters()))
    if kind is None:
        return network.float()
    return quant.pack(network, kind, kept, packed.read(folder) if kind == "int8" else None)


def load_bloom(
    folder: Path,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    heads: Sequence[str] = (),
) -> tuple[Bloom, dict[str, Tensor]]:
    """A BLOOM network from a folder, and tensors beside it that the caller names.

    Weights that need no cast stay in the file's memory map; nothing is held twice.

    Args:
        dtype: None for float32 on a CPU, and elsewhere the file's own half precision or float16;
            "as stored" for the file's.
        heads: names of further tensors wanted (a reward model's "score.weight").

    Returns:
        The network, and {name: tensor} of `heads`.

    Raises:
        ModelError: a file or tensor is missing, truncated, unknown or of another shape.
    """
    device, found = torch.device(device), {}
    fields = read_json(folder / "config.json")

    def trunk() -> Iterator[tuple[str, Tensor]]:
        kind = None
        for name, tensor in tensors(folder):
            kind = kind or _dtype(dtype, device, tensor.dtype)
            if name in heads:
                found[name] = tensor.to(device, kind)
            elif bare_name(name) != "lm_head.weight":  # tied: the embeddings again
                yield name, tensor.to(device, kind)

    try:
        network = Bloom.from_tensors(BloomConfig.from_hf(fields), trunk())
    except ModelError as error:
        where = "" if str(folder) in str(error) else f"{folder}: "
        raise ModelError(f"{where}{error}") from error
    lost = [name for name in heads if name not in found]
    if lost:
        raise ModelError(f"{folder} has no tensor '{lost[0]}': it is another kind of model")
    return network, found


def find(model: str | Path | None) -> Path:
    """The folder that a name means; raises ModelError with the remedy when there is none."""
    if model is None:
        if not (STARTER / "config.json").is_file():
            raise ModelError(f"the bundled starter is missing from {STARTER}: reinstall")
        return STARTER
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise ModelError(f"{path} is a file: give the model folder that holds it")
    if isinstance(model, str):
        local = next((p for p in _local(model) if (p / "config.json").is_file()), None)
        if local:
            return local
        if re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            raise ModelError(f"{model} is not downloaded: run `bp models --download {model}`")
    raise ModelError(
        f"no model '{model}' here or in {models_dir()}: `bp models` lists what there is"
    )


def available(folder: Path | None = None) -> list[ModelInfo]:
    """Whole models on this machine: the starter, those in `folder` (default `models_dir()`), and
    known ones in the hub's cache."""
    folder = models_dir() if folder is None else folder
    found = [STARTER, *sorted(p for p in folder.glob("*") if p.is_dir())]
    found += [path for name in KNOWN_MODELS if (path := _cached(name)) is not None]
    infos = []
    for path in found:
        try:
            kind, template = _about(path)
            size = sum(file.stat().st_size for file in weight_files(path))
        except ModelError:
            continue
        infos.append(ModelInfo(_name(path), path, size, kind, template.name if template else ""))
    return infos


def models_dir() -> Path:
    """Where the user's models live: $BEAUTIFULPROMPT_DIR, else the platform's data folder."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]).expanduser()
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "beautifulprompt" / "models"


def download_folder(repo_id: str) -> Path:
    """Where `hub.download` puts a hub model."""
    return models_dir() / repo_id.replace("/", "--")


def _about(folder: Path) -> tuple[str, Template | None]:
    """A folder's kind, and its template if it is a rewriter."""
    path = folder / _ABOUT
    if not path.is_file():
        known = KNOWN_MODELS.get(_hub_id(folder))
        if known is None:
            raise ModelError(
                f"{path} is missing: write there which template the model was taught, as in "
                '{"kind": "rewriter", "template": {"name": "v1"}}'
            )
        return "rewriter", TEMPLATES[known]
    about = read_json(path)
    kind = about.get("kind")
    if kind == "reward":
        return kind, None
    if kind != "rewriter":
        raise ModelError(f"{path} says kind {kind!r}: it must be 'rewriter' or 'reward'")
    fields = about.get("template")
    if isinstance(fields, dict):
        if set(fields) == {"name"} and fields["name"] in TEMPLATES:
            return kind, TEMPLATES[fields["name"]]
        if {"name", "rewrite", "expand"} <= set(fields) <= {"name", "rewrite", "expand", "lead"}:
            return kind, Template(**fields)
    raise ModelError(
        f"{path}: 'template' must have 'name', 'rewrite', 'expand' and may have 'lead', or be "
        f"one of {', '.join(TEMPLATES)} by 'name'"
    )


def _hub_id(folder: Path) -> str:
    """The known hub id that a folder is named after, however it was fetched; else ""."""
    for name in KNOWN_MODELS:
        owner, _, short = name.partition("/")
        plain = {short, f"{owner}--{short}"}
        if folder.name in plain or folder.parent.parent.name == f"models--{owner}--{short}":
            return name
    return ""


def _name(folder: Path) -> str:
    if folder == STARTER:
        return "starter"
    return _hub_id(folder) or (folder.name if folder.parent == models_dir() else str(folder))


def _local(model: str) -> Iterator[Path]:
    """Where a name that is no path may be found."""
    if model == "starter":
        yield STARTER
    yield models_dir() / model
    yield download_folder(model)
    yield models_dir() / model.rpartition("/")[2]
    if "/" in model and (cached := _cached(model)) is not None:
        yield cached


def _cached(repo_id: str) -> Path | None:
    """A hub id's folder in the cache that other programs share."""
    from huggingface_hub import try_to_load_from_cache

    try:
        file = try_to_load_from_cache(repo_id, "config.json")
    except ValueError:  # not a hub id
        return None
    return Path(file).parent if isinstance(file, str) else None


def _dtype(
    wanted: str | torch.dtype | None, device: torch.device, own: torch.dtype | None
) -> torch.dtype:
    if wanted == "as stored" and own is not None:
        return own
    if isinstance(wanted, str):
        named = getattr(torch, wanted, None)
        if not isinstance(named, torch.dtype) or not named.is_floating_point:
            raise ModelError(f"dtype '{wanted}' is unknown: use float32, float16 or bfloat16")
        return named
    if wanted is not None:
        return wanted
    if device.type == "cpu":
        return torch.float32
    return own if own in (torch.float16, torch.bfloat16) else torch.float16


def _eos(folder: Path, config: dict, tokenizer: Tokenizer) -> int:
    eos = config.get("eos_token_id")
    eos = eos[0] if isinstance(eos, list) and eos else eos
    if eos is None:
        eos = tokenizer.token_to_id("</s>")
    if not isinstance(eos, int):
        raise ModelError(f"{folder / 'config.json'} names no eos_token_id: add it")
    return eos
