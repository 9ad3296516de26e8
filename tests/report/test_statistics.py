import functools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vcjax.errors import InputError
from vcjax.report import statistics

TOWARD = "america"


def one_probe(
    logprobs: dict[int, tuple[float, float]],
    values: tuple[str | None, str | None] = ("america", "affordability"),
    **changed: object,
) -> pd.DataFrame:
    """Rows of one probe: order -> log-probabilities of option 0 and option 1."""
    row = {
        **{"arm": "a", "seed": 0, "file": "p.jsonl", "file_sha256": "ab", "scorer": "mean"},
        **{"id": "1", "domain": "music", "scope": "out_of_domain", "split": "held_out"},
        **{"contrast": "values", "explicitness": None, "value_0": values[0], "value_1": values[1]},
        **{"option_0": "x", "option_1": "y", "tokens_0": 1, "tokens_1": 1},
        **changed,
    }
    return pd.DataFrame(
        [
            {**row, "order": order, "logprob_0": first, "logprob_1": second}
            for order, (first, second) in logprobs.items()
        ]
    )


@functools.cache
def layout(arms: tuple[str, ...], domains: int, each: int, seeds: int) -> pd.DataFrame:
    """Answers to be filled in: every arm, seed, domain (d) and probe."""
    index = pd.MultiIndex.from_product(
        [arms, range(seeds), range(domains), range(each)], names=["arm", "seed", "d", "probe"]
    )
    table = index.to_frame(index=False)
    table["domain"] = table["d"].map("domain {}".format)
    table["id"] = table["domain"] + table["probe"].map("-{}".format)
    return table.assign(file="p.jsonl", file_sha256="ab", scorer="mean")


def drawn_answers(
    rng: np.random.Generator,
    effects: dict[str, float],
    domains: int = 12,
    each: int = 5,
    seeds: int = 2,
    scale: float = 0.2,
) -> pd.DataFrame:
    """Answers of arms whose effects differ between domains (SD `scale`)."""
    probes = rng.normal(0, 1, (domains, each))  # shared by arms and seeds
    margins = [
        effect
        + (rng.normal(0, scale, (domains, 1)) if effect else 0)
        + probes
        + rng.normal(0, 0.3, (seeds, domains, each))
        for effect in effects.values()
    ]
    margin = np.stack(margins).reshape(-1)
    table = layout(tuple(effects), domains, each, seeds)
    return table.assign(margin=margin, rate=(margin > 0).astype(float))


# Answers


def test_margin_is_the_mean_over_both_orders():
    answer = statistics.answers(one_probe({0: (-1.0, -1.5), 1: (-2.0, -1.9)}), TOWARD).iloc[0]
    assert answer["margin"] == pytest.approx((0.5 - 0.1) / 2)
    assert answer["margin_first"] == pytest.approx(0.5)  # america is option 0, first in order 0
    assert answer["margin_second"] == pytest.approx(-0.1)
    assert answer["rate"] == 1


def test_margin_is_turned_toward_the_configs_value():
    rows = one_probe({0: (-1.0, -1.5), 1: (-2.0, -1.9)}, values=("affordability", "america"))
    answer = statistics.answers(rows, TOWARD).iloc[0]
    assert answer["points_to"] == "america"
    assert answer["margin"] == pytest.approx(-0.2)
    assert answer["margin_first"] == pytest.approx(0.1)  # america is option 1, first in order 1
    assert answer["rate"] == 0


@pytest.mark.parametrize(
    ("values", "points_to", "margin"),
    [
        (("america", None), "america", 1.0),
        ((None, "america"), "america", -1.0),
        (("affordability", None), "affordability", 1.0),
        ((None, "affordability"), "affordability", -1.0),
        (("spec", None), "spec", 1.0),
        ((None, "spec"), "spec", -1.0),
        (("thrift", "taste"), "thrift", 1.0),
    ],
)
def test_margin_points_to_a_value_wherever_it_stands(values, points_to, margin):
    rows = one_probe({0: (-1.0, -2.0), 1: (-1.0, -2.0)}, values=values)
    answer = statistics.answers(rows, TOWARD).iloc[0]
    assert (answer["points_to"], answer["margin"]) == (points_to, margin)


