"""The chat templates in a model's folder, in and out, where `transformers` has them."""

import re
from pathlib import Path
from typing import Any

from etils import epath

from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError
from vcjax.workdir import files

FILE, FOLDER = "chat_template.jinja", "additional_chat_templates"


def read(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """Name -> template: of files of their own, else those in tokenizer_config.json (config).

    The one for all conversations is "default". {} where there is none.
    """
    named = {path.stem: _text(path) for path in sorted((folder / FOLDER).glob("*.jinja"))}
    where = f"{folder / FOLDER}: "
    if (folder / FILE).is_file():
        named["default"] = _text(folder / FILE)
    if not named:
        where = f"{folder / 'tokenizer_config.json'}: chat_template: "
        named = _in_config(where, config.get("chat_template"))
    if named and "default" not in named:
        raise InputError(
            f"{where}none is named 'default', only {', '.join(named)}; put the one to use into "
            f"{FILE}"
        )
    return named


def write(folder: epath.Path, tokenizer: Tokenizer) -> None:
    """Files of their own go before what a copied tokenizer_config.json has."""
    if tokenizer.chat_template:
        files.write_text(folder / FILE, tokenizer.chat_template)
    for name, template in tokenizer.named_templates.items():
        files.write_text(folder / FOLDER / f"{name}.jinja", template)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8; save it as UTF-8") from None


def _in_config(where: str, given: Any) -> dict[str, str]:
    """One template, or several: a list of {"name", "template"}, or an object of them by names."""
    if not given:
        return {}
    if isinstance(given, str):
        return {"default": given}
    if isinstance(given, list) and all(isinstance(entry, dict) for entry in given):
        given = {entry.get("name"): entry.get("template") for entry in given}
    if isinstance(given, dict):
        named = all(isinstance(value, str) for pair in given.items() for value in pair)
        if named and all(re.fullmatch(r"[\w.-]+", name) for name in given):
            return given
    raise InputError(f"{where}expected text, or texts by their names")
