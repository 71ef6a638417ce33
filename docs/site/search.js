// Search without a server: the index is one script, loaded when somebody begins to type.
"use strict";
(() => {
    const up = document.currentScript.dataset.up;
    const form = document.getElementById("search");
    const query = document.getElementById("query");
    const hits = document.getElementById("hits");
    const most = 20;
    let loading = false;

    function load() {
        if (loading) return;
        loading = true;
        const script = document.createElement("script");
        script.src = up + "search-index.js";
        script.onload = show;
        document.head.append(script);
    }

    // A word in a heading counts more than one in the text, and the title of a page most.
    function score(entry, words) {
        let sum = 0;
        for (const word of words) {
            const text = entry[3].toLowerCase().split(word).length - 1;
            const heading = entry[2].toLowerCase().includes(word) ? 20 : 0;
            const title = entry[1].toLowerCase().includes(word) ? 5 : 0;
            if (text + heading + title === 0) return 0;
            sum += Math.min(text, 5) + heading + title;
        }
        return sum;
    }

    function excerpt(text, word) {
        const at = Math.max(0, text.toLowerCase().indexOf(word) - 60);
        return (at > 0 ? "..." : "") + text.slice(at, at + 160) + "...";
    }

    function show() {
        const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
        hits.hidden = words.length === 0;
        hits.replaceChildren();
        if (words.length === 0 || !window.fedmoeIndex) return;
        const found = window.fedmoeIndex.map((e) => [score(e, words), e]).filter((f) => f[0] > 0)
            .sort((a, b) => b[0] - a[0]);
        const count = document.createElement("p");
        count.textContent = found.length === 0 ? "Nothing found." :
            `${found.length} found` + (found.length > most ? `, the first ${most}:` : ":");
        const list = document.createElement("ul");
        for (const [, [target, title, heading, text]] of found.slice(0, most)) {
            const item = document.createElement("li");
            const link = document.createElement("a");
            link.href = up + target;
            link.textContent = heading === title ? title : `${title}: ${heading}`;
            const said = document.createElement("div");
            said.textContent = excerpt(text, words[0]);
            item.append(link, said);
            list.append(item);
        }
        hits.append(count, list);
    }

    form.hidden = false;
    query.addEventListener("focus", load);
    query.addEventListener("input", () => { load(); show(); });
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        hits.querySelector("a")?.click();
    });
    document.addEventListener("keydown", (event) => {
        if (event.key === "Escape") { query.value = ""; show(); }
    });
    // Wide screens have room for the list of pages.
    const pages = document.querySelector("nav details");
    const wide = window.matchMedia("(min-width: 60rem)");
    const open = () => { pages.open = wide.matches; };
    wide.addEventListener("change", open);
    open();
})();
