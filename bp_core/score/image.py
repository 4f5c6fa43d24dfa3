"""Image scores: PickScore, the LAION aesthetic predictor and HPS v2, in batches.

Each scorer takes PIL images or a float tensor (n, h, w, 3) with values 0-1 and gives one number an
image. Needs the extra `score` (transformers, open_clip_torch, pillow), imported on loading.

    PickScore       (arXiv 2305.01569)  100 · cos(CLIP-H image, CLIP-H text), about 18-23
    AestheticScore  (LAION, sac+logos+ava1-l14-linearMSE)  MLP of the unit CLIP-L image, about 4-7
    HpsScore        (arXiv 2306.09341)  cos(CLIP-H image, CLIP-H text), about 0.2-0.3
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError, ModelError

if TYPE_CHECKING:
    from PIL.Image import Image

    Images = Sequence[Image] | Tensor

PICKSCORE = "yuvalkirstain/PickScore_v1"
# Where LAION publishes the head, inside its repository improved-aesthetic-predictor.
AESTHETIC_HEAD = "sac+logos+ava1-l14-linearMSE.pth"
HPS = ("xswu/HPSv2", "HPS_v2.1_compressed.pt")

_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's CLIP
_STD = (0.26862954, 0.26130258, 0.27577711)
_BATCH = 32


def open_image(path: str | Path) -> Image:
    """An image file as RGB, turned as its EXIF data says.

    Raises:
        InputError: it is no image, or too large.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return to_rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        most = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise InputError(f"{path} has over {most} million pixels: make it smaller") from error
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise InputError(f"{path} is not a readable image: give a PNG, JPEG or WebP") from error


