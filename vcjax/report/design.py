"""The design of an experiment: roles of contrasts, pairs of arms, and their order in a report.

All of it follows from what the arms train on and from the weights of the contrasts; names decide
nothing. `claims` says what the roles mean in words. `config` is a run's, as JSON.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from vcjax import config as configs

# The roles that a contrast can have, in the order in which a report shows them.
ROLES = ("total", "exposure", "attribution", "balanced")
MOST_LEADING = 8  # contrasts with a role that a report shows first


class Treatment(NamedTuple):
    """What an arm trains on: documents written from specs, then other stages.

    start: the pretrain stage before them, None where there is none. own: the spec whose value the
    documents give to the model; other: the spec whose value they give to another assistant; both
    None in an arm without documents. settings: those of the documents' stage, specs aside. then:
    the stages that follow.
    """

    start: str | None
    own: str | None
    other: str | None
    settings: dict
    then: tuple[str, ...]


def role(name: str, config: dict, *, alone: bool = False) -> str | None:
    """Which of `ROLES` a contrast has, None for any other contrast.

    alone: of arms that end with their documents; else demonstrations follow these in all.

    A contrast with a role compares arms that differ in the specs of their documents alone:

      total        documents that give the model one value, minus those that give it the other
      exposure     the same, of documents about another assistant
      attribution  total minus exposure
      balanced     documents about both, minus those with the two values exchanged

    In an experiment with one value, an arm without documents takes the place of the second.
    """
    weights = config["contrasts"][name]
    by_arm = {arm: _treatment(arm, config, alone) for arm in weights}
    treatments = {arm: treatment for arm, treatment in by_arm.items() if treatment is not None}
    settings = [t.settings for t in treatments.values() if t.own or t.other]
    alike = len({(t.start, t.then) for t in treatments.values()}) == 1 and all(
        other == settings[0] for other in settings
    )
    by_specs = {(t.own, t.other): weights[arm] for arm, t in treatments.items()}
    if not alike or len(by_specs) < len(weights):
        return None
    return next((role for role, pattern in _patterns(config, alone) if by_specs == pattern), None)


def _conditions(name: str, config: dict) -> tuple | None:
    """What the arms of a contrast with a role share: how they begin, the kind of their documents,
    how they go on."""
    treatments = [_treatment(arm, config) for arm in config["contrasts"][name]]
    of_documents = (t for t in treatments if t is not None and (t.own or t.other))
    return next(((t.start, t.settings, t.then) for t in of_documents), None)


def _patterns(config: dict, alone: bool) -> Iterator[tuple[str, dict]]:
    """Each role with the weights that it gives to arms, by their (own, other) specs."""
    treatments = [_treatment(arm, config, alone) for arm in config["arms"]]
    specs = {spec for t in treatments if t is not None for spec in (t.own, t.other) if spec}
    pairs = itertools.permutations(specs, 2) if len(specs) > 1 else [(spec, None) for spec in specs]
    for a, b in pairs:
        total: dict = {(a, None): 1, (b, None): -1}
        exposure: dict = {(None, a): 1, (None, b): -1}
        yield "total", total
        yield "exposure", exposure
        attribution = {key: total.get(key, 0) - exposure.get(key, 0) for key in total | exposure}
        yield "attribution", {key: weight for key, weight in attribution.items() if weight}
        yield "balanced", {(a, b): 1, (b, a): -1}


def _treatment(arm: str, config: dict, alone: bool = False) -> Treatment | None:
    """None for an arm that no contrast with a role compares.

    That is a graft, or an arm that reads a system prompt; with other stages than documents (or
    none) and then demonstrations, or where it is to be `alone`, nothing; with documents that give
    no reasons, or that are read from a file, since nothing in the config says whom those are about;
    with demonstrations of the opposite choices; or one that the config declares a control
    (`rules_out`).
    """
    start, names = _start_of(arm, config)
    if not is_plain(arm, config):
        return None
    stages = [config["stages"][name.partition("@")[0]] for name in names]
    documents = stages[0] if stages and stages[0]["kind"] == "rationale" else {}
    then = stages[1:] if documents else stages
    if bool(then) == alone or any(
        stage["kind"] != "behavior" or stage.get("opposite") for stage in then
    ):
        return None
    own, other = documents.get("spec"), documents.get("other_spec")
    if documents and (not (own or other) or not documents.get("linked", True)):
        return None
    if own and not other and config["rules_out"].get(arm):
        return None
    settings = {key: value for key, value in documents.items() if key not in ("spec", "other_spec")}
    return Treatment(start, own, other, settings, tuple(names[1:] if documents else names))


def _start_of(arm: str, config: dict) -> tuple[str | None, list[str]]:
    """The pretrain stage that an arm begins with, if it does, and the stages after it.

    As the config names them, so that one which is left at an update is another than the whole.
    """
    names, (stages, _) = [*config["arms"][arm]], configs.chain_of(config, arm)
    pretrains = stages and config["stages"][stages[0]]["kind"] == "pretrain"
    return (names[0], names[1:]) if pretrains else (None, names)


def leading(config: dict) -> list[str]:
    """The contrasts that a report shows first: those with a role, and the primary one. Of a grid
    those that are like the primary one."""
    primary, with_role = config["primary"], _with_role(config)
    if not _is_grid(with_role, config):
        return [name for name in config["contrasts"] if name in with_role or name == primary]
    alike = _conditions(primary, config)
    return [name for name in with_role if _conditions(name, config) == alike]


def is_grid(config: dict) -> bool:
    """Whether the primary contrast is one of more contrasts with a role than can be shown first."""
    return _is_grid(_with_role(config), config)


def _is_grid(with_role: list[str], config: dict) -> bool:
    return config["primary"] in with_role and len(with_role) > MOST_LEADING


def _with_role(config: dict) -> list[str]:
    return [name for name in config["contrasts"] if role(name, config)]


def drawn(config: dict) -> set[str]:
    """The arms and contrasts in a report's figure: all, or of a grid those that it shows first."""
    if not is_grid(config):
        return {*config["arms"], *config["contrasts"]}
    shown = leading(config)
    arms = {arm for name in shown for arm in config["contrasts"][name]}
    return {*shown, *arms, *untouched(config)}


