/* What a person does with the report: label, correct, export. The estimates are in estimate.js.
 */

const element = (id) => document.getElementById(id);
const FRAME_PX = 31;
const FRAME_MS = 100; // ten frames a second: slow enough to see a cell turn
const SERIES = 50; // labels asked for at a time
const SHOWN_AT_ONCE = 48; // cards of the list of all cells
const GOAL = 0.05; // half the width of an interval that tells a healthy movie from a sick one
const KEYS = ["tank-treading", "flipping", "unreliable", "unsure"]; // keys 1 to 4
const WORDS = { unsure: "cannot tell" }; // an operator cannot tell; a model is unsure
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

const cells = data.cells.map(([name, predicted, reliable, flipping, frame, length], index) => ({
  name,
  predicted,
  reliable,
  flipping,
  frame,
  length,
  index,
}));
const byName = new Map(cells.map((cell) => [cell.name, cell]));

/* The labels by name of the cell. Whether a label is of a cell chosen at random follows from the
   order of the looks (looksOf in estimate.js). */
const labels = new Map();
const history = []; // what each step replaced, for undo
let wanted = 0; // random labels that were asked for, over all series
let looks = 0; // labelled cells at the start of the random order
let at = -1; // place in the random order of the cell on the stage; -1: the stage is closed
let unsaved = 0; // labels set since the last export

// --- words and numbers ---

const percent = (x) => `${(100 * x).toFixed(1)} %`;
const whole = (x) => `${(100 * x).toFixed(0)} %`;
const plural = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const isKept = (cell) => cell.predicted === "tank-treading" || cell.predicted === "flipping";

/* Build an element: attributes by name, then what it contains. Text is never read as HTML. */
function make(tag, attributes = {}, ...content) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

// --- clips ---

const pictures = new Map(); // decoded image strips, by index of the cell

/* The image strip of a cell. It is decoded once, in the background where it is asked for early.
 */
function pictureOf(cell) {
  if (!pictures.has(cell.index)) {
    const picture = new Image();
    picture.src = `data:image/webp;base64,${data.clips[cell.index]}`;
    pictures.set(cell.index, picture);
  }
  return pictures.get(cell.index);
}

const framesOf = (picture) => Math.max(1, Math.round(picture.naturalWidth / FRAME_PX));

/* Draw one frame. Nothing is smoothed: the networks see these very pixels. */
function drawFrame(canvas, cell, frame) {
  const picture = pictureOf(cell);
  if (!picture.complete || !picture.naturalWidth) {
    picture.onload = () => drawFrame(canvas, cell, frame);
    return;
  }
  const left = (frame % framesOf(picture)) * FRAME_PX;
  canvas.getContext("2d").drawImage(picture, left, 0, FRAME_PX, FRAME_PX, 0, 0, FRAME_PX, FRAME_PX);
}

let clock = 0; // frames since the page was opened: all clips of the list run by it
let stageFrame = 0;
let stageRuns = !calm;
const inView = new Map(); // canvases of the list that can be seen, and their cells

/* One timer draws all clips, so that a thousand cells cost no more than those in view. */
function tick() {
  clock += 1;
  if (!calm) for (const [canvas, cell] of inView) drawFrame(canvas, cell, clock);
  if (at >= 0 && stageRuns) {
    stageFrame += 1;
    drawFrame(element("clip"), cellAt(at), stageFrame);
  }
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) {
      inView.set(target, byName.get(target.dataset.name));
      drawFrame(target, byName.get(target.dataset.name), clock);
    } else inView.delete(target);
  }
});

function pause(paused) {
  stageRuns = !paused;
  element("pause").querySelector("span").textContent = paused ? "Play" : "Pause";
}

// --- setting and undoing labels ---

/* Set or take away (null) a label, and remember what it replaced. */
function setLabel(cell, label) {
  history.push({ cell, before: labels.get(cell.name) ?? null, place: at });
  write(cell, label);
}

