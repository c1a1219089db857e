// The page's one script: DATA holds columns, and links that name examples by their position in them.
"use strict";
(() => {
  const SHOWN = 48, CELLS = 1024;
  const ofTexts = "train" in DATA.texts;
  const byId = (id) => document.getElementById(id);
  const WORDS = {train: "training", test: "test"};

  const made = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const two = (value) => (Math.round(value * 100) / 100 + 0).toFixed(2);
  const percent = (value) => `${(100 * value).toFixed(1)}%`;
  const count = (value) => value.toLocaleString("en");
  const className = (split, position) => DATA.classes[DATA[split].label[position]];
  const called = (split, position) => `${WORDS[split]} example ${DATA[split].index[position]}`;

  // The background of a word by its part of the memorization, as in the page's tables.
  const shade = (strength) =>
    `background: rgb(${strength > 0 ? "230 159 0" : "0 114 178"} / ${0.75 * Math.abs(strength)})`;
  const passage = (split, position) => {
    const {sentences, words} = DATA.texts[split];
    const known = words[position];
    if (!known) return made("span", {class: "text"}, ...sentences[position].map((each) => made("p", {}, each)));
    const marks = (sentence) => sentence.flatMap(([word, score, strength]) => [
      made("mark", {style: shade(strength), title: `${score > 0 ? "+" : ""}${score.toFixed(4)}`}, word), " "]);
    return made("span", {class: "text"}, ...known.map((sentence) => made("p", {}, ...marks(sentence))));
  };

  // Whatever an example is, this alone knows how to show it.
  const picture = (split, position) => {
    if (ofTexts) return passage(split, position);
    const number = Math.floor(position / CELLS), cell = position % CELLS;
    const [columns, rows] = DATA.sheets[split][number];
    const x = (cell % columns) / Math.max(columns - 1, 1);
    const y = Math.floor(cell / columns) / Math.max(rows - 1, 1);
    return made("span", {
      class: `picture ${split} ${split}-${number}`,
      style: `background-position: ${100 * x}% ${100 * y}%`,
      role: "img",
      "aria-label": `${called(split, position)}, ${className(split, position)}`,
    });
  };

  const positions = {};
  for (const split of ["train", "test"])
    positions[split] = new Map(DATA[split].index.map((index, position) => [index, position]));
  const linksOf = {train: new Map(), test: new Map()};
  DATA.links.influence.forEach((_, link) => {
    for (const split of ["train", "test"]) {
      const end = DATA.links[split][link];
      if (!linksOf[split].has(end)) linksOf[split].set(end, []);
      linksOf[split].get(end).push(link);
    }
  });

  const item = (split, position, ...lines) => made("li", {}, made(
    "a", {href: `#${split}-${DATA[split].index[position]}`},
    picture(split, position), ...lines.map(([kind, line]) => made("span", {class: kind}, line))));

  const markCurrent = () => {
    for (const link of document.querySelectorAll("#gallery a"))
      if (link.hash === location.hash) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
  };

  const showGallery = () => {
    const near = Number(byId("near").value), label = byId("class").value;
    byId("value").textContent = two(near);
    const {memorization, label: labels} = DATA.train;
    const distance = (position) => Math.abs(memorization[position] - near);
    const wanted = (byId("words")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const has = (p) => {
      if (!wanted.length) return true;
      const said = DATA.texts.train.sentences[p].join(" ").toLowerCase();
      return wanted.every((word) => said.includes(word));
    };
    const among = [...memorization.keys()].filter((p) => (label === "" || labels[p] === Number(label)) && has(p));
    const nearest = among.sort((a, b) => distance(a) - distance(b)).slice(0, SHOWN)
      .sort((a, b) => memorization[b] - memorization[a]);
    byId("gallery").replaceChildren(...nearest.map((position) => item("train", position,
      ["", two(memorization[position])], ["name", className("train", position)])));
    const of = (label === "" ? "all classes" : `class ${DATA.classes[label]}`) +
      (wanted.length ? ` with ${wanted.map((word) => `“${word}”`).join(" and ")}` : "");
    byId("status").textContent = nearest.length
      ? `The ${nearest.length} of ${count(among.length)} training examples of ${of} nearest to ` +
        `memorization ${two(near)}: from ${two(memorization[nearest.at(-1)])} to ${two(memorization[nearest[0]])}`
      : `No training examples of ${of}`;
    markCurrent();
  };

  const facts = {
    train: (p) => {
      const {memorization, low, high, accuracyIn, accuracyOut, trialsIn, trialsOut} = DATA.train;
      const what = DATA.statistic === "correctness" ? "right in" : "mean probability";
      return [
        `memorization ${memorization[p].toFixed(3)}, 95% interval ${low[p].toFixed(3)} to ${high[p].toFixed(3)}`,
        `${what} ${percent(accuracyIn[p])} of ${count(trialsIn[p])} models trained on it`,
        `${what} ${percent(accuracyOut[p])} of ${count(trialsOut[p])} models trained without it`,
      ];
    },
    test: (p) => [DATA.statistic === "correctness"
      ? `${percent(DATA.test.accuracy[p])} of models are right`
      : `mean probability of its label ${percent(DATA.test.accuracy[p])}`],
  };
  const HEADINGS = {
    train: "Test examples that it influences", test: "Training examples that influence it",
  };

  const showDetail = (split, index) => {
    const position = positions[split].get(index);
    const title = made("h3", {tabindex: "-1"}, `${WORDS[split]} example ${index}`);
    if (position === undefined) {
      byId("detail").replaceChildren(title, made("p", {}, "It is not on this page."));
      return title;
    }
    const other = split === "train" ? "test" : "train";
    const {influence, stderr, pair} = DATA.links;
    const links = (linksOf[split].get(position) ?? [])
      .filter((link, rank) => rank < DATA.strongest || pair[link]);
    const linked = links.map((link) => {
      const end = DATA.links[other][link];
      const lines = [["", `${two(influence[link])} ± ${two(stderr[link])}`]];
      if (other === "train") lines.push(["soft", `mem. ${two(DATA.train.memorization[end])}`]);
      if (DATA[other].label[end] !== DATA[split].label[position]) lines.push(["soft", className(other, end)]);
      if (pair[link]) lines[0][1] += " ★";
      return item(other, end, ...lines);
    });
    byId("detail").replaceChildren(
      picture(split, position), title, made("p", {}, `class ${className(split, position)}`),
      ...facts[split](position).map((line) => made("p", {}, line)),
      made("h4", {}, HEADINGS[split]),
      links.length
        ? made("ul", {class: `gallery ${ofTexts ? "of-texts" : "linked"}`, "aria-label": HEADINGS[split]}, ...linked)
        : made("p", {class: "soft"}, "None is listed."),
      ...(links.length ? [made("p", {class: "soft"}, `influence ± standard error${other === "train" ? ", memorization" : ""}; ★ a selected pair`)] : []));
    return title;
  };

  const follow = () => {
    const named = /^#(train|test)-(\d+)$/.exec(location.hash);
    if (!named) return;
    const title = showDetail(named[1], Number(named[2]));
    markCurrent();
    const detail = byId("detail"), {top, bottom} = detail.getBoundingClientRect();
    detail.scrollTop = 0;
    if (top > innerHeight || bottom < 0) detail.scrollIntoView();
    title.focus({preventScroll: true});
  };

  // Links lead to the explorer in place of the tables' rows.
  for (const row of document.querySelectorAll("tr[id], td[id]")) row.removeAttribute("id");
  const present = [...new Set(DATA.train.label)].sort((a, b) => a - b);
  byId("class").append(...present.map((label) => made("option", {value: label}, DATA.classes[label])));
  const least = DATA.train.memorization.reduce((a, b) => Math.min(a, b), 0);
  byId("near").min = Math.floor(20 * least) / 20;
  byId("near").max = 1;
  byId("near").value = 1;
  byId("near").addEventListener("input", showGallery);
  byId("class").addEventListener("change", showGallery);
  byId("words")?.addEventListener("input", showGallery);
  byId("gallery").classList.toggle("of-texts", ofTexts);
  byId("controls").addEventListener("submit", (event) => {
    event.preventDefault();
    const hash = `#${byId("split").value}-${Number(byId("index").value)}`;
    if (location.hash === hash) follow();
    else location.hash = hash;
  });
  window.addEventListener("hashchange", follow);
  byId("explorer").hidden = false;
  showGallery();
  follow();
})();
