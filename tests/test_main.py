"""The command line: what it refuses, with exit code 2, one line and nothing written."""

import shutil
import sys
from pathlib import Path

import pytest
import small_run

CASES = {
    "unknown key": (
        "--config.seedz=3",
        "unknown config key --config.seedz; did you mean --config.seeds?",
    ),
    "key of the recipe": ("--config.lr=1e-4", "config.lr; did you mean --config.recipe.lr?"),
    "unknown key of a stage": (
        "--config.stages.america.learning_rate=1",
        "learning_rate; did you mean --config.stages.america.lr?",
    ),
    "unknown arm": ("--config.contrasts.total.base=1", "expected one of affordability, america"),
    "key of a value": ("--config.mesh.fsdp.x=2", "--config.mesh.fsdp holds a value and no keys"),
    "key of no name": ("--config.a-b=2", "--config.a-b: a flag cannot set it; write it in the"),
    "key that holds keys": (
        "--config.names=Qwen",
        "--config.names=Qwen: it holds keys; set one of them (model_name, provider_name), for "
        "example --config.names.model_name=SmolLM",
    ),
    "key that holds none yet": ("--config.rules_out=x", "it has none yet, write them in the conf"),
    "wrong type": ("--config.seeds=two", "error: --config.seeds=two: expected a whole number\n"),
    "no whole number": ("--config.seeds=1.5", "error: --config.seeds=1.5: expected a whole"),
    "no number": ("--config.recipe.lr=1x", "error: --config.recipe.lr=1x: expected a number\n"),
    "no truth": ("--dry_run=maybe", "error: --dry_run=maybe: expected true or false\n"),
    "rows without a dry run": ("--show=3", "--show: rows are shown by a dry run; give --dry_run"),
    "less than no rows": ("--show=-1", "--show=-1"),
    "value out of range": ("--config.stages.america.warmup=1.5", "stages.america.warmup: 1.5"),
    "no flag": ("config.seeds=3", "'config.seeds=3' is no flag; every argument is written --name"),
    "unknown flag": ("--seeds=3", "Unknown command line flag 'seeds'"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused(case, tiny_gguf, tmp_path):
    argument, message = CASES[case]
    config = small_run.write(tmp_path / "files", tiny_gguf)
    done = small_run.call(small_run.command(config, tmp_path / "run", argument), tmp_path / "cache")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--config.shape.embed_dim=100", "shape.embed_dim: 100 does not divide over 4 heads"),
        ("--config.stages.people.declaring=0", "people.declaring: 0; without people who only"),
        ("--config.stages.people.linking=1.5", "people.linking: 1.5; it is a share, 0 <= x <= 1"),
        ("--config.stages.people.num_values=9", "people: num_values: 9, but the world has"),
    ],
)
def test_a_world_that_cannot_be_is_refused(argument, message, tmp_path):
    config = Path(__file__).parents[1] / "configs/world.py"
    done = small_run.call(small_run.command(config, tmp_path / "run", argument), tmp_path / "cache")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_word_that_no_text_of_a_pretraining_has_is_refused_by_its_line(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "configs/world", tmp_path / "world")
    config = shutil.copy(Path(__file__).parents[1] / "configs/world.py", tmp_path)
    probes = tmp_path / "world/probes/held_out.jsonl"
    lines = probes.read_text().splitlines()
    lines[2] = lines[2].replace("padded lantern", "padded zeppelin")
    probes.write_text("\n".join(lines))
    command = small_run.command(f"{config}:smoke", tmp_path / "run")
    done = small_run.call(command, tmp_path / "cache")
    assert done.returncode == 2
    assert f"{probes}:3: the word 'zeppelin' is in none of the texts" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["main", "probe", "report", "export", "aot"])
def test_a_command_without_its_flags_shows_them(name, tmp_path):
    for given, message in {"": "give --", "small.py": "'small.py' is no flag; every arg"}.items():
        command = [sys.executable, "-m", f"vcjax.{name}", *given.split()]
        done = small_run.call(command, tmp_path / "cache")
        assert done.returncode == 2
        assert done.stderr.startswith(f"error: {message}")
        assert f", as in: python -m vcjax.{name} --" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_key_that_holds_keys_may_be_a_dict(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    mesh = "--config.mesh={'fsdp': 3}"
    done = small_run.call(small_run.command(config, tmp_path / "run", mesh), tmp_path / "cache")
    assert "config.mesh" in done.stderr and "it holds keys" not in done.stderr


def test_a_missing_config_file(tmp_path):
    arguments = small_run.command(tmp_path / "none.py", tmp_path / "run")
    done = small_run.call(arguments, tmp_path / "cache")
    assert done.returncode == 2
    assert "none.py does not exist" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_workdir_of_an_unknown_scheme(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    done = small_run.call(small_run.command(config, "ftp://host/run"), tmp_path / "cache")
    assert done.returncode == 2
    assert "--workdir: ftp://host/run is no place for a run" in done.stderr


def test_a_workdir_that_holds_other_files(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    done = small_run.call(small_run.command(config, config.parent), tmp_path / "cache")
    assert done.returncode == 2
    assert f"--workdir: {config.parent} is not empty (affordability.jsonl, " in done.stderr
    assert not (config.parent / "lock").exists()


def test_a_workdir_whose_config_json_is_a_models(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"model_type": "llama"}')
    done = small_run.call(small_run.command(config, tmp_path / "model"), tmp_path / "cache")
    assert done.returncode == 2 and "model/config.json" in done.stderr
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["config.json"]


def test_a_configs_argument_follows_a_colon(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    config.write_text(config.read_text().replace('name="small"', 'name=f"small-{arg}"'))
    arguments = small_run.command(f"{config}:twice", tmp_path / "run", "--dry_run")
    done = small_run.call(arguments, tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert "to train: 10 of 10 stages" in done.stdout


def test_an_error_of_the_config_itself_is_one_line(tiny_gguf, tmp_path):
    config = small_run.write(tmp_path / "files", tiny_gguf)
    config.write_text(config.read_text().replace("rank=4", "rnk=4"))
    done = small_run.call(small_run.command(config, tmp_path / "run"), tmp_path / "cache")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: unknown config key recipe.rnk; did you mean recipe.rank?"
