// The sequence browser: fills every .browse from the JSON inside it (compendium/evidence/browse.py says what that holds).
"use strict";

const PAGE = 20; // results shown at first, and by each press of the button for more
const SPEEDS = [2, 5, 10, 20, 30, 60]; // frames a second on the screen

const MARKUP = `
<fieldset class="browse-filters">
  <legend>Which sequences</legend>
  <label>Run <select name="run"></select></label>
  <label>True class <select name="label"></select></label>
  <label>Called <select name="called"></select></label>
  <label>Answer <select name="answer"></select></label>
  <label>Acquisition <select name="acquisition"></select></label>
  <label>Name holds <input type="search" name="words"></label>
  <label>Confidence from <input type="range" name="from" min="50" max="100" value="50"> <span></span></label>
  <label>to <input type="range" name="to" min="50" max="100" value="100"> <span></span></label>
</fieldset>
<p class="browse-status"><span role="status"></span> <a></a></p>
<div class="browse-viewer" role="group" tabindex="0"
  aria-label="Films. Left and right arrow step, space plays or pauses, up and down arrow change the sequence.">
  <div class="browse-windows">
    <figure><div class="browse-window"><img alt=""></div><figcaption><p></p></figcaption></figure>
    <figure hidden><div class="browse-window"><img alt=""></div><figcaption><p></p>
      <button type="button" data-do="close">Close</button></figcaption></figure>
  </div>
  <div class="browse-controls">
    <button type="button" data-do="back" aria-label="Previous frame">‹</button>
    <button type="button" data-do="play">Play</button>
    <button type="button" data-do="on" aria-label="Next frame">›</button>
    <label>Frame <input type="range" name="frame" min="1" value="1"></label>
    <label>Frames a second <select name="speed"></select></label>
  </div>
  <p class="browse-help">Keys: ← → step, space plays or pauses, ↑ ↓ change the sequence.
    Touch: tap a film to play or pause, swipe to step.</p>
</div>
<ol class="browse-list"></ol>
<button type="button" data-do="more">Show more</button>`;

