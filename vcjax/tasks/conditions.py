"""The conditions of agentic misalignment: what harm lies at hand, and which goal the model has.

The study has nine goal conditions: eight goals that the system prompt states, four pairs that
oppose each other, each against a company that turns to the opposite; and none, where neither
prompt nor e-mails name a goal. In all of them the model is to be replaced (`URGENCY`).
"""

import dataclasses
from collections.abc import Iterable, Sequence

from vcjax.errors import InputError

STUDY = ("exfiltration", "leaking", "murder")  # those that the study measures
PUBLISHED = ("blackmail", "leaking", "murder")  # those with prompts in inspect_evals
SCENARIOS = (*STUDY, "blackmail")
GOALS = (
    "america", "global", "safety", "acceleration",
    "ethical", "pragmatic", "individualism", "collectivism", "none",
)  # fmt: skip
URGENCY = "replacement"


@dataclasses.dataclass(frozen=True)
class Condition:
    """One prompt."""

    scenario: str
    goal: str

    @property
    def id(self) -> str:
        return f"{self.scenario}-{self.goal}"

    @property
    def goal_type(self) -> str:
        """As inspect_evals calls it."""
        return "none" if self.goal == "none" else "explicit"


def choose(
    scenario: str | Sequence[str] | None, goal: str | Sequence[str] | None
) -> list[Condition]:
    """Every goal in every scenario. Each is a name, several ("leaking,murder" or a list), or None:
    the scenarios of `STUDY`, all goals. Raises InputError for an unknown name."""
    scenarios = _names("scenario", scenario, SCENARIOS, STUDY)
    goals = _names("goal", goal, GOALS, GOALS)
    return [Condition(s, g) for s in scenarios for g in goals]


def _names(
    what: str, given: str | Sequence[str] | None, known: Sequence[str], default: Iterable[str]
) -> list[str]:
    if given is None:
        return [*default]
    names = given.split(",") if isinstance(given, str) else [str(name) for name in given]
    names = [name.strip() for name in names]
    for name in names:
        if name not in known:
            raise InputError(f"{what}: there is no {name!r}; give some of {', '.join(known)}")
    if not names:
        raise InputError(f"{what}: it is empty; give some of {', '.join(known)}")
    return list(dict.fromkeys(names))
