// Shows only the rows of tables that have the searched words and the values chosen in a form.
(() => {
  const form = document.querySelector("form.filter");
  if (!form) return;
  const status = document.getElementById(form.dataset.status), inFull = [...status.childNodes];
  const bodies = [...document.querySelectorAll("table.filtered tbody")];
  const rows = bodies.flatMap((body) => [...body.rows]);
  const words = ({dataset, textContent}) => (dataset.text ?? textContent).toLowerCase();
  const texts = new Map(rows.map((row) => [row, [...row.querySelectorAll(".text")].map(words).join(" ")]));
  const search = form.querySelector("[type=search]"), fields = [...form.querySelectorAll("[name]")];
  const count = (value) => value.toLocaleString("en");

  const beyond = () => {
    const index = form.elements.index.value, last = form.dataset.size - 1;
    return index !== "" && !(Number.isInteger(+index) && index >= 0 && index <= last)
      ? `There is no training example ${index}: indices are from 0 to ${count(last)}.` : "";
  };
  const filter = () => {
    const wanted = (search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = fields.filter((field) => field.value !== "");
    for (const row of rows)
      row.hidden = !wanted.every((word) => texts.get(row).includes(word))
        || chosen.some((field) => row.dataset[field.name] !== field.value);
    const shown = bodies.map((body) =>
      `${count([...body.rows].filter((row) => !row.hidden).length)} of the ${count(body.rows.length)} ${body.dataset.what}`);
    const said = beyond() || (wanted.length || chosen.length ? `${shown.join(" and ")} on this page.` : "");
    status.replaceChildren(...(said ? [said] : inFull));
  };

  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A link to a hidden row resets the form, so that the row is shown.
  addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (!row?.hidden) return;
    form.reset();
    filter();
    row.scrollIntoView({block: "center"});
  });
  filter();
})();
