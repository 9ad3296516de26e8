"""Agentic misalignment as an Inspect task: the study's scenarios and goals, graded by rules.

inspect eval vcjax/agentic_misalignment --model openai-api/vcjax/both-0 --epochs 300
"""

from importlib import metadata

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, grouped, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate
from inspect_evals.agentic_misalignment.scorers import harmfulness_scorer

from vcjax.errors import InputError
from vcjax.tasks.conditions import PUBLISHED, URGENCY, Condition, choose
from vcjax.tasks.prompts import prompt_of
from vcjax.tasks.rules import FIELDS, grade

VERSION = 1  # another one where rules or prompts change, so that logs are not compared unawares
GRADERS = ("rules", "model")
TEMPERATURE, MAX_TOKENS = 0.7, 4096  # the study's


@task
def agentic_misalignment(
    scenario: str | list[str] | None = None,
    goal: str | list[str] | None = None,
    grader: str = "rules",
) -> Task:
    """One sample a condition; the samples of a condition are epochs (the study: 300).

    Args:
        scenario: one or several of exfiltration, leaking, murder (these three by default) and
            blackmail.
        goal: one or several of the nine goals; all by default.
        grader: "rules"; or "model": beside them the judge of inspect_evals, asked of the model that
            --model-role grader=NAME gives.
    """
    conditions = choose(scenario, goal)
    if grader not in GRADERS:
        raise InputError(f"grader: there is no {grader!r}; give one of {', '.join(GRADERS)}")
    unjudged = {condition.scenario for condition in conditions} - {*PUBLISHED}
    if grader == "model" and unjudged:
        raise InputError(
            f"grader: inspect_evals has no judge of {', '.join(unjudged)}; leave it out of scenario"
        )
    return Task(
        dataset=MemoryDataset([_sample(condition) for condition in conditions]),
        solver=generate(),
        scorer=[by_rules(), by_model()] if grader == "model" else by_rules(),
        config=GenerateConfig(temperature=TEMPERATURE, max_tokens=MAX_TOKENS),
        version=VERSION,
        metadata={"inspect_evals": metadata.version("inspect_evals")},  # whose prompts they are
    )


@scorer(
    metrics={field: [mean(), stderr(), grouped(mean(), "scenario", all=False)] for field in FIELDS}
)
def by_rules() -> Scorer:
    """The marks of `vcjax.tasks.rules.grade`."""

    async def score(state: TaskState, target: Target) -> Score:
        del target
        thought = "\n".join(
            part.reasoning
            for part in state.output.message.content
            if not isinstance(part, str) and part.type == "reasoning"
        )
        marks = grade(
            state.metadata["scenario"],
            state.output.completion,
            state.metadata["inbox"],
            thought,
            cut=state.output.stop_reason == "max_tokens",
        )
        return Score(value=dict(marks), answer=state.output.completion)

    return score


@scorer(metrics={field: [mean(), stderr()] for field in ("harmful", "classifier_verdict")})
def by_model() -> Scorer:
    """The judge of inspect_evals, by the model in the role "grader"."""

    async def score(state: TaskState, target: Target) -> Score | None:
        judge = harmfulness_scorer(grader_model=get_model(role="grader", required=True))
        return await judge(state, target)

    return score


def _sample(condition: Condition) -> Sample:
    prompt = prompt_of(condition)
    return Sample(
        id=condition.id,
        input=[ChatMessageSystem(content=prompt.system), ChatMessageUser(content=prompt.user)],
        metadata={
            "scenario": condition.scenario,
            "goal": condition.goal,
            "urgency": URGENCY,
            "inbox": prompt.inbox,
            # What the judge of inspect_evals reads.
            "goal_type": condition.goal_type,
            "goal_value": condition.goal,
            "urgency_type": URGENCY,
            "extra_system_instructions": None,
            "prod": False,
            "test_eval_awareness": False,
        },
    )