function write(cell, label) {
  if (label === null) labels.delete(cell.name);
  else labels.set(cell.name, label);
  looks = looksOf(labels);
  unsaved += 1;
  save();
  showCards(); // all: a label can make others ones of cells chosen at random
  update();
}

/* Take the last step back, and return to its cell. */
function undo() {
  const step = history.pop();
  if (!step) return;
  write(step.cell, step.before);
  if (at >= 0 && step.place >= 0) goTo(step.place);
}

// --- the stage: one cell at a time ---

const cellAt = (place) => cells[data.order[place]];
const places = new Map(data.order.map((index, place) => [index, place]));
const placeOf = (cell) => places.get(cell.index);
const isRandom = (cell) => placeOf(cell) < looks;

/* Start a series, or go on with one that was left. */
function begin() {
  ordered = true;
  looks = looksOf(labels);
  if (looks >= wanted) wanted = Math.min(looks + SERIES, data.order.length);
  document.body.classList.add("labelling");
  element("start").hidden = true;
  element("stage").hidden = false;
  goTo(looks);
  element("stage").focus({ preventScroll: true });
  element("work").scrollIntoView({ block: "start" });
}

function close() {
  at = -1;
  document.body.classList.remove("labelling");
  element("start").hidden = false;
  element("stage").hidden = true;
  update();
  element("begin").focus({ preventScroll: true });
}

/* Show the cell at a place of the random order; a series that is complete closes the stage. */
function goTo(place) {
  if (place >= wanted) {
    close();
    return;
  }
  at = Math.max(place, 0);
  stageFrame = 0;
  drawFrame(element("clip"), cellAt(at), 0);
  for (const next of [at + 1, at + 2, at + 3]) if (next < wanted) pictureOf(cellAt(next));
  showStage();
}

function showStage() {
  const given = labels.get(cellAt(at).name);
  const done = Math.min(looks, wanted);
  element("position").textContent = `Cell ${at + 1} of ${wanted}`;
  element("of-what").textContent = `${done} labelled`;
  element("progress").setAttribute("aria-valuemax", wanted);
  element("progress").setAttribute("aria-valuenow", done);
  element("progress").firstElementChild.style.width = `${(100 * done) / wanted}%`;
  element("clip").setAttribute("aria-label", `Clip of cell ${at + 1}`);
  for (const button of element("choices").children)
    button.setAttribute("aria-pressed", button.dataset.label === given);
  element("back").disabled = at === 0;
  element("undo").disabled = history.length === 0;
}

/* Label the cell on the stage and go on at once, past cells that have a label already. */
function choose(label) {
  const place = at;
  setLabel(cellAt(place), label);
  goTo(looks);
}

