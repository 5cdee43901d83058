"use strict";
// The page works without this script, which only sorts tables.
for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    if (head.classList.contains("bar")) return;
    const button = document.createElement("button");
    button.setAttribute("aria-label", `Sort by ${head.textContent}`);
    head.append(" ", button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
      for (const body of table.tBodies) body.append(...[...body.rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)], gap = Number(a) - Number(b);
        return (Number.isNaN(gap) ? a.localeCompare(b) : gap) * (up ? 1 : -1);
      }));
    });
  });
}
