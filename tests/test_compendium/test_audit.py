"""What rounding leaves possible: never too little (hypothesis), the same by brute force, the same
by mlscorecheck.
"""

import logging
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import floor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlscorecheck.check.binary import check_1_testset_no_kfold
from sklearn import metrics as oracle

from compendium.evidence import audit
from rbc.paper import STAGES, reported

logging.getLogger("mlscorecheck").setLevel(logging.ERROR)
NAMES = {"f1": "f1", "accuracy": "acc", "precision": "ppv", "recall": "sens"}


@st.composite
def matrices(draw) -> tuple[int, int, int, int]:
    """True and false positives among p positives and n negatives."""
    p, n = draw(st.integers(1, 150)), draw(st.integers(1, 700))
    return draw(st.integers(0, p)), draw(st.integers(0, n)), p, n


def exact(tp: int, fp: int, p: int, n: int) -> dict[str, Fraction]:
    """Scores by their textbook definitions; precision 0 where nothing was called positive, as
    scikit-learn.
    """
    precision, recall = Fraction(tp, max(tp + fp, 1)), Fraction(tp, p)
    f1 = 2 * precision * recall / (precision + recall) if tp else Fraction(0)
    return {
        "f1": f1,
        "accuracy": Fraction(tp + n - fp, p + n),
        "precision": precision,
        "recall": recall,
    }


#: All the ways in which a program may print a score under each rule.
PRINTERS = {
    "nearest": [
        lambda x: float(round(x, 2)),
        lambda x: float(f"{float(x):.2f}"),
        lambda x: round(float(x), 2),
    ],
    "half up": [lambda x: floor(100 * x + Fraction(1, 2)) / 100],
    "truncated": [lambda x: floor(100 * x) / 100],
    "within 0.01": [lambda x: (floor(100 * x) + 1) / 100, lambda x: floor(100 * x) / 100],
}


@pytest.mark.parametrize("rule", audit.RULES)
@given(matrix=matrices(), data=st.data())
def test_scores_of_a_real_matrix_are_never_called_impossible(rule, matrix, data):
    """A false accusation is the audit's worst fault."""
    printed = {s: data.draw(st.sampled_from(PRINTERS[rule]))(x) for s, x in exact(*matrix).items()}
    found = audit.spans(printed, *matrix[2:], rule)
    assert matrix[:2] in set(zip(*(x.tolist() for x in audit.meet(found)), strict=True))
    assert audit.count(found) == len(audit.meet(found)[0]) and audit.fails(found) == ()
    low, high = audit.share(printed, rule)
    assert low - 1e-6 <= matrix[2] / sum(matrix[2:]) <= high + 1e-6


@pytest.mark.parametrize("tp", [1, 7])
def test_exact_halves_may_be_printed_either_way_but_not_under_half_up(tp):
    """1/8 and 7/8 are 0.125 and 0.875: banker's rounding gives 0.12 and 0.88, half up 0.13 and
    0.88.
    """
    down, up = floor(100 * tp / 8) / 100, floor(100 * tp / 8 + 1) / 100
    for rule, allowed in (("nearest", {down, up}), ("half up", {up}), ("truncated", {down})):
        fits = [
            x for x in (down, up) if tp in audit.meet(audit.spans({"recall": x}, 8, 1, rule))[0]
        ]
        assert set(fits) == allowed


def by_hand(printed: dict[str, float], scores, p: int, n: int, rule: str) -> int:
    """Number of matrices with these scores, tried one by one as fractions."""
    r, hits = audit.RULES[rule], 0
    for tp, fp in product(range(p + 1), range(n + 1)):
        real = exact(tp, fp, p, n)
        ends = {
            s: [Fraction(2 * round(printed[s] * 100) + end, 200) for end in (r.low, r.high)]
            for s in scores
        }
        hits += all(
            lo <= real[s] < hi or (r.closed and real[s] == hi) for s, (lo, hi) in ends.items()
        )
    return hits


