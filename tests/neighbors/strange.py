"""Items that are hard on a search: equal ones, nearly equal ones, ones far from 0, ones of any scale."""

import torch
from torch import Tensor

__all__ = ["STRANGE", "strange"]

N, M, WIDTH = 24, 400, 20


def strange(name: str) -> tuple[Tensor, Tensor]:
    """Queries [24, 20] and references [400, 20]."""
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    queries, references = normal(N, WIDTH), normal(M, WIDTH)
    match name.split():
        case ["scale", by]:
            double = not 1e-40 < float(by) < 1e38
            return tuple((rows.double() if double else rows) * float(by) for rows in (queries, references))
        case ["far", by]:
            return queries + float(by), references + float(by)
        case ["near-duplicates", by]:
            items = normal(M // 10, WIDTH).double()
            queries = items[:N] + float(by) * queries
            return queries, items.repeat_interleave(10, dim=0) + float(by) * references
        case ["duplicates"]:
            return references[:N], references[torch.randint(40, (M,), generator=draw)]
        case ["constant"]:
            queries[:8], references[:150] = 0.3, 0.3
        case ["equal"]:
            return queries, references[:1].repeat(M, 1)
        case ["zeros"]:
            return 0 * queries, 0 * references
        case ["outlier", by]:
            references[5] *= float(by)
            queries[3] *= float(by)
        case ["mixed", by]:
            queries, references = queries.double(), references.double()
            queries[::3] *= float(by)
            references[::2] *= float(by)
        case ["ties"]:
            return queries.round(), references.round()
        case ["bytes"]:
            return tuple((40 * rows + 128).clamp(0, 255).byte() for rows in (queries, references))
        case ["integers"]:
            return tuple(torch.randint(-(2**62), 2**62, rows.shape, generator=draw) for rows in (queries, references))
        case ["one", "dimension"]:
            return queries[:, :1], references[:, :1]
        case ["half"]:
            return queries.half(), references.half()
    return queries, references


STRANGE = [
    "noise", "duplicates", "constant", "equal", "zeros", "ties", "bytes", "integers", "one dimension", "half",
    *(f"scale {by}" for by in ("1e-310", "1e-200", "1e-44", "1e-22", "1e22", "1e37", "1e200", "1e305")),
    *(f"far {by}" for by in ("1e4", "1e6")),
    *(f"near-duplicates {by}" for by in ("1e-3", "1e-6", "1e-12")),
    *(f"outlier {by}" for by in ("1e6", "1e30")),
    *(f"mixed {by}" for by in ("1e-6", "1e-250", "1e22")),
]  # fmt: skip
