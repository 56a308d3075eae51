"""The exercises of the chapters that teach: a solution passes its check; the stub and a wrong
answer do not.
"""

import importlib.util
from types import SimpleNamespace

import pytest

from compendium import ROOT

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
    "leak": {"leaks": lambda table, column: set(table["name"][table["name"].duplicated()])},
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


def load(path):
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


@pytest.mark.parametrize(
    ("page", "name", "function", "arguments", "printed"),
    [
        ("book/learn/disease.md", "chance", "spread", (0.7, 200), "= {:.3f}$ for one movie"),
        (
            "notebooks/learn-motion.ipynb",
            "flip_film",
            "frames_between_edges",
            (0.375, 10, 60),
            "60 = {:.0f}$ frames",
        ),
        ("notebooks/learn-motion.ipynb", "flip_film", "share_seen", (32, 57), "32/57 = {:.2f}$"),
        (
            "notebooks/learn-prevalence.ipynb",
            "adjust",
            "adjusted",
            (0.85, 0.95, 0.10),
            "(0.95 - 0.10) = {:.2f}$",
        ),
        (
            "notebooks/learn-prevalence.ipynb",
            "cells_needed",
            "cells_needed",
            (0.05, 0.93),
            "Five points take {} cells",
        ),
        (
            "notebooks/learn-prevalence.ipynb",
            "cells_needed",
            "cells_needed",
            (0.02, 0.93),
            "two points {}.",
        ),
        (
            "book/own-movies.md",
            "cells_needed",
            "cells_needed",
            (0.05, 0.93),
            "each of two movies needs {} reliable cells",
        ),
    ],
)
def test_a_number_in_the_text_of_a_solution_is_what_its_code_gives(
    page, name, function, arguments, printed
):
    """A typed number drifts from its code."""
    answer = getattr(load(FOLDER / "solutions" / f"{name}.py"), function)(*arguments)
    assert printed.format(answer) in (ROOT / page).read_text(encoding="utf-8")