@settings(max_examples=25, deadline=None)
@given(
    p=st.integers(1, 9),
    n=st.integers(1, 14),
    rule=st.sampled_from(list(audit.RULES)),
    percents=st.lists(st.integers(0, 100), min_size=4, max_size=4),
)
def test_counts_and_failing_scores_are_those_of_trying_every_matrix(p, n, rule, percents):
    """The fast count must be the slow one."""
    printed = {s: x / 100 for s, x in zip(audit.SCORES, percents, strict=True)}
    found = audit.spans(printed, p, n, rule)
    assert audit.count(found) == by_hand(printed, audit.SCORES, p, n, rule)
    drops = audit.fails(found)
    for drop in drops:
        rest = [s for s in audit.SCORES if s not in drop]
        assert by_hand(printed, rest, p, n, rule)
        assert not by_hand(printed, [*rest, drop[0]], p, n, rule)


def test_every_printed_row_is_judged_as_by_mlscorecheck():
    """A published tool must come to the same verdict on each row."""
    for row in audit.rows():
        p, n = audit.sizes(row.stage, row.split)
        scores = {NAMES[s]: x for s, x in row.scores.items()}
        theirs = check_1_testset_no_kfold(testset={"p": p, "n": n}, scores=scores, eps=0.005)
        assert theirs["inconsistency"] != row.possible
        assert row.possible == (row.matrices > 0) == (row.fails == ())
        if row.possible:
            assert theirs["n_valid_tptn_pairs"] == row.matrices


@settings(max_examples=60, deadline=None)
@given(matrix=matrices(), off=st.lists(st.integers(-2, 2), min_size=4, max_size=4))
@example(matrix=(38, 0, 133, 1), off=[2, 1, 0, 1])
def test_scores_near_possible_ones_are_judged_as_by_mlscorecheck_or_by_trying_every_matrix(
    matrix, off
):
    """Verdicts turn on the last digit, so near misses are tried."""
    tp, fp, p, n = matrix
    printed = {
        s: round(float(x) + d / 100, 2)
        for (s, x), d in zip(exact(tp, fp, p, n).items(), off, strict=True)
    }
    if not all(0 < x <= 1 for x in printed.values()):
        return  # a precision of nothing called: mlscorecheck leaves it undefined
    scores = {NAMES[s]: x for s, x in printed.items()}
    theirs = check_1_testset_no_kfold(testset={"p": p, "n": n}, scores=scores, eps=0.005)
    ours = audit.count(audit.spans(printed, p, n))
    if theirs["inconsistency"]:
        assert ours == 0
    # mlscorecheck looks at pairs of scores and may pass what no matrix gives: every matrix is tried
    else:
        assert ours == sum(prints(printed, a, b, p, n) for a in range(p + 1) for b in range(n + 1))


def prints(printed: dict[str, float], tp: int, fp: int, p: int, n: int) -> bool:
    """Whether a matrix's scores lie within half a hundredth of those printed."""
    hundredths = {s: Fraction(round(100 * x), 100) for s, x in printed.items()}
    # soon, as most matrices fail here
    if abs(Fraction(tp, p) - hundredths["recall"]) > Fraction(1, 200):
        return False
    return all(abs(x - hundredths[s]) <= Fraction(1, 200) for s, x in exact(tp, fp, p, n).items())


def test_rows_of_the_tables_that_some_matrix_can_give():
    """Frozen. With truncation 76 of 95, exactly 0.80, does not print as 0.79."""
    under = {
        rule: [
            sum(row.under[rule] > 0 for row in audit.rows() if row.table == t)
            for t in ("table3", "table4")
        ]
        for rule in audit.RULES
    }
    assert under == {
        "nearest": [3, 6],
        "half up": [3, 6],
        "truncated": [1, 5],
        "within 0.01": [9, 8],
    }


def test_class_counts_are_those_of_table_2():
    """Wrong counts would make true rows look impossible."""
    table = reported("table2").set_index("label")
    for split in table:
        assert audit.sizes(2, split) == tuple(table.loc[["flipping", "tank-treading"], split])
        assert audit.sizes(1, split) == (sum(audit.sizes(2, split)), table.loc["unreliable", split])


