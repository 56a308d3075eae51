// Exercises that a reader edits and runs on the page: each block of class "lab" becomes an editor.
// Python comes from the folder lab beside the pages (book/lab.py), when the first one is run.
"use strict";
(() => {
  const SECONDS = 30; // an answer that computes for longer never ends
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const folder = new URL("lab/", root).href;
  const blocks = [...document.querySelectorAll("div.lab")];
  if (!blocks.length) return;
  const state = document.getElementById("lab-state");
  let worker = null; // keeps Python ready between two runs
  let stop = null; // ends the run in progress; null where none is

  function end() {
    worker?.terminate();
    worker = null;
  }

  // What was typed stays when the page is opened again; a browser may refuse to keep it.
  const kept = {
    read(name) { try { return localStorage.getItem(`lab-${name}`); } catch { return null; } },
    write(name, text) { try { localStorage.setItem(`lab-${name}`, text); } catch { /* not kept */ } },
    forget(name) { try { localStorage.removeItem(`lab-${name}`); } catch { /* nothing was kept */ } },
  };

  function run(source, output, buttons) {
    stop?.("Stopped, as another exercise was run.");
    output.textContent = worker ? "" : "Python starts …";
    const lines = [];
    const show = (words) => { lines.push(words); output.textContent = lines.join("\n"); };
    const finish = (words) => {
      clearTimeout(clock);
      stop = null;
      if (words || !lines.length) show(words || "It ended and printed nothing.");
      buttons.run.disabled = false;
      buttons.stop.hidden = true;
    };
    stop = (words) => { end(); finish(words); };
    const clock = setTimeout(() => stop(`Stopped after ${SECONDS} seconds.`), 1000 * SECONDS);
    buttons.run.disabled = true;
    buttons.stop.hidden = false;
    buttons.stop.onclick = () => stop("Stopped.");
    worker ??= new Worker(new URL("_static/lab-worker.js", root));
    worker.onmessage = ({ data }) => {
      if (data.kind === "line") show(data.words);
      else if (data.kind === "end") finish(data.words);
      else stop(`Python did not run: ${data.words}`);
    };
    worker.onerror = (event) => stop(`Python did not start: ${event.message || "its files are missing"}`);
    worker.postMessage({ folder, source });
  }

  function button(words, hidden = false) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", textContent: words, hidden });
    return made;
  }

  function editor(block) {
    const heading = block.closest("section").querySelector("h2");
    const title = heading.firstChild.textContent.trim();
    const name = title.toLowerCase().replace(/\W+/g, "-");
    const given = block.querySelector("pre").textContent.trimEnd() + "\n";
    const text = document.createElement("textarea");
    Object.assign(text, { value: kept.read(name) ?? given, spellcheck: false, autocapitalize: "off" });
    text.rows = Math.min(given.split("\n").length + 2, 32);
    text.setAttribute("aria-label", `Python: ${title}`);
    text.oninput = () => kept.write(name, text.value);
    // Four spaces for the key of tabs; Escape, then the key, leaves the field as elsewhere.
    let leaving = false;
    text.onkeydown = (event) => {
      if (event.key === "Tab" && !event.shiftKey && !leaving) {
        event.preventDefault();
        text.setRangeText("    ", text.selectionStart, text.selectionEnd, "end");
        text.oninput();
      }
      leaving = event.key === "Escape";
    };
    const buttons = { run: button("Run"), stop: button("Stop", true), again: button("Start again") };
    const output = document.createElement("pre");
    output.setAttribute("role", "status");
    output.tabIndex = 0;
    buttons.run.onclick = () => run(text.value, output, buttons);
    buttons.again.onclick = () => { text.value = given; kept.forget(name); output.textContent = ""; };
    const row = document.createElement("p");
    row.append(...Object.values(buttons));
    const made = document.createElement("div");
    made.className = "lab-editor";
    made.append(text, row, output);
    block.replaceWith(made);
  }

  if (location.protocol === "file:") {
    state.textContent = "This page was opened from a disk, where a browser runs no Python. Serve the book (make lab, then make serve), or run the files.";
    return;
  }
  fetch(`${folder}pyodide-lock.json`, { method: "HEAD" }).then((answer) => {
    if (!answer.ok) throw new Error(String(answer.status));
    state.textContent = "Press Run below an exercise. Python, 12 MB, is read from this site once.";
    blocks.forEach(editor);
  }).catch(() => {
    state.textContent = "This copy of the book carries no Python for the browser (make lab puts it there). Run the files instead.";
  });
})();
