"""Copy the released profile's finished runs from results/ into data/reference/, without weights: no pixels are in them.

python workflow/reference.py
"""

import shutil

from rbc import runs
from rbc.profiles import load
from rbc.sequences import whole_folder

PROFILE = load("released")


def main() -> None:
    missing = [c.path for c in PROFILE.configurations() if not runs.complete(PROFILE.results_folder / c.path)]
    if missing:
        raise SystemExit(f"not complete, nothing copied: {', '.join(missing)}")
    with whole_folder(runs.REFERENCE / "released") as part:
        for name in ("index.parquet", "dataset.json", "checks.json"):
            shutil.copy(PROFILE.results_folder / name, part / name)
        for c in PROFILE.configurations():
            ignored = shutil.ignore_patterns("weights.safetensors")
            shutil.copytree(PROFILE.results_folder / c.path, part / c.path, ignore=ignored)


if __name__ == "__main__":
    main()