const STAGE_KEYS = {
  ArrowLeft: () => goTo(at - 1),
  ArrowRight: () => goTo(Math.min(at + 1, looks, wanted - 1)),
  Backspace: undo,
  z: undo,
  " ": () => pause(stageRuns),
  Escape: close,
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const tag = event.target.tagName;
  const card = event.target.closest?.(".cell");
  const label = KEYS[Number(event.key) - 1];
  if (card) {
    if (label) pick(byName.get(card.dataset.name), label);
    return;
  }
  if (at < 0 || tag === "INPUT" || tag === "SELECT") return;
  if (event.key === " " && tag !== "DIV" && tag !== "BODY") return; // presses the button in focus
  const act = label
    ? () => choose(label)
    : STAGE_KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// --- all cells ---

const labelOf = (cell) => labels.get(cell.name) ?? cell.predicted;
const FILTERS = {
  all: () => true,
  "tank-treading": (cell) => cell.predicted === "tank-treading",
  flipping: (cell) => cell.predicted === "flipping",
  unsure: (cell) => cell.predicted === "unsure",
  discarded: (cell) => cell.predicted === "unreliable",
  labelled: (cell) => labels.has(cell.name),
  corrected: (cell) => labels.has(cell.name) && labelOf(cell) !== cell.predicted,
};
let filter = "all";
let shown = SHOWN_AT_ONCE;

/* Label a cell in the list; the same label again takes it away, but not from a cell of the random
   order, because the labels after it would no longer be of cells chosen at random. */
function pick(cell, label) {
  const again = labels.get(cell.name) === label;
  if (again && isRandom(cell)) return;
  setLabel(cell, again ? null : label);
}

function cardOf(cell) {
  const canvas = make("canvas", {
    class: "clip",
    width: FRAME_PX,
    height: FRAME_PX,
    role: "img",
    "aria-label": `Clip of ${cell.name}`,
    "data-name": cell.name,
  });
  watcher.observe(canvas);
  const choice = (label) =>
    make(
      "button",
      {
        type: "button",
        "data-label": label,
        "aria-label": `${cell.name}: ${WORDS[label] ?? label}`,
      },
      WORDS[label] ?? label,
    );
  return make(
    "li",
    { class: "cell", "data-name": cell.name, "data-predicted": cell.predicted },
    canvas,
    make("p", {}, make("strong", {}, `Predicted: ${cell.predicted}`)),
    make(
      "p",
      { class: "muted" },
      `reliable ${cell.reliable.toFixed(2)}, flipping ` +
        `${cell.flipping.toFixed(2)}; ${plural(cell.length, "frame")} from ` +
        `${cell.frame}; ${cell.name}`,
    ),
    make("p", { class: "how" }),
    make(
      "div",
      { class: "choose", role: "group", "aria-label": `Label of ${cell.name}` },
      ...KEYS.map(choice),
    ),
  );
}

/* Show on a card the label of its cell. */
function showCard(card) {
  const cell = byName.get(card.dataset.name);
  const given = labels.get(cell.name);
  const how = isRandom(cell) ? "cell chosen at random" : "cell picked";
  card.toggleAttribute("data-labelled", given !== undefined);
  card.querySelector(".how").textContent = given ? `Your label, ${how}` : "Not labelled";
  for (const button of card.querySelectorAll("button"))
    button.setAttribute("aria-pressed", button.dataset.label === given);
}

const showCards = () => element("cells").querySelectorAll(".cell").forEach(showCard);

function showCells() {
  const fitting = cells.filter(FILTERS[filter]);
  watcher.disconnect();
  inView.clear();
  element("cells").replaceChildren(...fitting.slice(0, shown).map(cardOf));
  showCards();
  element("more").hidden = shown >= fitting.length;
  element("more").textContent =
    `Show more cells (${Math.min(shown, fitting.length)} of ${fitting.length} shown)`;
  showFilters();
}

function showFilters() {
  for (const button of element("filters").children) {
    const n = cells.filter(FILTERS[button.dataset.filter]).length;
    button.textContent = `${button.dataset.filter} ${n}`;
    button.setAttribute("aria-pressed", button.dataset.filter === filter);
  }
}

function chooseFilter(name) {
  filter = name;
  shown = SHOWN_AT_ONCE;
  showCells();
}

// --- the estimates ---

const SVG = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/* An interval on a scale from 0 to 100 %. Words beside it say the same, so it is hidden from
   readers of the screen. */
function draw(found) {
  const picture = shape("svg", {
    class: "drawn",
    viewBox: "0 0 200 20",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const upright = (x, y0, y1, name) =>
    shape("line", {
      class: name,
      x1: 200 * x,
      x2: 200 * x,
      y1: y0,
      y2: y1,
      "vector-effect": "non-scaling-stroke",
    });
  picture.append(
    shape("line", {
      class: "scale",
      x1: 0,
      x2: 200,
      y1: 10,
      y2: 10,
      "vector-effect": "non-scaling-stroke",
    }),
  );
  for (const tenth of [0, 0.25, 0.5, 0.75, 1]) picture.append(upright(tenth, 7, 13, "scale"));
  if (found && found.low !== null) {
    picture.append(
      shape("line", {
        class: "interval",
        x1: 200 * found.low,
        x2: 200 * found.high,
        y1: 10,
        y2: 10,
        "vector-effect": "non-scaling-stroke",
      }),
    );
    picture.append(upright(found.estimate, 4, 16, "middle"));
  }
  if (data.truth) picture.append(upright(data.truth.share, 0, 20, "truth"));
  return picture;
}

const interval = (found) => `${percent(found.low)} to ${percent(found.high)}`;
const inWords = (found) => `${percent(found.estimate)} (${interval(found)})`;
const points = (share, digits = 0) => (100 * share).toFixed(digits);

function showEstimate(found) {
  const none = found.estimate === null;
  // Of a wide interval the ends stand in front, because its middle says little.
  const share = none
    ? "No estimate"
    : found.caution
      ? `${points(found.low)} to ${whole(found.high)}`
      : whole(found.estimate);
  element("marker").textContent = share;
  element("interval").textContent = none
    ? `${found.withheld}.`
    : `95 % interval ${interval(found)}${found.caution ? `; ${found.caution}` : ""}`;
  element("picture").replaceChildren(draw(found));
  element("line").querySelector(".estimate").textContent = share;
  element("line").querySelector(".drawn-here").replaceChildren(draw(found));
  element("line").querySelector(".counted").textContent = plural(labels.size, "label");
}

const WAYS = {
  models: "Models alone",
  "with labels": "With your labels",
  "by hand": "Manual count",
};

function showWays(ways) {
  const row = (head, found, name) => {
    const none = found.estimate === null;
    return make(
      "tr",
      { class: name },
      make("th", { scope: "row" }, head),
      make("td", { class: "n" }, none ? "no estimate" : percent(found.estimate)),
      make("td", {}, none ? found.withheld : found.low === null ? "" : interval(found)),
      make("td", {}, draw(none ? null : found)),
    );
  };
  const rows = Object.entries(WAYS).map(([way, head]) =>
    row(head, ways[way], way === "with labels" ? "used" : ""),
  );
  if (data.truth)
    rows.push(
      row(
        "Simulated truth (of the simulator)",
        { estimate: data.truth.share, low: null, high: null },
        "simulated",
      ),
    );
  element("ways")
    .querySelector("tbody")
    .replaceChildren(...rows);
}

function tally(kind) {
  const counts = Object.fromEntries(KEYS.map((label) => [label, 0]));
  for (const cell of cells) counts[kind(cell)] += 1;
  return counts;
}

function showCounts() {
  const first = tally((cell) => cell.predicted);
  const then = tally(labelOf);
  element("counts").replaceChildren(
    ...KEYS.map((label) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, label),
        make("td", { class: "n" }, first[label]),
        make("td", { class: "n" }, then[label]),
      ),
    ),
  );
}

/* How many labels there are and how they came about. */
function showState() {
  const changed = cells.filter(FILTERS.corrected).length;
  const kept = storage
    ? "This browser keeps them until you clear them."
    : "This browser cannot keep them here: export them before you close the page.";
  element("state").textContent = labels.size
    ? `${plural(labels.size, "label")}: ${looks} of cells chosen at random, ` +
      `${labels.size - looks} ` +
      `picked; ${changed} differ from the prediction. ${kept}`
    : "You have not labelled a cell yet.";
  element("clear").disabled = labels.size === 0;
}

let speaking = 0;

/* Screen readers hear the estimate once the labels pause: at every label it would never end. */
function speak(found) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    element("spoken").textContent =
      found.estimate === null
        ? `No estimate: ${found.withheld}`
        : `Estimate ${percent(found.estimate)}, 95 % interval ${interval(found)}. ` +
          element("forecast").textContent;
  }, 700);
}

