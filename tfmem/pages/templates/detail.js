// The panel that explains the chosen example: its estimate, from what it was made, and its links.
const linksOf = {train: new Map(), test: new Map()};
DATA.links.influence.forEach((_, link) => {
  for (const split of ["train", "test"]) {
    const end = DATA.links[split][link];
    if (!linksOf[split].has(end)) linksOf[split].set(end, []);
    linksOf[split].get(end).push(link);
  }
});

const measure = (name, value, of = "") => [
  made("span", {}, name),
  made("span", {class: "track", "aria-hidden": "true"}, made("i", {style: `width: ${100 * value}%`})),
  made("span", {class: "number"}, percent(value), of),
];
const byCorrectness = DATA.statistic === "correctness";

const FACTS = {
  train: (p) => {
    const {memorization, low, high, accuracyIn, accuracyOut, trialsIn, trialsOut} = DATA.train;
    const what = byCorrectness ? "right" : "mean probability";
    const models = (trials) => ` of ${count(trials)}`;
    return {
      value: `memorization ${three(memorization[p])}`,
      note: `95% interval ${three(low[p])} to ${three(high[p])}`,
      measures: [
        ...measure(`${what}, trained on it`, accuracyIn[p], models(trialsIn[p])),
        ...measure(`${what}, trained without it`, accuracyOut[p], models(trialsOut[p])),
      ],
      because: "Memorization is the difference of the two.",
    };
  },
  test: (p) => ({
    value: "", note: "",
    measures: measure(byCorrectness ? "models that are right" : "mean probability of its class", DATA.test.accuracy[p]),
    because: "",
  }),
};
const LINKED = {
  train: ["Test examples that it influences", "On no test example does it have an influence"],
  test: ["Training examples that influence it", "No training example has an influence on it"],
};

const linked = (split, position) => {
  const other = split === "train" ? "test" : "train", [heading, none] = LINKED[split];
  const {influence, stderr, pair} = DATA.links;
  const links = (linksOf[split].get(position) ?? []).filter((link, rank) => rank < DATA.strongest || pair[link]);
  if (!links.length) return [made("p", {class: "note"}, `${none} of at least ${DATA.least} and ${DATA.errors} standard errors.`)];
  const items = links.map((link) => {
    const end = DATA.links[other][link];
    const lines = [`infl. ${three(influence[link])}`, `± ${three(stderr[link])}${pair[link] ? " ★" : ""}`];
    if (other === "train") lines.push(`mem. ${three(DATA.train.memorization[end])}`);
    if (DATA[other].label[end] !== DATA[split].label[position]) lines.push(`class ${className(other, end)}`);
    return thumbnail(other, end, ...lines);
  });
  const legend = `infl.: influence ± standard error${other === "train" ? "; mem.: memorization" : ""}`;
  return [
    made("h4", {}, heading),
    made("ul", {class: `gallery${ofTexts ? " of-texts" : ""}`, "aria-label": heading}, ...items),
    made("p", {class: "note"}, legend + (links.some((link) => pair[link]) ? "; ★ a selected pair" : "")),
  ];
};

// Fills the panel; returns its heading.
const showDetail = (split, position) => {
  const name = called(split, position), {value, note, measures, because} = FACTS[split](position);
  const title = made("h3", {tabindex: "-1"}, name[0].toUpperCase() + name.slice(1));
  const back = made("a", {class: "back", href: "#explore"}, "↑ Back to the gallery");
  const said = [title, made("p", {}, `class ${className(split, position)}`)];
  if (value) said.push(made("p", {class: "value"}, value), made("p", {class: "note"}, note));
  byId("detail").replaceChildren(
    back,
    made("div", {class: `head${ofTexts ? " of-texts" : ""}`}, look(split, position), made("div", {}, ...said)),
    made("div", {class: "measures"}, ...measures),
    ...(because ? [made("p", {class: "note"}, because)] : []),
    made("div", {class: "linked"}, ...linked(split, position)));
  byId("detail").scrollTop = 0;
  return title;
};
