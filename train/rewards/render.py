"""Pictures of prompts through a diffusers pipeline, each from a seed of its own.

A picture hangs on its prompt and seed alone, not on what shares its batch. Prompts longer than the
text encoder's window are encoded whole: cut into windows whose embeddings are joined.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bp_core.errors import InputError, ModelError


@dataclass(frozen=True)
class RenderSettings:
    """How pictures are drawn; the defaults are the paper's evaluation.

    Attributes:
        scheduler: a class of diffusers', or "" for the checkpoint's own.
        steps, guidance: 0 and None for the pipeline's own.
        size: width and height in pixels; 0 for the pipeline's own.
        negative_prompt: what the guidance leads away from.
        dtype: of the weights; "" for half precision on a GPU, float32 on a CPU.
    """

    checkpoint: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    scheduler: str = "EulerAncestralDiscreteScheduler"
    steps: int = 20
    guidance: float | None = 7.5
    size: int = 512
    negative_prompt: str = ""
    dtype: str = ""


class Renderer:
    """A pipeline and its settings.

    Args:
        pipeline: a diffusers text-to-image pipeline, on its device.
    """

    def __init__(self, pipeline, settings: RenderSettings) -> None:
        self.pipeline, self.settings = pipeline, settings
        pipeline.set_progress_bar_config(disable=True)
        # The checker blackens pictures, which would be scored as such.
        if getattr(pipeline, "safety_checker", None) is not None:
            pipeline.safety_checker = None
        # SDXL and later read a prompt with several encoders, or with none of CLIP's: each in its
        # own way.
        encoder = getattr(pipeline, "text_encoder", None)
        clip = "clip" in getattr(getattr(encoder, "config", None), "model_type", "")
        self._whole = clip and not hasattr(pipeline, "text_encoder_2")
        self._takes = set(inspect.signature(pipeline.__call__).parameters)

    @classmethod
    def load(cls, settings: RenderSettings, device: str = "cpu") -> Renderer:
        """From a hub id, a folder or a single checkpoint file; half precision on a GPU."""
        import diffusers

        half = torch.device(device).type != "cpu"
        dtype = getattr(torch, settings.dtype or ("float16" if half else "float32"))
        source = settings.checkpoint
        try:
            if source.endswith((".safetensors", ".ckpt")):
                pipeline = diffusers.StableDiffusionPipeline.from_single_file(
                    source, torch_dtype=dtype
                )
            else:
                pipeline = _from_pretrained(source, dtype)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"no pipeline from {source} ({str(error).splitlines()[0]}): give a diffusers "
                "folder, a checkpoint file, or connect once to download it"
            ) from error
        if settings.scheduler:
            kind = getattr(diffusers, settings.scheduler, None)
            if kind is None:
                raise InputError(f"diffusers has no scheduler '{settings.scheduler}'")
            pipeline.scheduler = kind.from_config(pipeline.scheduler.config)
        return cls(pipeline.to(device), settings)

    def render(self, prompts: Sequence[str], seeds: Sequence[int]) -> Tensor:
        """One picture a (prompt, seed): (n, h, w, 3), float32 on the CPU, values 0-1."""
        s = self.settings
        own = {"height": s.size, "width": s.size} if s.size else {}
        own |= {"num_inference_steps": s.steps} if s.steps else {}
        own |= {"guidance_scale": s.guidance} if s.guidance is not None else {}
        groups: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault(self._windows(prompt), []).append(i)
        out: list[Tensor | None] = [None] * len(prompts)
        for count, rows in groups.items():
            texts = [prompts[i] for i in rows]
            pictures = self.pipeline(
                **self._condition(texts, count),
                generator=[torch.Generator("cpu").manual_seed(seeds[i]) for i in rows],
                output_type="pt",
                **own,
            ).images
            for i, picture in zip(rows, pictures, strict=True):
                out[i] = picture.permute(1, 2, 0).float().cpu()
        return torch.stack(out)

    def _ids(self, text: str) -> list[int]:
        return self.pipeline.tokenizer(text, add_special_tokens=False, verbose=False).input_ids

    def _windows(self, prompt: str) -> int:
        """Windows of the text encoder that the prompt, or the negative one, fills."""
        if not self._whole:
            return 1
        room = self.pipeline.tokenizer.model_max_length - 2
        longest = max(len(self._ids(prompt)), len(self._ids(self.settings.negative_prompt)))
        return max(1, -(-longest // room))

    def _condition(self, prompts: list[str], count: int) -> dict:
        """The pipeline's text arguments; embeddings of `count` windows where it takes them."""
        negative = self.settings.negative_prompt
        if not self._whole:
            if not negative and "negative_prompt" not in self._takes:
                return {"prompt": prompts}
            return {"prompt": prompts, "negative_prompt": [negative] * len(prompts)}
        embeds = torch.cat([self._encode(prompt, count) for prompt in prompts])
        against = self._encode(negative, count).expand(len(prompts), -1, -1)
        return {"prompt_embeds": embeds, "negative_prompt_embeds": against}

    @torch.inference_mode()
    def _encode(self, text: str, count: int) -> Tensor:
        """Embeddings (1, count · window, d) of a whole text."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        room, ids = tokenizer.model_max_length - 2, self._ids(text)
        windows = []
        for start in range(0, count * room, room):
            part = [tokenizer.bos_token_id, *ids[start : start + room], tokenizer.eos_token_id]
            pad = tokenizer.pad_token_id
            windows.append(part + [pad] * (room + 2 - len(part)))
        states = encoder(torch.tensor(windows, device=encoder.device))[0]
        return states.reshape(1, -1, states.shape[-1])


def _from_pretrained(source: str, dtype: torch.dtype):
    """The text-to-image pipeline of a folder or hub id, or whatever pipeline it names itself."""
    import diffusers

    try:
        return diffusers.AutoPipelineForText2Image.from_pretrained(source, torch_dtype=dtype)
    except ValueError as error:
        if "AutoPipeline" not in str(error):
            raise
        return diffusers.DiffusionPipeline.from_pretrained(source, torch_dtype=dtype)
