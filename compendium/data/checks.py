"""Checks of a data set before any result: what the paper states, what the data shows, and whether
it matters.

Every check is a pure function of `Sequences` that returns a `Finding`; `check` runs them all, for
the book's page and for ``rbc data check``. Frames are read a sequence at a time, so data larger
than memory can be checked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from rbc.paper import FRAME_PX, LABELS, MIN_FRAMES, RELIABLE, SPLITS, reported
from rbc.sequences import Sequences

EDGE = np.ones((FRAME_PX, FRAME_PX), bool)
EDGE[3:-3, 3:-3] = False  #: outside the halo of a centred cell (9 to 10 px): background
#: Correlation of the finest structure (noise) above which two films are taken for one. Measured on
#: the released sample: PNG films made brighter by 5 with noise of sd 1 reach .92, films of
#: different cells .83 at most. Not found: copies with more noise, shifted by a pixel or strongly
#: compressed, and JPEG strips with any noise added.
SAME_NOISE = 0.88
#: cosine of descriptors below which no pair is looked at; such copies reach .999 or more
SAME_SHAPE = 0.98


@dataclass(frozen=True)
class Finding:
    """One check's outcome.

    Attributes
    ----------
    key : short name, unique
    paper, data, matters : what the paper states, what the data shows, whether and why it matters;
        plain sentences
    grave : whether results should not be read without it
    table : the figures behind it
    pairs : whether a row is a pair of sequences, the gravest first, of which there may be very many
    """

    key: str
    paper: str
    data: str
    matters: str
    grave: bool
    table: pd.DataFrame = field(compare=False)
    pairs: bool = False

    def record(self, most: int | None = None) -> dict:
        """For JSON: the sentences, the table as a list of rows, and how many rows it has.

        Parameters
        ----------
        most : pairs that are listed at most, the first ones; all of them without it. Other tables
            are always whole: facts are computed from them.
        """
        shown = self.table if most is None or not self.pairs else self.table.head(most)
        rows = shown.astype(object).where(shown.notna(), None).to_dict("records")
        return {
            **{k: getattr(self, k) for k in ("key", "paper", "data", "matters", "grave")},
            "table": rows,
            "rows": len(self.table),
        }


def check(sequences: Sequences) -> list[Finding]:
    """All checks, in the order in which a reader asks them."""
    looks = appearance(sequences)
    return [
        counts(sequences),
        test_acquisitions(sequences),
        short(sequences),
        lengths(sequences),
        grey_levels(looks),
        track_numbers(sequences),
        patients(sequences),
        same_pixels(sequences),
        shared_frames(sequences),
        near_duplicates(sequences),
        drift(looks),
    ]


def counts(sequences: Sequences) -> Finding:
    """Sequences of each class in each split, beside Table 2."""
    found = pd.crosstab(sequences.index["label"], sequences.index["split"]).reindex(
        LABELS, columns=SPLITS, fill_value=0
    )
    printed = reported("table2").set_index("label").loc[list(LABELS), list(SPLITS)]
    table = found.stack().rename("found").to_frame().assign(reported=printed.stack()).reset_index()
    table.columns = ["label", "split", "found", "reported"]
    equal = int((table["found"] == table["reported"]).sum())
    empty = table[table["found"] == 0]
    lacking = ", ".join(f"{row.label} in {row.split}" for row in empty.itertuples())
    return Finding(
        "counts",
        f"Table 2 counts {printed.to_numpy().sum():,} sequences, by class and split.",
        f"{len(sequences):,} sequences; {equal} of 9 counts equal Table 2's."
        + f" None: {lacking}." * bool(len(empty)),
        "This is the paper's data set."
        if equal == 9
        else "A part or another set: its scores are not the paper's.",
        equal < 9,
        table,
    )


def test_acquisitions(sequences: Sequences) -> Finding:
    """Reliable sequences of each test acquisition, beside Table 5.

    Its numbers of reliable cells are all different, so they alone say which row an acquisition is;
    its percentage can then turn out another than the printed one.
    """
    printed = reported("table5")
    reliable = sequences.index[
        (sequences.index["split"] == "test") & sequences.index["label"].isin(RELIABLE)
    ]
    rows = []
    for acquisition, group in reliable.groupby("acquisition"):
        percent = 100 * (group["label"] == "tank-treading").mean()
        fits = printed[printed["n_reliable"] == len(group)]
        place = given = None
        if len(fits) == 1:
            row = fits.iloc[0]
            place = f"patient {row['patient']:.0f}, acquisition {row['acquisition']:.0f}"
            given = row["ground_truth_percent"]
        rows.append((acquisition, len(group), round(percent, 1), place, given))
    columns = ["acquisition", "n_reliable", "tank_treading_percent", "table5", "table5_percent"]
    table = pd.DataFrame(rows, columns=columns).astype({"table5_percent": float})
    known = int(table["table5"].notna().sum())
    alike = int(
        ((table["table5_percent"] - table["tank_treading_percent"]).abs() < 0.1 + 1e-9).sum()
    )
    return Finding(
        "test acquisitions",
        f"Table 5: nine test acquisitions with {', '.join(map(str, printed['n_reliable']))}"
        " reliable sequences.",
        f"{len(table)} test acquisitions with {', '.join(map(str, table['n_reliable'])) or 'no'}"
        " reliable sequences; "
        f"{known} have the number of one row of Table 5, {alike} of these its percentage too (to"
        " 0.1).",
        "The acquisitions are Table 5's."
        if known == 9
        else "Table 5 cannot be repeated acquisition by acquisition.",
        known < 9,
        table,
    )


def short(sequences: Sequences) -> Finding:
    """Sequences under six frames, which the paper says were discarded."""
    few = sequences.index[sequences.index["length"] < MIN_FRAMES]
    table = (
        few.groupby(["split", "label"])
        .agg(n=("name", "size"), shortest=("length", "min"))
        .reset_index()
    )
    classes = ", ".join(f"{n} {label}" for label, n in few["label"].value_counts().items())
    return Finding(
        "short sequences",
        f"Sequences of fewer than {MIN_FRAMES} images were discarded (Trajectories extraction).",
        f"{len(few)} are shorter: {classes}." if len(few) else "None is shorter.",
        {0: "No.", 1: "A length under six gives its label away: one class alone has them."}.get(
            few["label"].nunique(), "They carry little motion to judge by."
        ),
        False,
        table,
    )


def lengths(sequences: Sequences) -> Finding:
    """Numbers of frames per acquisition and label, and how far they alone tell the classes
    apart.
    """
    index = sequences.index
    table = _spread(index, "length")
    return Finding(
        "lengths",
        "Sequences have 6 to more than 100 frames, below 40 on average.",
        f"{index['length'].min()} to {index['length'].max()} frames, mean"
        f" {index['length'].mean():.1f}. " + _tells(index, "length"),
        "A model can score above chance by counting frames where these AUC are far from .5.",
        False,
        table,
    )


def grey_levels(looks: pd.DataFrame) -> Finding:
    """Background and brightest parts per acquisition and label; `looks` as from `appearance`.

    Whether the background was removed cannot be told from films that were made visible: pixels
    above and below a background of 0 need an offset. What can be told is where the background lies
    and how far it spreads.
    """
    table = _spread(looks, "background").merge(
        _spread(looks, "peak"), on=["acquisition", "label", "n"]
    )
    groups = looks.groupby("acquisition")["background"]
    centres, inside = groups.median(), groups.std().dropna()
    spread = f"{inside.min():.1f} to {inside.max():.1f}" if len(inside) else "unknown"
    named = len(inside) > 0 and centres.std() > 3 * inside.median()
    return Finding(
        "grey levels",
        "The background was removed from every frame (Trajectories extraction).",
        f"The median background of an acquisition is {centres.min():.0f} to {centres.max():.0f};"
        " inside one it spreads "
        f"by {spread} grey levels (standard deviation over sequences). This does not tell whether"
        " it was removed: a "
        "film with pixels above and below its background needs an offset. A small spread is what"
        " removal leaves. "
        f"As for the peak above it: {_tells(looks, 'peak')}",
        "Grey levels name the acquisition, and so its day and patient." if named else "No.",
        False,
        table,
    )


def track_numbers(sequences: Sequences) -> Finding:
    """Whether the track number in a name tells the label, by AUC within acquisitions.

    It does where the mean over acquisitions is more than 0.1 from one half and three standard
    deviations of chance off.
    """
    index = sequences.index
    tracks = index.assign(track=index["name"].str.extract(r"(\d+)$")[0].astype(float))
    rows = []
    for acquisition, group in tracks.groupby("acquisition"):
        reliable = group[group["label"].isin(RELIABLE)]
        pairs = [
            (group["track"], group["label"] == "unreliable"),
            (reliable["track"], reliable["label"] == "flipping"),
        ]
        rows.append(
            (acquisition, len(group), *(auc(*p) for p in pairs), *(_chance_sd(p[1]) for p in pairs))
        )
    aucs, sds = ["auc_unreliable", "auc_flipping"], ["sd_unreliable", "sd_flipping"]
    table = pd.DataFrame(rows, columns=["acquisition", "n", *aucs, *sds])
    means = table[aucs].mean()
    chance = np.sqrt((table[sds] ** 2).sum().to_numpy()) / table[aucs].notna().sum().clip(lower=1)
    leaks = bool(((means - 0.5).abs() > np.maximum(0.1, 3 * chance)).any())
    return Finding(
        "track numbers",
        "Nothing is said about the order of names.",
        "Within an acquisition the track number tells unreliable from reliable with AUC"
        f" {means.iloc[0]:.2f}, "
        f"flipping from tank-treading with {means.iloc[1]:.2f} (means).",
        "The name gives the label away: it must never be a feature, nor the order of files."
        if leaks
        else "No.",
        leaks,
        table,
    )


def patients(sequences: Sequences) -> Finding:
    """Patients, days and acquisitions in each split, and what test sequences are of a patient
    trained on.
    """
    index = sequences.index
    days = index["acquisition"].str.extract(r"^[A-Z]+(\d+)_")[0].fillna("?")
    table = (
        index.assign(day=days)
        .groupby(["patient", "split"])
        .agg(
            acquisitions=("acquisition", "nunique"),
            days=("day", "nunique"),
            sequences=("name", "size"),
        )
        .reset_index()
    )
    test, training = index[index["split"] == "test"], index[index["split"] != "test"]
    shared = sorted(set(test["patient"]) & set(training["patient"]))
    same_day = set(zip(test["patient"], days[test.index], strict=True)) & set(
        zip(training["patient"], days[training.index], strict=True)
    )
    twice = sorted(set(test["acquisition"]) & set(training["acquisition"]))
    share = test["patient"].isin(shared).mean() if len(test) else 0.0
    unseen = sorted(set(test["patient"]) - set(shared))
    return Finding(
        "patients",
        "Test patient 1 is kept unseen by training and validation; nothing is said of patient 2.",
        f"In the test set, unseen: {', '.join(unseen) or 'none'}; also trained or validated on: "
        f"{', '.join(shared) or 'none'} ({share:.0%} of the test sequences, {len(same_day)} of"
        " their days shared). "
        f"Acquisitions in both: {', '.join(twice) or 'none'}.",
        f"Scores on {', '.join(shared)} are not those of a new patient: read them apart."
        if shared
        else "No.",
        bool(shared or twice),
        table,
    )


def same_pixels(sequences: Sequences) -> Finding:
    """Sequences that are equal in every pixel under different names."""
    pairs = _neighbours(
        np.array([_digest(frames) for frames in sequences], np.uint64), np.arange(len(sequences))
    )
    return _pairs_finding(
        "same pixels", "equal in every pixel", sequences, pairs, [1.0] * len(pairs), "share"
    )


def shared_frames(sequences: Sequences) -> Finding:
    """Sequences that share frames exactly, as one cell tracked twice does; frames of one grey level
    do not count.
    """
    length = sequences.index["length"].to_numpy()
    owners = np.repeat(np.arange(len(sequences)), length)
    digests = np.concatenate(
        [_frame_digests(frames) for frames in sequences] or [np.zeros(0, np.uint64)]
    )
    common = Counter(_neighbours(digests[digests > 0], owners[digests > 0]))
    shares = [n / min(length[i], length[j]) for (i, j), n in common.items()]
    return _pairs_finding(
        "shared frames", "sharing frames exactly", sequences, list(common), shares, "share"
    )


def near_duplicates(sequences: Sequences) -> Finding:
    """Pairs across splits whose noise agrees though their pixels differ (see `SAME_NOISE` for what
    is found).
    """
    described = (
        np.stack([_descriptor(f) for f in sequences])
        if len(sequences)
        else np.zeros((0, 200), np.float32)
    )
    pairs, scores = [], []
    for one, other in combinations(SPLITS, 2):
        for i, j in _alike(described, sequences.index["split"].to_numpy(), one, other):
            if np.array_equal(sequences[i], sequences[j]):
                continue  # told by `same_pixels`
            if (score := _noise_agreement(sequences[i], sequences[j])) > SAME_NOISE:
                pairs.append((i, j))
                scores.append(score)
    return _pairs_finding(
        "near-duplicates", "nearly equal across splits", sequences, pairs, scores, "agreement"
    )


def drift(looks: pd.DataFrame) -> Finding:
    """How test acquisitions look beside training ones, on reliable sequences; `looks` as from
    `appearance`.

    The difference is that of the means over acquisitions, in standard deviations of the training
    acquisitions.
    """
    reliable = looks[looks["label"].isin(RELIABLE)]
    features = ["length", "background", "peak", "dip", "noise"]
    means = reliable.groupby(["split", "acquisition"])[features].mean()
    paper = "All acquisitions were made alike: same microscope, shear rate and processing."
    if not {"train", "test"} <= set(reliable["split"]):
        return Finding(
            "drift",
            paper,
            "Training or test has no reliable sequences.",
            "No.",
            False,
            pd.DataFrame(),
        )
    train, test = means.loc["train"], means.loc["test"]
    step = test.mean() - train.mean()
    table = pd.DataFrame(
        {"train": train.mean(), "test": test.mean(), "difference_sd": step / train.std()}
    )
    table = table.replace([np.inf, -np.inf], np.nan).rename_axis("feature").reset_index().round(2)
    apart = (table["difference_sd"].abs() > 2) | table["difference_sd"].isna()
    far = table[apart & ((table["test"] / table["train"] - 1).abs() > 0.1)]
    shown = "; ".join(
        f"{r.feature} {r.train:g} in training, {r.test:g} in test" for r in far.itertuples()
    )
    warning = (
        "A model may meet at test what training never showed it: augment for it, and do not"
        " trust thresholds."
    )
    return Finding(
        "drift",
        paper,
        f"Apart by two standard deviations and a tenth: {shown}."
        if len(far)
        else "Test acquisitions look like training ones.",
        warning if len(far) else "No.",
        bool(len(far)),
        table,
    )


def appearance(sequences: Sequences) -> pd.DataFrame:
    """The index with grey-level figures of each sequence.

    background: median of the frames' edges; peak and dip: how far the 99.5th percentile lies above
    it and the 0.5th below; noise: standard deviation from neighbouring pixels of the top and bottom
    rows, of normal noise.
    """
    rows = [_look(frames) for frames in sequences]
    return sequences.index.join(
        pd.DataFrame(rows, columns=["background", "peak", "dip", "noise"], dtype=float)
    )


def _look(frames: np.ndarray) -> tuple[float, float, float, float]:
    background = _quantile(frames[:, EDGE], 0.5)
    rows = frames[:, [0, 1, 2, -3, -2, -1]].astype(np.int16)
    # of normal noise: 2 / sqrt(pi) standard deviations
    steps = np.abs(np.diff(rows, axis=2)).mean(axis=(1, 2))
    peak, dip = _quantile(frames, 0.995) - background, background - _quantile(frames, 0.005)
    return background, peak, dip, float(np.median(steps) * np.sqrt(np.pi) / 2)


def _quantile(pixels: np.ndarray, q: float) -> float:
    """Of uint8 values, by their histogram: much quicker than sorting."""
    filled = np.cumsum(np.bincount(pixels.ravel(), minlength=256))
    return float(np.searchsorted(filled, q * filled[-1]))


def _spread(index: pd.DataFrame, column: str) -> pd.DataFrame:
    groups = index.groupby(["acquisition", "label"])[column]
    table = groups.quantile([0.05, 0.5, 0.95]).unstack().round(1)
    table.columns = [f"{column}_{name}" for name in ("p5", "median", "p95")]
    return groups.size().rename("n").to_frame().join(table).reset_index()


def _tells(index: pd.DataFrame, column: str) -> str:
    """How far one figure tells the classes apart, as a sentence."""
    stage1 = auc(index[column], index["label"] == "unreliable")
    reliable = index[index["label"].isin(RELIABLE)]
    stage2 = auc(reliable[column], reliable["label"] == "flipping")
    return (
        f"Alone it tells unreliable from reliable with AUC {stage1:.2f}, flipping from"
        f" tank-treading with {stage2:.2f}."
    )


def auc(values: pd.Series, positive: pd.Series) -> float:
    """Chance that a positive has the larger value, ties halved (Mann-Whitney); NaN where a class is
    empty.

    Parameters
    ----------
    values : (N,) numbers, one a sequence
    positive : (N,) bool, of the same rows
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(values)[positive.to_numpy()].sum() - n * (n + 1) / 2) / (n * m))


