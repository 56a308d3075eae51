"use strict";

/* The estimators of rbc.marker and rbc.labelling, step by step the same: the page gives what the
   library gives. Known error rates, the order of the looks and every constant come with the page.
   */

const data = JSON.parse(document.getElementById("data").textContent);

/* A grid of fractions, equally spaced in arcsine (rbc.marker.FRACTIONS). */
const step = Math.PI / 2 / data.angles;
const grid = Array.from({ length: data.angles }, (_, i) => Math.sin((i + 0.5) * step) ** 2);

const sum = (values) => values.reduce((total, value) => total + value, 0);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

// --- the interval of a density (rbc.marker.ends) ---

/* Shares of a density with their running sum. */
function summed(shares) {
  const total = sum(shares);
  const sums = [0];
  for (const share of shares) sums.push(sums.at(-1) + share / total);
  return { shares: shares.map((share) => share / total), sums };
}

/* The angle below which a share of a density lies; within a cell of the grid it is even. */
function angle({ shares, sums }, share) {
  let low = 0;
  let high = shares.length - 1; // the first cell whose running sum reaches the share
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sums[middle + 1] >= share) high = middle;
    else low = middle + 1;
  }
  return (low + (share - sums[low]) / Math.max(shares[low], 1e-300)) * step;
}

/* The shortest interval in arcsine, of those from each of a hundred lower tails. Of equally short
   ones the first: rounding must not choose, since the library rounds otherwise. */
function shortest(found) {
  const tails = Array.from({ length: 101 }, (_, k) => 1e-9 + (k / 100) * (1 - data.level - 2e-9));
  const all = tails.map((tail) => [angle(found, tail), angle(found, tail + data.level)]);
  const least = Math.min(...all.map(([first, last]) => last - first));
  return all.find(([first, last]) => last - first <= least + data.tie);
}

/* Median and ends: of the shortest interval and the one with equal tails, the outer ends. */
function ends(density) {
  const found = summed(density);
  const [first, last] = shortest(found);
  const tail = (1 - data.level) / 2;
  const low = Math.min(first, angle(found, tail));
  const high = Math.max(last, angle(found, 1 - tail));
  const fraction = (x) => Math.sin(x) ** 2;
  return {
    estimate: fraction(angle(found, 0.5)),
    low: low < data.edge ? 0 : fraction(low),
    high: high > Math.PI / 2 - data.edge ? 1 : fraction(high),
  };
}

// --- random numbers (rbc.labelling draws the same) ---

/* A 32-bit number in which every bit of x counts (the finaliser of MurmurHash3). */
function scramble(x) {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/* The number of a step of a stream, between 0 and 1, both excluded. */
function uniform(stream, number) {
  const mixed = scramble(stream + 1) + Math.imul(number, 0x9e3779b9);
  return (scramble(mixed | 0) + 0.5) / 4294967296;
}

/* A gamma distributed number (Marsaglia & Tsang, ACM Trans. Math. Softw. 26:363, 2000). */
function gamma(shape, stream) {
  let scale = 1;
  let number = 0;
  if (shape < 1) {
    // their section 6
    scale = uniform(stream, number) ** (1 / shape);
    number += 1;
    shape += 1;
  }
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    // Normal by Box and Muller.
    const radius = Math.sqrt(-2 * Math.log(uniform(stream, number)));
    const x = radius * Math.cos(2 * Math.PI * uniform(stream, number + 1));
    const u = uniform(stream, number + 2);
    number += 3;
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v))
      return Math.max(d * v * scale, 1e-300);
  }
}

// --- labels of cells chosen at random (rbc.labelling) ---

const { strata, classes, prior, worth, fewest, draws: labelDraws } = data.labelling;

/* Whether labels count by the random order. Those of a file that names no order were all picked,
   until the operator begins with the order here. */
let { ordered } = data;

/* How many cells at the start of the order are labelled. These were chosen at random, however the
   operator came to them; the labels of all other cells were picked. */
function looksOf(labels) {
  if (!ordered) return 0;
  const open = data.order.findIndex((index) => !labels.has(data.cells[index][0]));
  return open === -1 ? data.order.length : open;
}

/* Labels by stratum and class: `counts` of cells chosen at random, `known` of all. */
function sampleOf(labels) {
  const empty = () => strata.map(() => classes.map(() => 0));
  const found = {
    sizes: strata.map(() => 0),
    counts: empty(),
    known: empty(),
    looks: looksOf(labels),
  };
  const random = new Set(data.order.slice(0, found.looks));
  data.cells.forEach(([name, predicted], index) => {
    const stratum = strata.indexOf(predicted);
    const label = classes.indexOf(labels.get(name));
    found.sizes[stratum] += 1;
    if (label < 0) return; // not labelled, or the operator could not tell
    found.known[stratum][label] += 1;
    if (random.has(index)) found.counts[stratum][label] += 1;
  });
  return found;
}

