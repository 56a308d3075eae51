"""From predictions to the fraction of tank-treading cells, the marker, with its error.

In stage 2 a share ``right`` of the tank-treading and a share ``wrong`` of the flipping cells is
called tank-treading (its specificity, and 1 - its recall). Counting calls therefore gives p right +
(1 - p) wrong where p is the fraction: too little where nearly all cells tank-tread, too much where
few do. The estimators here undo that in different ways, with shares known from other acquisitions.
Fractions are of the blood that was sampled, in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq, nnls
from scipy.special import expit

from rbc import RbcError, marker
from rbc.metrics import THRESHOLD, alike, blood_draw, log_odds, percentiles, resample, wilson
from rbc.paper import LABELS, RELIABLE

#: of both stages together; the rows of `rates`, as `LABELS` are its columns
ANSWERS = (*RELIABLE, "discarded")
Z = stats.norm.ppf(0.975)
#: why no estimate can be given at all
UNTOLD = "no labelled cells of one class are known, or all get the same answers"
POWER = 0.8  #: how often a change should be found that is there; the usual choice (Cohen 1988)


# --- estimators: arrays may have leading axes, one a bootstrap sample ---


def share(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Mean of values, each taken so many times.

    Of calls (1 tank-treading, 0 flipping) this is *classify and count*, the paper's estimate (Table
    5; Forman, Data Min. Knowl. Discov. 17:164, 2008); of probabilities of tank-treading it is the
    probabilistic count of Bella et al. (ICDM 2010).

    Parameters
    ----------
    values : (N,) float64
    times : (..., N), how often each value is taken

    Returns
    -------
    (...,) float64; nan where none is taken
    """
    with np.errstate(invalid="ignore"):
        return np.divide(times @ values, times.sum(axis=-1))


