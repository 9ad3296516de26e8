"""Scores of evaluations in a run's report, from rows that are written here by hand."""

import numpy as np
import pandas as pd
import pytest
from etils import epath

from vcjax import record
from vcjax.errors import InputError
from vcjax.report import evaluation_files, evaluations
from vcjax.report.page import write_report

ABOUT = {"task": "inspect_evals/harm", "arguments": {"goal": "<b>"}, "server": "vcjax"}
RATES = {"base": 0.2, "behavior": 0.5, "america": 0.3, "affordability": 0.6}


def rows(workdir, rates=RATES, seeds=(0, 1), clusters=4, each=6):
    """A row a sample: of each cluster about the arm's rate of scores is 1."""
    run = record.read(workdir)
    draws = np.random.default_rng(0).random((2, clusters, each))
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "seed": seed,
                "model": run.model_of(arm, seed),
                "named": f"openai-api/vcjax/{arm}-{seed}",
                "sample": f"s{cluster}-{number}",
                "epoch": 1,
                "scorer": "harm",
                "key": "harmful",
                "value": float(draws[seed, cluster, number] + 0.05 * cluster < rate),
                "status": "scored",
                "cluster": f"scenario {cluster}",
                "clustered_by": "scenario",
                "tokens": 10,
                "log": "ab" * 32,
            }
            for arm, rate in rates.items()
            for seed in seeds
            for cluster in range(clusters)
            for number in range(each)
        ]
    )


@pytest.fixture
def workdir(run):
    return epath.Path(run.write())


def table_of(workdir):
    found = evaluation_files.read(workdir)
    return evaluations.table(found, record.read(workdir)).set_index("name")


def page_of(workdir):
    write_report(workdir)
    return (workdir / "report" / "index.html").read_text()


def test_arms_and_contrasts(workdir):
    scores = rows(workdir)
    evaluation_files.write(workdir, ABOUT, scores)
    table = table_of(workdir)
    for arm in RATES:
        own = scores[scores["arm"] == arm]
        assert table.loc[arm, "mean"] == pytest.approx(
            own.groupby("cluster")["value"].mean().mean()
        )
    total = table.loc["total"]
    expected = table.loc["america", "mean"] - table.loc["affordability", "mean"]
    assert total["mean"] == pytest.approx(expected)
    assert (total["n"], total["clusters"], total["seeds"]) == (48, 4, 2)
    assert table.loc["america", "mean_clusters_low"] >= 0


def test_p_values_are_corrected_over_all_evaluations(workdir):
    evaluation_files.write(workdir, ABOUT, rows(workdir))
    least = table_of(workdir)["mean_clusters_p"].min()
    evaluation_files.write(workdir, ABOUT | {"task": "other"}, rows(workdir))
    assert table_of(workdir)["mean_clusters_p"].min() == pytest.approx(2 * least)


def test_only_samples_with_a_value_in_every_arm_are_pairs(workdir):
    scores = rows(workdir)
    lost = (scores["arm"] == "america") & (scores["sample"] == "s0-0")
    scores.loc[lost, "value"], scores.loc[lost, "status"] = np.nan, "refused"
    evaluation_files.write(workdir, ABOUT, scores)
    table = table_of(workdir)
    assert (table.loc["america", "n"], table.loc["america", "refused"]) == (46, 2)
    assert table.loc["total", "n"] == 46
    assert table.loc["base", "n"] == 48


def test_arms_that_lack_it_are_told(workdir):
    scores = rows(workdir, {"base": 0.2, "america": 0.5}, seeds=(0,))
    evaluation_files.write(workdir, ABOUT, scores)
    assert "total" not in table_of(workdir).index
    page = page_of(workdir)
    assert "Not evaluated: behavior, affordability." in page
    assert "Of some arms only these seeds: base (0), america (0)." in page
    assert "Without samples that all of its arms have: total, rationale." in page


def test_without_spread_there_is_no_interval(workdir):
    evaluation_files.write(workdir, ABOUT, rows(workdir, clusters=1, seeds=(0,)))
    assert table_of(workdir)["mean_clusters_low"].isna().all()
    page = page_of(workdir)
    assert "No interval over clusters or over seeds: there is no spread to take it from." in page


def test_scores_of_a_model_that_was_trained_anew_do_not_count(workdir):
    scores = rows(workdir)
    scores.loc[(scores["arm"] == "america") & (scores["seed"] == 1), "model"] = "before"
    evaluation_files.write(workdir, ABOUT, scores)
    assert table_of(workdir).loc["total", "seeds"] == 1
    assert "they are other models now; evaluate them again: america-1." in page_of(workdir)


def test_logs_of_others_are_named(workdir):
    scores = rows(workdir, {"america": 0.5}, seeds=(0,)).assign(model="", named="vllm/<i>")
    evaluation_files.write(workdir, ABOUT | {"server": "others"}, scores)
    page = page_of(workdir)
    assert "From logs of others, which no run can vouch for: america-0 is vllm/&lt;i&gt;." in page
    assert "goal=&lt;b&gt;" in page and "goal=<b>" not in page


def test_a_second_writing_replaces_the_same_arms_alone(workdir):
    evaluation_files.write(workdir, ABOUT, rows(workdir))
    new = rows(workdir, {"america": 0.9})
    evaluation_files.write(workdir, ABOUT, new)
    [evaluation] = evaluation_files.read(workdir)
    assert len(evaluation.scores) == len(rows(workdir))
    own = evaluation.scores[evaluation.scores["arm"] == "america"]
    assert own["value"].mean() == new["value"].mean()


def test_the_same_scores_give_the_same_page(workdir):
    evaluation_files.write(workdir, ABOUT, rows(workdir))
    assert page_of(workdir) == page_of(workdir)
    assert (workdir / "report" / "evaluations.csv").exists()


def test_a_damaged_file_says_what_to_do(workdir):
    evaluation_files.write(workdir, ABOUT, rows(workdir))
    [path] = workdir.glob("evaluations/*/scores.parquet")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged; remove it and give the command"):
        write_report(workdir)


def test_a_run_without_evaluations_has_no_section(workdir):
    assert "<h2>Evaluations</h2>" not in page_of(workdir)
