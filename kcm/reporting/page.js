// A click on the head of a column sorts the table by it; a second click turns the order.
document.querySelectorAll("table.sortable th button").forEach((button) => {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const row = head.parentElement;
    const body = row.closest("table").tBodies[0];
    const column = Array.from(row.children).indexOf(head);
    const order = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const key = (line) => line.children[column].dataset.value;
    const compare = (a, b) => {
      const [x, y] = [Number(a), Number(b)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return order * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y);
    };
    Array.from(body.rows)
      .sort((one, other) => compare(key(one), key(other)))
      .forEach((line) => body.append(line));
    Array.from(row.children).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order === 1 ? "ascending" : "descending");
  });
});
