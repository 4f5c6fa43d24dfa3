// What our nodes show on ComfyUI's page, and "Beautify this text" for any text box. The nodes work
// without these files.
import { app } from "../../scripts/app.js";
import { addBox, listen, restore } from "./box.js";
import { handOn } from "./bypass.js";
import { BEAUTIFY, chain, linked, say } from "./page.js";
import { beautifyHere, menuItems, textBoxes } from "./text_box.js";
import { addWritten } from "./written.js";

const SCORES = ["BeautifulPromptScore", "BeautifulPromptScoreImage"];
const COMMAND = "BeautifulPrompt.BeautifyText";

app.registerExtension({
  name: "BeautifulPrompt",

  commands: [{
    id: COMMAND,
    label: () => say("Beautify this text"),
    icon: "pi pi-sparkles",
    function: beautifyHere,
  }],
  keybindings: [{ commandId: COMMAND, combo: { key: "b", ctrl: true, shift: true } }],

  setup: listen,

  nodeCreated(node) {
    if (node.comfyClass === BEAUTIFY) {
      addWritten(node);
      fold(node);
      handOn(node);
      giveRoom(node);
    } else if (SCORES.includes(node.comfyClass)) {
      addBox(node, "text", "Run the graph to see the scores here.", (box, texts) => {
        box.textContent = texts.join("\n\n");
      });
    }
  },

  afterConfigureGraph() {
    restore(app.nodeOutputs ?? {});
  },

  onNodeOutputsUpdated: restore,

  getNodeMenuItems: menuItems,

  getSelectionToolboxCommands(item) {
    return item?.widgets && textBoxes(item).length ? [COMMAND] : [];
  },
});

// Classic rendering has "Show Advanced" in a node's menu, but does not look for advanced widgets
// where Nodes 2.0 does, and would leave their room empty. What is connected stays in sight.
function fold(node) {
  const always = "Comfy.Node.AlwaysShowAdvancedWidgets";
  for (const widget of node.widgets.filter((widget) => widget.options?.advanced)) {
    widget.advanced = true;
    Object.defineProperty(widget, "hidden", {
      configurable: true,
      get: () => !node.showAdvanced && !app.ui.settings.getSettingValue(always),
      set() {},
    });
  }
  chain(node, "onConfigure", () => {
    if (node.widgets.some((w) => w.advanced && linked(node, w.name))) node.showAdvanced = true;
  });
}

// Room for a prompt of some lines.
function giveRoom(node) {
  const text = node.widgets.find((widget) => widget.name === "text");
  if (text?.options) text.options.getMinHeight = () => 78;
  const least = node.computeSize();
  node.setSize([Math.max(least[0], 400), least[1]]);
}
