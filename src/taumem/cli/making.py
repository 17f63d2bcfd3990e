"""The verbs that train: demo, run, sweep."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.console import err, out, print_json, progress_bars
from taumem.cli.entry import Flag, Json, OutputFolder, Whole, WholeOrNone, Wholes, app
from taumem.cli.executing import Where, executor_of
from taumem.cli.listing import show_runs
from taumem.cli.tables import show_demo, show_outlook, show_study

if TYPE_CHECKING:
    from taumem.lab.memory import Memory

__all__ = ["demo", "run", "sweep"]

FAILED = 1
"""Exit code where some runs of a sweep could not be made."""


@app.command
def demo(
    *,
    output: OutputFolder | None = None,
    seed: Whole = 0,
    quick: Annotated[bool, Parameter(negative="")] = False,
    workers: WholeOrNone = None,
    json: Json = False,
) -> None:
    """Forecast when an image model starts to memorize, then train it and see.

    Built-in images, no network; two minutes on two cores. Interrupted, the same command goes on.

    Parameters
    ----------
    output
        Folder for the runs, the report and demo.json; taumem-demo (or taumem-demo-quick) if not given. Another seed
        needs another folder.
    seed
        Of the data's shuffle, the weights, and everything else.
    quick
        Half the sizes, in half the time.
    workers
        Processes at once; as many as processors if not given.
    json
        Print one JSON object on standard output.
    """
    from taumem.lab.demo import demo as run_demo
    from taumem.record import write_atomically

    output = output or Path("taumem-demo-quick" if quick else "taumem-demo")
    with progress_bars() as advance:
        result = run_demo(output, seed=seed, quick=quick, workers=workers, progress=advance)
    text = result.model_dump_json(indent=2)
    write_atomically(output / "demo.json", text + "\n")
    print(text) if json else show_demo(result)


@app.command
def run(
    experiment: str,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    output: OutputFolder | None = None,
    seed: Wholes = None,
    device: str = "cpu",
    workers: WholeOrNone = None,
    where: Where | None = None,
    json: Json = False,
) -> None:
    """Make all runs of an experiment, fit its laws and write its report.

    Interrupted, the same command goes on. A study of a grammar ends with the phase diagram, the levels that were
    learned and the price of stopping early.

    Parameters
    ----------
    experiment
        A .toml or .json file, or a preset: demo, demo-quick, images, own-images, mixture, random-features, grammar,
        grammar-phase, text, own-lines, molecules, finetune, hidden, items, partial, privacy, cifar10-tiny,
        cifar10-gpu; grammar-paper, text8-paper, favero-cifar10, favero-celeba-split. Keys and values are those of the
        file; docs/experiments.md lists them. A preset that is a sweep is for taumem sweep: noises, widths.
    set
        Keys to change, such as training.batch_size=32.
    output
        Folder for the runs and the report; the experiment's name if not given.
    seed
        Seeds to use instead of the experiment's.
    device
        Where to train: cpu, cuda, cuda:1.
    workers
        Processes at once; as many as processors on the CPU, 1 elsewhere, if not given.
    where
        On what machines.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.lab import load_experiment, make_study, outlook, sized
    from taumem.lab.pretrained import pretraining_steps
    from taumem.lab.sweeps import slurm_of
    from taumem.processes import is_first
    from taumem.record import read_runs
    from taumem.report import write_report

    began = time.monotonic()
    changes = [*(set or []), *([f"seeds={seed}"] if seed else [])]
    chosen = sized(load_experiment(experiment, changes))
    folder = output or Path(chosen.name)
    before = pretraining_steps(chosen)
    said: list[str] = []
    with progress_bars() as advance:

        def on_progress(done: int, total: int) -> None:
            if not is_first():
                return
            if not done and not said:  # nothing has spoken against it, and nothing is trained yet
                ahead = outlook(chosen)
                show_outlook(ahead)
                said.extend((ahead.line, *ahead.cautions))
            if done < before:
                advance("pretraining", done, before)
            else:
                advance("runs", done - before, total - before)

        with executor_of(where, folder, device, workers, slurm_of(experiment, changes)) as executor:
            make_study(
                chosen,
                folder,
                device=device,
                workers=workers,
                executor=executor,
                progress=on_progress,
                on_memory=_say_memory,
            )
    if not is_first():
        return
    options = [part for change in changes for part in ("--set", change)]
    command = shlex.join(["taumem", "run", experiment, *options, "-o", str(folder), "--device", device])
    study = Study.of(read_runs(folder))  # with those of other sizes and seeds that were made here before
    report = write_report(folder / "report.html", study, title=chosen.name, reproduce=command)
    content = study.to_json() | {"report": str(report), "seconds": round(time.monotonic() - began, 1)}
    if json:
        print_json(content)
        return
    show_study(study, said=said)
    out.print(f"Report: {escape(str(report))}   ({content['seconds']:.0f} s)", soft_wrap=True)


