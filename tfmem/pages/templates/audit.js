// Rows of the table of examples are shown by finding, class and index.
(() => {
  const byId = (id) => document.getElementById(id);
  const rows = [...document.querySelectorAll("#findings tr[data-index]")];
  const inFull = byId("status").textContent;

  const filter = () => {
    const finding = byId("finding").value, label = byId("class").value, index = byId("index").value;
    let shown = 0;
    for (const row of rows) {
      row.hidden = (finding !== "" && row.dataset.finding !== finding)
        || (label !== "" && row.dataset.label !== label)
        || (index !== "" && row.dataset.index !== index);
      shown += !row.hidden;
    }
    const all = finding === "" && label === "" && index === "";
    byId("status").textContent = all ? inFull : `${shown} of the ${rows.length} examples on this page.`;
  };

  byId("controls").addEventListener("input", filter);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  // Links to an example lead to it whatever was chosen before.
  window.addEventListener("hashchange", () => {
    const row = byId(location.hash.slice(1));
    if (!row || !row.hidden) return;
    byId("controls").reset();
    filter();
    row.scrollIntoView({block: "center"});
  });
  filter();
})();
