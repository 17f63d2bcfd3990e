"""The exception tree and the hints of its messages."""

import pickle

import pytest

from taumem.errors import ConfigError, DataError, RecordError, TaumemError, TaumemWarning, nearest_name

ERRORS = [ConfigError, DataError, RecordError]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_caught_as_a_taumem_error_and_as_a_value_error(error):
    for caught in (TaumemError, ValueError, error):
        with pytest.raises(caught, match="what came"):
            raise error("what came")


def test_the_branches_of_the_tree_do_not_overlap():
    for one in ERRORS:
        assert [other for other in ERRORS if issubclass(one, other)] == [one]


def test_a_warning_is_no_error():
    assert issubclass(TaumemWarning, UserWarning)
    assert not issubclass(TaumemWarning, TaumemError)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_crosses_a_process_boundary_whole(error):
    copy = pickle.loads(pickle.dumps(error("what came")))
    assert type(copy) is error
    assert str(copy) == "what came"


def test_the_nearest_name_is_proposed():
    assert nearest_name("batchsize", ["steps", "batch_size"]).startswith("did you mean 'batch_size'?")


def test_a_name_like_no_other_gets_the_list_alone():
    assert nearest_name("zzz", ["steps", "batch_size"]) == "Known: batch_size, steps."


def test_nothing_known_is_no_crash():
    assert nearest_name("zzz", []) == "Known: ."
