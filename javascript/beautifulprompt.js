// The Beautify button and its panel in the WebUI: takes candidates and brings the original back.
// Text goes into the prompt box as if typed, so that the browser's undo works. What the artist
// changed since is carried along: see beautifulprompt_edits.js.

(() => {
    const TABS = ["txt2img", "img2img", "control"];
    const SENT = 10000; // milliseconds that a host may take to fill the other tab's box
    const SETTLED = 60000; // and to build its page
    const carry = (...values) => window.beautifulPromptEdits.carry(...values);
    const holds = (...values) => window.beautifulPromptEdits.holds(...values);
    const root = () => (typeof gradioApp === "function" ? gradioApp() : document);
    const box = (tab) => root().querySelector(`#${tab}_prompt textarea`);
    const panelOf = (tab) => root().querySelector(`#${tab}_beautify_panel .bp-panel`);

    // Of each tab: what the artist first wrote, what was last rewritten (`original`), and which of
    // our texts the box stands for (`base`); `written` finds these again for an undone text.
    const tabs = {};
    const fresh = () => ({ original: "", first: "", base: "", asked: null, chain: "", written: new Map() });
    const stateOf = (tab) => (tabs[tab] = tabs[tab] || fresh());

    // A panel that came with a picture's text knows where that came from.
    function adopt(tab) {
        const state = stateOf(tab);
        const panel = panelOf(tab);
        if (panel && panel !== state.panel && panel.dataset.written) {
            state.panel = panel;
            state.original = state.first = panel.dataset.original;
            state.base = panel.dataset.written;
        }
        return state;
    }

    function type(area, text) {
        if (!area || area.value === text) return;
        const focused = document.activeElement;
        area.focus({ preventScroll: true }); // ModernUI would move its whole page aside
        area.select();
        if (!document.execCommand("insertText", false, text)) {
            area.value = text;
            area.dispatchEvent(new Event("input", { bubbles: true }));
        }
        if (focused && focused !== area && focused.focus) focused.focus({ preventScroll: true });
    }

    // Put `text` into the box; it stands for `base`.
    function write(tab, text, base) {
        const state = stateOf(tab);
        const { original, first } = state;
        state.written.set(box(tab).value, { original, first, base: state.base });
        state.written.set(text, { original, first, base });
        state.base = base;
        type(box(tab), text);
        mark(tab);
    }

    // `text`, made from the same original, with what was typed since.
    function carried(tab, text, restore) {
        const state = stateOf(tab);
        return carry(state.original, state.base, box(tab).value, text, restore);
    }

    // Shows which candidate is in the box.
    function mark(tab) {
        const panel = panelOf(tab);
        const area = box(tab);
        if (!panel || !area) return;
        const { original, base } = stateOf(tab);
        const ours = area.value === base || holds(original, base, area.value);
        panel.querySelectorAll(".bp-candidate").forEach((card) => {
            const { text } = card.dataset;
            card.classList.toggle("bp-taken", text === area.value || (ours && text === base));
        });
    }

    function busy(tab, on) {
        const button = root().querySelector(`#${tab}_beautify`);
        if (button) button.classList.toggle("bp-busy", on);
    }

    // One candidate a line, as the host's "Prompts from file" reads them.
    function line(text) {
        // A comment would take the rest of a joined line with it.
        const plain = text.replace(/#[^\n]*\n/g, "\n").replace(/\s*\n\s*/g, " ").trim();
        // With two dashes the host reads a line as options.
        return plain.includes("--") ? `--prompt "${plain.replace(/[\\"]/g, "\\$&")}"` : plain;
    }

    function save(tab, panel) {
        const cards = [...panel.querySelectorAll(".bp-candidate")];
        const lines = cards.map((card) => `${line(carried(tab, card.dataset.text))}\n`);
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
        link.download = "beautify-candidates.txt";
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), SENT);
    }

    // The picture's own prompt goes with it to img2img, where the host sends what the box holds.
    function send(from) {
        const told = root().querySelector(`#html_info_${from}`);
        const info = told ? told.innerText.trim() : "";
        const [area, target] = [box(from), box("img2img")];
        if (!info.includes("Beautify original:") || !area || !target) return;
        const prompt = info.split(/\n(?:Negative prompt|Steps): /)[0].trim();
        const sent = area.value;
        const typed = (event) => event.isTrusted && end();
        const put = () => target.value === sent && type(target, prompt);
        const timer = setInterval(put, 100);
        const end = () => {
            clearInterval(timer);
            target.removeEventListener("keydown", typed);
        };
        target.addEventListener("keydown", typed);
        setTimeout(end, SENT);
    }

    document.addEventListener("click", (event) => {
        const target = event.target instanceof Element ? event.target : null;
        if (!target) return;
        const sender = target.closest("[id$='_send_to_img2img'], [id$='_send_to_inpaint']");
        if (sender) send(sender.id.split("_send_to_")[0]);
        const panel = target.closest(".bp-panel");
        if (!panel) return;
        const tab = panel.dataset.tab;
        const state = adopt(tab);
        const candidate = target.closest(".bp-candidate");
        if (candidate) {
            const { text } = candidate.dataset;
            write(tab, carried(tab, text), text);
        } else if (target.closest(".bp-restore")) {
            write(tab, carried(tab, state.first, true), state.first);
        } else if (target.closest(".bp-own")) {
            write(tab, carried(tab, state.original, true), state.original);
        } else if (target.closest(".bp-save")) {
            save(tab, panel);
        } else if (target.closest(".bp-close")) {
            panel.remove();
        }
    });

    document.addEventListener("input", (event) => {
        const tab = TABS.find((name) => event.target === box(name));
        if (!tab) return;
        const state = stateOf(tab);
        Object.assign(state, state.written.get(event.target.value)); // undone or redone
        mark(tab);
    }, true);

    // The panel goes under the prompts and over the whole width, where the host has a row of them.
    // SD.Next's ModernUI shows only what it knows by its id: there button and panel go beside that.
    function place(tab) {
        const panel = root().querySelector(`#${tab}_beautify_panel`);
        const button = root().querySelector(`#${tab}_beautify`);
        if (!panel || !button) return false;
        const modern = root().querySelector(`.portal #${tab}_prompt`);
        const item = modern && modern.closest(".xtabs-item");
        // Beside the styles, whose box gives way: in the row above a narrow column cuts buttons off.
        const styles = item && item.querySelector(".layout-header > .flexbox");
        if (styles) {
            const prompts = modern.closest(".split");
            if (!styles.contains(button)) styles.append(button);
            if (prompts && prompts.nextElementSibling !== panel) prompts.after(panel);
            return true;
        }
        const row = root().querySelector(`#${tab}_toprow`);
        if (row && row.contains(panel)) row.after(panel);
        // SD.Next's classic page lays its networks over what is there, and narrows only the settings.
        const beneath = root().querySelector(`#${tab}_toprow ~ #${tab}_interface`);
        if (beneath && !panel.following) {
            const fit = () => (panel.style.width = panel.style.minWidth = beneath.style.width);
            panel.following = new ResizeObserver(fit);
            panel.following.observe(beneath);
        }
        return false;
    }

    // ModernUI is built some time after the page, a slow machine's after minutes.
    function settle() {
        const begun = Date.now();
        const timer = setInterval(() => {
            const homes = TABS.filter(place);
            const modern = root().querySelector("#tab_sdnext_uiux_core");
            const late = !modern && Date.now() - begun > SETTLED;
            if (homes.length === TABS.length || late) clearInterval(timer);
        }, 500);
    }

    const served = {
        // The click's inputs, the prompt's own words in place of the box's if we wrote that.
        start(tab, values) {
            const state = adopt(tab);
            const now = box(tab) ? box(tab).value : "";
            state.asked = now;
            state.chain = "";
            busy(tab, true);
            place(tab);
            const restored = state.base === state.original || state.base === state.first;
            if (!state.original || restored || !holds(state.original, state.base, now)) return values;
            state.chain = state.first;
            return [carry(state.original, state.base, now, state.original), ...values.slice(1)];
        },
        finish(tab, text) {
            busy(tab, false);
            const state = stateOf(tab);
            const panel = panelOf(tab);
            const area = box(tab);
            if (!panel || !panel.dataset.original || !area) return; // an error was told
            state.panel = panel;
            state.original = panel.dataset.original;
            state.first = state.chain || state.original;
            state.base = state.asked;
            const own = panel.querySelector(".bp-own");
            if (own) own.hidden = state.first === state.original;
            const back = panel.querySelector(".bp-restore"); // a prompt left alone has no other
            const changed = panel.querySelector(".bp-candidate") || state.first !== area.value;
            if (back) back.hidden = !changed;
            // Words typed while the model wrote are not thrown away: the panel offers the rest.
            if (text && area.value === state.asked) write(tab, text, text);
            else mark(tab);
        },
    };

    // The host loads its files in an order of its own, and may lack one of ours.
    function ready() {
        if (!window.beautifulPromptEdits) return;
        document.documentElement.classList.add("bp-script");
        window.beautifulPrompt = served;
        // A page that is there already calls nobody.
        if (box(TABS[0])) settle();
        else if (typeof onUiLoaded === "function") onUiLoaded(settle);
    }
    if (document.readyState === "complete") ready();
    else window.addEventListener("load", ready);
})();
