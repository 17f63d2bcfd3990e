"""The picture of the architecture, checked: who imports whom, what a module looks like, which errors it raises."""

import ast
import builtins
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"

LAYERS = (  # from top to bottom; the parts of one layer do not know each other
    {"__main__"},
    {"cli"},
    {"doctor"},
    {"lab", "report", "integrations"},
    {"monitor", "audit"},
    {"probes", "training"},
    {"models", "neighbors", "analysis"},
    {"diffusion", "data", "logs"},
    {"record"},
    {"processes"},
    {"errors", "shapes", "randomness"},
)
ALLOWED_BESIDE = {("lab", "report")}
TORCH_FREE = ("taumem.record", "taumem.logs", "taumem.analysis", "taumem.report", "taumem.errors")
FRAMEWORKS = {"accelerate", "diffusers", "ignite", "lightning", "pytorch_lightning", "transformers"}

FILES = {
    ".".join(file.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__"): file for file in SRC.rglob("*.py")
}
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in sorted(FILES.items())}


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that this one imports, inside functions and for type checkers too."""
    found: set[str] = set()
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: write the whole name of the module"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & set(FILES)) | ({str(node.module)} if names - set(FILES) else set())
    return frozenset(found)


def reached(module: str) -> set[str]:
    """All that comes along when a module is imported, as far as taumem's own modules lead."""
    todo, seen = [module], set()
    while todo:
        if (name := todo.pop()) not in seen:
            seen.add(name)
            if name in FILES and name != "taumem":
                todo += [name.rpartition(".")[0], *imports(name)]
    return seen


def level(module: str) -> int:
    name = module.split(".")[1]
    found = [k for k, layer in enumerate(LAYERS) if name in layer]
    assert found, f"'{name}' has no place in the picture: give it one in LAYERS and in ARCHITECTURE.md"
    return found[0]


def test_every_module_imports_only_what_lies_below_it():
    wrong = []
    for module in set(TREES) - {"taumem"}:
        for other in imports(module):
            if other.startswith("taumem."):
                here, there = module.split(".")[1], other.split(".")[1]
                if here != there and level(module) >= level(other) and (here, there) not in ALLOWED_BESIDE:
                    wrong.append(f"{module} imports {other}")
    assert not wrong


def test_no_module_goes_round_the_layers_by_the_package_itself():
    wrong = []
    for module in set(TREES) - {"taumem"}:
        for node in ast.walk(TREES[module]):
            if isinstance(node, ast.ImportFrom) and node.module == "taumem":
                wrong += [(module, a.name) for a in node.names if f"taumem.{a.name}" not in FILES]
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "taumem":
                wrong += [(module, node.attr)]
    assert {what for what in wrong if what[1] != "__version__"} == set()


def test_no_torch_at_the_waist_and_beyond():
    for module in TREES:
        if module.startswith(TORCH_FREE):
            assert not {name.split(".")[0] for name in reached(module)} & {"torch", "jaxtyping", "safetensors"}, module


@pytest.mark.slow
def test_importing_what_is_free_of_torch_brings_no_torch():
    command = "import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    command += "    assert 'torch' not in sys.modules, f'torch came along with {name}'"
    subprocess.run([sys.executable, "-c", command, "taumem", "taumem.doctor", *TORCH_FREE], check=True)


def test_training_frameworks_stay_in_their_adapters():
    for module in set(TREES) - {"taumem"}:
        if module.split(".")[1] not in ("integrations", "lab"):
            allowed = {"accelerate"} if module == "taumem.training.engine" else set()
            assert not {name.split(".")[0] for name in imports(module)} & (FRAMEWORKS - allowed), module


def test_a_module_says_what_it_is_and_what_it_exports():
    for module, tree in TREES.items():
        assert ast.get_docstring(tree), f"{module} does not say what it is"
        assert module.split(".")[-1] not in {"utils", "util", "helpers", "misc", "common", "base", "core"}, module
        exported = [n.value for n in tree.body if isinstance(n, ast.Assign) and "__all__" in ast.unparse(n.targets)]
        spared = module == "taumem" or FILES[module].name in ("__main__.py", "build.py")  # names in the stub; run only
        assert spared or (len(exported) == 1 and isinstance(exported[0], ast.List)), f"{module} has no list __all__"


