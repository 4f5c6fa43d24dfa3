// The Beautify button and its panel in the WebUI: takes candidates and brings the original back.
// Text goes into the prompt box as if typed, so that the browser's undo works.

const beautifulPrompt = (() => {
    const root = () => (typeof gradioApp === "function" ? gradioApp() : document);
    const box = (tab) => root().querySelector(`#${tab}_prompt textarea`);
    const before = {}; // tab -> what the box held when the button was clicked

    function write(tab, text) {
        const area = box(tab);
        if (!area || area.value === text) return;
        const focused = document.activeElement;
        area.focus();
        area.select();
        if (!document.execCommand("insertText", false, text)) {
            area.value = text;
            area.dispatchEvent(new Event("input", { bubbles: true }));
        }
        if (focused && focused !== area && focused.focus) focused.focus();
        mark(tab);
    }

    // Shows which candidate is in the box.
    function mark(tab) {
        const panel = root().querySelector(`#${tab}_beautify_panel`);
        const area = box(tab);
        if (!panel || !area) return;
        panel.querySelectorAll(".bp-candidate").forEach((card) => {
            card.classList.toggle("bp-taken", card.dataset.text === area.value);
        });
    }

    function busy(tab, on) {
        const button = root().querySelector(`#${tab}_beautify`);
        if (button) button.classList.toggle("bp-busy", on);
    }

    document.addEventListener("click", (event) => {
        const target = event.target instanceof Element ? event.target : null;
        const panel = target && target.closest(".bp-panel");
        if (!panel) return;
        const tab = panel.dataset.tab;
        const candidate = target.closest(".bp-candidate");
        if (candidate) write(tab, candidate.dataset.text);
        else if (target.closest(".bp-restore")) write(tab, panel.dataset.original);
        else if (target.closest(".bp-close")) panel.remove();
    });

    return {
        start(tab, values) {
            before[tab] = box(tab) ? box(tab).value : null;
            busy(tab, true);
            return values;
        },
        finish(tab, text) {
            busy(tab, false);
            // Words typed while the model wrote are not thrown away: the panel offers the rest.
            if (text && box(tab) && box(tab).value === before[tab]) write(tab, text);
            else mark(tab);
        },
    };
})();