/* How likely the labels make each fraction of the grid; `chosen` are the strata that count. */
function densityOfLabels(found, chosen = strata.map((_, i) => i)) {
  const shares = new Float64Array(grid.length);
  for (let number = 0; number < labelDraws; number++) {
    const stream = number * (6 * chosen.length + 2);
    let treading = 0.5; // Jeffreys' prior of a binomial fraction
    let flipping = 0.5;
    chosen.forEach((s, place) => {
      if (found.sizes[s] === 0) return;
      const cells = drawStratum(found, s, stream + 2 + 6 * place);
      treading += cells[0];
      flipping += cells[1];
    });
    // The movie's cells are a sample of the blood.
    const first = gamma(treading, stream);
    const second = gamma(flipping, stream + 1);
    // Halves and quarters lie on the edge of a cell: rounding must not choose it.
    const at = Math.asin(Math.sqrt(first / (first + second))) / step + data.tie;
    shares[Math.min(Math.floor(at), grid.length - 1)] += 1;
  }
  return shares;
}

/* Cells of each class in a stratum, as they may be: the random labels, a sample of their shares
   for the cells without one, and of these at least as many as the operator picked. */
function drawStratum(found, s, stream) {
  const counts = found.counts[s];
  const share = counts.map((n, c) => gamma(n + prior[s][c], stream + c));
  const total = share[0] + share[1] + share[2];
  const unlabelled = Math.max(found.sizes[s] - (counts[0] + counts[1] + counts[2]), 0);
  const rest = share.map((x, c) => gamma(Math.max((unlabelled * x) / total, 1e-9), stream + 3 + c));
  const scale = unlabelled / (rest[0] + rest[1] + rest[2]);
  return counts.map((n, c) => n + Math.max(rest[c] * scale, found.known[s][c] - n));
}

/* The stratum of each look, the first one first, until every cell is labelled. */
function nextLooks(sizes) {
  const looks = sizes.map(() => 0);
  const order = [];
  for (let n = sum(sizes); n > 0; n--) {
    const value = sizes.map((size, s) =>
      looks[s] < size ? (size * worth[s]) / (looks[s] + 1) : -1,
    );
    const stratum = value.indexOf(Math.max(...value));
    looks[stratum] += 1;
    order.push(stratum);
  }
  return order;
}

/* Half the width of the interval that so many looks are expected to give. */
function expectedHalfWidth(found, looks, order = nextLooks(found.sizes)) {
  const planned = found.sizes.map(() => 0);
  for (const stratum of order.slice(0, looks)) planned[stratum] += 1;
  const shares = found.counts.map((row, s) => {
    const shape = row.map((n, c) => n + prior[s][c]);
    return shape.map((x) => x / sum(shape));
  });
  const n = sum(found.sizes);
  const weight = found.sizes.map((size) => size / n);
  const dot = (values) => sum(weight.map((w, s) => w * values[s]));
  const reliable = dot(shares.map(([t, f]) => t + f));
  const p = dot(shares.map(([t]) => t)) / reliable;
  // A cell contributes 1 - p if it tank-treads, -p if it flips, 0 if it is unreliable.
  const mean = shares.map(([t, f]) => t * (1 - p) - f * p);
  const square = shares.map(([t, f]) => t * (1 - p) ** 2 + f * p ** 2);
  const extra = sum(prior.map(sum)) / prior.length + 1;
  const ofLabels = sum(
    weight.map((w, s) => (w ** 2 * (square[s] - mean[s] ** 2)) / (planned[s] + extra)),
  );
  const ofCells = dot(mean.map((m) => m ** 2)) / (n + 1);
  return (1.96 * Math.sqrt(ofLabels + ofCells)) / reliable;
}

/* Looks in all after which the interval is expected to be so narrow; null where labelling every
   cell does not suffice. */
function looksFor(found, halfWidth) {
  const order = nextLooks(found.sizes);
  let low = 0;
  let high = order.length;
  if (expectedHalfWidth(found, high, order) > halfWidth) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (expectedHalfWidth(found, middle, order) <= halfWidth) high = middle;
    else low = middle + 1;
  }
  return low;
}

// --- the models with their known errors (rbc.marker.density, rbc.prevalence) ---

/* Least squares of three fractions >= 0 (rbc.prevalence.on_simplex): the best of all sets of
   fractions above 0. */
