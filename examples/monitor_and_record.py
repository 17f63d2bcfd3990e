"""Train a small U-Net on built-in images, record what it does, and read its clock.

Run: python examples/monitor_and_record.py
"""

from pathlib import Path

import taumem


def main(folder: Path = Path("run"), n_train: int = 16, steps: int = 600) -> list[taumem.Onset]:
    images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    split = taumem.Split.make("fashion-mnist", images, n_heldout=512).first(n_train)

    diffusion = taumem.GaussianDiffusion()
    network = taumem.UNet(split.item_shape, channels=16, multipliers=(1, 4), patch=2)
    learner = taumem.Learner.start(taumem.Preconditioned(network, diffusion), learning_rate=3e-3, ema_window=0.1)

    header = taumem.RunHeader(name="example", data=split.facts, seed=0, batch_size=16, steps=steps, weights="ema")
    with taumem.RunRecord.open(folder, header) as record:
        monitor = taumem.Monitor(
            record,
            [taumem.LossGap(diffusion, {"train": split.train, "heldout": split.heldout[:128]})],
            cadence=taumem.LogCadence(first=32),
            sampler=lambda model, generator: taumem.sample(diffusion, model, 64, split.item_shape, generator),
            sample_probes=[taumem.Copies(split.train, split.heldout)],
            sample_cadence=taumem.LogCadence(first=32, per_doubling=1),
        )
        for step in taumem.train(learner, diffusion, split.train, batch_size=16, seed=0, clip=1.0):
            if monitor.due(step.index):
                for found in monitor.look(learner.averaged, step.index, step.examples):
                    if found.quantity in ("gap", "copy_fraction") and found.t is None:
                        print(f"step {step.index:4d}  {found.quantity} {found.value:.2f}")
            if step.index == steps:
                break

    onsets = taumem.find_onsets([taumem.RunRecord.read(folder)])
    for onset in onsets:
        print(f"{onset.clock}: {onset.step:,.0f} steps ({onset.censored} censoring)")
    return onsets


if __name__ == "__main__":
    main()
