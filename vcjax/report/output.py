"""How a report is written: a page from a template, tables as CSV, all files whole or not at all."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from etils import epath

from vcjax.report import formatting
from vcjax.workdir import files

# What reports are made of: the endings of files by the folder in a report; "" is the report itself.
_MADE = ("*.csv", "*.svg", "transcripts/*.html", "transcripts/*/*.html")


def page(template: str, variables: Mapping[str, Any]) -> str:
    """A template of this folder, filled; whatever is not Markup is escaped."""
    return _environment().get_template(template).render(variables)


def macros(template: str) -> Any:
    """The macros of a template as functions that return Markup; they escape as pages do."""
    return _environment().get_template(template).module


@functools.cache  # templates are compiled once, however many pages there are
def _environment() -> jinja2.Environment:
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
        "number_of": formatting.number_of,
        "p_value": formatting.p_value,
    }
    return environment


def csv(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """File name -> text of the tables that have rows."""
    return {
        f"{name}.csv": table.to_csv(index=False, float_format="%.6f", lineterminator="\n")
        for name, table in tables.items()
        if len(table)
    }


def write(folder: epath.Path, index: str, contents: Mapping[str, str]) -> None:
    """Writes index.html and the files beside and below it; removes those of earlier settings.

    contents: by the file's path in the folder. Only tables, figures and pages of transcripts are
    removed; a folder may hold other files.
    """
    for name, text in contents.items():
        files.write_text(folder / name, text)
    files.write_text(folder / "index.html", index)
    for path in [made for pattern in _MADE for made in folder.glob(pattern)]:
        if path.relative_to(folder).as_posix() not in contents:
            path.unlink()
