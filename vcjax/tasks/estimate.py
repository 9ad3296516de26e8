"""What the evaluations of a config will ask, for its plan: prompts, tokens and a rough time."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from vcjax.errors import InputError
from vcjax.models.architecture import Architecture
from vcjax.tasks import conditions

TASK = "vcjax/agentic_misalignment"  # the one whose prompts are known here
ARGUMENTS = ("scenario", "goal", "grader")
CHARACTERS = 4.0  # of a token of these prompts: 3.2 to 4.4 as SmolLM2's tokenizer counts
# Of a prompt on average, in inspect_evals 0.26; for where that is not installed.
OF_A_PROMPT = {"blackmail": 10_060, "leaking": 13_090, "murder": 11_880, "exfiltration": 3_350}
VALUE_BYTES = {"bfloat16": 2, "float32": 4}
SLOTS = 8  # answers at once of a model, as vcjax.serve has them
INSTALL = "install Inspect: .venv/bin/python -m pip install --editable '.[inspect]'"

NOT_HERE = " (estimated without Inspect)"

Count = Callable[[str, str], int]  # (system, user) -> tokens of the prompt


@dataclasses.dataclass(frozen=True)
class Models:
    """Those that are asked."""

    number: int
    architecture: Architecture
    dtype: str  # of the weights and of the cache
    count: Count | None  # None: the tokenizer is not here


def describe(evaluations: Mapping[str, Any], models: Models) -> tuple[list[str], list[str]]:
    """(lines of the plan, warnings). evaluations: `config.evaluations`, resolved.

    Raises InputError for a task that vcjax does not have, or arguments that its task has not.
    """
    lines, warnings = [], []
    for name, evaluation in evaluations.items():
        if evaluation["task"] != TASK:
            if evaluation["task"].startswith("vcjax/"):
                raise InputError(
                    f"config.evaluations.{name}.task: there is no {evaluation['task']!r}; vcjax "
                    f"has {TASK}"
                )
            lines.append(
                f"evaluation {name}: {evaluation['epochs']:,} sample(s) of each prompt, "
                f"{models.number} models; how many prompts {evaluation['task']} has is "
                f"not known here"
            )
            continue
        asked = _asked(name, evaluation["args"])
        lines.append(f"evaluation {name}: {_answers(len(asked), evaluation, models)}")
        lengths, how = _lengths(asked, models.count)
        lines += [f"  {line}" for line in _size(name, lengths, how, evaluation, models)]
        if how == NOT_HERE:
            warnings.append(f"evaluation {name}: to count its prompts, {INSTALL}")
        longest, context = max(lengths), models.architecture.context_length
        if longest + evaluation["max_tokens"] > context:
            warnings.append(
                f"evaluation {name}: a prompt of {longest:,} tokens and an answer of "
                f"{evaluation['max_tokens']:,} do not fit the model's context of {context:,}"
            )
    return lines, warnings


def _asked(name: str, arguments: Mapping[str, str]) -> list[conditions.Condition]:
    where = f"config.evaluations.{name}.args"
    for argument in arguments:
        if argument not in ARGUMENTS:
            raise InputError(
                f"{where}: {TASK} has no {argument!r}; give some of {', '.join(ARGUMENTS)}"
            )
    try:
        return conditions.choose(arguments.get("scenario"), arguments.get("goal"))
    except InputError as error:
        raise InputError(f"{where}.{error}") from None


def _answers(prompts: int, evaluation: Mapping[str, Any], models: Models) -> str:
    answers = prompts * evaluation["epochs"] * models.number
    return (
        f"{prompts} prompts x {evaluation['epochs']:,} samples x {models.number} models: "
        f"{answers:,} answers, at most {answers * evaluation['max_tokens']:,} tokens"
    )


def _lengths(asked: list[conditions.Condition], count: Count | None) -> tuple[list[int], str]:
    """(the tokens of each prompt, how they were estimated, if they were)"""
    try:
        from vcjax.tasks.prompts import prompt_of  # imports Inspect
    except ImportError:
        characters = [OF_A_PROMPT[condition.scenario] for condition in asked]
        return [round(number / CHARACTERS) for number in characters], NOT_HERE
    prompts = [prompt_of(condition) for condition in asked]
    if count is not None:
        return [count(prompt.system, prompt.user) for prompt in prompts], ""
    characters = [len(prompt.system) + len(prompt.user) for prompt in prompts]
    return [round(number / CHARACTERS) for number in characters], " (estimated from characters)"


def _size(
    name: str, lengths: list[int], how: str, evaluation: Mapping[str, Any], models: Models
) -> list[str]:
    longest = max(lengths) + evaluation["max_tokens"]
    hours = _hours(lengths, evaluation, models)
    return [
        f"prompts of {min(lengths):,} to {max(lengths):,} tokens{how}, {sum(lengths):,} together; "
        f"vcjax.evaluate asks them with --evaluation={name} --length={longest}",
        f"at most {hours:,.3g} h a model in {models.dtype} at 1 TB/s of memory bandwidth, {SLOTS} "
        "answers at once",
    ]


def _hours(lengths: list[int], evaluation: Mapping[str, Any], models: Models) -> float:
    """Of writing every answer to its last token, by what a device reads for it at 1 TB/s.

    Each step reads all weights, and the cache of `SLOTS` texts, on average half written. Reading
    the prompts is left out: all samples of one are read once.
    """
    model = models.architecture
    held = sum(lengths) / len(lengths) + evaluation["max_tokens"] / 2  # tokens of a text
    cache = 2 * model.num_layers * model.num_kv_heads * model.head_dim * held
    step = VALUE_BYTES[models.dtype] * (model.num_params() + SLOTS * cache)
    steps = len(lengths) * evaluation["epochs"] / SLOTS * evaluation["max_tokens"]
    return steps * step / 1e12 / 3600
