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
    sideBySide = data.sources.length > 1 && matchMedia("(min-width:1300px)").matches;
    build();
    await apply();
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
      row.change = changes(row.own);
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

  /** How a problem fares with each source against the first; of many steps, with its last one. */
  const changes = (own) => {
    const first = own.get(0), others = data.sources.map((_, at) => at).slice(1).filter((at) => own.has(at));
    if (!first) return [];
    const wanted = data.sourceWord === "step" ? others.slice(-1) : others;
    return wanted.map((at) => {
      const [right, all] = own.get(at), difference = right / all - first[0] / first[1];
      const word = difference > 0 ? "better" : difference < 0 ? "worse" : "same";
      return data.sourceWord === "step" || data.sources.length === 2 ? word : `${word}: ${data.sources[at]}`;
    });
  };

  // ------------------------------------------------------------------------------------------ frame
  let bar, list, inner, detail, counter, search, help;
  const KEYS = [["j  k  ↓  ↑", "next and previous sample"], ["n  p", "next and previous sample of the same problem"], ["Home  End", "first and last sample"],
    ["s", "side by side"], ["r", "fold or unfold reasoning"], ["/", "search"], ["Esc", "back to the list"], ["?", "this help"]];
  const build = () => {
    bar = el("div", { class: "bar", role: "search" });
    search = el("input", { type: "search", placeholder: "search ( / )", "aria-label": "search problems, answers and texts" });
    search.addEventListener("input", debounce(apply, 180));
    counter = el("span", { class: "count", role: "status" });
    fill();
    inner = el("div", { class: "inner", role: "presentation" });
    list = el("div", { class: "list", tabindex: "0", role: "listbox", "aria-label": data.rowWord }, inner);
    list.addEventListener("scroll", draw);
    detail = el("div", { class: "detail", tabindex: "-1", role: "region", "aria-label": "the chosen one" });
    const keys = el("p", { class: "keys" }, "Keys: ", el("kbd", {}, "j"), " ", el("kbd", {}, "k"), " next and previous, ", el("kbd", {}, "/"), " search, ",
      el("button", { type: "button", onclick: () => help.showModal() }, "? all keys"));
    help = el("dialog", { "aria-label": "keys" }, el("h2", {}, "Keys"),
      el("dl", {}, ...KEYS.flatMap(([key, what]) => [el("dt", {}, ...key.split("  ").flatMap((one) => [el("kbd", {}, one), " "])), el("dd", {}, what)])),
      el("form", { method: "dialog" }, el("button", {}, "close")));
    root.append(bar, el("div", { class: "panes" }, list, detail), keys, help);
    new ResizeObserver(draw).observe(list);
  };

  const MOST_VALUES = 300;
  /** The filters that the data allow, each with the value that it had before. */
  const fill = () => {
    const before = new Map([...bar.querySelectorAll("select")].map((select) => [select.getAttribute("aria-label"), select.value]));
    const parts = [];
    const add = (name, label, get, order) => {
      const counts = new Map();
      for (const row of rows) for (const value of [get(row)].flat()) if (value !== "" && value !== null && value !== undefined) counts.set(String(value), (counts.get(String(value)) || 0) + 1);
      const found = order ? order.filter((value) => counts.has(value)) : [...counts.keys()].sort(natural);
      if (found.length < 2 && !before.get(label)) return;
      const select = el("select", { "aria-label": label, "data-filter": name });
      select.append(el("option", { value: "" }, label));
      for (const value of found.slice(0, MOST_VALUES)) select.append(el("option", { value }, `${value.slice(0, 60)} (${counts.get(value).toLocaleString("en")})`));
      if (found.length > MOST_VALUES) select.append(el("option", { value: "", disabled: true }, `${found.length - MOST_VALUES} more: search for one`));
      const choose = () => { filters[name] = select.value ? [get, select.value] : null; select.classList.toggle("set", select.value !== ""); };
      select.addEventListener("change", () => { choose(); apply(); });
      select.addEventListener("set", choose);
      select.value = counts.has(before.get(label)) ? before.get(label) : "";
      choose();
      parts.push(select);
    };
    add("source", data.sourceWord, (row) => data.sources[row.s], data.sources);
    add("benchmark", data.groupWord ?? "benchmark", (row) => row.problem.b);
    add("verdict", "verdict", (row) => row.v, ["correct", "incorrect", "unknown", "kept", "dropped"]);
    add("reason", "reason", (row) => row.r);
    add("cut", "truncated", (row) => (row.c ? "truncated" : "ended"));
    add("language", "language", (row) => row.l || "expected");
    add("change", "changed", (row) => row.change);
    if (data.judged) add("solved", "problem", (row) => (row.rate === 0 ? "never solved" : row.rate === 1 ? "always solved" : "sometimes solved"));
    for (const tag of data.tags) add("tag-" + tag, tag.toLowerCase(), (row) => row.problem.t[tag] ?? "");
    const sort = el("select", { "aria-label": "sort", "data-filter": "sort" });
    const orders = { "": "in order", long: "longest first", short: "shortest first" };
    if (data.judged) Object.assign(orders, { hard: "hardest first", easy: "easiest first" });
    if (data.samples.w.some((value) => value !== null)) Object.assign(orders, { rich: `highest ${data.numberWord}`, poor: `lowest ${data.numberWord}` });
    for (const [value, label] of Object.entries(orders)) sort.append(el("option", { value }, label));
    sort.value = before.get("sort") ?? "";
    const order = () => { filters.sort = sort.value; };
    sort.addEventListener("change", () => { order(); apply(); });
    sort.addEventListener("set", order);
    const reset = el("button", { type: "button", onclick: () => { set({}); apply(); } }, "reset");
    const more = el("button", { type: "button", class: "more", "aria-expanded": String(bar.classList.contains("open")), onclick: () => {
      more.setAttribute("aria-expanded", String(bar.classList.toggle("open")));
    } }, "filters");
    bar.replaceChildren(search, more, el("div", { class: "filters" }, ...parts, sort, reset), counter);
  };
  /** Exactly these filters: values by name. */
  const set = (values) => {
    search.value = values.search ?? "";
    for (const select of bar.querySelectorAll("select")) {
      select.value = values[select.dataset.filter] ?? "";
      if (select.selectedIndex < 0) select.value = "";
      select.dispatchEvent(new CustomEvent("set"));
    }
  };

  const natural = (a, b) => String(a).localeCompare(String(b), "en", { numeric: true });
  const debounce = (act, milliseconds) => {
    let timer;
    return () => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
  };

  // ------------------------------------------------------------------------------------------ filters
  const amount = (value, missing) => (typeof value === "number" ? value : missing);
  const ORDERS = {
    long: (a, b) => b.k - a.k, short: (a, b) => a.k - b.k, hard: (a, b) => a.rate - b.rate, easy: (a, b) => b.rate - a.rate,
    rich: (a, b) => amount(b.w, -1e99) - amount(a.w, -1e99), poor: (a, b) => amount(a.w, 1e99) - amount(b.w, 1e99),
  };
  let asked = 0;
  /** kept: the key of the sample that stays chosen, as far as the filters still show it. */
  const apply = async (kept) => {
    const mine = ++asked;
    const active = Object.entries(filters).filter(([name, value]) => name !== "sort" && value).map(([, value]) => value);
    let found = rows.filter((row) => active.every(([get, value]) => { const own = get(row); return Array.isArray(own) ? own.includes(value) : String(own) === value; }));
    const words = search.value.trim().toLowerCase();
    if (words) {
      counter.textContent = "searching ...";
      texts = texts || (await allTexts());
      if (mine !== asked) return;
      found = found.filter((row) => texts[row.at].includes(words)
        || `${row.problem.i} ${row.problem.x} ${row.problem.g} ${row.a ?? ""} ${Object.values(row.problem.t).join(" ")}`.toLowerCase().includes(words));
    }
    if (filters.sort) found = [...found].sort(ORDERS[filters.sort]);
    shown = found;
    const good = data.judged ? "correct" : "kept";
    const right = shown.filter((row) => row.v === good).length;
    const share = shown.length ? `, ${((100 * right) / shown.length).toFixed(1)} % ${good}` : "";
    counter.textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${data.rowWord}${share}`;
    if (typeof kept === "string") {
      const at = shown.findIndex((row) => row.key === kept), above = chosen * ROW - list.scrollTop;
      chosen = Math.max(0, at);
      draw();
      list.scrollTop = chosen * ROW - above;
      draw();
      if (at < 0 && detail.childElementCount === 0 && shown.length) open(0, false);
      return;
    }
    chosen = Math.min(chosen, Math.max(0, shown.length - 1));
    list.scrollTop = 0;
    draw();
    if (shown.length && matchMedia("(min-width:900px)").matches) open(0, false);
    else if (!shown.length) detail.replaceChildren();
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
    inner.replaceChildren(...(rows.length && !shown.length ? [el("p", { class: "empty" }, "Nothing fits these filters. ", el("button", { type: "button", onclick: () => { set({}); apply(); } }, "reset"))] : drawn));
    if (!rows.length) inner.replaceChildren(el("p", { class: "empty" }, `No ${data.rowWord} yet.`));
    if (shown.length) list.setAttribute("aria-activedescendant", "row-" + chosen); else list.removeAttribute("aria-activedescendant");
  };
  const line = (row, at) => {
    const about = [row.problem.i, data.sources.length > 1 ? data.sources[row.s] : "", ...(data.judged ? [`#${row.n}`, `${row.k.toLocaleString("en")} tokens`] : [row.r]),
      row.w === null ? "" : `${data.numberWord} ${format(row.w)}`, row.c ? "truncated" : "", row.l || ""].filter(Boolean).join(" · ");
    const node = el("div", { class: `row${at === chosen ? " on" : ""}`, id: "row-" + at, role: "option", "aria-selected": String(at === chosen), "aria-setsize": shown.length, "aria-posinset": at + 1, title: row.r },
      el("span", { class: `mark ${row.v}`, role: "img", "aria-label": row.v }, MARK[row.v] || "·"),
      el("span", { class: "what" }, el("b", {}, ...maths(row.problem.x.slice(0, 240), data.maths, false)), el("small", {}, about)));
    node.style.top = at * ROW + "px";
    node.addEventListener("click", () => open(at, true));
    return node;
  };
  const format = (value) => (typeof value !== "number" ? String(value) : Math.abs(value) >= 100 ? value.toFixed(0) : String(+value.toFixed(3)));

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
    const isNarrow = matchMedia("(max-width:899px)").matches;
    if (focus) { root.classList.add("reading"); history.replaceState(null, "", "#sample-" + row.at); }
    if (focus && isNarrow) { root.scrollIntoView(); detail.focus({ preventScroll: true }); }
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
      if (prompt.open && prompt.children.length === 1) prompt.append(el("pre", { dir: "auto" }, (await kept)[place] || "not kept"));
    });
    detail.replaceChildren(
      el("button", { type: "button", class: "back", onclick: close }, "‹ list"),
      el("p", { class: "about" }, [problem.b, problem.i, ...tags].filter(Boolean).join(" · ")),
      ...(data.judged
        ? [el("div", { class: "problem", dir: "auto" }, ...maths(problem.x, data.maths)), facts([["gold", problem.g ? formula(problem.g, data.maths) : el("i", {}, "none")]]),
          dots(own, row), prompt, el("div", { class: picked.length > 1 ? "side" : "" }, ...bodies)]
        : pair(row, texts)));
    detail.scrollTop = 0;
  };
  const facts = (pairs) => el("dl", { class: "facts" }, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const close = () => { root.classList.remove("reading"); list.focus(); };
  const side = (own, row) => data.sources
    .map((_, source) => (source === row.s ? row : own.find((other) => other.s === source && other.n === row.n) || own.find((other) => other.s === source)))
    .filter(Boolean);

  /** A problem that was kept or dropped, beside the one that it was matched with. */
  const pair = (row, chunk) => {
    const table = { ...data.maths, ...chunk.m }, other = chunk.t[row.o];
    const gold = (value) => facts([["gold", value ? formula(value, table) : el("i", {}, "none")]]);
    const measured = Object.entries(row.f || {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${format(value)}`).join(" · ");
    const side = (title, text, ...more) => el("article", {}, el("h4", {}, title), el("div", { class: "text", dir: "auto" }, ...maths(text, table)), ...more);
    return [
      el("h4", {}, el("span", { class: `verdict ${row.v}` }, `${MARK[row.v] || ""} ${row.v}`), ` ${row.r} `, el("small", {}, [`${row.k} words`, measured].filter(Boolean).join(" · "))),
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
      return el("div", { class: "dots" }, el("span", {}, data.sources.length > 1 ? name : "samples"), el("div", {}, ...marks, el("small", {}, ` ${right}/${members.length}`)));
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
    const about = [`${row.k.toLocaleString("en")} tokens`, row.c ? "truncated" : "", row.w === null ? "" : `reward ${format(row.w)}`,
      ...Object.entries(row.f || {}).map(([name, value]) => `${name} ${value === null ? "–" : format(value)}`), row.l || ""].filter(Boolean);
    const node = el("article", {},
      el("h4", {}, el("span", { class: `verdict ${row.v}` }, `${MARK[row.v] || ""} ${row.v}`), ` ${row.r} `,
        el("small", {}, `${data.sources.length > 1 ? data.sources[row.s] + " " : ""}#${row.n} · ${about.join(" · ")}`)),
      facts([["answer", row.a === null ? el("i", {}, "none was read") : formula(row.a, table)]]));
    if (reasoning.trim()) {
      const words = reasoning.trim().split(/\s+/).length.toLocaleString("en");
      const folded = el("details", { class: "reasoning", open: openReasoning }, el("summary", {}, `reasoning, ${words} words`));
      const fill = () => { if (folded.open && folded.children.length === 1) folded.append(el("div", { class: "text", dir: "auto" }, ...maths(reasoning.replace("<think>", "").trim(), table))); };
      folded.addEventListener("toggle", fill);
      fill();
      node.append(folded);
    }
    const said = answer.trim();
    if (said || !reasoning) node.append(el("div", { class: "text", dir: "auto" }, ...(said ? maths(said, table) : [el("i", {}, "(empty)")])));
    else node.append(el("p", { class: "about" }, row.c ? "The reasoning was cut: there is no answer after it." : "There is nothing after the reasoning."));
    return node;
  };

  // ------------------------------------------------------------------------------------------ maths
  const PARTS = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$([^$\n]+?)\$|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})/g;
  const maths = (text, table, blocks = true) => {
    const parts = [];
    let from = 0;
    for (const match of text.matchAll(PARTS)) {
      const inner = match[1] ?? match[2] ?? match[3] ?? match[4] ?? match[5];
      if (match.index > from) parts.push(...marked(text.slice(from, match.index), blocks));
      const block = blocks && (match[1] !== undefined || match[2] !== undefined);
      parts.push(formula(inner, table, block, match[0]));
      from = match.index + match[0].length;
    }
    if (from < text.length) parts.push(...marked(text.slice(from), blocks));
    return parts;
  };
  const MOST_MARKS = 500;
  /** A text with what was searched for marked in it. */
  const marked = (text, isRead) => {
    const words = isRead ? search.value.trim().toLowerCase() : "";
    if (!words) return [text];
    const parts = [], lower = text.toLowerCase();
    let from = 0;
    if (lower.length !== text.length) return [text];
    for (let at = lower.indexOf(words); at >= 0 && parts.length < MOST_MARKS; at = lower.indexOf(words, from)) {
      parts.push(text.slice(from, at), el("mark", {}, text.slice(at, at + words.length)));
      from = at + words.length;
    }
    return [...parts, text.slice(from)];
  };
  /** A formula as MathML, which was checked when the page was made; else as it was written. */
  const formula = (tex, table, block = false, written = tex) => {
    const found = table[tex.trim()];
    if (!found) return el("code", {}, written);
    const node = el("span", { class: block ? "block" : tex.length > 60 ? "fit" : "", title: tex.trim() });
    node.innerHTML = found;
    if (block) node.firstElementChild.setAttribute("display", "block");
    return node;
  };

  // ------------------------------------------------------------------------------------------ keys
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /INPUT|SELECT|TEXTAREA/.test(document.activeElement?.tagName) && document.activeElement.type !== "checkbox";
    if (event.key === "Escape" && help?.open) return;
    if (event.key === "Escape" && root && data) { if (typing) document.activeElement.blur(); else close(); return; }
    if (typing) return;
    if (!root || !data || help.open) return;
    const inside = root.contains(document.activeElement) || root.getBoundingClientRect().top < innerHeight / 2;
    const row = shown[chosen];
    const step = (amount) => {
      const own = rows.filter((other) => other.p === row.p);
      jump(own[(own.indexOf(row) + amount + own.length) % own.length]);
    };
    const act = {
      j: () => open(chosen + 1, true), k: () => open(chosen - 1, true), ArrowDown: () => open(chosen + 1, true), ArrowUp: () => open(chosen - 1, true),
      n: () => step(1), p: () => step(-1), s: () => { sideBySide = !sideBySide; open(chosen, false); },
      Home: () => open(0, true), End: () => open(shown.length - 1, true),
      r: () => { openReasoning = !openReasoning; open(chosen, false); },
      "/": () => { root.scrollIntoView(); search.focus(); }, "?": () => help.showModal(),
    }[event.key];
    const isAnywhere = event.key === "/" || event.key === "?";
    if (!act || (!inside && !isAnywhere) || (!row && !isAnywhere)) return;
    event.preventDefault();
    act();
  });
  /** `#sample-17` opens a sample, `#samples?verdict=correct&cut=truncated` sets filters. */
  const restore = () => {
    const found = /^#sample-(\d+)$/.exec(location.hash);
    const row = found && rows[+found[1]];
    if (row) { root.scrollIntoView(); jump(row); }
    if (location.hash.startsWith("#samples?")) {
      set(Object.fromEntries(new URLSearchParams(location.hash.slice(9))));
      apply();
      root.scrollIntoView();
      list.focus({ preventScroll: true });
    }
  };
  addEventListener("hashchange", () => { if (data) restore(); });

  const told = (act) => act().catch((error) => root.append(el("p", { class: "finding bad" }, `The samples cannot be shown: ${error}`)));
  if (root) told(start);
  document.addEventListener("samples-changed", () => {
    if (root) { told(data ? refresh : start); return; }
    root = $("#samples");
    if (root) told(start);
  });
})();