def row_of(scores: dict[str, float], stage: int) -> audit.Row:
    """A row of the validation split that prints these scores, as if impossible."""
    given = next(r for r in audit.rows() if r.stage == stage and r.split == "validation")
    printed = {s: round(float(x), 2) for s, x in scores.items()}
    return replace(given, scores=printed, possible=False, share=audit.share(printed))


def labels(tp: int, fp: int, p: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    truth, order = np.r_[np.ones(p, int), np.zeros(n, int)], np.arange(p + n)
    return truth, ((order < tp) | ((order >= p) & (order < p + fp))).astype(int)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("recall", [0.55, 0.9])
@pytest.mark.parametrize("fallout", [0.02, 0.3])
def test_each_explanation_recognises_scores_that_were_made_so(stage, recall, fallout):
    """Scores by scikit-learn, made as each explanation says; the explanation finds them
    possible.
    """
    p, n = audit.sizes(stage, "validation")
    tp, fp = round(recall * p), round(fallout * n)
    truth, called = labels(tp, fp, p, n)
    accuracy, plain = oracle.accuracy_score(truth, called), exact(tp, fp, p, n)

    def averaged(average: str, weight=None) -> dict:
        numbers = oracle.precision_recall_fscore_support(
            truth, called, average=average, sample_weight=weight
        )
        return {
            **dict(zip(("precision", "recall", "f1"), numbers, strict=False)),
            "accuracy": accuracy,
        }

    other = oracle.precision_recall_fscore_support(truth, called, pos_label=0, average="binary")
    made = {
        "balanced accuracy": plain | {"accuracy": oracle.balanced_accuracy_score(truth, called)},
        "macro average": averaged("macro"),
        "weighted average": averaged("weighted"),
        "released code": averaged("weighted", np.where(truth == 1, n, p) / (p + n)),
        "other class": dict(zip(("precision", "recall", "f1"), other, strict=False))
        | {"accuracy": accuracy},
        "training split": exact(*(round(x) for x in _like(recall, fallout, stage, "train"))),
        "swapped split": exact(*(round(x) for x in _like(recall, fallout, stage, "test"))),
        "balanced set": exact(round(recall * 500), round(fallout * 500), 500, 500),
        "another set": exact(round(recall * 20), round(fallout * 70), 20, 70),
    }
    for name, scores in made.items():
        assert audit.EXPLANATIONS[name][1](row_of(scores, stage)), name
    cut = replace(row_of(plain, stage), scores={s: floor(100 * x) / 100 for s, x in plain.items()})
    assert audit.EXPLANATIONS["truncation"][1](cut)


def test_no_explanation_makes_every_printed_row_possible():
    """The page says so, and must stop saying it if it changes."""
    tested = audit.explanations([r for r in audit.rows() if not r.possible])
    assert set(tested["explanation"]) == set(audit.EXPLANATIONS)
    assert not tested.groupby("explanation")["explained"].all().any()


def _like(recall: float, fallout: float, stage: int, split: str) -> tuple[float, float, int, int]:
    p, n = audit.sizes(stage, split)
    return recall * p, fallout * n, p, n


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("seed", range(6))
def test_means_of_real_runs_are_never_excluded_nor_said_to_spread_more_than_they_do(stage, seed):
    """Honest means over runs must never be accused."""
    rng = np.random.default_rng(seed)
    p, n = audit.sizes(stage, "validation")
    runs = [
        exact(int(rng.integers(p // 3, p + 1)), int(rng.integers(0, n // 2)), p, n)
        for _ in range(3)
    ]
    means = {s: float(np.mean([float(run[s]) for run in runs])) for s in audit.SCORES}
    apart = 100 * np.mean([abs(float(run["accuracy"]) - means["accuracy"]) for run in runs])
    found = audit.spread(row_of(means, stage))
    assert found is not None and found <= apart + 0.5  # the mean is printed to half a point


def test_steps_end_at_the_number_of_matrices():
    """The steps shown must lead to the number shown."""
    for row in audit.rows():
        left = audit.steps(row.scores, *audit.sizes(row.stage, row.split))["matrices left"]
        assert left.iloc[-1] == row.matrices and left.is_monotonic_decreasing
