"""Forecast how long a run on more data may train, from the records of small ones.

Reads the records of a study that comes with the repository. Run: python examples/forecast_a_run.py
"""

from pathlib import Path

import taumem

RUNS = Path(__file__).parent.parent / "experiments" / "images" / "fashion"


def main() -> taumem.Interval:
    pilots = [run for run in taumem.read_runs(RUNS) if run.header.data.n_train <= 64 and run.header.seed == 0]
    study = taumem.Study.of(pilots)
    for onset in study.onsets:
        if onset.clock == "tau_val":
            print(f"P = {onset.n_train:4d}: tau_val = {onset.step:6,.0f} steps [{onset.low:,.0f}, {onset.high:,.0f}]")

    forecast = study.forecast(256)
    law = forecast.law
    print(f"law: tau = {law.floor.value:.0f} + {law.prefactor.value:.1f} P^{law.exponent.value:.2f}")

    steps = forecast.predicted
    print(f"P =  256: forecast {steps.value:,.0f} steps [{steps.low:,.0f}, {steps.high:,.0f}]")
    return steps


if __name__ == "__main__":
    main()
