"""One stage: interrupted and gone on with, and what it does when the loss is no number."""

import json
import re
import time
from types import SimpleNamespace

import jax
import pandas as pd
import pytest
import small_run
from etils import epath

from vcjax import config as configs
from vcjax import experiment
from vcjax.data import rows
from vcjax.errors import InputError
from vcjax.training import checkpoint, progress, throughput
from vcjax.workdir import stages
from vcjax.workdir.files import read_json


@pytest.fixture
def one_stage(tiny_gguf, tmp_path):
    """(config of one behavior stage of two epochs, its folder)."""
    path = small_run.write(tmp_path / "files", tiny_gguf)
    config = small_run.load(path, seeds=1, checkpoint_every=4)
    with config.unlocked():
        config.arms = dict(base=(), behavior=("behavior",))
        config.contrasts = dict(total=dict(behavior=1, base=-1))
    config.stages.behavior.epochs = 2
    return config, path.parent


class Interrupted(Exception):
    pass


def stop_at(update):
    """In the place of Progress.update: after this update of the stage it goes no further."""
    counted = progress.Progress.update

    def count(self, figures):
        counted(self, figures)
        if self._done == update:
            raise Interrupted

    return count


def test_interrupted_at_any_update_it_ends_the_same(one_stage, tmp_path, monkeypatch):
    config, folder = one_stage
    mix, order = [configs.source("america.jsonl", rows=30)], ("america", "file")
    config.stages.behavior = configs.behavior(
        file="demonstrations.jsonl", rows=30, mix=mix, order=order, epochs=2
    )
    read, parts = rows.batches, []
    monkeypatch.setattr(
        rows, "batches", lambda *of, **how: parts.append(how["parts"]) or read(*of, **how)
    )
    experiment.run(config, folder, tmp_path / "whole", False)
    expected = small_run.result(tmp_path / "whole")
    [facts] = read_json(tmp_path / "whole" / "config.json")["plan"]["stages"].values()
    assert parts == [tuple(facts["data"]["parts"])] and len(parts[0]) == 2
    epoch = facts["updates"] // 2

    for update in (2, epoch - 1, epoch + 1):  # before the first checkpoint, around the epoch's end
        with monkeypatch.context() as patch:
            patch.setattr(progress.Progress, "update", stop_at(update))
            with pytest.raises(Interrupted):
                experiment.run(config, folder, tmp_path / "parts", False)
    experiment.run(config, folder, tmp_path / "parts", False)
    assert small_run.result(tmp_path / "parts") == expected
    [speed] = (tmp_path / "parts").glob("stages/*/speed.json")
    assert len(read_json(speed)["starts"]) == 4


def test_what_is_kept_on_the_way_is_an_arm_and_survives_interruptions(
    one_stage, tmp_path, monkeypatch
):
    """Checkpoints are those of every fourth update, so some are kept after the last one."""
    config, folder = one_stage
    config.stages.behavior.keep = (2, 5, 6)
    with config.unlocked():
        config.arms.early, config.arms.later = ("behavior@2",), ("behavior@6",)
        config.contrasts.moved = dict(later=1, early=-1)
    experiment.run(config, folder, epath.Path(tmp_path / "whole"), False)
    expected = small_run.result(tmp_path / "whole")
    sets = [expected[name] for name in expected if "kept" in name or "checkpoints" in name]
    assert len(sets) == 4 and all(one != sets[0] for one in sets[1:])
    answers = [expected[f"{arm}-0.parquet"] for arm in ("early", "later", "behavior")]
    margins = pd.read_csv(tmp_path / "whole" / "report" / "arms.csv").set_index("name")["margin"]
    assert len({*answers}) == len({margins[arm] for arm in ("early", "later", "behavior")}) == 3

    for update in (3, 6, 7):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            patch.setattr(progress.Progress, "update", stop_at(update))
            experiment.run(config, folder, epath.Path(tmp_path / "parts"), False)
        kept = {path.name for path in tmp_path.glob("parts/stages/*/kept_*")}
        assert kept == {f"kept_{u}" for u in (2, 5, 6) if u < update}
    experiment.run(config, folder, epath.Path(tmp_path / "parts"), False)
    assert small_run.result(tmp_path / "parts") == expected


