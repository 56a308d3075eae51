"""The marker from cells labelled at random: the order of looks, what counts as random, the density,
and how many looks are needed.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rbc import labelling, marker
from rbc.bench.corrections import Corrections, read_corrections
from rbc.labelling import STRATA, Sample
from rbc.paper import LABELS


def movie(sizes, seed=0):
    """A movie's cells with what is predicted of them, in no order."""
    decisions = np.repeat(STRATA, sizes)
    cells = pd.DataFrame({"decision": decisions})
    cells["name"] = [f"c{n}" for n in range(len(cells))]
    return cells.sample(frac=1, random_state=seed, ignore_index=True)


def labelled(sizes, counts, known=None):
    counts = np.array(counts)
    return Sample(
        np.array(sizes), counts, counts if known is None else np.array(known), int(counts.sum())
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=4, max_size=4), st.integers(0, 5))
def test_the_order_holds_every_cell_once_and_depends_on_the_seed_alone(sizes, seed):
    """A cell that never comes, or an order that follows the table, would bias the sample."""
    cells = movie(sizes)
    order = labelling.order_of_looks(cells["name"], cells["decision"], seed)
    assert sorted(order) == sorted(cells["name"])
    again = movie(sizes, seed=3)
    assert order == labelling.order_of_looks(again["name"], again["decision"], seed)


def test_within_a_stratum_every_cell_is_as_likely_to_come_early():
    """Random means random: over seeds, the first looks fall evenly on a stratum's cells."""
    cells = movie((40, 0, 0, 0))
    first = [
        labelling.order_of_looks(cells["name"], cells["decision"], seed)[:10] for seed in range(400)
    ]
    times = pd.Series(np.concatenate(first)).value_counts()
    assert len(times) == 40 and stats.chisquare(times).pvalue > 1e-4


def test_a_label_is_random_only_if_all_before_it_are_labelled():
    """Who stops to pick cells must not turn picked labels into random ones."""
    cells = movie((30, 10, 5, 20))
    order = labelling.order_of_looks(cells["name"], cells["decision"], 0)
    labels = dict.fromkeys(order[:12], "tank-treading") | {order[20]: "flipping"}
    labels[order[4]] = "unsure"  # looked at, but tells no class
    found = labelling.sample(cells, labels, 0)
    assert (found.looks, found.labelled, int(found.known.sum())) == (12, 11, 12)
    assert labelling.sample(cells, labels, None).looks == 0
    assert labelling.sample(cells, labels, 1).looks < 12  # of another order, they were picked


def test_random_numbers_are_gamma_distributed():
    """The page and the library draw with this generator: it must be what it says."""
    for shape in (0.15, 0.5, 3.3, 80.0):
        drawn = [labelling._gamma(shape, 4 * number) for number in range(4000)]
        assert stats.kstest(drawn, "gamma", args=(shape,)).pvalue > 1e-3


def test_with_every_cell_predicted_alike_it_is_the_beta_interval():
    """One stratum without unreliable cells is a plain binomial sample."""
    found = labelled((10_000, 0, 0, 0), [[180, 20, 0], *[[0] * 3] * 3])
    prior = np.full((4, 3), 1e-3)
    got = marker.ends(labelling.density(found, prior=prior))
    exact = stats.beta(180, 20).ppf([0.5, 0.025, 0.975])
    assert np.allclose(got, exact, atol=0.004)


def test_strata_count_by_their_size():
    """A small sample of a large stratum must outweigh a large one of a small stratum."""
    found = labelled((900, 100, 0, 0), [[45, 5, 0], [10, 40, 0], [0] * 3, [0] * 3])
    estimate = marker.ends(labelling.density(found)).estimate
    assert estimate == pytest.approx(0.9 * 0.9 + 0.1 * 0.2, abs=0.02)


def test_picked_cells_are_a_floor_and_do_not_narrow_the_rest():
    """A hundred picked labels must not look like a hundred random ones."""
    random = labelled((200, 40, 0, 60), [[20, 1, 1], [2, 8, 1], [0] * 3, [1, 0, 7]])
    known = random.counts.copy()
    known[0, 1] += 30
    picked = labelled(random.sizes, random.counts, known)
    without, with_picked = (marker.ends(labelling.density(one)) for one in (random, picked))
    assert with_picked.high <= 1 - 30 / 300 and without.high > with_picked.high


