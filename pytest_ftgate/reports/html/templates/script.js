"use strict";
// Search, filter and page through the examples, a hundred rows at a time. Text is set as text, never as markup.
(() => {
  const WINDOW = 100, LONG = 280, CUT = 200, PAUSE_MS = 120, MANY = 50;
  const EXPECTED = 2, CHANGE = 3, CANDIDATE = 5;
  const NAMES = { wrong: "both wrong", right: "both right" };
  const counted = (number) => number.toLocaleString("en");

  function made(name, kind, ...children) {
    const node = document.createElement(name);
    if (kind) { node.className = kind; }
    node.append(...children);
    return node;
  }

  const whole = (text) => made("div", "text", made("bdi", "", text));

  function opened(text, more, ...head) {
    return made("details", "", made("summary", "", ...head, made("span", "more", more)), whole(text));
  }

  function long(text) {
    if (text.length <= LONG) { return whole(text); }
    return opened(text, `all ${counted(text.length)} characters`, made("bdi", "", text.slice(0, CUT)), "\u2026 ");
  }

  function cell(label, kind, ...children) {
    const td = made("td", kind, ...children);
    td.dataset.label = label;
    return td;
  }

  function reply(label, [text, mark, said, reasoning]) {
    const before = reasoning ? [opened(reasoning, "reasoning")] : [];
    return cell(label, `reply ${mark}`, long(text), ...before, made("p", "said", said));
  }

  function rowOf([id, input, expected, change, baseline, candidate], labelled) {
    return made("tr", "",
      made("th", "", made("bdi", "", id), " ", made("span", `change ${change}`, (candidate && NAMES[change]) || change)),
      cell("input", "", long(input)),
      ...(labelled ? [cell("expected", "", long(expected))] : []),
      reply("baseline", baseline),
      ...(candidate ? [reply("candidate", candidate)] : []));
  }

  function start(section) {
    const examples = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    const form = section.querySelector("form");
    const [search, select] = [form.querySelector("input"), form.querySelector("select")];
    const boxes = [...form.querySelectorAll('input[type="checkbox"]')];
    const [previous, next] = form.querySelectorAll("button");
    const labels = [...new Set(examples.map((one) => one[EXPECTED]))].sort();
    const labelled = labels.some((label) => label);
    const names = ["example", "input", "expected", "baseline", "candidate"].filter(
      (name) => (name !== "expected" || labelled) && (name !== "candidate" || examples[0][CANDIDATE]));
    const body = made("tbody");
    const head = made("thead", "", made("tr", "", ...names.map((name) => made("th", "", name))));
    let texts = null, found = [], hidden = 0, first = 0, timer = 0;

    function draw() {
      body.replaceChildren(...found.slice(first, first + WINDOW).map((one) => rowOf(one, labelled)));
      const last = Math.min(first + WINDOW, found.length);
      const some = `${counted(first + 1)} to ${counted(last)} of ${counted(found.length)} example${found.length === 1 ? "" : "s"}`;
      const none = hidden ? `no match in the selected groups, ${counted(hidden)} in the others` : "no matching example";
      section.querySelector('[role="status"]').textContent = found.length ? some : none;
      previous.disabled = first === 0;
      next.disabled = last >= found.length;
    }

    function filter() {
      const wanted = search.value.trim().toLowerCase();
      texts = texts || (wanted && examples.map((one) => one.flat().join("\n").toLowerCase()));
      const matching = examples.filter((one, number) =>
        (!select.value || one[EXPECTED] === select.value) && (!wanted || texts[number].includes(wanted)));
      const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      found = matching.filter((one) => shown.has(one[CHANGE]));
      hidden = matching.length - found.length;
      first = 0;
      draw();
    }

    boxes.forEach((box) => { box.checked = ["fixed", "broken"].includes(box.value); });
    if (!boxes.some((box) => box.checked)) { boxes.forEach((box) => { box.checked = true; }); }
    if (labels.length > MANY || !labelled) { select.parentNode.hidden = true; }
    else { select.append(...labels.map((label) => new Option(label, label))); }
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(filter, PAUSE_MS);
    });
    form.addEventListener("change", (event) => { if (event.target !== search) { filter(); } });
    form.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
    [previous, next].forEach((button) => button.addEventListener("click", () => {
      first += WINDOW * Number(button.value);
      draw();
      form.scrollIntoView({ block: "nearest" });
    }));
    const scroll = made("div", "scroll", made("table", "rows", head, body));
    scroll.tabIndex = 0;
    section.querySelector(".found").replaceChildren(scroll);
    form.hidden = false;
    filter();
  }

  document.querySelectorAll(".examples").forEach(start);
})();