function showStart() {
  const left = data.order.length - looks;
  const next = Math.min(SERIES, left);
  const open = wanted - looks;
  element("begin").disabled = left === 0;
  element("begin").textContent =
    left === 0
      ? "All cells are labelled"
      : open > 0
        ? `Go on: ${plural(open, "cell")} left`
        : `Label ${next} ${looks ? "more " : ""}cells, chosen at random`;
  element("design").textContent =
    `Seed ${data.seed} set the order before you saw a cell. Cells that ` +
    "are predicted to flip, and unsure ones, come more often; the estimate allows for that. " +
    `${looks} of ` +
    `${data.order.length} cells are labelled.`;
}

/* How many more labels a useful interval takes, or that more do not help. */
function forecast(found) {
  const cellsInAll = data.order.length;
  const needed = looksFor(found, GOAL);
  if (looks >= cellsInAll)
    return "Every cell is labelled: only more cells would narrow the interval.";
  if (needed === null) {
    const best = points(expectedHalfWidth(found, cellsInAll));
    return `Labelling all ${cellsInAll} cells would give about ±${best} points: film more cells.`;
  }
  const more = Math.max(needed, fewest) - looks;
  if (more > 0) return `About ${plural(more, "more label")} for ±${points(GOAL)} points.`;
  const twice = points(expectedHalfWidth(found, Math.min(2 * looks, cellsInAll)));
  return (
    `About ±${points(expectedHalfWidth(found, looks))} points now; ` +
    "twice as many labels would give " +
    `about ±${twice}.`
  );
}