@app.command
def sweep(
    experiment: str,
    /,
    *,
    over: Annotated[list[str] | None, Parameter(negative="")] = None,
    set: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    output: OutputFolder | None = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    names: Flag = False,
    device: str = "cpu",
    workers: WholeOrNone = None,
    retries: Whole = 1,
    where: Where | None = None,
    json: Json = False,
) -> None:
    """Make an experiment over several values of some of its keys: a study for each combination, in one folder.

    Interrupted, the same command goes on, and makes what is missing. A run that fails is listed with its reason, does
    not stop the others, and makes the exit code 1. See docs/sweeps.md.

    Parameters
    ----------
    experiment
        A file or a preset, as `taumem run` takes it; a table [over] in it says what to go over.
    over
        What to go over, such as training.learning_rate=1e-3,3e-3 or n_train=[8,16],[32,64]; once for each key.
    set
        Keys to change in all studies, such as training.batch_size=32.
    output
        Folder of the sweep; the experiment's name if not given.
    only
        A study (its folder's name), a run (STUDY/RUN) or a pattern of such: nothing else is made.
    names
        Print the names of all runs, as --only takes them, and make none.
    device
        Where to train: cpu, cuda, cuda:1.
    workers
        Processes at once; as many as processors on the CPU, 1 elsewhere, if not given.
    retries
        How often a run is begun again whose process has died.
    where
        On what machines.
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis.standing import standings
    from taumem.lab import load_sweep, make_sweep, run_names
    from taumem.processes import is_first

    asked = load_sweep(experiment, set or (), over or ())
    folder = output or Path(asked.name)
    if names:
        named = run_names(asked, folder)
        print_json({"runs": named}) if json else print("\n".join(named))
        return

    with progress_bars() as advance, executor_of(where, folder, device, workers, asked.slurm) as executor:
        swept = make_sweep(
            asked,
            folder,
            only=only or (),
            device=device,
            workers=workers,
            executor=executor,
            retries=retries,
            progress=lambda done, total: advance("runs", done, total) if is_first() else None,
            on_memory=_say_memory,
        )
    if not is_first():
        return
    runs, _ = standings(folder)
    if json:
        content = {"folder": str(folder), "n_runs": swept.n_runs, "failures": swept.failures}
        print_json(content | {"runs": [run.to_json() for run in runs]})
    else:
        show_runs(runs, folder)
    for run, reason in swept.failures.items():
        told = reason if run in reason else f"{run}: {reason}"
        err.print(f"[bold red]failed:[/] {escape(told)}", soft_wrap=True)
    if swept.failures:
        sys.exit(FAILED)


def _say_memory(memory: "Memory") -> None:
    """Print what each run takes, before any is made."""
    from taumem.processes import is_first

    if is_first():
        err.print(f"Memory: {escape(str(memory))}, for each run at once.", soft_wrap=True)
