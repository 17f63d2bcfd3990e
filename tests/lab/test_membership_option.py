"""monitor.membership: what it adds to a run's record, and that a run without it is what it was."""

import pytest
from tiny import tiny

from taumem.analysis import find_onsets
from taumem.diffusion import Cosine, GaussianDiffusion
from taumem.lab import Experiment, make_run, plans_of
from taumem.probes import usual_attacks
from taumem.record import QUANTITIES, RunRecord, family_of


def made(folder, experiment, **monitor):
    changed = experiment.model_dump() | {"twins": False, "n_train": (16,)}
    plan = plans_of(Experiment.model_validate(changed | {"monitor": changed["monitor"] | monitor}))[0]
    make_run(plan, folder)
    return RunRecord.read(folder / plan.name)


@pytest.mark.slow
def test_it_adds_its_quantities_at_each_look_and_changes_no_other_number(tmp_path):
    plain = made(tmp_path / "plain", tiny())
    more = made(tmp_path / "more", tiny(), membership=True)
    added = {m.quantity for m in more.measurements} - {m.quantity for m in plain.measurements}
    attacks = ("secmi", "pia", "averaged")
    assert {f"membership_auc[{attack}]" for attack in (*attacks, "exact")} <= added
    assert {f"{name}_error[{attack}]" for name in ("train", "heldout") for attack in attacks} <= added
    assert "membership_advantage[exact]" in added
    assert {family_of(name) for name in added} <= set(QUANTITIES)
    assert more.curve("membership_auc[pia]").steps.tolist() == more.curve("membership_auc").steps.tolist()
    assert more.header.probes["MembershipAttacks"]["pia"]["power"] == 4
    same = {m.key: m.value for m in more.measurements if m.quantity not in added}
    assert same == {m.key: m.value for m in plain.measurements}
    assert "tau_member_averaged[0.1]" in {onset.clock for onset in find_onsets([more])}


def test_of_tokens_it_is_the_averaged_loss(tmp_path):
    grammar = Experiment.model_validate(
        {
            "name": "strings",
            "n_train": [16],
            "data": {"source": "grammar", "v": 4, "m": 2, "s": 2, "L": 2, "n_heldout": 16},
            "diffusion": {"kind": "masked"},
            "model": {"kind": "tree", "widths": 8},
            "training": {"batch_size": 4, "min_steps": 20, "steps_per_example": 0},
            "monitor": {"n_items": 16, "n_heldout_items": 16, "first": 8, "n_samples": 0},
        }
    )
    record = made(tmp_path, grammar, membership=True)
    asked = {m.quantity for m in record.measurements if m.quantity.startswith("membership_auc")}
    assert asked == {"membership_auc", "membership_auc[averaged]"}


def test_of_one_diffusion_time_it_is_the_averaged_loss_since_there_are_no_steps_between_times():
    names = [attack.name for attack in usual_attacks(GaussianDiffusion(Cosine(), "eps", t_min=0.2, t_max=0.2))]
    assert names == ["averaged"]
