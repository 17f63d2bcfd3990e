"""References and queries that are read block by block; results that are kept; searches in parts."""

import pickle
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import pytest
import torch
from test_certainty import equal, expected, normal

from taumem.errors import ConfigError, DataError, RecordError
from taumem.neighbors import merge, nearest, nearest_in_shards

QUERIES, REFERENCES = normal(70, 3, 8, 8), normal(500, 3, 8, 8, seed=1)
WANTED = expected(QUERIES, REFERENCES, 2)
SMALL = 2**17
"""Bytes in which several blocks are needed."""


class Slices:
    """Anything with a length whose slices are items."""

    def __init__(self, items):
        self.items, self.longest = items, 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, part):
        assert isinstance(part, slice)
        self.longest = max(self.longest, len(self.items[part]))
        return self.items[part]


@pytest.fixture
def on_disk(tmp_path):
    np.save(tmp_path / "references.npy", REFERENCES.numpy())
    return np.load(tmp_path / "references.npy", mmap_mode="r")


def test_what_stays_on_disk_is_read_in_blocks(on_disk):
    lazy = Slices(on_disk)
    for references in (on_disk, lazy, on_disk[::-1][::-1]):
        assert equal(nearest(QUERIES, references, memory=8 * SMALL), WANTED)
    assert 1 < lazy.longest < 100
    assert equal(nearest(Slices(QUERIES.numpy()), lazy, memory=8 * SMALL), WANTED)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">f4", "float16", "float64"])
def test_arrays_of_any_type_of_numbers_may_stay_on_disk(tmp_path, dtype):
    items = (40 * REFERENCES + 128).clamp(0, 255).round().numpy().astype(dtype)
    np.save(tmp_path / "items.npy", items)
    stays = np.load(tmp_path / "items.npy", mmap_mode="r")
    native = torch.from_numpy(items.astype(np.float64 if items.dtype.kind == "f" else np.int64))
    assert equal(nearest(stays[:20], stays, memory=SMALL), expected(native[:20], native, 2))


def test_an_array_in_memory_is_taken_as_it_lies():
    items = REFERENCES.numpy().copy()
    assert equal(nearest(QUERIES, items), WANTED)
    for other in (items[::-1][::-1], items.astype(">f4"), np.asfortranarray(items)):
        assert equal(nearest(QUERIES, other), WANTED)
    items.flags.writeable = False
    assert equal(nearest(QUERIES, items), WANTED)


def test_bad_items_are_found_where_they_stand():
    items = REFERENCES.clone()
    items[[310, 311], 0, 0, 0] = torch.nan
    with pytest.raises(DataError, match=r"references hold NaN .*the first is number 310\)"):
        nearest(QUERIES, Slices(items), memory=SMALL)
    with pytest.raises(DataError, match=r"\(3, 4, 4\)"):
        nearest(Slices(normal(5, 3, 4, 4)), REFERENCES)


def test_progress_ends_with_all_pairs():
    seen = []
    nearest(QUERIES, REFERENCES, memory=SMALL, progress=lambda *done: seen.append(done))
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == (70 * 500, 70 * 500)


def interrupted_after(n_calls):
    calls = []

    def progress(done, of):
        calls.append(done)
        if len(calls) == n_calls:
            raise KeyboardInterrupt

    return progress


@pytest.mark.slow
def test_an_interrupted_search_goes_on_from_its_file(tmp_path):
    file, n_blocks = tmp_path / "kept.npz", []
    nearest(QUERIES, REFERENCES, memory=SMALL, progress=lambda *done: n_blocks.append(done))
    with pytest.raises(KeyboardInterrupt):
        nearest(QUERIES, REFERENCES, memory=SMALL, resume=file, progress=interrupted_after(len(n_blocks) - 1))
    with np.load(file) as kept:
        assert 0 < len(kept["distances"]) < len(QUERIES)
    after = []
    found = nearest(QUERIES, REFERENCES, memory=SMALL, resume=file, progress=lambda *done: after.append(done))
    assert equal(found, WANTED)
    assert len(after) < len(n_blocks)
    assert equal(nearest(QUERIES, REFERENCES, memory=SMALL, resume=file, progress=interrupted_after(1)), WANTED)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]


