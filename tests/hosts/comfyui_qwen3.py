"""A node for tests: a small random Qwen3 as text encoder, made of ComfyUI's own classes.

A copy lies in the test's custom_nodes. The network's head only knows a few English words, so that
what it writes is nonsense, but text.
"""

import comfy.ops
import comfy.sd
import comfy.text_encoders.llama
import torch
from comfy import sd1_clip
from comfy.text_encoders.z_image import ZImageTokenizer

SMALL = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip
WORDS = (
    " soft, light, deep, shadows, golden, evening, calm, mood, mist, muted, colours, rain".split()
)
END = 151645  # <|im_end|>: else every draft would be as long as it may


class SmallQwen3(sd1_clip.SDClipModel):
    def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006 (as theirs)
        super().__init__(
            device=device, layer="hidden", layer_idx=-2, textmodel_json_config=SMALL, dtype=dtype,
            special_tokens={"pad": 151643}, layer_norm_hidden_state=False,
            model_class=comfy.text_encoders.llama.Qwen3_06B, enable_attention_masks=True,
            return_attention_masks=True, model_options=model_options,
        )  # fmt: skip


class SmallStage(sd1_clip.SD1ClipModel):
    def __init__(self, device="cpu", dtype=None, model_options={}):  # noqa: B006
        super().__init__(
            device=device, dtype=dtype, name="qwen3_4b", clip_model=SmallQwen3,
            model_options=model_options,
        )  # fmt: skip


class Target:
    params: dict = {}  # noqa: RUF012
    clip = SmallStage
    tokenizer = ZImageTokenizer


class RandomQwen3:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "make", ("CLIP",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": {"broken": ("BOOLEAN", {"default": False})}}

    def make(self, broken=False):
        torch.manual_seed(0)
        clip = comfy.sd.CLIP(Target, embedding_directory=None)
        for name, tensor in clip.cond_stage_model.state_dict().items():
            norm = "norm" in name
            tensor.copy_(torch.randn(tensor.shape) * 0.2 + norm)
        network = clip.cond_stage_model.qwen3_4b.transformer.model
        tokenize = clip.tokenizer.qwen3_4b.tokenizer
        known = sorted({i for word in WORDS for i in tokenize(" " + word)["input_ids"]} | {END})
        scale = torch.full((network.embed_tokens.weight.shape[0], 1), 1e-3)
        scale[known] = 2.0
        network.embed_tokens.weight.data.mul_(scale.to(network.embed_tokens.weight))
        if broken:  # as an encoder is whose file lacks something
            network.layers[0].self_attn = None
        return (clip,)


NODE_CLASS_MAPPINGS = {"RandomQwen3": RandomQwen3}