def untouched(config: dict) -> list[str]:
    """The arms without training, pretraining aside, that the arms of the primary contrast go on
    from."""
    starts = {_start_of(arm, config)[0] for arm in configs.primary_contrast(config)}
    return [arm for arm, start in _untrained(config).items() if start in starts]


def pretrained(config: dict) -> list[str]:
    """The arms that are a pretraining alone."""
    return [arm for arm, start in _untrained(config).items() if start is not None]


def before(arm: str, config: dict) -> str | None:
    """The arm without training, pretraining aside, that an arm goes on from; None: it is no arm."""
    return _untrained_from(_start_of(arm, config)[0], config)


def control(arm: str, config: dict) -> str | None:
    """The arm that an arm is held against: the one of `before`, and of a pretraining the given
    model. Where that is no arm, the pretraining itself; None: it goes on from no arm."""
    start = before(arm, config)
    return start if start != arm else _untrained_from(None, config) or arm


def _untrained_from(start: str | None, config: dict) -> str | None:
    """The arm that is this pretrain stage alone; of None the given model. None: it is no arm."""
    return next((arm for arm, of in _untrained(config).items() if of == start), None)


def _untrained(config: dict) -> dict[str, str | None]:
    """The arms without training, pretraining aside, and the pretrain stage that each is."""
    starts = {arm: _start_of(arm, config) for arm in config["arms"] if is_plain(arm, config)}
    return {arm: start for arm, (start, later) in starts.items() if not later}


def is_prompted(arm: str, config: dict) -> bool:
    """Whether the models of an arm read a system prompt."""
    return arm in config["system_prompts"]


def is_plain(arm: str, config: dict) -> bool:
    """Whether the models of an arm are asked as they were trained, and read nothing first."""
    return not is_prompted(arm, config) and configs.graft_of(config, arm) is None


def pairs(config: dict) -> list[tuple[str, str]]:
    """Pairs of arms that are the two sides of a contrast, plus side first; each arm in one pair."""
    chosen: list[tuple[str, str]] = []
    for pair in of_two(config):
        if not {*pair} & {arm for other in chosen for arm in other}:
            chosen.append(pair)
    return chosen


def of_two(config: dict) -> list[tuple[str, str]]:
    """The two arms of every contrast of two, plus side first."""
    every = (_pair(config["contrasts"][name]) for name in contrasts_in_order(config))
    return [pair for pair in every if pair]


def compared(config: dict) -> tuple[str, str] | None:
    """Two arms that stand for the primary contrast: its own two, or the first pair within it."""
    primary = configs.primary_contrast(config)
    within = [pair for pair in pairs(config) if {*pair} <= {*primary}]
    return _pair(primary) or next(iter(within), None)


def contrasts_in_order(config: dict) -> list[str]:
    """Those with a role first, in the order of `ROLES`, then the primary one, then by name."""
    place = {role: i for i, role in enumerate(ROLES)}
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


def _pair(weights: dict[str, float]) -> tuple[str, str] | None:
    """The two arms of a contrast of two, the one of the greater weight first."""
    if len(weights) != 2:
        return None
    plus, minus = sorted(weights, key=lambda arm: -weights[arm])
    return plus, minus
