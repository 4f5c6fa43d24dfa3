// A box in a node that shows what came of its last run, and goes on showing it: after switching
// tabs, undo, a reload of the page, and in a saved workflow.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { chain, say } from "./page.js";

const LIVE = "$$node-text-preview";
// Where a node's last results lie in its saved properties.
const KEPT = "beautifulprompt";
export const MOST_SHOWN = 20;

const STYLE = `
.beautifulprompt-box {
  overflow: auto; user-select: text; font-size: 12px; line-height: 1.4; padding: 6px 8px;
  border-radius: 4px; color: var(--input-text); background: var(--comfy-input-bg);
  white-space: pre-wrap;
}
.lg-node .beautifulprompt-box { max-height: 320px; }
.beautifulprompt-box.waiting { opacity: 0.6; }
.beautifulprompt-box p { margin: 0 0 6px; }
.beautifulprompt-box ins {
  text-decoration: none; border-radius: 2px; background: rgba(72, 187, 120, 0.35);
}
.beautifulprompt-box del { opacity: 0.6; background: rgba(229, 62, 62, 0.25); }
.beautifulprompt-box .text { max-height: 9.8em; overflow: auto; }
.beautifulprompt-box .facts { display: flex; gap: 10px; align-items: baseline; opacity: 0.75; }
.beautifulprompt-box .facts button { margin-left: auto; }
.beautifulprompt-box button {
  font: inherit; color: inherit; background: none; cursor: pointer; padding: 1px 6px;
  border: 1px solid var(--border-color); border-radius: 4px;
}
.beautifulprompt-box button:hover, .beautifulprompt-box button:focus-visible {
  background: var(--comfy-menu-bg);
}
.beautifulprompt-box .candidate {
  display: flex; gap: 8px; width: 100%; margin-top: 3px; text-align: left;
}
.beautifulprompt-box .candidate span {
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0;
}
.beautifulprompt-box .candidate b { font-variant-numeric: tabular-nums; font-weight: 600; }
.beautifulprompt-box .candidate.taken { border-color: rgba(72, 187, 120, 0.9); }
`;

// The boxes on the page, by node.
const boxes = new Map();

// Add the box, at least `height` pixels high. `part` of the node's output is a list;
// `show(box, list, node)` puts it in.
export function addBox(node, part, hint, show, height = 84) {
  const element = document.createElement("div");
  element.className = "beautifulprompt-box";
  // Else a drag over the text moves the node.
  element.addEventListener("pointerdown", (event) => event.button || event.stopPropagation());
  const widget = node.addDOMWidget("result", element.className, element, {
    serialize: false,
    // The Properties panel would give the box its own width, for good.
    hideInPanel: true,
    getMinHeight: () => height,
  });
  widget.serialize = false;
  const box = { node, part, element, hint, show, busy: false };
  boxes.set(node, box);
  chain(node, "onConfigure", () => render(node));
  chain(node, "onExecuted", (output) => {
    if (output?.[part]) keep(box, output[part]);
    stopWaiting(box);
  });
  chain(node, "onRemoved", () => boxes.delete(node));
  render(node);
}

// The last results of a node, as its output had them.
export function results(node) {
  return node.properties?.[KEPT] ?? [];
}

export function render(node) {
  const box = boxes.get(node);
  if (!box) return;
  const list = results(node);
  box.element.replaceChildren();
  box.element.classList.toggle("waiting", !list.length);
  if (list.length) box.show(box.element, list, node);
  else box.element.textContent = say(box.hint);
}

function keep(box, list) {
  box.node.properties ??= {};
  box.node.properties[KEPT] = box.keep?.(list) ?? list.slice(0, MOST_SHOWN);
  box.onKept?.(list);
  render(box.node);
}

// Let a node choose what stays of new results: `keep(list)` gives what is kept, `onKept(list)`
// comes after it.
export function onResults(node, keep, onKept) {
  Object.assign(boxes.get(node), { keep, onKept });
}

// After a tab was switched, or undo, the page holds newer outputs than the graph that it loads.
export function restore(outputs) {
  for (const box of boxes.values()) {
    const graph = box.node.graph;
    const inside = graph && graph !== app.rootGraph && graph !== app.graph?.rootGraph;
    const id = inside && graph.id ? `${graph.id}:${box.node.id}` : String(box.node.id);
    const list = outputs[id]?.[box.part];
    if (list) keep(box, list);
  }
}

// While a text is written the page shows it in a display of its own; the old one steps back.
function startWaiting(box) {
  box.busy = true;
  if (!results(box.node).length) box.element.replaceChildren();
  box.element.classList.add("waiting");
}

function stopWaiting(box) {
  // The page's display of the text while it was written: now the same text again, or half a text.
  const live = box.node.widgets?.find((widget) => widget.name === LIVE);
  if (live) box.node.removeWidget(live);
  if (box.busy) render(box.node);
  box.busy = false;
}

export function listen() {
  document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
  api.addEventListener("progress_text", ({ detail }) => {
    const id = String(detail.nodeId).split(":").at(-1);
    for (const box of boxes.values()) if (String(box.node.id) === id) startWaiting(box);
  });
  for (const end of ["execution_success", "execution_interrupted", "execution_error"]) {
    api.addEventListener(end, () => boxes.forEach(stopWaiting));
  }
}
