// The gallery shows the examples whose memorization or influence is in a range chosen on a histogram.
const PAGE = matchMedia("(max-width: 46rem)").matches ? 24 : 48;
const strongest = DATA.test.index.map(() => 0);
DATA.links.influence.forEach((value, link) => {
  const end = DATA.links.test[link];
  strongest[end] = Math.max(strongest[end], Math.abs(value));
});
// The ends of a histogram of values and the width of its bars: a round number, some thirty of which
// are from the least value to the greatest.
const scaleOf = (values) => {
  const least = values.reduce((a, b) => Math.min(a, b), 0);
  if (DATA.units.bounded) return {least: Math.floor(least / 0.05) * 0.05, most: 1, width: 0.05};
  const most = values.reduce((a, b) => Math.max(a, b), 0), rough = (most - least) / 30 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = power * [1, 2, 5, 10].find((step) => step * power >= rough * (1 - 1e-9));
  return {least: Math.floor(least / width) * width, most: Math.max(1, Math.ceil(most / width)) * width, width};
};
const shownEnd = (value) => DATA.units.bounded ? two(value) : four(value);
// The quantity by which examples of a split are chosen: its values, its name, and the range's start.
const QUANTITY = {
  train: {
    of: DATA.train.memorization, name: "memorization", short: "mem.",
    start: DATA.memorized !== null && DATA.train.memorization.some((value) => value >= DATA.memorized) ? DATA.memorized : -Infinity,
  },
  test: {of: strongest, name: "the strongest influence on them", short: "infl.", start: strongest.some(Boolean) ? DATA.least : 0},
};
for (const quantity of Object.values(QUANTITY)) Object.assign(quantity, scaleOf(quantity.of));
let shownAtMost = PAGE;

const inClass = (split) => {
  const label = byId("class").value, {label: labels} = DATA[split];
  const wanted = (byId("words")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const said = (p) => DATA.texts[split].sentences[p].join(" ").toLowerCase();
  return [...labels.keys()].filter((p) => (label === "" || labels[p] === Number(label))
    && (!wanted.length || wanted.every((word) => said(p).includes(word))));
};

const showBars = (values, {of, least, most: last, width}) => {
  const bins = Math.round((last - least) / width), counts = Array(bins).fill(0), all = Array(bins).fill(0);
  const bin = (value) => Math.min(Math.max(Math.floor((value - least) / width + 2e-8), 0), bins - 1);
  for (const value of values) counts[bin(value)] += 1;
  for (const value of of) all[bin(value)] += 1;
  const most = Math.log(Math.max(...all, 2)), [from, to] = ends();
  byId("bars").replaceChildren(...counts.map((number, at) => {
    const start = least + at * width, inside = start + width > from + 2e-8 * width && start < to - 2e-8 * width;
    const height = number ? 100 * Math.log(number) / most : 0;
    const kinds = `${number ? "some" : ""}${inside ? " in" : ""}`;
    return made("i", {class: kinds, style: `height: ${height}%`, title: `${shownEnd(start)} to ${shownEnd(start + width)}: ${count(number)}`});
  }));
};

const ends = () => [Number(byId("from").value), Number(byId("to").value)];

// Sets the range up for a split.
const showRange = (split) => {
  const {name, start, least, most, width} = QUANTITY[split];
  for (const id of ["from", "to"]) Object.assign(byId(id), {min: least, max: most, step: width / 5});
  byId("from").value = Math.max(start, least);
  byId("to").value = most;
  const unit = DATA.units.bounded ? "" : ` (${DATA.units.name})`;
  byId("quantity").textContent = `${KINDS[split]} examples with ${name}${unit}`;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => DATA.units.bounded ? share : Math.round(share * most / width) * width);
  byId("ticks").replaceChildren(...ticks.map((tick) =>
    made("span", {class: tick === most && !DATA.units.bounded ? "end" : "", style: `left: ${100 * (tick - least) / (most - least)}%`}, DATA.units.bounded ? String(tick) : four(tick))));
};

// Shows the examples in the range; returns their positions, highest first.
const showGallery = () => {
  const split = byId("split").value, {of, name, short, least, most, width} = QUANTITY[split];
  const [from, to] = ends(), slack = 2e-8 * width;
  const among = inClass(split);
  const found = among.filter((p) => of[p] >= from - slack && of[p] <= to + slack).sort((a, b) => of[b] - of[a]);
  byId("from-value").textContent = shownEnd(from);
  byId("to-value").textContent = shownEnd(to);
  byId("thumbs").style.cssText = `--low: ${(from - least) / (most - least)}; --high: ${(to - least) / (most - least)}`;
  showBars(among.map((p) => of[p]), QUANTITY[split]);
  const shown = found.slice(0, shownAtMost);
  byId("gallery").replaceChildren(...shown.map((p) =>
    thumbnail(split, p, `${short} ${of[p] || split === "train" ? difference(of[p]) : "none"}`, ...aside(split, p))));
  const label = byId("class").value, words = (byId("words")?.value ?? "").trim();
  const where = (label === "" ? "" : ` of class ${DATA.classes[label]}`) + (words && ` with “${words}”`);
  byId("status").textContent = `${count(found.length)} of ${count(among.length)} ${KINDS[split]} examples${where} on this page: ` +
    `${name} from ${shownEnd(from)} to ${shownEnd(to)}` + (found.length > shown.length ? `; the ${count(shown.length)} highest are shown.` : ".");
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
