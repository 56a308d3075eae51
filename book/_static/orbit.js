// A red cell in shear flow that the reader can move: side view, camera's view, and width over time.
// Flipping follows Jeffery's equation for a spheroid whose axis stays in the plane of shear, as rbc.simulate.jeffery.
"use strict";
(() => {
  const FPS = 60, FRAMES = 240, A = 46, TILT = (18 * Math.PI) / 180;
  const period = (ratio, shear) => ((2 * Math.PI) / shear) * (ratio + 1 / ratio); // seconds
  const angle = (ratio, shear, frame) => { // of the symmetry axis from the line of sight; 0 is face on
    const turn = (2 * Math.PI * frame) / FPS / period(ratio, shear);
    return Math.atan2(ratio * Math.sin(turn), Math.cos(turn));
  };
  const width = (ratio, phi) => Math.hypot(Math.cos(phi), ratio * Math.sin(phi)); // seen along the flow, over diameter
  window.orbit = { period, angle, width };

  const root = document.getElementById("orbit");
  if (!root) return;
  root.innerHTML = `
    <fieldset><legend>Motion</legend>
      <label><input type="radio" name="orbit-motion" value="flipping" checked> flipping (stiff)</label>
      <label><input type="radio" name="orbit-motion" value="tank-treading"> tank-treading (soft)</label>
    </fieldset>
    <div class="orbit-row"><label for="orbit-ratio">Axis ratio (thickness / diameter)</label>
      <input id="orbit-ratio" type="range" min="0.2" max="1" step="0.025" value="0.375"><output for="orbit-ratio"></output></div>
    <div class="orbit-row"><label for="orbit-shear">Shear rate (per second)</label>
      <input id="orbit-shear" type="range" min="2" max="40" step="1" value="10"><output for="orbit-shear"></output></div>
    <div class="orbit-row"><label for="orbit-frame">Frame (60 a second)</label>
      <input id="orbit-frame" type="range" min="0" max="${FRAMES - 1}" step="1" value="0"><output for="orbit-frame"></output></div>
    <p><button type="button" id="orbit-play">Play</button> <span id="orbit-words"></span></p>
    <svg viewBox="0 0 600 330" role="img" aria-labelledby="orbit-title"><title id="orbit-title"></title>
      <defs><marker id="orbit-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0 8 4 0 8z" fill="currentColor"/></marker></defs>
      <text x="20" y="18">side view</text><text x="330" y="18">the camera's view</text>
      <g class="orbit-flow">${[0, 1, 2, 3, 4].map((i) => `<path d="M20 ${150 - 28 * i}h${6 + 22 * i}"/>`).join("")}</g>
      <path class="orbit-axis" d="M20 160H290"/>
      <g transform="translate(200 92)"><g id="orbit-side"><ellipse class="orbit-cell" rx="${A}" ry="10"/>
        <path class="orbit-axis" d="M0 0V-60"/></g><g id="orbit-beads"></g></g>
      <g transform="translate(440 92)"><ellipse id="orbit-top" class="orbit-cell" rx="${A}" ry="${A}"/></g>
      <text x="20" y="196">width along the flow / diameter</text>
      <path class="orbit-axis" d="M40 210V305H590"/><text x="10" y="222">1</text><text x="10" y="308">0</text>
      <text x="500" y="325">frame ${FRAMES}</text>
      <polyline id="orbit-curve"/><path id="orbit-now"/>
    </svg>`;
  const get = (id) => root.querySelector(`#orbit-${id}`);
  const at = (frame, seen) => [40 + (550 * frame) / FRAMES, 305 - 90 * seen];
  let timer = null;

  function draw() {
    const ratio = Number(get("ratio").value), shear = Number(get("shear").value), frame = Number(get("frame").value);
    const flips = root.querySelector("[name=orbit-motion]:checked").value === "flipping";
    const phi = flips ? angle(ratio, shear, frame) : -TILT, seen = width(ratio, phi);
    get("side").setAttribute("transform", `rotate(${(phi * 180) / Math.PI})`);
    get("side").querySelector("ellipse").setAttribute("ry", A * ratio);
    get("side").querySelector("path").style.display = flips ? "" : "none";
    get("top").setAttribute("rx", A * seen);
    const beads = [0, 1, 2, 3, 4, 5].map((i) => { // on the membrane; their speed is drawn, not computed
      const turn = (2 * Math.PI * i) / 6 + (flips ? 0 : ((shear / 4) * frame) / FPS);
      const x = A * Math.cos(turn), y = A * ratio * Math.sin(turn);
      const [c, s] = [Math.cos(phi), Math.sin(phi)];
      return `<circle r="4" cx="${x * c - y * s}" cy="${x * s + y * c}"/>`;
    });
    get("beads").innerHTML = beads.join("");
    const curve = Array.from({ length: FRAMES }, (_, f) => at(f, flips ? width(ratio, angle(ratio, shear, f)) : seen));
    get("curve").setAttribute("points", curve.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "));
    const [x, y] = at(frame, seen);
    get("now").setAttribute("d", `M${x} 210V305M${x - 5} ${y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0`);
    const T = period(ratio, shear);
    const words = flips
      ? `Period ${T.toFixed(2)} s = ${Math.round(T * FPS)} frames; seen edge-on every ${Math.round((T * FPS) / 2)} frames.`
      : "The outline stays; only the membrane (dots) goes round.";
    get("words").textContent = words;
    get("title").textContent =
      `${flips ? "Flipping" : "Tank-treading"} cell in frame ${frame}: ${seen.toFixed(2)} of its diameter wide. ${words}`;
    for (const [id, value] of [["ratio", ratio.toFixed(3)], ["shear", shear], ["frame", frame]])
      get(id).nextElementSibling.textContent = value;
  }
  function run(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => { get("frame").value = (Number(get("frame").value) + 1) % FRAMES; draw(); }, 50) : null;
    get("play").textContent = on ? "Pause" : "Play";
  }
  root.addEventListener("input", (event) => { if (event.target.id === "orbit-frame") run(false); draw(); });
  get("play").addEventListener("click", () => run(timer === null));
  draw();
})();
