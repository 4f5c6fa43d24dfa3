"""Write a random checkpoint that ComfyUI takes for Stable Diffusion 1.5; run by ComfyUI's Python.

    python comfyui_checkpoint.py COMFYUI_DIR OUTPUT.safetensors

Two UNet levels, a real-size CLIP-L and a tiny autoencoder: about 300 MB. It proves the plumbing,
not the pictures.
"""

import sys

sys.path.insert(0, sys.argv[1])
output, sys.argv = sys.argv[2], [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.ops  # noqa: E402
import comfy.sd1_clip  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from comfy.taesd.taesd import TAESD  # noqa: E402

torch.manual_seed(0)
parts = {
    "model.diffusion_model.": UNetModel(
        image_size=32,
        in_channels=4,
        model_channels=320,
        out_channels=4,
        num_res_blocks=1,
        channel_mult=(1, 1),
        num_heads=8,
        use_spatial_transformer=True,
        transformer_depth=[1, 0],
        transformer_depth_output=[1, 1, 0, 0],
        transformer_depth_middle=0,
        context_dim=768,
        use_linear_in_transformer=False,
        legacy=False,
        dtype=torch.float16,
        operations=comfy.ops.disable_weight_init,
    ),
    "cond_stage_model.": comfy.sd1_clip.SDClipModel(dtype=torch.float16),
    "first_stage_model.": TAESD(latent_channels=4),
}
tensors = {}
for prefix, module in parts.items():
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            norm = "norm" in name and name.endswith("weight")
            values = torch.randn(tensor.shape) * 0.03 + (1.0 if norm else 0.0)
            tensor = values.to(torch.float16)
        tensors[prefix + name] = tensor.contiguous()
safetensors.torch.save_file(tensors, output)
