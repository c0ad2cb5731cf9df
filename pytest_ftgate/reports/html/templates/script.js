"use strict";
// Search, filter and page through the examples, a hundred rows at a time. Text is set as text, never as markup.
(function () {
  var WINDOW = 100;
  var LONG = 280;
  var CUT = 200;
  var PAUSE_MS = 120;
  var ID = 0, INPUT = 1, EXPECTED = 2, CHANGE = 3, BASELINE = 4, CANDIDATE = 5;

  function made(name, kind, text) {
    var node = document.createElement(name);
    if (kind) { node.className = kind; }
    if (text !== undefined) { node.textContent = text; }
    return node;
  }

  function opened(content, more, text) {
    var details = made("details");
    var summary = made("summary", "", content);
    summary.appendChild(made("span", "more", more));
    details.appendChild(summary);
    details.appendChild(whole(text));
    return details;
  }

  function whole(text) {
    var node = made("div", "text");
    node.appendChild(made("bdi", "", text));
    return node;
  }

  function long(text) {
    if (text.length <= LONG) { return whole(text); }
    var details = opened("\u2026 ", "all " + text.length.toLocaleString("en") + " characters", text);
    details.firstChild.insertBefore(made("bdi", "", text.slice(0, CUT)), details.firstChild.firstChild);
    return details;
  }

  function cell(content, label, kind) {
    var td = made("td", kind);
    td.setAttribute("role", "cell");
    td.dataset.label = label;
    td.appendChild(content);
    return td;
  }

  function reply(answer, label) {
    var td = cell(long(answer[0]), label, "reply " + answer[1]);
    if (answer[3]) { td.appendChild(opened("", "reasoning", answer[3])); }
    td.appendChild(made("p", "said", answer[2]));
    return td;
  }

  function rowOf(example, words) {
    var tr = made("tr");
    tr.setAttribute("role", "row");
    var head = made("th");
    head.scope = "row";
    head.setAttribute("role", "rowheader");
    head.appendChild(made("bdi", "", example[ID]));
    head.appendChild(document.createTextNode(" "));
    head.appendChild(made("span", "change " + example[CHANGE], words[example[CHANGE]]));
    tr.appendChild(head);
    tr.appendChild(cell(long(example[INPUT]), "input"));
    if (example[EXPECTED] !== null) { tr.appendChild(cell(long(example[EXPECTED]), "expected")); }
    tr.appendChild(reply(example[BASELINE], "baseline"));
    if (example[CANDIDATE]) { tr.appendChild(reply(example[CANDIDATE], "candidate")); }
    return tr;
  }

  function haystack(example) {
    var parts = [example[ID], example[INPUT], example[EXPECTED], example[BASELINE][0]];
    if (example[CANDIDATE]) { parts.push(example[CANDIDATE][0]); }
    return parts.join("\n").toLowerCase();
  }

  function start(section) {
    var examples = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    var form = section.querySelector("form");
    var search = form.querySelector('input[type="search"]');
    var select = form.querySelector("select");
    var boxes = Array.prototype.slice.call(form.querySelectorAll('input[type="checkbox"]'));
    var buttons = Array.prototype.slice.call(form.querySelectorAll("button"));
    var said = form.querySelector('[role="status"]');
    var body = section.querySelector("tbody");
    var texts = null;
    var words = {};
    var found = [];
    var hidden = 0;
    var first = 0;
    var timer = 0;

    boxes.forEach(function (box) {
      words[box.value] = box.dataset.words;
      box.checked = box.value === "fixed" || box.value === "broken";
    });
    if (!boxes.some(function (box) { return box.checked; })) {
      boxes.forEach(function (box) { box.checked = true; });
    }
    if (select) {
      var labels = {};
      examples.forEach(function (example) { labels[example[EXPECTED]] = true; });
      Object.keys(labels).sort().forEach(function (label) {
        var option = made("option", "", label);
        option.value = label;
        select.appendChild(option);
      });
    }

    function draw() {
      var fragment = document.createDocumentFragment();
      found.slice(first, first + WINDOW).forEach(function (number) {
        fragment.appendChild(rowOf(examples[number], words));
      });
      body.textContent = "";
      body.appendChild(fragment);
      var last = Math.min(first + WINDOW, found.length);
      var of = found.length.toLocaleString("en") + (found.length === 1 ? " example" : " examples");
      said.textContent = found.length
        ? (first + 1).toLocaleString("en") + " to " + last.toLocaleString("en") + " of " + of
        : hidden
          ? "no match in the selected groups, " + hidden.toLocaleString("en") + " in the others"
          : "no matching example";
      buttons[0].disabled = first === 0;
      buttons[1].disabled = last >= found.length;
    }

    function filter() {
      var wanted = search.value.trim().toLowerCase();
      var label = select ? select.value : "";
      var shown = {};
      boxes.forEach(function (box) { shown[box.value] = box.checked; });
      if (wanted && !texts) { texts = examples.map(haystack); }
      found = [];
      hidden = 0;
      for (var number = 0; number < examples.length; number += 1) {
        if (label && examples[number][EXPECTED] !== label) { continue; }
        if (wanted && texts[number].indexOf(wanted) < 0) { continue; }
        if (shown[examples[number][CHANGE]]) { found.push(number); } else { hidden += 1; }
      }
      first = 0;
      draw();
    }

    search.addEventListener("input", function () {
      window.clearTimeout(timer);
      timer = window.setTimeout(filter, PAUSE_MS);
    });
    form.addEventListener("change", function (event) {
      if (event.target !== search) { filter(); }
    });
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      filter();
    });
    buttons.forEach(function (button) {
      button.addEventListener("click", function () {
        first = Math.max(0, first + WINDOW * Number(button.value));
        draw();
        form.scrollIntoView({ block: "nearest" });
      });
    });
    section.querySelector(".plain-note").hidden = true;
    form.hidden = false;
    filter();
  }

  Array.prototype.forEach.call(document.querySelectorAll(".examples"), start);
})();
