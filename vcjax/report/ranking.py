"""Which of several contrasts of one run differ: all pairs, with simultaneous intervals.

`tables` are those of `report.tables.make_tables`; `config` is the run's, as JSON.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import studentized_range

from vcjax.errors import InputError
from vcjax.report import design, statistics
from vcjax.report.tables import formula, headline, in_group


def pairwise(means: pd.DataFrame, names: Sequence[str], cluster: str, measure: str) -> pd.DataFrame:
    """Simultaneous 95 % intervals of all differences between several contrasts of one run.

    The contrasts are measured on the same clusters, so these are the blocks of a randomized block
    design: the error is what is left of a contrast's mean in a cluster without the mean of the
    contrast and the mean of the cluster, with (contrasts - 1) (clusters - 1) degrees of freedom. In
    95 of 100 such experiments all intervals hold their true differences. That presupposes that
    all differences vary equally between clusters. Simulated with 8 contrasts and 12 clusters, it is
    93 of 100 where the contrasts' standard deviations go from 1 to 2, and 87 where one is three
    times the others': then the intervals of that one are too narrow, the others too wide.

    Source: Tukey 1953, "The Problem of Multiple Comparisons"; for blocks Kirk 2013, "Experimental
    Design", 4th ed., ch. 8. Of two contrasts it is the paired t interval.

    Args:
      means: rows of `tables.by_cluster` that belong to one group of probes.
      names: two or more contrasts of them, in the order in which differences are taken.
      cluster: "domain" or "seed". measure: "margin" (nats a token) or "rate".

    Returns:
      One row a pair of names, the first minus the second: columns low, high, p (two-sided, adjusted
      for all pairs).

    Raises:
      InputError: fewer than two contrasts or clusters, a contrast without a mean in some cluster,
        or differences that are the same in all clusters: without any spread the formula would claim
        certainty.
    """
    values = _by_contrast(means, names, cluster, measure)
    blocks, count = values.shape
    residual = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (blocks - 1) * (count - 1)
    error = np.sqrt((residual**2).sum() / freedom / blocks)
    if error < 1e-9:  # rates that are equal on paper may differ in the last bit
        raise InputError(f"intervals over {cluster}s need spread, here all {blocks} are alike")
    pairs = list(itertools.combinations(range(count), 2))
    difference = np.array([values[:, a].mean() - values[:, b].mean() for a, b in pairs])
    half = _critical(count, freedom) * error
    return pd.DataFrame(
        {
            "low": difference - half,
            "high": difference + half,
            "p": studentized_range.sf(abs(difference) / error, count, freedom),
        }
    )


def _by_contrast(
    means: pd.DataFrame, names: Sequence[str], cluster: str, measure: str
) -> np.ndarray:
    """One row a cluster, one column a contrast."""
    if len(names) < 2:
        raise InputError(f"a ranking needs at least 2 contrasts, here is {len(names)}")
    rows = means[(means["kind"] == "contrast") & means["name"].isin(names)]
    wide = rows.pivot(index=cluster, columns="name", values=measure).reindex(columns=list(names))
    missing = wide.isna().stack()
    if missing.any():
        where, name = missing.idxmax()
        raise InputError(f"contrast '{name}' has no mean of {cluster} {where}; others have")
    if len(wide) < 2:
        raise InputError(f"intervals over {cluster}s need at least 2 of them, here is {len(wide)}")
    return wide.to_numpy(float)


@functools.cache
def _critical(count: int, freedom: int) -> float:
    """The studentized range of so many means that is exceeded in 5 of 100 cases."""
    return float(studentized_range.ppf(statistics.CONFIDENCE, count, freedom))


def of_equal_roles(tables: dict[str, pd.DataFrame], config: dict) -> pd.DataFrame:
    """The contrasts of each role that several have (`design.role`), compared on held-out pairs:
    the totals of several kinds of explanation, for example; those of documents alone among
    themselves.

    Returns:
      One row a pair, the contrast of the greater margin first: columns role, a, b, name ("a - b"),
      and for each measure m of margin (nats a token) and rate: m (a minus b), m_domains_low,
      m_domains_high, m_domains_p, m_seeds_low, m_seeds_high, m_seeds_p, as of `pairwise`, missing
      where there are no intervals. Empty where no two contrasts have one role.
    """
    if "contrasts" not in tables:
        return pd.DataFrame()
    contrasts, *means = (
        tables[name][in_group(tables[name], headline(config))]
        for name in ("contrasts", "domains", "seeds")
    )
    contrasts = contrasts.sort_values("margin", ascending=False, kind="stable").set_index("name")
    parts = []
    for alone in (False, True):
        roles = {name: design.role(name, config, alone=alone) for name in contrasts.index}
        for role in design.ROLES:
            names = [name for name in contrasts.index if roles[name] == role]
            if len(names) > 1:
                title = f"{role}, documents alone" if alone else role
                parts.append(_pairs(contrasts.loc[names], *means).assign(role=title))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _pairs(contrasts: pd.DataFrame, domains: pd.DataFrame, seeds: pd.DataFrame) -> pd.DataFrame:
    """Every pair of these contrasts, as `of_equal_roles` describes it, without role."""
    pairs = list(itertools.combinations(contrasts.index, 2))
    table = pd.DataFrame(pairs, columns=["a", "b"])
    table["name"] = [formula({a: 1, b: -1}) for a, b in pairs]
    for measure in statistics.MEASURES:
        table[measure] = [contrasts.loc[a, measure] - contrasts.loc[b, measure] for a, b in pairs]
        for cluster, means in (("domain", domains), ("seed", seeds)):
            try:
                compared = pairwise(means, list(contrasts.index), cluster, measure)
            except InputError:
                compared = pd.DataFrame(
                    columns=["low", "high", "p"], index=table.index, dtype=float
                )
            for end in ("low", "high", "p"):
                table[f"{measure}_{cluster}s_{end}"] = compared[end]
    return table


def parts(table: pd.DataFrame) -> list[dict]:
    """What `of_equal_roles` returns, for a page: dicts of title and rows, one a role."""
    if table.empty:
        return []
    return [
        {"title": f"{role.capitalize()}: {_differing(rows)}", "rows": rows.to_dict("records")}
        for role, rows in table.groupby("role", sort=False)
    ]


def _differing(rows: pd.DataFrame) -> str:
    """How many pairs differ in margin, over domains and over seeds, as text."""
    p_values = {c: rows[f"margin_{c}_p"] for c in ("domains", "seeds")}
    counts = [
        f"{int((p < 1 - statistics.CONFIDENCE).sum())} over {clusters}"
        for clusters, p in p_values.items()
        if p.notna().any()
    ]
    if not counts:
        return f"{len(rows)} pairs, without intervals"
    return f"of {len(rows)} pairs differ in margin {', '.join(counts)}"
