// "Beautify this text": in the menu and the toolbox of any node with a text box, and Ctrl+Shift+B.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { BEAUTIFY, linked, say, setValue, tell, undoable } from "./page.js";

// Milliseconds after which it says that it waits for the graph that runs.
const PATIENCE = 2000;

// Texts as they were before, by widget.
const originals = new WeakMap();
let requests = 0;

export function menuItems(node) {
  const boxes = textBoxes(node);
  return boxes.flatMap((widget) => {
    const which = boxes.length > 1 ? ` (${widget.label ?? widget.name})` : "";
    const items = [{
      content: say("Beautify this text") + which,
      disabled: !canRead(node, widget),
      callback: () => beautifyWidget(node, widget),
    }];
    if (originals.has(widget)) {
      items.push({
        content: say("Restore the text before Beautify") + which,
        callback: () => {
          undoable(node, () => setValue(widget, originals.get(widget)));
          originals.delete(widget);
        },
      });
    }
    return items;
  });
}

// For the command: the box with the cursor, else the first one of the selected node.
export function beautifyHere() {
  const area = document.activeElement;
  const typing = area instanceof HTMLTextAreaElement;
  const id = typing && area.closest("[data-node-id]")?.dataset.nodeId;
  const holder = app.canvas.graph.nodes.find((node) =>
    id ? String(node.id) === id : typing && textBoxes(node).some((w) => w.element === area)
  );
  const node = holder ?? Object.values(app.canvas.selected_nodes ?? {})[0];
  const boxes = node ? textBoxes(node) : [];
  const typed = boxes.find((w) => w.element === area || (holder && w.value === area.value));
  const widget = typed ?? boxes.find((box) => canRead(node, box));
  if (widget && canRead(node, widget)) return beautifyWidget(node, widget);
  tell("info", say("Beautify this text"), say("Select a node with a text box."));
}

export function textBoxes(node) {
  return (node.widgets ?? []).filter((widget) => {
    // Boxes that only show something are left out, and the text that our node has written.
    const area = widget.element instanceof HTMLTextAreaElement ? widget.element : null;
    const written = node.comfyClass === BEAUTIFY && widget.name === "written";
    return (area || widget.type === "customtext") && !area?.readOnly && !written;
  });
}

// A box whose text comes over a link is not asked for its own.
function canRead(node, widget) {
  return !linked(node, widget.name) && Boolean(String(widget.value ?? "").trim());
}

async function beautifyWidget(node, widget) {
  const before = widget.value;
  const own = node.comfyClass === BEAUTIFY ? node.widgets : [];
  try {
    const result = await beautify(before, own);
    if (!result || widget.value !== before) return; // cancelled, or edited meanwhile
    if (result.after === before) {
      return tell("info", say("Nothing to add"), say(result.note || "The text is as it was."));
    }
    undoable(node, () => setValue(widget, result.after));
    originals.set(widget, before);
  } catch (error) {
    tell("error", say("Beautify this text"), error.message);
  }
}

// A graph of our node alone goes to the front of the queue: memory, Cancel and errors are then
// ComfyUI's as for any other graph. Resolves to before, after and note, or null when cancelled.
// `widgets` with the names of the node's own take the place of its defaults.
async function beautify(text, widgets) {
  const id = `beautifulprompt-${Date.now()}-${++requests}`;
  const inputs = await defaults();
  for (const { name, value } of widgets) if (name in inputs) inputs[name] = value;
  Object.assign(inputs, {
    text,
    seed: Math.floor(Math.random() * 2 ** 32),
    // The text goes back into a box: {a|b} is not this run's to choose.
    dynamic_prompts: false,
    frozen: false,
    written: "",
  });
  const answer = listen(id);
  const slow = setTimeout(() => {
    tell("info", say("In the queue"), say("It is next, after what runs now."));
  }, PATIENCE);
  try {
    const response = await api.fetchApi("/prompt", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        client_id: api.clientId,
        front: true,
        prompt: { [id]: { class_type: BEAUTIFY, inputs } },
      }),
    });
    if (!response.ok) throw new Error(reason(await response.json()));
    return await answer.result;
  } finally {
    clearTimeout(slow);
    answer.stop();
  }
}

// The node's widgets as a new node has them.
async function defaults() {
  const definition = (await (await api.fetchApi(`/object_info/${BEAUTIFY}`)).json())[BEAUTIFY];
  const inputs = Object.entries({ ...definition.input.required, ...definition.input.optional });
  const widgets = inputs.filter(([, [, options]]) => options?.default !== undefined);
  return Object.fromEntries(widgets.map(([name, [, options]]) => [name, options.default]));
}

function listen(id) {
  const handlers = {};
  const result = new Promise((resolve, reject) => {
    handlers.executed = ({ detail }) => {
      if (detail.node === id) resolve(detail.output.beautifulprompt[0]);
    };
    handlers.execution_error = ({ detail }) => {
      if (detail.node_id === id) reject(new Error(detail.exception_message));
    };
    handlers.execution_interrupted = ({ detail }) => {
      if (detail.node_id === id) resolve(null);
    };
  });
  for (const [kind, handler] of Object.entries(handlers)) api.addEventListener(kind, handler);
  const stop = () => {
    for (const [kind, handler] of Object.entries(handlers)) api.removeEventListener(kind, handler);
  };
  return { result, stop };
}

function reason(body) {
  const first = Object.values(body.node_errors ?? {})[0]?.errors?.[0];
  return first?.details || first?.message || body.error?.message || "the server refused the text";
}
