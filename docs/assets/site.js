// Name the search and the buttons of code for screen readers, and let keys reach tables that scroll.
const nameParts = () => {
  document.querySelector(".md-search:not([aria-label])")?.setAttribute("aria-label", "Search");
  document.querySelectorAll(".md-code__nav:not([aria-label])").forEach((nav, number) => {
    nav.setAttribute("aria-label", `Code ${number + 1}`);
  });
  for (const wrap of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) wrap.tabIndex = 0;
};
new MutationObserver(nameParts).observe(document.body, { childList: true, subtree: true });
nameParts();
// Show the sections between <!-- tabs --> and <!-- end of tabs --> as tabs: their headings are the buttons.
// Without this script, and on GitHub, they stay sections. A link to a heading opens its tab.
const comments = document.createNodeIterator(document.querySelector("article"), NodeFilter.SHOW_COMMENT);
let first = comments.nextNode();
while (first && first.data.trim() !== "tabs") first = comments.nextNode();
if (first) {
  const bar = Object.assign(document.createElement("div"), { className: "tabs" });
  const panels = [];
  for (let node = first.nextSibling, next; node && node.data?.trim() !== "end of tabs"; node = next) {
    next = node.nextSibling;
    if (node.tagName === "H2") {
      const panel = document.createElement("section");
      const button = Object.assign(document.createElement("button"), { type: "button" });
      const id = node.id;
      button.textContent = node.firstChild.textContent;
      button.addEventListener("click", () => {
        history.replaceState(null, "", `#${id}`);
        open(id);
      });
      bar.append(button);
      panels.push({ id, panel, button });
    }
    panels.at(-1)?.panel.append(node);
  }
  const open = (id) => {
    for (const one of panels) {
      one.panel.hidden = one.id !== id;
      one.button.setAttribute("aria-pressed", String(one.id === id));
    }
  };
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    if (panels.some((one) => one.id === id)) {
      open(id);
      document.getElementById(id).scrollIntoView();
    }
  };
  first.after(bar, ...panels.map(({ panel }) => panel));
  open(panels[0].id);
  follow();
  addEventListener("hashchange", follow);
}
