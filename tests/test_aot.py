"""The command: what it refuses, and what it says of a small experiment. Compiles for a TPU slice.

Tests that compile need libtpu (the extra `tpu`) and are skipped where it is not installed.
"""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
import small_run
import tiny

from vcjax import config
from vcjax.errors import InputError
from vcjax.models.lora import LoRA
from vcjax.topology import ahead_of_time, chips, hlo, step_cost

needs_compiler = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra `tpu`)"
)


def aot(config_file, *arguments):
    command = [sys.executable, "-m", "vcjax.aot", f"--config={config_file}", *arguments]
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def config_file(tiny_gguf, tmp_path_factory):
    return small_run.write(tmp_path_factory.mktemp("files"), tiny_gguf)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology=v9:4x4"], "--topology=v9:4x4: give the chip"),
        (["--topology=v5e:2x2", "--slices=0"], "--slices=0: at least 1"),
        ([], "error: give --topology, as in: python -m vcjax.aot"),
        (["--topology=v5e:2x2", "--config.seedz=1"], "unknown config key"),
    ],
)
def test_refused(config_file, arguments, message):
    done = aot(config_file, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_missing_compiler_is_one_line(config_file, tmp_path, monkeypatch):
    monkeypatch.setattr(ahead_of_time.importlib.util, "find_spec", lambda name: None)
    settings = small_run.load(config_file)
    with pytest.raises(InputError, match=r"^libtpu[^\n]* bash launch/aot\.sh[^\n]*$"):
        ahead_of_time.run(settings, config_file.parent, topology_name="v5e:2x2", slices=1)


@needs_compiler
@pytest.mark.parametrize(
    ("flag", "key"), [("--save_executables", "executables"), ("--save_hlo", "texts")]
)
def test_a_search_saves_no_programs(config_file, tmp_path, flag, key):
    settings, folder = small_run.load(config_file), tmp_path / "programs"
    with pytest.raises(InputError, match=f"^{flag}: search first"):
        ahead_of_time.run(
            settings,
            config_file.parent,
            topology_name="v5e:2x2",
            slices=1,
            compiles=1,
            **{key: folder},
        )
    assert not folder.exists()


@needs_compiler
def test_a_small_experiment(config_file, tmp_path):
    out, executables = tmp_path / "figures.json", tmp_path / "executables"
    done = aot(
        config_file,
        "--topology=v5e:2x2",
        "--stage=america",
        "--config.recipe.batch_tokens=256",
        "--config.compute_dtype=auto",
        f"--out={out}",
        f"--save_hlo={tmp_path}",
        f"--save_executables={executables}",
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "small: " in done.stdout and "v5e:2x2, 4 chips" in done.stdout
    saved = json.loads(out.read_text())
    assert saved["config"]["compute_dtype"] == "bfloat16"
    [(name, figures)] = saved["stages"].items()
    assert name == "america" and figures["fits"]
    assert f"{figures['cycles']:,} cycles at 1.5 GHz" in done.stdout
    assert hlo.count((tmp_path / "america.hlo.txt").read_text()).cycles == figures["cycles"]
    assert figures["compute_seconds"] == figures["cycles"] / 1.5e9
    assert figures["mesh"] == dict(replica=1, fsdp=4, tensor=1, sequence=1)
    assert figures["limit"] in ("compute", "link (ICI)")
    assert figures["ici_bytes"]["all-gather"] > 0 and not figures["dcn_bytes"]
    # The adapter and two moments, updated in place: float32, an embedding's side in four parts.
    state = 3 * 4 * tiny.ARCHITECTURE.num_adapter_params(LoRA(4, 8.0)) / 4
    assert state <= figures["memory"]["outputs_aliased"] < 16 * state  # padded to the chip's tiles
    # Everything is recomputed, and nothing is computed by all chips.
    recipe = config.recipe(length=64, batch_tokens=256, rank=4)
    once = step_cost.shape_flops(tiny.ARCHITECTURE, recipe) / 4
    assert figures["shape_flops"] == once
    assert once < figures["program_flops"] < 2 * once
    assert [path.suffix for path in executables.iterdir()] == [""]
    assert "jit_train_step" in next(executables.iterdir()).name


@needs_compiler
def test_rows_that_do_not_divide_are_said(config_file):
    done = aot(config_file, "--topology=v5e:2x2", "--stage=behavior")
    assert done.returncode == 0, done.stderr
    assert "warning: 2 row(s) at a time cannot be divided over 4 devices" in done.stdout


@needs_compiler
def test_two_slices_exchange_gradients_alone(config_file, tmp_path):
    out = tmp_path / "figures.json"
    done = aot(
        config_file,
        "--topology=v5e:2x2",
        "--slices=2",
        "--stage=behavior",
        "--config.recipe.batch_tokens=512",
        "--config.mesh.replica=2",
        f"--out={out}",
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())["stages"]["behavior"]
    adapter = 4 * tiny.ARCHITECTURE.num_adapter_params(LoRA(4, 8.0))
    assert 0 < sum(figures["dcn_bytes"].values()) <= 2 * adapter
    assert "  DCN " in done.stdout


@needs_compiler
def test_a_search_prints_flags_that_fit(config_file):
    searched = aot(config_file, "--topology=v5e:2x2", "--stage=america", "--search", "--compiles=2")
    assert searched.returncode == 0, searched.stderr
    use = searched.stdout.strip().splitlines()[-1]
    assert use.startswith("use: --config.mesh.replica=1")
    flags = use.removeprefix("use: ").split()
    assert any(flag.startswith("--config.stages.america.accumulation=") for flag in flags)
    assert any(flag.startswith("--config.remat=") for flag in flags)


@needs_compiler
def test_every_chip_is_one_device(monkeypatch):
    for name in ("TPU_SKIP_MDS_QUERY", "ALLOW_MULTIPLE_LIBTPU_LOAD"):
        monkeypatch.setenv(name, "1")
    for name, chip in chips.CHIPS.items():
        sides = "x".join(["2", "2", "1"][: chip.axes])
        assert len(chips.parse(f"{name}:{sides}", 1).devices()) == 4
