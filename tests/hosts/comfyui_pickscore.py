"""Write a small random PickScore where Score Image looks for it; run by ComfyUI's Python.

python comfyui_pickscore.py COMFYUI_DIR FOLDER
"""

import sys

from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

comfyui, folder = sys.argv[1:]
tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
config = CLIPConfig(
    text_config={**tower, "num_attention_heads": 2},
    vision_config={**tower, "num_attention_heads": 2, "image_size": 32, "patch_size": 16},
    projection_dim=16,
)
CLIPModel(config).save_pretrained(folder)
CLIPTokenizer.from_pretrained(f"{comfyui}/comfy/sd1_tokenizer").save_pretrained(folder)
