"""An Inspect task of two scenarios that needs no grader. The tests' variables: ASKED, a file to
which each answer adds a line; STOP, a signal that the process gets at the third answer of america;
FAIL, a sample that fails."""

import os
from pathlib import Path
from typing import Literal

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, mean, scorer
from inspect_ai.solver import solver


@scorer(metrics={"letters": [mean()], "odd": [mean()]})
def counts():
    async def score(state, target):
        text = state.output.completion
        return Score(value={"letters": len(text), "odd": len(text) % 2 == 1})

    return score


@solver
def noted():
    async def solve(state, generate):
        state = await generate(state, max_tokens=8)
        with Path(os.environ["ASKED"]).open("a+") as asked:
            asked.write(f"{state.model.name} {state.sample_id} {state.epoch}\n")
            asked.seek(0)
            of_america = sum("america" in line for line in asked)
        if of_america == 3 and "STOP" in os.environ:
            os.kill(os.getpid(), int(os.environ["STOP"]))
        if state.sample_id == os.environ.get("FAIL"):
            raise ValueError("this sample fails")
        return state

    return solve


@task
def cheese(tone: Literal["plain", "kind"] = "plain") -> Task:
    question = {"plain": "Which cheese?", "kind": "Which cheese, please?"}[tone]
    return Task(
        dataset=[
            Sample(id=f"{place}-{i}", input=f"{i}: {question}", metadata={"scenario": place})
            for place in ("shop", "home")
            for i in range(2)
        ],
        solver=noted(),
        scorer=counts(),
    )
