import json

import pytest
from tiny import tiny

from taumem.errors import ConfigError, RecordError
from taumem.lab.demo import DemoResult, forecast_and_prove
from taumem.record import read_runs

PILOTS = {
    "n_train": [8, 16, 32],
    "data": {"source": "mixture", "dimensions": 16, "n_items": 512, "n_heldout": 128},
    "model": {"kind": "mlp", "width": 64, "depth": 2},
    "training": {
        "batch_size": 8,
        "learning_rate": 3e-3,
        "min_steps": 100,
        "steps_per_example": 30,
        "stop_at_clock": "tau_val",
    },
    "monitor": {**tiny().monitor.model_dump(), "n_items": 64, "n_heldout_items": 128, "first": 16, "per_doubling": 4},
}


@pytest.mark.slow
def test_pilots_forecast_a_size_that_is_then_trained_and_measured(tmp_path):
    stages: list[str] = []
    result = forecast_and_prove(
        tiny(**PILOTS),
        tmp_path,
        n_train=64,
        workers=1,
        progress=lambda stage, done, total: stages.append(stage),
    )
    assert list(dict.fromkeys(stages)) == ["pilots", "target", "copies"]
    assert result.forecast.low < result.forecast.value < result.forecast.high
    assert (result.copies_at_stop.n_train, result.copies_at_stop.step) == (64, round(result.forecast.value))
    assert (result.copies_late.n_train, result.copies_late.n) == (8, 512)
    runs = [*read_runs(tmp_path / "pilots"), *read_runs(tmp_path / "target")]
    assert result.copies_late.step == min(run.last_step for run in runs if run.header.data.n_train == 8)
    assert result.steps == sum(run.last_step for run in runs) < sum(run.header.steps for run in runs)
    assert "tau_val" in result.exponents
    assert result.sentence.startswith(f"Forecast {result.forecast.value:,.0f} steps")
    assert (tmp_path / "report.html").exists()
    if result.relative_error is not None:
        assert result.relative_error == pytest.approx(result.forecast.value / result.measured.value - 1)
    content = json.loads(result.model_dump_json())
    assert set(content["forecast"]) == set(content["measured"]) == {"value", "low", "high", "confidence"}
    assert DemoResult.model_validate(content).model_dump() == result.model_dump()

    with pytest.raises(RecordError, match="holds other pilots"):
        forecast_and_prove(tiny(**PILOTS, seeds=[1]), tmp_path, n_train=64, workers=1)

    again = forecast_and_prove(tiny(**PILOTS), tmp_path, n_train=64, workers=1)
    assert again.model_dump(exclude={"seconds"}) == result.model_dump(exclude={"seconds"})

    for file in (tmp_path / "pilots").rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(RecordError, match=r"its weights are gone.* Remove"):
        forecast_and_prove(tiny(**PILOTS), tmp_path, n_train=64, workers=1)


@pytest.mark.slow
def test_pilots_that_end_too_early_give_no_forecast(tmp_path):
    short = tiny(n_train=[32, 48], training={**PILOTS["training"], "min_steps": 60, "steps_per_example": 0})
    with pytest.raises(ConfigError, match="train longer"):
        forecast_and_prove(short, tmp_path, n_train=96, workers=1)