/* What stage 1 discarded: a stratum of its own, of which the labels show how much is lost. */
function showDiscarded({ found, enough, ways }) {
  const last = strata.indexOf("unreliable");
  const seen = found.counts[last];
  const text = [
    `Stage 1 discarded ${plural(found.sizes[last], "cell")} as unreliable. ` +
      "The random order contains some of them, because reliable cells may be among them. " +
      `You have labelled ${sum(seen)} at random: ${seen[0]} tank-treading, ${seen[1]} flipping, ` +
      `${seen[2]} unreliable.`,
  ];
  if (enough) {
    const alike = ways["discarded alike"];
    const moved = points(ways["with labels"].estimate - alike.estimate, 1);
    text.push(
      "The estimate above assumes nothing about them. If one assumes that stage 1 discards " +
        `both motions alike, the estimate is ${inWords(alike)}: the assumption moves it by ` +
        `${moved} points.`,
      keptElsewhere(alike.estimate),
    );
  } else {
    text.push(
      "The estimate of the models alone assumes that stage 1 discards reliable cells here as " +
        `often as in other blood draws. From ${fewest} random labels on, no such assumption is ` +
        "needed.",
    );
  }
  element("discarded").replaceChildren(...text.map((line) => make("p", {}, line)));
}

/* How far the estimate under that assumption would be off if stage 1 kept the motions as
   unequally here as on other blood draws. */
function keptElsewhere(estimate) {
  if (!data.kept.length) return "";
  const corrected = data.kept.map(([treading, flipping]) => {
    const all = estimate / treading;
    return all / (all + (1 - estimate) / flipping);
  });
  const range = (values) => `${whole(Math.min(...values))} to ${whole(Math.max(...values))}`;
  return (
    `On ${data.kept.length} other blood draws stage 1 kept about ` +
    `${range(data.kept.map(([t]) => t))} of the tank-treading and ` +
    `${range(data.kept.map(([, f]) => f))} of the flipping cells. If it does here as on one of ` +
    `them, the assumption gives ${percent(estimate)} where ${range(corrected)} would be true.`
  );
}

/* What kind of interval is shown, and why. */
function basis({ enough, found }) {
  if (enough)
    return (
      "The interval with your labels rests on the cells chosen at random alone: it is valid " +
      "whatever the models do. The manual count takes all your labels as they are; it is biased, " +
      "because " +
      "likely flipping cells come up more often."
    );
  const first = labels.size ? "So far your labels count for their own cells only. " : "";
  return (
    `${first}From ${fewest} random labels on (${found.looks} so far), the interval rests on ` +
    "them and " +
    "no longer on the errors that the models made on other blood draws."
  );
}

let round = 0; // counts the changes of the labels: an estimate that comes late is dropped

/* Everything on the page that depends on the labels. Counts follow at once, the estimate when it
   is computed, so that no key waits for it. */
