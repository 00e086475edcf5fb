// Long tables sort by the column whose header is pressed.
(() => {
  const number = (text) => {
    const plain = text.trim().replace(/,(?=\d{3})/g, "").replace("−", "-");
    const found = plain.match(/^[≈<>]?\s*([+-]?\d+(\.\d+)?(e[+-]?\d+)?)/i);
    return found ? Number(found[1]) : NaN;
  };

  // What sorts a column: numbers if most cells start with one, else text.
  const keys = (cells) => {
    const numbers = cells.map(number);
    const known = numbers.filter((value) => !isNaN(value)).length;
    return 2 * known > cells.length ? numbers : cells;
  };

  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const found = keys(rows.map((row) => row.cells[column].textContent));
    const compare = (a, b) => {
      if (typeof a === "string") return direction * a.localeCompare(b);
      // What is no number stays below, whichever the direction.
      if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
      return direction * (a - b);
    };
    rows
      .map((row, i) => [found[i], row])
      .sort((a, b) => compare(a[0], b[0]))
      .forEach(([, row]) => body.append(row));
  };

  const makeSortable = (table) => {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...(header.querySelector("p") ?? header).childNodes);
      header.replaceChildren(button);
      button.addEventListener("click", () => {
        const descending = header.ariaSort === "ascending";
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        const order = descending ? "descending" : "ascending";
        header.setAttribute("aria-sort", order);
        sort(table, column, descending ? -1 : 1);
      });
    });
  };

  document.querySelectorAll("table.sortable").forEach(makeSortable);
})();
