"""Checkpoints: whatever damages the newest, the older one is used, or one line says what to do."""

import os
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.training import checkpoint
from vcjax.training.train_step import TrainState

NOISE = np.random.default_rng(0).standard_normal((300, 50)).astype(np.float32)


def state(value):
    params = {"adapter": {"a": jnp.asarray(NOISE + value)}}
    return TrainState(jnp.int32(0), params, {"mu": params})


def save(folder, steps):
    with checkpoint.open_manager(folder, keep=2) as manager:
        for step in steps:
            checkpoint.save(manager, step, state(step))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """checkpoints/ of a stage that was saved after updates 2, 4 and 6, of which two are kept."""
    folder = tmp_path_factory.mktemp("stage") / "checkpoints"
    save(epath.Path(folder), (2, 4, 6))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "stage" / "checkpoints")
    return epath.Path(tmp_path / "stage" / "checkpoints")


def usable(folder, fault=lambda step: None):
    return checkpoint.latest_usable(folder, fault)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def each(pattern, damage):
    def change(newest):
        paths = [path for path in newest.glob(pattern) if path.is_file()]
        assert paths
        for path in paths:
            damage(path)

    return change


def emptied(newest):
    shutil.rmtree(newest)
    newest.mkdir()


DAMAGES = {
    "data of 0 bytes": each("params/ocdbt.process_0/d/*", lambda path: os.truncate(path, 0)),
    "data cut": each("*/d/*", lambda path: os.truncate(path, len(path.read_bytes()) // 2)),
    "metadata of 0 bytes": each("params/_METADATA", lambda path: os.truncate(path, 0)),
    "a bit in the moments": each("optimizer/ocdbt.process_0/d/*", flip),
    "a bit in a manifest": each("params/manifest.ocdbt", flip),
    "no sharding": each("params/_sharding", os.unlink),
    "Orbax's own of 0 bytes": each("_CHECKPOINT_METADATA", lambda path: os.truncate(path, 0)),
    "Orbax's own gone": each("_CHECKPOINT_METADATA", os.unlink),
    "no optimizer": lambda newest: shutil.rmtree(newest / "optimizer"),
    "checksums of NULs": each("checksums.json", lambda path: path.write_bytes(b"\0" * 99)),
    "an empty folder": emptied,
}


@pytest.mark.parametrize("case", DAMAGES)
def test_the_older_one_is_used_and_training_goes_on(case, folder, capsys):
    DAMAGES[case](folder / "6")
    assert usable(folder) == 4
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: {folder / '6'}: it is damaged (")
    assert line.endswith("; going on from the one of update 4")
    with checkpoint.open_manager(folder, keep=2) as manager:
        restored = checkpoint.restore(manager, 4, state(0.0))
        np.testing.assert_array_equal(restored.params["adapter"]["a"], NOISE + 4)
        checkpoint.save(manager, 6, state(6.0))  # the damaged one is not in its way
    assert usable(folder) == 6


def test_any_flipped_bit_is_seen(folder):
    files = [path for path in Path(folder / "6").rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        if path.parent.name == "6" and path.name in ("_CHECKPOINT_METADATA", "commit_success.txt"):
            continue  # written after the checksums; no result depends on them
        flip(path)
        with pytest.raises(InputError, match="6: it is damaged"):
            checkpoint.check_finished(folder)
        path.write_bytes(content)
    checkpoint.check_finished(folder)


def test_where_none_is_whole_the_stage_is_named(folder):
    for step in ("4", "6"):
        DAMAGES["data of 0 bytes"](folder / step)
    with pytest.raises(
        InputError, match=rf"no other checkpoint .* remove {folder.parent} and start"
    ):
        usable(folder)
    shutil.rmtree(folder.parent)
    assert usable(folder) == 0


def test_one_that_the_rest_of_the_stage_does_not_fit_is_not_used(folder, capsys):
    assert usable(folder, lambda step: "its losses are gone" if step > 4 else None) == 4
    assert f"{folder / '6'}: its losses are gone; going on" in capsys.readouterr().out
    assert not (folder / "6").exists()


def test_one_of_an_earlier_version_has_no_checksums(folder):
    (folder / "6" / "checksums.json").unlink()
    assert usable(folder) == 6
    DAMAGES["data of 0 bytes"](folder / "6")
    with checkpoint.open_manager(folder, keep=2) as manager, pytest.raises(InputError) as caught:
        checkpoint.restore(manager, 6, state(0.0))
    assert str(caught.value).startswith(f"{folder / '6'}: Orbax cannot restore it (")
    assert "\n" not in str(caught.value)


def test_what_a_finished_stage_left_is_gone_or_damaged(folder, tmp_path):
    like = state(0.0).params
    np.testing.assert_array_equal(
        checkpoint.restore_params(folder, like)["adapter"]["a"], NOISE + 6
    )
    DAMAGES["a bit in a manifest"](folder / "6")
    again = rf"remove {folder.parent} and start the run's command of vcjax\.main again"
    with pytest.raises(InputError, match=rf"6: it is damaged .*; .*{again}"):
        checkpoint.restore_params(folder, like)
    for removed in (folder / "6", folder / "4", folder):
        shutil.rmtree(removed)
    with pytest.raises(InputError, match=rf"checkpoints: the checkpoint was removed; .*{again}"):
        checkpoint.restore_params(folder, like)


def test_in_a_bucket(bucket, capsys):
    folder = bucket / "stage" / "checkpoints"
    save(folder, (2, 4))
    assert usable(folder) == 4
    [data, *_] = folder.glob("4/params/d/*")
    data.write_bytes(b"x" * len(data.read_bytes()))
    assert usable(folder) == 2
    assert "4: it is damaged (params/d/" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["2"]


def test_orbax_still_reads_what_has_checksums_beside_it(folder):
    with ocp.CheckpointManager(folder) as manager:
        assert sorted(manager.all_steps()) == [4, 6]
