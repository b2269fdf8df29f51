"use strict";
// Sorting by any column and filtering of long tables. The page is complete without it.
const LONG = 12; // rows from which a table has a filter
const UNITS = { k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, "%": 1, s: 1, min: 60, h: 3600 };
const NUMBER = /^(?:\* )?\[?(at least |at most |roughly )?([<>]?)x?([+-]?(?:\d[\d,]*)?(?:\.\d+)?(?:e[+-]?\d+)?)(?:\/(\d+))?(?: ?(k|M|G|T|P|%|s|min|h))?(?: \[.*\]|, .*\])?$/;
const NAMES = new Intl.Collator(undefined, { numeric: true });

// What a cell is sorted by: [0, number], [1, text], or [2] for what is not known.
function key(cell) {
  const text = (cell.firstChild ? cell.firstChild.textContent : "").trim();
  if (text === "" || text === "-") return [2];
  const found = NUMBER.exec(text);
  if (!found || !/\d/.test(found[3])) return [1, text];
  let number = parseFloat(found[3].replaceAll(",", "")) * (UNITS[found[5]] || 1);
  if (found[4]) number /= Number(found[4]);
  if (found[2]) number += (found[2] === ">" ? 1 : -1) * Math.max(Math.abs(number) * 1e-9, 1e-12);
  return [0, number];
}

// Unknown cells are last, whichever way the others go.
function order(a, b, direction) {
  if (a[0] === 2 || b[0] === 2) return a[0] - b[0];
  if (a[0] !== b[0]) return direction * (a[0] - b[0]);
  return direction * (a[0] === 0 ? a[1] - b[1] : NAMES.compare(a[1], b[1]));
}

function sortable(table) {
  const body = table.tBodies[0], given = [...body.rows], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === null ? "ascending" : now === "ascending" ? "descending" : null;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      let rows = given;
      if (next) {
        head.setAttribute("aria-sort", next);
        const direction = next === "ascending" ? 1 : -1;
        const keyed = given.map((row) => [key(row.cells[column]), row]);
        rows = keyed.sort((a, b) => order(a[0], b[0], direction)).map((pair) => pair[1]);
      }
      body.append(...rows);
    });
  });
}

function filterable(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length < LONG) return;
  const label = document.createElement("label"), input = document.createElement("input");
  const count = document.createElement("span");
  input.type = "search";
  input.placeholder = "all of these words";
  count.setAttribute("role", "status");
  label.className = "filter";
  label.append("Filter rows", input, count);
  table.closest(".scroll").before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
}

document.querySelectorAll("table").forEach((table) => { sortable(table); filterable(table); });
