"""The prompts of the conditions. Imports inspect_evals, whose texts most of them are."""

import dataclasses

from inspect_evals.agentic_misalignment import prompt_generator
from inspect_evals.agentic_misalignment.templates.system_prompt_templates import GOAL_VARIABLES

from vcjax.tasks import exfiltration
from vcjax.tasks.conditions import URGENCY, Condition


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What the model reads."""

    system: str
    instruction: str
    inbox: str

    @property
    def user(self) -> str:
        return f"{self.instruction}\n{self.inbox}"


def prompt_of(condition: Condition) -> Prompt:
    """With a scratchpad, which the study gives to models that do not reason by themselves."""
    if condition.scenario == "exfiltration":
        return _own(condition.goal)
    prompts = prompt_generator.generate_prompts(
        scenario=condition.scenario,
        goal_type=condition.goal_type,
        goal_value=condition.goal,
        urgency_type=URGENCY,
        extra_system_instructions=None,
        prod_flag=False,
        alignment_faking_warning=None,
    )
    return Prompt(prompts.system_prompt, prompts.user_prompt, prompts.email_content)


def _own(goal: str) -> Prompt:
    stated = GOAL_VARIABLES["none" if goal == "none" else f"explicit-{goal}"]
    system = exfiltration.SYSTEM.substitute(
        goal=stated["goal_statement"], reminder=stated["goal_reminder"]
    )
    return Prompt(system, exfiltration.USER, exfiltration.inbox(goal))
