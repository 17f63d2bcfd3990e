"""The average of the weights, against the closed form of the power-function average."""

import numpy as np
import pytest
import torch
from torch import nn

from taumem.errors import ConfigError
from taumem.training import power_average


class Weights(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(n, dtype=torch.float64))
        self.register_buffer("running", torch.zeros(1))


def averaged(path: np.ndarray, window: float) -> np.ndarray:
    """What the average holds after the weights have gone along a path [steps, n]."""
    model = Weights(path.shape[1])
    average = power_average(model, window)
    for point in path:
        with torch.no_grad():
            model.values.copy_(torch.tensor(point))
        average.update_parameters(model)
    return average.module.values.detach().numpy()


def gamma(window: float) -> float:
    """The positive root of window^2 (g + 2)^2 (g + 3) = g + 1, as a polynomial."""
    cubic = window**2 * np.polymul(np.polymul([1, 2], [1, 2]), [1, 3])
    roots = np.roots(np.polysub(cubic, [1, 1]))
    return float(max(root.real for root in roots if abs(root.imag) < 1e-9))


@pytest.mark.parametrize("window", [0.02, 0.1, 0.2, 0.27])
def test_each_step_weighs_as_the_power_function_says(window):
    # Weights that are one-hot at each step: what is averaged is the profile itself.
    n = 300
    profile = averaged(np.eye(n), window)
    edges = (np.arange(n + 1) / n) ** (gamma(window) + 1)
    np.testing.assert_allclose(profile, np.diff(edges), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("window", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("steps", [500, 2000])
def test_the_profile_is_as_wide_as_the_window_whatever_the_length_of_training(window, steps):
    profile, place = averaged(np.eye(steps), window), (np.arange(steps) + 0.5) / steps
    mean = profile @ place
    assert profile.sum() == pytest.approx(1)
    assert np.sqrt(profile @ (place - mean) ** 2) == pytest.approx(window, rel=0.01)


@pytest.mark.slow
def test_twice_the_training_stretches_the_average_twice():
    # On a path that is linear in the step the average lags by a fixed share of the training.
    lags = [float(1 - averaged(np.arange(1, n + 1)[:, None] / n, 0.1)[0]) for n in (1000, 2000, 4000)]
    assert lags == pytest.approx([lags[0]] * 3, rel=0.01)
    assert lags[0] == pytest.approx(1 / (gamma(0.1) + 2), rel=0.01)


def test_the_first_update_takes_the_weights_as_they_are():
    assert averaged(np.array([[5.0, -1.0]]), 0.1).tolist() == [5.0, -1.0]


def test_weights_that_stand_still_are_their_own_average():
    np.testing.assert_allclose(averaged(np.full((50, 1), 3.7), 0.1), [3.7], rtol=1e-14)


def test_buffers_are_copied_not_averaged():
    model = Weights(1)
    average = power_average(model)
    for value in (1.0, 2.0, 7.0):
        model.running.fill_(value)
        average.update_parameters(model)
    assert average.module.running.item() == 7.0


def test_the_model_itself_is_not_touched():
    model = Weights(2)
    average = power_average(model)
    with torch.no_grad():
        average.module.values.fill_(9.0)
    average.update_parameters(model)
    assert model.values.tolist() == [0.0, 0.0]


def test_a_very_short_window_is_a_window():
    assert averaged(np.array([[1.0], [2.0]]), 1e-8) == pytest.approx([2.0])


@pytest.mark.parametrize("window", [0.0, -0.1, 0.28, 1.0, float("nan")])
def test_a_window_outside_its_range_is_refused(window):
    with pytest.raises(ConfigError, match=f"got {window}"):
        power_average(Weights(1), window)
