import json

import pandas as pd
import pytest
from etils import epath

from vcjax.errors import InputError
from vcjax.report import reading, runs, tables


@pytest.fixture
def pair(new_run, tmp_path, value_pairs):
    """Two runs that can be compared, to be changed by a test before they are read."""
    made = [new_run(tmp_path / name, probes=value_pairs[:16]) for name in ("one", "two")]
    made[1].trained = "f" * 12
    return made


def read(made):
    return runs.read([epath.Path(run.write()) for run in made])


def change(workdir, **fields):
    path = workdir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_run_has_the_numbers_of_its_own_report(pair, other_probes):
    pair[0].probes = pair[1].probes = pair[0].probes + other_probes
    run, _ = read(pair)
    answers = reading.read_answers(run.workdir / "probes", run.record)
    of_report, _ = tables.make_tables(answers, run.config)
    for name in ("contrasts", "seeds"):
        rows = of_report[name][tables.in_group(of_report[name], tables.headline(run.config))]
        mine = runs.held_out(run, name)
        numbers = [column for column in rows if not str(column).endswith("_p")]
        pd.testing.assert_frame_equal(mine[numbers], rows[numbers])


def test_common_contrasts_are_of_the_same_arms_and_weights(pair):
    pair[0].contrasts["mine"] = {"america": 1, "base": -1}
    pair[1].contrasts["rationale"] = {"america": 1, "base": -1}
    pair[1].contrasts["yours"] = {"america": 1, "base": -1}
    common, others = runs.common_contrasts(read(pair))
    assert common == ["total"]
    assert sorted(others) == ["mine", "rationale", "yours"]


def test_the_question_is_the_last_of_the_leading_contrasts(pair):
    for run in pair:
        run.primary = "total"
        run.arms |= {"other_a": ["other_america", "behavior"]}
        run.arms |= {"other_b": ["other_affordability", "behavior"]}
        run.effects |= {"other_a": 0.0, "other_b": 0.0}
        run.contrasts["exposure"] = {"other_a": 1, "other_b": -1}
    assert runs.leading(read(pair)) == ["exposure", "total"]


def test_runs_of_one_name_are_numbered(pair):
    compared = read(pair)
    assert [run.name for run in runs.named_apart(compared)] == ["cheese-test 1", "cheese-test 2"]
    pair[1].name = "other"
    assert [run.name for run in runs.named_apart(read(pair))] == ["cheese-test", "other"]


# What cannot be compared


def test_no_run_and_one_that_is_not_finished(pair, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"config\.json: no such file; is this the workdir of a"):
        runs.read([epath.Path(tmp_path / "empty")])
    workdir = epath.Path(pair[0].write())
    (workdir / "probes" / "america-1.parquet").unlink()
    with pytest.raises(InputError, match=r"no answers yet of the run as it is now: america-1"):
        runs.read([workdir])


def test_a_run_without_held_out_pairs(pair, other_probes):
    pair[0].probes = other_probes
    with pytest.raises(InputError, match="one: no held-out pair with america that answers"):
        read(pair)


def test_the_same_folder_twice(pair):
    workdir = epath.Path(pair[0].write())
    with pytest.raises(InputError, match="one is given twice; leave one out"):
        runs.read([workdir, workdir])


def test_the_same_run_in_two_folders(pair):
    pair[1].trained = pair[0].trained
    with pytest.raises(InputError, match=r"two: its models and what they were asked are those of "):
        read(pair)
    pair[1].settings = {"lead": "My choice is"}
    assert len(read(pair)) == 2


def test_other_questions_are_named(pair):
    pair[1].primary = "rationale"
    with pytest.raises(
        InputError,
        match=r"two: its primary contrast is rationale \(america - behavior\), that of .*one is "
        r"total \(america - affordability\)",
    ):
        read(pair)


def test_other_weights_are_another_question(pair):
    pair[1].contrasts = {"total": {"america": 1, "behavior": -1}}
    with pytest.raises(InputError, match=r"is total \(america - behavior\), that of"):
        read(pair)


def test_margins_that_point_elsewhere(pair):
    pair[1].settings = {"toward": "affordability"}
    with pytest.raises(
        InputError, match=r"two: its toward is affordability, that of .* is america"
    ):
        read(pair)


def test_another_version_of_the_probes(pair):
    workdirs = [epath.Path(run.write()) for run in pair]
    change(workdirs[1], probes={"paired.jsonl": "cd" * 32})
    for path in (workdirs[1] / "probes").iterdir():
        pair[1].keep(path, pd.read_parquet(path).assign(file_sha256="cd" * 32))
    with pytest.raises(
        InputError,
        match=r"two: its probe file paired\.jsonl \(sha256 cdcd\w{12}\) has the sha256 abab\w{12} "
        r"in .*one; give runs with the same held-out pairs",
    ):
        runs.read(workdirs)


@pytest.mark.parametrize("lacks", ["one", "two"])
def test_probes_that_one_run_leaves_out(pair, lacks):
    pair[["one", "two"].index(lacks)].settings = {"exclude": ["d3-1"]}
    with pytest.raises(InputError, match=rf"has the probe 'd3-1', which .*{lacks} leaves out"):
        read(pair)


def test_other_probes_than_held_out_pairs_may_differ(pair, other_probes):
    pair[1].probes = pair[1].probes + other_probes
    assert len(read(pair)) == 2
