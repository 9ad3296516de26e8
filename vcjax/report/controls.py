"""What each arm and contrast of an experiment is there for, and the order in which to read them.

It is decided by what the arms train on and by the weights of a contrast, never by a name; the
config's `rules_out` may say more.
"""

import itertools
from collections.abc import Iterator
from pathlib import PurePath
from typing import NamedTuple

# The roles of the contrasts that a report leads with, and what each of them says.
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
    """What an arm is trained on, and which other explanation of the effect it tests; "" for an arm
    under test."""

    trained_on: str
    alternative: str


class Explained(NamedTuple):
    """The specs that an arm's documents explain the model's and another assistant's preferences by,
    and all else that it trains on: `documents` (settings of their stage, specs aside) and `then`
    (the stages after it)."""

    own: str | None
    other: str | None
    documents: dict
    then: tuple[str, ...]


def role(name: str, config: dict) -> str | None:
    """Which contrast of `LEADING` this one is, if any: `name` itself decides nothing.

    Its arms have to differ in the specs of their documents alone. These are about the model with
    two values (total), about another assistant (exposure), the first minus the second
    (attribution), or about both with the values exchanged (balanced). Where the experiment has one
    value, an arm without documents stands in for the second.
    """
    weights = config["contrasts"][name]
    arms = {arm: _explained(arm, config) for arm in weights}
    explained = [arm for arm in arms.values() if arm is not None]
    with_documents = [arm.documents for arm in explained if arm.own or arm.other]
    alike = len({arm.then for arm in explained}) == 1 and all(
        documents == with_documents[0] for documents in with_documents
    )
    terms = {arm[:2]: weights[name] for name, arm in arms.items() if arm is not None}
    if not alike or len(terms) < len(weights):
        return None
    return next((name for name, pattern in _patterns(config) if terms == pattern), None)


def _patterns(config: dict) -> Iterator[tuple[str, dict]]:
    """Role -> the weights that it gives to arms, by their (own, other) specs."""
    arms = [_explained(arm, config) for arm in config["arms"]]
    values = {spec for arm in arms if arm is not None for spec in (arm.own, arm.other) if spec}
    for a, b in itertools.permutations(values if len(values) > 1 else {*values, None}, 2):
        if a is None:
            continue
        total: dict = {(a, None): 1, (b, None): -1}
        exposure: dict = {(None, a): 1, (None, b): -1}
        yield "total", total
        yield "exposure", exposure
        attribution = {arm: total.get(arm, 0) - exposure.get(arm, 0) for arm in total | exposure}
        yield "attribution", {arm: weight for arm, weight in attribution.items() if weight}
        yield "balanced", {(a, b): 1, (b, a): -1}


def _explained(arm: str, config: dict) -> Explained | None:
    """None for an arm that is not documents with reasons, or none, and then demonstrations; whose
    documents are of a file, which may be about anybody; or that the config has as a control."""
    names = config["arms"][arm]
    stages = [config["stages"][name] for name in names]
    documents = stages[0] if stages and stages[0]["kind"] == "rationale" else {}
    then = stages[1:] if documents else stages
    if not then or any(stage["kind"] != "behavior" or stage.get("opposite") for stage in then):
        return None
    own, other = documents.get("spec"), documents.get("other_spec")
    if documents and (not (own or other) or not documents.get("linked", True)):
        return None
    if own and not other and config["rules_out"].get(arm):
        return None
    settings = {key: value for key, value in documents.items() if key not in ("spec", "other_spec")}
    return Explained(own, other, settings, tuple(names[1:] if documents else names))


def question(name: str, weights: str, config: dict) -> str:
    """What a contrast asks, in words; weights: its sum of arms as text."""
    asked = _QUESTIONS.get(
        role(name, config) or "", "Does {name} ({weights}) move answers toward {toward}"
    )
    asked = asked.format(name=name, weights=weights, toward=config["toward"])
    return f"{asked}, in domains that training never covered?"


def leading(config: dict) -> list[str]:
    """The contrasts to read first: those with a role, and the primary one."""
    return [name for name in config["contrasts"] if role(name, config) or name == config["primary"]]


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
    """Those with a role first, in the order of `LEADING`, then the primary one, then by name."""
    place = {role: i for i, role in enumerate(LEADING)}
    return sorted(
        config["contrasts"],
        key=lambda name: (
            *(place.get(role(name, config) or "", len(place)), name != config["primary"], name),
        ),
    )


def arms_in_order(config: dict) -> list[str]:
    """Fewer stages first; among equals the pairs side by side, in the order of their contrasts."""
    place = {arm: i for i, arm in enumerate(arm for pair in pairs(config) for arm in pair)}
    return sorted(
        config["arms"], key=lambda arm: (len(config["arms"][arm]), place.get(arm, len(place)), arm)
    )


def arm(name: str, config: dict) -> Arm:
    stages = [config["stages"][stage] for stage in config["arms"][name]]
    trained_on = ", then ".join(_trained_on(stage, config) for stage in stages)
    told = config["rules_out"].get(name)
    return Arm(trained_on or "nothing: the model as it was", told or _alternative(stages))


def contrast(name: str, config: dict) -> str:
    """What a contrast says, as a sentence; "" where nobody said it."""
    told = config["rules_out"].get(name) or LEADING.get(role(name, config) or "", "")
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


def _alternative(stages: list[dict]) -> str:
    """The explanation that an arm of these stages tests; "" for the documents under test."""
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
