"""Two models on strings of a random grammar, trained together: what have they learned, and what do they copy?

python examples/grammar_in_python.py
"""

import torch

import taumem


def main(steps: int = 400) -> list[dict[str, float]]:
    """Train on P = 32 and P = 512 strings; give what their samples are by then."""
    torch.set_num_threads(1)  # networks this small lose time to a second thread
    grammar = taumem.RandomHierarchyModel(v=8, m=3, s=2, L=3)
    diffusion = taumem.MaskedDiffusion(grammar.v, weighting="x0")
    split = grammar.split(512, 256)
    members = []
    for seed, n_train in enumerate((32, 512)):
        # The network scores symbols; Categorical makes of it a denoiser, which predicts log-probabilities.
        network = taumem.TreeUNet(grammar.s, grammar.L, grammar.v, [32, 64, 128], symbols=diffusion.symbols)
        learner = taumem.Learner.start(taumem.Categorical(network, diffusion), learning_rate=2e-3)
        members.append(taumem.Member(learner, split.first(n_train).train, seed))

    for step, *_ in taumem.train_together(members, diffusion, batch_size=32):
        if step.index == steps:
            break

    found = []
    for member in members:
        denoiser = member.learner.denoiser.eval()
        samples = taumem.sample_in_any_order(diffusion, denoiser, 500, (grammar.d,), torch.Generator().manual_seed(0))
        reading = taumem.GrammarLevels(grammar, member.data).measure(samples)
        shares = {estimate.quantity: estimate.value for estimate in reading.estimates}
        levels = ", ".join(f"{shares[f'valid[{level}]']:.0%}" for level in range(1, grammar.L + 1))
        print(
            f"P = {len(member.data)}: valid up to level 1, 2, 3: {levels}; copies {shares['copy_fraction']:.0%} "
            f"(chance {shares['copy_fraction_chance']:.1%}); novel and valid {shares['novel_valid']:.0%}"
        )
        found.append(shares)
    return found


if __name__ == "__main__":
    main()
