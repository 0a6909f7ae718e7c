/* Figures: exact values at the pointer, one series at a time by its legend, and the numbers and the picture as files.
   Also marks the section in sight in the contents. */
"use strict";
(() => {
  // ------------------------------------------------------------------------------------------ values at the pointer
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  document.body.append(tip);
  const place = (event) => {
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 12 : event.clientX + 16;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 6)) + "px";
  };
  const line = (text, slot, bold) => {
    const node = document.createElement("div");
    if (slot !== undefined) {
      const key = document.createElement("i");
      key.style.background = `var(--s${slot % 6})`;
      node.append(key);
    }
    if (bold) node.className = "head";
    node.append(text);
    return node;
  };

  const SVG = "http://www.w3.org/2000/svg";
  const numbers = new WeakMap();
  /** The table under a line chart: x, then for each series its label, slot, value and interval. */
  const read = (svg) => {
    if (!numbers.has(svg)) {
      const table = svg.parentElement.querySelector("details.numbers table");
      if (!table) return null;
      const heads = [...table.tHead.rows[0].cells];
      const series = heads.flatMap((head, at) => head.dataset.slot === undefined ? []
        : [{ at, label: head.textContent, slot: +head.dataset.slot, interval: heads[at + 1]?.dataset.slot === undefined && at + 2 < heads.length }]);
      const percent = /percent/.test(table.parentElement.querySelector("summary").textContent) ? " %" : "";
      numbers.set(svg, { word: heads[0].textContent, series, percent, rows: [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)) });
    }
    return numbers.get(svg);
  };
  const guides = () => document.querySelectorAll("path.guide");
  const leave = () => { tip.hidden = true; for (const one of guides()) one.remove(); };
  /** A line at the same x in every chart with the same axis. */
  const guide = (across, x) => {
    for (const one of guides()) one.remove();
    for (const other of document.querySelectorAll("svg[data-across]")) {
      if (other.dataset.across !== across) continue;
      const [, , top, bottom] = across.split(" ");
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", "guide");
      path.setAttribute("d", `M${x} ${top}V${bottom}`);
      other.append(path);
    }
  };
  const follow = (event) => {
    const svg = event.currentTarget, known = read(svg);
    if (!known || !known.rows.length) return;
    const [left, right, , , low, high] = svg.dataset.across.split(" ").map(Number);
    const box = svg.getBoundingClientRect(), [, , width] = svg.getAttribute("viewBox").split(" ").map(Number);
    const at = low + ((event.clientX - box.left) / box.width * width - left) / (right - left) * (high - low);
    let row = known.rows[0];
    for (const other of known.rows) if (Math.abs(other[0] - at) < Math.abs(row[0] - at)) row = other;
    const said = known.series.filter((one) => row[one.at] !== "").map((one) => {
      const interval = one.interval && row[one.at + 1] ? ` [${row[one.at + 1]}, ${row[one.at + 2]}]` : "";
      return { node: line(`${row[one.at]}${known.percent}${interval}${known.series.length > 1 ? "  " + one.label.split("; ")[0] : ""}`, one.slot), value: +row[one.at] };
    });
    if (said.length > 2 && !known.series.some((one) => one.interval)) said.sort((a, b) => b.value - a.value);
    tip.replaceChildren(line(`${known.word} ${row[0]}`, undefined, true), ...said.map((one) => one.node));
    tip.hidden = false;
    place(event);
    guide(svg.dataset.across, (left + (row[0] - low) / ((high - low) || 1) * (right - left)).toFixed(1));
  };
  const show = (event) => {
    const found = event.target.closest("[data-tip]");
    if (!found) { tip.hidden = true; return; }
    tip.replaceChildren(line(found.dataset.tip));
    tip.hidden = false;
    place(event);
  };
  /** A browser's own tooltips come late and not at all to a finger: ours stand in for them. */
  const listen = (svg) => {
    for (const title of svg.querySelectorAll("title")) {
      if (title.parentElement !== svg) title.parentElement.dataset.tip = title.textContent;
      title.remove();
    }
    const act = svg.dataset.across ? follow : show;
    svg.addEventListener("pointermove", act);
    svg.addEventListener("pointerdown", act);
    svg.addEventListener("pointerleave", leave);
  };

  // ------------------------------------------------------------------------------------------ legends
  /** The series that a legend's entry stands for comes to the front, as long as the pointer is on it; a click keeps it. */
  let kept = null;
  const light = (item) => {
    const scope = item && (item.closest("figure") || (item.parentElement.matches(".pinned") ? document : item.closest("section")) || document);
    for (const part of document.querySelectorAll("svg.fig [data-slot]")) {
      part.style.opacity = item && scope.contains(part) && part.dataset.slot !== item.dataset.slot ? ".12" : "";
    }
    for (const other of document.querySelectorAll(".legend li[aria-pressed]")) other.setAttribute("aria-pressed", String(other === kept));
  };
  const enliven = (item) => {
    if (item.hasAttribute("role")) return;
    item.setAttribute("role", "button");
    item.setAttribute("aria-pressed", "false");
    item.tabIndex = 0;
    item.addEventListener("pointerenter", () => light(item));
    item.addEventListener("pointerleave", () => light(kept));
    const press = () => { kept = kept === item ? null : item; light(kept); };
    item.addEventListener("click", press);
    item.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(); } });
  };

  // ------------------------------------------------------------------------------------------ files
  const save = (name, blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  /** The figure by itself: the page's style sheets do not follow it, so computed colours are written into it. */
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    const originals = svg.querySelectorAll("*"), copies = copy.querySelectorAll("*");
    originals.forEach((node, at) => {
      const style = getComputedStyle(node);
      for (const name of ["fill", "stroke", "stroke-width", "opacity", "fill-opacity", "stroke-dasharray"]) copies[at].setAttribute(name, style.getPropertyValue(name));
      if (node.tagName === "text") copies[at].setAttribute("style", `font:${style.font}`);
    });
    const [, , width, height] = svg.getAttribute("viewBox").split(" ");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const ground = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ width, height, fill: getComputedStyle(document.body).backgroundColor })) ground.setAttribute(name, value);
    copy.prepend(ground);
    return { text: new XMLSerializer().serializeToString(copy), width: +width, height: +height };
  };
  const png = (svg, name) => {
    const { text, width, height } = standalone(svg);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 3 * width;
      canvas.height = 3 * height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(name + ".png", blob));
    };
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  };
  const csv = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const text = cell.textContent.trim();
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",")).join("\n") + "\n";
  const button = (label, what, act) => {
    const node = document.createElement("button");
    node.type = "button";
    node.textContent = label;
    node.setAttribute("aria-label", `save ${what} as ${label}`);
    node.addEventListener("click", act);
    return node;
  };
  const equip = () => {
    for (const svg of document.querySelectorAll("svg.fig[role=img]")) if (!svg.dataset.live) { svg.dataset.live = "1"; listen(svg); }
    for (const item of document.querySelectorAll(".legend li[data-slot]")) enliven(item);
    for (const figure of document.querySelectorAll("figure")) {
      if (figure.querySelector(".tools")) continue;
      const svg = figure.querySelector("svg.fig[role=img]"), table = figure.querySelector("details.numbers table");
      if (!svg || !svg.getAttribute("viewBox")) continue;
      const what = svg.getAttribute("aria-label") || "figure";
      const name = what.toLowerCase().replace(/[^a-z0-9]+/g, "-");
      const tools = document.createElement("div");
      tools.className = "tools";
      tools.append(button("SVG", what, () => save(name + ".svg", new Blob([standalone(svg).text], { type: "image/svg+xml" }))), button("PNG", what, () => png(svg, name)));
      if (table) tools.append(button("CSV", what, () => save(name + ".csv", new Blob([csv(table)], { type: "text/csv" }))));
      svg.after(tools);
    }
  };

  // ------------------------------------------------------------------------------------------ contents
  let marked = "";
  const mark = () => {
    const sections = [...document.querySelectorAll("main > section[id]")];
    const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 4;
    const now = scrollY < 4 ? sections[0] : atEnd ? sections.at(-1) : sections.filter((one) => one.getBoundingClientRect().top < innerHeight / 3).at(-1) ?? sections[0];
    if (!now || now.id === marked) return;
    marked = now.id;
    for (const link of document.querySelectorAll(".contents a")) {
      const here = link.getAttribute("href") === "#" + marked;
      if (here) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    }
  };
  const measure = () => {  // the contents have as many lines as the width asks for
    const bar = document.querySelector("nav.contents");
    if (bar) document.documentElement.style.setProperty("--bar", `${bar.offsetHeight}px`);
  };
  addEventListener("resize", measure);
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });

  equip();
  measure();
  mark();
  document.addEventListener("page-changed", () => { marked = ""; leave(); equip(); measure(); mark(); });
})();
