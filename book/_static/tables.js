// Tables one can sort and filter: every table.sortable. A header with data-pick also gets a list of its values.
"use strict";

const FEW = 8; // rows up to which a table needs no filter
const LONG = 60, AT_FIRST = 40; // a longer table shows so many rows until all are asked for

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
      filter?.();
    });
  });
  let filter = null;
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
  let limit = rows.length > LONG ? AT_FIRST : Infinity;
  const status = document.createElement("span");
  status.setAttribute("role", "status");
  const all = Object.assign(document.createElement("button"), { type: "button", textContent: "Show all rows" });
  all.addEventListener("click", () => { limit = Infinity; filter(); });
  controls.append(status, all);
  filter = () => {
    const asked = said.value.toLowerCase().split(/\s+/);
    let fitting = 0;
    for (const row of body.rows) { // in the order that the table has now
      const text = row.textContent.toLowerCase();
      const fits = picks.every((pick) => pick(row)) && asked.every((word) => text.includes(word));
      fitting += fits;
      row.hidden = !fits || fitting > limit;
    }
    const cut = limit < fitting && fitting < rows.length; // else a reader takes the first rows for all that fit
    status.textContent = `${Math.min(fitting, limit)} of ${cut ? `${fitting} fitting, of ` : ""}${rows.length} rows shown`;
    all.hidden = fitting <= limit;
  };
  // A link to a row that is not shown yet shows it.
  const reveal = () => {
    const row = document.getElementById(location.hash.slice(1));
    if (!row?.hidden || !rows.includes(row)) return;
    limit = Infinity;
    filter();
    row.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", reveal);
  addEventListener("load", reveal);
  controls.addEventListener("input", filter);
  table.before(controls);
  filter();
}

document.querySelectorAll("table.sortable").forEach(sortable);
