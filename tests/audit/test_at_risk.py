"""Training items at risk: those that are copied lead the list, and one that stands alone is named."""

import numpy as np
import torch
from pictures import fresh, noisy

from taumem.audit import audit
from taumem.report import audit_page_of
from taumem.report.redacted import redacted

TRAIN, HELDOUT, NOVEL = fresh(40, 1), fresh(60, 2), fresh(20, 3)


def test_copied_items_come_first_by_how_many_samples_copy_them():
    copies = torch.cat([noisy(TRAIN[[7]], seed).clone() for seed in (1, 2, 3)] + [TRAIN[[4]]])
    record = audit(torch.cat([NOVEL, copies]), TRAIN, HELDOUT, orbit="none")
    first, second, *others = record.at_risk
    assert (first.row, first.copies, first.why) == (7, 3, "copied")
    assert (second.row, second.copies) == (4, 1)
    assert all(item.why == "isolated" and not item.copies for item in others)
    assert [item.isolation for item in others] == sorted((item.isolation for item in others), reverse=True)
    assert all(0 <= item.less_isolated < 1 for item in others)
    assert "Training items most at risk" in audit_page_of(record)


def test_isolation_is_the_distance_to_the_nearest_other_by_brute_force():
    record = audit(NOVEL, TRAIN, orbit="none")
    flat = TRAIN.flatten(1).double()
    apart = torch.cdist(flat, flat) / flat.shape[1] ** 0.5
    nearest = apart.fill_diagonal_(torch.inf).min(1).values.numpy()
    alone = [item for item in record.at_risk if item.why == "isolated"]
    assert [item.row for item in alone] == list(np.argsort(-nearest)[: len(alone)])
    assert np.allclose([item.isolation for item in alone], nearest[[item.row for item in alone]], rtol=1e-6)


def test_a_redacted_record_calls_them_by_their_places():
    letters = np.random.default_rng(0).integers(97, 123, (61, 40))
    texts = ["".join(map(chr, row)) for row in letters]
    record = audit([*texts[:3], texts[60]], texts[:30], texts[30:60])
    told = redacted(record)
    assert all(item.source == str(item.row) for item in told.at_risk)
    assert len(told.at_risk) == len(record.at_risk) > 0
