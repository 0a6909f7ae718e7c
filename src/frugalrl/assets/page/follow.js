/* A page that `frugalrl view` serves asks for its next state and takes over what changed: filters, what is unfolded, the
   chosen sample and the place on the page stay as they are. */
"use strict";
(() => {
  const GOING_SECONDS = 3, QUIET_SECONDS = 15;
  const pill = document.createElement("div");
  pill.className = "live";
  pill.setAttribute("role", "status");
  document.body.append(pill);
  const say = (state, text) => {
    if (pill.textContent !== text) pill.textContent = text;
    pill.dataset.state = state;
  };

  const FOLDS = "details", KNOBS = "summary, button, a, [tabindex]";
  /** Puts a section in the place of an older one, unfolded and focused as that one was. */
  const replace = (old, now) => {
    const folds = [...old.querySelectorAll(FOLDS)].map((one) => one.open);
    const sides = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const focused = [...old.querySelectorAll(KNOBS)].indexOf(document.activeElement);
    old.replaceWith(now);
    [...now.querySelectorAll(FOLDS)].forEach((one, at) => { one.open = folds[at] ?? one.open; });
    [...now.querySelectorAll(".scroll")].forEach((one, at) => { one.scrollLeft = sides[at] ?? 0; });
    if (focused >= 0) document.dispatchEvent(new CustomEvent("page-changed")), now.querySelectorAll(KNOBS)[focused]?.focus({ preventScroll: true });
  };

  const seen = new Map();
  const take = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const main = document.querySelector("main");
    const top = [...main.children].find((one) => one.getBoundingClientRect().bottom > 0);
    const before = top?.getBoundingClientRect().top;
    let samples = false, previous = null;
    document.title = next.title;
    document.querySelector("header").innerHTML = next.querySelector("header").innerHTML;
    const contents = document.querySelector("nav.contents"), listed = next.querySelector("nav.contents");
    if (listed && contents) contents.innerHTML = listed.innerHTML;
    else if (listed) main.before(listed);
    const ids = new Set([...next.querySelector("main").children].map((one) => one.id));
    for (const old of [...main.children]) if (!ids.has(old.id)) old.remove();
    for (const one of [...next.querySelector("main").children]) {
      const old = one.id && main.querySelector(`:scope > [id="${one.id}"]`);
      const markup = one.outerHTML;
      let here = old;
      if (!old) {
        here = document.adoptNode(one);
        if (previous) previous.after(here); else main.prepend(here);
        samples ||= here.querySelector("#samples") !== null;
      } else if (seen.get(one.id) !== markup) {
        if (old.querySelector("#samples") && one.querySelector("#samples")) {
          for (const script of old.querySelectorAll("script")) script.remove();
          old.append(...[...one.querySelectorAll("script")].map((script) => document.adoptNode(script)));
          samples = true;
        } else {
          here = document.adoptNode(one);
          replace(old, here);
        }
      }
      seen.set(one.id, markup);
      previous = here;
    }
    const still = top?.isConnected ? top : top?.id && document.getElementById(top.id);
    if (still && before < 0) scrollBy(0, still.getBoundingClientRect().top - before);
    document.dispatchEvent(new CustomEvent("page-changed"));
    if (samples) document.dispatchEvent(new CustomEvent("samples-changed"));
  };

  let tag = "", seconds = GOING_SECONDS;
  const ask = async () => {
    try {
      const reply = await fetch(location.pathname, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      const going = reply.headers.get("X-Going") === "yes";
      if (reply.status === 200) {
        tag = reply.headers.get("ETag") || "";
        take(await reply.text());
        pill.title = `as of ${new Date().toLocaleTimeString()}`;
      }
      say(going ? "going" : "done", going ? "live" : "finished");
      seconds = going ? GOING_SECONDS : QUIET_SECONDS;
    } catch (error) {
      say("gone", "no answer: this is the last state");
      seconds = QUIET_SECONDS;
    }
    setTimeout(ask, 1000 * seconds);
  };
  setTimeout(ask, 1000 * seconds);
  say("going", "live");
})();
