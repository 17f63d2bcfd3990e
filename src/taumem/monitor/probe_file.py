"""A user's file that says how to load a checkpoint and what to ask it: for a scan, a guard and an audit alike.

::

    train, heldout = ...                       # items, as a guard takes them
    def load(path): ...                        # a checkpoint -> the model
    def loss(model, items, generator): ...     # one loss per item
    def sample(model, n, generator): ...       # n samples; may be left out
    def base(): ...                            # the pretrained model that training started from; may be left out
"""

import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from taumem.data.item_set import ItemSet
from taumem.errors import ConfigError, TaumemError
from taumem.probes.isolation import modules_of

__all__ = ["ProbeFile", "probe_of"]

CALLED = {
    "load": "load(path) -> the model with the weights of that checkpoint",
    "loss": "loss(model, items, generator) -> one loss per item, [n]",
    "base": "base() -> the model that training started from",
    "sample": "sample(model, n, generator) -> n samples, comparable with the items",
}
ITEMS = {
    "train": "the items that the model was trained on: a tensor or array [n, ...], columns, a list or a Dataset",
    "heldout": "items of the same source that the model never trained on, held likewise",
}
WANTED = ("load", "loss", "train", "heldout")
OPTIONS = ("n_train", "batch_size", "times", "timesteps", "deterministic", "collate")
"""Arguments of a guard that the file may give by their names."""


@dataclass(frozen=True, eq=False)
class ProbeFile:
    """A probe file, read.

    Attributes:
        path: of the file.
        module: what it defines.
        digest: SHA-256 of its text.
    """

    path: Path
    module: ModuleType
    digest: str

    @classmethod
    def read(cls, path: Path | str) -> "ProbeFile":
        """Run a probe file, and see that it has what is needed.

        Raises:
            ConfigError: it cannot be read or run, or lacks something: which line, what was expected.
        """
        path = Path(path).absolute()  # as tracebacks name it
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ConfigError(f"{path}: no probe file can be read there ({error.strerror or error}).") from None
        name = f"taumem_probe_{digest[:16]}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{path}: is no Python file; expected one that ends with .py.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        if (beside := str(path.resolve().parent)) not in sys.path:
            sys.path.append(beside)  # so that it may import what lies beside it, now and when it is called
        with _saying_where(path, f"{path.name} raised"):
            spec.loader.exec_module(module)
        found = cls(path, module, digest)
        found._check()
        return found

    def load(self, path: Path) -> Any:
        """The model of a checkpoint.

        Raises:
            ConfigError: the file's ``load`` raised, or gave no model: which line.
        """
        return self._model("load", path)

    def base(self) -> Any:
        """The model that training started from; errors as in :meth:`load`."""
        return self._model("base")

    def _model(self, name: str, *path: Path) -> Any:
        given = f"({', '.join(repr(part.name) for part in path)})"
        with self.saying_where(name, given):
            model = getattr(self.module, name)(*path)
        if not modules_of(model) and not callable(model):
            what = "None" if model is None else type(model).__name__
            raise ConfigError(
                f"{self.path.name}: {name}{given} gave {what}; it returns the model: a torch.nn.Module, or several in "
                "a tuple, list or dict."
            )
        return model

    def guard_arguments(self, n_samples: int | None = None) -> dict[str, Any]:
        """What a guard is given: the loss, the items, the options, and a sampler if samples are wanted.

        Args:
            n_samples: how many to draw at a look; None or 0 for no sampler.

        Raises:
            ConfigError: samples are wanted, and the file has no ``sample``.
        """
        has = vars(self.module)
        arguments = {name: has[name] for name in ("train", "heldout")}
        arguments |= {name: has[name] for name in OPTIONS if has.get(name) is not None}
        arguments["loss"] = self._told("loss")
        if self.has_base:
            arguments["pretrained"] = True
        if n_samples:
            if "sample" not in has:
                raise ConfigError(f"{self.path.name}: samples are wanted, and it has no {CALLED['sample']}.")
            draw = self._told("sample")
            arguments["sampler"] = lambda model, generator: draw(model, n_samples, generator)
        return arguments

    @property
    def can_sample(self) -> bool:
        """Whether it says how."""
        return "sample" in vars(self.module)

    @property
    def has_base(self) -> bool:
        """Whether it says what training started from."""
        return "base" in vars(self.module)

    @property
    def batch_size(self) -> int | None:
        """Training examples per optimizer step, if it says so."""
        return getattr(self.module, "batch_size", None)

    @contextmanager
    def saying_where(self, name: str, given: str = "(...)") -> Iterator[None]:
        """Say of what a function of the file raises: which one, and in which line."""
        with _saying_where(self.path, f"{self.path.name}: {name}{given} raised"):
            yield

    def _told(self, name: str) -> Callable[..., Any]:
        called = getattr(self.module, name)

        def told(*given: Any) -> Any:
            with self.saying_where(name):
                return called(*given)

        return told

    def _check(self) -> None:
        has, file = vars(self.module), self.path.name
        for name in WANTED:
            if name not in has:
                near = get_close_matches(name, set(has) - set(WANTED), n=1, cutoff=0.7)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ConfigError(f"{file}: it has no {name}; {hint}expected {(CALLED | ITEMS)[name]}.")
        arguments: dict[str, tuple[str, ...]] = {"load": ("path",), "base": (), "sample": ("model", "n", "generator")}
        has_times = has.get("times") is not None or has.get("timesteps") is not None
        arguments["loss"] = ("model", "items", "generator", *(("t",) if has_times else ()))
        for name, given in arguments.items():
            if name in has:
                _check_call(file, name, has[name], given)
        batch_size = has.get("batch_size")
        if batch_size is not None and (type(batch_size) is not int or batch_size < 1):
            raise ConfigError(f"{file}: batch_size is a whole number of at least 1; got {batch_size!r}.")
        for name, what in ITEMS.items():
            try:
                ItemSet.of(has[name], name, collate=has.get("collate"))
            except TaumemError as error:
                raise ConfigError(f"{file}: {name} is {what}; {error}") from None


