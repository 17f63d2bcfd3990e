"""The members of an ensemble: what each of them is, and in what they must agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import SGD, Adam, AdamW, RMSprop

from taumem.errors import ConfigError
from taumem.shapes import Items
from taumem.training.loop import Learner

__all__ = ["Member", "check_members"]

OPTIMIZERS = (AdamW, Adam, SGD, RMSprop)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


@dataclass(eq=False)
class Member:
    """One run of an ensemble: what :func:`taumem.training.train` would be given."""

    learner: Learner
    data: Items
    """Its training items [P, ...], on its denoiser's device; each member may have its own P."""
    seed: int
    """Of its batches, times and noise."""


def check_members(members: Sequence[Member]) -> None:
    """Refuse members that cannot train together, before anything changes.

    Raises:
        ConfigError: none, members that do not agree, dropout, or another optimizer or average than an ensemble has.
    """
    if not members:
        raise ConfigError("an ensemble needs at least one member; got none.")
    if len({id(member.learner) for member in members}) < len(members):
        raise ConfigError("two members share a learner, which only one can train; start a learner for each.")
    first = _traits(members[0])
    for k, member in enumerate(members):
        traits = _traits(member)
        for name in first | traits:
            one, other = first.get(name, "missing"), traits.get(name, "missing")
            if one != other:
                raise ConfigError(
                    f"members that train together agree in all but data, seed and weights; their {name} differs: "
                    f"member 0 has {one}, member {k} has {other}. Train those that differ apart."
                )
    learner = members[0].learner
    if any(isinstance(module, DROPOUTS) and module.p > 0 for module in learner.denoiser.modules()):
        raise ConfigError("the denoiser has dropout, whose draws members cannot have each its own; use train() for it.")
    if type(learner.optimizer) not in OPTIMIZERS or len(learner.optimizer.param_groups) != 1:
        raise ConfigError(
            f"members are trained by an optimizer with one group of parameters, as Learner.start makes it; got "
            f"{type(learner.optimizer).__name__} with {len(learner.optimizer.param_groups)}. Use train() for it."
        )
    if learner.average is not None and learner.average.multi_avg_fn is None:
        raise ConfigError("members' weights are averaged by power_average; got another average. Use train() for it.")


def _traits(member: Member) -> dict[str, object]:
    """All that must be equal among members, by what it is called."""
    learner, data = member.learner, member.data
    traits: dict[str, object] = {
        "type of denoiser": type(learner.denoiser).__name__,
        "step": learner.step,
        "items (shape, type, device)": (tuple(data.shape[1:]), data.dtype, data.device),
    }
    for name, p in learner.denoiser.named_parameters():
        traits[f"parameter {name}"] = (tuple(p.shape), p.dtype, p.device, p.requires_grad)
    for name, buffer in learner.denoiser.named_buffers():
        traits[f"buffer {name}"] = buffer.tolist()
    traits["optimizer"] = type(learner.optimizer).__name__
    places = {id(p): name for name, p in learner.denoiser.named_parameters()}
    for group in learner.optimizer.param_groups:
        settings = {"base_lr": group["lr"]} | {name: value for name, value in group.items() if name != "lr"}
        traits |= {f"optimizer's {name}": value for name, value in settings.items() if name != "params"}
        traits["optimizer's parameters"] = [places.get(id(p), "another model's") for p in group["params"]]
    traits["effective time"] = "counted" if learner.time is not None else "not counted"
    average = learner.average
    traits["average"] = None if average is None else (average.multi_avg_fn, int(average.n_averaged))
    return traits
