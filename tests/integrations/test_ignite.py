"""With a stand-in for the engine; real_ignite.py has real ones."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from stand_ins import ToldGuard

from taumem.errors import ConfigError
from taumem.integrations.ignite import IgniteGuard


class Engine:
    def __init__(self, **attributes):
        self.state = SimpleNamespace(iteration=0, epoch_length=None)
        self.handlers, self.terminated = [], False
        vars(self).update(attributes)

    def add_event_handler(self, event, handler, *given):
        self.handlers.append((event, handler, given))

    def terminate(self):
        self.terminated = True

    def run(self, iterations):
        while self.state.iteration < iterations:
            self.state.iteration += 1
            for _, handler, given in self.handlers:
                handler(self, *given)
            if self.terminated:
                break
        return self.state.iteration


@pytest.fixture(autouse=True)
def ignite(monkeypatch):
    module = ModuleType("ignite.engine")
    module.Events = SimpleNamespace(ITERATION_COMPLETED="iteration completed")
    monkeypatch.setitem(sys.modules, "ignite", ModuleType("ignite"))
    monkeypatch.setitem(sys.modules, "ignite.engine", module)


def test_it_terminates_the_engine_that_it_is_attached_to():
    engine, told = Engine(), ToldGuard(stop_at=3)
    IgniteGuard(told, "the model").attach(engine)
    assert engine.handlers[0][0] == "iteration completed"
    assert engine.run(10) == 3
    assert told.calls == [("the model", 1), ("the model", 2), ("the model", 3)]


def test_the_network_of_a_monai_trainer_is_known():
    engine, told = Engine(network="the network"), ToldGuard()
    IgniteGuard(told).attach(engine)
    engine.run(1)
    assert told.calls == [("the network", 1)]
    bare = Engine()
    IgniteGuard(told).attach(bare)
    with pytest.raises(ConfigError, match="give the model"):
        bare.run(1)


def test_steps_are_updates_not_iterations():
    engine, told = Engine(), ToldGuard()
    IgniteGuard(told, "the model", accumulation=4).attach(engine)
    engine.run(11)
    assert told.steps == [1, 2]
    with pytest.raises(ConfigError, match="at least 1 iteration"):
        IgniteGuard(told, accumulation=0)


def test_at_the_end_of_an_epoch_monai_updates_with_what_has_accumulated():
    engine, told = Engine(network="the network", accumulation_steps=4), ToldGuard()
    engine.state.epoch_length = 6
    IgniteGuard(told).attach(engine)
    asked = []
    for iteration in range(1, 15):
        engine.run(iteration)
        asked += [iteration] * (len(told.steps) - len(asked))
    assert asked == [4, 6, 10, 12]
    assert told.steps == [1, 2, 3, 4]


def test_it_hears_of_checkpoints_where_they_are_written(tmp_path):
    class Checkpoint:
        last_checkpoint = None

        def __call__(self, engine):
            if engine.state.iteration != 2:  # a handler with a score does not save each time
                self.last_checkpoint = tmp_path / f"model_{engine.state.iteration}.pt"
                self.last_checkpoint.write_text("weights")

    engine, told = Engine(), ToldGuard(best=1)
    guarded = IgniteGuard(told, "the model")
    guarded.attach(engine)
    guarded.follow(engine, "any", Checkpoint())
    engine.run(3)
    assert told.checkpoints == {1: str(tmp_path / "model_1.pt"), 3: str(tmp_path / "model_3.pt")}
    assert (tmp_path / "_taumem-kept" / "step-1" / "model_1.pt").is_file()


def test_its_state_is_that_of_the_guard():
    told, other = ToldGuard(), ToldGuard()
    IgniteGuard(other, "m").load_state_dict(IgniteGuard(told, "m").state_dict())
    assert other.loaded == told.state_dict()