def probe_of(path: Path | str, n_samples: int | None = None) -> dict[str, Any]:
    """Read a probe file for a guard: ``taumem.Guard(**taumem.probe_of("probe.py"), folder="runs/mine")``.

    Args:
        path: of the file: with ``load``, ``loss``, ``train`` and ``heldout``; see ``docs/checkpoints.md``.
        n_samples: how many samples to draw at a look by the file's ``sample``; None for none.

    Returns:
        Arguments of :class:`taumem.Guard`.

    Raises:
        ConfigError: it cannot be used: which line, what was expected.
    """
    return ProbeFile.read(path).guard_arguments(n_samples)


def _check_call(file: str, name: str, called: object, given: tuple[str, ...]) -> None:
    as_called = f"{name}({', '.join(given)})"
    if not callable(called):
        raise ConfigError(f"{file}: {name} is {type(called).__name__}; expected a function, {as_called}.")
    try:
        inspect.signature(called).bind(*given)
    except TypeError:
        takes = f"{name}{inspect.signature(called)}"
        raise ConfigError(f"{file}: {name} is called as {as_called}; this one is {takes}.") from None
    except ValueError:  # of what is written in C nobody can tell
        return


@contextmanager
def _saying_where(path: Path, what: str) -> Iterator[None]:
    """Make one line of what code of the user's raises; taumem's own errors say enough."""
    try:
        yield
    except TaumemError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{what} {type(error).__name__}: {_in_a_line(error)}{_where(path, error)}.") from error


def _in_a_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 300 else text[:297] + "...").rstrip(".")


def _where(path: Path, error: BaseException) -> str:
    """The last line of the file that an error came through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return ""  # its words have the line
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
