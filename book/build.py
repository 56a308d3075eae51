"""Build the book of one profile into _build/html: python book/build.py PROFILE.

The table of contents in _toc.yml is the demo's; for another profile its pages take the demo's place. A failed notebook
or a warning of the build is an error, and nothing is left that looks like a book.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"


def contents(profile: str) -> dict:
    """_toc.yml with the demo's part made the profile's (or gone, where that has a part of its own)."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    about = json.loads((ROOT / "results" / profile / "dataset.json").read_text())
    for part in toc["parts"]:
        if "pages/demo/" in json.dumps(part) and not about["simulated"]:
            part["caption"] = "Results on real cells"
    if profile in ("released", "register", "ours"):
        toc["parts"] = [part for part in toc["parts"] if "pages/demo/" not in json.dumps(part)]
    return json.loads(json.dumps(toc).replace("pages/demo/", f"pages/{profile}/"))


def check_notebooks() -> None:
    """Stop where an executed notebook holds an error: the build itself would pass over it."""
    for path in [*sorted((ROOT / "book" / "pages").rglob("*.ipynb")), ROOT / "notebooks" / "paper.ipynb"]:
        outputs = [o for cell in json.loads(path.read_text())["cells"] for o in cell.get("outputs", [])]
        if any(o["output_type"] == "error" for o in outputs):
            sys.exit(f"{path}: this notebook ended with an error; remove it and build again")


def main(profile: str) -> None:
    check_notebooks()
    BUILD.mkdir(exist_ok=True)
    (BUILD / "toc.yml").write_text(yaml.safe_dump(contents(profile), sort_keys=False))
    shutil.rmtree(BUILD / "html", ignore_errors=True)  # pages of another profile must not stay
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [program, "build", ".", "--toc", "_build/toc.yml", "--all", "-W", "-n", "--keep-going", "-q"]
    if subprocess.run(command, cwd=ROOT).returncode:
        shutil.rmtree(BUILD / "html", ignore_errors=True)
        sys.exit("the book was not built: see the warnings above")
    print(f"the book is {BUILD / 'html' / 'index.html'}")


if __name__ == "__main__":
    main(sys.argv[1])
