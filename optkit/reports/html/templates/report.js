"use strict";
// Titles of marks become a note that also shows on touch and for the keyboard: Tab goes from picture to picture, arrow keys from mark
// to mark within one. Without this script browsers show titles as they always do.
(() => {
  const note = document.createElement("div");
  note.className = "tip";
  note.id = "optkit-tip";
  note.setAttribute("role", "tooltip");
  document.body.append(note);
  const marks = new Map(); // of each picture, in its order

  const says = (each, words) => {
    // a picture of one mark is that mark, and has its words as its label already
    const picture = each.closest("svg");
    const mark = picture?.querySelectorAll("title").length === 1 && picture.getAttribute("aria-label") === words ? picture : each;
    const among = each.closest("table") ?? each.closest("ul") ?? picture;
    if (!marks.has(among)) marks.set(among, []);
    mark.dataset.says = words;
    mark.setAttribute("tabindex", marks.get(among).push(mark) === 1 ? 0 : -1);
    if (!(mark instanceof SVGElement)) return;
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", words);
    if (mark !== picture) picture.setAttribute("role", "group"); // or its marks would not be told apart
  };
  const titles = [...document.querySelectorAll("svg title")];
  for (const title of titles) says(title.parentNode, title.textContent);
  for (const title of titles) title.remove();
  for (const each of document.querySelectorAll(".optkit [title]")) {
    says(each, each.title);
    each.removeAttribute("title");
    each.setAttribute("aria-describedby", note.id);
  }

  const told = (from) => from instanceof Element && from.closest("[data-says]");
  const hide = () => note.classList.remove("shown");
  const show = (mark, x, top, bottom, more = "") => {
    note.textContent = mark.dataset.says;
    if (more) note.append(Object.assign(document.createElement("small"), { textContent: more }));
    note.classList.add("shown");
    const room = document.documentElement.clientWidth - note.offsetWidth - 8;
    note.style.left = Math.max(8, Math.min(x, room)) + "px";
    const above = top - note.offsetHeight - 12;
    note.style.top = (above > 8 ? above : bottom) + "px";
  };
  const point = (event) => {
    const mark = told(event.target);
    if (mark) show(mark, event.clientX + 12, event.clientY, event.clientY + 18);
    else if (!focused()) hide();
  };

  const focused = () => document.activeElement?.matches("[data-says]:focus-visible") && document.activeElement;
  const siblings = (mark) => [...marks.values()].find((each) => each.includes(mark));
  const shown = (mark) => {
    const box = mark.getBoundingClientRect(), all = siblings(mark);
    const more = all.length > 1 ? `${all.indexOf(mark) + 1} of ${all.length}; arrow keys go to the others` : "";
    show(mark, box.left + Math.min(box.width / 2, 60), box.top, box.bottom + 12, more);
  };
  const follow = () => (focused() ? shown(focused()) : hide());
  // up and down go from series to series where a picture has several, else on as left and right do
  const next = (mark, key) => {
    const all = siblings(mark), at = all.indexOf(mark);
    const series = [...new Set(all.map((each) => each.parentNode))].map((parent) => all.filter((each) => each.parentNode === parent));
    const own = series.findIndex((each) => each.includes(mark)), down = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
    if (key === "Home" || key === "End") return all.at(key === "Home" ? 0 : -1);
    const many = mark.closest("svg") !== mark && series.length > 1 && series[own].length > 1;
    if (many && /Up|Down/.test(key)) return series[own + down]?.[Math.min(series[own].indexOf(mark), series[own + down].length - 1)];
    return all[at + down];
  };
  const press = (event) => {
    if (event.key === "Escape") hide();
    const mark = focused();
    if (!mark || !/^(Arrow(Up|Down|Left|Right)|Home|End)$/.test(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const to = next(mark, event.key);
    if (!to) return;
    mark.setAttribute("tabindex", -1);
    to.setAttribute("tabindex", 0);
    to.focus();
  };

  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("focusin", follow);
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", follow, { passive: true, capture: true });
  document.addEventListener("keydown", press);
  // paper unfolds nothing by itself; long tables stay folded unless somebody opened them
  addEventListener("beforeprint", () => document.querySelectorAll("details:not(.long)").forEach((each) => (each.open = true)));
})();