@pytest.mark.parametrize(
    "other",
    [
        lambda file: nearest(QUERIES + 1e-3, REFERENCES, resume=file),
        lambda file: nearest(QUERIES, REFERENCES.flip(0), resume=file),
        lambda file: nearest(QUERIES, REFERENCES, 3, resume=file),
        lambda file: nearest(QUERIES, REFERENCES, metric="cosine", resume=file),
        lambda file: nearest(QUERIES, REFERENCES, groups=torch.arange(500), resume=file),
    ],
)
def test_results_of_another_search_are_refused(tmp_path, other):
    file = tmp_path / "kept.npz"
    nearest(QUERIES, REFERENCES, resume=file)
    with pytest.raises(RecordError, match="another search"):
        other(file)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_a_file_that_holds_no_results_is_refused(tmp_path, content):
    (tmp_path / "kept.npz").write_bytes(content)
    with pytest.raises(RecordError, match="no results of a search"):
        nearest(QUERIES, REFERENCES, resume=tmp_path / "kept.npz")


@pytest.mark.slow
@pytest.mark.parametrize("n_shards", [1, 3, 30])
def test_a_search_in_parts_is_that_of_the_whole_to_the_bit(n_shards, on_disk):
    groups = torch.arange(500) % 40
    for references in (REFERENCES, on_disk):
        few = QUERIES[: 70 if n_shards < 100 else 2]
        for own in (None, groups):
            found = nearest_in_shards(few, references, 2, n_shards=n_shards, groups=own, executor=Pickled())
            assert equal(found, expected(few, REFERENCES, 2, groups=own))


class Pickled(Executor):
    """Runs tasks at once, as another process would get them."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def submit(self, fn, /, *args, **kwargs):
        assert not args
        sent = pickle.dumps(fn)
        self.sizes.append(len(sent))
        future = Future()
        future.set_result(pickle.loads(sent)())
        return future


def test_an_array_on_disk_travels_by_its_name(on_disk):
    executor = Pickled()
    nearest_in_shards(QUERIES[:1], on_disk, n_shards=2, executor=executor)
    assert max(executor.sizes) < on_disk.nbytes / 4


def test_threads_search_shards_as_any_executor_of_pythons_own_kind():
    with ThreadPoolExecutor(2) as executor:
        assert equal(nearest_in_shards(QUERIES, REFERENCES, n_shards=3, executor=executor), WANTED)


def test_parts_with_fewer_references_than_asked_for_can_be_merged():
    parts = [nearest(QUERIES, REFERENCES[a:b], min(4, b - a)) for a, b in ((0, 2), (2, 3), (3, 500))]
    assert equal(merge(parts, [0, 2, 3]), expected(QUERIES, REFERENCES, 4))
    with pytest.raises(ConfigError, match="parts hold fewer"):
        merge(parts[:1], [0], k=3)
    with pytest.raises(ConfigError, match="a start for each part"):
        merge([], [])


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ConfigError, match="metric is one of euclidean, cosine, hamming; got 'manhattan'"):
        nearest(QUERIES, REFERENCES, metric="manhattan")
    with pytest.raises(DataError, match="zeros has no direction"):
        nearest(0 * QUERIES, REFERENCES, metric="cosine")
    with pytest.raises(DataError, match="one integer for each of 500 references"):
        nearest(QUERIES, REFERENCES, groups=torch.arange(9))
    with pytest.raises(ConfigError, match="neighbors of 3 groups, and the references have 2"):
        nearest(QUERIES, REFERENCES, 3, groups=torch.arange(500) % 2)
    with pytest.raises(ConfigError, match="500 references make 1 to 500 shards; got 0"):
        nearest_in_shards(QUERIES, REFERENCES, n_shards=0)
