// What changed, shown in the Beautify Prompt node, scores in the nodes that score, and "Beautify
// this text" in the menu of any node with a text box. The nodes work without this file.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const BEAUTIFY = "BeautifulPromptBeautify";
const SCORES = ["BeautifulPromptScore", "BeautifulPromptScoreImage"];
const LIVE = "$$node-text-preview";
const MOST_SHOWN = 20;
// Milliseconds after which "Beautify this text" says that it waits for the graph that runs.
const PATIENCE = 2000;

const CHINESE = {
  "Beautify this text": "美化此文本",
  "Restore the text before Beautify": "恢复美化前的文本",
  "Run the graph to see here what was added.": "运行后在此显示新增的内容。",
  "Run the graph to see the scores here.": "运行后在此显示得分。",
  "In the queue": "已加入队列",
  "It is next, after what runs now.": "当前任务完成后即开始。",
  "dialect": "写法",
  "Nothing to add": "没有可添加的内容",
  "The text is as it was.": "文本保持不变。",
  // What the library says of a prompt that it left alone.
  "the prompt is good as it is: no rewrite scores clearly higher":
    "提示词保持原样：没有版本得分明显更高",
  "the prompt has no words to write on from": "提示词中没有可续写的文字",
  "the model found nothing new that suits, within the limits; raise n or relax block":
    "在限制内没有合适的新内容；请增加候选数或放宽屏蔽",
};

// Texts as they were before "Beautify this text", by widget.
const originals = new WeakMap();
let requests = 0;

app.registerExtension({
  name: "BeautifulPrompt",

  nodeCreated(node) {
    if (node.comfyClass === BEAUTIFY) {
      addBox(node, "beautifulprompt", "Run the graph to see here what was added.", showChanges);
    } else if (SCORES.includes(node.comfyClass)) {
      addBox(node, "text", "Run the graph to see the scores here.", showLines);
    }
  },

  getNodeMenuItems(node) {
    const boxes = (node.widgets ?? []).filter(isTextBox);
    return boxes.flatMap((widget) => {
      const which = boxes.length > 1 ? ` (${widget.label ?? widget.name})` : "";
      const items = [{
        content: say("Beautify this text") + which,
        // A box whose text comes over a link is not asked for its own.
        disabled: widget.computedDisabled || !String(widget.value ?? "").trim(),
        callback: () => beautifyWidget(node, widget),
      }];
      if (originals.has(widget)) {
        items.push({
          content: say("Restore the text before Beautify") + which,
          callback: () => {
            setText(node, widget, originals.get(widget));
            originals.delete(widget);
          },
        });
      }
      return items;
    });
  },
});

// A text of this file in the page's language.
function say(text) {
  const language = app.ui.settings.getSettingValue("Comfy.Locale") ?? "";
  return (language.startsWith("zh") && CHINESE[text]) || text;
}

// Boxes that only show something are left out.
function isTextBox(widget) {
  const area = widget.element instanceof HTMLTextAreaElement ? widget.element : null;
  return (area || widget.type === "customtext") && !area?.readOnly;
}

// ---- the nodes' own display

// A box in the node for part `name` of its output: `show(box, what is in it)`.
function addBox(node, name, hint, show) {
  const box = document.createElement("div");
  box.className = "beautifulprompt-box";
  box.style.cssText =
    "overflow:auto;user-select:text;font-size:12px;line-height:1.4;padding:6px 8px;" +
    "border-radius:4px;color:var(--input-text);background:var(--comfy-input-bg);" +
    "white-space:pre-wrap;opacity:0.6;";
  box.textContent = say(hint);
  const widget = node.addDOMWidget("result", box.className, box, {
    serialize: false,
    getMinHeight: () => 72,
  });
  widget.serialize = false;
  const before = node.onExecuted;
  node.onExecuted = function (output) {
    before?.apply(this, arguments);
    const results = output?.[name];
    if (!results) return;
    box.style.opacity = "1";
    box.replaceChildren();
    show(box, results);
    // The page's own display of the text while it was written, now the same text again.
    const live = this.widgets.find((widget) => widget.name === LIVE);
    if (live) this.removeWidget(live);
  };
}

function showLines(box, texts) {
  box.textContent = texts.join("\n\n");
}

function showChanges(box, results) {
  for (const { before, after, note, dialect } of results.slice(0, MOST_SHOWN)) {
    const line = document.createElement("p");
    line.style.margin = "0 0 6px";
    for (const { kind, text } of changes(before, after)) line.append(marked(kind, text));
    const remark = Object.assign(document.createElement("em"), { textContent: say(note) });
    if (note) line.append("\n", remark);
    const kind = Object.assign(document.createElement("small"), { textContent: dialect });
    kind.style.opacity = "0.6";
    kind.title = say("dialect");
    if (after !== before) line.append("\n", kind);
    box.append(line);
  }
  if (results.length > MOST_SHOWN) box.append(`… ${results.length - MOST_SHOWN} more`);
}

function marked(kind, text) {
  if (kind === "same") return document.createTextNode(text);
  const element = document.createElement(kind === "added" ? "ins" : "del");
  element.textContent = text;
  element.style.cssText = kind === "added"
    ? "text-decoration:none;border-radius:2px;background:rgba(72,187,120,.35);"
    : "opacity:.6;background:rgba(229,62,62,.25);";
  return element;
}

// Both texts as one row of pieces that are the same, added or lost: a longest common subsequence
// of words.
function changes(before, after) {
  const words = (text) => text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
  const a = words(before), b = words(after);
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i][j] = a[i] === b[j]
        ? common[i + 1][j + 1] + 1
        : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const pieces = [];
  const put = (kind, text) => {
    const last = pieces.at(-1);
    if (last?.kind === kind) last.text += text;
    else pieces.push({ kind, text });
  };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    const lose = i < a.length && (j === b.length || common[i + 1][j] > common[i][j + 1]);
    if (i < a.length && j < b.length && a[i] === b[j]) put("same", (i++, b[j++]));
    else if (lose) put("lost", a[i++]);
    else put("added", b[j++]);
  }
  return pieces;
}

// ---- "Beautify this text"

async function beautifyWidget(node, widget) {
  const before = widget.value;
  const own = node.comfyClass === BEAUTIFY ? node.widgets : [];
  try {
    const result = await beautify(before, own);
    if (!result || widget.value !== before) return; // cancelled, or edited meanwhile
    if (result.after === before) {
      return tell("info", say("Nothing to add"), say(result.note || "The text is as it was."));
    }
    setText(node, widget, result.after);
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
  Object.assign(inputs, { text, seed: Math.floor(Math.random() * 2 ** 32) });
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

// Told to the page before and after, so that its own undo (Ctrl+Z) knows of it.
function setText(node, widget, text) {
  app.canvas.emitBeforeChange();
  widget.value = text;
  widget.callback?.(text);
  app.canvas.emitAfterChange();
  node.setDirtyCanvas?.(true, true);
}

function tell(severity, summary, detail) {
  app.extensionManager?.toast?.add({ severity, summary, detail, life: 6000 });
}
