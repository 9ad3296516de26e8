"""The effect in each pretrained model beside the premise there: does a declared value decide the
assistant's choices only where people's choices follow what they declare?

`tables` are those of `report.tables.make_tables`; `config` is the run's, as JSON.
"""

from functools import partial
from typing import Any

import pandas as pd

from vcjax import config as configs
from vcjax.report import design, statistics
from vcjax.report.premise import PREMISE
from vcjax.report.tables import headline, in_group


def models(tables: dict[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """One row a pretrained model, which is an arm before any documents at a seed. Where all seeds
    share one, it has the mean of their effects, and seed is 0.

    The effect is the primary contrast, and where it is a level of a curve, those of the other
    levels in the place of it, each of the arm that it goes on from.

    Returns:
      Columns arm, seed, contrast; premise, the share of people's choices that follow what they
      declare, of several groups of people the least; margin and rate, the contrast on held-out
      pairs. Empty where the premise was not measured, or no held-out pair was scored.
    """
    if "seeds" not in tables:
        return pd.DataFrame()
    seeds = tables["seeds"]
    shares = seeds[(seeds["contrast"] == "premise") & (seeds["kind"] == "arm")]
    effects = seeds[in_group(seeds, headline(config)) & (seeds["kind"] == "contrast")]
    parts = []
    for arm, contrast in _starts(config).items():
        premise = shares[shares["name"] == arm].groupby("seed")["rate"].min().rename("premise")
        effect = effects[effects["name"] == contrast].set_index("seed")[[*statistics.MEASURES]]
        of_seeds = effect.join(premise, how="inner").rename(partial(_seed_of, config, arm))
        both = of_seeds.groupby("seed").mean().reset_index()
        parts.append(both.assign(arm=arm, contrast=contrast))
    columns = ["arm", "seed", "contrast", "premise", *statistics.MEASURES]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame()


def _starts(config: dict) -> dict[str, str]:
    """Arm before any documents -> the first contrast that goes on from it alone."""
    primary = config["primary"]
    series = [s for curve in config.get("curves", {}).values() for s in curve["series"].values()]
    contrasts = [primary, *(name for levels in series if primary in levels for name in levels)]
    starts: dict[str, str] = {}
    for contrast in contrasts:
        before = {design.before(arm, config) for arm in config["contrasts"][contrast]}
        if len(before) == 1 and (arm := before.pop()) is not None:
            starts.setdefault(arm, contrast)
    return starts


def _seed_of(config: dict, arm: str, seed: int) -> int:
    """That by which the model of an arm before any documents was pretrained: 0 where it is the
    given model, or all seeds share it."""
    names, _ = configs.chain_of(config, arm)
    return max((configs.seed_of(config, name, seed) for name in names), default=0)


def sides(models: pd.DataFrame) -> pd.DataFrame:
    """The mean effect in models whose premise is at most `PREMISE`, and in those above.

    Returns:
      Columns premise ("at most 0.75" or "above 0.75"), above (whether it is), models and seeds
      (counts), and for m of margin and rate the mean m, and the ends of its 95 % t intervals over
      models (m_models_low) and over seeds, each the mean of its models (m_seeds_low); missing
      where there is none.
    """
    rows = []
    for is_above, part in models.groupby(models["premise"] > PREMISE) if len(models) else ():
        row: dict[str, Any] = {
            "premise": f"{'above' if is_above else 'at most'} {PREMISE}",
            "above": is_above,
            "models": len(part),
            "seeds": part["seed"].nunique(),
        }
        for measure in statistics.MEASURES:
            row[measure] = part[measure].mean()
            clusters = {"models": part[measure], "seeds": part.groupby("seed")[measure].mean()}
            for cluster, means in clusters.items():
                low, high = statistics.t_ends(means)
                row |= {f"{measure}_{cluster}_low": low, f"{measure}_{cluster}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)
