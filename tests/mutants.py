"""Do the tests notice a fault? Faults are put into the code one at a time, and its tests are run.

    .venv/bin/python tests/mutants.py --sample 60 --out mutants.json

A mutant is one small change of one module: a comparison, an operator, a number, a condition or a
statement. Which ones are tried follows from the seed and from each mutant's own text, so that code
that did not change gives the same mutants again, before and after tests were merged. They are
tried in a copy of the checkout, never in this one. A mutant is killed when a test fails or when the
tests take far longer than without it.
"""

import argparse
import ast
import copy
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SEED = 2026
#: Modules whose faults would be silent, and the tests that are there for them. A name that the
#: checkout does not have is left out, so that the script also runs on older commits.
TESTED_BY = {
    "rbc/metrics.py": ["tests/test_rbc/test_metrics.py"],
    "rbc/sampling.py": ["tests/test_rbc/test_sampling.py"],
    "rbc/marker.py": ["tests/test_rbc/test_marker.py", "tests/test_rbc/test_prevalence.py"],
    "rbc/labelling.py": ["tests/test_rbc/test_labelling.py"],
    "rbc/tracking/linking.py": ["tests/test_rbc/test_tracking.py"],
    "compendium/data/ingest.py": [
        "tests/test_compendium/test_ingest.py",
        "tests/test_compendium/test_surprises.py",
        "tests/test_compendium/test_inputs.py",
        "tests/test_compendium/test_records.py",
    ],
    "compendium/data/layouts.py": [
        "tests/test_compendium/test_ingest.py",
        "tests/test_compendium/test_surprises.py",
        "tests/test_compendium/test_records.py",
    ],
    "compendium/tasks.py": [
        "tests/test_compendium/test_tasks.py",
        "tests/test_compendium/test_engine.py",
        "tests/test_compendium/test_runs.py",
    ],
}
COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change: where it is, what it is, and the whole module with it."""

    module: str
    line: int
    change: str
    text: str


def changed(node: ast.AST) -> ast.AST | None:
    """What stands in a node's place in the mutant; None where a node is left alone."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            new.ops = [COMPARISONS[type(operator)]()]
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            new.op = OPERATORS[type(operator)]()
        case ast.BoolOp():
            new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            new = new.operand
        case ast.Constant(value=bool(value)):
            new.value = not value
        case ast.Constant(value=int(value) | float(value)):
            new.value = value + 1
        case ast.If() | ast.IfExp() | ast.While():
            new.test = ast.UnaryOp(ast.Not(), new.test)
        case ast.Return(value=ast.expr()):
            new.value = ast.Constant(None)
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Continue():
            new = ast.Pass()
        case _:
            return None
    return ast.copy_location(new, node)


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Children whose change could show: no annotations, no texts of messages, no declarations."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        if isinstance(node, ast.Raise):  # its words may change without a fault
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield node, name, index if isinstance(value, list) else None
                yield from places(child)


def mutants(root: Path, module: str) -> list[Mutant]:
    """All mutants of a module, in the order of the text."""
    tree = ast.parse((root / module).read_text(encoding="utf-8"))
    found = []
    for parent, name, index in list(places(tree)):
        field = getattr(parent, name)
        before = field if index is None else field[index]
        after = changed(before)
        if after is None:
            continue
        if index is None:
            setattr(parent, name, after)
        else:
            field[index] = after
        text = ast.unparse(ast.fix_missing_locations(tree))
        if index is None:
            setattr(parent, name, before)
        else:
            field[index] = before
        change = f"{first_line(before)}  ->  {first_line(after)}"
        found.append(Mutant(module, getattr(before, "lineno", 0), change, text))
    return found


def first_line(node: ast.AST) -> str:
    """A node's source, one line of it."""
    return ast.unparse(node).splitlines()[0][:90]


def sample(root: Path, size: int) -> list[Mutant]:
    """Mutants to try: equally many of each module, drawn by the seed and each mutant's text."""
    modules = [module for module in TESTED_BY if (root / module).exists()]
    chosen = []
    for number, module in enumerate(modules):
        share = size // len(modules) + (number < size % len(modules))
        ranked = sorted(
            mutants(root, module),
            key=lambda m: hashlib.sha256(f"{SEED} {m.module} {m.change}".encode()).digest(),
        )
        chosen += ranked[:share]
    return chosen


def run_tests(root: Path, module: str, marks: str, seconds: float | None = None) -> str:
    """Run a module's tests in a copy of the checkout: passed, failed, slow or not run."""
    files = [name for name in TESTED_BY[module] if (root / name).exists()]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files]
    if marks:
        command += ["-m", marks]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command, cwd=root, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return "slow"
    return {0: "passed", 1: "failed"}.get(code, "failed" if code == 2 else "not run")


def table(results: list[dict]) -> str:
    """Killed of tried, by module and in all."""
    lines = ["| module | tried | killed |", "|---|---|---|"]
    modules = list(dict.fromkeys(row["module"] for row in results))
    for module in [*modules, "in all"]:
        rows = [row for row in results if module in (row["module"], "in all")]
        killed = sum(row["killed"] for row in rows)
        lines.append(f"| {module} | {len(rows)} | {killed} ({killed / len(rows):.0%}) |")
    return "\n".join(lines)


def main() -> None:
    """Try a sample of mutants, say what became of each, keep all of it."""
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--root", type=Path, default=ROOT, help="checkout whose code is tried")
    options.add_argument("--sample", type=int, default=60, help="mutants in all (60)")
    options.add_argument("--minutes", type=float, default=60, help="stop after this long (60)")
    options.add_argument("--marks", default="", help='tests to run, such as "not nightly"')
    options.add_argument("--out", type=Path, default=Path("mutants.json"), help="table of results")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "checkout"
        # what git knows, without the files that it ignores
        subprocess.run(["git", "clone", "-q", str(given.root), str(root)], check=True)
        results = try_sample(root, given)
    print(table(results))


def try_sample(root: Path, given: argparse.Namespace) -> list[dict]:
    """Each mutant's fate; a module's tests are run without a mutant first, and timed."""
    end = time.monotonic() + 60 * given.minutes
    results, seconds, failing = [], {}, set()
    chosen = sample(root, given.sample)
    by_module = {m.module: [c for c in chosen if c.module == m.module] for m in chosen}
    turns = max(len(rows) for rows in by_module.values())
    # in turn, so that a round that ends early has tried some of each module
    order = [rows[i] for i in range(turns) for rows in by_module.values() if i < len(rows)]
    for mutant in order:
        if time.monotonic() > end:
            print(f"stopped after {given.minutes:g} minutes: {len(results)} of {len(chosen)} tried")
            break
        if mutant.module not in seconds:
            begin = time.monotonic()
            if run_tests(root, mutant.module, given.marks) != "passed":
                failing.add(mutant.module)
                print(f"{mutant.module}: its tests do not pass without a mutant: left out")
            seconds[mutant.module] = time.monotonic() - begin
        if mutant.module in failing:
            continue
        path = root / mutant.module
        before = path.read_text(encoding="utf-8")
        path.write_text(mutant.text, encoding="utf-8")
        fate = run_tests(root, mutant.module, given.marks, 60 + 5 * seconds[mutant.module])
        path.write_text(before, encoding="utf-8")
        row = {"module": mutant.module, "line": mutant.line, "change": mutant.change, "fate": fate}
        results.append(row | {"killed": fate in ("failed", "slow")})
        print(f"{fate:8} {mutant.module}:{mutant.line}  {mutant.change}", flush=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


if __name__ == "__main__":
    main()
