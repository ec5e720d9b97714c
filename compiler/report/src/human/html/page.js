"use strict";
// Search, order and pages for every table. Rows hold text only: nothing here makes HTML of a string.
(() => {
  const SIZE = 50; // rows of a page
  const FEW = 12;  // up to this many rows need no search

  const make = (name, fields, ...inside) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(fields)) {
      if (key in element) element[key] = value; else element.setAttribute(key, value);
    }
    element.append(...inside);
    return element;
  };

  const shown = (bytes) => {
    const units = ["kB", "MB", "GB", "TB"];
    if (bytes < 1000) return bytes + " B";
    let unit = -1;
    let value = bytes;
    do { value /= 1000; unit += 1; } while (value >= 1000 && unit + 1 < units.length);
    return (Math.floor(value * 10) / 10).toFixed(1) + " " + units[unit];
  };

  // Rows that stand in the page already.
  const standing = (body) => [...body.rows].map((row) => {
    const keys = [...row.cells].map((cell) =>
      cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
    const texts = [...row.cells].map((cell) => cell.textContent);
    return { keys, texts, find: texts.join("\n").toLowerCase(), row: () => row };
  });

  // Rows that are made when they are looked at.
  const packed = (box) => {
    const json = (name) => JSON.parse(box.querySelector("script." + name).textContent);
    const { reasons, more } = json("reasons");
    let path = "";
    return json("rows").map(([shared, rest, bytes, why, paths]) => {
      path = path.slice(0, shared) + rest;
      const [words, at] = reasons[why] ?? [more, null];
      const name = paths === undefined ? path : path + " (" + paths + " paths)";
      const because = at === null ? words : words + " " + at;
      const row = () => {
        const cell = make("td", {}, words);
        cell.dataset.l = "because";
        if (at !== null) cell.append(" ", make("code", { className: "at" }, at));
        const size = make("td", { className: "n" }, shown(bytes));
        size.dataset.l = "size";
        return make("tr", {}, make("td", { className: "c" }, name), size, cell);
      };
      return { keys: [name, bytes, because], texts: [name, "", because],
        find: (name + "\n" + because).toLowerCase(), row };
    });
  };

  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

  const table = (box) => {
    const heads = [...box.querySelectorAll("thead th")];
    const body = box.querySelector("tbody");
    const label = box.dataset.label;
    const all = box.querySelector("script.rows") ? packed(box) : standing(body);
    const search = make("input", { type: "search", placeholder: "Search " + label, "aria-label": "Search " + label,
      autocomplete: "off", spellcheck: false });
    const choices = []; // [column, select]
    let page = 0;
    let order = null; // [column, 1 or -1]
    let found = all;

    const output = make("output", { "aria-live": "polite" });
    const button = (text, name, step) => {
      const one = make("button", { type: "button", "aria-label": name + " page of " + label }, text);
      one.addEventListener("click", () => { page = step(page); draw(); });
      return one;
    };
    const last = () => Math.max(0, Math.ceil(found.length / SIZE) - 1);
    const back = [button("«", "First", () => 0), button("‹ Back", "Previous", (n) => n - 1)];
    const on = [button("Next ›", "Next", (n) => n + 1), button("»", "Last", () => last())];
    const pages = make("div", { className: "pages" }, ...back, ...on, output);

    const draw = () => {
      page = Math.min(Math.max(page, 0), last());
      const from = page * SIZE;
      const rows = found.slice(from, from + SIZE);
      body.replaceChildren(...rows.map((one) => one.row()));
      for (const one of back) one.disabled = page === 0;
      for (const one of on) one.disabled = page === last();
      for (const one of [...back, ...on]) one.hidden = last() === 0;
      const of = found.length === all.length ? "" : " (" + all.length + " in all)";
      output.textContent = found.length === 0 ? "nothing found" + of
        : (from + 1) + "–" + (from + rows.length) + " of " + found.length + of;
    };

    const select = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
      const wanted = choices.filter(([, list]) => list.value !== "").map(([column, list]) => [column, list.value]);
      found = all.filter((one) => words.every((word) => one.find.includes(word))
        && wanted.every(([column, value]) => one.texts[column] === value));
      if (order !== null) {
        const [column, way] = order;
        found.sort((a, b) => way * compare(a.keys[column], b.keys[column]));
      }
      page = 0;
      draw();
    };

    heads.forEach((head, column) => {
      const press = make("button", { type: "button", title: "Sort by " + head.textContent }, head.textContent);
      press.addEventListener("click", () => {
        const way = order !== null && order[0] === column ? -order[1] : head.classList.contains("n") ? -1 : 1;
        order = [column, way];
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        select();
      });
      if (head.dataset.choice !== undefined) {
        const counts = new Map();
        for (const one of all) counts.set(one.texts[column], (counts.get(one.texts[column]) ?? 0) + 1);
        if (counts.size > 1) {
          const options = [...counts].sort((a, b) => b[1] - a[1] || compare(a[0], b[0])).slice(0, 500)
            .map(([text, count]) => make("option", { value: text }, text + " (" + count + ")"));
          const list = make("select", { "aria-label": "Only this " + head.textContent + " in " + label },
            make("option", { value: "" }, "any " + (head.textContent === "because" ? "reason" : head.textContent)),
            ...options);
          list.addEventListener("change", select);
          choices.push([column, list]);
        }
      }
      head.replaceChildren(press);
    });
    search.addEventListener("input", select);
    if (all.length > FEW) {
      box.prepend(make("div", { className: "tools" }, search, ...choices.map(([, list]) => list)));
      box.append(pages);
    }
    draw();
  };

  document.querySelectorAll(".data").forEach(table);
})();
