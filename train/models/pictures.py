"""What models say of pictures: a caption, or how beautiful one is.

Workers (see `train.data.workers`): paths in, a text each out; "" for a picture that cannot be read.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from bp_core.errors import InputError, ModelError
from bp_core.models.vision import define_operators
from bp_core.score.image import AestheticScore, open_image

_TOKENS, _CHAT_TOKENS = 20, 60  # of a caption at most
_ASKED = "Say in one short sentence what the picture shows."  # of models that chat
# BLIP's own non-word: "arafed man in a suit".
_NONWORD = re.compile(r"\baraf\w*\s*", re.I)


def device() -> str:
    """The fastest device of this machine."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class Captioner:
    """A captioning model of transformers: BLIP, BLIP-2, GIT, ViT-GPT2, or one that chats.

    Args:
        model: hub id or folder.

    Raises:
        ModelError: it is no such model, or cannot be loaded.
    """

    def __init__(self, model: str) -> None:
        define_operators()
        from transformers import AutoModelForImageTextToText

        self.device = device()
        dtype = torch.float16 if self.device == "cuda" else torch.float32
        try:
            network = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)
            self._look, self._tokenizer = _processors(model)
        except (OSError, ValueError, KeyError, ImportError) as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"'{model}' cannot caption ({line}): give a captioning model of transformers, as "
                "Salesforce/blip-image-captioning-base or its folder"
            ) from error
        self._network = network.to(self.device).eval()
        self._chats = bool(getattr(self._look, "chat_template", None))
        if self._chats:
            self._tokenizer.padding_side = "left"

    def __call__(self, paths: list[Path]) -> list[str]:
        """One caption a picture, on one line; "" where it cannot be read."""
        images = dict(_readable(paths))
        if not images:
            return [""] * len(paths)
        said = dict(zip(images, self._captions(list(images.values())), strict=True))
        return [said.get(path, "") for path in paths]

    def _captions(self, images: list) -> list[str]:
        if self._chats:
            content = [{"type": "image"}, {"type": "text", "text": _ASKED}]
            chat = self._look.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            inputs = self._look(
                text=[chat] * len(images),
                images=[[image] for image in images],
                padding=True,
                return_tensors="pt",
            )
        else:
            inputs = self._look(images=images, return_tensors="pt")
        inputs = inputs.to(self.device, self._network.dtype)
        longest = _CHAT_TOKENS if self._chats else _TOKENS
        with torch.inference_mode():
            ids = self._network.generate(**inputs, max_new_tokens=longest, do_sample=False)
        read = inputs["input_ids"].shape[1] if self._chats else 0
        texts = self._tokenizer.batch_decode(ids[:, read:], skip_special_tokens=True)
        return [" ".join(_NONWORD.sub("", text).split()) for text in texts]


def _processors(model: str):
    """(what makes inputs of pictures, tokenizer) of a model."""
    from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

    processor = AutoProcessor.from_pretrained(model)
    if hasattr(processor, "tokenizer"):
        return processor, processor.tokenizer
    return AutoImageProcessor.from_pretrained(model), AutoTokenizer.from_pretrained(model)


class Beauty:
    """The aesthetic score of pictures, as text, by LAION's predictor.

    Args:
        head, clip: as for `AestheticScore.load`.
    """

    def __init__(self, head: str, clip: str = "openai") -> None:
        define_operators()
        self._scorer = AestheticScore.load(head, clip, device())

    def __call__(self, paths: list[Path]) -> list[str]:
        images = dict(_readable(paths))
        scores = self._scorer.score(list(images.values())).tolist()
        said = dict(zip(images, map(str, scores), strict=True))
        return [said.get(path, "") for path in paths]


def _readable(paths: list[Path]):
    for path in paths:
        try:
            yield path, open_image(path)
        except InputError:
            continue
