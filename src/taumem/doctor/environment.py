"""What taumem runs on: Python, this machine, the packages that it needs, and those that its extras bring."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion

import taumem
from taumem.doctor import importing

__all__ = ["PURPOSES", "Environment", "Extra", "Package", "look_around"]

PURPOSES = {
    "accelerate": "the guard in loops on Accelerate; runs on several GPUs",
    "diffusers": "the guard in the scripts of diffusers, LoRA included",
    "lightning": "the guard in Lightning's Trainer",
    "transformers": "the guard in the Trainer of Transformers",
    "ignite": "the guard in Ignite and MONAI",
    "hf": "Hugging Face datasets as data (hf:NAME)",
    "rdkit": "which molecules are valid",
    "onnx": "an audit by features of an ONNX file",
    "ray": "runs and searches for nearest items on a Ray cluster",
    "slurm": "runs as jobs of Slurm",
    "fid": "FID and KID of samples",
    "trackers": "TensorBoard, Weights & Biases, MLflow and Trackio",
}
"""What each extra is for; those of taumem's own development are not told."""
FOR_DEVELOPMENT = {"dev", "docs", "test"}
MODULES = {"pillow": "PIL", "pytorch-ignite": "ignite", "mlflow-skinny": "mlflow"}
"""Packages whose module has another name."""
PATIENCE = 300
"""Seconds after which an import counts as hanging."""

State = Literal["works", "missing", "other version", "broken"]


@dataclass(frozen=True)
class Package:
    """A package that taumem asks for.

    Attributes:
        name: of the distribution.
        asked: which versions of it, such as ``>=2.4``.
        version: that is installed; empty where none is.
        state: ``works`` of one that is only known to be installed, too.
        why_not: where it does not work, why.
    """

    name: str
    asked: str
    version: str
    state: State
    why_not: str = ""

    @property
    def told(self) -> str:
        """In words, what is wrong with it; its name and version where nothing is."""
        match self.state:
            case "missing":
                return f"{self.name} is missing"
            case "other version":
                return f"{self.name} {self.version} is installed, {self.asked} is needed"
            case "broken":
                return f"{self.name} {self.version} cannot be imported ({self.why_not})"
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Extra:
    """What an extra of taumem's brings.

    Attributes:
        name: of the extra.
        purpose: what it is for.
        packages: that it brings.
    """

    name: str
    purpose: str
    packages: tuple[Package, ...]

    @property
    def state(self) -> State:
        """``works`` where all of its packages do; else what is wrong with the first that is there and does not."""
        wrong = [package.state for package in self.packages if package.state != "works"]
        return next((state for state in wrong if state != "missing"), wrong[0] if wrong else "works")

    @property
    def command(self) -> str:
        """What brings it."""
        return f"pip install 'taumem[{self.name}]'"


@dataclass(frozen=True)
class Environment:
    """What taumem runs on.

    Attributes:
        taumem: its version.
        python: that of Python.
        executable: which Python this is.
        system: the operating system and the kind of processor.
        cores: that this process may use.
        memory: of the machine in bytes; None where it cannot be told.
        devices: that torch can train on besides the processor, in words.
        packages: that taumem cannot do without.
        extras: what they bring.
        obstacles: what stands in the way, in sentences.
        cautions: what may be unexpected, in sentences.
    """

    taumem: str
    python: str
    executable: str
    system: str
    cores: int
    memory: int | None
    devices: tuple[str, ...]
    packages: tuple[Package, ...]
    extras: tuple[Extra, ...]
    obstacles: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def has_torch(self) -> bool:
        """Whether data can be read and models trained."""
        return all(package.state == "works" for package in self.packages if package.name == "torch")


def look_around(*, imports: bool = False) -> Environment:
    """Look at what taumem runs on.

    What taumem cannot do without is imported, in a process of its own; of what extras bring only the versions are
    looked at, since some take long to import.

    Args:
        imports: whether what extras bring is imported as well.
    """
    required, extras = _asked_for()
    every = [*required, *(package for extra in extras for package in extra.packages)]
    tried = [each.name for each in (every if imports else required) if each.state == "works"]
    seen = _imported(list(dict.fromkeys(tried)))
    packages = tuple(_tried(package, seen.why_not) for package in required)
    extras = [Extra(each.name, each.purpose, tuple(_tried(p, seen.why_not) for p in each.packages)) for each in extras]
    return Environment(
        taumem=taumem.__version__,
        python=platform.python_version(),
        executable=sys.executable,
        system=f"{platform.system()} {platform.machine()}",
        cores=_cores(),
        memory=_memory(),
        devices=seen.devices,
        packages=packages,
        extras=tuple(extras),
        obstacles=tuple(_obstacles(packages)),
        cautions=(*_cautions(packages, extras, seen.devices), *seen.warnings),
    )


