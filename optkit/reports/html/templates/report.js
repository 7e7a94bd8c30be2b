"use strict";
// Titles of marks become a note that also shows on touch; without this script browsers show them as they always do.
(() => {
  const note = document.createElement("div");
  note.className = "tip";
  note.setAttribute("aria-hidden", "true");
  document.body.append(note);
  const said = (from) => from instanceof Element && from.closest("[data-says]");
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.dataset.says = title.textContent;
    title.remove();
  }
  for (const each of document.querySelectorAll(".optkit [title]")) {
    each.dataset.says = each.title;
    each.removeAttribute("title");
  }
  const show = (event) => {
    const mark = said(event.target);
    note.classList.toggle("shown", Boolean(mark));
    if (!mark) return;
    note.textContent = mark.dataset.says;
    const room = document.documentElement.clientWidth - note.offsetWidth - 8;
    note.style.left = Math.max(8, Math.min(event.clientX + 12, room)) + "px";
    const above = event.clientY - note.offsetHeight - 12;
    note.style.top = (above > 8 ? above : event.clientY + 18) + "px";
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
  document.addEventListener("scroll", () => note.classList.remove("shown"), { passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && note.classList.remove("shown"));
  // paper unfolds nothing by itself; long tables stay folded unless somebody opened them
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.long)").forEach((each) => (each.open = true)));
})();