@pytest.mark.slow
def test_what_is_raised_on_purpose_is_a_taumem_error():
    builtin = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    wrong = []
    for module, tree in TREES.items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        # Inside its validators pydantic wants ValueError; the door makes a ConfigError or a RecordError of it.
        validators = [f for f in functions if "validator" in " ".join(map(ast.unparse, f.decorator_list))]
        spared = {id(node) for validator in validators for node in ast.walk(validator)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None and id(node) not in spared:
                name = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
                if name in builtin - {"AttributeError", "StopIteration"}:
                    wrong.append(f"{module}, line {node.lineno}: {name}")
    assert not wrong


def test_tracked_files_name_no_machine_and_no_package_index():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    places = re.compile(
        r"(?<![\w.])/(work|home|root|Users)/\w|[A-Z]:\\Users|index-url|https?://[^\s\"')]+/simple\b|https?://[\d.]+[:/]"
    )
    wrong = []
    for name in set(listed.stdout.split("\0")) - {"", "tests/test_architecture.py"}:
        if (file := ROOT / name).is_file() and file.suffix not in {".png", ".npz", ".gz", ".safetensors", ".sealed"}:
            found = places.search(file.read_text(encoding="utf-8", errors="replace"))
            wrong += [f"{name}: {found.group()}"] if found else []
    assert not wrong


LONGER = {
    "taumem.analysis.clocks.table": "one table, a row for each clock",
    "taumem.analysis.study": "one value, the Study, that everybody reads",
    "taumem.data.grammar": "one value, the Random Hierarchy Model, with its closed forms",
}
"""Modules of more than 300 lines, and why their readers would not want them cut."""


def test_a_module_is_read_at_one_sitting():
    lines = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in FILES.items()}
    long = {module: n for module, n in lines.items() if n > 300 and module not in LONGER}
    assert not long, "split them, or say in LONGER why not"


def test_no_module_is_shadowed_by_a_name_of_its_package():
    shadowed = []
    for module, tree in TREES.items():
        names = {
            (alias.asname or alias.name, f"{node.module}.{alias.name}")
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        if FILES[module].name == "__init__.py":
            shadowed += [
                f"{module}.{name}" for name, home in names if f"{module}.{name}" in FILES and home not in FILES
            ]
    assert not shadowed


RETIRED = {
    "level": "confidence (of an interval), grammar_level or time",
    "levels": "times (of diffusion)",
    "held_back": "excluded (from fits)",
    "check": "look",
    "checks": "looks",
    "moment": "look",
    "pulse": "on_step",
}
"""Names of arguments and fields that once had several meanings, and the word for each."""
SPARED = {
    ("PhaseDiagram", "levels"),  # of a grammar, which is what these are about
    ("LevelOnsets", "levels"),
    ("PlacedRun", "levels"),
    ("fit", "level"),  # the former name of an option, which goes on
    ("forecast", "level"),
}


def test_one_word_has_one_meaning():
    found = []
    for node in (node for tree in TREES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            found += [(node.name, argument.arg) for argument in every]
        if isinstance(node, ast.ClassDef):
            fields = [n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
            found += [(node.name, name) for name in fields]
    wrong = {f"{owner}({name}): say {RETIRED[name]}" for owner, name in set(found) - SPARED if name in RETIRED}
    assert not wrong


STUMBLES = re.compile(
    r"held[ -]back|nobody (knows|says)|(steps|symbols|rules) an? (example|level|symbol)", re.IGNORECASE
)
"""Phrases that a newcomer reads twice, or words for what has another name."""


def test_prose_is_read_once():
    texts = {module: file.read_text(encoding="utf-8") for module, file in FILES.items()}
    assert [(module, match.group()) for module, text in texts.items() for match in STUMBLES.finditer(text)] == []