def to_rgb(image: Image) -> Image:
    """An image in RGB, 8 bits: 16 bits scaled, what is transparent over white.

    White is what a page shows behind a picture; PIL alone would show the colours that transparency
    hides. What the scorers' training had is not known here.
    """
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, or 32 that a 16-bit PNG is read into
        high = image.getextrema()[1] > 255 or image.mode != "I"
        image = image.convert("I").point(lambda v: v * (1 / 257 if high else 1)).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def to_pil(images: Images) -> list[Image]:
    """RGB images from PIL images or a float tensor (n, h, w, 3) with values 0-1.

    Raises:
        InputError: not images, another shape, values beyond 0-1, or NaN.
    """
    from PIL import Image

    if isinstance(images, Tensor):
        if images.ndim != 4 or images.shape[-1] != 3 or not images.is_floating_point():
            raise InputError(
                f"images of {tuple(images.shape)}, {images.dtype}: give floats (n, h, w, 3)"
            )
        if not torch.isfinite(images).all():
            raise InputError("an image has NaN or infinite pixels: the picture failed to render")
        if images.numel() and (images.min() < -1e-3 or images.max() > 1 + 1e-3):
            raise InputError("pixels lie beyond 0-1: divide 8-bit images by 255")
        pixels = (images.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()
        return [Image.fromarray(p) for p in pixels]
    if not all(isinstance(image, Image.Image) for image in images):
        raise InputError("images must be PIL images or a float tensor (n, h, w, 3)")
    return [to_rgb(image) for image in images]


def pixel_values(images: Sequence[Image], size: int, fit: str = "crop") -> Tensor:
    """CLIP's input (n, 3, size, size): bicubic, normalised.

    Args:
        fit: "crop" scales the short side to `size` and cuts out the middle (CLIP); "pad" scales
            the long side and fills up with black (HPS v2).
    """
    from PIL import Image

    out = torch.empty(len(images), 3, size, size)
    for i, image in enumerate(images):
        width, height = image.size
        if fit == "crop":
            short = min(width, height)
            scaled = int(size * width / short), int(size * height / short)
        else:
            long = max(width, height)
            scaled = round(width * size / long), round(height * size / long)
        scaled = max(1, scaled[0]), max(1, scaled[1])
        if scaled != image.size:
            image = image.resize(scaled, Image.Resampling.BICUBIC)
        left, top = (size - scaled[0]) / 2, (size - scaled[1]) / 2
        if fit == "crop":
            box = (round(-left), round(-top))
            image = image.crop((*box, box[0] + size, box[1] + size))
        elif scaled != (size, size):
            square = Image.new("RGB", (size, size))
            square.paste(image, (int(left), int(top)))
            image = square
        data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        out[i] = data.view(size, size, 3).permute(2, 0, 1) / 255
    return (out - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_STD)[:, None, None]


class _Scorer:
    """Checks and batches images; a scorer fills in `_score`."""

    device: torch.device
    dtype: torch.dtype
    needs_prompts = True

    def score(self, images: Images, prompts: Sequence[str] | None = None) -> Tensor:
        """One score an image, (n,) float32 on the CPU.

        Args:
            prompts: one an image, where the scorer needs them.

        Raises:
            InputError: an image is none or has NaN pixels, a prompt is missing or empty.
        """
        pictures = to_pil(images)
        if self.needs_prompts:
            if prompts is None or len(prompts) != len(pictures):
                given = "no" if prompts is None else str(len(prompts))
                raise InputError(f"{given} prompts for {len(pictures)} images: give one each")
            if not all(prompt.strip() for prompt in prompts):
                raise InputError("a prompt is empty: nothing to compare the image with")
        parts = [torch.empty(0)]
        with torch.inference_mode():
            for start in range(0, len(pictures), _BATCH):
                end = start + _BATCH
                texts = list(prompts[start:end]) if self.needs_prompts else []
                parts.append(self._score(pictures[start:end], texts).float().cpu())
        scores = torch.cat(parts)
        if not torch.isfinite(scores).all():
            raise InputError("a score is not finite: the image model does not suit this precision")
        return scores

    def _score(self, images: Sequence[Image], prompts: list[str]) -> Tensor:
        raise NotImplementedError


class PickScore(_Scorer):
    """PickScore of an image against a prompt: exp(logit scale) · cos(image, text).

    Args:
        model: transformers' CLIPModel.
        tokenizer: turns prompts into ids; cut at the text tower's 77 tokens.
    """

    def __init__(self, model, tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.device, self.dtype = model.device, model.dtype

    @classmethod
    def load(
        cls, model: str | Path = PICKSCORE, device: str = "cpu", dtype: torch.dtype | None = None
    ) -> PickScore:
        """From a hub id or a folder; half precision on a GPU."""
        transformers = _package("transformers")
        try:
            network = transformers.CLIPModel.from_pretrained(
                str(model), torch_dtype=dtype or _precision(device)
            )
            tokenizer = transformers.CLIPTokenizer.from_pretrained(str(model))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"PickScore cannot be loaded from {model} ({str(error).splitlines()[0]}): give a "
                f"folder, or connect once to download {PICKSCORE}"
            ) from error
        return cls(network.to(device).eval(), tokenizer)

    def _score(self, images: Sequence[Image], prompts: list[str]) -> Tensor:
        size = self.model.config.vision_config.image_size
        longest = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            prompts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(self.device)
        pixels = pixel_values(images, size).to(self.device, self.dtype)
        seen = self.model.vision_model(pixel_values=pixels).pooler_output
        read = self.model.text_model(**tokens).pooler_output
        image = F.normalize(self.model.visual_projection(seen).float(), dim=-1)
        text = F.normalize(self.model.text_projection(read).float(), dim=-1)
        return self.model.logit_scale.exp().float() * (image * text).sum(-1)


class AestheticHead(nn.Module):
    """LAION's MLP on a CLIP-L image embedding, in its published layout (no activations)."""

    def __init__(self, width: int = 768) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, 1024),
            nn.Dropout(0.2),
            nn.Linear(1024, 128),
            nn.Dropout(0.2),
            nn.Linear(128, 64),
            nn.Dropout(0.1),
            nn.Linear(64, 16),
            nn.Linear(16, 1),
        )

    def forward(self, embedding: Tensor) -> Tensor:
        return self.layers(embedding)


