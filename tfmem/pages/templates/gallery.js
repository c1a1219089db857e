// The gallery shows the examples whose memorization or influence is in a range chosen on a histogram.
const WIDTH = 0.05, PAGE = matchMedia("(max-width: 46rem)").matches ? 24 : 48;
const strongest = DATA.test.index.map(() => 0);
DATA.links.influence.forEach((value, link) => {
  const end = DATA.links.test[link];
  strongest[end] = Math.max(strongest[end], Math.abs(value));
});
// The quantity by which examples of a split are chosen: its values, its name, and the range's start.
const QUANTITY = {
  train: {
    of: DATA.train.memorization, name: "memorization", short: "mem.",
    start: DATA.train.memorization.some((value) => value >= DATA.memorized) ? DATA.memorized : -1,
  },
  test: {of: strongest, name: "the strongest influence on them", short: "infl.", start: strongest.some(Boolean) ? DATA.least : 0},
};
let shownAtMost = PAGE;

const inClass = (split) => {
  const label = byId("class").value, {label: labels} = DATA[split];
  const wanted = (byId("words")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const said = (p) => DATA.texts[split].sentences[p].join(" ").toLowerCase();
  return [...labels.keys()].filter((p) => (label === "" || labels[p] === Number(label))
    && (!wanted.length || wanted.every((word) => said(p).includes(word))));
};

const showBars = (values, least) => {
  const bins = Math.round((1 - least) / WIDTH), counts = Array(bins).fill(0), all = Array(bins).fill(0);
  const bin = (value) => Math.min(Math.max(Math.floor((value - least) / WIDTH + 1e-9), 0), bins - 1);
  for (const value of values) counts[bin(value)] += 1;
  for (const value of QUANTITY[byId("split").value].of) all[bin(value)] += 1;
  const most = Math.log(Math.max(...all, 2)), [from, to] = ends();
  byId("bars").replaceChildren(...counts.map((number, at) => {
    const start = least + at * WIDTH, inside = start + WIDTH > from + 1e-9 && start < to - 1e-9;
    const height = number ? 100 * Math.log(number) / most : 0;
    const kinds = `${number ? "some" : ""}${inside ? " in" : ""}`;
    return made("i", {class: kinds, style: `height: ${height}%`, title: `${two(start)} to ${two(start + WIDTH)}: ${count(number)}`});
  }));
};

const ends = () => [Number(byId("from").value), Number(byId("to").value)];

// Sets the range up for a split.
const showRange = (split) => {
  const {of, name, start} = QUANTITY[split];
  const least = Math.floor(of.reduce((a, b) => Math.min(a, b), 0) / WIDTH) * WIDTH;
  for (const id of ["from", "to"]) Object.assign(byId(id), {min: least, max: 1});
  byId("from").value = Math.max(start, least);
  byId("to").value = 1;
  byId("quantity").textContent = `${KINDS[split]} examples with ${name}`;
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  byId("ticks").replaceChildren(...ticks.map((tick) =>
    made("span", {style: `left: ${100 * (tick - least) / (1 - least)}%`}, String(tick))));
};

// Shows the examples in the range; returns their positions, highest first.
const showGallery = () => {
  const split = byId("split").value, {of, name, short} = QUANTITY[split];
  const [from, to] = ends(), least = Number(byId("from").min);
  const among = inClass(split);
  const found = among.filter((p) => of[p] >= from - 1e-9 && of[p] <= to + 1e-9).sort((a, b) => of[b] - of[a]);
  byId("from-value").textContent = two(from);
  byId("to-value").textContent = two(to);
  byId("thumbs").style.cssText = `--low: ${(from - least) / (1 - least)}; --high: ${(to - least) / (1 - least)}`;
  showBars(among.map((p) => of[p]), least);
  const shown = found.slice(0, shownAtMost);
  byId("gallery").replaceChildren(...shown.map((p) =>
    thumbnail(split, p, `${short} ${of[p] || split === "train" ? three(of[p]) : "none"}`, `class ${className(split, p)}`)));
  const label = byId("class").value, words = (byId("words")?.value ?? "").trim();
  const where = (label === "" ? "" : ` of class ${DATA.classes[label]}`) + (words && ` with “${words}”`);
  byId("status").textContent = `${count(found.length)} of ${count(among.length)} ${KINDS[split]} examples${where} on this page: ` +
    `${name} from ${two(from)} to ${two(to)}` + (found.length > shown.length ? `; the ${count(shown.length)} highest are shown.` : ".");
  byId("more").hidden = found.length === shown.length;
  byId("more").textContent = `Show ${count(Math.min(PAGE, found.length - shown.length))} more`;
  return found;
};

const thumbnails = () => [...byId("gallery").querySelectorAll("a")];

// Tab reaches one thumbnail; arrow keys lead from it to the others.
const markCurrent = (hash) => {
  const links = thumbnails();
  for (const link of links) {
    link.tabIndex = -1;
    if (link.hash === hash) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const first = links.find((link) => link.hash === hash) ?? links[0];
  if (first) first.tabIndex = 0;
};

const neighbour = (key, link) => {
  const links = thumbnails(), at = links.indexOf(link);
  const columns = links.filter(({offsetTop}) => offsetTop === links[0].offsetTop).length;
  const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: links.length - 1 - at};
  return key in steps ? links[at + steps[key]] ?? link : null;
};
