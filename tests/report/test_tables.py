import math

import numpy as np
import pandas as pd
import pytest

from vcjax.report import reading, statistics, tables
from vcjax.report.card import control_of


@pytest.fixture(scope="module")
def read(new_run, tmp_path_factory):
    """(answers, config) of a run with every kind of probe."""
    workdir = new_run(tmp_path_factory.mktemp("tables") / "run").write()
    record = reading.read_ordered(workdir)
    config = record.config
    answers = reading.read_answers(workdir / "probes", record).choices
    return answers, config


@pytest.fixture(scope="module")
def summed(read):
    """(sums, config) of the same run."""
    answers, config = read
    return tables.weighted_sums(answers, config), config


def headline_of(table: pd.DataFrame, config: dict) -> pd.DataFrame:
    group = pd.Series(tables.headline(config))
    return table[(table[tables.GROUP] == group[tables.GROUP]).all(axis=1)]


def test_estimates_find_the_effects_that_were_put_in(summed):
    sums, config = summed
    arms = headline_of(tables.estimates(sums, config, "arm"), config).set_index("name")
    assert arms.index.tolist() == ["base", "behavior", "america", "affordability"]
    # The probes' own noise (SD .2 on 48) is shared, so differences are closer than levels.
    assert arms.loc["america", "margin"] == pytest.approx(0.2, abs=0.1)
    contrasts = headline_of(tables.estimates(sums, config, "contrast"), config).set_index("name")
    assert contrasts.loc["total", "margin"] == pytest.approx(0.4, abs=0.03)
    assert contrasts.loc["rationale", "margin"] == pytest.approx(0.15, abs=0.03)
    difference = arms.loc["america", "margin"] - arms.loc["affordability", "margin"]
    assert contrasts.loc["total", "margin"] == pytest.approx(difference)


def test_estimates_count_probes_once_whatever_the_seeds(summed):
    arms = headline_of(tables.estimates(*summed, "arm"), summed[1])
    assert set(arms["probes"]) == {48}
    assert set(arms["domains"]) == {12}
    assert set(arms["seeds"]) == {2}


def test_each_kind_of_probe_is_a_group_of_its_own(summed):
    groups = tables.estimates(*summed, "arm")[tables.GROUP].drop_duplicates()
    assert len(groups) == 6
    assert groups.iloc[0].to_dict() == tables.headline(summed[1])
    neutral = groups[groups["contrast"] == "neutral"]["points_to"]
    assert neutral.tolist() == ["affordability", "america"]


def test_one_domain_has_no_interval_over_domains(summed):
    arms = tables.estimates(*summed, "arm")
    cheese = arms[(arms["scope"] == "in_domain") & (arms["name"] == "america")].iloc[0]
    assert math.isnan(cheese["margin_domains_low"])
    assert cheese["over_domains"].startswith("none, an interval over domains needs at least 2")
    assert cheese["margin_seeds_low"] < cheese["margin"] < cheese["margin_seeds_high"]


def test_an_untrained_arm_has_no_interval_over_seeds(summed):
    arms = headline_of(tables.estimates(*summed, "arm"), summed[1]).set_index("name")
    assert math.isnan(arms.loc["base", "margin_seeds_low"])
    assert "all 2 are equal" in arms.loc["base", "over_seeds"]
    assert arms.loc["base", "margin_domains_low"] < arms.loc["base", "margin_domains_high"]


def test_intervals_of_rates_stay_within_what_a_rate_can_be(summed):
    for kind, least in (("arm", 0), ("contrast", -1)):
        table = tables.estimates(*summed, kind)
        assert table["rate_seeds_low"].min() == least
        assert table["rate_seeds_high"].max() == 1


def test_cluster_means_average_to_the_level(summed):
    sums, config = summed
    estimates = headline_of(tables.estimates(sums, config, "contrast"), config).set_index("name")
    for cluster in ("domain", "seed"):
        means = headline_of(tables.by_cluster(sums, cluster), config)
        total = means[means["name"] == "total"]
        assert total["margin"].mean() == pytest.approx(estimates.loc["total", "margin"])
        assert len(total) == {"domain": 12, "seed": 2}[cluster]


def test_positions_follow_the_order_of_the_arms(read):
    positions = headline_of(tables.positions(*read), read[1])
    assert positions["arm"].tolist() == ["base", "behavior", "america", "affordability"]
    assert (positions["chose_first"] > 0.5).all()  # .1 nats were added to the first option


def test_probe_files_are_counted_by_group(read):
    files = tables.probe_files(read[0])
    assert files["probes"].sum() == 48 + 30
    assert set(files["file_sha256"]) == {"ab" * 32}


def test_explicit_and_implicit_pairs_come_apart(run, value_pairs):
    """An effect that only the explicit pairs show."""
    run.probes = [pair for pair in value_pairs if pair["explicitness"] == "explicit"]
    workdir = run.write()
    explicit = reading.read_answers(workdir / "probes", reading.read_ordered(workdir)).choices
    run.probes = [pair for pair in value_pairs if pair["explicitness"] == "implicit"]
    run.effects = dict.fromkeys(run.effects, 0.0)
    workdir = run.write()
    record = reading.read_ordered(workdir)
    implicit = reading.read_answers(workdir / "probes", record).choices
    both = pd.concat([explicit, implicit])
    table = tables.explicitness(both, record.config).set_index(["explicitness", "name"])
    assert table.loc[("explicit", "total"), "margin"] == pytest.approx(0.4, abs=0.05)
    assert table.loc[("implicit", "total"), "margin"] == pytest.approx(0.0, abs=0.05)
    assert set(table["role"]) == {"exploratory"}
    assert set(table["probes"]) == {24}


