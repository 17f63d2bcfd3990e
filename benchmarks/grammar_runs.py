"""A grammar's runs, against the loop of minimal_diffusion_rhm: the same network, batch, diffusion and loss.

    python benchmarks/grammar_runs.py [--widths 64 256 1024] [--rounds 9]
    python benchmarks/grammar_runs.py --device cuda --output FOLDER

The network, the diffusion and the loop are written down here from their description (AntonioScl/minimal_diffusion_rhm,
its README and its defaults; Favero et al. 2025, arXiv 2502.12089): a U-Net of L levels of one width, whose filters have
the tree's branching s for size and stride, normalization over channels and GELU, weights of variance 1 scaled by the
root of the fan-in, no biases, and of t only what is known of x0 given xt; uniform D3PM of 200 steps; the KL divergence
of the posteriors; Adam; strings as vectors that are 1 at the symbol, from a DataLoader. v = 8, m = 3, s = 2, L = 3,
P = 1,024, batches of 64, as in its example.

A filter of size and stride s is a linear map of s neighbors, and ours is written so; that the two are one function is
checked first. Every way makes the same number of steps of runs of that network, in turn with the others:
"their loop", one run after another; "ours, kl": ``taumem.train`` with the divergence of the mixed posteriors, in double
precision; "ours, x0": with the cross-entropy, as our grammar studies have it; "together": the latter for all runs at
once.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from in_turn import Way, in_turn, milliseconds, options, ratio, where, write
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from taumem.data import RandomHierarchyModel
from taumem.diffusion import LinearBetas, UniformDiffusion
from taumem.models import Categorical
from taumem.training import Learner, Member, train, train_together

V, S, L, STEPS, RATE, BATCH_SIZE = 8, 2, 3, 200, 1e-4, 64
STRINGS = RandomHierarchyModel(v=V, m=3, s=S, L=L).split(1024, 16).train
KL, X0 = (UniformDiffusion(V, LinearBetas(STEPS), weighting=weighting) for weighting in ("kl", "x0"))


def kept_until(k: Tensor) -> Tensor:
    """Share of symbols that are kept after k noising steps."""
    return X0.schedule(k.float() / STEPS)[0]


class Scaled(nn.Module):
    """A linear map of s neighbors, or to s children, whose weights of variance 1 are scaled by the fan-in."""

    def __init__(self, inner: int, outer: int, size: int, *, to_children: bool = False, power: float = 0.5) -> None:
        super().__init__()
        shape = (inner, outer, size) if to_children else (outer, inner, size)
        self.weight = nn.Parameter(torch.randn(shape))
        self.size, self.scale = size, (inner * size) ** -power
        self.map = functional.conv_transpose1d if to_children else functional.conv1d

    def forward(self, h: Tensor) -> Tensor:
        return self.map(h, self.weight, stride=self.size) * self.scale


class Described(nn.Module):
    """The network: maps vectors [batch, v, s^L] and the step k [batch] to logits of the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        k = torch.arange(STEPS + 1)
        kept = kept_until(k)
        mean = (kept + (1 - kept) / V).mean()
        deviation = ((kept + (1 - kept) / V**2).mean() - mean**2).sqrt()
        self.register_buffer("kept", kept)
        self.mean, self.deviation = float(mean), float(deviation)
        self.enter = Scaled(V, width, 1)
        self.up = nn.ModuleList(Scaled(width, width, S) for _ in range(L))
        self.down = nn.ModuleList(Scaled(2 * width, width, S, to_children=True) for _ in range(L))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * L))
        self.leave = Scaled(2 * width, V, 1, power=1.0)

    def forward(self, x: Tensor, k: Tensor) -> Tensor:
        kept = self.kept[k][:, None, None]
        h = functional.gelu(self.enter((kept * x + (1 - kept) / V - self.mean) / self.deviation))
        heights = [h]
        for up, norm in zip(self.up, self.norms[:L], strict=True):
            h = functional.gelu(norm(up(h).mT).mT)
            heights.append(h)
        for down, norm in zip(self.down, self.norms[L:], strict=True):
            h = functional.gelu(norm(down(torch.cat([h, heights.pop()], dim=1)).mT).mT)
        return self.leave(torch.cat([h, heights.pop()], dim=1))


