import itertools

import numpy as np
import pandas as pd
import pytest

from vcjax.errors import InputError
from vcjax.report import ranking, statistics
from vcjax.report.page import write_report


def by_cluster(values: np.ndarray, names: str = "abcdefgh", cluster: str = "domain"):
    """As `tables.by_cluster` gives it; values: one row a cluster, one column a contrast."""
    rows = [
        {"kind": "contrast", "name": name, cluster: f"{cluster} {i}", "margin": value}
        for i, row in enumerate(np.asarray(values, float))
        for name, value in zip(names, row, strict=False)
    ]
    return pd.DataFrame(rows)


def test_an_example_by_hand():
    """4 domains, 3 contrasts. Means 2, 4, 9, of domains 4, 5, 5, 6. The residuals are 0, 1, -1;
    1, -2, 1; -1, 0, 1; 0, 1, -1: their squares sum to 12, over 6 degrees of freedom 2, so the error
    of a mean is sqrt(2 / 4). q(.05; 3, 6) is 4.339 in the tables: 4.339 sqrt(1 / 2) = 3.068."""
    values = [[1, 4, 7], [3, 2, 10], [1, 4, 10], [3, 6, 9]]
    table = ranking.pairwise(by_cluster(values), list("cab"), "domain", "margin")
    for row, difference in zip(table.itertuples(), (7, 5, -2), strict=True):
        ends = difference - 3.068, difference + 3.068
        assert (row.low, row.high) == pytest.approx(ends, abs=2e-3)
        assert (row.p < 0.05) == (abs(difference) > 3.068)


def test_of_two_contrasts_it_is_the_paired_t_interval():
    values = np.random.default_rng(0).normal(size=(12, 2))
    [row] = ranking.pairwise(by_cluster(values), list("ab"), "domain", "margin").to_dict("records")
    paired = statistics.t_interval(values[:, 0] - values[:, 1], "domains", "")
    assert (row["low"], row["high"]) == pytest.approx((paired.low, paired.high))
    assert row["p"] == pytest.approx(paired.p, rel=1e-4)


def test_what_all_contrasts_share_in_a_cluster_does_not_count():
    values = np.random.default_rng(1).normal(size=(6, 4))
    shifted = values + 100 * np.arange(6)[:, None]
    plain, moved = (
        ranking.pairwise(by_cluster(v, cluster="seed"), list("abcd"), "seed", "margin")
        for v in (values, shifted)
    )
    pd.testing.assert_frame_equal(plain, moved)


def test_all_intervals_hold_in_95_percent_of_experiments(monkeypatch):
    monkeypatch.setattr(ranking.studentized_range, "sf", lambda q, *_: q)  # p takes its time
    generator = np.random.default_rng(2)
    truth = np.array([0.0, 0.1, 0.1, 0.4])
    pairs = [truth[i] - truth[j] for i, j in itertools.combinations(range(4), 2)]
    held = []
    for _ in range(500):
        values = truth + generator.normal(0, 0.5, (8, 1)) + generator.normal(0, 0.3, (8, 4))
        table = ranking.pairwise(by_cluster(values), list("abcd"), "domain", "margin")
        held.append(((table["low"] <= pairs) & (pairs <= table["high"])).all())
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)  # its standard error is .01


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [
        ([[1, 2], [2, 4]], "a", "at least 2 contrasts, here is 1"),
        ([[1, 2]], "ab", "over domains need at least 2 of them, here is 1"),
        ([[1, 2], [2, 3], [3, 4]], "ab", "need spread, here all 3 are alike"),
        ([[1, 2], [2, np.nan]], "ab", "contrast 'b' has no mean of domain domain 1"),
    ],
)
def test_what_gives_no_intervals(values, names, message):
    with pytest.raises(InputError, match=message):
        ranking.pairwise(by_cluster(values), list(names), "domain", "margin")


# The contrasts of a run that have one role


@pytest.fixture(scope="module")
def explained(new_run, tmp_path_factory, value_pairs):
    """A run with a total of each of three kinds of explanation, and of two of them without
    demonstrations, and its report."""
    run = new_run(tmp_path_factory.mktemp("ranking") / "run", seeds=3, probes=value_pairs)
    stages = {"behavior": {"kind": "behavior", "file": None, "demonstrations": 200}}
    run.contrasts = {}
    for kind, effect in (("because", 0.05), ("story", 0.3), ("rule", 0.06)):
        for value, sign in (("america", 1), ("affordability", -1)):
            spec = f"cheese/spec_{value}.md"
            stage = {"kind": "rationale", "file": None, "documents": 240, "explanations": [kind]}
            stages[f"{kind}_{value}"] = stage | {"spec": spec, "other_spec": None}
            run.arms[f"{kind}_{value}"] = [f"{kind}_{value}", "behavior"]
            run.effects[f"{kind}_{value}"] = sign * effect
        run.contrasts[kind] = {f"{kind}_america": 1, f"{kind}_affordability": -1}
        if kind != "rule":
            for value, sign in (("america", 1), ("affordability", -1)):
                run.arms[f"{kind}_{value}_alone"] = [f"{kind}_{value}"]
                run.effects[f"{kind}_{value}_alone"] = sign * 2 * effect
            weights = {f"{kind}_america_alone": 1, f"{kind}_affordability_alone": -1}
            run.contrasts[f"{kind}_alone"] = weights
    run.arms = {arm: run.arms[arm] for arm in run.arms if arm not in ("america", "affordability")}
    run.primary, run.settings = "story", {"stages": stages}
    write_report(run.write())
    return run.workdir / "report"


def test_contrasts_of_one_role_are_ranked_in_the_report(explained):
    table = pd.read_csv(explained / "ranking.csv")
    alone = table[table["role"] == "total, documents alone"]
    assert alone[["a", "b"]].to_numpy().tolist() == [["story_alone", "because_alone"]]
    table = table[table["role"] == "total"]
    assert table["a"].tolist()[:2] == ["story", "story"]
    contrasts = pd.read_csv(explained / "contrasts.csv").set_index("name")
    for row in table.to_dict("records"):
        for measure in statistics.MEASURES:
            difference = contrasts.loc[row["a"], measure] - contrasts.loc[row["b"], measure]
            assert row[measure] == pytest.approx(difference, abs=2e-6)
            assert row[f"{measure}_domains_low"] < difference < row[f"{measure}_domains_high"]
            assert row[f"{measure}_seeds_low"] < difference < row[f"{measure}_seeds_high"]
    assert (table["margin_domains_p"] < 0.05).tolist() == [True, True, False]


def test_the_page_says_how_many_pairs_differ(explained):
    page = (explained / "index.html").read_text(encoding="utf-8")
    assert "Total: of 3 pairs differ in margin 2 over domains, 2 over seeds." in page
    assert "story - because" in page


def test_where_each_role_has_one_contrast_there_is_no_ranking(run, value_pairs):
    run.probes = value_pairs
    write_report(run.write())
    assert not (run.workdir / "report/ranking.csv").exists()
    assert "against each other" not in (run.workdir / "report/index.html").read_text()


def test_one_seed_is_ranked_over_domains_alone(run, value_pairs):
    run.seeds, run.probes = 1, value_pairs
    run.arms["third"], run.effects["third"] = ["affordability", "behavior"], 0.0
    run.contrasts["again"] = {"america": 1, "third": -1}
    write_report(run.write())
    [row] = pd.read_csv(run.workdir / "report/ranking.csv").to_dict("records")
    assert (row["a"], row["b"]) == ("total", "again")
    assert np.isnan(row["margin_seeds_low"]) and row["margin_domains_low"] > 0
