"""The positive prompt in a graph of ComfyUI, as its pictures carry it (the API's form).

From what saved the picture up to the nearest sampler, through its positive side up to the encoder,
and from there to the text, which may come through string nodes, wildcards or our own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

Graph = Mapping[str, Any]

# Inputs of encoders, the fullest text last: T5 and its like read whole sentences.
_TEXTS = ("text_l text_g clip_l clip_g text prompt positive_prompt instruction llama t5xxl").split()
# Inputs of nodes that make strings, in the order in which they are asked.
_STRINGS = (
    "populated_text text string value prompt positive text_positive STRING String_A input result"
).split()
_JOINS = ("concat", "join", "combine", "append", "merge")
_PARTING = ("delimiter", "separator", "linebreak_addition", "joiner")
_OURS = "BeautifulPrompt"


def prompt_of_graph(graph: Graph, records: Mapping[str, Any]) -> tuple[str, str]:
    """(positive prompt, what the artist typed or ""); "" where none is found.

    Args:
        records: what our own nodes wrote, by node id: lists of {"text", "prompt"}.
    """
    reader = _Reader(graph, records)
    for sampler in reader.samplers():
        prompt = reader.positive_of(sampler)
        if any(c.isalnum() for c in prompt):
            return prompt, reader.original
    return "", ""


class _Reader:
    def __init__(self, graph: Graph, records: Mapping[str, Any]) -> None:
        self._nodes = {str(i): n for i, n in graph.items() if isinstance(n, Mapping)}
        self._records = records
        self.original = ""

    def samplers(self) -> Iterator[str]:
        """Nodes with a positive side or a guider: those nearest to a saved picture come first."""
        ends = [i for i in self._nodes if "save" in self._kind(i).lower()]
        ends += [i for i in self._nodes if "preview" in self._kind(i).lower()]
        seen: set[str] = set()
        pending = deque([*ends, *self._nodes])
        while pending:
            node = pending.popleft()
            if node in seen or node not in self._nodes:
                continue
            seen.add(node)
            inputs = self._inputs(node)
            if _linked(inputs.get("positive")) or _linked(inputs.get("guider")):
                yield node
            # Before what only stands about in the graph.
            pending.extendleft(str(v[0]) for v in inputs.values() if _linked(v))

    def positive_of(self, sampler: str) -> str:
        self.original = ""
        inputs = self._inputs(sampler)
        if _linked(inputs.get("guider")):
            inputs = self._inputs(str(inputs["guider"][0]))
            for name in ("positive", "conditioning", "cond1"):
                if _linked(inputs.get(name)):
                    return self._condition(inputs[name], frozenset())
            return ""
        return self._condition(inputs["positive"], frozenset())

    def _condition(self, link: list, seen: frozenset) -> str:
        """The text behind a conditioning."""
        node, slot = str(link[0]), link[1] if len(link) > 1 else 0
        if node in seen or node not in self._nodes or "ZeroOut" in self._kind(node):
            return ""
        seen, inputs = seen | {node}, self._inputs(node)
        if {"positive", "negative"} <= set(inputs):  # both sides go through, side by side
            side = inputs["negative" if slot == 1 else "positive"]
            return self._condition(side, seen) if _linked(side) else str(side)
        if self._kind(node).startswith(_OURS):
            return self._string(link, seen)
        texts = [self._value(inputs[name], seen) for name in _TEXTS if name in inputs]
        texts = [text for text in dict.fromkeys(texts) if any(c.isalnum() for c in text)]
        if texts:
            # Encoders of one picture mostly read the same, at different lengths.
            return max(texts, key=len)
        # Combined, timed, masked, guided: all that it is made of.
        parts = [
            self._condition(value, seen)
            for name, value in inputs.items()
            if _linked(value) and "cond" in name.lower()
        ]
        parts = parts or [self._condition(v, seen) for v in inputs.values() if _linked(v)]
        return ", ".join(part for part in dict.fromkeys(parts) if part)

    def _value(self, value: Any, seen: frozenset) -> str:
        if isinstance(value, str):
            return value
        return self._string(value, seen) if _linked(value) else ""

    def _string(self, link: list, seen: frozenset) -> str:
        """The text that a node puts out."""
        node = str(link[0])
        if node in seen or node not in self._nodes:
            return ""
        seen, inputs, kind = seen | {node}, self._inputs(node), self._kind(node)
        if kind.startswith(_OURS):
            entries = self._records.get(node)
            entry = entries[-1] if isinstance(entries, list) and entries else {}
            if isinstance(entry, Mapping) and isinstance(entry.get("prompt"), str):
                self.original = str(entry.get("text", ""))
                return entry["prompt"]
            return self._value(inputs.get("text", ""), seen)
        if any(word in kind.lower() for word in _JOINS):
            by = next((inputs[n] for n in _PARTING if isinstance(inputs.get(n), str)), ", ")
            parts = [self._value(v, seen) for n, v in inputs.items() if n not in _PARTING]
            parts = [part for part in parts if part.strip() and part not in ("true", "false")]
            return by.replace("\\n", "\n").join(parts)
        if {"string", "find", "replace"} <= set(inputs):
            old, new = (self._value(inputs[name], seen) for name in ("find", "replace"))
            text = self._value(inputs["string"], seen)
            return text.replace(old, new) if old else text
        for name in _STRINGS:
            text = self._value(inputs.get(name), seen)
            if any(c.isalnum() for c in text):
                return text
        for value in inputs.values():  # whatever it is called
            if _linked(value) and (text := self._string(value, seen)):
                return text
        return ""

    def _inputs(self, node: str) -> Mapping[str, Any]:
        inputs = self._nodes.get(node, {}).get("inputs")
        return inputs if isinstance(inputs, Mapping) else {}

    def _kind(self, node: str) -> str:
        return str(self._nodes.get(node, {}).get("class_type", ""))


def _linked(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[1], int)
