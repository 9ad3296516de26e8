"""How a report is written: a page from a template, tables as CSV, all files whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from etils import epath

from vcjax.report import formatting
from vcjax.workdir import files


def page(template: str, variables: Mapping[str, Any]) -> str:
    """A template of this folder, filled; whatever is not Markup is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "signed": formatting.signed,
        "plain": formatting.plain,
        "interval": formatting.interval,
        "p_value": formatting.p_value,
    }
    return environment.get_template(template).render(variables)


def csv(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """File name -> text of the tables that have rows."""
    return {
        f"{name}.csv": table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        for name, table in tables.items()
        if len(table)
    }


def write(folder: epath.Path, index: str, contents: Mapping[str, str]) -> None:
    """Writes index.html and the files beside it; removes tables and figures of earlier settings."""
    for name, text in contents.items():
        files.write_text(folder / name, text)
    files.write_text(folder / "index.html", index)
    for path in folder.iterdir():
        if path.suffix in (".csv", ".svg") and path.name not in contents:
            path.unlink()
