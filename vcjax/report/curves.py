"""The curves of a config: its contrasts against a number in which their arms differ, and the
premise of each level.

`tables` are those of `report.tables.make_tables`; `config` is the run's, as JSON, with contrasts in
the order of its report.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import pandas as pd

from vcjax import config as configs
from vcjax.report import design, statistics
from vcjax.report.premise import holds, of_arms, shares
from vcjax.report.tables import GROUP, headline, in_group

_EVERY = ""  # the series of a premise that all have


class Curve(NamedTuple):
    """name: of the number, x. effects: the rows of `tables.estimates` on held-out pairs, by series
    and x, with the columns name (the series), contrast (its name), x and fails (whether the premise
    does that is shown for this level).

    before: what `premise.shares` returns of the arms before those of each contrast, with the
    columns series, x and fails (whether the premise does in any of these arms). after: the same of
    the contrast's own arms, after their training, of each group of people the arm in which it is
    least. premise: which of both is shown, with `_EVERY` as series where all have the same. All
    three are empty where it was not measured."""

    name: str
    effects: pd.DataFrame
    before: pd.DataFrame
    after: pd.DataFrame
    premise: pd.DataFrame


def read(tables: dict[str, pd.DataFrame], config: dict) -> list[Curve]:
    """The config's curves; none where no held-out pair was scored."""
    if "contrasts" not in tables:
        return []
    contrasts = tables["contrasts"]
    rows = contrasts[in_group(contrasts, headline(config))].drop(columns=GROUP).set_index("name")
    if rows.empty:
        return []
    return [
        _curve(name, curve["series"], rows, tables, config)
        for name, curve in config.get("curves", {}).items()
    ]


def _curve(
    name: str,
    series: dict[str, dict[str, float]],
    rows: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    config: dict,
) -> Curve:
    """rows: the contrasts on held-out pairs, by name."""
    place = {contrast: i for i, contrast in enumerate(config["contrasts"])}
    levels = [
        (of, contrast, x)
        for of in sorted(series, key=lambda of: min(place[contrast] for contrast in series[of]))
        for contrast, x in sorted(series[of].items(), key=lambda level: level[1])
    ]
    before = _of_levels(levels, lambda contrast: shares(tables, {**config, "primary": contrast}))
    after = _least(
        _of_levels(levels, lambda contrast: of_arms(tables, config["contrasts"][contrast]))
    )
    if before["name"].nunique() > 1:
        shown = before
    else:  # of the one arm that all levels go on from, the report says it above
        shown = after.assign(people=[f"after training, {whose}" for whose in after["people"]])
    failing = {(row["series"], row["x"]) for row in shown.to_dict("records") if row["fails"]}
    effects = [
        {
            **rows.loc[contrast],
            "name": of,
            "contrast": contrast,
            "x": x,
            "fails": (of, x) in failing,
        }
        for of, contrast, x in levels
    ]
    return Curve(name, pd.DataFrame(effects), before, after, _once(shown))


def _of_levels(
    levels: Sequence[tuple[str, str, float]], premise_of: Callable[[str], pd.DataFrame]
) -> pd.DataFrame:
    """The premise of all levels (series, contrast, x); premise_of: contrast -> rows of arms."""
    parts = []
    for of, contrast, x in levels:
        people = premise_of(contrast)
        parts.append(people.assign(series=of, x=x, fails=len(people) > 0 and not holds(people)))
    return pd.concat(parts, ignore_index=True)


def _least(people: pd.DataFrame) -> pd.DataFrame:
    """Of each level and group of people the arm in which the premise is least, by what `holds` goes
    by: the low end of its interval."""
    low = people["rate_domains_low"].fillna(people["rate"])
    lowest_first = people.loc[low.sort_values(kind="stable").index]
    return lowest_first.drop_duplicates(["series", "x", "points_to"]).sort_index()


def _once(people: pd.DataFrame) -> pd.DataFrame:
    """The premise once where all series have the same."""
    once = people.drop_duplicates(["name", "people", "x"])
    if len(once) * people["series"].nunique() == len(people):
        return once.assign(series=_EVERY)
    return people


def table(curves: list[Curve]) -> pd.DataFrame:
    """One row a level of a series: columns curve, series, x, contrast, weights, margin and rate
    with their intervals; and where the premise was measured, p being premise_before and
    premise_after: for each group of people p_GROUP (share of their choices, in the arm in which it
    is least) and the ends of its interval over people, and p_fails.
    """
    rows = []
    for curve in curves:
        premises = {"premise_before": _least(curve.before), "premise_after": curve.after}
        for effect in curve.effects.to_dict("records"):
            row = {"curve": curve.name, "series": effect["name"]}
            row |= {key: effect[key] for key in ("x", "contrast", "weights")}
            row |= {key: number for key, number in effect.items() if _is_number_of(key)}
            for name, people in premises.items():
                of_level = (people["series"] == effect["name"]) & (people["x"] == effect["x"])
                row |= _premise_columns(name, people[of_level])
            rows.append(row)
    return pd.DataFrame(rows)


def _is_number_of(column: str) -> bool:
    """Whether it is an estimate or an end of its interval."""
    return column.startswith(statistics.MEASURES) and not column.endswith("_p")


def _premise_columns(name: str, people: pd.DataFrame) -> dict[str, float | bool]:
    """people: of one level, a row a group of them."""
    columns: dict[str, float | bool] = {}
    for row in people.to_dict("records"):
        of = f"{name}_{row['points_to']}"
        columns[of] = row["rate"]
        columns |= {f"{of}_{end}": row[f"rate_domains_{end}"] for end in ("low", "high")}
    if len(people):
        columns[f"{name}_fails"] = bool(people["fails"].any())
    return columns


def without(config: dict) -> dict:
    """The config without what its curves alone are about: arms and contrasts for a report to show
    one by one.

    That is without contrasts of a curve, unless they compare arms of the primary one, and without
    arms that nothing but such contrasts compare or go on from.
    """
    contrasts, asked = config["contrasts"], {*configs.primary_contrast(config)}
    of_curves = {
        contrast
        for curve in config.get("curves", {}).values()
        for levels in curve["series"].values()
        for contrast in levels
        if not {*contrasts[contrast]} <= asked
    }
    others = contrasts.keys() - of_curves
    left_out = _arms_of(of_curves, config) - _arms_of(others, config)
    return config | {
        "arms": {arm: s for arm, s in config["arms"].items() if arm not in left_out},
        "contrasts": {name: w for name, w in contrasts.items() if name in others},
    }


def _arms_of(contrasts: Collection[str], config: dict) -> set[str]:
    """The arms that contrasts compare, and those before them."""
    arms = {arm for contrast in contrasts for arm in config["contrasts"][contrast]}
    before = (design.before(arm, config) for arm in arms)
    return arms | {arm for arm in before if arm is not None}


def rows_of(tables: dict[str, pd.DataFrame], config: dict) -> dict[str, pd.DataFrame]:
    """The tables with the rows of a config's arms and contrasts; those by cluster stay whole."""
    named = {"arms": ("name", "arms"), "contrasts": ("name", "contrasts")}
    named |= {"positions": ("arm", "arms"), "perplexity": ("arm", "arms"), "card": ("arm", "arms")}
    return tables | {
        name: tables[name][tables[name][column].isin([*config[key]])]
        for name, (column, key) in named.items()
        if len(tables.get(name, ()))
    }