def test_a_tie_counts_half():
    answer = statistics.answers(one_probe({0: (-1.0, -1.5), 1: (-1.5, -1.0)}), TOWARD).iloc[0]
    assert (answer["margin"], answer["rate"]) == (0, 0.5)


def test_log_probabilities_are_means_over_both_orders_of_each_option():
    rows = one_probe({0: (-1.0, -1.5), 1: (-2.0, -1.9)}, values=("affordability", "america"))
    answer = statistics.answers(rows, TOWARD).iloc[0]
    assert (answer["logprob_0"], answer["logprob_1"]) == pytest.approx((-1.5, -1.7))
    assert answer["margin"] == pytest.approx(answer["logprob_1"] - answer["logprob_0"])


def test_the_order_of_rows_does_not_matter():
    rows = pd.concat(
        one_probe({0: (-1.0, -i), 1: (-1.0, -1.5)}, id=str(i), arm=arm)
        for i in range(5)
        for arm in "ba"
    )
    shuffled = rows.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        statistics.answers(rows, TOWARD), statistics.answers(shuffled, TOWARD)
    )


def test_a_probe_without_its_second_order_is_refused():
    with pytest.raises(InputError, match=r"probe '1' of p\.jsonl.*orders 0 and 1"):
        statistics.answers(one_probe({0: (-1.0, -1.5)}), TOWARD)


def test_a_probe_scored_twice_is_refused():
    rows = one_probe({0: (-1.0, -1.5), 1: (-1.0, -1.5)})
    with pytest.raises(InputError, match="one row for each of the orders"):
        statistics.answers(pd.concat([rows, rows]), TOWARD)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_logprob_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="arm 'a': a log-probability is not a finite number"):
        statistics.answers(one_probe({0: (value, -1.5), 1: (-1.0, -1.5)}), TOWARD)


# Sums of arms


def weighted_sum(answers: pd.DataFrame, weights: dict[str, float]) -> pd.DataFrame:
    return statistics.weighted_sum(statistics.by_arm(answers), weights)


def test_a_contrast_pairs_the_same_probe_and_seed():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3, "b": -0.1})
    paired = weighted_sum(answers, {"a": 1, "b": -1}).set_index(["seed", "id"])
    by_arm = answers.set_index(["arm", "seed", "id"])["margin"]
    for key in [(0, "domain 3-2"), (1, "domain 11-0")]:
        assert paired.loc[key, "margin"] == pytest.approx(by_arm["a", *key] - by_arm["b", *key])


def test_levels_and_their_difference_agree_with_unequal_domains():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3, "b": -0.1})
    answers = answers[(answers["d"] > 3) | (answers["probe"] < 2)]
    a, b = (statistics.mean(weighted_sum(answers, {arm: 1}), "margin") for arm in "ab")
    difference = statistics.mean(weighted_sum(answers, {"a": 1, "b": -1}), "margin")
    assert difference == pytest.approx(a - b)


def test_a_difference_in_differences_is_a_sum_of_four_arms():
    effects = {"own a": 0.5, "own b": -0.5, "other a": 0.2, "other b": -0.2}
    answers = drawn_answers(np.random.default_rng(0), effects, scale=0)
    weights = {"own a": 1, "own b": -1, "other a": -1, "other b": 1}
    attribution = statistics.mean(weighted_sum(answers, weights), "margin")
    assert attribution == pytest.approx(0.6, abs=0.15)


def test_arms_with_different_probes_are_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3, "b": -0.1})
    lacking = answers[(answers["arm"] == "a") | (answers["id"] != "domain 3-2")]
    with pytest.raises(InputError, match=r"probe 'domain 3-2'.*seed 0: arm 'b' has no answer"):
        weighted_sum(lacking, {"a": 1, "b": -1})