class AestheticScore(_Scorer):
    """LAION aesthetic predictor: the head on the unit image embedding of OpenAI's CLIP ViT-L/14.

    Args:
        clip: open_clip model with `encode_image` and `visual.image_size`.
        head: an AestheticHead of the embedding's width.
    """

    needs_prompts = False

    def __init__(self, clip: nn.Module, head: AestheticHead) -> None:
        self.clip, self.head = clip, head
        parameter = next(clip.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype

    @classmethod
    def load(
        cls,
        head: str | Path,
        clip: str | Path = "openai",
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        architecture: str = "ViT-L-14",
    ) -> AestheticScore:
        """Args:
        head: the file `sac+logos+ava1-l14-linearMSE.pth`, or a folder that holds it.
        clip: a weight file, a folder of open_clip's (with its own architecture), or a tag to
            download.
        """
        model = _open_clip(architecture, clip, device, dtype or _precision(device))
        path = Path(head)
        state = _state(path / AESTHETIC_HEAD if path.is_dir() else path)
        width = state["layers.0.weight"].shape[1] if "layers.0.weight" in state else 768
        network = AestheticHead(width)
        _fill(network, state, path)
        return cls(model, network.to(device).eval())

    def _score(self, images: Sequence[Image], prompts: list[str]) -> Tensor:
        pixels = pixel_values(images, _image_size(self.clip)).to(self.device, self.dtype)
        embedding = F.normalize(self.clip.encode_image(pixels).float(), dim=-1)
        return self.head(embedding).squeeze(-1)


class HpsScore(_Scorer):
    """Human Preference Score v2: the cosine of image and prompt in a tuned CLIP ViT-H/14.

    Args:
        clip: open_clip model.
        tokenize: prompts to ids (n, 77).
    """

    def __init__(self, clip: nn.Module, tokenize) -> None:
        self.clip, self.tokenize = clip, tokenize
        parameter = next(clip.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype

    @classmethod
    def load(
        cls,
        weights: str | Path | None = None,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        architecture: str = "ViT-H-14",
    ) -> HpsScore:
        """Args:
        weights: the checkpoint file, or a folder that holds it; None downloads it from the hub.
        """
        if weights is None:
            from huggingface_hub import hf_hub_download

            try:
                weights = hf_hub_download(*HPS)
            except Exception as error:  # offline, missing or refused: each its own class
                raise ModelError(
                    f"{HPS[0]} cannot be downloaded: connect once, or give the file {HPS[1]}"
                ) from error
        path = Path(weights)
        model = _open_clip(architecture, None, device, dtype or _precision(device))
        state = _state(path / HPS[1] if path.is_dir() else path)
        _fill(model, state.get("state_dict", state), path)
        return cls(model, _package("open_clip").get_tokenizer(architecture))

    def _score(self, images: Sequence[Image], prompts: list[str]) -> Tensor:
        pixels = pixel_values(images, _image_size(self.clip), "pad").to(self.device, self.dtype)
        image = F.normalize(self.clip.encode_image(pixels).float(), dim=-1)
        text = F.normalize(
            self.clip.encode_text(self.tokenize(prompts).to(self.device)).float(), dim=-1
        )
        return (image * text).sum(-1)


def _precision(device: str | torch.device) -> torch.dtype:
    return torch.float32 if torch.device(device).type == "cpu" else torch.float16


def _package(name: str):
    import importlib

    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision of another torch
        raise ModelError(
            f"{name} cannot be imported ({str(error).splitlines()[0]}): "
            "pip install 'beautifulprompt[score]'"
        ) from error


def _open_clip(
    architecture: str, weights: str | Path | None, device: str, dtype: torch.dtype
) -> nn.Module:
    """A CLIP of open_clip's, without its training transforms."""
    open_clip = _package("open_clip")
    if weights is not None and Path(weights).suffix and not Path(weights).is_file():
        raise ModelError(f"{weights} is missing: give a CLIP weight file, or a tag of open_clip's")
    if weights is not None and (Path(weights) / "open_clip_config.json").is_file():
        architecture, weights = f"local-dir:{weights}", None
    tag = None if weights is None else str(weights)
    # OpenAI's weights were trained with another GELU than open_clip's default.
    quick = {"force_quick_gelu": True} if tag == "openai" else {}
    try:
        model = open_clip.create_model(architecture, pretrained=tag, **quick)
    except Exception as error:  # open_clip raises RuntimeError, OSError, hub errors
        raise ModelError(
            f"CLIP {architecture} cannot be loaded from {tag} ({str(error).splitlines()[0]}): "
            "connect once to download it, or give a weight file"
        ) from error
    return model.to(device, dtype).eval()


def _image_size(clip: nn.Module) -> int:
    size = clip.visual.image_size
    return size[0] if isinstance(size, (tuple, list)) else size


def _state(path: Path) -> dict:
    """Tensors of a weight file, safetensors or pickled; raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path} is missing: download it, or give its folder")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(str(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken or unsafe pickle raises
        raise ModelError(f"{path} is not a file of weights: download it again") from error


def _fill(network: nn.Module, state: dict, path: Path) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:160]
        raise ModelError(f"{path} is of another model ({line}): download it again") from error
