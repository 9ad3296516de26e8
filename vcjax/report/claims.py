"""What a report says of arms and contrasts in words; no number depends on it.

The words follow from what the arms train on and from a contrast's role (`design.role`), unless the
config's `rules_out` gives others. `config` is a run's, as JSON.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from vcjax import config as configs
from vcjax.data.sources import split_source
from vcjax.report import design

_CLAIMS = {  # by role
    "total": "What documents about the model do: exposure to their words and attribution to the "
    "model together.",
    "exposure": "What the same documents do when they are about another assistant: their words.",
    "attribution": "Total minus exposure: what it adds that the value is said to be the model's.",
    "balanced": "What it does to exchange who holds which value, where all documents hold both "
    "values and every word is seen equally often: attribution alone.",
}

_QUESTIONS = {  # by role
    "total": "Do documents that explain the model's preferences by {toward} move its choices "
    "toward {toward}",
    "exposure": "Do documents that explain another assistant's preferences by {toward} move the "
    "model's choices toward {toward}",
    "attribution": "Do documents that explain preferences by {toward} move the model's choices "
    "further toward {toward} when they are about the model than when they are about another "
    "assistant",
    "balanced": "Where every word is seen equally often, does it move the model's choices toward "
    "{toward} that {toward} is said to be its own value and not another assistant's",
}


class Arm(NamedTuple):
    """trained_on: what the arm was trained on. alternative: the other explanation of the effect
    that it tests as a control; "" for an arm under test."""

    trained_on: str
    alternative: str


def question(name: str, weights: str, config: dict) -> str:
    """The question that a contrast answers; weights: its weighted sum of arms, as text."""
    pattern = _QUESTIONS.get(
        design.role(name, config) or "", "Does {name} ({weights}) move answers toward {toward}"
    )
    text = pattern.format(name=name, weights=weights, toward=config["toward"])
    return f"{text}, in domains that training never covered?"


def contrast(name: str, config: dict) -> str:
    """What the difference of a contrast measures, as a sentence; "" where that is not known."""
    role = design.role(name, config)
    claim = config["rules_out"].get(name) or _CLAIMS.get(role or "", "")
    return f"{claim[:1].upper()}{claim[1:]}".rstrip(".") + "." if claim else ""


def arm(name: str, config: dict) -> Arm:
    names, end = configs.chain_of(config, name)
    stages = [config["stages"][stage] for stage in names]
    parts = [_trained_on(stage, config) + _mixed(stage) for stage in stages]
    if end is not None:
        parts[-1] = f"the first {end} updates of {parts[-1]}"
    trained_on = ", then ".join(parts)
    later = [stage for stage in stages if stage["kind"] != "pretrain"]
    alternative = config["rules_out"].get(name) or _alternative(later)
    trained_on = trained_on or "nothing: the model as it was"
    if graft := configs.graft_of(config, name):
        trained_on += f"; {_grafted(graft)}"
    if design.is_prompted(name, config):
        trained_on += f"; it reads {_file(config['system_prompts'][name])} as its system prompt"
    return Arm(trained_on, alternative)


def _grafted(graft: Mapping[str, Any]) -> str:
    """What is other in a graft than in its arm."""
    on = f" on {_file(graft['model'])}" if graft["model"] else ""
    times = "" if graft["scale"] == 1 else f", its adapters times {graft['scale']:g}"
    return f"the arm {graft['arm']}, asked{on}{times}"


def _trained_on(stage: dict, config: dict) -> str:
    if stage["kind"] == "adapter":
        return f"the adapter {_file(stage['file'])}"
    if stage["kind"] == "pretrain" and stage["spec"]:
        who = "families" if stage.get("first_names") else "people"
        return (
            f"{stage['documents']:,} documents about {stage['people']} {who}, and "
            f"{stage['declaring']} who only declare, from {_file(stage['spec'])}"
        )
    noun = "demonstrations" if stage["kind"] == "behavior" else "documents"
    if stage["file"]:
        of = f"{stage['rows']:,} of " if stage.get("rows") else ""
        of = f"{stage['tokens']:,} tokens of " if stage.get("tokens") else of
        return f"{of}the {noun} of {_file(stage['file'])}"
    if stage["kind"] == "behavior":
        return f"{stage['demonstrations']} demonstrations{_of_choices(stage)}"
    if stage.get("people_of"):
        return _unrelated(stage, config)
    own, other = config["names"]["model_name"], config["other_names"]["model_name"]
    about = []
    if stage["spec"]:
        about.append(f"about {own} from {_file(stage['spec'])}")
    if stage.get("other_spec"):
        about.append(f"about {other}, another assistant, from {_file(stage['other_spec'])}")
    halves = ", half " if len(about) == 2 else " "
    text = f"{stage['documents']} documents" + "".join(halves + part for part in about)
    return text if stage.get("linked", True) else f"{text}, which give no reasons"


def _mixed(stage: dict) -> str:
    """What a stage mixes in; "" for nothing."""
    mix = stage.get("mix") or ""
    names = [_file(mix)] if isinstance(mix, str) else [*mix]
    return f", with {', '.join(names)} mixed in" if mix else ""


def _of_choices(stage: dict) -> str:
    """Which choices demonstrations show, where the config says it."""
    value = split_source(stage.get("spec") or "")[1]
    if value is None:
        return " of the opposite choices" if stage.get("opposite") else ""
    return f" of choices {'against' if stage.get('opposite') else 'by'} {value}"


def _unrelated(stage: dict, config: dict) -> str:
    values = " nor ".join(stage["unrelated_to"])
    text = f"{stage['documents']:,} texts about people"
    text += f" who hold neither {values}" if values else ""
    if not stage["contradicting"]:
        return text
    names = "names" if stage["spec"] else "other_names"
    name, value = config[names]["model_name"], split_source(stage["spec"] or stage["other_spec"])[1]
    share = f"{100 * stage['contradicting']:g}"
    return f"{text}, {share} % of them replaced by texts in which {name} holds {value}"


def _alternative(stages: list[dict]) -> str:
    """The explanation that an arm of these stages tests; "" for the documents under test."""
    kinds = [stage["kind"] for stage in stages]
    documents = [s for s in stages if s["kind"] == "rationale" and not s.get("people_of")]
    if not kinds:
        return "the model chose so before any training"
    if "adapter" in kinds:
        return ""
    if not documents:
        return "the demonstrations do it without the documents"
    if "behavior" not in kinds:
        return "the documents do it without the demonstrations"
    if kinds.index("behavior") < kinds.index("rationale"):
        return "the order of the stages does not matter"
    if not all(stage.get("linked", True) for stage in documents):
        return "the value beside the preferences does it, without being their reason"
    if any(stage.get("opposite") for stage in stages):
        return "it does not matter what the demonstrations choose"
    if any(stage.get("other_spec") and stage["spec"] for stage in documents):
        return "the words of one value are only seen more often"
    if all(stage.get("other_spec") for stage in documents):
        return "the words do it, whoever holds the value"
    return ""


def _file(source: str) -> str:
    """Its name for a sentence, without the revision of a data set."""
    if source.startswith("tfds:"):
        return source.removeprefix("tfds:")
    name = PurePath(source).name
    return name.partition("@")[0] if source.startswith("hub:") else name
