// Rows of the tables of texts, and of pairs of them, are shown by words, class and index.
(() => {
  const byId = (id) => document.getElementById(id);
  const rowsOf = (name) => [...document.querySelectorAll(`#${name} tr[data-index]`)];
  const tables = {texts: rowsOf("memorized"), pairs: rowsOf("influential")};
  const inFull = byId("status").textContent;
  const said = ({dataset, textContent}) => (dataset.text ?? textContent).toLowerCase();
  const sayings = (row) => [...row.querySelectorAll(".text")].map(said).join(" ");
  const texts = new Map(Object.values(tables).flat().map((row) => [row, sayings(row)]));

  const filter = () => {
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const label = byId("class").value, index = byId("index").value;
    const shown = {texts: 0, pairs: 0};
    for (const [kind, rows] of Object.entries(tables)) for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word))
        || (label !== "" && row.dataset.label !== label)
        || (index !== "" && row.dataset.index !== index);
      shown[kind] += !row.hidden;
    }
    const all = !words.length && label === "" && index === "";
    const counts = Object.entries(tables).filter(([, rows]) => rows.length)
      .map(([kind, rows]) => `${shown[kind]} of the ${rows.length} ${kind}`).join(" and ");
    byId("status").textContent = all ? inFull : `${counts} on this page.`;
  };

  byId("controls").addEventListener("input", filter);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
