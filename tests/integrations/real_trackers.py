"""The sinks with real trackers, offline: run by test_for_real.py, in a process of its own."""

import pytest
from stand_ins import Training, guard

from taumem.integrations import MLflow, TensorBoard, Trackio, WeightsAndBiases


def watched(sink):
    training, watching = Training(), guard(sinks=[sink], strict=True)
    for step in range(1, 12):
        training.update()
        watching(training.model, step)
    assert watching.record.steps == [8, 10, 11]
    return watching.record.curve("gap").values


def test_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    gaps = watched(TensorBoard(SummaryWriter(str(tmp_path))))
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("taumem/gap")
    assert [event.step for event in events] == [8, 10, 11]
    assert [event.value for event in events] == pytest.approx(gaps)


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'mlruns'}")
    with mlflow.start_run() as run:
        gaps = watched(MLflow(mlflow))
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "taumem/gap")
    assert sorted((metric.step, metric.value) for metric in history) == list(zip([8, 10, 11], gaps, strict=True))
    with mlflow.start_run() as other:
        pass
    watched(MLflow(client, other.info.run_id))
    assert len(client.get_metric_history(other.info.run_id, "taumem/gap")) == 3


def test_wandb_rows_of_two_writers(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    run = wandb.init(mode="offline", dir=str(tmp_path), project="taumem")
    sink = WeightsAndBiases(run)
    run.log({"loss": 1.0}, step=500)  # the script's own, ahead of the guard's step
    gaps = watched(sink)
    assert run.summary["taumem/gap"] == pytest.approx(gaps[-1])
    assert run.summary["taumem/step"] == 11
    run.finish()


def test_trackio(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    run = trackio.init(project="taumem", embed=False)
    watched(Trackio(run))
    trackio.finish()