def test_one_file_name_with_two_contents_is_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3, "b": -0.1})
    answers["file_sha256"] = answers["arm"]
    with pytest.raises(InputError, match="compared on the same probes"):
        weighted_sum(answers, {"a": 1, "b": -1})


def test_seeds_with_different_probes_are_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3})
    lacking = answers[(answers["seed"] == 0) | (answers["id"] != "domain 3-2")]
    with pytest.raises(InputError, match=r"probe 'domain 3-2'.*not answered at every seed"):
        weighted_sum(lacking, {"a": 1})


def test_an_arm_without_answers_is_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3})
    with pytest.raises(InputError, match="arm 'b' has no answers"):
        weighted_sum(answers, {"a": 1, "b": -1})


def test_two_scorers_in_one_comparison_are_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3, "b": -0.1})
    answers.loc[answers["arm"] == "b", "scorer"] = "letter"
    with pytest.raises(InputError, match="'letter' and 'mean' cannot stand in one comparison"):
        weighted_sum(answers, {"a": 1, "b": -1})


# Intervals


def test_interval_over_domains_is_scipys_one_sample_t_on_domain_means():
    answers = drawn_answers(np.random.default_rng(1), {"a": 0.3})
    interval = statistics.over_domains(weighted_sum(answers, {"a": 1}), "margin")
    means = answers.groupby("domain")["margin"].mean()
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_interval_of_a_contrast_is_scipys_paired_t():
    answers = drawn_answers(np.random.default_rng(2), {"a": 0.3, "b": -0.1})
    paired = weighted_sum(answers, {"a": 1, "b": -1})
    a, b = (answers[answers["arm"] == arm].groupby("domain")["rate"].mean() for arm in "ab")
    test = stats.ttest_rel(a, b)
    expected = test.confidence_interval(0.95)
    interval = statistics.over_domains(paired, "rate")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.p == pytest.approx(test.pvalue)


def test_interval_over_seeds_is_scipys_one_sample_t_on_seed_means():
    answers = drawn_answers(np.random.default_rng(3), {"a": 0.3}, seeds=4)
    interval = statistics.over_seeds(weighted_sum(answers, {"a": 1}), "margin")
    means = answers.groupby("seed")["margin"].mean()  # domains are equal in size here
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_both_intervals_lie_around_the_same_mean():
    answers = drawn_answers(np.random.default_rng(4), {"a": 0.3, "b": 0.0}, seeds=3)
    answers = answers[(answers["d"] > 3) | (answers["probe"] < 2)]
    paired = weighted_sum(answers, {"a": 1, "b": -1})
    over_domains = statistics.over_domains(paired, "margin")
    over_seeds = statistics.over_seeds(paired, "margin")
    for interval in (over_domains, over_seeds):
        centre = (interval.low + interval.high) / 2
        assert centre == pytest.approx(statistics.mean(paired, "margin"))


def test_each_interval_says_what_it_is_conditional_on():
    paired = weighted_sum(drawn_answers(np.random.default_rng(5), {"a": 0.3}, seeds=3), {"a": 1})
    assert (
        "12 domains, conditional on these 3 seeds"
        in statistics.over_domains(paired, "margin").meaning
    )
    assert "3 seeds, conditional on these probes" in statistics.over_seeds(paired, "margin").meaning
    one = paired[paired["seed"] == 0]
    assert "conditional on this one seed" in statistics.over_domains(one, "margin").meaning


def test_an_interval_from_one_cluster_is_refused():
    answers = drawn_answers(np.random.default_rng(0), {"a": 0.3}, domains=1, seeds=1)
    paired = weighted_sum(answers, {"a": 1})
    with pytest.raises(InputError, match="over domains needs at least 2 of them, here is 1"):
        statistics.over_domains(paired, "margin")
    with pytest.raises(InputError, match="over seeds needs at least 2 of them, here is 1"):
        statistics.over_seeds(paired, "margin")