function fractionsOf(observed, rates) {
  const rows = rates.map((row, i) => row.map((r) => r - observed[i])).concat([[1, 1, 1]]);
  const product = (a, b) => sum(rows.map((row) => row[a] * row[b]));
  const misfit = (x) =>
    sum(rows.map((row, i) => (sum(row.map((r, j) => r * x[j])) - (i === 3)) ** 2));
  let best = [NaN, NaN, NaN];
  let least = Infinity;
  for (let set = 1; set < 8; set++) {
    const chosen = [0, 1, 2].filter((i) => (set >> i) & 1);
    const x = solve(
      chosen.map((a) => chosen.map((b) => product(a, b))),
      chosen.map(() => 1),
    );
    if (!x || x.some((v) => v < 0)) continue;
    const full = [0, 0, 0];
    chosen.forEach((c, i) => {
      full[c] = x[i];
    });
    if (misfit(full) < least - 1e-15) [least, best] = [misfit(full), full];
  }
  return best.map((v) => v / sum(best));
}

/* Gaussian elimination; null where the equations have no single solution. */
function solve(matrix, right) {
  const a = matrix.map((row, i) => [...row, right[i]]);
  const n = a.length;
  for (let i = 0; i < n; i++) {
    const column = a.slice(i).map((row) => Math.abs(row[i]));
    const pivot = i + column.indexOf(Math.max(...column));
    if (Math.abs(a[pivot][i]) < 1e-12) return null;
    [a[i], a[pivot]] = [a[pivot], a[i]];
    for (let k = 0; k < n; k++) {
      const factor = k === i ? 0 : a[k][i] / a[i][i];
      for (let j = i; j <= n; j++) a[k][j] -= factor * a[i][j];
    }
  }
  return a.map((row, i) => row[n] / row[i]);
}

/* Drawn rates: for each draw the shares of the three classes that are predicted tank-treading,
   then those predicted flipping. */
const bytes = Uint8Array.from(atob(data.draws), (c) => c.charCodeAt(0));
const drawn = new Float32Array(bytes.buffer);

const inside = (share) => clamp(share, 1e-9, 1 - 1e-9);

/* What the counts of predictions say, apart from the rates: how many were kept, with the error.
 */
function keptOf([treading, flipping, discarded]) {
  const more = treading + flipping + 0.5;
  const less = discarded + 0.5;
  const n = more + less;
  const observed = more / n;
  const error = Math.sqrt((2 * Math.PI * observed * (1 - observed)) / n);
  return { treading, flipping, more, less, n, observed, error };
}

/* The share of kept cells in draw `b`: the counted one with a normal error of its log odds (Box
   and Muller) from two sequences that fill the unit square evenly. */
function keptInDraw({ more, less }, b) {
  const first = ((b + 0.5) * data.evenly2[0]) % 1;
  const second = ((b + 0.5) * data.evenly2[1]) % 1;
  const normal = Math.sqrt(-2 * Math.log(first)) * Math.cos(2 * Math.PI * second);
  return 1 / (1 + Math.exp(-Math.log(more / less) - normal * Math.sqrt(1 / more + 1 / less)));
}

/* Log likelihood of fraction `p` under one draw of rates, and the share of unreliable cells. */
function explain(kept, keptShare, [t0, t1, t2, f0, f1, f2], p) {
  const { observed, n, error } = kept;
  const reliable = (t0 + f0) * p + (t1 + f1) * (1 - p);
  const apart = reliable - (t2 + f2);
  const exact = apart > 0 ? (reliable - keptShare) / apart : Infinity;
  const unreliable = clamp(exact, 0, 1);
  const expected = inside((1 - unreliable) * reliable + unreliable * (t2 + f2));
  const predicted = (1 - unreliable) * (t0 * p + t1 * (1 - p)) + unreliable * t2;
  const called = inside(predicted / expected);
  const misfit =
    exact === unreliable
      ? 0
      : n *
        (observed * Math.log(expected / observed) +
          (1 - observed) * Math.log((1 - expected) / (1 - observed)));
  const likelihood =
    misfit -
    Math.log(Math.max(apart, error)) +
    kept.treading * Math.log(called) +
    kept.flipping * Math.log1p(-called);
  return [likelihood, unreliable];
}

const DRAWS_AT_ONCE = 256; // between two of these the page can draw a clip and hear a key
const breathe = () =>
  new Promise((resume) => {
    setTimeout(resume);
  });

/* How likely the predictions `said` (tank-treading, flipping, discarded) of the cells without a
   label and the operator's `own` labels (tank-treading, flipping) make each fraction. `stale`
   tells that nobody waits for the answer any more. */
