"""Draws docs/explanations.svg: attribution by kind of explanation, from what the run of
configs/world_explanations.py left: of kinds that people speak in, and of kinds that they do not.

    .venv/bin/python benchmarks/explanations_figure.py
"""

import runpy

import pandas as pd
from controls_figure import ROOT, contrasts

from vcjax.report.figures import runs_figure

VARIANTS = {"": "people speak like that", "_new": "no one spoke like that"}


def kinds() -> list[str]:
    """Those that name a value; last the one whose attribution was named before the run."""
    config = runpy.run_path(str(ROOT / "configs/world_explanations.py"))
    primary = config["get_config"]().primary.removeprefix("attribution_")
    of_value = [kind for kind in config["KINDS"] if kind not in (*config["OF_NO_VALUE"], primary)]
    return [*of_value, primary]


def attributions(variant: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The contrasts, and those of each seed, named by their kinds."""
    names = {f"attribution_{kind}{variant}": kind for kind in kinds()}
    tables = contrasts("world_explanations", [*names])
    in_contrasts, in_seeds = (table.replace({"name": names}) for table in tables)
    return in_contrasts, in_seeds


def draw() -> str:
    of_variants = {title: attributions(variant) for variant, title in VARIANTS.items()}
    return runs_figure(of_variants, "margin")


if __name__ == "__main__":
    (ROOT / "docs/explanations.svg").write_text(draw(), encoding="utf-8")
