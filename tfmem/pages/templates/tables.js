// Turns the headings of tables into buttons that sort them.
(() => {
  // Cells are sorted by their first number; cells without a number follow, sorted by their text.
  const key = (cell) => {
    const text = cell.textContent.trim(), number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) => typeof a !== typeof b ? (typeof a === "number" ? -1 : 1)
    : typeof a === "number" ? a - b : a.localeCompare(b);

  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    headings.forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") !== "descending";
        for (const each of headings) each.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = [...body.rows].map((row) => [key(row.cells[column]), row]);
        keyed.sort(([a], [b]) => (down ? -1 : 1) * compare(a, b));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }
})();
