// The sections of the page "Slides", shown one at a time: arrows, space, Home and End; Escape ends.
"use strict";
(() => {
  const start = document.getElementById("slides-start");
  if (!start) return;
  const slides = [...document.querySelectorAll("article section > section")];
  let now = -1;

  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show as slides";
  start.replaceChildren(button, " Then: arrow keys or a tap for the next one, Escape to end.");

  function show(number) {
    now = Math.max(0, Math.min(number, slides.length - 1));
    document.body.classList.add("showing-slides");
    slides.forEach((slide, i) => slide.classList.toggle("slide-now", i === now));
    slides[now].dataset.place = `${now + 1} / ${slides.length}`;
    slides[now].querySelector("h2").tabIndex = -1;
    slides[now].querySelector("h2").focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function end() {
    document.body.classList.remove("showing-slides");
    slides[now].scrollIntoView();
    now = -1;
    if (document.fullscreenElement) document.exitFullscreen();
  }

  button.onclick = () => {
    document.documentElement.requestFullscreen?.().catch(() => { /* shown in the window then */ });
    show(0);
  };
  document.addEventListener("keydown", (event) => {
    if (now < 0) return;
    const to = {
      ArrowRight: now + 1, PageDown: now + 1, " ": now + 1, ArrowLeft: now - 1, PageUp: now - 1,
      Home: 0, End: slides.length - 1,
    }[event.key];
    if (to !== undefined) { event.preventDefault(); event.stopPropagation(); show(to); }
    if (event.key === "Escape") end();
  }, true);
  document.addEventListener("fullscreenchange", () => {
    if (now >= 0 && !document.fullscreenElement) end(); // Escape ends both
  });
  document.addEventListener("click", (event) => {
    if (now >= 0 && event.target !== button && !event.target.closest("a, button")) show(now + 1);
  });
})();
