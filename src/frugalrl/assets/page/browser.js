/* The samples of a page: filters, search, a list that draws only the rows in sight, and one sample with its neighbours.
   The data lie compressed in <script type="application/json+gzip"> elements; texts are unpacked when they are needed. */
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  let root = $("#samples");
  const el = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") node.className = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== ""));
    return node;
  };

  // ------------------------------------------------------------------------------------------ data
  const unpacked = new Map();
  const unpack = (id) => {
    if (!unpacked.has(id)) {
      unpacked.set(id, (async () => {
        const bytes = Uint8Array.from(atob($("#" + id).textContent.trim()), (char) => char.charCodeAt(0));
        const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
        return JSON.parse(await new Response(stream).text());
      })());
    }
    return unpacked.get(id);
  };
  if (typeof DecompressionStream === "undefined") {
    root?.append(el("p", { class: "finding bad" }, "This browser cannot unpack the samples. Use one of 2023 or later."));
    return;
  }

  const MARK = { correct: "✓", incorrect: "✗", unknown: "?", kept: "✓", dropped: "✗" };
  const ROW = 46;
  let data, rows = [], shown = [], chosen = 0, texts = null;
  const filters = {};

  const start = async () => {
    await load();
    sideBySide = data.sources.length === 2 && matchMedia("(min-width:1500px)").matches;
    build();
    apply();
    restore();
  };

  const load = async () => {
    data = await unpack("samples-index");
    const count = data.samples.p.length;
    const rate = new Map();
    for (let at = 0; at < count; at++) {
      const problem = data.samples.p[at];
      if (!rate.has(problem)) rate.set(problem, new Map());
      const own = rate.get(problem);
      const source = data.samples.s[at];
      const [right, all] = own.get(source) || [0, 0];
      own.set(source, [right + (data.samples.v[at] === "correct"), all + 1]);
    }
    rows = Array.from({ length: count }, (_, at) => {
      const one = Object.fromEntries(Object.entries(data.samples).map(([name, column]) => [name, column[at]]));
      return { ...one, at, problem: data.problems[one.p], own: rate.get(one.p) };
    });
    for (const row of rows) {
      let right = 0, all = 0;
      for (const [a, b] of row.own.values()) { right += a; all += b; }
      row.rate = right / all;
      row.change = change(row.own);
      row.key = [row.problem.b, row.problem.i, data.sources[row.s], row.n].join("\n");
    }
  };

  /** New data in the same page: filters, search, the chosen sample and what is unfolded stay. */
  const refresh = async () => {
    const key = shown[chosen]?.key;
    unpacked.clear();
    texts = null;
    await load();
    fill();
    await apply(key ?? "");
    const row = shown[chosen], own = $(".own", detail);
    if (row && own && row.key === key) own.replaceWith(dots(rows.filter((other) => other.p === row.p), row));
  };

  /** How a problem fares with the last source against the first. */
  const change = (own) => {
    if (data.sources.length < 2) return "";
    const first = own.get(0), last = own.get(data.sources.length - 1);
    if (!first || !last) return "";
    const difference = last[0] / last[1] - first[0] / first[1];
    return difference > 0 ? "better" : difference < 0 ? "worse" : "same";
  };

  // ------------------------------------------------------------------------------------------ frame
  let bar, list, inner, detail, counter, search;
  const build = () => {
    bar = el("div", { class: "bar", role: "search" });
    search = el("input", { type: "search", placeholder: "search problems, answers and texts  ( / )", "aria-label": "search" });
    search.addEventListener("input", debounce(apply, 180));
    counter = el("span", { class: "count", role: "status" });
    fill();
    inner = el("div", { class: "inner", role: "listbox", "aria-label": "samples" });
    list = el("div", { class: "list", tabindex: "0" }, inner);
    list.addEventListener("scroll", draw);
    detail = el("div", { class: "detail", tabindex: "-1", "aria-live": "polite" });
    root.append(bar, el("div", { class: "panes" }, list, detail),
      el("p", { class: "keys" }, "Keys: j and k or arrows next and previous sample, n and p same problem, s side by side, r reasoning, / search, Esc list."));
    new ResizeObserver(draw).observe(list);
  };

  /** The filters that the data allow, each with the value that it had before. */
  const fill = () => {
    const before = new Map([...bar.querySelectorAll("select")].map((select) => [select.getAttribute("aria-label"), select.value]));
    const parts = [search];
    const values = (get) => [...new Set(rows.map(get).filter((value) => value !== "" && value !== null && value !== undefined))];
    const add = (name, label, get, order) => {
      const found = order ? order.filter((value) => values(get).includes(value)) : values(get).sort(natural);
      if (found.length < 2 && !before.get(label)) return;
      const select = el("select", { "aria-label": label });
      select.append(el("option", { value: "" }, label));
      for (const value of found) {
        const number = rows.filter((row) => get(row) === value).length;
        select.append(el("option", { value }, `${value} (${number})`));
      }
      const choose = () => { filters[name] = select.value ? [get, select.value] : null; select.classList.toggle("set", select.value !== ""); };
      select.addEventListener("change", () => { choose(); apply(); });
      select.value = found.map(String).includes(before.get(label)) ? before.get(label) : "";
      choose();
      parts.push(select);
    };
    add("source", data.sourceWord, (row) => data.sources[row.s]);
    add("benchmark", data.groupWord ?? "benchmark", (row) => row.problem.b);
    add("verdict", "verdict", (row) => row.v, ["correct", "incorrect", "unknown", "kept", "dropped"]);
    add("reason", "reason", (row) => row.r);
    add("cut", "truncated", (row) => (row.c ? "truncated" : "ended"));
    add("language", "language", (row) => row.l);
    add("change", "changed", (row) => row.change, ["better", "worse", "same"]);
    if (data.judged) add("solved", "problem", (row) => (row.rate === 0 ? "never solved" : row.rate === 1 ? "always solved" : "sometimes solved"));
    for (const tag of data.tags) add("tag-" + tag, tag.toLowerCase(), (row) => row.problem.t[tag] ?? "");
    const sort = el("select", { "aria-label": "sort" });
    const orders = { "": "in order", long: "longest first", short: "shortest first" };
    if (data.judged) Object.assign(orders, { hard: "hardest first", easy: "easiest first" });
    if (data.samples.w.some((value) => value !== null)) Object.assign(orders, { rich: `highest ${data.numberWord}`, poor: `lowest ${data.numberWord}` });
    for (const [value, label] of Object.entries(orders)) sort.append(el("option", { value }, label));
    sort.value = before.get("sort") ?? "";
    sort.addEventListener("change", () => { filters.sort = sort.value; apply(); });
    const reset = el("button", { type: "button", onclick: () => {
      for (const name of Object.keys(filters)) filters[name] = null;
      for (const select of bar.querySelectorAll("select")) { select.value = ""; select.classList.remove("set"); }
      search.value = "";
      apply();
    } }, "reset");
    bar.replaceChildren(...parts, sort, reset, counter);
  };

  const natural = (a, b) => String(a).localeCompare(String(b), "en", { numeric: true });
  const debounce = (act, milliseconds) => {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
  };

  // ------------------------------------------------------------------------------------------ filters
  const ORDERS = {
    long: (a, b) => b.k - a.k, short: (a, b) => a.k - b.k, hard: (a, b) => a.rate - b.rate, easy: (a, b) => b.rate - a.rate,
    rich: (a, b) => (b.w ?? -1e9) - (a.w ?? -1e9), poor: (a, b) => (a.w ?? 1e9) - (b.w ?? 1e9),
  };
  let asked = 0;
  /** kept: the key of the sample that stays chosen, as far as the filters still show it. */
  const apply = async (kept) => {
    const mine = ++asked;
    const active = Object.entries(filters).filter(([name, value]) => name !== "sort" && value).map(([, value]) => value);
    let found = rows.filter((row) => active.every(([get, value]) => String(get(row)) === value));
    const words = search.value.trim().toLowerCase();
    if (words) {
      counter.textContent = "searching ...";
      texts = texts || (await allTexts());
      if (mine !== asked) return;
      found = found.filter((row) => texts[row.at].includes(words)
        || `${row.problem.i} ${row.problem.x} ${row.problem.g} ${row.a ?? ""}`.toLowerCase().includes(words));
    }
    if (filters.sort) found = [...found].sort(ORDERS[filters.sort]);
    shown = found;
    const good = data.judged ? "correct" : "kept";
    const right = shown.filter((row) => row.v === good).length;
    const share = shown.length ? `, ${((100 * right) / shown.length).toFixed(1)} % ${good}` : "";
    counter.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${data.rowWord}${share}`;
    if (typeof kept === "string") {
      const at = shown.findIndex((row) => row.key === kept);
      chosen = Math.max(0, at);
      draw();
      if (at < 0 && detail.childElementCount === 0 && shown.length) open(0, false);
      return;
    }
    chosen = Math.min(chosen, Math.max(0, shown.length - 1));
    list.scrollTop = 0;
    draw();
    if (shown.length && matchMedia("(min-width:900px)").matches) open(0, false);
    else if (!shown.length) detail.replaceChildren(el("p", {}, "Nothing fits these filters."));
  };
  const allTexts = async () => {
    const chunks = await Promise.all([...Array(data.chunks).keys()].map((at) => unpack("samples-text-" + at)));
    return rows.map((row) => chunks[row.h].t[row.o].toLowerCase());
  };

  // ------------------------------------------------------------------------------------------ list
  const draw = () => {
    inner.style.height = shown.length * ROW + "px";
    const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 8);
    const to = Math.min(shown.length, from + Math.ceil((list.clientHeight || 600) / ROW) + 16);
    const drawn = [];
    for (let at = from; at < to; at++) drawn.push(line(shown[at], at));
    inner.replaceChildren(...drawn);
  };
  const line = (row, at) => {
    const about = [row.problem.i, data.sources.length > 1 ? data.sources[row.s] : "", ...(data.judged ? [`#${row.n}`, `${row.k} tokens`] : [row.r]),
      row.w === null ? "" : `${data.numberWord} ${format(row.w)}`, row.c ? "truncated" : "", row.l || ""].filter(Boolean).join(" · ");
    const node = el("div", { class: `row${at === chosen ? " on" : ""}`, role: "option", "aria-selected": at === chosen, title: row.r },
      el("span", { class: `mark ${row.v}` }, MARK[row.v] || "·"),
      el("span", { class: "what" }, el("b", {}, ...maths(row.problem.x.slice(0, 240), data.maths, false)), el("small", {}, about)));
    node.style.top = at * ROW + "px";
    node.addEventListener("click", () => open(at, true));
    return node;
  };
  const format = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : String(+value.toFixed(3)));

  // ------------------------------------------------------------------------------------------ one sample
  let openReasoning = false, sideBySide = false;
  const open = async (at, focus) => {
    if (!shown.length) return;
    chosen = Math.max(0, Math.min(at, shown.length - 1));
    const row = shown[chosen];
    const top = chosen * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    draw();
    if (focus) { root.classList.add("reading"); history.replaceState(null, "", "#sample-" + row.at); }
    const own = rows.filter((other) => other.p === row.p);
    const picked = sideBySide ? side(own, row) : [row];
    const bodies = data.judged ? await Promise.all(picked.map(body)) : [];
    const texts = data.judged ? null : await unpack("samples-text-" + row.h);
    if (shown[chosen] !== row) return;
    const problem = row.problem;
    const tags = Object.entries(problem.t).map(([name, value]) => `${name.toLowerCase()} ${value}`);
    const place = row.p;
    const kept = data.judged ? unpack("samples-prompts") : null;
    const prompt = kept ? el("details", {}, el("summary", {}, "prompt")) : "";
    prompt && prompt.addEventListener("toggle", async () => {
      if (prompt.open && prompt.children.length === 1) prompt.append(el("pre", {}, (await kept)[place] || "not kept"));
    });
    detail.replaceChildren(
      el("button", { type: "button", class: "back", onclick: close }, "‹ list"),
      el("p", { class: "about" }, [problem.b, problem.i, ...tags].filter(Boolean).join(" · ")),
      ...(data.judged
        ? [el("div", { class: "problem" }, ...maths(problem.x, data.maths)), el("p", { class: "gold" }, "gold ", formula(problem.g, data.maths)),
          dots(own, row), prompt, el("div", { class: picked.length > 1 ? "side" : "" }, ...bodies)]
        : pair(row, texts)));
    detail.scrollTop = 0;
  };
  const close = () => { root.classList.remove("reading"); list.focus(); };
  const side = (own, row) => data.sources
    .map((_, source) => (source === row.s ? row : own.find((other) => other.s === source && other.n === row.n) || own.find((other) => other.s === source)))
    .filter(Boolean);

  /** A problem that was kept or dropped, beside the one that it was matched with. */
  const pair = (row, chunk) => {
    const table = { ...data.maths, ...chunk.m }, other = chunk.t[row.o];
    const gold = (value) => el("p", { class: "gold" }, "gold ", value ? formula(value, table) : el("i", {}, "none"));
    const facts = Object.entries(row.f || {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${format(value)}`).join(" · ");
    const side = (title, text, ...more) => el("article", {}, el("h4", {}, title), el("div", { class: "text" }, ...maths(text, table)), ...more);
    return [
      el("h4", {}, el("span", { class: `verdict ${row.v}` }, `${MARK[row.v] || ""} ${row.v}`), ` ${row.r} `, el("small", {}, [`${row.k} words`, facts].filter(Boolean).join(" · "))),
      el("div", { class: other ? "side" : "" }, side("this problem", row.problem.x, gold(row.problem.g)),
        other ? side(row.m, other, row.a === null ? "" : gold(row.a)) : ""),
      row.e ? el("pre", {}, row.e) : "",
    ].filter((part) => part !== "");
  };

  /** All samples of the problem, a line for each source; a click opens one. */
  const dots = (own, row) => {
    const lines = data.sources.map((name, source) => {
      const members = own.filter((other) => other.s === source);
      if (!members.length) return "";
      const marks = members.map((other) => el("button", {
        type: "button", class: `dot ${other.v}${other === row ? " on" : ""}`, title: `${name} #${other.n}: ${other.v} (${other.r})`,
        onclick: () => jump(other),
      }, MARK[other.v] || "·"));
      const right = members.filter((other) => other.v === "correct").length;
      return el("div", { class: "dots" }, el("span", {}, data.sources.length > 1 ? name : "samples"), ...marks, el("small", {}, `${right}/${members.length}`));
    });
    const many = data.sources.length > 1;
    const toggle = many ? el("label", {}, el("input", { type: "checkbox", checked: sideBySide, onchange: (event) => { sideBySide = event.target.checked; open(chosen, false); } }), ` ${data.sourceWord}s side by side`) : "";
    return el("div", { class: "own" }, ...lines.filter(Boolean), toggle);
  };
  const jump = (wanted) => {
    const row = rows[wanted.at]?.key === wanted.key ? rows[wanted.at] : rows.find((other) => other.key === wanted.key) ?? wanted;
    let at = shown.indexOf(row);
    if (at < 0) { shown = [...shown.slice(0, chosen + 1), row, ...shown.slice(chosen + 1)]; at = chosen + 1; }
    open(at, true);
  };

  const body = async (row) => {
    const chunk = await unpack("samples-text-" + row.h);
    const text = chunk.t[row.o], table = { ...data.maths, ...chunk.m };
    const cut = text.lastIndexOf("</think>");
    const reasoning = cut >= 0 ? text.slice(0, cut) : row.q ? text : "";
    const answer = cut >= 0 ? text.slice(cut + 8) : row.q ? "" : text;
    const facts = [`${row.k} tokens`, row.c ? "truncated" : "", row.w === null ? "" : `reward ${format(row.w)}`,
      ...Object.entries(row.f || {}).map(([name, value]) => `${name} ${value === null ? "–" : format(value)}`), row.l || ""].filter(Boolean);
    const node = el("article", {},
      el("h4", {}, el("span", { class: `verdict ${row.v}` }, `${MARK[row.v] || ""} ${row.v}`), ` ${row.r} `,
        el("small", {}, `${data.sources.length > 1 ? data.sources[row.s] + " " : ""}#${row.n} · ${facts.join(" · ")}`)),
      el("p", { class: "gold" }, "answer ", row.a === null ? el("i", {}, "none was read") : formula(row.a, table)));
    if (reasoning.trim()) {
      const words = reasoning.trim().split(/\s+/).length.toLocaleString("en");
      const folded = el("details", { class: "reasoning", open: openReasoning }, el("summary", {}, `reasoning, ${words} words`));
      const fill = () => { if (folded.open && folded.children.length === 1) folded.append(el("div", { class: "text" }, ...maths(reasoning.replace("<think>", "").trim(), table))); };
      folded.addEventListener("toggle", fill);
      fill();
      node.append(folded);
    }
    node.append(el("div", { class: "text" }, ...maths(answer.trim() || (reasoning ? "" : "(empty)"), table)));
    return node;
  };

  // ------------------------------------------------------------------------------------------ maths
  const PARTS = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$([^$\n]+?)\$|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})/g;
  const maths = (text, table, blocks = true) => {
    const parts = [];
    let from = 0;
    for (const match of text.matchAll(PARTS)) {
      const inner = match[1] ?? match[2] ?? match[3] ?? match[4] ?? match[5];
      if (match.index > from) parts.push(text.slice(from, match.index));
      const block = blocks && (match[1] !== undefined || match[2] !== undefined);
      parts.push(formula(inner, table, block, match[0]));
      from = match.index + match[0].length;
    }
    if (from < text.length) parts.push(text.slice(from));
    return parts;
  };
  /** A formula as MathML, which was checked when the page was made; else as it was written. */
  const formula = (tex, table, block = false, written = tex) => {
    const found = table[tex.trim()];
    if (!found) return el("code", {}, written);
    const node = el("span", { class: block ? "block" : "", title: tex.trim() });
    node.innerHTML = found;
    if (block) node.firstElementChild.setAttribute("display", "block");
    return node;
  };

  // ------------------------------------------------------------------------------------------ keys
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /INPUT|SELECT|TEXTAREA/.test(document.activeElement?.tagName) && document.activeElement.type !== "checkbox";
    if (event.key === "Escape") { if (typing) document.activeElement.blur(); else close(); return; }
    if (typing) return;
    if (!root) return;
    const inside = root.contains(document.activeElement) || root.getBoundingClientRect().top < innerHeight / 2;
    const row = shown[chosen];
    const step = (amount) => {
      const own = rows.filter((other) => other.p === row.p);
      jump(own[(own.indexOf(row) + amount + own.length) % own.length]);
    };
    const act = {
      j: () => open(chosen + 1, true), k: () => open(chosen - 1, true), ArrowDown: () => open(chosen + 1, true), ArrowUp: () => open(chosen - 1, true),
      n: () => step(1), p: () => step(-1), s: () => { sideBySide = !sideBySide; open(chosen, false); },
      r: () => { openReasoning = !openReasoning; open(chosen, false); },
      "/": () => { root.scrollIntoView(); search.focus(); },
    }[event.key];
    if (!act || (!inside && event.key !== "/") || !row) return;
    event.preventDefault();
    act();
  });
  const restore = () => {
    const found = /^#sample-(\d+)$/.exec(location.hash);
    const row = found && rows[+found[1]];
    if (row) { root.scrollIntoView(); jump(row); }
  };

  const told = (act) => act().catch((error) => root.append(el("p", { class: "finding bad" }, `The samples cannot be shown: ${error}`)));
  if (root) told(start);
  document.addEventListener("samples-changed", () => {
    if (root) { told(data ? refresh : start); return; }
    root = $("#samples");
    if (root) told(start);
  });
})();
