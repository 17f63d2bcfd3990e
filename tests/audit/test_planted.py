"""Planted truth is what it says: disjoint sets, and copies that differ from their sources as they are named."""

import difflib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from taumem.data import load_english, load_fashion_mnist, normalize_text8

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import audit_planted
import planted_kinds
from planted_sets import Sizes, planted_images, planted_texts

SIZES = Sizes(train=80, heldout=30, novel=20, each=2, duplicates=2)
WINDOW = 64
TEXT = normalize_text8(" ".join(load_english().values()))


@pytest.fixture(scope="module")
def images():
    return planted_images(load_fashion_mnist()[:400], SIZES, seed=1)


@pytest.fixture(scope="module")
def texts():
    return planted_texts(TEXT, WINDOW, SIZES, seed=1)


def rows(items: torch.Tensor) -> set[bytes]:
    return {item.numpy().tobytes() for item in items}


def test_the_sets_of_an_audit_of_images_have_no_item_in_common(images):
    novel = images.generated[: SIZES.novel]
    parts = [rows(novel), rows(images.train[: SIZES.train]), rows(images.heldout)]
    assert [len(part) for part in parts] == [20, 80, 30]
    assert not any(one & other for k, one in enumerate(parts) for other in parts[:k])


def test_copies_are_of_all_kinds_and_near_their_sources_alone(images):
    kinds = images.kinds[SIZES.novel :]
    assert len(kinds) == 2 * len(planted_kinds.IMAGE_KINDS)
    for sample, kind, source in zip(images.generated, images.kinds, images.sources, strict=True):
        distances = (images.train[: SIZES.train] - sample).flatten(1).square().mean(dim=1).sqrt()
        if kind in ("exact", "noise 8/255", "noise 20/255", "darkened", "resized", "compressed"):
            assert distances.argmin() == source
        if kind == "exact":
            assert distances[source] < 1e-6
        if kind.startswith("noise"):
            shades = int(kind.removeprefix("noise ").removesuffix("/255"))
            assert 0.4 * shades < float(distances[source]) * 127.5 < 1.1 * shades  # the background is cut off at black
    assert images.generated.min() >= -1
    assert images.generated.max() <= 1


def test_near_duplicates_stand_last_and_are_hardly_changed(images):
    extra = images.train[SIZES.train :]
    assert len(extra) == 2 * len([source for source in images.sources if source >= 0])
    for item, original in zip(extra, images.originals[SIZES.train :], strict=True):
        assert 0 < float((item - images.train[original]).square().mean().sqrt()) < 0.06
    assert images.originals[: SIZES.train] == tuple(range(SIZES.train))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [*planted_kinds.IMAGE_KINDS, *planted_kinds.NEAR_KINDS])
def test_changed_images_have_their_shape_256_shades_and_are_the_same_again(kind, channels):
    change = (planted_kinds.IMAGE_KINDS | planted_kinds.NEAR_KINDS)[kind]
    smooth = torch.nn.functional.interpolate(torch.rand(3, channels, 5, 6), (20, 24), mode="bilinear") * 2 - 1
    one, two = (planted_kinds.changed_images(smooth, change, torch.Generator().manual_seed(3)) for _ in range(2))
    shades = (one + 1) * 127.5
    assert one.shape == smooth.shape
    assert torch.equal(one, two)
    assert (shades - shades.round()).abs().max() < 1e-3
    if kind not in ("mirrored", "shifted", "cropped", "rotated", "darkened"):
        assert (one - smooth).square().mean().sqrt() < 0.2


def test_what_is_known_of_each_change_in_closed_form():
    image = torch.zeros(1, 1, 16, 16) - 1
    image[0, 0, 6, 9] = 1.0
    made = {
        kind: planted_kinds.changed_images(image, change, torch.Generator().manual_seed(0))
        for kind, change in planted_kinds.IMAGE_KINDS.items()
    }
    spot = {kind: divmod(int(changed.argmax()), 16) for kind, changed in made.items()}
    assert spot["exact"] == (6, 9)
    assert spot["mirrored"] == (6, 6)
    assert max(abs(spot["shifted"][0] - 6), abs(spot["shifted"][1] - 9)) == 2
    assert float(made["darkened"].max()) == pytest.approx(0.4, abs=0.01)
    ramp = torch.linspace(-1, 1, 32).expand(1, 1, 32, 32)
    cropped = planted_kinds.changed_images(ramp, planted_kinds.IMAGE_KINDS["cropped"], torch.Generator())
    assert float(cropped.max() - cropped.min()) == pytest.approx(2 * 0.75, abs=0.1)
    turned = planted_kinds.changed_images(ramp, planted_kinds.IMAGE_KINDS["rotated"], torch.Generator().manual_seed(0))
    tilt = float(turned[0, 0, 26, 16] - turned[0, 0, 6, 16]) / 20 * 31 / 2
    assert abs(tilt) == pytest.approx(np.tan(np.radians(5)), abs=0.02)