@pytest.mark.parametrize("truth", [0.6, 0.93, 1.0])
def test_it_covers_a_movie_whose_predictions_are_wrong_in_any_way(truth):
    """No known error rate is used, so models that are no better than chance do no harm."""
    rng = np.random.default_rng(int(100 * truth))
    covered = 0
    for _ in range(60):
        classes = rng.choice(3, 400, p=[0.7 * truth, 0.7 * (1 - truth), 0.3])
        cells = pd.DataFrame({"decision": rng.choice(STRATA, 400)})
        cells["name"] = [f"c{n}" for n in range(400)]
        order = labelling.order_of_looks(cells["name"], cells["decision"], 0)[:100]
        labels = {name: LABELS[classes[int(name[1:])]] for name in order}
        found = marker.ends(labelling.density(labelling.sample(cells, labels, 0)))
        covered += found.low - 1e-9 <= truth <= found.high + 1e-9
    assert covered >= 51  # of 60; fewer are seen once in 10,000 times at 95 %


def test_the_expected_width_is_that_of_the_interval():
    """The page promises so many points for so many looks."""
    found = labelled((240, 40, 0, 320), [[60, 2, 1], [4, 28, 3], [0] * 3, [3, 1, 26]])
    ends = marker.ends(labelling.density(found))
    promised = labelling.expected_half_width(found, found.looks)
    assert promised == pytest.approx((ends.high - ends.low) / 2, rel=0.35)
    widths = [labelling.expected_half_width(found, n) for n in (50, 100, 200, 600)]
    assert widths == sorted(widths, reverse=True)
    needed = labelling.looks_for(found, 0.05)
    assert labelling.expected_half_width(found, needed) <= 0.05
    assert labelling.expected_half_width(found, needed - 1) > 0.05
    assert labelling.looks_for(found, 0.001) is None


# --- corrections as the report exports them ---


def exported(folder, cells, seed, n):
    """A corrections file of the first n looks of an order, all confirmed as tank-treading."""
    order = labelling.order_of_looks(cells["name"], cells["decision"], seed)[:n]
    table = pd.DataFrame({"name": order, "before": "", "after": "tank-treading"})
    table = table.assign(chosen="random", order=range(1, n + 1), seed=seed)
    path = folder / "corrections.csv"
    table.to_csv(path, index=False)
    return path, table


def test_the_way_labels_were_chosen_is_read_back(tmp_path):
    """The same file must give the same interval as the page."""
    cells = movie((30, 10, 5, 20))
    path, _ = exported(tmp_path, cells, 7, 26)
    given = read_corrections(path, cells, cells)
    assert given.seed == 7 and labelling.sample(cells, given.labels, given.seed).looks == 26


@pytest.mark.parametrize("change", ["another seed", "other predictions", "moved"])
def test_an_order_that_does_not_fit_makes_all_labels_picked_ones(tmp_path, change):
    """Labels of another design, taken for random, would bias the marker without a word."""
    cells = movie((30, 10, 5, 20))
    path, table = exported(tmp_path, cells, 7, 26)
    if change == "another seed":
        table["seed"] = 8
    elif change == "moved":
        table["order"] = table["order"].sample(frac=1, random_state=0).to_numpy()
    else:
        cells["decision"] = cells["decision"].sample(frac=1, random_state=1).to_numpy()
    table.to_csv(path, index=False)
    given = read_corrections(path, cells, cells)
    assert given.seed is None and given.contradiction and len(given.labels) == 26


def test_files_of_earlier_versions_count_as_picked(tmp_path):
    """Old files say nothing of how the cells were chosen."""
    cells = movie((30, 10, 5, 20))
    path, table = exported(tmp_path, cells, 7, 26)
    table[["name", "before", "after"]].to_csv(path, index=False)
    given = read_corrections(path, cells, cells)
    assert given == Corrections(dict.fromkeys(table["name"], "tank-treading"))
    assert len(given.notes(0)) == 1
