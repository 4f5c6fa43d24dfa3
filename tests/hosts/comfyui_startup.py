"""Load a pack as ComfyUI does at its start and tell what that cost; run by ComfyUI's Python.

    python comfyui_startup.py COMFYUI_DIR PACK

Prints JSON: `wall` and `cpu` seconds, and which of the modules that read weights came in with it.
Connecting to anything ends it with an error.
"""

import asyncio
import json
import socket
import sys
import time

sys.path.insert(0, sys.argv[1])
pack, sys.argv = sys.argv[2], [sys.argv[0], "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy_config.config_parser  # noqa: E402, F401 (ComfyUI's own, read for the first pack)
import nodes  # noqa: E402
import server  # noqa: E402

READERS = (
    "bp_core.models.load",
    "bp_core.rewriter",
    "bp_core.score.text_reward",
    "huggingface_hub",
)


def refuse(*_):
    raise AssertionError("a network call")


loop = asyncio.new_event_loop()
server.PromptServer(loop)
socket.socket.connect = refuse
known = set(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
assert loop.run_until_complete(nodes.load_custom_node(pack))
cost = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
new = [name for name in set(sys.modules) - known if name.endswith(READERS)]
assert "BeautifulPromptBeautify" in nodes.NODE_CLASS_MAPPINGS
print(json.dumps({**cost, "readers": new}))