class ByLinearMaps(nn.Module):
    """The same function as our networks of the grammar have it: neighbors side by side, and one linear map a level.

    Maps tokens [batch, s^L] and times [batch] to logits [batch, s^L, v].
    """

    def __init__(self, described: Described) -> None:
        super().__init__()
        self.register_buffer("kept", described.kept)
        self.mean, self.deviation = described.mean, described.deviation
        layers = (described.enter, *described.up, *described.down, described.leave)
        self.scales = [layer.scale for layer in layers]
        # [outer, inner, size] has neighbor by neighbor for inputs, [inner, outer, size] child by child for outputs.
        weights = [
            layer.weight.permute(2, 1, 0).flatten(0, 1)
            if layer.map is functional.conv_transpose1d
            else layer.weight.permute(0, 2, 1).flatten(1)
            for layer in layers
        ]
        self.weights = nn.ParameterList(nn.Parameter(weight.detach().contiguous()) for weight in weights)
        self.norms = described.norms

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        kept = self.kept[torch.ceil(t * STEPS - 1e-3).long().clamp(1, STEPS)][:, None, None]
        x = (kept * functional.one_hot(xt, V) + (1 - kept) / V - self.mean) / self.deviation
        enter, *middle, leave = (partial(self._map, k) for k in range(len(self.weights)))
        h = functional.gelu(enter(x))
        heights = [h]
        for up, norm in zip(middle[:L], self.norms[:L], strict=True):
            h = functional.gelu(norm(up(h.reshape(h.shape[0], h.shape[1] // S, -1))))
            heights.append(h)
        for down, norm in zip(middle[L:], self.norms[L:], strict=True):
            children = down(torch.cat([h, heights.pop()], dim=-1))
            h = functional.gelu(norm(children.reshape(h.shape[0], h.shape[1] * S, -1)))
        return leave(torch.cat([h, heights.pop()], dim=-1))

    def _map(self, k: int, h: Tensor) -> Tensor:
        return functional.linear(h, self.weights[k]) * self.scales[k]


def check_that_they_are_one_function() -> None:
    """The network as it is described, and as linear maps: to within rounding."""
    described, xt, k = Described(16), STRINGS[:32], torch.randint(1, STEPS + 1, (32,))
    with torch.no_grad():
        ours = ByLinearMaps(described)(xt, k / STEPS)
        theirs = described(functional.one_hot(xt, V).float().mT, k).mT
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def their_loop(width: int, device: str) -> Iterator[float]:
    """A run, as their loop makes it, a step at a time."""
    network = Described(width).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.9, 0.999))
    one_hot = functional.one_hot(STRINGS, V).float().mT.contiguous()
    loader = DataLoader(TensorDataset(one_hot, torch.zeros(len(one_hot))), batch_size=BATCH_SIZE, shuffle=True)
    kept = kept_until(torch.arange(STEPS + 1)).to(device)

    def mixed(x: Tensor, share: Tensor) -> Tensor:
        return share[:, None, None] * x + (1 - share[:, None, None]) / V

    while True:
        for batch, _ in loader:
            x0 = batch.to(device)
            k = torch.randint(1, STEPS + 1, (len(x0),)).to(device)
            redrawn = torch.multinomial(mixed(x0, kept[k]).mT.reshape(-1, V), 1)
            xt = functional.one_hot(redrawn, V).reshape(len(x0), -1, V).mT.float()
            step = mixed(xt, kept[k] / kept[k - 1])
            truth = (step * mixed(x0, kept[k - 1])).mT.reshape(-1, V)
            model = (step * mixed(network(xt, k).softmax(dim=1), kept[k - 1])).mT.reshape(-1, V)
            truth, model = truth / truth.sum(1, keepdim=True), model / model.sum(1, keepdim=True)
            loss = (truth * ((truth + 1e-8).log() - (model + 1e-8).log())).sum() / len(model)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()


def learner(width: int, device: str, diffusion: UniformDiffusion) -> Learner:
    return Learner.start(
        Categorical(ByLinearMaps(Described(width)), diffusion).to(device), learning_rate=RATE, optimizer="adam"
    )


def ours(width: int, device: str, diffusion: UniformDiffusion) -> Iterator[object]:
    data = STRINGS.to(device)
    return train(learner(width, device, diffusion), diffusion, data, batch_size=BATCH_SIZE, seed=0)


def together(width: int, device: str, n: int) -> Iterator[object]:
    members = [Member(learner(width, device, X0), STRINGS.to(device), k) for k in range(n)]
    return train_together(members, X0, batch_size=BATCH_SIZE)


def compare(width: int, runs: int, device: str, rounds: int, steps: int) -> dict[str, float]:
    """Milliseconds of one run's step, and how many times faster than their loop."""
    makers: dict[str, Callable[[], Iterator[object]]] = {
        "their loop": partial(their_loop, width, device),
        "ours, kl": partial(ours, width, device, KL),
        "ours, x0": partial(ours, width, device, X0),
    }
    loops = {name: [make() for _ in range(runs)] for name, make in makers.items()}
    ways: dict[str, Way] = {
        name: (lambda loops=loops[name]: [next(loop) for loop in loops for _ in range(steps)]) for name in makers
    }
    at_once = together(width, device, runs)
    ways["together"] = lambda: [next(at_once) for _ in range(steps)]
    took = in_turn(ways, rounds=rounds, device=device)
    found: dict[str, float] = {"width": width, "runs": runs}
    found |= {f"{name}, ms": milliseconds(times) / (steps * runs) for name, times in took.items()}
    return found | {f"{name} x": ratio(took, name, "their loop") for name in ways if name != "their loop"}


def main() -> None:
    """Print a row for each width."""
    parser = options(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)  # their loop draws from the global generator
    check_that_they_are_one_function()
    rows = []
    print("| width | runs | their loop, ms per step | ours, kl | ours, x0 | together, x0 |\n|---|---|---|---|---|---|")
    for width in asked.widths:
        row = compare(width, asked.runs if width < 1024 else 2, asked.device, asked.rounds, asked.steps)
        rows.append(row)
        ratios = " | ".join(f"{row[f'{name} x']:.2f}x" for name in ("ours, kl", "ours, x0", "together"))
        print(f"| {width} | {row['runs']} | {row['their loop, ms']:.2f} | {ratios} |", flush=True)
        write(asked.output, "grammar_runs", {"where": where(asked.device), "rows": rows})


if __name__ == "__main__":
    main()
