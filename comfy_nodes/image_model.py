"""What a CLIP object and the graph tell of the image model: encoders, class, checkpoint's name."""

from __future__ import annotations

from ..bp_core.text.image_model import ImageModel


def image_model(clip, graph: dict | None, node_id) -> ImageModel | None:
    """The image model that `clip` belongs to; None without one.

    Args:
        clip: ComfyUI's CLIP object, which holds every text encoder of a model.
        graph: as queued; the checkpoint is looked for behind input `clip` of node `node_id`.
    """
    if clip is None:
        return None
    stage = getattr(clip, "cond_stage_model", None)
    encoders = tuple(name for name, _ in text_encoders(clip))
    kind = "" if stage is None else type(stage).__name__
    return ImageModel(encoders, kind, tuple(_checkpoints(graph or {}, str(node_id))))


def text_encoders(clip) -> list[tuple[str, object]]:
    """The text encoders of ComfyUI's CLIP object by name; each wraps its network, `transformer`."""
    stage = getattr(clip, "cond_stage_model", None)
    if hasattr(stage, "transformer"):  # one that no image model's class is around
        return [(type(stage).__name__, stage)]
    children = stage.named_children() if hasattr(stage, "named_children") else ()
    # What else lies beside them are projections.
    return [(name, part) for name, part in children if hasattr(part, "transformer")]


def _checkpoints(graph: dict, node_id: str) -> list[str]:
    """Files of the checkpoints that a node's `clip` comes from, through LoRAs and the like."""
    names: list[str] = []
    pending, seen = [_source(graph, node_id, "clip")], {node_id}
    while pending:
        name = pending.pop()
        if name is None or name in seen or name not in graph:
            continue
        seen.add(name)
        inputs = graph[name].get("inputs") or {}
        if isinstance(inputs.get("ckpt_name"), str):
            names.append(inputs["ckpt_name"])
        pending += [_source(graph, name, key) for key in inputs]
    return names


def _source(graph: dict, node_id: str, key: str) -> str | None:
    """The node that feeds an input; None for a widget's value."""
    value = ((graph.get(node_id) or {}).get("inputs") or {}).get(key)
    return str(value[0]) if isinstance(value, list) and value else None