def test_p_values_are_corrected_outside_the_primary_contrast(summed):
    raw = tables.estimates(*summed, "contrast")
    corrected = raw.copy()
    counts = tables.correct(corrected)
    columns = ["margin_domains_p", "rate_domains_p"]
    primary = raw["role"] == "primary"
    assert primary.sum() == 1
    pd.testing.assert_frame_equal(raw.loc[primary, columns], corrected.loc[primary, columns])
    family = raw.loc[~primary, columns].to_numpy().ravel()
    expected = statistics.holm(family)
    assert corrected.loc[~primary, columns].to_numpy().ravel() == pytest.approx(
        expected, nan_ok=True
    )
    assert counts["domains"] == np.count_nonzero(~np.isnan(family))


def test_perplexity_is_taken_at_the_mean_over_seeds_and_against_the_untouched_model(run):
    run.log_probs = {"base": -2.0, "behavior": -2.2, "america": -2.5, "affordability": -2.4}
    workdir = run.write()
    record = reading.read_ordered(workdir)
    texts = reading.read_answers(workdir / "probes", record).texts
    table = tables.perplexity(texts, record.config).set_index("arm")
    assert table.index.tolist() == ["base", "behavior", "america", "affordability"]
    assert table.loc["america", "perplexity"] == pytest.approx(math.exp(2.505))
    assert table.loc["america", "ratio"] == pytest.approx(math.exp(0.5))
    low, high = table.loc["america", ["seeds_low", "seeds_high"]]
    assert low < table.loc["america", "perplexity"] < high
    assert set(table["tokens"]) == {264}


def test_perplexity_after_a_pretraining_is_against_the_given_model():
    config = {
        "stages": {"people": {"kind": "pretrain"}, "own": {"kind": "rationale"}},
        "arms": {"given": [], "primed": ["people"], "own": ["people", "own"]},
        "system_prompts": {},
        "grafts": {},
    }
    of = dict(file="a.txt", file_sha256="0", tokens=9, scorer="mean")
    means = dict(given=-1.0, primed=-3.0, own=-2.5)
    texts = pd.DataFrame([of | dict(arm=arm, logprob=mean) for arm, mean in means.items()])
    ratio = tables.perplexity(texts, config).set_index("arm")["ratio"]
    assert ratio.to_dict() == pytest.approx(
        dict(given=1, primed=math.exp(2), own=math.exp(-0.5))  # of what documents start from
    )
    assert [control_of(arm, config) for arm in config["arms"]] == ["", "given", "primed"]
    alone = config | {"arms": {arm: config["arms"][arm] for arm in ("primed", "own")}}
    assert [control_of(arm, alone) for arm in alone["arms"]] == ["", "primed"]
    assert tables.perplexity(texts, alone).set_index("arm")["ratio"]["primed"] == 1


def test_flips_are_the_pairs_that_two_arms_answer_differently(read):
    answers, config = read
    flips = tables.flips(answers, config)
    assert (flips["plus_arm"] == "america").all() and (flips["minus_arm"] == "affordability").all()
    assert (flips["plus_margin"] * flips["minus_margin"] < 0).all()
    difference = (flips["plus_margin"] - flips["minus_margin"]).abs()
    assert difference.is_monotonic_decreasing
    of_pairs = headline_of(answers, config).groupby(["arm", "id"])["margin"].mean().unstack(0)
    flipped = of_pairs[(of_pairs["america"] > 0) != (of_pairs["affordability"] > 0)]
    assert set(flips["id"]) == set(flipped.index)
    row = flips.iloc[0]
    own = answers[(answers["arm"] == "america") & (answers["id"] == row["id"])]
    assert row["plus_logprob_0"] == pytest.approx(own["logprob_0"].mean())


def test_training_has_counts_and_losses_of_each_stage(run):
    workdir = run.write()
    record = reading.read_ordered(workdir)
    curves = reading.read_curves(workdir, record)
    training = tables.training(curves, record.plan)
    assert training["chain"].unique().tolist() == [
        *("behavior", "america", "america > behavior"),
        *("affordability", "affordability > behavior"),
    ]
    row = training[training["fingerprint"] == "america-1-0123456789ab"].iloc[0]
    assert (row["tokens"], row["updates"], row["warmup"], row["arms"]) == (33000, 60, 3, "america")
    assert row["loss_first"] - row["loss_last"] == pytest.approx(2.5)
    assert row["held_out_first"] == pytest.approx(2.4)
    assert (row["held_out_minimum"], row["minimum_step"]) == (pytest.approx(2.0), 40)


def test_a_stage_without_held_out_documents_has_no_held_out_loss(run):
    workdir = run.write()
    path = workdir / "stages/america-1-0123456789ab/metrics.jsonl"
    lines = [line for line in path.read_text().splitlines() if "held_out" not in line]
    path.write_text("\n".join(lines) + "\n")
    record = reading.read_ordered(workdir)
    training = tables.training(reading.read_curves(workdir, record), record.plan)
    rows = training.set_index("fingerprint")
    assert math.isnan(rows.loc["america-1-0123456789ab", "held_out_minimum"])
    assert rows["minimum_step"].dtype == "Int64"  # the others are still whole numbers


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({"a": 1, "b": -1}, "a - b"),
        ({"a": 0.5, "b": 0.5, "c": -1}, "0.5 a + 0.5 b - c"),
        ({"a": -1, "b": 1}, "b - a"),
        ({"a": -1}, "- a"),
    ],
)
def test_formula(weights, text):
    assert tables.formula(weights) == text
