import ast
import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from vcjax.errors import InputError
from vcjax.report import reading


def test_arms_and_contrasts_come_in_a_readers_order(run):
    config = reading.read_ordered(run.write()).config
    assert [*config["arms"]] == ["base", "behavior", "america", "affordability"]
    assert [*config["contrasts"]] == ["total", "rationale"]


def test_only_what_the_plan_names_is_read(run):
    workdir = run.write()
    other = pd.read_parquet(workdir / "probes/america-0.parquet").assign(arm="dropped")
    other.to_parquet(workdir / "probes/dropped-0.parquet", index=False)
    answers = reading.read_answers(workdir / "probes", reading.read_ordered(workdir)).choices
    assert set(answers["arm"]) == set(run.arms)
    assert set(answers["seed"]) == {0, 1}


def test_texts_are_read_apart_from_choices(run):
    run.log_probs = dict.fromkeys(run.arms, -3.0)
    workdir = run.write()
    read = reading.read_answers(workdir / "probes", reading.read_ordered(workdir))
    answers, texts = read.choices, read.texts
    assert set(answers["file"]) == {"paired.jsonl"}
    assert len(texts) == len(run.arms) * run.seeds
    row = texts[(texts["arm"] == "america") & (texts["seed"] == 1)].iloc[0]
    assert (row["file"], row["tokens"], row["logprob"]) == ("bank.txt", 264, -3.01)


def test_texts_of_a_release_before_0_9_are_among_the_choices(run):
    run.log_probs = dict.fromkeys(run.arms, -3.0)
    newer = reading.read_ordered(run.write())
    expected = reading.read_answers(run.workdir / "probes", newer)
    for path in run.workdir.glob("probes/*"):
        path.unlink()
    run.kinds = None
    record = reading.read_ordered(run.write())
    assert not [*run.workdir.glob("probes/*.text.parquet")]
    assert not reading.missing_answers(run.workdir / "probes", record, record.probes)
    read = reading.read_answers(run.workdir / "probes", record)
    pd.testing.assert_frame_equal(read.texts, expected.texts)
    pd.testing.assert_frame_equal(read.choices, expected.choices)


def test_probes_that_the_config_excludes_are_left_out(run):
    workdir = run.write()
    record = reading.read_ordered(workdir)
    before = reading.read_answers(workdir / "probes", record).choices
    record.config["exclude"] = ["d3-1"]
    answers = reading.read_answers(workdir / "probes", record).choices
    assert {*before["id"]} - {*answers["id"]} == {"d3-1"}


def test_curves_keep_both_losses_of_every_stage_and_seed(run):
    workdir = run.write()
    curves = reading.read_curves(workdir, reading.read_ordered(workdir))
    stage = curves[(curves["chain"] == "america > behavior") & (curves["seed"] == 1)]
    assert stage["loss"].notna().sum() == 6
    assert stage.dropna(subset=["held_out_loss"])["step"].tolist() == [20, 40, 60]
    assert stage["step"].is_monotonic_increasing


def test_a_chain_names_the_stages_before_it(run):
    chains = reading.read_ordered(run.write()).plan.chains()
    assert chains["america-behavior-1-0123456789ab"] == "america > behavior"
    assert chains["behavior-1-0123456789ab"] == "behavior"


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: no such file"):
        reading.read_ordered(tmp_path)


def test_a_broken_config_is_refused(run):
    (run.write() / "config.json").write_text('{"config": ')
    with pytest.raises(InputError, match=r"config\.json: not JSON"):
        reading.read_ordered(run.workdir)


@pytest.fixture
def read(run):
    """Reads the answers of a run that a test has damaged."""
    workdir = run.write()
    return workdir, lambda: reading.read_answers(workdir / "probes", reading.read_ordered(workdir))


def test_a_missing_file_of_answers_is_named(run):
    (run.write() / "probes/america-1.parquet").unlink()
    with pytest.raises(InputError, match=r"no answers yet .* is now: america-1\.parquet;"):
        reading.check_answered(run.workdir, reading.read_ordered(run.workdir))


@pytest.mark.parametrize(
    "change",
    [
        lambda run: run.plan.arms["america"].update({1: ("trained again",)}),
        lambda run: run.config.update(lead="I would take"),
        lambda run: run.probes.update({"paired.jsonl": "other probes"}),
    ],
)
def test_answers_that_the_run_would_not_give_now_are_missing(run, change):
    run.write()
    record = reading.read_ordered(run.workdir)
    assert reading.missing_answers(run.workdir / "probes", record, record.probes) == []
    change(record)
    with pytest.raises(InputError, match=r"no answers yet .* america-1\.parquet"):
        reading.check_answered(run.workdir, record)


def test_the_untouched_model_answers_anew_where_it_is_another(run):
    run.write()
    record = reading.read_ordered(run.workdir)
    other = dataclasses.replace(record.model, sha256="another file")
    record = dataclasses.replace(record, model=other)
    missing = reading.missing_answers(run.workdir / "probes", record)
    assert missing == ["base-0.parquet", "base-1.parquet"]


def test_a_damaged_file_of_answers_is_named(read):
    workdir, answers = read
    path = workdir / "probes/america-1.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"america-1\.parquet: not a Parquet file"):
        answers()


def test_a_file_of_answers_without_a_column_is_named(read):
    workdir, answers = read
    path = workdir / "probes/america-1.parquet"
    pd.read_parquet(path).drop(columns="logprob_1").to_parquet(path)
    with pytest.raises(InputError, match=r"america-1\.parquet: the column 'logprob_1'"):
        answers()


def test_answers_under_another_arms_name_are_refused(read):
    workdir, answers = read
    (workdir / "probes/america-1.parquet").write_bytes(
        (workdir / "probes/affordability-1.parquet").read_bytes()
    )
    with pytest.raises(InputError, match=r"america-1\.parquet: holds rows of another arm"):
        answers()


@pytest.mark.parametrize("line", ['{"step": 7', '{"loss": 1.0}', "[1]", '{"step": "x"}'])
def test_a_broken_line_of_metrics_is_named(run, line):
    path = run.write() / "stages/america-0-0123456789ab/metrics.jsonl"
    path.write_text(f'{{"step": 1, "loss": 2.0}}\n{line}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: expected a JSON object"):
        reading.read_curves(run.workdir, reading.read_ordered(run.workdir))


MEAN = '''
def mean(values):
    """The mean."""
    if not values:
        raise InputError("no values")
    return sum(values) / len(values)
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""The mean."""', '"""The arithmetic mean."""  # of numbers', True),
        ("no values", "give at least one value", True),
        ("sum(values) / len(values)", "(\n        sum(values) / len(values)\n    )", True),
        ("len(values)", "(len(values) - 1)", False),
        ("not values", "len(values) < 2", False),
    ],
)
def test_words_do_not_change_the_hash_of_the_analysis_and_arithmetic_does(old, new, same):
    assert old in MEAN
    changed = ast.parse(MEAN.replace(old, new))
    assert (reading._code(changed) == reading._code(ast.parse(MEAN))) == same


def test_the_hash_of_the_analysis_covers_all_that_decides_the_numbers_and_no_words():
    folder = Path(reading.__file__).parent
    imported = {
        f"{name.name}.py"
        for module in reading._ANALYSIS
        for node in ast.walk(ast.parse((folder / module).read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "vcjax.report"
        for name in node.names
    }
    assert imported <= {*reading._ANALYSIS}
    assert not {"claims.py", "view.py"} & {*reading._ANALYSIS}