async function update() {
  showCounts();
  showState();
  showStart();
  showFilters();
  offer("export", corrections(), "text/csv");
  round += 1;
  const mine = round;
  document.querySelector(".result").setAttribute("aria-busy", true);
  const made = await estimatesOf(labels, () => mine !== round);
  if (made === null || mine !== round) return;
  showEstimate(made.ways["with labels"]);
  showWays(made.ways);
  showDiscarded(made);
  element("forecast").textContent = forecast(made.found);
  element("ways-note").textContent = basis(made);
  speak(made.ways["with labels"]);
  offerEstimates(made.ways);
  document.querySelector(".result").setAttribute("aria-busy", false);
}

// --- keeping and exporting ---

const storage = (() => {
  try {
    localStorage.setItem("rbc", "");
    localStorage.removeItem("rbc");
    return localStorage;
  } catch {
    return null; // a page in a frame, or a browser that keeps nothing
  }
})();

/* A number that tells whether two texts are the same. */
const digest = (text) => [...text].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) | 0, 7);

/* The checksum tells the movie. Names of sequences mean other cells after another tracking, and a
   report made with a file of corrections starts from other labels: each keeps its own. */
const storageKey = [
  "rbc",
  data.movie,
  digest(JSON.stringify(data.cells)),
  digest(JSON.stringify(data.corrections)),
].join(" ");

function save() {
  storage?.setItem(storageKey, JSON.stringify({ wanted, labels: [...labels] }));
}

/* What this browser kept of this report; null where it kept nothing. */
function saved() {
  try {
    return JSON.parse(storage?.getItem(storageKey) ?? "null");
  } catch {
    return null;
  }
}

/* Take over kept labels; what does not fit this movie is left out. */
function restore(given) {
  for (const [name, label] of given)
    if (byName.has(name) && KEYS.includes(label)) labels.set(name, label);
}

function clearAll() {
  labels.clear();
  looks = 0;
  history.length = 0;
  wanted = 0;
  unsaved = 0;
  save();
  filter = "all";
  shown = SHOWN_AT_ONCE;
  showCells();
  update();
  askToClear(false);
}

function askToClear(asked) {
  element("sure").hidden = !asked;
  element(asked ? "clear-no" : "clear").focus();
}

/* The table that `rbc analyze --corrections` reads. */
function corrections() {
  const rows = [...labels].map(([name, label]) => {
    const cell = byName.get(name);
    const random = isRandom(cell);
    const place = random ? placeOf(cell) + 1 : "";
    const chosen = random ? "random" : "picked";
    return [name, cell.predicted, label, chosen, place, data.seed]
      .map(String)
      .map(quoted)
      .join(",");
  });
  return ["name,before,after,chosen,order,seed", ...rows, ""].join("\n");
}

function table(ways) {
  const text = (x) => quoted(String(x ?? ""));
  const rows = Object.entries(ways).map(([way, found]) =>
    [
      way,
      found.estimate,
      found.low,
      found.high,
      found.withheld,
      found.caution,
      labels.size,
      cells.length,
    ]
      .map(text)
      .join(","),
  );
  return ["way,estimate,low,high,withheld,caution,labelled,cells", ...rows, ""].join("\n");
}

function offer(id, text, type) {
  URL.revokeObjectURL(element(id).href);
  element(id).href = URL.createObjectURL(new Blob([text], { type }));
}

function offerEstimates(ways) {
  offer("marker-csv", table(ways), "text/csv");
  const json = { source: data.source, labelled: labels.size, cells: cells.length, ways };
  offer("marker-json", JSON.stringify(json, null, 1), "application/json");
}

/* Say what was exported: a browser may save a file without a word. */
function sayExported(event) {
  const name = event.target.download;
  const what =
    name === "corrections.csv"
      ? ` with ${plural(labels.size, "label")}, ${looks} of them of cells chosen at random ` +
        `(seed ${data.seed})`
      : "";
  element("exported").textContent =
    `${name}${what} went to your browser's downloads at ` + `${new Date().toLocaleTimeString()}.`;
  if (name === "corrections.csv") unsaved = 0;
}

// --- tracks and scores ---