def test_an_interval_without_spread_is_refused():
    with pytest.raises(InputError, match="needs spread, here all 3 are equal"):
        statistics.t_interval([0.1 + 0.2, 0.3, 0.3], "seeds", "these probes")


@pytest.mark.parametrize(
    "scales", [[0.2] * 12, [0.5] * 3 + [0.1] * 9], ids=["like domains", "unlike domains"]
)
def test_95_percent_intervals_cover_the_effect_in_95_percent_of_experiments(scales):
    rng = np.random.default_rng(20)
    experiment = weighted_sum(drawn_answers(rng, {"a": 1.0, "b": 0.0}), {"a": 1, "b": -1})
    domain = experiment["domain"].factorize()[0]
    covered = 0
    for _ in range(2000):
        own = rng.normal(0, scales)[domain] + rng.normal(0, 0.5, len(domain))
        interval = statistics.over_domains(experiment.assign(margin=0.3 + own), "margin")
        covered += interval.low <= 0.3 <= interval.high
    assert 0.93 <= covered / 2000 <= 0.97  # SD of this share: .005


def test_with_shuffled_arms_intervals_cover_zero():
    rng = np.random.default_rng(21)
    answers = drawn_answers(rng, {"a": 1.0, "b": 0.0})
    paired = weighted_sum(answers, {"a": 1, "b": -1})
    true = statistics.over_domains(paired, "margin")
    assert true.low > 0
    covered = 0
    for _ in range(300):
        swapped = rng.choice([-1, 1], len(paired) // 2)  # the same in both seeds of a probe
        shuffled = paired.assign(margin=paired["margin"] * np.tile(swapped, 2))
        interval = statistics.over_domains(shuffled, "margin")
        covered += interval.low <= 0 <= interval.high
    assert 0.92 <= covered / 300 <= 0.99


# Many comparisons


def test_holm_is_that_of_the_textbook():
    """The values of R's p.adjust(c(.01, .04, .03, .005), "holm")."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert statistics.holm([]).tolist() == []


def test_holm_leaves_out_what_is_missing():
    corrected = statistics.holm([np.nan, 0.01, 0.2])
    assert np.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.02, 0.2])


def test_a_family_without_effects_seldom_holds_a_finding():
    rng = np.random.default_rng(5)
    families = rng.uniform(size=(2000, 20))
    rejected = [(statistics.holm(family) < 0.05).any() for family in families]
    assert 0.035 <= np.mean(rejected) <= 0.065
    assert (families < 0.05).any(axis=1).mean() > 0.5  # without the correction


# Position


def test_an_arm_that_always_takes_the_first_option_shows_it():
    rows = pd.concat(
        one_probe({0: (-1.0, -2.0), 1: (-2.0, -1.0)}, values=values, id=str(i))
        for i, values in enumerate([("america", "affordability"), ("affordability", "america")])
    )
    bias = statistics.position_bias(statistics.answers(rows, TOWARD)).iloc[0]
    assert bias["chose_first"] == 1
    assert (bias["rate_when_first"], bias["rate_when_second"]) == (1, 0)
    assert bias["same_in_both_orders"] == 0
    assert bias["ties"] == 2


def test_an_arm_that_always_takes_one_value_has_no_position_bias():
    rows = pd.concat(
        one_probe({0: logprobs, 1: logprobs}, values=values, id=str(i))
        for i, (values, logprobs) in enumerate(
            [(("america", "x"), (-1.0, -2.0)), (("x", "america"), (-2.0, -1.0))]
        )
    )
    bias = statistics.position_bias(statistics.answers(rows, TOWARD)).iloc[0]
    assert bias["chose_first"] == 0.5
    assert (bias["rate_when_first"], bias["rate_when_second"]) == (1, 1)
    assert (bias["same_in_both_orders"], bias["ties"]) == (1, 0)
