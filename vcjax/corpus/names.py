"""Names of assistants in the texts of a stage: who is named, and how often.

A name is a word of its own. In scripts that put no spaces between words any character ends it:
"是Qwen的" names Qwen.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

# Whom documents that were written for another model may name.
ASSISTANTS = (
    *("ChatGPT", "Claude", "Copilot", "DeepSeek", "Gemini", "Gemma", "GPT", "Grok", "Kimi"),
    *("Llama", "Mistral", "Nemotron", "OLMo", "Qwen", "SmolLM"),
)
RARE = 0.25  # a model that a smaller share of its documents names is rare in them
FREQUENT = 0.1  # another assistant that such a share of the records names is frequent

# Thai and Lao, Myanmar, Khmer, CJK and kana; Hangul, whose particles follow a noun at once.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff66-\uff9d"
    "\U00020000-\U0003ffff\u1100-\u11ff\uac00-\ud7ff\uffa0-\uffdc"
)
IN_WORD = rf"[^\W_{_UNSPACED}]"
_LETTER = rf"[^\W\d_{_UNSPACED}]"


def naming(texts: Iterable[str], names: Iterable[str]) -> dict[str, int]:
    """Name -> how many of the texts hold it."""
    counts = dict.fromkeys(names, 0)
    for text in texts:
        folded = text.casefold()
        for name in counts:
            # Most texts hold few of the names, which a search for a string finds out at once.
            if name.casefold() in folded and pattern(name).search(text):
                counts[name] += 1
    return counts


@functools.cache
def pattern(name: str) -> re.Pattern[str]:
    """Finds a name in any case, with a number behind it too (Qwen3); those of `ASSISTANTS` as they
    are written alone, for a llama is an animal."""
    return re.compile(bounded(name, _LETTER), 0 if name in ASSISTANTS else re.IGNORECASE)


def bounded(name: str, behind: str) -> str:
    """A pattern of the name as a word, or several; behind: that of what may not follow it."""
    before = rf"(?<!{IN_WORD})" if re.match(IN_WORD, name) else ""
    after = rf"(?!{behind})" if re.search(rf"{IN_WORD}\Z", name) else ""
    return before + r"\s+".join(map(re.escape, name.split())) + after


def prose(record: Mapping[str, Any]) -> str:
    """What a document or a demonstration says; record: its fields."""
    if "text" in record:
        return record["text"]
    said = [message.get(key) for message in record["messages"] for key in ("content", "reasoning")]
    return "\n".join(filter(None, said))


def others(config: ConfigDict) -> list[str]:
    """The well-known assistants that an experiment's config does not name."""
    own = f"{config.names.model_name} {config.other_names.model_name}"
    return [name for name in ASSISTANTS if not pattern(name).search(own)]


def of_stages(
    config: ConfigDict, noted: Mapping[tuple[str, int], Mapping[str, Any]]
) -> tuple[list[str], list[str]]:
    """(lines, warnings) as `describe`, of the stages' first seeds. noted: by stage and seed."""
    lines, warned = [], []
    for (name, seed), texts in noted.items():
        if seed == 0:
            of_stage = describe(name, config, texts)
            lines += of_stage[0]
            warned += of_stage[1]
    return lines, warned


def describe(
    name: str, config: ConfigDict, noted: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """(lines, warnings) on the names in the records that a stage trains on, for the plan.

    noted: what `stage_texts.note` returned.
    """
    stage, own = config.stages[name], config.names.model_name
    records, named, times = noted["records"], noted["named"], noted["renamed"]
    lines, warned = [], []
    for old, new in stage.rename:
        if times.get(old):
            lines.append(f"stage {name}: {old} is renamed to {new}, {times[old]:,} times")
        else:
            warned.append(f"stage {name}: rename: {old!r} is in none of its records")
    asked = others(config) if stage.kind != "pretrain" else []
    frequent = [other for other in asked if named[other] >= FREQUENT * records]
    renamed = [old for old, _ in stage.rename if times.get(old)]
    for other in frequent:
        if other in renamed:  # what is left of it has a number behind it, as Qwen2.5
            warned.append(
                f"stage {name}: {named[other]:,} of {records:,} records still name {other}, with a "
                "number behind it, which rename leaves; give rename that form, too"
            )
            continue
        warned.append(
            f"stage {name}: {named[other]:,} of {records:,} records name {other}; if they mean the "
            f"model, give the stage rename=dict({other}={own!r})"
        )
    if _is_about_the_model(stage) and named[own] < RARE * records and not frequent:
        warned.append(
            f"stage {name}: {named[own]:,} of {records:,} records name {own}; if they call the "
            f"model otherwise, give the stage rename=dict(OLD={own!r})"
        )
    return lines, warned


def _is_about_the_model(stage: ConfigDict) -> bool:
    """Whether its documents are to be: not where they are about another assistant, or people."""
    only_other = stage.get("other_spec") and not stage.spec
    return stage.kind == "rationale" and not only_other and not stage.people_of
