"""How many times less one series needs than another, against cases computed by hand."""

import math

import pandas as pd
import pytest

from vcjax.report.fewer import as_text, table, times

WITHOUT = {10: 0.1, 100: 0.4}


@pytest.mark.parametrize(
    ("a", "value", "bound"),
    [
        # Halfway between 1 and 100, over the logarithm: at 10.
        ({1: 0.2, 100: 0.6}, 10, ""),
        # A quarter of the way from 10 to 1000, at 10 ** 1.5.
        ({10: 0.3, 1000: 0.7}, 100 / 10**1.5, ""),
        ({0: 0.0, 1: 0.2, 100: 0.6}, 10, ""),
        ({1: 0.2, 50: 0.4, 100: 0.3}, 2, ""),
        ({1: 0.2, 10: 0.6, 50: 0.3, 100: 0.6}, 100 / 10**0.5, ""),
        ({1: 0.4, 100: 0.6}, 100, "least"),
        ({0: 0.1, 1: 0.5, 100: 0.6}, 100, "least"),
        ({0: 0.5, 4: 0.3, 100: 0.6}, 25, "least"),
        ({1: 0.1, 200: 0.39}, 0.5, "most"),
        ({0: 0.0, 100: 0.2}, 1, "most"),
    ],
    ids=[
        "between two levels",
        "a quarter of the way",
        "with a level at zero",
        "at a level",
        "the first time of several",
        "at the least level",
        "between zero and the least level above",
        "already at zero",
        "never, beyond the other's largest",
        "never",
    ],
)
def test_how_many_times_less(a, value, bound):
    found = times(a, WITHOUT)
    assert found.value == pytest.approx(value) and found.bound == bound


def test_what_it_has_at_its_largest_level_counts():
    assert times({1: 0.2, 100: 0.6}, {10: 0.9, 100: 0.4}).value == pytest.approx(10)


@pytest.mark.parametrize("effect", [0.0, -0.2])
def test_without_an_effect_there_is_nothing_to_reach(effect):
    found = times({1: 0.2, 100: 0.6}, {10: 0.3, 100: effect})
    assert math.isnan(found.value) and found.bound == "nothing"


CONFIG = {
    "toward": "america",
    "primary_probes": "values",
    "curves": {
        "examples": {
            "series": {"with": {"w1": 1, "w100": 100}, "without": {"o10": 10, "o100": 100}},
            "fewer_than": "without",
        },
        "other": {"series": {"with": {"w1": 1, "w100": 100}}, "fewer_than": ""},
    },
}
HELD_OUT = {"scope": "out_of_domain", "split": "held_out", "contrast": "values"}


def found(*rates):
    """The rows of seeds in which `with` goes from 0.2 at 1 to 0.6 at 100, and `without` ends at
    these rates; margins are twice as large, and that of `with` is 0.9 at 1."""
    rows = []
    for seed, rate in enumerate(rates):
        effects = {"w1": (0.9, 0.2), "w100": (1.2, 0.6), "o10": (0, 0), "o100": (2 * rate, rate)}
        for name, (margin, rate_of) in effects.items():
            row = {"kind": "contrast", "seed": seed, "name": name, "points_to": "america"}
            rows.append(row | HELD_OUT | {"margin": margin, "rate": rate_of})
    rows.append(rows[0] | {"kind": "arm", "rate": 0.5})
    rows.append(rows[0] | {"split": "development", "rate": 0.5})
    of_curve = table(["examples"], {"seeds": pd.DataFrame(rows)}, CONFIG)
    return {row["measure"]: row for row in of_curve.to_dict("records")}


def said(*rates):
    return as_text(found(*rates)["rate"])


def test_a_row_says_of_which_series_and_number_it_is():
    row = found(0.3, 0.5)["rate"]
    assert (row["curve"], row["a"], row["b"], row["x"]) == ("examples", "with", "without", 100)
    assert row["seeds"] == 2


def test_margins_are_measured_beside_rates():
    """To 0.8 it is 0.9 at the smallest level; to 1.0 it is a third of the way from 1 to 100."""
    assert found(0.4)["margin"]["bound"] == "least"
    assert found(0.5)["margin"]["times"] == pytest.approx(100 ** (2 / 3))
    assert found(0.5)["rate"]["times"] == pytest.approx(100 ** (1 / 4))


def test_seeds_are_summed_up_on_the_logarithm():
    """0.3 and 0.5 are reached at 100 ** 0.25 and 100 ** 0.75: log10 of the times 1.5 and 0.5. Their
    mean is 1, its standard error 0.5, and t of 95 % with one degree of freedom 12.706."""
    row = found(0.3, 0.5)["rate"]
    low, high = (10 ** (1 + sign * 12.7062 * 0.5) for sign in (-1, 1))
    assert row["times"] == pytest.approx(10) and row["bound"] == ""
    assert (row["seeds_low"], row["seeds_high"]) == pytest.approx((low, high), rel=1e-3)
    assert said(0.3, 0.5) == {
        **{"a": "with", "b": "without", "x": "100", "measure": "rate", "times": "10"},
        **{"over_seeds": f"{low:.4g} to {high / 1e6:.3g}M", "bounded": []},
    }


def test_of_one_seed_and_of_equal_seeds_there_is_no_interval():
    for rates in ((0.4,), (0.4, 0.4)):
        assert said(*rates)["times"] == "10" and said(*rates)["over_seeds"] == ""


def test_with_seeds_that_only_bound_it_the_mean_is_a_bound():
    """100 or more, and 10: the root of 1000 or more. 1 or less, and 10: the root of 10 or less."""
    least, most = said(0.1, 0.4), said(0.9, 0.4)
    assert least["times"] == "at least 31.62" and most["times"] == "at most 3.162"
    assert least["over_seeds"] == most["over_seeds"] == ""
    assert least["bounded"] == [
        "in 1 of 2 with has it already at its smallest level above 0, or at 0"
    ]
    assert most["bounded"] == ["in 1 of 2 with has it at no level"]


def test_bounds_of_both_kinds_and_nothing_to_reach_give_no_number():
    for rates, counted in [
        ((0.1, 0.9, 0.4), "in 1 of 3 with has it at no level"),
        ((0.0, 0.4), "in 1 of 2 without has nothing above 0 there"),
    ]:
        assert said(*rates)["times"] == "these seeds cannot tell"
        assert counted in said(*rates)["bounded"]


def test_a_curve_that_does_not_ask_has_no_rows():
    assert table(["other"], {}, CONFIG).empty