def adjusted_count(observed: np.ndarray, right: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Adjusted count: p = (observed - wrong) / (right - wrong), cut to [0, 1].

    Gart & Buck, Am. J. Epidemiol. 83:593, 1966; Rogan & Gladen, Am. J. Epidemiol. 107:71, 1978.
    With means of probabilities instead of shares of calls it is the probabilistic adjusted count
    (PACC; Bella et al., ICDM 2010).

    Parameters
    ----------
    observed : share called tank-treading
    right, wrong : that share among known tank-treading and among known flipping cells

    Returns
    -------
    Fraction of tank-treading; nan where right equals wrong
    """
    slope = np.subtract(right, wrong, dtype=float)
    return np.clip((observed - wrong) / np.where(np.abs(slope) < 1e-12, np.nan, slope), 0, 1)


def emq(probability: np.ndarray, prior: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Fraction by expectation maximisation, EMQ or SLD (Saerens, Latinne & Decaestecker, Neural
    Comput. 14:21, 2002).

    The fixed point q = mean of q a / (q a + (1 - q) b), where a = p / prior and b = (1 - p) / (1 -
    prior): it maximises the likelihood, which is concave in q, so its slope is bisected instead of
    iterating. Right only for calibrated probabilities (see `calibration`).

    Parameters
    ----------
    probability : (..., N), of tank-treading where a fraction `prior` (...,) tank-treads
    times : (..., N), how often each cell is taken

    Returns
    -------
    (...,), nan where no cell is taken or none tells the classes apart
    """
    prior = np.asarray(prior)[..., None]
    a = probability / prior
    b = (1 - probability) / (1 - prior)

    # The likelihood is concave in q, so its slope falls: bisect for where it is 0. Fifty halvings
    # leave 1e-15.
    low, high = np.zeros(times.shape[:-1]), np.ones(times.shape[:-1])
    for _ in range(50):
        q = (low + high) / 2
        mixed = q[..., None] * a + (1 - q[..., None]) * b
        slope = (times * (a - b) / mixed).sum(axis=-1)
        rises = slope > 0
        low = np.where(rises, q, low)
        high = np.where(rises, high, q)

    apart = (a < b) | (a > b)
    told = (apart & (times > 0)).any(axis=-1)
    return np.where(told, (low + high) / 2, np.nan)


def calibration(
    probability: np.ndarray, treading: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Offset and slope of the log odds that make probabilities of known cells calibrated.

    Platt 1999: a logistic regression on the targets (n + 1) / (n + 2) and 1 / (n + 2) for n cells
    of a class, so that it ends also where the classes part cleanly. Newton steps, shortened as Sun
    & Tran-Dinh (Math. Program. 178:145, 2019) so that each goes down.

    Parameters
    ----------
    probability : (N,) float64, of tank-treading
    treading : (N,) bool, by hand
    times : (B, N), how often each cell is taken

    Returns
    -------
    offset, slope : (B,) float64 each; nan where a class is not taken
    """
    # Platt's targets stay short of 0 and 1, so that the regression ends.
    n_flipping = times[:, ~treading].sum(axis=1)[:, None]
    n_treading = times[:, treading].sum(axis=1)[:, None]
    target = np.where(treading, (n_treading + 1) / (n_treading + 2), 1 / (n_flipping + 2))
    x = np.stack([np.ones(len(probability)), log_odds(probability)], axis=1)  # (N, 2)
    # The three different entries of x x': all samples share them.
    squares = np.stack([x[:, 0], x[:, 1], x[:, 1] ** 2], axis=1)
    beta = np.zeros((len(times), 2))
    for _ in range(40):
        mean = expit(beta @ x.T)
        gradient = (times * (target - mean)) @ x
        curvature = (times * mean * (1 - mean)) @ squares
        matrices = curvature[:, [[0, 1], [1, 2]]]  # (B, 2, 2)
        inverse = np.linalg.pinv(matrices, hermitian=True)
        step = (inverse @ gradient[..., None])[..., 0]
        # A full Newton step may overshoot: one that moves the log odds by r is cut to log(1 + r).
        reach = np.abs(step @ x.T).max(axis=1, keepdims=True) + 1e-12
        beta += step * np.log1p(reach) / reach
        if reach.max() < 1e-9:
            break
    absent = (n_flipping == 0) | (n_treading == 0)
    beta[absent[:, 0]] = np.nan
    return beta[:, 0], beta[:, 1]


def on_simplex(observed: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Fractions x >= 0 with sum 1 that bring rates x closest to the observed shares (least
    squares).

    The adjusted count for more than two classes (Bunse, "On Multi-Class Extensions of Adjusted
    Classify and Count", LQ 2022). As sum x = 1, rates x - observed = (rates - observed 1') x: the
    point of a polytope nearest to the origin, which non-negative least squares finds exactly
    (Lawson & Hanson 1974, chapter 23).

    Parameters
    ----------
    observed : (answers,), sums to 1
    rates : (answers, classes), columns sum to 1

    Returns
    -------
    (classes,), nan where something is undefined or the classes' columns are not independent
    """
    if not (np.isfinite(rates).all() and np.isfinite(observed).all()) or _dependent(rates):
        return np.full(rates.shape[1], np.nan)
    # The last row asks for a sum of 1; dividing by the sum makes it exact.
    system = np.vstack([rates - observed[:, None], np.ones(rates.shape[1])])
    x, _ = nnls(system, np.append(np.zeros(len(observed)), 1.0))
    return x / x.sum()


def _dependent(rates: np.ndarray) -> bool:
    return np.linalg.matrix_rank(rates, tol=1e-9) < rates.shape[1]


# --- estimates of a table of predictions, with intervals ---


@dataclass(frozen=True)
class _Cells:
    """N rows of cells that answer alike.

    acquisition (N,) str; treading (N,) bool, by hand; answer (N,) float, the call (1 tank-treading,
    0 flipping) or the probability of tank-treading; size (N,) int, how many cells.
    """

    acquisition: np.ndarray
    treading: np.ndarray
    answer: np.ndarray
    size: np.ndarray

    def resample(self, draws: int, rng: np.random.Generator) -> np.ndarray:
        return resample(self.acquisition, self.size, draws, rng)


def _cells(predictions: pd.DataFrame, soft: bool) -> _Cells:
    p = predictions["probability"].to_numpy(float)  # of flipping
    answer = 1 - p if soft else p < THRESHOLD
    acquisition = predictions["acquisition"].to_numpy(str)
    names, (treading, answer), size = alike(
        acquisition, predictions["label"] == "tank-treading", answer
    )
    return _Cells(names, treading.astype(bool), answer, size)


def _count(cells: _Cells, known: _Cells, times: np.ndarray, known_times: np.ndarray) -> np.ndarray:
    return share(cells.answer, times)


def _adjust(cells: _Cells, known: _Cells, times: np.ndarray, known_times: np.ndarray) -> np.ndarray:
    right, wrong = (
        share(known.answer, known_times * of) for of in (known.treading, ~known.treading)
    )
    return adjusted_count(share(cells.answer, times), right, wrong)


def _expect(cells: _Cells, known: _Cells, times: np.ndarray, known_times: np.ndarray) -> np.ndarray:
    offset, slope = calibration(known.answer, known.treading, known_times)
    of_known = expit(offset[:, None] + slope[:, None] * log_odds(known.answer))
    # what the calibrated probabilities presume
    prior = (of_known * known_times).sum(axis=1) / known_times.sum(axis=1)
    return emq(expit(offset[:, None] + slope[:, None] * log_odds(cells.answer)), prior, times)


#: Name of a method: whether it takes probabilities, and its function of cells, known cells and how
#: often each is taken.
METHODS: dict[str, tuple[bool, Callable]] = {
    "classify and count": (False, _count),
    "adjusted count": (False, _adjust),
    "probabilistic adjusted count": (True, _adjust),
    "EMQ": (True, _expect),
}


def estimate(
    predictions: pd.DataFrame, known: pd.DataFrame, method: str, draws: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Fraction of tank-treading cells by one of `METHODS`, with its 95 % interval.

    The interval is a percentile bootstrap of both tables, clustered (`metrics.resample`), so the
    error of the error rates is in it. It does not cover the bias of classify and count.

    Parameters
    ----------
    predictions : stage 2 predictions (acquisition, label, probability of flipping) of the
        acquisitions to estimate; their labels are not looked at
    known : the same of labelled cells of other acquisitions, from which errors and calibration are
        learned
    method : of `METHODS`
    draws, seed : of the bootstrap

    Returns
    -------
    estimate, low, high : nan where `known` lacks a class, or where the classifier answers both
        classes alike

    Raises
    ------
    RbcError
        where there is no cell to estimate or to learn from, and where an acquisition is in both
        tables
    """
    if predictions.empty or known.empty:
        raise RbcError(
            "no cells to estimate from, or none with known errors; check the profile's folds and"
            " splits"
        )
    _apart(predictions, known)
    soft, function = METHODS[method]
    cells, learned = _cells(predictions.assign(label=""), soft), _cells(known, soft)
    value = function(cells, learned, cells.size[None], learned.size[None])[0]
    if np.isnan(value):
        return np.nan, np.nan, np.nan

    # In parts, since all samples at once would not fit into memory.
    rng = np.random.default_rng(seed)
    step = max(1, 4_000_000 // (len(cells.size) + len(learned.size)))
    sample = []
    for done in range(0, draws, step):
        n = min(step, draws - done)
        times, known_times = cells.resample(n, rng), learned.resample(n, rng)
        sample.append(function(cells, learned, times, known_times))
    return float(value), *percentiles(np.concatenate(sample))


def _apart(predictions: pd.DataFrame, known: pd.DataFrame) -> None:
    if both := sorted({*predictions["acquisition"]} & {*known["acquisition"]}):
        raise RbcError(
            f"acquisition {both[0]} would be estimated with its own errors; learn them from other"
            " ones"
        )


def lang_reiczigel(
    called: int, n: int, right: int, n_treading: int, wrong: int, n_flipping: int
) -> tuple:
    """95 % interval of an adjusted count in closed form.

    Lang & Reiczigel, Prev. Vet. Med. 113:13, 2014, equations 6, 7, 16 and 17, as the R package asht
    (prevSeSp) reads them; not clustered.

    Parameters
    ----------
    called, n : cells called tank-treading, of how many
    right, n_treading : the same of known tank-treading cells
    wrong, n_flipping : the same of known flipping cells

    Returns
    -------
    low, high : nan without known cells of a class, or where the classifier is no better than chance
        (right / n_treading <= wrong / n_flipping)
    """
    if not (n and n_treading and n_flipping) or right * n_flipping <= wrong * n_treading:
        return np.nan, np.nan
    # Shares with a few cells added, as Agresti and Coull do, so that none is exactly 0 or 1.
    more_cells = n + Z**2
    counted = (called + Z**2 / 2) / more_cells
    sensitivity = (right + 1) / (n_treading + 2)
    specificity = (n_flipping - wrong + 1) / (n_flipping + 2)
    youden = sensitivity + specificity - 1
    p = (counted + specificity - 1) / youden

    # Variances of the two rates, which widen the interval of the count and shift its centre.
    of_sensitivity = sensitivity * (1 - sensitivity) / (n_treading + 2)
    of_specificity = specificity * (1 - specificity) / (n_flipping + 2)
    of_count = counted * (1 - counted) / more_cells
    centre = p + 2 * Z**2 * (p * of_sensitivity - (1 - p) * of_specificity)
    variance = of_count + p**2 * of_sensitivity + (1 - p) ** 2 * of_specificity
    half = Z * np.sqrt(variance) / youden
    return tuple(float(end) for end in np.clip([centre - half, centre + half], 0, 1))


def by_acquisition(
    predictions: pd.DataFrame, known: pd.DataFrame | None = None, draws: int = 1000
) -> pd.DataFrame:
    """Percentage of tank-treading cells of each acquisition: by hand, as counted, corrected.

    This is Table 5.

    Parameters
    ----------
    predictions : stage 2 predictions as of `estimate`; with a column fold, an acquisition learns
        its errors from its own fold
    known : labelled cells as of `estimate`; without them errors are learned from the other
        acquisitions of `predictions`
    draws : of the bootstrap

    Returns
    -------
    One row an acquisition and method: acquisition, method, n_reliable, percent, low, high. Methods
    are 'by hand' and 'classify and count' (Wilson intervals), the others of `METHODS` (bootstrap),
    and 'adjusted count, closed form' (`lang_reiczigel`). nan where undefined (see `estimate`).
    """
    rows = []
    for acquisition, cells in predictions.groupby("acquisition"):
        others = predictions[predictions["acquisition"] != acquisition] if known is None else known
        if "fold" in predictions:
            others = others[others["fold"] == cells["fold"].iat[0]]
        rows += [
            (acquisition, name, len(cells), *(100 * x for x in row))
            for name, row in _rows(cells, others, draws)
        ]
    return pd.DataFrame(
        rows, columns=["acquisition", "method", "n_reliable", "percent", "low", "high"]
    )


def _rows(
    cells: pd.DataFrame, others: pd.DataFrame, draws: int
) -> list[tuple[str, tuple[float, float, float]]]:
    n, treading = len(cells), int((cells["label"] == "tank-treading").sum())
    called = int((cells["probability"] < THRESHOLD).sum())
    rows = [("by hand", (treading / n, *wilson(treading, n)))]
    rows += [("classify and count", (called / n, *wilson(called, n)))]
    undefined = (np.nan, np.nan, np.nan)
    for method in list(METHODS)[1:]:
        rows += [(method, undefined if others.empty else estimate(cells, others, method, draws))]
    calls = others["probability"] < THRESHOLD
    of = [calls[others["label"] == label] for label in RELIABLE]
    closed = lang_reiczigel(called, n, int(of[0].sum()), len(of[0]), int(of[1].sum()), len(of[1]))
    return [*rows, ("adjusted count, closed form", (dict(rows)["adjusted count"][0], *closed))]


# --- end to end: stage 1, then stage 2 on what it keeps ---


def answers(stage1: pd.DataFrame, stage2: pd.DataFrame) -> pd.DataFrame:
    """What both stages together say of each sequence of stage 1.

    Stage 2 answers for what stage 1 keeps, unreliable cells among them.

    Parameters
    ----------
    stage1, stage2 : predictions of each stage

    Returns
    -------
    The rows of `stage1` with a column answer, one of `ANSWERS`

    Raises
    ------
    RbcError
        where stage 2 was not asked about what stage 1 keeps
    """
    flipping = stage1["name"].map(stage2.set_index("name")["probability"])
    kept = stage1["probability"] >= THRESHOLD
    if (silent := kept & flipping.isna()).any():
        first = stage1["name"][silent].iat[0]
        raise RbcError(
            f"stage 2 has no answer for {silent.sum()} sequences that stage 1 kept, such as {first}"
        )
    said = np.where(flipping < THRESHOLD, *RELIABLE)
    return stage1.assign(answer=np.where(kept, said, "discarded"))


def rates(table: np.ndarray) -> np.ndarray:
    """Counts (..., answers, classes) to shares of each class, columns that sum to 1; nan for a
    class without cells.
    """
    with np.errstate(invalid="ignore"):
        return table / table.sum(axis=-2, keepdims=True)


def two_stage_rates(
    stage1: tuple[float, float], stage2: tuple[float, float], unreliable: float
) -> np.ndarray:
    """Rates of both stages together from recall and specificity of each.

    Presumes that stage 1 keeps both motions alike and errs independently of stage 2.

    Parameters
    ----------
    stage1, stage2 : recall and specificity of each
    unreliable : share of the unreliable cells kept by stage 1 that stage 2 calls flipping; the
        paper says nothing of it

    Returns
    -------
    (3, 3) rates of `ANSWERS` (rows) for `LABELS` (columns)
    """
    (kept, discarded), (recall, specificity) = stage1, stage2
    reliable = np.array([[specificity, 1 - recall], [1 - specificity, recall]])
    passed = (1 - discarded) * np.array([1 - unreliable, unreliable])
    return np.vstack([np.column_stack([kept * reliable, passed]), [1 - kept, 1 - kept, discarded]])


def fraction(shares: np.ndarray) -> np.ndarray:
    """Tank-treading among tank-treading and flipping, from shares or counts (..., 3); nan where
    both are 0.
    """
    with np.errstate(invalid="ignore"):
        return np.divide(shares[..., 0], shares[..., 0] + shares[..., 1])


def end_to_end(
    cells: pd.DataFrame,
    known: pd.DataFrame,
    draws: int = marker.DRAWS,
    seed: int = 0,
    own: tuple[int, int] = (0, 0),
) -> dict:
    """Fraction of tank-treading among reliable cells where stage 1 lets some unreliable ones
    through.

    Parameters
    ----------
    cells : columns acquisition and answer (see `answers`), of the acquisition to estimate
    known : columns acquisition, label and answer, of labelled cells of other acquisitions
    draws : of the error rates, for the interval
    seed : of chance
    own : further cells, labelled by the operator: tank-treading, and flipping. They count as they
        are.

    Returns
    -------
    counted (the calls, without correction); adjusted (by the 3 x 3 rates of `known`, `on_simplex`);
    unreliable (the share of unreliable cells by the same); estimate (the median), low and high (95
    %, `rbc.marker.interval`); withheld: why no estimate can be given, then estimate, low and high
    are nan; else None. caution: what to say beside a wide interval; else None.

    nan where `known` lacks a class. Raises `RbcError` as `estimate` does.
    """
    if cells.empty or known.empty:
        raise RbcError(
            "no cells to estimate from, or none with known errors; check the profile's folds and"
            " splits"
        )
    _apart(cells, known)
    observed, table = _counts(cells, ["answer"]), by_draw(known)
    x = on_simplex(observed / observed.sum(), rates(table.sum(axis=0)))
    mine = np.array([*own, 0])
    whole = float(fraction(observed.sum() * x + mine))
    out = {
        "counted": float(fraction(observed + mine)),
        "adjusted": whole,
        "unreliable": float(x[2]),
    }
    if np.isnan(x).any():
        nothing = dict.fromkeys(("estimate", "low", "high"), np.nan)
        return out | nothing | {"withheld": UNTOLD} | {"caution": None}

    rng = np.random.default_rng(seed)
    found = marker.interval(observed, marker.rate_draws(table, draws, rng), own)
    per_reliable = x[2] / (1 - x[2]) if x[2] < 1 else np.inf
    why = marker.withheld(table, per_reliable)
    if why is not None:
        found = marker.Interval(np.nan, np.nan, np.nan)
    return out | found._asdict() | {"withheld": why, "caution": marker.caution(found)}


def by_draw(known: pd.DataFrame) -> np.ndarray:
    """Labelled cells counted by blood draw, answer and label: (D, 3, 3)."""
    draws = known.groupby(known["acquisition"].map(blood_draw))
    return np.stack([_counts(part, ["answer", "label"]) for _, part in draws])


def _counts(cells: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """Counts by answer, (3,), or by answer and label, (3, 3)."""
    known = {"answer": ANSWERS, "label": LABELS}
    shape = (3,) * len(columns)
    place = np.ravel_multi_index([pd.Categorical(cells[c], known[c]).codes for c in columns], shape)
    return np.bincount(place, minlength=3 ** len(columns)).reshape(shape)


def known_rates(
    known: pd.DataFrame, draws: int = marker.DRAWS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rates of labelled cells, and those that a new blood draw may have (`rbc.marker`).

    Parameters
    ----------
    known : labelled cells with their answers (`answers`)
    draws, seed : how many new blood draws are drawn

    Returns
    -------
    (3, 3) and (draws, 3, 3), as of `rates`
    """
    table = by_draw(known)
    return rates(table.sum(axis=0)), marker.rate_draws(table, draws, np.random.default_rng(seed))


# --- agreement and change ---


def bland_altman(estimated: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Bias and 95 % limits of agreement, each with its 95 % interval.

    Bland & Altman, Stat. Methods Med. Res. 8, 1999. With d = estimated - true of n acquisitions and
    s its standard deviation: bias = mean d with standard error s / sqrt(n); limits = bias -+ 1.96 s
    with standard error s sqrt(1 / n + 1.96^2 / (2 (n - 1))); t with n - 1 degrees of freedom.

    Parameters
    ----------
    estimated, true : (A,) float64 of each acquisition; pairs with nan are left out

    Returns
    -------
    Numbers by name; all but n and bias is nan for n < 2
    """
    d = np.asarray(estimated, float) - np.asarray(true, float)
    d = d[~np.isnan(d)]
    n = len(d)
    if n < 2:
        empty = dict.fromkeys(
            [f"{x}{end}" for x in ("bias", "lower", "upper") for end in ("", "_low", "_high")],
            np.nan,
        )
        return {"n": n, "sd": np.nan, **empty, "bias": float(d.mean()) if n else np.nan}
    s, t = d.std(ddof=1), stats.t.ppf(0.975, n - 1)
    limit_error = s * np.sqrt(1 / n + Z**2 / (2 * (n - 1)))
    ends = (
        ("bias", 0.0, s / np.sqrt(n)),
        ("lower", -Z * s, limit_error),
        ("upper", Z * s, limit_error),
    )
    out = {"n": n, "sd": float(s)}
    for name, off, error in ends:
        centre = d.mean() + off
        out |= {
            name: float(centre),
            f"{name}_low": float(centre - t * error),
            f"{name}_high": float(centre + t * error),
        }
    return out


def dispersion(part: np.ndarray, whole: np.ndarray, group: np.ndarray) -> float:
    """Over-dispersion of fractions between acquisitions: chi2 / df.

    chi2 = sum (part - whole p)^2 / (whole p (1 - p)) with p the fraction of the acquisition's group
    (its patient), df = acquisitions - groups.

    Parameters
    ----------
    part, whole : (A,) counts of each acquisition
    group : (A,) to which group each belongs; groups are compared within themselves

    Returns
    -------
    1 where cells alone make the difference; nan without two acquisitions of a group, or where every
    p is 0 or 1
    """
    table = pd.DataFrame({"part": part, "whole": whole, "group": group}).astype(
        {"part": float, "whole": float}
    )
    sums = table.groupby("group")[["part", "whole"]].transform("sum")
    p = sums["part"] / sums["whole"]
    varies = (p > 0) & (p < 1)
    table, p = table[varies], p[varies]
    df = len(table) - table["group"].nunique()
    chi2 = ((table["part"] - table["whole"] * p) ** 2 / (table["whole"] * p * (1 - p))).sum()
    return float(chi2 / df) if df else float("nan")


def dispersion_of(part: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    """Whether fractions of one group differ by more than their cells explain, and how sure that is.

    Parameters
    ----------
    part, whole : (A,) counts of the group's acquisitions

    Returns
    -------
    factor : chi2 / df, as `dispersion`
    df : degrees of freedom, A - 1
    p : share of such groups that would spread as much or more if cells alone made the difference
    low, high : 95 % interval of the factor, chi2 / the quantiles of chi-square; with few
        acquisitions it is wide

    All but df are nan where `dispersion` is.
    """
    factor, df = dispersion(part, whole, np.zeros(len(part))), len(part) - 1
    if np.isnan(factor):
        return {"factor": factor, "df": df, **dict.fromkeys(("p", "low", "high"), float("nan"))}
    ends = factor * df / stats.chi2.ppf([0.975, 0.025], df)
    p = stats.chi2.sf(factor * df, df)
    return {
        "factor": factor,
        "df": df,
        "p": float(p),
        "low": float(ends[0]),
        "high": float(ends[1]),
    }


# What two movies can show. All three functions speak of a *fall* of the fraction from p to p -
# change between two movies of n reliable cells each, compared by the two-sided test of two
# proportions at the 5 % level. The classifier calls a share `right` of the tank-treading and a
# share `wrong` of the flipping cells tank-treading, alike in both movies and known exactly: its
# errors only make the fall look smaller. `factor` is the over-dispersion.


def power_of_change(
    p: float, change: float, n: float, factor: float = 1.0, right: float = 1.0, wrong: float = 0.0
) -> float:
    """How often two movies show a fall of the fraction that is there, in [0, 1].

    Parameters
    ----------
    p : fraction in the first movie
    change : how far it falls, in (0, p]
    n : reliable cells of each movie
    factor : variance of a movie's count over that of independent cells (`dispersion`)
    right, wrong : shares of tank-treading and of flipping cells that are called tank-treading

    The usual normal approximation (Fleiss, Levin & Paik, Statistical Methods for Rates and
    Proportions, 3rd ed. 2003, section 4.2, without correction for continuity). nan where right
    equals wrong or a movie has no scatter at all.
    """
    apart, unchanged, changed = _difference_of_one_cell(p, change, factor, right, wrong)
    if right == wrong or changed == 0:
        return float("nan")
    return float(stats.norm.cdf((apart * np.sqrt(n) - Z * unchanged) / changed))


def _difference_of_one_cell(
    p: float, change: float, factor: float, right: float, wrong: float
) -> tuple[float, float, float]:
    """How far apart the predicted fractions of two movies are, and the standard deviation of the
    difference of one cell each: if nothing had changed, and as things are.
    """
    before, after = (fraction * right + (1 - fraction) * wrong for fraction in (p, p - change))
    middle = (before + after) / 2
    unchanged = np.sqrt(2 * factor * middle * (1 - middle))
    changed = np.sqrt(factor * (before * (1 - before) + after * (1 - after)))
    return abs(before - after), unchanged, changed


def cells_for_change(
    p: float,
    change: float,
    power: float = POWER,
    factor: float = 1.0,
    right: float = 1.0,
    wrong: float = 0.0,
) -> float:
    """Reliable cells that each of two movies needs to show a fall of the fraction.

    Parameters
    ----------
    p, change, power, factor, right, wrong : as of `power_of_change`

    Returns
    -------
    A whole number, as float; nan where `power_of_change` is
    """
    if np.isnan(power_of_change(p, change, 1, factor, right, wrong)):
        return float("nan")
    apart, unchanged, changed = _difference_of_one_cell(p, change, factor, right, wrong)
    root = (Z * unchanged + stats.norm.ppf(power) * changed) / apart
    return float(np.ceil(root**2))


def smallest_change(
    p: float,
    n: float,
    power: float = POWER,
    factor: float = 1.0,
    right: float = 1.0,
    wrong: float = 0.0,
) -> float:
    """Smallest fall of the fraction that two movies of n reliable cells each show.

    Parameters
    ----------
    p, n, power, factor, right, wrong : as of `power_of_change`

    Returns
    -------
    nan where even a fall to nothing is found more seldom than asked, or where right equals wrong
    """
    if right == wrong or power_of_change(p, p, n, factor, right, wrong) < power:
        return float("nan")
    tiny = 1e-9  # no fall at all has no power to speak of

    def missing(change: float) -> float:
        return power_of_change(p, change, n, factor, right, wrong) - power

    return float(brentq(missing, tiny, p)) if missing(tiny) < 0 else tiny


def dispersion_at(n: float, factor: float, measured_n: float) -> float:
    """Over-dispersion of movies of another size, if it is a spread between movies.

    1 + (n - 1) rho with rho = (factor - 1) / (measured_n - 1), the correlation of cells of one
    movie (Williams, Appl. Stat. 31:144, 1982). More cells of one movie then bring little: movies
    do.

    Parameters
    ----------
    n : cells of a movie
    factor, measured_n : over-dispersion as measured (`dispersion`), and cells of a movie there

    Returns
    -------
    1 where factor < 1
    """
    return 1 + (n - 1) * max(factor - 1, 0) / (measured_n - 1)
