"""The curves of a config: its contrasts against a number in which their arms differ, and the
premise of each level.

`tables` are those of `report.tables.make_tables`; `config` is the run's, as JSON, with contrasts in
the order of its report.
"""

from collections.abc import Collection
from typing import NamedTuple

import pandas as pd

from vcjax.report import design, statistics
from vcjax.report.premise import holds, of_arms, premise, shares
from vcjax.report.tables import GROUP, headline, in_group

_EVERY = ""  # the series of a premise that all have


class Curve(NamedTuple):
    """name: of the number, x. effects: the rows of `tables.estimates` on held-out pairs, by series
    and x, with the columns name (the series), contrast (its name), x and fails (whether the level's
    premise fails). people: what `premise.shares` returns of the arms before those of each contrast,
    with the columns series (or `_EVERY`), x and fails; empty where it was not measured. after: the
    same, after their training, of the arm of each contrast in which it is least."""

    name: str
    effects: pd.DataFrame
    people: pd.DataFrame
    after: pd.DataFrame


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
    effects, people, after = [], [], []
    for of in sorted(series, key=lambda of: min(place[contrast] for contrast in series[of])):
        for contrast, x in sorted(series[of].items(), key=lambda level: level[1]):
            as_question = {**config, "primary": contrast}
            presupposed = premise(tables, as_question)
            fails = presupposed is not None and not presupposed["holds"]
            level = {"name": of, "contrast": contrast, "x": x, "fails": fails}
            effects.append({**rows.loc[contrast], **level})
            people.append(shares(tables, as_question).assign(series=of, x=x, fails=fails))
            least = _least(of_arms(tables, config["contrasts"][contrast]))
            after.append(least.assign(series=of, x=x, fails=len(least) > 0 and not holds(least)))
    merged = _merged(pd.concat(people, ignore_index=True))
    return Curve(name, pd.DataFrame(effects), merged, pd.concat(after, ignore_index=True))


def _least(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each group of people the arm with the least share."""
    if rows.empty:
        return rows
    least = rows.sort_values("rate", kind="stable").drop_duplicates("points_to")
    return least.sort_values("points_to")


def _merged(people: pd.DataFrame) -> pd.DataFrame:
    """The premise once where all series have the same."""
    if people.empty:
        return people
    once = people.drop_duplicates(["name", "people", "x"])
    if len(once) * people["series"].nunique() == len(people):
        return once.assign(series=_EVERY)
    return people


def shown_premise(curve: Curve) -> pd.DataFrame:
    """What a curve has below it: the premise of each level, or where all levels go on from one arm,
    whose premise the report has above, what is left of it after training."""
    if len(curve.people) and curve.people["name"].nunique() > 1:
        return curve.people
    if curve.after.empty:
        return curve.after
    return curve.after.assign(people="after training, " + curve.after["people"])


def table(curves: list[Curve]) -> pd.DataFrame:
    """One row a level of a series: columns curve, series, x, contrast, weights, margin and rate
    with their intervals, for each group of people whose premise was measured premise_GROUP (share
    of their choices, of several arms the least) and the ends of its interval over people, likewise
    after_GROUP, after training; fails.
    """
    rows = []
    for curve in curves:
        for effect in curve.effects.to_dict("records"):
            row = {"curve": curve.name, "series": effect["name"]}
            row |= {key: effect[key] for key in ("x", "contrast", "weights")}
            row |= {key: number for key, number in effect.items() if _is_number_of(key)}
            row |= _least_shares("premise", curve.people, effect)
            row |= _least_shares("after", curve.after, effect) | {"fails": effect["fails"]}
            rows.append(row)
    return pd.DataFrame(rows)


def _is_number_of(column: str) -> bool:
    """Whether it is an estimate or an end of its interval."""
    return column.startswith(statistics.MEASURES) and not column.endswith("_p")


def _least_shares(name: str, people: pd.DataFrame, level: dict) -> dict[str, float]:
    found: dict[str, float] = {}
    if people.empty:
        return found
    same = (people["x"] == level["x"]) & people["series"].isin([level["name"], _EVERY])
    for row in _least(people[same]).to_dict("records"):
        ends = {f"_{end}": row[f"rate_domains_{end}"] for end in ("low", "high")}
        found |= {
            f"{name}_{row['points_to']}{end}": x for end, x in {"": row["rate"], **ends}.items()
        }
    return found


def apart(config: dict) -> dict:
    """The config without what its curves alone are about: arms and contrasts for a report to show
    one by one.

    That is without contrasts of a curve, unless they compare arms of the primary one, and without
    arms that nothing but such contrasts compare or go on from.
    """
    contrasts, asked = config["contrasts"], {*config["contrasts"][config["primary"]]}
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
    named |= {"positions": ("arm", "arms"), "perplexity": ("arm", "arms")}
    return tables | {
        name: tables[name][tables[name][column].isin([*config[key]])]
        for name, (column, key) in named.items()
        if len(tables.get(name, ()))
    }
