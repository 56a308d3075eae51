"""Set up .venv: the packages of requirements.lock that a command needs, and this checkout.

    python3.11 workflow/environment.py base book     # a new .venv, as for `make book`
    python3.11 workflow/environment.py test          # more into the .venv that is there

Each line of the lock ends with the set that its package belongs to. uv installs where it can be
had, as it is many times quicker than pip; pip does the same from the same lines where it cannot.
Neither compiles to bytecode: Python does that for the modules that are used.

It runs before anything is installed, so it needs nothing but Python.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
SETS = ("base", "book", "exchange", "formats", "pdf", "test")
#: PyTorch's own index of builds for processors alone; PyPI's build for Linux brings CUDA with it.
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
#: Options of pip that uv knows by other names. A mirror that pip was told of serves uv, too.
PIP_TO_UV = {"find-links": "UV_FIND_LINKS", "index-url": "UV_DEFAULT_INDEX"}


def main(sets: list[str]) -> None:
    """Make .venv anew when the base is asked for, then install what the sets name."""
    unknown = [name for name in sets if name not in SETS]
    if unknown or not sets:
        sys.exit(f"environment.py: name some of {', '.join(SETS)}, not {unknown}")
    uv = shutil.which("uv")
    if "base" in sets:
        make_venv(uv)
    python = venv_python()
    uv = uv or uv_by_pip(python)
    wanted = VENV / "wanted.txt"
    wanted.write_text("\n".join(packages(LOCK, sets)) + "\n", encoding="utf-8")
    install(uv, python, ["--no-deps", "-r", str(wanted)])
    if "base" in sets:
        # a build of PyTorch for CUDA asks for more packages, each in one version
        torch = next(line for line in packages(LOCK, ["base"]) if line.startswith("torch=="))
        install(uv, python, [torch])
        install(uv, python, ["--no-deps", "-e", str(ROOT)])


def packages(lock: Path, sets: list[str]) -> list[str]:
    """Lines of the lock that belong to some sets, such as ``numpy==2.4.6``."""
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        package, _, name = line.partition("  # ")
        if name in sets:
            found.append(package)
    return found


def make_venv(uv: str | None) -> None:
    """An empty .venv with this Python."""
    if uv:
        run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(VENV)])
    else:
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def venv_python() -> str:
    """The Python of .venv."""
    return str(VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def uv_by_pip(python: str) -> str | None:
    """uv put into .venv by pip; None where that fails."""
    said = subprocess.run(
        [python, "-m", "pip", "install", "-q", "--no-compile", "uv"], capture_output=True
    )
    return str(Path(python).with_name("uv")) if said.returncode == 0 else None


def install(uv: str | None, python: str, options: list[str]) -> None:
    """Install by uv, else by pip; PyTorch without CUDA where there is no GPU."""
    settings = pip_settings()
    if uv:
        environment = dict(os.environ)
        for option, variable in PIP_TO_UV.items():
            if option in settings:
                environment.setdefault(variable, settings[option].replace(" ", ","))
        command = [uv, "pip", "install", "-q", "--python", python, *options]
        if wants_cpu_build() and "UV_FIND_LINKS" not in environment:
            if subprocess.run([*command, "--torch-backend=cpu"], env=environment).returncode == 0:
                return
            print("the CPU build of PyTorch could not be had: its build of PyPI is installed")
        run(command, environment)
        return
    print("uv could not be had: pip installs the same packages, which takes minutes")
    command = [python, "-m", "pip", "install", "-q", "--progress-bar", "off", "--no-compile"]
    if wants_cpu_build() and "find-links" not in settings:
        command += ["--extra-index-url", CPU_BUILDS]
    run([*command, *options])


def wants_cpu_build() -> bool:
    """Whether this is a Linux without NVIDIA's driver, where CUDA's packages would be no use."""
    return sys.platform == "linux" and not Path("/proc/driver/nvidia").exists()


def pip_settings() -> dict[str, str]:
    """What pip was told by variables and files, by the option's name."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    found = {}
    for line in said.stdout.splitlines():
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = value.strip("'\"")
    for option in PIP_TO_UV:  # a Python without pip still knows the variables
        variable = "PIP_" + option.upper().replace("-", "_")
        if variable in os.environ:
            found[option] = os.environ[variable]
    return found


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command, and end with its exit code where it fails."""
    code = subprocess.run(command, env=environment).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