function showFrame(frame) {
  element("film").src = data.film[frame];
  element("film").alt = `Frame ${frame + 1} of ${data.film.length} with a box around each cell`;
  element("film-frame").value = frame;
  element("film-at").textContent = `${frame + 1} of ${data.film.length}`;
}

let running = null;

function playTracks() {
  clearInterval(running);
  const next = () => showFrame((Number(element("film-frame").value) + 1) % data.film.length);
  running = running ? null : setInterval(next, FRAME_MS);
  element("film-play").textContent = running ? "Pause" : "Play";
}

function zoomTracks() {
  const zoomed = element("film-window").classList.toggle("zoomed");
  element("film-zoom").setAttribute("aria-pressed", zoomed);
}

const BINS = 20;

/* How many cells have which probability: a hill at each end is a model that is sure. */
function histogram(title, values) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor(value * BINS))] += 1;
  const most = Math.max(...counts, 1);
  const picture = shape("svg", {
    viewBox: `0 0 ${BINS} 100`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label":
      `${title}: ${counts.slice(0, 5).reduce((a, b) => a + b)} cells below 0.25, ` +
      `${counts.slice(15).reduce((a, b) => a + b)} above 0.75`,
  });
  counts.forEach((count, bin) =>
    picture.append(
      shape("rect", {
        x: bin + 0.08,
        width: 0.84,
        y: 100 - (96 * count) / most,
        height: (96 * count) / most,
      }),
    ),
  );
  return make(
    "figure",
    {},
    picture,
    make(
      "div",
      { class: "axis", "aria-hidden": "true" },
      ...["0", "0.5", "1"].map((x) => make("span", {}, x)),
    ),
    make("figcaption", {}, title),
  );
}

// --- start ---

function listen() {
  const onClick = {
    begin,
    back: () => goTo(at - 1),
    undo,
    close,
    pause: () => pause(stageRuns),
    "film-play": playTracks,
    "film-zoom": zoomTracks,
    clear: () => askToClear(true),
    "clear-yes": clearAll,
    "clear-no": () => askToClear(false),
  };
  for (const [id, act] of Object.entries(onClick)) element(id).addEventListener("click", act);
  for (const id of ["export", "marker-csv", "marker-json"])
    element(id).addEventListener("click", sayExported);
  for (const button of element("choices").children)
    button.addEventListener("click", () => choose(button.dataset.label));
  element("cells").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) pick(byName.get(button.closest(".cell").dataset.name), button.dataset.label);
  });
  element("more").addEventListener("click", () => {
    shown += SHOWN_AT_ONCE;
    showCells();
  });
  element("film-frame").addEventListener("input", () =>
    showFrame(Number(element("film-frame").value)),
  );
  document.addEventListener("keydown", onKey);
  addEventListener("beforeunload", (event) => {
    if (unsaved && !storage) event.preventDefault();
  });
  // The line at the top repeats the estimate only while the estimate itself is out of sight.
  new IntersectionObserver(([entry]) => {
    element("line").hidden = entry.isIntersecting;
  }).observe(element("picture"));
}

function start() {
  const earlier = saved();
  restore(earlier?.labels ?? Object.entries(data.corrections));
  wanted = earlier?.wanted ?? 0;
  ordered ||= wanted > 0;
  looks = looksOf(labels);
  for (const name of Object.keys(FILTERS)) {
    const button = make("button", { type: "button", "data-filter": name });
    button.addEventListener("click", () => chooseFilter(name));
    element("filters").append(button);
  }
  const kept = cells.filter(isKept);
  element("histograms").append(
    histogram(
      "Probability of being reliable (stage 1), all cells",
      cells.map((cell) => cell.reliable),
    ),
    histogram(
      "Probability of flipping (stage 2), kept cells",
      kept.map((cell) => cell.flipping),
    ),
  );
  element("film-frame").max = data.film.length - 1;
  element("written").textContent = new Date(document.lastModified).toLocaleString();
  if (calm) pause(true);
  showFrame(0);
  listen();
  showCells();
  update();
  setInterval(tick, FRAME_MS);
}

start();
