"""The verdicts on all claims for one profile: evaluated once, kept as verdicts.json, read by all.

Pages, packet and command line read the file. It is made anew where its key says that runs, data,
claims or the code of the rules are other than they were.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from compendium.evidence import audit, claims, decisions
from compendium.evidence.claims import Claim
from compendium.evidence.decisions import Comparison, Difference, Verdict
from compendium.evidence.kept import content_of, file_of, key_of, why
from compendium.evidence.rules import GROUPS, Tolerance
from compendium.evidence.study import Study
from compendium.profiles import Profile
from rbc import RbcError
from rbc.paper import STAGES


@dataclass(frozen=True)
class Verdicts:
    """What verdicts.json keeps.

    Attributes
    ----------
    scope : what the verdicts on runs can say at all, a sentence
    tolerance : margin and z by which they were reached
    claims : the paper's claims
    by_id : the verdict on each
    """

    scope: str
    tolerance: Tolerance
    claims: list[Claim]
    by_id: dict[str, Verdict]

    def by_group(self) -> dict[str, list[Claim]]:
        """Claims by group, reported scores first."""
        return {group: [c for c in self.claims if c.group == group] for group in GROUPS}

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of claims by group and verdict, verdicts with no claim too; a number that the
        paper reports twice is counted once.
        """
        found = {group: dict.fromkeys(decisions.VERDICTS, 0) for group in GROUPS}
        for claim in self.claims:
            if not claim.repeats:
                found[claim.group][self.by_id[claim.id].verdict] += 1
        return found

    def at(self, margin: float, z: float) -> dict[str, int]:
        """Number of each verdict of the comparisons with runs, at another tolerance.

        Parameters
        ----------
        margin, z : the other tolerance
        """
        compared = [v.compared for v in self.by_id.values() if v.compared]
        found = [c.verdict(margin, z) for c in compared]
        names = (decisions.REPRODUCED, decisions.UNRESOLVED, decisions.DIFFERS)
        return {name: found.count(name) for name in names}

    def records(self) -> dict:
        """Plain values for JSON: tolerance, scope, counts and a record a claim, by group."""
        ordered = [c for own in self.by_group().values() for c in own]
        return {
            "tolerance": self.tolerance.model_dump(),
            "scope": self.scope,
            "counts": self.counts(),
            "claims": [_record(c, self.by_id[c.id]) for c in ordered],
        }


def _record(claim: Claim, verdict: Verdict) -> dict:
    shown = ("verdict", "found", "evidence", "numbers", "readings")
    kept = {name: getattr(verdict, name) for name in shown}
    return claim.model_dump() | {"group": claim.group} | kept


def evaluate(study: Study) -> Verdicts:
    """Evaluate every claim on the runs of a results folder.

    Parameters
    ----------
    study : the runs, the data and the profile
    """
    tolerance, listed = claims.load()
    found = {c.id: c.rule.evaluate(study, tolerance) for c in listed}
    return Verdicts(scope(study), tolerance, listed, found)


def make(profile: Profile, folder: Path) -> Path:
    """Keep the verdicts on a profile's runs, unless the kept ones are still right; their file.

    Parameters
    ----------
    profile : of the runs
    folder : of the runs, with dataset.json, index.parquet and checks.json
    """
    out = file_of(folder)
    if not why(profile, folder):
        return out
    key = key_of(profile, folder)
    found = evaluate(Study(profile, folder))
    compared = {
        name: _plain(verdict.compared) for name, verdict in found.by_id.items() if verdict.compared
    }
    content = {"key": key, "profile": profile.name, **found.records(), "compared": compared}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(out)
    return out


def read(folder: Path) -> Verdicts:
    """The kept verdicts on the runs of a folder; nothing is evaluated.

    Parameters
    ----------
    folder : of a profile's runs

    Raises
    ------
    RbcError
        where none are kept
    """
    path = file_of(folder)
    if not path.exists():
        raise RbcError(f"{path}: no verdicts are kept there; rbc claims or rbc book makes them")
    content = content_of(path)
    found, listed = {}, []
    for kept in content["claims"]:
        written = json.dumps({name: kept[name] for name in Claim.model_fields})
        listed.append(Claim.model_validate_json(written))
        compared = content["compared"].get(kept["id"])
        found[kept["id"]] = Verdict(
            kept["verdict"],
            kept["found"],
            tuple(kept["evidence"]),
            kept["numbers"],
            tuple(kept["readings"]),
            _comparison(compared) if compared else None,
        )
    return Verdicts(content["scope"], Tolerance(**content["tolerance"]), listed, found)


def _plain(compared: Comparison) -> dict:
    """A comparison for JSON, which has no nan."""
    content = asdict(compared)
    for row in content["pairs"]:
        for difference in row:
            unknown = [name for name, x in difference.items() if np.isnan(x)]
            difference.update(dict.fromkeys(unknown))
    return content


def _difference(kept: dict) -> Difference:
    return Difference(**{name: np.nan if x is None else x for name, x in kept.items()})


def _comparison(kept: dict) -> Comparison:
    pairs = tuple(tuple(_difference(d) for d in row) for row in kept["pairs"])
    return Comparison(kept["relation"], pairs, kept["half_digit"])


def scope(study: Study) -> str:
    """What the verdicts on runs can say at all, with this data: a sentence."""
    if study.meta["simulated"]:
        return "These cells are simulated, so no claim on runs is tested."
    if study.profile.data.source == "zenodo":
        return "These runs were trained on the paper's own sequences, so they test the paper."
    sizes = [f"{sum(audit.sizes(stage, 'train')):,} (stage {stage})" for stage in STAGES]
    return (
        f"All {len(study.index)} sequences here are fewer than the paper's training sets,"
        f" {' and '.join(sizes)}. A difference shows how the method performs with few cells and"
        " does not mean that the paper is wrong."
    )
