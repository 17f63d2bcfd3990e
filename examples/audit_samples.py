"""Audit samples for copies of training images: which, of what, with which certainty.

The samples are built in: a small model made them that was trained too long. With your own, give the paths of folders
instead: ``taumem.audit("samples/", "train/", "heldout/", output="audit")``.
"""

import taumem
from taumem.lab.memorized import load_memorized


def main() -> taumem.AuditRecord:
    samples, split = load_memorized()
    record = taumem.audit(samples, split.train, split.heldout, orbit="light")
    print(record.verdict.sentence)
    print(f"{record.flagged.count} of {record.n_generated} samples are flagged at q = {record.flagged.q}.")
    for pair in record.pairs[:3]:
        print(f"{pair.sample} resembles {pair.train}: gap ratio {pair.ratio:.2f} ({pair.way}), p = {pair.p:.3f}")
    return record


if __name__ == "__main__":
    main()
