"""Draws docs/controls.svg: the same three contrasts in the world, in its three controls, in the
cheese experiment, and in that after texts about people, from what their runs left.

    .venv/bin/python benchmarks/controls_figure.py
"""

from pathlib import Path

import pandas as pd
from etils import epath

from vcjax import record
from vcjax.report.figures import runs_figure
from vcjax.report.tables import headline, in_group

ROOT = Path(__file__).parents[1]
RUNS = {
    "world": "Own value decides",
    "world_families": "Family's value decides",
    "world_surroundings": "Values without choices",
    "world_unlinked": "No value decides",
    "cheese": "SmolLM2-135M, cheese",
    "primed": "The same, primed",
}
CONTRASTS = {
    "total": "about the assistant (total)",
    "exposure": "about another (exposure)",
    "attribution": "the difference (attribution)",
}


def contrasts(run: str, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """These contrasts of held-out pairs of two values, and those of each seed."""
    tables = [
        pd.read_csv(ROOT / "results" / run / f"report/{n}.csv") for n in ("contrasts", "seeds")
    ]
    group = headline(record.read(epath.Path(ROOT / "results" / run)).config)
    held_out = [t[in_group(t, group) & t["name"].isin(names)] for t in tables]
    in_order = held_out[0].set_index("name").loc[names].reset_index()
    return in_order, held_out[1]


def draw() -> str:
    of_runs = {}
    for run, title in RUNS.items():
        tables = contrasts(run, [*CONTRASTS])
        of_runs[title] = tuple(table.replace({"name": CONTRASTS}) for table in tables)
    return runs_figure(of_runs)


if __name__ == "__main__":
    (ROOT / "docs/controls.svg").write_text(draw(), encoding="utf-8")
