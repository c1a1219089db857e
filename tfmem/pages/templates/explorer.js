// Leads from one example to another: by addresses, the gallery and the form.
(() => {
  const positions = {};
  for (const split of ["train", "test"])
    positions[split] = new Map(DATA[split].index.map((index, position) => [index, position]));
  const narrow = matchMedia("(max-width: 46rem)");
  let chosen = null;

  const hashOf = ({split, position}) => `#${split}-${DATA[split].index[position]}`;
  const choose = (split, position) => {
    chosen = {split, position};
    byId("lookup").textContent = "";
    if (byId("class").value !== "" && DATA[split].label[position] !== Number(byId("class").value)) {
      byId("class").value = "";
      showGallery();
    }
    const title = showDetail(split, position);
    markCurrent(hashOf(chosen));
    return title;
  };
  const clear = () => {
    chosen = null;
    byId("detail").replaceChildren(made("p", {class: "note"}, "No example is chosen."));
    markCurrent("");
  };

  // Shows the gallery anew; if the chosen example is of another split or class, the first is chosen.
  const renew = () => {
    const found = showGallery(), split = byId("split").value, label = byId("class").value;
    const fits = chosen?.split === split && (label === "" || DATA[split].label[chosen.position] === Number(label));
    if (fits) markCurrent(hashOf(chosen));
    else if (found.length) choose(split, found[0]);
    else clear();
    if (!fits && location.hash) history.replaceState(null, "", location.pathname);
  };

  const lookUp = (split, index) => {
    const last = DATA.size[split] - 1, position = positions[split].get(index);
    if (!Number.isInteger(index) || index < 0 || index > last)
      byId("lookup").textContent = `There is no such ${KINDS[split]} example: its index is from 0 to ${count(last)}.`;
    else if (position === undefined)
      byId("lookup").textContent = `The ${KINDS[split]} example ${index} is not on this page, which has ` +
        `${count(DATA[split].index.length)} of ${count(last + 1)}.`;
    return position;
  };
  // Follows an address, and scrolls to the panel if the reader came from elsewhere.
  const follow = () => {
    const named = /^#(train|test)-(\d+)$/.exec(location.hash);
    if (!named) return;
    const split = named[1], position = lookUp(split, Number(named[2]));
    if (position === undefined) return byId("controls").scrollIntoView();
    const fromGallery = byId("gallery").contains(document.activeElement);
    const title = choose(split, position);
    const {top, bottom} = byId("detail").getBoundingClientRect();
    if (narrow.matches || top > innerHeight - 100 || bottom < 100) byId("detail").scrollIntoView();
    if (narrow.matches || !fromGallery) title.focus({preventScroll: true});
  };

  for (const id of ["from", "to"]) byId(id).addEventListener("input", () => {
    const [from, to] = ends();
    if (from > to) byId(id).value = id === "from" ? to : from;
    shownAtMost = PAGE;
    renew();
  });
  byId("split").addEventListener("change", () => { shownAtMost = PAGE; showRange(byId("split").value); renew(); });
  for (const [id, event] of [["class", "change"], ["words", "input"]])
    byId(id)?.addEventListener(event, () => { shownAtMost = PAGE; renew(); });
  byId("more").addEventListener("click", () => {
    const next = thumbnails().length;
    shownAtMost += PAGE;
    renew();
    thumbnails()[next]?.focus({preventScroll: true});
  });
  byId("gallery").addEventListener("keydown", (event) => {
    const link = neighbour(event.key, event.target.closest("a"));
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.hash);
    const [split, index] = link.hash.slice(1).split("-");
    choose(split, positions[split].get(Number(index)));
    link.focus();
  });
  byId("detail").addEventListener("click", (event) => {
    if (!event.target.closest(".back")) return;
    event.preventDefault();
    const link = thumbnails().find((each) => each.tabIndex === 0);
    (link ?? byId("gallery")).scrollIntoView({block: "center"});
    link?.focus({preventScroll: true});
  });
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const split = byId("split").value, text = byId("index").value;
    const index = text === "" ? NaN : Number(text);
    byId("lookup").textContent = "";
    if (lookUp(split, index) === undefined) return;
    const hash = `#${split}-${index}`;
    if (location.hash === hash) follow();
    else location.hash = hash;
  });
  addEventListener("hashchange", follow);

  // Links lead to the explorer instead of the rows of tables.
  for (const row of document.querySelectorAll("tr[id], td[id]")) row.removeAttribute("id");
  const present = [...new Set(DATA.train.label)].sort((a, b) => a - b);
  byId("class").append(...present.map((label) => made("option", {value: label}, DATA.classes[label])));
  byId("gallery").classList.toggle("of-texts", ofTexts);
  byId("explorer").hidden = false;
  byId("split").value = "train";
  byId("class").value = "";
  showRange("train");
  const found = showGallery();
  if (found.length) choose("train", found[0]);
  else clear();
  follow();
})();
