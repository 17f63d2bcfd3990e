"""What training goes toward if nothing stops it: the exact optimum on the training set returns the training set.

Run: python examples/total_memorization.py
"""

import taumem
from taumem.randomness import generator_for


def main() -> float:
    images = taumem.resize(taumem.load_fashion_mnist(), 16, pad_to=32)
    split = taumem.Split.make("fashion-mnist", images, n_heldout=512).first(64)
    diffusion = taumem.GaussianDiffusion()

    memorizer = taumem.EmpiricalDenoiser(diffusion, split.train)
    samples = taumem.sample(diffusion, memorizer, 128, split.item_shape, generator_for(0, "samples"), steps=50)

    reading = taumem.Copies(split.train, split.heldout).measure(samples)
    for found in reading.estimates:
        print(f"{found.quantity}: {found.value:.1%} [{found.low:.1%}, {found.high:.1%}] of {found.count}")
    return reading.estimates[0].value


if __name__ == "__main__":
    main()
