"use strict";
// Tools for the tables of a report that work from a file: sort, filter, only the differences, copy.
// Nothing is fetched and nothing is stored. Without this script the page says the same.
(function () {
  const make = function (name, text, label) {
    const element = document.createElement(name);
    if (name === "button") element.type = "button";
    if (text) element.textContent = text;
    if (label) element.setAttribute("aria-label", label);
    return element;
  };

  // Said aloud by a screen reader, and shown for a moment.
  const status = make("p");
  status.className = "status";
  status.setAttribute("role", "status");
  status.setAttribute("aria-live", "polite");
  document.body.append(status);
  const say = function (text) {
    status.textContent = text;
    clearTimeout(say.timer);
    say.timer = setTimeout(function () { status.textContent = ""; }, 4000);
  };

  // The number that a cell begins with, or NaN: a true minus sign, groups of three, per cent.
  const numberOf = function (cell) {
    const value = cell.querySelector(".value") || cell;
    const text = value.textContent.trim().replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, "");
    return /^[-+]?[\d.]/.test(text) ? parseFloat(text) : NaN;
  };
  const textOf = function (cell) {
    const parts = [];
    const walk = function (node) {
      for (const child of node.childNodes) {
        if (child.nodeType === 3) parts.push(child.textContent);
        else if (!child.matches("button.sort .arrow")) walk(child);
      }
    };
    walk(cell);
    return parts.join(" ").replace(/\s+/g, " ").trim();
  };

  const rowsOf = function (table) { return Array.from(table.tBodies[0].rows); };
  const cellAt = function (row, column) { return row.cells[column]; };

  const sortBy = function (table, column, button) {
    const head = button.closest("th");
    const falling = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const keyed = rowsOf(table).map(function (row, index) {
      const cell = cellAt(row, column);
      return { row: row, index: index, number: numberOf(cell), text: textOf(cell) };
    });
    const side = falling ? -1 : 1;
    keyed.sort(function (a, b) {
      const known = Number.isNaN(a.number) - Number.isNaN(b.number);
      if (known) return known;
      const order = Number.isNaN(a.number) ? a.text.localeCompare(b.text) : a.number - b.number;
      return side * order || a.index - b.index;
    });
    for (const item of keyed) table.tBodies[0].append(item.row);
    say("Sorted by " + textOf(head) + ", " + (falling ? "falling" : "rising"));
  };

  // A row says something new where a mark of it is better or worse.
  const differs = function (row) { return row.querySelector(".mark.better, .mark.worse") !== null; };

  const show = function (table, words, onlyDifferent) {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rowsOf(table)) {
      const text = textOf(row).toLowerCase();
      const found = wanted.every(function (word) { return text.includes(word); });
      const kept = !onlyDifferent || differs(row) || row.classList.contains("baseline");
      row.hidden = !(found && kept);
      if (!row.hidden) n += 1;
    }
    say(n + " of " + rowsOf(table).length + " rows shown");
  };

  const grid = function (table) {
    const lines = [];
    for (const row of table.tHead.rows) lines.push(Array.from(row.cells).map(textOf));
    for (const row of rowsOf(table)) {
      if (!row.hidden) lines.push(Array.from(row.cells).map(textOf));
    }
    return lines;
  };
  const markdown = function (table) {
    const lines = grid(table).map(function (line) {
      return "| " + line.map(function (cell) { return cell.replace(/\|/g, "\\|"); }).join(" | ") + " |";
    });
    const n = table.tHead.rows[0].cells.length;
    lines.splice(1, 0, "|" + " --- |".repeat(n));
    return lines.join("\n") + "\n";
  };
  const latex = function (table) {
    const special = { "&": "\\&", "%": "\\%", "#": "\\#", "_": "\\_", "$": "\\$", "{": "\\{",
      "}": "\\}", "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
      "\u2212": "$-$", "\u2013": "--", "\u25b2": "$\\blacktriangle$", "\u25bc": "$\\blacktriangledown$",
      "\u25cf": "$\\bullet$", "\u00b2": "$^2$", "\u00a0": "~" };
    const plain = function (cell) {
      return cell.replace(/[&%#_$\{\}\\~^\u2212\u2013\u25b2\u25bc\u25cf\u00b2\u00a0]/g, function (c) { return special[c]; });
    };
    const lines = grid(table).map(function (line) { return line.map(plain).join(" & ") + " \\\\"; });
    const n = table.tHead.rows[0].cells.length;
    return "\\begin{tabular}{l" + "r".repeat(n - 1) + "}\n\\toprule\n" + lines[0] +
      "\n\\midrule\n" + lines.slice(1).join("\n") + "\n\\bottomrule\n\\end{tabular}\n";
  };
  const copy = function (text, what) {
    const done = function () { say("Copied the table as " + what); };
    const old = function () {
      const area = make("textarea");
      area.value = text;
      area.className = "away";
      document.body.append(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      if (copied) done(); else say("The browser doesn't allow copying");
    };
    if (navigator.clipboard && window.isSecureContext) {
      navigator.clipboard.writeText(text).then(done, old);
    } else old();
  };

  for (const table of document.querySelectorAll("table.tool")) {
    const single = table.tHead.rows.length === 1;
    if (single) {
      Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
        if (!textOf(head)) return;
        const button = make("button");
        button.className = "sort";
        button.append(...head.childNodes);
        const arrow = make("span");
        arrow.className = "arrow";
        arrow.setAttribute("aria-hidden", "true");
        button.append(arrow);
        head.append(button);
        button.addEventListener("click", function () { sortBy(table, column, button); });
      });
    }
    const bar = make("div");
    bar.className = "tools";
    const filter = make("input", "", "Filter the rows of this table");
    filter.type = "search";
    filter.placeholder = "Filter rows";
    bar.append(filter);
    const box = make("input");
    box.type = "checkbox";
    if (table.querySelector(".mark")) {
      const label = make("label");
      label.append(box, " Only significant differences");
      bar.append(label);
    }
    const again = function () { show(table, filter.value, box.checked); };
    filter.addEventListener("input", again);
    box.addEventListener("change", again);
    if (single) {
      for (const [what, write] of [["Markdown", markdown], ["LaTeX", latex]]) {
        const button = make("button", "Copy as " + what);
        button.addEventListener("click", function () { copy(write(table), what); });
        bar.append(button);
      }
    }
    const scroll = table.closest(".scroll") || table;
    scroll.before(bar);
    // Wide tables scroll; the keyboard must reach them.
    if (scroll !== table) scroll.tabIndex = 0;
  }

  const themes = ["as the system", "light", "dark"];
  let theme = 0;
  const button = make("button", "Colours: " + themes[0]);
  button.className = "theme";
  button.addEventListener("click", function () {
    theme = (theme + 1) % themes.length;
    if (theme) document.documentElement.dataset.theme = themes[theme];
    else delete document.documentElement.dataset.theme;
    button.textContent = "Colours: " + themes[theme];
  });
  document.querySelector("header").append(button);
  document.documentElement.classList.add("scripted");
})();
