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
  // What the library says of a prompt that it left alone (bp_core/text/remarks.py).
  "the prompt has no words to write on from": "提示词中没有可续写的文字",
  "the model found nothing new that suits, within the limits; raise n or relax block":
    "在限制内没有合适的新内容；请增加候选数或放宽屏蔽",
  "no rewrite scores well enough: the prompt stays as it is": "没有版本得分足够高：提示词保持原样",
  "the prompt is one expression, beside which its host takes no text: it stays as it is; beautify the words inside it":
    "提示词整体是一个表达式，旁边不能加文字：保持原样；请美化其中的文字",
  "wherever words were added, the prompt's host would read its brackets and signs otherwise: it stays as it is; close its brackets":
    "无论在何处添加文字，括号与符号的含义都会改变：提示词保持原样；请补全括号",
  "the prompt seems to be in {}, and this model reads English only: the prompt stays as it is; a language model as writer can turn it into English":
    "提示词似乎是{}，而此模型只读英文：提示词保持原样；改由语言模型改写，可将其译成英文",
  "the prompt has {} characters and stays as it is: shorten it to {} or less":
    "提示词有 {} 个字符，保持原样：请缩短到 {} 个以内",
  // and the languages that it names.
  Chinese: "中文", Japanese: "日文", Korean: "韩文", French: "法文", German: "德文",
  Spanish: "西班牙文", Portuguese: "葡萄牙文", Italian: "意大利文", Dutch: "荷兰文", Polish: "波兰文",
  Czech: "捷克文", Swedish: "瑞典文", Norwegian: "挪威文", Danish: "丹麦文", Finnish: "芬兰文",
  Turkish: "土耳其文", Indonesian: "印尼文", Vietnamese: "越南文", Romanian: "罗马尼亚文",
  Hungarian: "匈牙利文", "another language": "其他语言", "Cyrillic script": "西里尔字母",
  "Arabic script": "阿拉伯字母", "Thai script": "泰文", "Greek script": "希腊字母",
  "Hebrew script": "希伯来字母", "Devanagari script": "天城文",
};

// A text of these files, or of the library, in the page's language.
export function say(text) {
  const language = app.ui.settings.getSettingValue("Comfy.Locale") ?? "";
  return (language.startsWith("zh") && (CHINESE[text] ?? filled(text))) || text;
}

// The Chinese of a text that has something filled in where its pattern has {}.
function filled(text) {
  for (const pattern of Object.keys(CHINESE).filter((key) => key.includes("{}"))) {
    const found = text?.match(new RegExp(`^${pattern.replaceAll("{}", "(.*)")}$`));
    if (!found) continue;
    let at = 0;
    return CHINESE[pattern].replace(/{}/g, () => CHINESE[found[++at]] ?? found[at]);
  }
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