def test_planted_texts_differ_from_their_sources_as_their_kinds_say(texts):
    novel, known = set(texts.generated[: SIZES.novel]), texts.train[: SIZES.train]
    assert not novel & set(known)
    assert not set(texts.heldout) & (set(known) | novel)
    for sample, kind, source in zip(texts.generated, texts.kinds, texts.sources, strict=True):
        original = known[source]
        longest = difflib.SequenceMatcher(None, sample, original, autojunk=False).find_longest_match().size
        if kind == "exact":
            assert sample == original
        if kind.endswith("% changed"):
            assert sum(a != b for a, b in zip(sample, original, strict=True)) == round(0.01 * int(kind[:2]) * WINDOW)
        if kind == "shifted":
            assert len(sample) == WINDOW
            assert longest >= 48
        if kind == "cropped":
            assert len(sample) == 48
            assert sample in original
        if kind == "words swapped":
            assert sorted(sample.split(" ")) == sorted(original.split(" "))


def test_the_same_seed_gives_the_same_sets_and_another_one_others(texts, images):
    assert planted_texts(TEXT, WINDOW, SIZES, seed=1).generated == texts.generated
    assert planted_texts(TEXT, WINDOW, SIZES, seed=2).generated != texts.generated
    assert torch.equal(planted_images(load_fashion_mnist()[:400], SIZES, seed=1).generated, images.generated)


def test_nothing_may_be_planted_and_too_few_items_are_said():
    nothing = planted_images(load_fashion_mnist()[:50], Sizes(20, 20, 10, 0, 1), seed=0)
    assert len(nothing.generated) == 10
    assert not nothing.is_planted.any()
    with pytest.raises(SystemExit, match="needs 60 different items; the data have 50"):
        planted_images(load_fashion_mnist()[:50], Sizes(20, 20, 20), seed=0)


def audit_of_all(generated, train, heldout, *, output, redact, parts, q, seed, orbit="none"):
    """Flags all that is exact and the first sample, and finds item 0 for it."""
    equal = (generated[:, None] == train[None]).flatten(2).all(dim=2)
    flagged, nearest = equal.any(dim=1), equal.int().argmax(dim=1)
    flagged[0] = True
    order = torch.randperm(len(generated))
    table = {"row": order.tolist(), "flagged": flagged[order].tolist(), "copied": equal.any(dim=1)[order].tolist()}
    pyarrow.parquet.write_table(
        pa.table(table | {"nearest": list(map(str, nearest[order].tolist()))}), f"{output}/findings.parquet"
    )
    return SimpleNamespace(
        verdict=SimpleNamespace(state="copies", withheld=()),
        controls=[SimpleNamespace(name="negative", count=0, n=5, passed=True)],
        duplicates=SimpleNamespace(train_near=0),
    )


def test_what_is_found_is_counted_by_kind_and_told_in_a_table(images, tmp_path):
    line = audit_planted.measured(images, audit_of_all, q=0.05, seed=1)
    assert line["kinds"]["exact"] == [2, 2, 2, 2]
    assert line["kinds"]["mirrored"] == [2, 0, 0, 0]
    assert line["kinds"][audit_planted.NOVEL] == [20, 1, 0, 0]
    assert audit_planted.false_share(line) == pytest.approx(1 / 3)
    assert audit_planted.first_35(line) == 5
    file = tmp_path / "lines.jsonl"
    case = {"data": "made up", "orbit": "full", "seed": 1}
    file.write_text(json.dumps({"case": case, **line}) + "\n" + '{"case": {"da')
    lines = audit_planted.read_lines(file)
    assert len(lines) == 1
    assert file.read_text().endswith("}\n")
    assert "| exact | 100.0 ± nan / 100.0 ± nan / 100.0 ± nan |" in audit_planted.tables(lines)