async function densityOfModels(said, own, stale = () => false) {
  const kept = keptOf(said);
  const draws = drawn.length / 6;
  const likelihood = new Float64Array(draws * grid.length);
  const unreliable = new Float64Array(likelihood.length);
  for (let b = 0; b < draws; b++) {
    if (b % DRAWS_AT_ONCE === 0) await breathe();
    if (stale()) return null;
    const share = keptInDraw(kept, b);
    const rates = drawn.subarray(6 * b, 6 * b + 6);
    grid.forEach((p, i) => {
      const at = b * grid.length + i;
      [likelihood[at], unreliable[at]] = explain(kept, share, rates, p);
    });
  }
  return mixed(likelihood, unreliable, sum(said), own);
}

/* Sum the likelihood over the draws. The labelled cells have a fraction too: the movie's is the
   mean of both, each weighed by its number of reliable cells. */
function mixed(likelihood, unreliable, cells, own) {
  const most = likelihood.reduce((a, b) => Math.max(a, b), -Infinity);
  const mine = own[0] + own[1];
  const labelled = mine ? densityOfOwn(own) : null;
  const shares = new Float64Array(grid.length);
  likelihood.forEach((value, at) => {
    const weight = Math.exp(value - most);
    const i = at % grid.length;
    if (!mine) {
      shares[i] += weight;
      return;
    }
    const rest = cells * (1 - unreliable[at]);
    const theirs = Math.sin(angle(labelled, ((at + 0.5) * data.evenly) % 1)) ** 2;
    const both = clamp((rest * grid[i] + mine * theirs) / (rest + mine), 0, 1);
    shares[Math.min(Math.floor(Math.asin(Math.sqrt(both)) / step), grid.length - 1)] += weight;
  });
  return shares;
}

/* How likely the operator's labels make each fraction of the grid. */
function densityOfOwn(own) {
  const mine = grid.map((p) => own[0] * Math.log(p) + own[1] * Math.log1p(-p));
  const top = Math.max(...mine);
  return summed(mine.map((x) => Math.exp(x - top)));
}

// --- the three estimates ---

const without = (withheld) => ({ estimate: null, low: null, high: null, withheld, caution: null });

/* What rbc.marker.caution says beside a wide interval. */
const cautioned = (found) => ({
  ...found,
  withheld: null,
  caution: found.high - found.low > data.widest ? data.caution : null,
});

/* The manual count with Wilson's interval (rbc.marker.by_hand). */
function byHand(labels) {
  const count = (label) => [...labels.values()].filter((given) => given === label).length;
  const treading = count("tank-treading");
  const n = treading + count("flipping");
  if (!n) return without("you have labelled no tank-treading or flipping cell");
  const z = 1.959963984540054;
  const p = treading / n;
  const middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return cautioned({
    estimate: p,
    low: Math.max(middle - half, 0),
    high: Math.min(middle + half, 1),
  });
}

/* The models' estimate for the cells without a label, and the labels as they are. */
async function modelsWithLabels(labels, stale) {
  const rest = data.cells.filter(([name]) => !labels.has(name)).map(([, predicted]) => predicted);
  const own = classes
    .slice(0, 2)
    .map((label) => [...labels.values()].filter((given) => given === label).length);
  if (!rest.length) return byHand(labels);
  if (!data.rates) return without("no labelled cells of one class are known");
  const said = [0, 0, 0];
  for (const predicted of rest) said[Math.min(strata.indexOf(predicted), 2)] += 1;
  const unreliable = fractionsOf(
    said.map((n) => n / rest.length),
    data.rates,
  )[2];
  if (!(unreliable / (1 - unreliable) <= data.mostUnreliable))
    return without(
      "with so many unreliable sequences left, the models alone give no usable interval: " +
        data.mend,
    );
  const density = await densityOfModels(said, own, stale);
  return density === null ? null : cautioned(ends(density));
}

/* All three, and with enough labels the one of the cells that stage 1 keeps; null where newer
   labels have come. */
async function estimatesOf(labels, stale = () => false) {
  const found = sampleOf(labels);
  const enough = found.looks >= fewest;
  const ways = { models: data.marker, "with labels": data.marker, "by hand": byHand(labels) };
  if (enough) {
    const kept = strata.map((_, s) => s).filter((s) => strata[s] !== "unreliable");
    ways["with labels"] = cautioned(ends(densityOfLabels(found)));
    ways["discarded alike"] = cautioned(ends(densityOfLabels(found, kept)));
  } else if (labels.size) {
    ways["with labels"] = await modelsWithLabels(labels, stale);
  }
  return ways["with labels"] === null || stale() ? null : { found, enough, ways };
}
