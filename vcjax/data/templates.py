"""Chat templates that a config names; base models come with none."""

import re
from importlib import resources
from pathlib import Path

import jinja2

from vcjax.data import jinja, rendering
from vcjax.data.tokenizer import Tokenizer
from vcjax.errors import InputError, missing_of_config


def read_template(name_or_path: str) -> str:
    """The Jinja source of a packaged template (`llama3-study`, for example) or a .jinja file."""
    if name_or_path.endswith(".jinja"):
        try:
            return Path(name_or_path).read_text("utf-8-sig")
        except FileNotFoundError:
            problem = missing_of_config(Path(name_or_path))
            raise InputError(f"config.chat_template: {problem}") from None
        except OSError as error:
            raise InputError(
                f"config.chat_template: {name_or_path}: {error.strerror}; expected a readable file"
            ) from None
        except UnicodeDecodeError:
            raise InputError(
                f"config.chat_template: {name_or_path} is not UTF-8; save it as UTF-8"
            ) from None
    folder = resources.files("vcjax.data").joinpath("templates")
    named = {file.name.removesuffix(".jinja"): file for file in folder.iterdir()}
    if name_or_path not in named:
        raise InputError(
            f"config.chat_template: {name_or_path!r} is unknown; expected one of "
            f"{', '.join(sorted(named))}, or the path of a .jinja file"
        )
    return named[name_or_path].read_text("utf-8")


def check_template(template: str, tokenizer: Tokenizer) -> None:
    """Raises InputError if the template writes control tokens that the tokenizer does not have.

    Such a `<|...|>` would be encoded as plain text, a missing bos_token as nothing. Tokens that a
    template composes of pieces, or spells in another way (`[INST]`), are not checked.
    """
    try:
        written = {
            t for text in jinja.literals_of(template) for t in re.findall(r"<\|.*?\|>", text)
        }
        read = jinja.variables_of(template) & {"bos_token", "eos_token"}
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"config.chat_template: line {error.lineno}: {error.message}") from None
    absent = [*(written - set(tokenizer.control)), *(read - set(tokenizer.template_tokens))]
    if absent:
        raise InputError(
            f"config.chat_template: it writes {', '.join(sorted(absent))}, which the model's "
            "tokenizer does not have; use another template or model"
        )


def warnings(tokenizer: Tokenizer) -> list[str]:
    """In what `transformers` writes or cuts conversations otherwise than vcjax."""
    found = list(tokenizer.warnings)
    sources = [tokenizer.chat_template, *tokenizer.named_templates.values()]
    if any("strftime_now" in source for source in sources):
        found.append(
            f"the chat template asks for today's date: vcjax always says {jinja.DATE}, so that "
            "rows stay the same; `transformers` and servers say the day's"
        )
    form = rendering.form_for(tokenizer, tokenizer.chat_template, has_system=True)
    if form in rendering.FOLDS:
        found.append(
            "the chat template has no place for a system prompt: vcjax writes it and an empty line "
            "before the first question; `transformers` and servers refuse it or leave it out"
        )
    return found