def _asked_for() -> tuple[list[Package], list[Extra]]:
    """What taumem's metadata ask for: always, and by each extra."""
    try:
        asked = [Requirement(line) for line in distribution("taumem").requires or []]
    except PackageNotFoundError:
        return [_package(Requirement("torch"))], []

    def of(extra: str) -> list[Package]:
        wanted = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": extra})]
        return [_package(each) for each in wanted]

    always = of("")
    names = {package.name for package in always}
    own = {extra: tuple(each for each in of(extra) if each.name not in names) for extra in PURPOSES}
    return always, [Extra(name, PURPOSES[name], packages) for name, packages in own.items() if packages]


def _package(asked: Requirement) -> Package:
    wanted = ",".join(sorted(map(str, asked.specifier), reverse=True))
    try:
        found = version(asked.name) or ""  # what is half removed has a name and no version
    except PackageNotFoundError:
        found = ""
    return Package(asked.name, wanted, found, _state(found, asked.specifier))


def _state(found: str, wanted: SpecifierSet) -> State:
    if not found:
        return "missing"
    try:
        return "works" if wanted.contains(found, prereleases=True) else "other version"
    except InvalidVersion:
        return "other version"


def _tried(package: Package, why_not: Mapping[str, str]) -> Package:
    if package.state != "works" or package.name not in why_not:
        return package
    return Package(package.name, package.asked, package.version, "broken", why_not[package.name])


@dataclass(frozen=True)
class _Imported:
    """Why packages cannot be imported, by their names; and what torch says of this machine."""

    why_not: dict[str, str]
    devices: tuple[str, ...]
    warnings: tuple[str, ...]


def _imported(names: Sequence[str]) -> _Imported:
    modules = {MODULES.get(name, name.replace("-", "_")): name for name in names}
    why_not, devices, warnings = dict[str, str](), tuple[str, ...](), tuple[str, ...]()
    waiting = list(modules)
    while waiting:
        lines, ended = _run(waiting)
        for line in lines:
            waiting.remove(line["module"])
            why_not |= {modules[line["module"]]: line["why_not"]} if line["why_not"] else {}
            devices, warnings = tuple(line.get("devices", devices)), tuple(line.get("warnings", warnings))
        if waiting:  # the one that was being imported ended the process; the others have another try
            why_not[modules[waiting.pop(0)]] = ended
    return _Imported(why_not, devices, warnings)


def _run(modules: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """Import modules in a process of its own: the lines that it wrote, and how it ended."""
    command = [sys.executable, "-P", str(Path(importing.__file__)), *modules]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        written, ended = done.stdout, f"Python ended with code {done.returncode} as it was imported"
    except subprocess.TimeoutExpired as late:
        written, ended = late.stdout or b"", f"its import took more than {PATIENCE} seconds"
    return [json.loads(line) for line in written.splitlines() if line.endswith(b"}")], ended


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> int | None:
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def _obstacles(packages: Sequence[Package]) -> Iterator[str]:
    try:
        python = distribution("taumem").metadata["Requires-Python"]
    except PackageNotFoundError:
        yield "taumem runs and is not installed, so that what else it needs is not known: pip install taumem."
        python = None
    if python and not SpecifierSet(python).contains(platform.python_version(), prereleases=True):
        yield f"Python {platform.python_version()} runs here, {python} is needed."
    wrong = [package for package in packages if package.state != "works"]
    if wrong:
        how = {package.state for package in wrong}
        again = "pip install --force-reinstall " + " ".join(
            package.name for package in wrong if package.state == "broken"
        )
        what_to_do = [*([again] if "broken" in how else []), *(["pip install taumem"] if how - {"broken"} else [])]
        yield f"{'; '.join(package.told for package in wrong)}: {' and '.join(what_to_do)}."


def _cautions(packages: Sequence[Package], extras: Sequence[Extra], devices: Sequence[str]) -> Iterator[str]:
    for extra in extras:
        wrong = [package.told for package in extra.packages if package.state in ("other version", "broken")]
        if wrong:
            yield f"{extra.name}: {'; '.join(wrong)}. {extra.command} brings what is needed."
    torch = next((package for package in packages if package.name == "torch" and package.state == "works"), None)
    if torch and not devices and shutil.which("nvidia-smi"):
        build = " is built for processors alone" if re.search(r"\+cpu$", torch.version) else " does not see it"
        yield f"There seems to be an NVIDIA GPU (nvidia-smi is here), and torch {torch.version}{build}."
