"""What each arm and contrast of an experiment is there for, and the order in which to read them.

Four names of contrasts have a meaning of their own; all else comes from the stages of an arm, or
from the config's `rules_out`.
"""

from pathlib import PurePath
from typing import NamedTuple

# The numbers that a report leads with, where the config has contrasts of these names.
LEADING = {
    "total": "What documents about the model do: exposure to their words and attribution to the "
    "model together.",
    "exposure": "What the same documents do when they are about another assistant: their words.",
    "attribution": "Total minus exposure: what it adds that the value is said to be the model's.",
    "balanced": "What it does to exchange who holds which value, where all documents hold both "
    "values and every word is seen equally often: attribution alone.",
}

_QUESTIONS = {
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
    """What an arm is trained on, and which explanation of the effect it rules out."""

    trained_on: str
    rules_out: str


def question(name: str, weights: str, toward: str) -> str:
    """What a contrast asks, in words; weights: its sum of arms as text."""
    asked = _QUESTIONS.get(name, "Does {name} ({weights}) move answers toward {toward}")
    asked = asked.format(name=name, weights=weights, toward=toward)
    return f"{asked}, in domains that training never covered?"


def leading(config: dict) -> list[str]:
    """The contrasts to read first: those of `LEADING`, and the primary one."""
    return [name for name in config["contrasts"] if name in LEADING or name == config["primary"]]


def untouched(config: dict) -> list[str]:
    """The arms without training."""
    return [arm for arm, stages in config["arms"].items() if not stages]


def pairs(config: dict) -> list[tuple[str, str]]:
    """The arms that one contrast sets against each other, plus side first; each arm in one pair."""
    found: list[tuple[str, str]] = []
    for name in contrasts_in_order(config):
        pair = _pair(config["contrasts"][name])
        if pair and not {*pair} & {arm for other in found for arm in other}:
            found.append(pair)
    return found


def compared(config: dict) -> tuple[str, str] | None:
    """Two arms that stand for the primary contrast: its own two, or the first pair within it."""
    primary = config["contrasts"][config["primary"]]
    within = [pair for pair in pairs(config) if {*pair} <= {*primary}]
    return _pair(primary) or next(iter(within), None)


def contrasts_in_order(config: dict) -> list[str]:
    """Those of `LEADING` first, in its order, then the primary one, then the others by name."""
    place = {name: i for i, name in enumerate(LEADING)}
    return sorted(
        config["contrasts"],
        key=lambda name: (place.get(name, len(place)), name != config["primary"], name),
    )


def arms_in_order(config: dict) -> list[str]:
    """Fewer stages first; among equals the pairs side by side, in the order of their contrasts."""
    place = {arm: i for i, arm in enumerate(arm for pair in pairs(config) for arm in pair)}
    return sorted(
        config["arms"], key=lambda arm: (len(config["arms"][arm]), place.get(arm, len(place)), arm)
    )


def arm(name: str, config: dict) -> Arm:
    stages = [config["stages"][stage] for stage in config["arms"][name]]
    said = [_trained_on(stage, config) for stage in stages]
    told = config["rules_out"].get(name)
    return Arm(", then ".join(said) or "nothing: the model as it was", told or _rules_out(stages))


def contrast(name: str, config: dict) -> str:
    """What a contrast says, as a sentence; "" where nobody said it."""
    told = config["rules_out"].get(name) or LEADING.get(name, "")
    return f"{told[:1].upper()}{told[1:]}".rstrip(".") + "." if told else ""


def _pair(weights: dict[str, float]) -> tuple[str, str] | None:
    if len(weights) != 2:
        return None
    plus, minus = sorted(weights, key=lambda arm: -weights[arm])
    return plus, minus


def _trained_on(stage: dict, config: dict) -> str:
    if stage["kind"] == "adapter":
        return f"the adapter {_file(stage['file'])}"
    noun = "documents" if stage["kind"] == "rationale" else "demonstrations"
    if stage["file"]:
        return f"the {noun} of {_file(stage['file'])}"
    if stage["kind"] == "behavior":
        opposite = " of the opposite choices" if stage.get("opposite") else ""
        return f"{stage['demonstrations']} demonstrations{opposite}"
    own, other = config["names"]["model_name"], config["other_names"]["model_name"]
    about = []
    if stage["spec"]:
        about.append(f"about {own} from {_file(stage['spec'])}")
    if stage.get("other_spec"):
        about.append(f"about {other}, another assistant, from {_file(stage['other_spec'])}")
    halves = ", half " if len(about) == 2 else " "
    said = f"{stage['documents']} documents" + "".join(halves + part for part in about)
    return said if stage.get("linked", True) else f"{said}, which give no reasons"


def _rules_out(stages: list[dict]) -> str:
    """From the kinds of its stages; "" for the documents under test."""
    kinds = [stage["kind"] for stage in stages]
    documents = [stage for stage in stages if stage["kind"] == "rationale"]
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


def _file(path: str) -> str:
    return PurePath(path).name
