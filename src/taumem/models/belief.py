"""The exact optimum on a grammar: total generalization, by belief propagation on the tree of derivations."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from taumem.data.grammar import RandomHierarchyModel
from taumem.errors import ConfigError
from taumem.shapes import PerItem, Times

__all__ = ["BeliefDenoiser", "Beliefs", "TokenLikelihood", "propagate"]

VALUES_AT_ONCE = 2**17
"""How many scores of rules are held for one level: one megabyte, which stays in a core's cache."""

LOG_SMALLEST = -690.0
"""The logarithm of the smallest positive probability, just above that of the smallest double: less is 0."""


class TokenLikelihood(Protocol):
    """What belief propagation asks of a diffusion of tokens: that it corrupts each position on its own."""

    def log_likelihood(self, xt: Int64[Tensor, "batch d"], t: Times) -> Float[Tensor, "batch d vocabulary"]:
        """Give log q(xt_i | x0_i = a) at each position i, for each symbol a."""
        ...


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is known of clean strings once corrupted ones have been seen.

    Attributes:
        log_marginals: log p(x0_i = a | xt), for each position i and symbol a. An xt that no string can have become has
            no posterior; its prediction is uniform, as that of the empirical optimum is.
        log_evidence: log p(xt), in nats; -inf for such an xt, and for no other.
    """

    log_marginals: Float64[Tensor, "batch d v"]
    log_evidence: Float64[Tensor, "batch"]


class BeliefDenoiser:
    """The posterior of each token of x0 given xt, when x0 follows the grammar itself, not a finite sample of it.

    No denoiser has a lower expected loss on fresh strings of the grammar: it is the floor of the population loss.

    Args:
        grammar: the distribution of x0.
        diffusion: gives log q(xt_i | x0_i = a).
        label: the class (root symbol) that x0 is known to have; None if it may be any.

    Raises:
        ConfigError: the label is no class.

    Reference: Sclocchi et al. 2024, arXiv 2402.16991 (belief propagation on this grammar).
    """

    def __init__(self, grammar: RandomHierarchyModel, diffusion: TokenLikelihood, *, label: int | None = None) -> None:
        grammar.root_log_probs(label)  # an unknown label is refused now rather than when first asked
        self.grammar = grammar
        self.diffusion = diffusion
        self.label = label

    def __call__(self, xt: Int64[Tensor, "batch d"], t: Times) -> Float[Tensor, "batch d v"]:
        """Predict x0 from xt at times t: log p(x0_i = a | xt), uniform where xt fits no string of the grammar."""
        log_likelihood = self.diffusion.log_likelihood(xt, t)
        return propagate(self.grammar, log_likelihood, label=self.label).log_marginals.to(log_likelihood.dtype)

    def log_evidence(self, xt: Int64[Tensor, "batch d"], t: Times) -> PerItem:
        """Give log p(xt), in nats and double precision; -inf where xt fits no string of the grammar."""
        return propagate(self.grammar, self.diffusion.log_likelihood(xt, t), label=self.label).log_evidence


@torch.no_grad()
def propagate(
    grammar: RandomHierarchyModel, log_likelihood: Float[Tensor, "batch d v"], *, label: int | None = None
) -> Beliefs:
    """Find the exact posterior of every token, from any likelihoods that are independent between positions.

    Upward, log-likelihoods of symbols: a rule r of a symbol a at a node scores

        score(r) = log p(r | a) + sum_j up_j(r_j),    up(a) = logsumexp_r score(r)

    with r_j the symbol that it gives to the j-th child. Downward, probabilities: softmax_r score(r) is the posterior of
    the rule given its symbol, since what lies outside the node acts through the symbol alone, and so

        p_j(b) = sum of p(a) softmax_r score(r) over all rules r with r_j = b.

    Only positive numbers are added, so nothing cancels: evidence of any size, and marginals down to e^-690, come out to
    the precision of doubles. Smaller marginals become 0, the logarithm -inf.

    Args:
        grammar: the prior of the strings.
        log_likelihood: log p(evidence at position i | x0_i = a); -inf excludes a symbol, and the same value for all
            symbols says nothing. A constant for each item shifts its evidence and no marginal.
        label: the class (root symbol) that the strings are known to have; None if it may be any.

    Raises:
        ConfigError: a shape that is not [batch, d, v], or a label that is no class.

    Reference: Sclocchi et al. 2024, arXiv 2402.16991; Mézard & Montanari 2009, chapter 14 (belief propagation).
    """
    if log_likelihood.ndim != 3 or log_likelihood.shape[1:] != (grammar.d, grammar.v):
        raise ConfigError(
            f"the grammar needs likelihoods [batch, d = {grammar.d}, v = {grammar.v}], one for each symbol without a "
            f"mask; got shape {tuple(log_likelihood.shape)}."
        )
    tree = _Tree(grammar, grammar.root_log_probs(label), log_likelihood.device)
    at_once = max(1, VALUES_AT_ONCE // (grammar.v * grammar.m * grammar.d // grammar.s))
    parts = [tree.posterior(part) for part in torch.split(log_likelihood, at_once)]
    marginals, evidence = (torch.cat(values) for values in zip(*parts, strict=True))
    return Beliefs(marginals, evidence)


class _Tree:
    """The grammar as both passes use it. Tensors are [symbols, nodes, batch], so that a rule gathers whole rows."""

    def __init__(
        self, grammar: RandomHierarchyModel, log_prior: Float64[Tensor, "roots"], device: torch.device
    ) -> None:
        self.log_prior = log_prior.to(device)[:, None]
        self.rules = [rules.to(device) for rules in grammar.rules]
        self.log_probs = [log_prob.to(device)[:, None, None] for log_prob in grammar.rule_log_probs]

    def posterior(
        self, log_likelihood: Float[Tensor, "batch d v"]
    ) -> tuple[Float64[Tensor, "batch d v"], Float64[Tensor, "batch"]]:
        """Log-marginals and log-evidence, by one pass up and one down."""
        messages = log_likelihood.double().permute(2, 1, 0).contiguous()
        chosen = []
        for rules, log_prob in zip(self.rules, self.log_probs, strict=True):
            messages, posterior = _up(messages, rules, log_prob)
            chosen.append(posterior)
        joint = messages[:, 0] + self.log_prior
        evidence = joint.logsumexp(dim=0)
        beliefs = torch.softmax(joint, dim=0)[:, None]
        for rules, posterior in zip(reversed(self.rules), reversed(chosen), strict=True):
            beliefs = _down(beliefs, rules, posterior, n_symbols=log_likelihood.shape[2])
        # Where the evidence is impossible, the posterior is 0/0, and NaN would go on into every mean.
        marginals = _log(beliefs).masked_fill_(evidence == -math.inf, -math.log(log_likelihood.shape[2]))
        return marginals.permute(2, 1, 0).contiguous(), evidence


def _up(
    messages: Float64[Tensor, "v children batch"], rules: Int64[Tensor, "a m s"], log_prob: Float64[Tensor, "m 1 1"]
) -> tuple[Float64[Tensor, "a nodes batch"], Float64[Tensor, "a m nodes batch"]]:
    """From the children's log-likelihoods to their parents', and to the posterior of each rule given its symbol."""
    n_symbols, m, s = rules.shape
    scores = messages[:, 0::s].index_select(0, rules[:, :, 0].flatten())
    for child in range(1, s):
        scores += messages[:, child::s].index_select(0, rules[:, :, child].flatten())
    scores = scores.reshape(n_symbols, m, *scores.shape[1:]).add_(log_prob)
    # An impossible symbol keeps -inf, and rules of probability 0 rather than 0/0.
    peak = scores.amax(dim=1, keepdim=True)
    shift = peak.clamp(min=torch.finfo(peak.dtype).min)
    weights = _exp_(scores.sub_(shift))
    total = weights.sum(dim=1, keepdim=True)
    parents = (shift + _log(total)).squeeze(1)
    return parents, weights.div_(total.clamp(min=torch.finfo(total.dtype).tiny))


def _down(
    beliefs: Float64[Tensor, "a nodes batch"],
    rules: Int64[Tensor, "a m s"],
    posterior: Float64[Tensor, "a m nodes batch"],
    *,
    n_symbols: int,
) -> Float64[Tensor, "v children batch"]:
    """From the parents' probabilities to their children's."""
    joint = (beliefs[:, None] * posterior).flatten(0, 1)
    children = joint.new_zeros(n_symbols, joint.shape[1], rules.shape[2], joint.shape[2])
    for child in range(rules.shape[2]):
        children[:, :, child].index_add_(0, rules[:, :, child].flatten(), joint)
    return children.flatten(1, 2)


def _exp_(log_values: Tensor) -> Tensor:
    """Exponentiate in place: a CPU takes six times as long for -inf, which is the commonest value under a mask."""
    return torch.threshold_(log_values.clamp_(min=LOG_SMALLEST).exp_(), 2 * math.exp(LOG_SMALLEST), 0.0)


def _log(values: Tensor) -> Tensor:
    """Take the logarithm, -inf of 0, for the same reason."""
    log_values = values.clamp(min=math.exp(LOG_SMALLEST)).log_()
    return torch.threshold_(log_values, LOG_SMALLEST + math.log(2), -math.inf)
