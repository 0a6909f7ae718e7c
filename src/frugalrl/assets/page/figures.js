/* Under each figure: its numbers as a table and as CSV, and the picture as SVG or PNG. */
"use strict";
(() => {
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
      for (const name of ["fill", "stroke", "stroke-width", "opacity", "stroke-dasharray"]) copies[at].setAttribute(name, style.getPropertyValue(name));
      if (node.tagName === "text") copies[at].setAttribute("style", `font:${style.font}`);
    });
    const [, , width, height] = svg.getAttribute("viewBox").split(" ");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
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
  const button = (label, act) => {
    const node = document.createElement("button");
    node.type = "button";
    node.textContent = label;
    node.addEventListener("click", act);
    return node;
  };
  const equip = () => { for (const figure of document.querySelectorAll("figure")) {
    if (figure.querySelector(".tools")) continue;
    const svg = figure.querySelector("svg.fig[role=img]"), table = figure.querySelector("details.numbers table");
    if (!svg || !svg.getAttribute("viewBox")) continue;
    const name = (svg.getAttribute("aria-label") || "figure").toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const tools = document.createElement("div");
    tools.className = "tools";
    tools.append(button("SVG", () => save(name + ".svg", new Blob([standalone(svg).text], { type: "image/svg+xml" }))), button("PNG", () => png(svg, name)));
    if (table) tools.append(button("CSV", () => save(name + ".csv", new Blob([csv(table)], { type: "text/csv" }))));
    figure.append(tools);
  } };
  equip();
  document.addEventListener("page-changed", equip);
})();
