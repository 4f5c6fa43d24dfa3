// Beautify Prompt's display: what was added, the candidates to choose from, and the frozen text.
import { addBox, MOST_SHOWN, onResults, render, results } from "./box.js";
import { additions, marked } from "./changes.js";
import { chain, copy, linked, say, setValue, undoable, widgetOf } from "./page.js";

const HINT = "Run the graph to see here what was added.";
const SCORE = "Score: what it gains over your prompt, as the model judges; with another writer or a "
  + "reward of your own, in standard deviations";
// What the seed's "control after generate" was before the text was frozen.
const DICE = "beautifulprompt_dice";

export function addWritten(node) {
  addBox(node, "beautifulprompt", HINT, show, 200); // a text and four candidates
  const frozen = widgetOf(node, "frozen");
  const written = widgetOf(node, "written");
  if (!frozen || !written) return;
  onResults(node, (list) => kept(node, list), (list) => {
    if (!isFrozen(node)) written.value = list.length === 1 ? list[0].after : "";
  });
  written.options.getMinHeight = () => 64;
  // A text that is not asked for must not make a new run of the same.
  written.serializeValue = () => (isFrozen(node) || linked(node, "written") ? written.value : "");
  chain(frozen, "callback", () => {
    setDice(node);
    showWritten(node);
    render(node);
  });
  chain(written, "callback", () => isFrozen(node) && render(node));
  chain(node, "onConfigure", () => showWritten(node));
  showWritten(node);
}

function isFrozen(node) {
  return linked(node, "frozen") || Boolean(widgetOf(node, "frozen")?.value);
}

// A run of a frozen text writes no candidates: those that were there stay to choose from.
function kept(node, list) {
  const [old] = results(node), [now] = list;
  if (!now?.frozen || !old) return list.slice(0, MOST_SHOWN);
  return [{ ...old, before: now.before }];
}

// The box with the text is there while it is frozen only: else it is in the display.
function showWritten(node) {
  const written = widgetOf(node, "written");
  const hidden = !isFrozen(node);
  if (written.hidden === hidden) return;
  written.hidden = hidden;
  written.options.hidden = hidden;
  node.widgets = [...node.widgets]; // Nodes 2.0 looks again
  if (!hidden && node.size) {
    const least = node.computeSize();
    node.setSize([Math.max(node.size[0], least[0]), Math.max(node.size[1], least[1])]);
  }
  node.setDirtyCanvas?.(true, true);
}

// While frozen the seed that wrote the text stands in the node, and is thrown no more.
function setDice(node) {
  const seed = widgetOf(node, "seed");
  const dice = seed?.linkedWidgets?.[0];
  if (!dice) return;
  node.properties ??= {};
  if (isFrozen(node)) {
    const [result] = results(node);
    if (dice.value !== "fixed") node.properties[DICE] = dice.value;
    dice.value = "fixed";
    if (result && !result.frozen) seed.value = result.seed;
  } else if (node.properties[DICE]) {
    dice.value = node.properties[DICE];
    delete node.properties[DICE];
  }
}

function take(node, text) {
  undoable(node, () => {
    setValue(widgetOf(node, "written"), text);
    setValue(widgetOf(node, "frozen"), true);
  });
}

// ---- the display

function show(box, list, node) {
  if (list.length === 1) showOne(box, list[0], node);
  else for (const result of list) box.append(paragraph(result), facts(result, result.after));
}

function showOne(box, result, node) {
  const frozen = isFrozen(node) && widgetOf(node, "written")?.value.trim();
  const text = frozen ? widgetOf(node, "written").value : result.after;
  const shown = paragraph({ ...result, after: text });
  box.append(shown, facts(result, text, frozen));
  for (const candidate of result.candidates ?? []) {
    box.append(choice(node, result, candidate, candidate.text === text));
  }
  // A long prompt: to what was added.
  requestAnimationFrame(() => {
    const first = shown.querySelector("ins");
    if (first) shown.scrollTop = first.offsetTop - shown.offsetTop - 24;
  });
}

function paragraph({ before, after, note }) {
  const line = document.createElement("p");
  line.className = "text";
  line.append(...marked(before, after));
  const remark = Object.assign(document.createElement("em"), { textContent: say(note) });
  if (note && after === before) line.append("\n", remark);
  return line;
}

// One line under a text: dialect and seed, and the button that copies it.
function facts(result, text, frozen) {
  const line = Object.assign(document.createElement("small"), { className: "facts" });
  const add = (content, title) => {
    line.append(Object.assign(document.createElement("span"), { textContent: content, title }));
  };
  if (text !== result.before && result.dialect) add(result.dialect, say("dialect"));
  if (frozen) add(say("frozen"), "");
  add(`${say("seed")} ${result.seed}`, say("seed"));
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    textContent: say("Copy"),
  });
  button.onclick = async () => {
    await copy(text);
    button.textContent = say("Copied");
    setTimeout(() => (button.textContent = say("Copy")), 1500);
  };
  line.append(button);
  return line;
}

function choice(node, result, { text, score }, taken) {
  const button = Object.assign(document.createElement("button"), {
    type: "button",
    className: `candidate${taken ? " taken" : ""}`,
    title: `${say("Take this one, and freeze it")}\n\n${text}`,
  });
  if (score != null) {
    const number = document.createElement("b");
    number.textContent = `${score < 0 ? "−" : "+"}${Math.abs(score).toFixed(2)}`;
    number.title = say(SCORE);
    button.append(number);
  }
  const added = document.createElement("span");
  added.textContent = additions(result.before, text);
  button.append(added);
  button.onclick = () => take(node, text);
  return button;
}
