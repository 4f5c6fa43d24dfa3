"""Rewritten prompts in the metadata of saved images, on cache hits too.

ComfyUI saves what a node puts into `extra_pnginfo`, a dictionary that belongs to one queued
prompt. A node whose output is cached does not run, so its words would be missing from the next
image. What each node wrote is therefore remembered under everything its output depends on, and
put in place when a graph with that node is queued again.
"""

from __future__ import annotations

import json
from collections import OrderedDict

KEY = "beautifulprompt"
BEAUTIFY_ID = "BeautifulPromptBeautify"

_REMEMBERED = 256
_written: OrderedDict[str, list[dict]] = OrderedDict()


def record(hidden, index: int | None, entry: dict) -> None:
    """Note what a node wrote.

    Args:
        hidden: the node's hidden inputs: unique_id, prompt (the graph), extra_pnginfo.
        index: of the text, where a list of texts came in.
        entry: JSON-able.
    """
    signature = _signature(hidden.prompt or {}, hidden.unique_id)
    entries = [*_written.get(signature, []), entry] if index else [entry]
    if signature:
        _remember(signature, entries)
    if isinstance(hidden.extra_pnginfo, dict):
        hidden.extra_pnginfo.setdefault(KEY, {})[str(hidden.unique_id)] = entries


def on_prompt(data: dict) -> dict:
    """Called by ComfyUI with each request to queue a graph; returns it, metadata filled in."""
    graph = data.get("prompt") or {}
    nodes = [i for i, node in graph.items() if node.get("class_type") == BEAUTIFY_ID]
    if not nodes:
        return data
    extra = data.get("extra_data") or {}
    info = extra.get("extra_pnginfo") or {}
    known = {i: _written[s] for i in nodes if (s := _signature(graph, i)) in _written}
    # Also without a known one: API clients send no dictionary, and the node needs one to write in.
    return {**data, "extra_data": {**extra, "extra_pnginfo": {**info, KEY: known}}}


def _remember(signature: str, entries: list[dict]) -> None:
    _written[signature] = entries
    _written.move_to_end(signature)
    while len(_written) > _REMEMBERED:
        _written.popitem(last=False)


def _signature(graph: dict, node_id: str) -> str:
    """Everything in a graph that a node's output depends on, as text; "" for an unknown node."""
    nodes: dict[str, list] = {}
    pending = [str(node_id)]
    while pending:
        name = pending.pop()
        if name in nodes or name not in graph:
            continue
        inputs = graph[name].get("inputs") or {}
        nodes[name] = [
            graph[name].get("class_type"),
            sorted((key, _plain(value)) for key, value in inputs.items()),
        ]
        pending += [str(v[0]) for v in inputs.values() if isinstance(v, list) and v]
    return json.dumps(nodes, sort_keys=True) if nodes else ""


def _plain(value) -> str:
    """A widget's value as text; the server turns 1 into 1.0 only after the graph was queued."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value)
