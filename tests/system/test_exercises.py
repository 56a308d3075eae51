"""The exercises of the chapters that teach: a solution passes its check; the stub and a wrong
answer do not.
"""

import ast
import importlib.util
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from compendium import ROOT
from rbc import models, prevalence, simulate
from rbc.paper import reported

pytestmark = pytest.mark.slow

FOLDER = ROOT / "book" / "learn" / "exercises"

#: What somebody might answer who has fallen into the trap that the exercise is about.
WRONG = {
    # not cut to [0, 1]
    "adjust": {"adjusted": lambda called, right, wrong: (called - wrong) / (right - wrong)},
    "cells_needed": {
        "cells_needed": lambda change, fraction: round(
            2 * fraction * (1 - fraction) * (1.96 / change) ** 2
        )
    },  # the edge of significance: found every other time
    "chance": {"spread": lambda fraction, cells: fraction * (1 - fraction) / cells},  # the variance
    "flip_film": {
        "frames_between_edges": lambda ratio, shear, rate: (
            2 * 3.14159 / shear * (ratio + 1 / ratio) * rate
        ),
        "share_seen": lambda film, between: min(1, film / between),
    },  # a whole period
    "focus": {"sharpness": lambda frames: frames.std()},  # contrast, not focus
    # names that occur twice: no sequence does
    "leak": {
        "leaks": lambda table, column: {
            name for name, n in Counter(row["name"] for row in table).items() if n > 1
        }
    },
    "link": {"predict": lambda track: track[-1] + 10},  # one speed for all cells
    "lying_metric": {
        "liar": lambda positives, negatives: (0, 0, positives, negatives),
        "honest": lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn),
    },  # accuracy
    "padding": {"shift": lambda network, frames, extra: 0.0},
    # 3 % of the wrong class
    "predict_confusion": {"PREDICTED": {"tp": 1692, "fp": 55, "fn": 147, "tn": 52760}},
    "released_similarity": {
        "most_similar_released": min,
        "kept_by_released": lambda length, k: list(range(k)),
    },
    "sizes": {
        "side": lambda before, kernel, stride, padding: (
            (before + 2 * padding - kernel) // stride + 1
        ),
        "weights": lambda n_in, n_out, kernel: n_in * n_out * kernel * kernel,
    },  # without biases
}
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
#: Those that work with cells or networks; all others need Python alone, and so run in a browser.
NEED_RBC = {"focus", "padding", "released_similarity"}


