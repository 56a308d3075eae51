// Tables one can sort and filter: every table.sortable. A header with data-pick also gets a list of its values.
"use strict";

const FEW = 8; // rows up to which a table needs no filter

const words = new Intl.Collator("en", { numeric: true }).compare;

function order(one, other, sign = 1) { // numbers by value, such as 0.9 in "0.90 [0.85, 0.95]"; words after them
  const [a, b] = [one, other].map(parseFloat);
  return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b || words(one, other));
}

function sortable(table) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent.trim();
  heads.forEach((head, column) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...rows].sort((a, b) => order(key(a, column), key(b, column), sign)));
    });
  });
  if (rows.length <= FEW) return;

  const controls = Object.assign(document.createElement("div"), { className: "table-controls" });
  const labelled = (name, field) => {
    const label = document.createElement("label");
    label.append(`${name} `, field);
    controls.append(label);
    return field;
  };
  const said = labelled("Filter", Object.assign(document.createElement("input"), { type: "search" }));
  const picks = heads.flatMap((head, column) => {
    if (!("pick" in head.dataset)) return [];
    const values = [...new Set(rows.map((row) => row.cells[column].textContent))].sort((a, b) => order(a, b));
    const select = labelled(head.textContent, document.createElement("select"));
    select.append(new Option("all", ""), ...values.map((value) => new Option(value, value)));
    return [(row) => !select.value || row.cells[column].textContent === select.value];
  });
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  controls.append(status);
  const filter = () => {
    const asked = said.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(picks.every((fits) => fits(row)) && asked.every((word) => text.includes(word)));
    }
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows shown`;
  };
  controls.addEventListener("input", filter);
  table.before(controls);
  filter();
}

document.querySelectorAll("table.sortable").forEach(sortable);
