"""What ComfyUI makes of each image model's text encoders, and we of that; by ComfyUI's Python.

    python comfyui_families.py COMFYUI_DIR PACK

A few tensors without content, of the names and shapes that the encoders' files have, go through
ComfyUI's own recognition; its own classes are built without memory for weights. Prints JSON by
family: `dialect` as the node chooses it, `reason`, and for a tokenizer that ComfyUI brings along
the tokens that it counts for no text, `template`, and that we count for three words, `words`.
"""

import importlib.util
import json
import sys
from types import SimpleNamespace

sys.path.insert(0, sys.argv[1])
pack, sys.argv = sys.argv[2], [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.sd  # noqa: E402
import torch  # noqa: E402

spec = importlib.util.spec_from_file_location(
    "pack", f"{pack}/__init__.py", submodule_search_locations=[pack]
)
sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["pack"])
from pack.comfy_nodes.image_model import image_model  # noqa: E402
from pack.comfy_nodes.plain import clip_tokens  # noqa: E402

_LAYER = "model.layers.0."
_K = f"{_LAYER}self_attn.k_proj.weight"
_T5 = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight"


def qwen3(width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{_LAYER}post_attention_layernorm.weight": (width,),
        f"{_LAYER}self_attn.q_norm.weight": (128,),
        _K: (1024, width),
    }


def gemma(*more: str) -> dict[str, tuple[int, ...]]:
    names = [f"{_LAYER}post_feedforward_layernorm.weight", *more]
    return {**{name: (256,) for name in names}, _K: (1024, 2304)}


CLIP_L = {"text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768)}
CLIP_H = {"text_model.encoder.layers.22.mlp.fc1.weight": (4096, 1024)}
CLIP_G = {"text_model.encoder.layers.30.mlp.fc1.weight": (5120, 1280)}
T5 = {_T5: (10240, 4096)}
LLAMA = {f"{_LAYER}post_attention_layernorm.weight": (4096,), _K: (1024, 4096)}
QWEN25 = {f"{_LAYER}self_attn.k_proj.bias": (512,), _K: (512, 3584)}
MISTRAL = {f"{_LAYER}post_attention_layernorm.weight": (5120,), _K: (1024, 5120)}
GEMMA_12B = gemma(
    f"{_LAYER}self_attn.q_norm.weight",
    "model.layers.47.self_attn.q_norm.weight",
    "model.layers.5.self_attn.v_proj.weight",
)
PROJECTION = {"text_embedding_projection.aggregate_embed.weight": (3840, 188160)}

# Family -> its encoders' files, the type that its loader names, the checkpoint's name.
FAMILIES = {
    "SD 1.5": ([CLIP_L], "STABLE_DIFFUSION", "dreamshaper_8.safetensors"),
    "SD 2.1": ([CLIP_H], "STABLE_DIFFUSION", "v2-1_768.safetensors"),
    "SDXL": ([CLIP_L, CLIP_G], "STABLE_DIFFUSION", "juggernautXL_v9.safetensors"),
    "Pony": ([CLIP_L, CLIP_G], "STABLE_DIFFUSION", "ponyDiffusionV6XL.safetensors"),
    "Illustrious": ([CLIP_L, CLIP_G], "STABLE_DIFFUSION", "Illustrious-XL-v1.0.safetensors"),
    "NoobAI": ([CLIP_L, CLIP_G], "STABLE_DIFFUSION", "noobaiXLNAIXL_vPred10.safetensors"),
    "Stable Cascade": ([CLIP_G], "STABLE_CASCADE", None),
    "SD 3.5": ([CLIP_L, CLIP_G, T5], "SD3", "sd3.5_large.safetensors"),
    "SD 3.5 without T5": ([CLIP_L, CLIP_G], "SD3", "sd3.5_large.safetensors"),
    "Flux": ([CLIP_L, T5], "FLUX", None),
    "Flux 2": ([MISTRAL], "FLUX2", None),
    "Flux 2 Klein 4B": ([qwen3(2560)], "FLUX2", None),
    "Flux 2 Klein 9B": ([qwen3(4096)], "FLUX2", None),
    "Chroma": ([T5], "CHROMA", None),
    "PixArt": ([T5], "PIXART", None),
    "Qwen-Image": ([QWEN25], "QWEN_IMAGE", None),
    "Z-Image": ([qwen3(2560)], "LUMINA2", None),
    "Lumina 2": ([gemma()], "LUMINA2", None),
    "HiDream": ([CLIP_L, CLIP_G, T5, LLAMA], "HIDREAM", None),
    "HunyuanVideo": ([CLIP_L, LLAMA], "HUNYUAN_VIDEO", None),
    "Wan": ([T5], "WAN", None),
    "LTX-2": ([GEMMA_12B, PROJECTION], "LTXV", None),
    "Gemma 3 12B alone": ([GEMMA_12B], "LTXV", None),
    "Anima": ([qwen3(1024)], "STABLE_DIFFUSION", None),
}  # fmt: skip


class Caught(SimpleNamespace):
    """Stands in for ComfyUI's CLIP: its classes, without weights."""

    def __init__(self, target, tokenizer_data, **_):
        device = {"device": "meta", "dtype": torch.bfloat16, "model_options": {}}
        super().__init__(cond_stage_model=target.clip(**target.params, **device))
        try:
            self.tokenizer = target.tokenizer(tokenizer_data=tokenizer_data)
        except (TypeError, ValueError, AttributeError, OSError):
            self.tokenizer = None  # lies in the encoder's file

    def tokenize(self, text, **options):
        return self.tokenizer.tokenize_with_weights(text, **options)


def told(files: list[dict], kind: str, checkpoint: str | None) -> dict:
    tensors = [
        {name: torch.empty(shape, device="meta", dtype=torch.bfloat16) for name, shape in f.items()}
        for f in files
    ]
    clip = comfy.sd.load_text_encoder_state_dicts(tensors, clip_type=comfy.sd.CLIPType[kind])
    graph = {"5": {"inputs": {"clip": ["4", 1]}}, "4": {"inputs": {"ckpt_name": checkpoint}}}
    model = image_model(clip, graph if checkpoint else {}, "5")
    row = {"dialect": model.dialect, "reason": model.reason}
    if clip.tokenizer is not None:
        empty = clip.tokenize("", return_word_ids=True)
        row["template"] = max(
            sum(token[2] != 0 for part in parts for token in part) for parts in empty.values()
        )
        row["words"] = clip_tokens(clip, "a red cat")
    return row


comfy.sd.CLIP = Caught
rows = {}
for family, (files, kind, checkpoint) in FAMILIES.items():
    rows[family] = told(files, kind, checkpoint)
print(json.dumps(rows))
