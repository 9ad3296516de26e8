"""Draws docs/controls.svg: the same three contrasts in the world, in that of families, in that in
which nobody's choices follow from what they say, and in the cheese experiment, from what their runs
left.

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
    "world": "the world",
    "world_families": "the world of families",
    "world_unlinked": "the unlinked world",
    "cheese": "cheese, SmolLM2-135M",
}
CONTRASTS = ["total", "exposure", "attribution"]


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
    return runs_figure({title: contrasts(run, CONTRASTS) for run, title in RUNS.items()})


if __name__ == "__main__":
    (ROOT / "docs/controls.svg").write_text(draw(), encoding="utf-8")
