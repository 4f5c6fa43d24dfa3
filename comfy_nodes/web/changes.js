// What a rewrite changed, word by word.

// Both texts as one row of pieces {kind, text} that are the same, added or lost: a longest common
// subsequence of words.
export function changes(before, after) {
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

// The added pieces alone, in one line; the whole text where nothing was added.
export function additions(before, after) {
  const added = changes(before, after).filter(({ kind }) => kind === "added");
  const texts = added.map(({ text }) => text.replace(/^[\s,.;]+|\s+$/g, "")).filter(Boolean);
  return texts.join(" … ") || after;
}

// The changes as elements: `ins` and `del` among plain text.
export function marked(before, after) {
  return changes(before, after).map(({ kind, text }) => {
    if (kind === "same") return document.createTextNode(text);
    const element = document.createElement(kind === "added" ? "ins" : "del");
    element.textContent = text;
    return element;
  });
}
