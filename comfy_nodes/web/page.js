// What the other files need of ComfyUI's page: its language, its messages, its undo, its clipboard.
import { app } from "../../scripts/app.js";

export const BEAUTIFY = "BeautifulPromptBeautify";

const CHINESE = {
  "Beautify this text": "美化此文本",
  "Restore the text before Beautify": "恢复美化前的文本",
  "Select a node with a text box.": "请先选中带文本框的节点。",
  "Run the graph to see here what was added.": "运行后在此显示新增的内容。",
  "Run the graph to see the scores here.": "运行后在此显示得分。",
  "In the queue": "已加入队列",
  "It is next, after what runs now.": "当前任务完成后即开始。",
  "dialect": "写法",
  "seed": "种子",
  "frozen": "已冻结",
  "Copy": "复制",
  "Copied": "已复制",
  "Take this one, and freeze it": "采用此版本并冻结",
  "Score: what it gains over your prompt, as the model judges; with another writer or a reward of your own, in standard deviations":
    "得分：模型判断的相对您的提示词的提升；使用其他写作模型或自己的奖励模型时，以标准差计",
  "more": "更多",
  "Nothing to add": "没有可添加的内容",
  "The text is as it was.": "文本保持不变。",
  // What the library says of a prompt that it left alone.
  "no rewrite scores well enough: the prompt stays as it is":
    "没有版本得分足够高：提示词保持原样",
  "the prompt has no words to write on from": "提示词中没有可续写的文字",
  "the model found nothing new that suits, within the limits; raise n or relax block":
    "在限制内没有合适的新内容；请增加候选数或放宽屏蔽",
};

// A text of these files in the page's language.
export function say(text) {
  const language = app.ui.settings.getSettingValue("Comfy.Locale") ?? "";
  return (language.startsWith("zh") && CHINESE[text]) || text;
}

export function tell(severity, summary, detail) {
  app.extensionManager?.toast?.add({ severity, summary, detail, life: 6000 });
}

export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name);
}

// Whether a widget's value comes over a link.
export function linked(node, name) {
  return node.inputs?.some((input) => input.widget?.name === name && input.link != null) ?? false;
}

// Call `then` after what is at `name` of `object` already.
export function chain(object, name, then) {
  const before = object[name];
  object[name] = function (...values) {
    const answer = before?.apply(this, values);
    then.apply(this, values);
    return answer;
  };
}

// Told to the page before and after, so that its own undo (Ctrl+Z) knows of it.
export function undoable(node, change) {
  app.canvas.emitBeforeChange();
  change();
  app.canvas.emitAfterChange();
  node.setDirtyCanvas?.(true, true);
}

export function setValue(widget, value) {
  widget.value = value;
  widget.callback?.(value);
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that came over plain HTTP has no clipboard of its own.
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