def test_keeping_weights_is_no_time_of_an_update(one_stage, tmp_path, monkeypatch):
    """Update 3 is kept between two lines of metrics."""
    config, folder = one_stage
    config.stages.behavior.keep, config.log_every = (3,), 100
    config.checkpoint_every = config.eval_every = 100
    save, late = checkpoint.save_alone, 0

    def save_for_an_hour(*arguments):
        nonlocal late
        late = 3600
        save(*arguments)

    clock = vars(time) | {"monotonic": lambda: time.monotonic() + late}
    monkeypatch.setattr(throughput, "time", SimpleNamespace(**clock))
    monkeypatch.setattr(checkpoint, "save_alone", save_for_an_hour)
    experiment.run(config, folder, epath.Path(tmp_path / "run"), False)
    times = read_json(tmp_path / "run" / "times.json")
    [took] = [figures for what, figures in times.items() if what.startswith("stages/")]
    [facts] = read_json(tmp_path / "run" / "config.json")["plan"]["stages"].values()
    assert late == 3600 > took["step_seconds"] * facts["updates"]


def test_every_update_and_its_rate_are_logged(one_stage, tmp_path):
    config, folder = one_stage
    config.stages.behavior.held_out, config.eval_every = 4, 3
    experiment.run(config, folder, tmp_path / "run", False)
    [(fingerprint, facts)] = read_json(tmp_path / "run" / "config.json")["plan"]["stages"].items()
    path = tmp_path / "run" / "stages" / fingerprint / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    evaluated = [0, *range(3, facts["updates"], 3), facts["updates"]]
    assert [r["step"] for r in records if "held_out_loss" in r] == evaluated
    assert [r["step"] for r in records] == sorted(r["step"] for r in records)
    lines = [record for record in records if "loss" in record]
    assert [line["step"] for line in lines] == [*range(1, facts["updates"] + 1)]
    rates = [line["learning_rate"] for line in lines]
    assert rates[0] == 0 and max(rates) == pytest.approx(1e-2) and 0 < rates[-1] < 1e-3
    weighted = sum(line["weighted_tokens"] for line in lines)
    assert weighted == 2 * facts["data"]["weighted_tokens"], "every target once an epoch"
    assert lines[-1]["loss"] < lines[0]["loss"] / 2


def test_what_a_stage_took_is_printed_and_kept(one_stage, tmp_path, capsys):
    config, folder = one_stage
    experiment.run(config, folder, tmp_path / "run", False)
    lines = capsys.readouterr().out.splitlines()
    line = next(line for line in lines if "goodput" in line)
    shown = r"\S+ s an update, \S+ tokens/s, input wait \S+%, peak memory \S+ GB, goodput \S+%"
    assert re.fullmatch(rf"behavior, seed 0: {shown}", line)
    [fingerprint] = read_json(tmp_path / "run" / "config.json")["plan"]["stages"]
    took = read_json(tmp_path / "run" / "times.json")[f"stages/{fingerprint}"]
    assert 0 < took["step_seconds"] < took["seconds"] and 0 < took["goodput"] < 1
    [events] = (tmp_path / "run" / "stages" / fingerprint / "tensorboard").iterdir()
    for name in ("step_seconds", "tokens_per_second", "input_wait", "peak_memory_gb", "goodput"):
        assert name.encode() in events.read_bytes()


def test_the_trace_holds_the_updates_it_was_asked_for(one_stage, tmp_path):
    config, folder = one_stage
    config.profile = "3:5"
    experiment.run(config, folder, tmp_path / "run", False)
    [fingerprint] = read_json(tmp_path / "run" / "config.json")["plan"]["stages"]
    [trace] = (tmp_path / "run" / "profile" / fingerprint).glob("plugins/profile/*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(trace))
    events = [e for plane in data.planes for line in plane.lines for e in line.events]
    steps = [dict(event.stats)["step_num"] for event in events if event.name == "train"]
    assert sorted(steps) == [3, 4, 5]


def test_a_loss_that_is_no_number_stops_before_it_is_saved(one_stage, tmp_path):
    config, folder = one_stage
    config.stages.behavior.lr = 1e30
    with pytest.raises(InputError, match=r"stage behavior, seed 0: loss nan.*at update \d+"):
        experiment.run(config, folder, tmp_path / "run", False)
    [fingerprint] = read_json(tmp_path / "run" / "config.json")["plan"]["stages"]
    assert not stages.is_done(tmp_path / "run", fingerprint)
    assert not list((tmp_path / "run" / "stages" / fingerprint / "checkpoints").iterdir())
