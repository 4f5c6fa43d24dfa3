// Votes between versions without names. Knows nothing of who made what until the results are asked
// for; keeps its state in localStorage after every key.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const place = `votes ${data.id}`;
  const at = (id) => document.getElementById(id);
  const SIDES = ["left", "right"];
  let state = { reader: "", votes: [], marks: {}, open: false };
  let since = Date.now();

  function load() {
    try {
      state = { ...state, ...JSON.parse(localStorage.getItem(place) || "{}") };
    } catch {
      tell("This browser keeps nothing of this page: export your votes before you close it.");
    }
  }

  function save() {
    try {
      localStorage.setItem(place, JSON.stringify(state));
    } catch {
      tell("This browser keeps nothing of this page: export your votes before you close it.");
    }
  }

  function tell(text) {
    at("told").textContent = text;
    at("told").hidden = !text;
  }

  const pair = () => data.pairs[state.votes.length];
  const voting = () => !state.open && state.votes.length < data.pairs.length;
  const versionOn = (side) => pair()[1 + SIDES.indexOf(side)];
  const nameOf = (side) => `${pair()[0]}.${versionOn(side)}`;
  const markOf = (side) => state.marks[nameOf(side)] || { mark: 0, wrong: false };

  function choose(choice) {
    if (!voting()) return;
    if (data.needMarks && SIDES.some((side) => !markOf(side).mark)) {
      tell("Mark both first, from 1 to 5.");
      return;
    }
    // Longer than this is a pause.
    const seconds = Math.min(600, Math.round((Date.now() - since) / 100) / 10);
    state.votes.push({ choice, seconds });
    next();
  }

  function undo() {
    if (state.open || !state.votes.length) return;
    state.votes.pop();
    next();
  }

  function mark(side, changes) {
    if (!voting()) return;
    const now = markOf(side);
    state.marks[nameOf(side)] = { ...now, ...changes };
    save();
    tell("");
    drawMarks();
  }

  function next() {
    since = Date.now();
    save();
    tell("");
    draw();
  }

  // What is seen.

  function draw() {
    const done = state.votes.length;
    const all = data.pairs.length;
    at("bar").max = all;
    at("bar").value = done;
    at("done").textContent = `${done} of ${all}${left()}`;
    at("reader").value = state.reader;
    at("vote").hidden = !voting();
    at("ready").hidden = state.open || done < all;
    at("end").hidden = !state.open;
    at("undo").disabled = state.open || !done;
    at("export").disabled = !done;
    at("stop").hidden = state.open || done === all;
    at("stop").disabled = !done;
    if (voting()) drawPair();
    if (state.open) at("end").innerHTML = results();
  }

  function left() {
    const taken = state.votes.map((vote) => vote.seconds).sort((a, b) => a - b);
    const rest = data.pairs.length - taken.length;
    if (taken.length < 3 || !rest) return "";
    const minutes = Math.ceil((rest * taken[taken.length >> 1]) / 60);
    return `, about ${minutes} minute${minutes > 1 ? "s" : ""} left`;
  }

  function drawPair() {
    const item = data.items[pair()[0]];
    at("prompt").querySelector("span").textContent = item.prompt;
    const cards = document.querySelector(".cards");
    SIDES.forEach((side, i) => {
      const shown = cards.children[i].querySelector(".shown");
      const version = item.versions[versionOn(side)];
      shown.dataset.name = "AB"[i];
      if (version.picture) {
        const picture = new Image();
        picture.src = version.picture;
        picture.alt = `picture ${"AB"[i]}`;
        shown.replaceChildren(picture);
      } else {
        shown.innerHTML = version.html; // escaped where the page was made
      }
      cards.classList.toggle("pictures", Boolean(version.picture));
    });
    drawMarks();
  }

  function drawMarks() {
    SIDES.forEach((side, i) => {
      const box = document.querySelectorAll(".marks")[i];
      const now = markOf(side);
      if (!box.children.length) {
        for (const value of [1, 2, 3, 4, 5]) {
          const button = box.appendChild(document.createElement("button"));
          button.textContent = value;
          button.setAttribute("aria-label", `mark ${value} for ${"AB"[i]}`);
          button.addEventListener("click", () => mark(side, { mark: value }));
        }
        const wrong = box.appendChild(document.createElement("button"));
        wrong.className = "wrong";
        wrong.textContent = "something is wrong";
        wrong.addEventListener("click", () => mark(side, { wrong: !markOf(side).wrong }));
      }
      [...box.children].forEach((button, value) => {
        const on = value === 5 ? now.wrong : now.mark === value + 1;
        button.setAttribute("aria-pressed", on);
      });
    });
  }

  // Results.

  function uncovered() {
    const bytes = Uint8Array.from(atob(data.key), (c) => c.charCodeAt(0));
    let stream = parseInt(data.id.slice(0, 8), 16);
    for (let i = 0; i < bytes.length; i++) {
      stream = (Math.imul(stream, 1664525) + 1013904223) >>> 0;
      bytes[i] ^= stream >>> 24;
    }
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  /** Wilson's 95 % interval of a share. */
  function wilson(wins, of) {
    if (!of) return [0, 1];
    const z = 1.959964;
    const share = wins / of;
    const half = (z * Math.sqrt((share * (1 - share)) / of + (z * z) / (4 * of * of))) / (1 + (z * z) / of);
    const middle = (share + (z * z) / (2 * of)) / (1 + (z * z) / of);
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  }

  function counted() {
    const { names, writers } = uncovered();
    const preferred = {};
    // Each two writers once.
    const count = (one, other, what) => {
      const [a, b] = one < other ? [one, other] : [other, one];
      const row = (preferred[`${a} ${b}`] ??= { one: a, other: b, wins: 0, losses: 0, equal: 0 });
      row[what] += 1;
    };
    state.votes.forEach(({ choice }, i) => {
      const [item, left, right] = data.pairs[i];
      for (const a of writers[item][left]) {
        for (const b of writers[item][right]) {
          if (a === b) continue;
          const won = (choice === "left") === a < b;
          count(a, b, choice === "equal" ? "equal" : won ? "wins" : "losses");
        }
      }
    });
    const judged = {};
    for (const [name, { mark: value, wrong }] of Object.entries(state.marks)) {
      if (!value && !wrong) continue;
      const [item, version] = name.split(".");
      for (const writer of writers[item][version]) {
        const row = (judged[writer] ??= { marks: [], wrong: [] });
        row.wrong.push(wrong);
        if (value) row.marks.push(value);
      }
    }
    return { names, preferred, judged };
  }

  const safe = (text) => Object.assign(document.createElement("i"), { textContent: text }).innerHTML;
  const percent = (share) => `${Math.round(100 * share)} %`;
  const mean = (values) => values.reduce((a, b) => a + Number(b), 0) / values.length;
  const row = (tag, cells) => `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;

  function results() {
    const { names, preferred, judged } = counted();
    const rows = Object.values(preferred)
      .sort((a, b) => a.one - b.one || a.other - b.other)
      .map((found) =>
        // The one that was preferred first.
        found.wins < found.losses
          ? { ...found, one: found.other, other: found.one, wins: found.losses, losses: found.wins }
          : found,
      )
      .map(({ one, other, wins, losses, equal }) => {
        const [low, high] = wilson(wins, wins + losses);
        const share = wins + losses ? percent(wins / (wins + losses)) : "";
        const pairing = `${safe(names[one])} to ${safe(names[other])}`;
        return row("td", [pairing, share, `${percent(low)} to ${percent(high)}`, wins + losses, equal]);
      });
    const marks = Object.entries(judged).map(([writer, { marks, wrong }]) =>
      row("td", [safe(names[writer]), marks.length ? mean(marks).toFixed(2) : "", percent(mean(wrong)), wrong.length]),
    );
    const head = row("th", ["preferred", "share", "95 % interval", "decided", "equal"]);
    const headMarks = row("th", ["", "mean mark", "something wrong", "judged"]);
    return `<h2>Results of ${state.votes.length} votes</h2>
      <div class="wide"><table id="preferred">${head}${rows.join("")}</table></div>
      ${marks.length ? `<div class="wide"><table id="marked">${headMarks}${marks.join("")}</table></div>` : ""}
      <p>The share is of the decided votes; when its interval holds 50 %, this many votes show no
      difference. Export the votes: <code>train/evaluate.py --votes FILE</code> counts those of several
      readers, and writes them as preferences to learn from.</p>`;
  }

  function exported() {
    const votes = state.votes.map(({ choice, seconds }, i) => {
      const [item, left, right] = data.pairs[i];
      return { item, left, right, choice, seconds };
    });
    const marks = Object.entries(state.marks).map(([name, judged]) => {
      const [item, version] = name.split(".").map(Number);
      return { item, version, ...judged };
    });
    const items = data.items.map(({ prompt, dialect, seed }) => ({ prompt, dialect, seed }));
    const { format, id, key } = data;
    return { format, id, reader: state.reader, votes, marks, items, key };
  }

  function download() {
    const file = new Blob([JSON.stringify(exported(), null, 1)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    const name = state.reader.trim().replace(/[^\p{L}\p{N}]+/gu, "-") || "reader";
    link.download = `votes-${name}-${data.id.slice(0, 6)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function reveal() {
    state.open = true;
    next();
  }

  function again() {
    if (!confirm("Forget all votes of this page?")) return;
    state = { ...state, votes: [], marks: {}, open: false };
    next();
  }

  const KEYS = {
    ArrowLeft: () => choose("left"),
    ArrowRight: () => choose("right"),
    ArrowUp: () => choose("equal"),
    Backspace: undo,
    a: () => mark("left", { wrong: !markOf("left").wrong }),
    b: () => mark("right", { wrong: !markOf("right").wrong }),
  };
  for (const value of [1, 2, 3, 4, 5]) {
    KEYS[value] = () => mark("left", { mark: value });
    KEYS[(value + 5) % 10] = () => mark("right", { mark: value });
  }

  document.addEventListener("keydown", (event) => {
    if (event.target === at("reader") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || state.open) return;
    event.preventDefault();
    // A key that is held down votes once.
    if (!event.repeat && (voting() || act === undo)) act();
  });
  at("reader").addEventListener("input", (event) => {
    state.reader = event.target.value;
    save();
  });
  at("left").addEventListener("click", () => choose("left"));
  at("right").addEventListener("click", () => choose("right"));
  at("equal").addEventListener("click", () => choose("equal"));
  at("undo").addEventListener("click", undo);
  at("show").addEventListener("click", reveal);
  at("stop").addEventListener("click", () => confirm("Show who made what? Votes cannot be changed after that.") && reveal());
  at("export").addEventListener("click", download);
  at("again").addEventListener("click", again);
  load();
  document.querySelector("details").open = !state.votes.length;
  draw();
})();