def _chance_sd(positive: pd.Series) -> float:
    """Standard deviation of `auc` under chance (Mann and Whitney, Ann. Math. Stat. 18:50, 1947)."""
    n, m = int(positive.sum()), int((~positive).sum())
    return float(np.sqrt((n + m + 1) / (12 * n * m))) if n and m else float("nan")


def _digest(pixels: np.ndarray) -> int:
    """64 bits of BLAKE2b, never 0: among Table 2's 4.3 million frames, chance equality has a
    probability of 1e-6.
    """
    return (
        int.from_bytes(
            hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).digest(), "little"
        )
        or 1
    )


def _frame_digests(frames: np.ndarray) -> np.ndarray:
    """(T,) uint64, 0 for a frame of one grey level."""
    return np.array([_digest(f) if f.min() < f.max() else 0 for f in frames], np.uint64)


def _neighbours(digests: np.ndarray, owners: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of different owners of one digest; of many owners only each and the next, so that none
    is left out.
    """
    order = np.lexsort((owners, digests))
    digests, owners = digests[order], owners[order]
    equal = (digests[1:] == digests[:-1]) & (owners[1:] != owners[:-1])
    return list(zip(owners[:-1][equal].tolist(), owners[1:][equal].tolist(), strict=True))


def _descriptor(frames: np.ndarray) -> np.ndarray:
    """What a film looks like on average and how it varies, coarsely, without its brightness: (200,)
    float32, unit.
    """
    films = frames.astype(np.float32)
    halves = [_coarse(films.mean(axis=0)), _coarse(films.std(axis=0))]
    vector = np.concatenate([half - half.mean() for half in halves])
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


def _coarse(picture: np.ndarray) -> np.ndarray:
    return picture[:30, :30].reshape(10, 3, 10, 3).mean(axis=(1, 3)).ravel()


def _alike(described: np.ndarray, split: np.ndarray, one: str, other: str) -> list[tuple[int, int]]:
    """Pairs to look at closely: for each sequence of `one` the most similar of `other`."""
    left, right = np.flatnonzero(split == one), np.flatnonzero(split == other)
    pairs = []
    # (512, N) float32: 150 MB at Table 2's size
    for begin in range(0, len(left) if len(right) else 0, 512):
        block = left[begin : begin + 512]
        cosines = described[block] @ described[right].T
        best = cosines.argmax(axis=1)
        near = cosines[np.arange(len(block)), best] > SAME_SHAPE
        pairs += zip(block[near].tolist(), right[best[near]].tolist(), strict=True)
    return pairs


def _noise_agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Median over eight of the shorter film's frames of the best correlation of finest structure
    with the other's.
    """
    shorter, longer = sorted((one, other), key=len)
    shorter = shorter[np.linspace(0, len(shorter) - 1, 8).astype(int)]
    return float(np.median((_finest(shorter) @ _finest(longer).T).max(axis=1)))


def _finest(frames: np.ndarray) -> np.ndarray:
    """Frames less their blurred selves, each of mean 0 and norm 1: (T, 961) float32."""
    films = frames.astype(np.float32)
    fine = (films - gaussian_filter(films, (0, 1, 1))).reshape(len(films), -1)
    fine -= fine.mean(axis=1, keepdims=True)
    return fine / np.maximum(np.linalg.norm(fine, axis=1, keepdims=True), 1e-6)


def _pairs_finding(
    key: str,
    what: str,
    sequences: Sequences,
    pairs: list[tuple[int, int]],
    scores: list[float],
    score: str,
) -> Finding:
    index = sequences.index
    one, other = (index.iloc[[pair[k] for pair in pairs]].reset_index(drop=True) for k in (0, 1))
    columns = {c: one[c] for c in ("name", "split", "label")}
    columns |= {f"other_{c}": other[c] for c in ("name", "split", "label")}
    table = pd.DataFrame(columns | {score: np.round(scores, 2)})
    apart = table["split"] != table["other_split"]
    disagree = table["label"] != table["other_label"]
    across, differ = int(apart.sum()), int(disagree.sum())
    gravest = (2 * apart + disagree).sort_values(ascending=False, kind="stable").index
    worst = [
        (across, "Test or validation scores are too good: the same film is in two splits."),
        (differ, "Labels contradict each other."),
        (len(pairs), "They count twice in their split."),
    ]
    plural = "pair" if len(pairs) == 1 else "pairs"
    return Finding(
        key,
        "Each sequence is of one cell, and in one split.",
        f"{len(pairs) or 'No'} {plural} {what}: {across} across splits, {differ} with different"
        " labels.",
        next((text for n, text in worst if n), "No."),
        bool(across or differ),
        table.loc[gravest],
        pairs=True,
    )
