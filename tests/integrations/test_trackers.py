from types import SimpleNamespace

from stand_ins import Training, guard

from taumem.integrations.trackers import MLflow, TensorBoard, Trackio, WeightsAndBiases


class Noted:
    """Remembers every call of any method."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *given, **named: self.calls.append((name, given, named))


def test_every_tracker_gets_the_numbers_of_each_look_in_its_own_way():
    board, run, module, client, trackio = Noted(), Noted(), Noted(), Noted(), Noted()
    sinks = [TensorBoard(board), WeightsAndBiases(run), MLflow(module), MLflow(client, "run-7"), Trackio(trackio)]
    training, watched = Training(), guard(sinks=sinks)
    for step in range(1, 11):
        training.update()
        watched(training.model, step)
    assert watched.record.steps == [8, 10]
    gap = watched.record.curve("gap").values[0]
    assert ("add_scalar", ("taumem/gap", gap, 8), {}) in board.calls
    assert board.calls[-1][0] == "flush"
    assert [given[0]["taumem/step"] for name, given, _ in run.calls if name == "log"] == [8, 10]
    assert module.calls[0][1][0]["taumem/gap"] == gap
    assert module.calls[0][2] == {"step": 8}
    assert ("log_metric", ("run-7", "taumem/gap", gap), {"step": 8}) in client.calls
    assert trackio.calls[1][2] == {"step": 10}
    assert {"taumem/train_loss", "taumem/heldout_loss", "taumem/gap_se", "taumem/samples_seen"} <= set(
        module.calls[0][1][0]
    )


def test_wandb_gets_an_axis_of_its_own_so_that_no_row_is_dropped():
    run = Noted()
    WeightsAndBiases(run).log({"taumem/gap": 0.1}, 500)
    assert ("define_metric", ("taumem/*",), {"step_metric": "taumem/step"}) in run.calls
    assert run.calls[-1] == ("log", ({"taumem/gap": 0.1, "taumem/step": 500},), {})  # no step=


def test_names_that_mlflow_refuses_are_changed():
    client = SimpleNamespace(log_metrics=lambda numbers, step: names.extend(numbers))
    names = []
    MLflow(client).log({"taumem/valid[1]": 0.5, "taumem/loss_t/0.35/train": 1.0}, 3)
    assert names == ["taumem/valid_1_", "taumem/loss_t/0.35/train"]
