// Rows of the table of texts are shown by words, class and index.
(() => {
  const byId = (id) => document.getElementById(id);
  const rows = [...document.querySelectorAll("#memorized tr[data-index]")];
  const inFull = byId("status").textContent;
  const said = ({dataset, textContent}) => (dataset.text ?? textContent).toLowerCase();
  const texts = new Map(rows.map((row) => [row, said(row.querySelector(".text"))]));

  const filter = () => {
    const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const label = byId("class").value, index = byId("index").value;
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word))
        || (label !== "" && row.dataset.label !== label)
        || (index !== "" && row.dataset.index !== index);
      shown += !row.hidden;
    }
    const all = !words.length && label === "" && index === "";
    byId("status").textContent = all ? inFull : `${shown} of the ${rows.length} texts on this page.`;
  };

  byId("controls").addEventListener("input", filter);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
