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
  DATA.units.bounded ? made("span", {class: "track", "aria-hidden": "true"}, made("i", {style: `width: ${100 * value}%`})) : made("span", {}),
  made("span", {class: "number"}, mean(value), of),
];
const byCorrectness = DATA.units.name === "right";

// How far predictions are off, in the unit of the target: what is known of them beside the score.
const off = (value) => four(DATA.units.error === "square" ? Math.sqrt(Math.max(-value, 0)) : Math.max(-value, 0));
const offBy = DATA.units.error === "square" ? "predictions are off by (root mean square)" : "predictions are off by (mean)";

const FACTS = {
  train: (p) => {
    const {memorization, low, high, meanIn, meanOut, trialsIn, trialsOut} = DATA.train;
    const what = byCorrectness ? "right" : `mean ${DATA.units.name}`;
    const models = (trials) => ` of ${count(trials)}`;
    return {
      value: `memorization ${difference(memorization[p])}`,
      note: `95% interval ${difference(low[p])} to ${difference(high[p])}`,
      measures: [
        ...measure(`${what}, trained on it`, meanIn[p], models(trialsIn[p])),
        ...measure(`${what}, trained without it`, meanOut[p], models(trialsOut[p])),
      ],
      because: "Memorization is the difference of the two."
        + (DATA.units.error && meanIn[p] !== null && meanOut[p] !== null
          ? ` In the unit of the target, ${offBy} ${off(meanIn[p])} with it, and ${off(meanOut[p])} without it.` : ""),
    };
  },
  test: (p) => ({
    value: "", note: "",
    measures: measure(byCorrectness ? "models that are right" : `mean ${DATA.units.name}${DATA.units.name === "probability" ? " of its class" : ""}`, DATA.test.accuracy[p]),
    because: DATA.units.error ? `In the unit of the target, ${offBy} ${off(DATA.test.accuracy[p])}.` : "",
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
  if (!links.length) return [made("p", {class: "note"}, `${none} of at least ${DATA.least ? `${DATA.least} and ` : ""}${DATA.errors} standard errors.`)];
  const items = links.map((link) => {
    const end = DATA.links[other][link];
    const lines = [`infl. ${difference(influence[link])}`, `± ${difference(stderr[link])}${pair[link] ? " ★" : ""}`];
    if (other === "train") lines.push(`mem. ${difference(DATA.train.memorization[end])}`);
    if (DATA[other].label[end] !== DATA[split].label[position]) lines.push(`class ${className(other, end)}`);
    if (!DATA.hasClasses) lines.push(...aside(other, end));
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
  const about = [
    ...(DATA.hasClasses ? [`class ${className(split, position)}`] : []),
    ...(DATA.targets[split].length ? [`target ${DATA.targets[split][position]}`] : []),
  ];
  const said = [title, ...about.map((line) => made("p", {}, line))];
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