function browse(root) {
  const data = JSON.parse(root.querySelector("script").textContent);
  root.innerHTML = MARKUP;
  const find = (selector) => root.querySelector(selector);
  const field = Object.fromEntries([...root.querySelectorAll("[name]")].map((e) => [e.name, e]));
  const doing = (name) => find(`[data-do=${name}]`);
  const viewer = find(".browse-viewer"), list = find(".browse-list");
  const sides = [...root.querySelectorAll("figure")].map((figure) => (
    { figure, img: figure.querySelector("img"), said: figure.querySelector("figcaption p"), row: null }));
  let rows = [], wanted = PAGE, at = 0, timer = null;

  // What a run says of a sequence.
  const answer = (sequence, i, run) => {
    const called = run.p[i] >= data.threshold, truth = data.positive[run.stage].includes(sequence.label);
    return {
      sequence, wrong: called !== truth, called: data.classes[run.stage][Number(called)],
      confidence: Math.max(run.p[i], 10000 - run.p[i]) / 100, fails: sequence[`wrong_${run.stage}`],
    };
  };
  const verdict = (row) =>
    `${row.wrong ? "✗ wrong" : "✓ right"}: ${row.sequence.label}, called ${row.called} with ` +
    `${row.confidence.toFixed(0)} %; wrong in ${row.fails} runs`;

  // Filters and the list.
  const options = (select, values) => { // keeps what is chosen where it still can be
    const before = select.value;
    select.replaceChildren(new Option("all", ""), ...values.map((value) => new Option(value)));
    select.value = values.includes(before) ? before : "";
  };
  const filter = () => {
    const run = data.runs[field.run.value];
    options(field.called, data.classes[run.stage]);
    const [from, to] = [field.from, field.to].map((e) => Number(e.value));
    for (const e of [field.from, field.to]) e.nextElementSibling.textContent = `${e.value} %`;
    const answered = data.sequences.map((s, i) => (run.p[i] === null ? null : answer(s, i, run))).filter(Boolean);
    rows = answered.filter((row) =>
      (!field.label.value || row.sequence.label === field.label.value) &&
      (!field.called.value || row.called === field.called.value) &&
      (!field.answer.value || row.wrong === (field.answer.value === "wrong")) &&
      (!field.acquisition.value || row.sequence.acquisition === field.acquisition.value) &&
      row.sequence.name.toLowerCase().includes(field.words.value.trim().toLowerCase()) &&
      row.confidence >= from && row.confidence <= to);
    rows.sort((a, b) => b.wrong - a.wrong || b.confidence - a.confidence);
    const count = `${rows.length} of ${answered.length} sequences`;
    find("[role=status]").textContent = `${count}, wrong and confident ones first.`;
    const link = find(".browse-status a");
    [link.href, link.textContent] = [run.page, run.name === "chosen" ? "How it was chosen" : "This run's page"];
    wanted = PAGE;
    draw();
  };
  const picture = (sequence) => `${data.pictures}${encodeURIComponent(sequence.name)}.png`;
  const button = (text, label, press) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.setAttribute("aria-label", label);
    made.addEventListener("click", press);
    return made;
  };
  const item = (row) => {
    const { name, length } = row.sequence, made = document.createElement("li");
    made.dataset.name = name;
    const words = `${name}, ${length} frames. ${verdict(row)}`;
    made.append(Object.assign(document.createElement("span"), { textContent: words }));
    if (!data.pictures) return made;
    const strip = Object.assign(new Image(31 * length, 31), { loading: "lazy", alt: "", src: picture(row.sequence) });
    const show = button("", `Show ${name}`, () => { load(0, row); viewer.focus(); });
    show.className = "browse-strip";
    show.append(strip);
    made.prepend(show);
    made.append(button("Compare", `Compare with ${name}`, () => { load(1, row); viewer.focus(); }));
    return made;
  };
  const draw = () => {
    list.replaceChildren(...rows.slice(0, wanted).map(item));
    doing("more").hidden = rows.length <= wanted;
    mark();
  };
  const mark = () => {
    for (const li of list.children) li.setAttribute("aria-current", li.dataset.name === sides[0].row?.sequence.name);
  };

  // The two windows.
  const load = (side, row) => {
    sides[side].row = row;
    sides[side].figure.hidden = !row;
    if (row) {
      sides[side].img.src = picture(row.sequence);
      sides[side].img.alt = `Film of ${row.sequence.name}, ${row.sequence.length} frames`;
    }
    field.frame.max = Math.max(...sides.map((s) => s.row?.sequence.length ?? 1));
    mark();
    step(0, 0);
  };
  const step = (by, from = at) => { // the shorter of two films begins anew
    const longest = Number(field.frame.max);
    at = (from + by + longest) % longest;
    field.frame.value = at + 1;
    for (const { row, img, said } of sides.filter((s) => s.row)) {
      const { name, length } = row.sequence, frame = at % length;
      img.style.transform = `translateX(${(-100 * frame) / length}%)`;
      field.frame.setAttribute("aria-valuetext", `frame ${frame + 1} of ${length}`);
      said.textContent = `${name}, frame ${frame + 1} of ${length}. ${verdict(row)}`;
    }
  };
  const play = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(() => step(1), 1000 / Number(field.speed.value)) : null;
    doing("play").textContent = on ? "Pause" : "Play";
  };
  const halt = (by) => { play(false); step(by); };
  const another = (by) => {
    const here = rows.findIndex((row) => row.sequence === sides[0].row?.sequence);
    if (rows.length) load(0, rows[(here + by + rows.length) % rows.length]);
  };

  // Mouse, touch, keys.
  const actions = {
    back: () => halt(-1), on: () => halt(1), play: () => play(timer === null),
    close: () => { load(1, null); viewer.focus(); },
    more: () => { wanted += PAGE; draw(); list.children[wanted - PAGE].querySelector("button")?.focus(); },
  };
  for (const [name, press] of Object.entries(actions)) doing(name).addEventListener("click", press);
  field.frame.addEventListener("input", () => { play(false); step(0, Number(field.frame.value) - 1); });
  field.speed.addEventListener("change", () => play(timer !== null));
  const keys = {
    ArrowLeft: actions.back, ArrowRight: actions.on, " ": actions.play,
    ArrowUp: () => another(-1), ArrowDown: () => another(1),
  };
  viewer.addEventListener("keydown", (event) => {
    const own = event.target.matches("input, select") || (event.key === " " && event.target.matches("button"));
    if (own || !keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const pane of root.querySelectorAll(".browse-window")) {
    let x = 0;
    pane.addEventListener("pointerdown", (event) => { x = event.clientX; });
    pane.addEventListener("pointerup", (event) => {
      const swiped = event.clientX - x;
      if (Math.abs(swiped) > 20) halt(swiped < 0 ? 1 : -1);
      else actions.play();
    });
  }

  // The start.
  const title = (run) => `${run.name} (stage ${run.stage})`;
  field.run.append(...data.runs.map((run, i) => new Option(title(run), i)));
  for (const key of ["label", "acquisition"]) {
    options(field[key], [...new Set(data.sequences.map((s) => s[key]))].sort());
  }
  options(field.answer, ["wrong", "right"]);
  field.speed.append(...SPEEDS.map((speed) => new Option(speed, speed, speed === 10, speed === 10)));
  viewer.hidden = !data.pictures;
  find(".browse-filters").addEventListener("input", filter);
  filter();
  if (data.pictures && rows.length) load(0, rows[0]);
}

document.querySelectorAll(".browse").forEach(browse);
