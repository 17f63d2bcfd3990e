"""Samples after a stress test beside those that were drawn in one shot: what a model holds that it does not show."""

from taumem.analysis.wording import percent
from taumem.record.audit import AuditRecord, Share, Stressed

__all__ = ["stressed"]


def stressed(record: AuditRecord, stress: AuditRecord) -> AuditRecord:
    """Put an audit of stressed samples into that of the samples themselves."""
    return record.model_copy(
        update={
            "inputs": record.inputs | {"stress": stress.inputs["generated"]},
            "stress": Stressed(
                sentence=_sentence(record, stress),
                copies=stress.copies,
                flagged=stress.flagged,
                phantoms=stress.phantoms,
                verdict=stress.verdict,
            ),
        }
    )


def _sentence(record: AuditRecord, stress: AuditRecord) -> str:
    shown, brought_out, verdict = record.copies, stress.copies, stress.verdict
    counts = f"{_counted(shown)} samples look like copies in one shot, {_counted(brought_out)} after the stress test"
    chance = "" if brought_out.chance is None else f", {_counted(brought_out.chance)} by chance"
    if verdict.state == "withheld":
        return f"{counts}{chance}; of the latter no verdict can be given: {'; '.join(verdict.withheld)}."
    interval = f"({percent(brought_out.fraction)}, {percent(brought_out.confidence)} interval "
    interval += f"{percent(brought_out.low)} to {percent(brought_out.high)}; p = {verdict.p:.2g})"
    if verdict.state == "none_found":
        return f"{counts}{chance} {interval}: the test brings out none above chance."
    if record.verdict.state == "copies":
        return f"{counts}{chance} {interval}: it memorized, as its samples show."
    return f"{counts}{chance} {interval}: the model holds copies that its samples do not show."


def _counted(share: Share) -> str:
    return f"{share.count:,} of {share.n:,}"
