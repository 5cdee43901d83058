"use strict";
// The page works without this script, which only sorts tables and filters models.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    if (head.classList.contains("bar")) return;
    const button = document.createElement("button");
    button.textContent = "\u21C5";
    button.setAttribute("aria-label", `Sort by ${head.textContent}`);
    head.append(" ", button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
      const rows = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)], gap = Number(a) - Number(b);
        return (Number.isNaN(gap) ? a.localeCompare(b) : gap) * (up ? 1 : -1);
      });
      body.append(...rows);
    });
  });
  if (body.rows.length < 6) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Filter models";
  field.setAttribute("aria-label", "Filter models");
  field.addEventListener("input", () => {
    const asked = field.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(asked);
  });
  field.className = "filter";
  table.parentElement.before(field);
}
const opened = [];
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not([open])")) { opened.push(each); each.open = true; }
});
addEventListener("afterprint", () => { for (const each of opened.splice(0)) each.open = false; });
