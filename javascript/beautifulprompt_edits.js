// What an artist changed in a text that we wrote, carried to another text: strings in, a string out.
//
// Words of a text are the artist's own (in the original, or typed since), or ours. Own words stay
// wherever another text goes; of ours a phrase stays that the artist put a hand to.

globalThis.beautifulPromptEdits = (() => {
    // A word, a mark or a network's tag with the space before it; Chinese and Japanese by character.
    const TOKEN = /\s*(?:<[^<>]*>|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{N}_]+|[^\s])|\s+$/gu;
    const TAG = /^<[^<>]*>$/;
    const PARTING = /^[,;]$/;
    const ENDING = /^[.!?]$/;
    const CHARACTERS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;
    const WORDY = /[\p{L}\p{N}]/u;
    // A longer comparison would keep the artist waiting.
    const MOST = 4e6; // pairs of words

    const NOTHING = { before: "", phrases: "", behind: "" };

    const tokens = (text) => text.match(TOKEN) || [];
    const joined = (words) => words.map((word) => word.text).join("");
    const same = (a, b) => a === b || (a.trim() !== "" && a.trim() === b.trim());

    // For each word of `to`, which word of `from` it is; -1 for a new one.
    function aligned(from, to) {
        const of = new Array(to.length).fill(-1);
        let head = 0;
        while (head < from.length && head < to.length && same(from[head], to[head])) of[head] = head++;
        let n = from.length;
        let m = to.length;
        while (n > head && m > head && same(from[n - 1], to[m - 1])) of[--m] = --n;
        const rows = n - head;
        const columns = m - head;
        if (!rows || !columns || rows * columns > MOST) return of;
        const width = columns + 1;
        const longest = new Uint16Array((rows + 1) * width);
        for (let i = rows - 1; i >= 0; i--) {
            for (let j = columns - 1; j >= 0; j--) {
                longest[i * width + j] = same(from[head + i], to[head + j])
                    ? longest[(i + 1) * width + j + 1] + 1
                    : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
            }
        }
        for (let i = 0, j = 0; i < rows && j < columns; ) {
            if (same(from[head + i], to[head + j])) of[head + j++] = head + i++;
            else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
            else j++;
        }
        return of;
    }

    // The phrases of a stretch of words that hold a typed one, each with what parts it from others.
    function touched(stretch) {
        let kept = "";
        let phrase = [];
        let parting = "";
        const end = (next) => {
            const text = joined(phrase).trim();
            if (phrase.some((word) => word.typed && WORDY.test(word.text))) kept += `${parting} ${text}`;
            phrase = [];
            parting = next;
        };
        for (const word of stretch) {
            const mark = word.text.trim();
            if (TAG.test(mark)) {
                end("");
                if (word.typed) kept += ` ${mark}`;
            } else if (ENDING.test(mark)) {
                const inside = phrase.length > 0;
                if (inside) phrase.push(word);
                end(inside ? "" : mark);
            } else if (PARTING.test(mark)) {
                end(mark);
            } else {
                phrase.push(word);
            }
        }
        end("");
        return kept;
    }

    // What was typed between two of the original's words: before our addition there, and behind it.
    function typed(stretch) {
        const first = stretch.findIndex((word) => !word.typed);
        if (first < 0) return { before: "", phrases: "", behind: joined(stretch) };
        let to = stretch.length - [...stretch].reverse().findIndex((word) => !word.typed);
        let behind = joined(stretch.slice(to));
        // Typed against a word of ours or in place of one, it is part of that word's phrase.
        if (behind && (stretch[to - 1].cut || !/^(?:\s|[,;.!?<])/.test(behind))) {
            to = stretch.length;
            behind = "";
        }
        return {
            before: joined(stretch.slice(0, first)),
            phrases: touched(stretch.slice(first, to)),
            behind,
        };
    }

    /**
     * `theirs` with everything that the artist changed between `written` and `now`.
     *
     * @param original what `written` was made from; all of it that is still there is the artist's.
     * @param written what we put into the box, or what it held when we were asked.
     * @param now what the box holds.
     * @param theirs another text made from `original`, or `original` itself.
     * @param restore bring back words of the original that were struck out and not replaced.
     */
    function carry(original, written, now, theirs, restore = false) {
        if (now === written || !now.trim()) return theirs;
        const own = tokens(original);
        const [base, box, other] = [tokens(written), tokens(now), tokens(theirs)];
        const ofBase = aligned(own, base);
        const ofBox = aligned(base, box);
        const ofOther = aligned(own, other);
        if (ofBox.every((i) => i < 0)) return `${theirs.trimEnd()}, ${now.trim()}`;

        // Our words of `theirs` by the number of the original's word that they stand before.
        const ours = new Map();
        const inTheirs = new Map();
        let at = 0;
        other.forEach((word, j) => {
            if (ofOther[j] < 0) {
                ours.set(at, (ours.get(at) || "") + word);
            } else {
                inTheirs.set(ofOther[j], word);
                at = ofOther[j] + 1;
            }
        });

        // What was typed, by the same number, and the artist's own words in the form they have now.
        const added = new Map();
        const form = new Map();
        const inBox = new Set(ofBox);
        const replaced = new Set();
        let stretch = [];
        at = 0;
        const close = (next) => {
            if (stretch.some((word) => word.typed)) {
                added.set(at, typed(stretch));
                for (let i = at; i < next; i++) replaced.add(i);
            }
            stretch = [];
            at = next + 1;
        };
        box.forEach((word, i) => {
            const mine = ofBox[i] < 0 ? -1 : ofBase[ofBox[i]];
            if (mine < 0) {
                const next = ofBox[i] + 1;
                const cut = next < base.length && ofBase[next] < 0 && !inBox.has(next);
                stretch.push({ text: word, typed: ofBox[i] < 0, cut });
                return;
            }
            close(mine);
            form.set(mine, word);
        });
        close(own.length);

        const inBase = new Set(ofBase);
        const stays = (i) => !inBase.has(i) || form.has(i) || (restore && !replaced.has(i));
        let text = "";
        let seam = false; // whether what comes next stood behind something else before
        const put = (piece, moved) => {
            if (!piece) return;
            text = seam || moved ? join(text, piece) : text + piece;
            seam = moved;
        };
        for (let i = 0; i <= own.length; i++) {
            const here = added.get(i) || NOTHING;
            put(here.before, true);
            put(ours.get(i), false);
            // A sentence that ends already needs no mark before the next one.
            const ended = ENDING.test(text.slice(-1));
            put(ended ? here.phrases.replace(/^[.!?,;]/, "") : here.phrases, true);
            put(here.behind, true);
            if (!inTheirs.has(i)) continue;
            // The space before a word is that of the box only while the same word stands before it.
            const formed = form.has(i) && (i === 0 || form.has(i - 1));
            if (stays(i)) put(formed ? form.get(i) : inTheirs.get(i), false);
            else seam = true;
        }
        return text;
    }

    // One piece of text behind another, with the space that words need between them.
    function join(text, piece) {
        if (!text) return piece.trimStart();
        const touch = /[\p{L}\p{N},;.]$/u.test(text) && /^[\p{L}\p{N}]/u.test(piece);
        return touch && !CHARACTERS.test(text.at(-1) + piece[0]) ? `${text} ${piece}` : text + piece;
    }

    /** Whether words that we added to `original` in `written` are still in `now`. */
    function holds(original, written, now) {
        if (now === written) return written !== original;
        const base = tokens(written);
        const ofBase = aligned(tokens(original), base);
        return aligned(base, tokens(now)).some(
            (i) => i >= 0 && ofBase[i] < 0 && WORDY.test(base[i]));
    }

    return { carry, holds };
})();
