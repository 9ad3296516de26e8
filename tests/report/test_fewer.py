"""How many times less one series needs than another, against cases computed by hand."""

import math

import pandas as pd
import pytest

from vcjax.report.fewer import sentence, times

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


def test_it_is_the_rate_at_the_largest_level_that_counts():
    assert times({1: 0.2, 100: 0.6}, {10: 0.9, 100: 0.4}).value == pytest.approx(10)


@pytest.mark.parametrize("rate", [0.0, -0.2])
def test_without_a_rate_there_is_nothing_to_reach(rate):
    found = times({1: 0.2, 100: 0.6}, {10: 0.3, 100: rate})
    assert math.isnan(found.value) and found.bound == "nothing"


CURVE = {
    "series": {"with": {"w1": 1, "w100": 100}, "without": {"o10": 10, "o100": 100}},
    "fewer": ["with", "without"],
}


def said(*rates):
    """Of seeds in which `with` goes from 0.2 at 1 to 0.6 at 100, and `without` ends at these."""
    rows = [
        {"kind": "contrast", "seed": seed, "name": name, "rate": value}
        for seed, rate in enumerate(rates)
        for name, value in {"w1": 0.2, "w100": 0.6, "o10": 0.0, "o100": rate}.items()
    ]
    rows.append({"kind": "arm", "seed": 0, "name": "w1", "rate": 0.5})
    return sentence("demonstrations", CURVE, pd.DataFrame(rows))


BEGIN = "To reach the rate that without has at demonstrations = 100, with needs "


def test_seeds_are_summed_up_on_the_logarithm():
    """0.3 and 0.5 are reached at 100 ** 0.25 and 100 ** 0.75: log10 of the times 1.5 and 0.5. Their
    mean is 1, its standard error 0.5, and t of 95 % with one degree of freedom 12.706."""
    low, high = (10 ** (1 + sign * 12.7062 * 0.5) for sign in (-1, 1))
    assert said(0.3, 0.5) == (
        f"{BEGIN}10 times less [{low:.4g} to {high / 1e6:.3g}M] (geometric mean of 2 seeds; in "
        "brackets the 95% t interval over seeds)."
    )


def test_of_one_seed_and_of_equal_seeds_there_is_no_interval():
    assert said(0.4) == f"{BEGIN}10 times less (one seed)."
    assert said(0.4, 0.4) == f"{BEGIN}10 times less (geometric mean of 2 seeds)."


def test_with_seeds_that_only_bound_it_the_mean_is_a_bound():
    """100 or more, and 10: the root of 1000 or more. 1 or less, and 10: the root of 10 or less."""
    assert said(0.1, 0.4) == (
        f"{BEGIN}at least 31.62 times less (geometric mean of 2 seeds, some of them bounds). In 1 "
        "of 2 seeds with has that rate already at its smallest level above 0, or at 0."
    )
    assert said(0.9, 0.4) == (
        f"{BEGIN}at most 3.162 times less (geometric mean of 2 seeds, some of them bounds). In 1 "
        "of 2 seeds with does not reach it at any level."
    )


def test_bounds_of_both_kinds_and_nothing_to_reach_give_no_number():
    for rates, counted in [
        ((0.1, 0.9, 0.4), "In 1 of 3 seeds with does not reach it at any level."),
        ((0.0, 0.4), "In 1 of 2 seeds without has no rate above 0 there."),
    ]:
        assert said(*rates).startswith(f"{BEGIN}a number of times less that these seeds cannot")
        assert counted in said(*rates)


def test_a_curve_that_does_not_ask_is_told_nothing():
    assert sentence("x", CURVE | {"fewer": []}, pd.DataFrame()) == ""
