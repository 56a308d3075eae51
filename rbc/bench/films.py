"""Sequences as films inside a page: one PNG strip each, shown frame by frame; no file beside it, no
request.
"""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from rbc.paper import FRAME_PX
from rbc.sequences import strip

LONGEST = 60  #: frames of one film at most, its first
#: frames on one page at most: at some 0.7 kB each (PNG in base64) it stays below 1.1 MB
A_PAGE = 1400
SIDE = 3 * FRAME_PX  #: of the window, in px

#: How films look and move. Opening a group plays its films, unless the reader prefers less motion;
#: safe to be repeated.
PLAYER = """
<style>
.films { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0.5rem 0 1rem; }
.film { width: 11rem; margin: 0; font-size: 0.75rem; line-height: 1.3; overflow-wrap: anywhere; }
.film-window { width: SIDEpx; height: SIDEpx; overflow: hidden; }
.film-window img { height: SIDEpx !important; max-width: none !important; }
.film-window img { image-rendering: pixelated; }
/* against the theme's, when dark */
.film-window img { margin: 0 !important; padding: 0 !important; filter: none !important; }
.film figcaption { color: inherit; text-align: left; }
@media (max-width: 480px) { .films { gap: 0.5rem; } .film { width: 6.6rem; } }
.film button { min-width: 1.8rem; min-height: 1.8rem; }
</style>
<script>
for (const film of document.querySelectorAll(".film:not([data-ready])")) {
  film.dataset.ready = "yes";
  const frames = Number(film.dataset.frames), strip = film.querySelector("img");
  const play = film.querySelector("[data-play]"), name = film.dataset.name;
  let at = 0, timer = null;
  const show = (frame) => {
    at = (frame + frames) % frames;
    strip.style.transform = `translateX(${-SIDE * at}px)`;
    film.querySelector("output").textContent = `${at + 1} / ${frames}`;
  };
  const run = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(() => show(at + 1), 100) : null;
    play.textContent = on ? "\u2016" : "\u25b6";
    play.setAttribute("aria-label", `${on ? "Pause" : "Play"} ${name}`);
  };
  play.addEventListener("click", () => run(timer === null));
  for (const button of film.querySelectorAll("[data-step]"))
    button.addEventListener("click", () => { run(false); show(at + Number(button.dataset.step)); });
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const group = film.closest("details");
  group?.addEventListener("toggle", () => run(group.open && !calm));
}
</script>
""".replace("SIDE", str(SIDE))


def png(frames: np.ndarray) -> bytes:
    """The strip of one sequence, (T, 31, 31) uint8, as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(strip(frames)).save(file, "PNG", optimize=True)
    return file.getvalue()


def film(frames: np.ndarray, name: str, note: str = "") -> str:
    """HTML of one sequence: its strip in a window of one frame, buttons, name and note below.

    Parameters
    ----------
    frames : (T, 31, 31) uint8
    name : of the sequence
    note : what stands below, as text
    """
    data, name, n = base64.b64encode(png(frames)).decode(), escape(name), len(frames)
    return (
        f'<figure class="film" data-frames="{n}" data-name="{name}">'
        f'<div class="film-window"><img src="data:image/png;base64,{data}" alt="Film of {name},'
        f' {n} frames" /></div>'
        '<button type="button" data-step="-1" aria-label="Previous frame of'
        f' {name}">\u2039</button>'
        f'<button type="button" data-play="" aria-label="Play {name}">\u25b6</button>'
        f'<button type="button" data-step="1" aria-label="Next frame of {name}">\u203a</button>'
        f" <output>1 / {n}</output><figcaption>{name}<br />{escape(note)}</figcaption></figure>"
    )


def group(title: str, films: list[str]) -> str:
    """HTML of several films that open under a title.

    Parameters
    ----------
    title : as text
    films : HTML, of `film`
    """
    return (
        f"<details><summary>{escape(title)}</summary><div"
        f' class="films">{"".join(films)}</div></details>'
    )


def affordable(lengths: np.ndarray) -> int:
    """How many frames a film may have, up to `LONGEST`, for sequences of these lengths to fit into
    one page.
    """
    caps = range(LONGEST, 1, -1)
    return next((cap for cap in caps if np.minimum(lengths, cap).sum() <= A_PAGE), 1)
