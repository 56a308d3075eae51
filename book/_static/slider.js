"use strict";

/* The sliders of the page "Test results": a threshold and a prevalence, and the scores that follow.
   Everything is computed from four counts at each threshold that the page carries. */

/* A share in two digits; "undefined" where it is 0 / 0. */
const share = (part, whole) => (whole > 0 ? (part / whole).toFixed(2) : "undefined");

function follow(figure) {
  const counts = JSON.parse(figure.dataset.counts);
  const steps = Number(figure.dataset.steps);
  const threshold = figure.querySelector("[name=threshold]");
  const prevalence = figure.querySelector("[name=prevalence]");
  const tested = Number(prevalence.value);
  const show = (name, words) => { figure.querySelector(name).textContent = words; };

  function update() {
    const at = Number(threshold.value);
    const tp = counts.tp[at];
    const fp = counts.fp[at];
    const cells = { tp, fp, fn: counts.positives - tp, tn: counts.negatives - fp };
    for (const [name, n] of Object.entries(cells)) show(`[data-cell=${name}]`, n);
    show("[name=threshold-words]", (at / steps).toFixed(2));

    // Recall and specificity belong to the model; the rest changes with the share of positives.
    const recall = tp / counts.positives;
    const specificity = cells.tn / counts.negatives;
    const moved = Number(prevalence.value) !== tested;
    const positive = moved ? prevalence.value / 100 : counts.positives / (counts.positives + counts.negatives);
    const found = recall * positive;
    const wrong = (1 - specificity) * (1 - positive);
    show("[name=prevalence-words]", `${prevalence.value} %${moved ? "" : ", as tested"}`);
    const words = [
      `recall ${share(tp, counts.positives)}`,
      `specificity ${share(cells.tn, counts.negatives)}`,
      `precision ${share(found, found + wrong)}`,
      `F1 ${share(2 * found, found + wrong + positive)}`,
    ];
    if (figure.dataset.stage === "2") {
      const marker = 100 * (1 - found - wrong);
      words.push(`tank-treading by counting ${marker.toFixed(0)} %, truly ${(100 * (1 - positive)).toFixed(0)} %`);
    }
    show(".scores", words.join(", "));
  }

  threshold.addEventListener("input", update);
  prevalence.addEventListener("input", update);
  update();
}

document.addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll("figure.slider").forEach(follow));
