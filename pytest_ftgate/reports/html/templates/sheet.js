"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("data").textContent);
  const pairs = data.pairs.map(([id, input, a, b, equal]) => ({ id, input, a, b, equal }));
  const asked = pairs.filter((pair) => !pair.equal);
  const place = `ftgate-sheet-${data.sheet}`;
  const kept = read();
  const choices = new Map(kept.choices);
  let now = Math.max(0, asked.findIndex((pair) => !choices.has(pair.id)));

  function read() {
    try {
      const found = JSON.parse(localStorage.getItem(place)) || {};
      return { rater: found.rater || "", choices: found.choices || [] };
    } catch {
      return { rater: "", choices: [] };
    }
  }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify({ rater: at("rater").value, choices: [...choices] }));
    } catch { /* the browser keeps nothing for files: the choices last as long as the page */ }
  }

  function show() {
    const pair = asked[now];
    at("pair").hidden = !pair;
    at("progress").textContent = `${choices.size} of ${asked.length} chosen`;
    if (!pair) { return; }
    at("count").textContent = `Pair ${now + 1} of ${asked.length}`;
    at("input").textContent = pair.input;
    at("answer-a").textContent = pair.a.trim() ? pair.a : "(empty)";
    at("answer-b").textContent = pair.b.trim() ? pair.b : "(empty)";
    for (const button of document.querySelectorAll("[data-choice]")) {
      button.setAttribute("aria-pressed", String(choices.get(pair.id) === button.dataset.choice));
    }
    at("back").disabled = now === 0;
    at("next").disabled = now === asked.length - 1;
    at("open").disabled = nextOpen() < 0;
  }

  function nextOpen() {
    const open = (pair) => !choices.has(pair.id);
    const later = asked.findIndex((pair, index) => index > now && open(pair));
    return later >= 0 ? later : asked.findIndex((pair, index) => index !== now && open(pair));
  }

  function go(index) {
    if (index < 0 || index >= asked.length) { return; }
    now = index;
    show();
    at("count").focus({ preventScroll: true });
  }

  function choose(choice) {
    if (!asked[now]) { return; }
    choices.set(asked[now].id, choice);
    keep();
    if (now < asked.length - 1) { go(now + 1); } else { show(); }
  }

  // As judges/sheets.py: a spreadsheet must not run a text as a formula.
  const cell = (text) => /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;

  function rows() {
    const rater = at("rater").value.trim();
    return pairs
      .map((pair) => ({ sheet: data.sheet, id: cell(pair.id), rater: cell(rater), preferred: pair.equal ? "tie" : choices.get(pair.id) }))
      .filter((row) => row.preferred);
  }

  function save(suffix, type, text) {
    const rater = at("rater").value.trim();
    if (!rater) {
      at("said").textContent = "Enter your name first.";
      at("rater").focus();
      return;
    }
    const left = asked.length - choices.size;
    at("said").textContent = left ? `Saved. ${left} of ${asked.length} pairs have no choice yet.` : "Saved. All pairs have a choice.";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${`${data.gate}-${rater}`.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.${suffix}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  function csv() {
    const columns = ["sheet", "id", "rater", "preferred"];
    return [columns, ...rows().map((row) => columns.map((name) => row[name]))]
      .map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
  }

  at("rater").value = kept.rater;
  at("rater").addEventListener("input", keep);
  at("who").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.addEventListener("click", () => choose(button.dataset.choice));
  }
  at("back").addEventListener("click", () => go(now - 1));
  at("next").addEventListener("click", () => go(now + 1));
  at("open").addEventListener("click", () => go(nextOpen()));
  at("csv").addEventListener("click", () => save("csv", "text/csv", csv()));
  at("jsonl").addEventListener("click", () => save("jsonl", "application/x-ndjson", rows().map((row) => `${JSON.stringify(row)}\n`).join("")));
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) { return; }
    const choice = { a: "a", b: "b", t: "tie" }[event.key.toLowerCase()];
    if (choice) { choose(choice); }
    if (event.key === "ArrowLeft") { go(now - 1); }
    if (event.key === "ArrowRight") { go(now + 1); }
  });
  at("plain").hidden = true;
  at("rating").hidden = false;
  show();
})();
