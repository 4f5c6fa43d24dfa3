// A bypassed Beautify Prompt hands its text on. ComfyUI does that for a text that comes over a
// link; for one that is typed in the node, the nodes behind would fall back on what their own
// boxes hold from before they were connected.
import { BEAUTIFY, chain, linked, widgetOf } from "./page.js";

const BYPASSED = 4;
const PROMPTS = [0, 1]; // outputs: prompt, candidates
const ready = new WeakSet();

export function handOn(node) {
  const text = widgetOf(node, "text");
  if (text) chain(text, "beforeQueued", () => node.mode === BYPASSED && prepare(node));
}

function prepare(node) {
  for (const slot of PROMPTS) {
    for (const id of node.outputs[slot]?.links ?? []) {
      const link = node.graph.getLink?.(id) ?? node.graph.links[id];
      const target = link && node.graph.getNodeById(link.target_id);
      const name = target?.inputs[link.target_slot]?.widget?.name;
      const widget = name && widgetOf(target, name);
      if (widget && !ready.has(widget)) ask(target, widget);
    }
  }
}

// Let a widget ask, whenever a graph is queued, whether such a node stands before it.
function ask(target, widget) {
  ready.add(widget);
  const own = widget.serializeValue;
  widget.serializeValue = function (...values) {
    return source(target, widget) ?? (own ? own.apply(this, values) : this.value);
  };
}

function source(target, widget) {
  const input = target.inputs.find((input) => input.widget?.name === widget.name);
  if (input?.link == null) return undefined;
  const link = target.graph.getLink?.(input.link) ?? target.graph.links[input.link];
  const node = link && target.graph.getNodeById(link.origin_id);
  const ours = node?.comfyClass === BEAUTIFY && PROMPTS.includes(link.origin_slot);
  return ours && node.mode === BYPASSED && !linked(node, "text") ? widgetOf(node, "text")?.value : undefined;
}
