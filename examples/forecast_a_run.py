"""Forecast how long a run on more data may train, from the records of small ones.

Reads the records of a study that comes with the repository. Run: python examples/forecast_a_run.py
"""

from pathlib import Path

import taumem

STUDY = Path(__file__).parent.parent / "experiments" / "images" / "fashion"


def main() -> taumem.Interval:
    pilots = [run for run in taumem.read_runs(STUDY) if run.header.data.n_train <= 64 and run.header.seed == 0]
    onsets = [onset for onset in taumem.find_onsets(pilots) if onset.clock == "tau_val"]
    for onset in onsets:
        print(f"P = {onset.n_train:4d}: tau_val = {onset.step:6,.0f} steps [{onset.low:,.0f}, {onset.high:,.0f}]")

    law = taumem.fit_law(onsets, exponent=(1.0, 0.1))
    print(f"law: {law.prefactor.value:.1f} steps for each training example, exponent {law.exponent.value:.2f}")

    forecast = law.predict(256)
    print(f"P =  256: forecast {forecast.value:,.0f} steps [{forecast.low:,.0f}, {forecast.high:,.0f}]")
    return forecast


if __name__ == "__main__":
    main()
