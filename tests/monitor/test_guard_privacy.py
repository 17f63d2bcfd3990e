"""The rule `privacy` in a loop of anybody's: the guard's own losses tell members, and the loop stops."""

import pytest
import torch
from loops import HELDOUT, TRAIN, Plain, loss

import taumem
from taumem.analysis.stopping import AnyOf, CopiesFound, GapOpened, LossTurned, MembersFound, Reason
from taumem.errors import ConfigError


class Knowing(Plain):
    """A model that comes to know its training items, as far as it is told."""

    known = 0.0


def known_loss(model, x0, generator):
    is_member = torch.cdist(x0, TRAIN).min(dim=1).values < 1e-3
    return loss(model, x0, generator) * torch.where(is_member, 1 - model.known, 1.0)


@pytest.mark.parametrize("knows", [True, False])
def test_a_loop_is_stopped_once_its_losses_tell_members_and_not_before(knows):
    guard = taumem.Guard(known_loss, train=TRAIN, heldout=HELDOUT, rule="privacy", on_onset="stop", budget=None)
    torch.manual_seed(0)
    model = Knowing()
    stopped = []
    for step in range(1, 101):
        model.known = min(max(step - 20, 0) / 40, 0.9) * knows
        if guard(model, step):
            stopped.append(step)
            break
    verdict = guard.verdict
    assert bool(stopped) == verdict.stop == knows
    if knows:
        assert 20 < verdict.since <= stopped[0] < 60
        assert verdict.reason == Reason.MEMBERS
        assert verdict.keep < verdict.since
        assert not any("first look" in why for why in verdict.not_checked)


@pytest.mark.parametrize("given", [{}, {"heldout": HELDOUT}])
@pytest.mark.parametrize("wrapped", [lambda rule: rule, lambda rule: ["privacy", rule], lambda rule: AnyOf((rule,))])
def test_a_rule_that_rests_on_an_attack_could_never_say_stop_and_is_refused(given, wrapped):
    rule = wrapped(MembersFound(attack="pia"))
    said = r"needs held-out items" if not given and isinstance(rule, list) else r"attack='pia'\) .* a guard makes none"
    with pytest.raises(ConfigError, match=said):
        taumem.Guard(known_loss, train=TRAIN, rule=rule, **given)


@pytest.mark.parametrize("rule", [MembersFound(), GapOpened(), LossTurned(), CopiesFound()])
def test_a_rule_itself_needs_what_its_name_does(rule):
    for asked in (rule, rule.name):
        with pytest.raises(ConfigError, match=f"the rule '{rule.name}' needs .*held-out items"):
            taumem.Guard(known_loss, train=TRAIN, rule=asked)