def load(path) -> ModuleType:
    """A file as a module."""
    specification = importlib.util.spec_from_file_location(f"exercise_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_passes_and_the_stub_does_not(name):
    """A check that an empty answer passes teaches nothing."""
    exercise, solution = load(FOLDER / f"{name}.py"), load(FOLDER / "solutions" / f"{name}.py")
    exercise.check(solution)
    with pytest.raises(AssertionError):
        exercise.check(exercise)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_answer_fails_and_is_told_why(name):
    """A student must learn from a mistake."""
    with pytest.raises(AssertionError) as failure:
        load(FOLDER / f"{name}.py").check(SimpleNamespace(**WRONG[name]))
    assert len(str(failure.value).splitlines()[0]) > 10


def imported(path) -> set[str]:
    """Packages that a file names in its imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("name", sorted(set(NAMES) - NEED_RBC))
def test_an_exercise_without_cells_or_networks_needs_python_alone(name):
    """A class without an installation must be able to do it, in a browser or on any laptop."""
    files = (FOLDER / f"{name}.py", FOLDER / "solutions" / f"{name}.py")
    assert set().union(*map(imported, files)) <= set(sys.stdlib_module_names)


def test_solutions_agree_with_the_library():
    """What is taught by hand must be what the project computes with."""
    known = {name: load(FOLDER / "solutions" / f"{name}.py") for name in NAMES}
    for called in (0.05, 0.5, 0.85, 0.99):
        assert known["adjust"].adjusted(called, 0.95, 0.10) == pytest.approx(
            prevalence.adjusted_count(called, 0.95, 0.10)
        )
    cells = known["cells_needed"].cells_needed(0.05, 0.93)
    shown = [prevalence.power_of_change(0.93, 0.05, n) for n in (cells - 1, cells)]
    assert shown[0] < 0.8 <= shown[1]

    facing = abs(simulate.jeffery(5000, 0.375, np.inf)[:, 2])  # 0 where a disc is seen edge-on
    edges = 1 + np.flatnonzero((facing[1:-1] < facing[:-2]) & (facing[1:-1] <= facing[2:]))
    between = known["flip_film"].frames_between_edges(0.375, simulate.SHEAR, simulate.FPS)
    assert abs(between - np.diff(edges).mean()) < 0.5

    x = torch.zeros(1, 1, 31, 31)
    for layer in models.CRNN().features[:9]:
        before, x = x.shape[-1], layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            shape = (layer.kernel_size[0], layer.stride[0], layer.padding[0])
            trained = sum(p.numel() for p in layer.parameters())
            assert trained == known["sizes"].weights(
                layer.in_channels, layer.out_channels, layer.kernel_size[0]
            )
        elif isinstance(layer, torch.nn.MaxPool2d):
            shape = (layer.kernel_size, layer.stride, layer.padding)
        else:
            continue
        assert known["sizes"].side(before, *shape) == x.shape[-1]


def test_numbers_of_the_paper_in_the_exercises_are_the_papers():
    """Exercises carry them as text, so that they need nothing else."""
    printed = reported("test_results").set_index("stage").loc[1]
    counts = (printed["n_positive"], printed["n_negative"])
    assert counts == (1839, 52815) and (printed["tpr_percent"], printed["tnr_percent"]) == (92, 97)
    for name in ("predict_confusion", "lying_metric"):
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        assert "1839" in text and "52815" in text
    handed_out = (ROOT / HANDOUT).read_text(encoding="utf-8").replace(",", "")
    predicted = load(FOLDER / "solutions" / "predict_confusion.py").PREDICTED
    assert all(str(count) in handed_out for count in (*counts, *predicted.values()))
    flow = load(FOLDER / "flip_film.py")
    assert (flow.SHEAR_RATE, flow.FRAME_RATE) == (simulate.SHEAR, simulate.FPS)


MOTION, PREVALENCE = "notebooks/learn-motion.ipynb", "notebooks/learn-prevalence.ipynb"
HANDOUT = "book/learn/handout.md"
FIVE_POINTS, ADJUST = ("cells_needed", (0.05, 0.93)), ("adjusted", (0.85, 0.95, 0.10))
#: Where a page carries what the code of a solution gives: page, function and arguments, words.
CARRIED = [
    ("book/learn/disease.md", ("spread", (0.7, 200)), "= {:.3f}$ for one movie"),
    (MOTION, ("frames_between_edges", (0.375, 10, 60)), "60 = {:.0f}$ frames"),
    (MOTION, ("share_seen", (32, 57)), "32/57 = {:.2f}$"),
    (PREVALENCE, ADJUST, "(0.95 - 0.10) = {:.2f}$"),
    (PREVALENCE, FIVE_POINTS, "Five points take {} cells"),
    (PREVALENCE, ("cells_needed", (0.02, 0.93)), "two points {}."),
    ("book/own-movies.md", FIVE_POINTS, "each of two movies needs {} reliable cells"),
    (HANDOUT, FIVE_POINTS, "{} cells in each movie"),
    (HANDOUT, ADJUST, "(0.95 - 0.10) = {:.2f}$"),
]


@pytest.mark.parametrize(("page", "asked", "words"), CARRIED)
def test_a_number_in_the_text_of_a_solution_is_what_its_code_gives(page, asked, words):
    """A typed number drifts from its code."""
    function, arguments = asked
    solutions = (load(FOLDER / "solutions" / f"{name}.py") for name in NAMES)
    code = next(
        getattr(solution, function) for solution in solutions if hasattr(solution, function)
    )
    assert words.format(code(*arguments)) in (ROOT / page).read_text(encoding="utf-8")
