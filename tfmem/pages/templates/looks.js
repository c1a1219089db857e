// DATA holds columns, and links that name examples by their positions in these columns. The
// functions here show an example and name it.
const CELLS = 1024, ofTexts = "train" in DATA.texts;
const KINDS = {train: "training", test: "test"};
const byId = (id) => document.getElementById(id);
const made = (tag, attributes, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const three = (value) => (Math.round(value * 1000) / 1000 + 0).toFixed(3);
const two = (value) => (Math.round(value * 100) / 100 + 0).toFixed(2);
const four = (value) => {
  const size = Math.abs(value);
  if (size >= 1e3 && size < 1e7) return Math.round(value).toLocaleString("en");
  if (size >= 1e7) return Number(value.toPrecision(4)).toExponential();
  return String(Number(value.toPrecision(4)));
};
// Formats memorization and influence, and means over trials, in the units of the statistic.
const difference = (value) => value === null ? "unknown" : DATA.units.bounded ? three(value) : four(value);
const mean = (value) => value === null ? "unknown" : DATA.units.bounded ? percent(value) : four(value);
const percent = (value) => `${(100 * value).toFixed(1)}%`;
const count = (value) => value.toLocaleString("en");
const className = (split, position) => DATA.classes[DATA[split].label[position]];
const called = (split, position) => {
  const name = DATA.names[split][position];
  return `${KINDS[split]} example ${DATA[split].index[position]}${name ? `, ${name}` : ""}`;
};
// What is said of an example below its numbers: its class, or its own name and target.
const aside = (split, position) => [
  ...(DATA.names[split].length ? [DATA.names[split][position]] : []),
  ...(DATA.hasClasses ? [`class ${className(split, position)}`] : []),
  ...(DATA.targets[split].length ? [`target ${DATA.targets[split][position]}`] : []),
];

const passage = (split, position) => {
  const {sentences, words} = DATA.texts[split], known = words[position];
  const mark = ([word, score, strength]) => made("mark", {
    class: strength > 0 ? "for" : "against", style: `--strength: ${Math.abs(strength)}`,
    title: `${score > 0 ? "+" : ""}${score.toFixed(4)}`,
  }, word);
  const lines = known ? known.map((sentence) => sentence.flatMap((word) => [mark(word), " "]))
    : sentences[position].map((sentence) => [sentence]);
  return made("span", {class: "text"}, ...lines.map((line) => made("span", {}, ...line)));
};

const look = (split, position) => {
  if (ofTexts) return passage(split, position);
  const number = Math.floor(position / CELLS), cell = position % CELLS;
  const [columns, rows] = DATA.sheets[split][number];
  const x = (cell % columns) / Math.max(columns - 1, 1);
  const y = Math.floor(cell / columns) / Math.max(rows - 1, 1);
  return made("span", {
    class: `picture ${split}-${number}`, style: `background-position: ${100 * x}% ${100 * y}%`,
    role: "img", "aria-label": called(split, position) + (DATA.hasClasses ? `, class ${className(split, position)}` : ""),
  });
};

// A small picture or text that links to its example, above lines of labelled numbers.
const thumbnail = (split, position, ...lines) => made("li", {}, made(
  "a", {href: `#${split}-${DATA[split].index[position]}`}, look(split, position),
  ...lines.flatMap((line, number) => [" ", made("span", {class: number ? "line soft" : "line", title: line}, line)])));
