"""The verbs that train: demo, run."""

import shlex
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape

from taumem.cli.console import out, print_json, progress_bars
from taumem.cli.entry import Json, OutputFolder, Whole, WholeOrNone, Wholes, app
from taumem.cli.tables import show_demo, show_outlook, show_study

__all__ = ["demo", "run"]


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


@app.command(name=["run", "sweep"])
def run(
    experiment: str,
    /,
    *,
    set: Annotated[list[str] | None, Parameter(name="--set", negative="")] = None,
    output: OutputFolder | None = None,
    seed: Wholes = None,
    device: str = "cpu",
    workers: WholeOrNone = None,
    json: Json = False,
) -> None:
    """Make all runs of an experiment, fit its laws and write its report (under both names).

    Interrupted, the same command goes on. A study of a grammar ends with the phase diagram, the levels that were
    learned and the price of stopping early.

    Parameters
    ----------
    experiment
        A .toml or .json file, or a preset: demo, demo-quick, images, own-images, mixture, grammar, grammar-phase,
        text, own-lines, molecules, finetune, cifar10-tiny, cifar10-gpu; grammar-paper, text8-paper, favero-cifar10,
        favero-celeba-split. Keys and values are those of the file; docs/experiments.md lists them.
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
    json
        Print one JSON object on standard output.
    """
    from taumem.analysis import Study
    from taumem.lab import load_experiment, outlook, sized, sweep
    from taumem.processes import is_first
    from taumem.record import read_runs
    from taumem.report import write_report

    began = time.monotonic()
    changes = [*(set or []), *([f"seeds={seed}"] if seed else [])]
    chosen = sized(load_experiment(experiment, changes))
    folder = output or Path(chosen.name)
    said: list[str] = []
    with progress_bars() as advance:

        def on_progress(done: int, total: int) -> None:
            if not is_first():
                return
            if not done and not said:  # nothing has spoken against it, and nothing is trained yet
                ahead = outlook(chosen)
                show_outlook(ahead)
                said.extend((ahead.line, *ahead.cautions))
            advance("runs", done, total)

        sweep(chosen, folder, device=device, workers=workers, progress=on_progress)
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
