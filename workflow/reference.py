"""Copy a profile's finished runs from results/ into data/reference/, without weights: no pixels are
in them.

python workflow/reference.py released|register|ablations
"""

import shutil
import sys

from compendium import runs
from compendium.profiles import load
from rbc.files import whole_folder

#: the book shows the notebooks of the released sample's runs
LEFT_OUT = {
    "released": ("weights.safetensors",),
    "register": runs.NOT_KEPT,
    "ablations": runs.NOT_KEPT,
}


def main(name: str) -> None:
    profile = load(name)
    missing = [
        c.path
        for c in profile.configurations()
        if not runs.complete(profile.results_folder / c.path)
    ]
    if missing:
        raise SystemExit(f"not complete, nothing copied: {', '.join(missing)}")
    with whole_folder(runs.REFERENCE / name, ("dataset.json", "*")) as part:
        for file in runs.OF_THE_DATA:
            shutil.copy(profile.results_folder / file, part / file)
        for c in profile.configurations():
            ignored = shutil.ignore_patterns(*LEFT_OUT[name])
            shutil.copytree(profile.results_folder / c.path, part / c.path, ignore=ignored)


if __name__ == "__main__":
    main(sys.argv[1])
