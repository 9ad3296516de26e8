"""Sources in the plan's text and as a table, from made-up counts."""

import dataclasses

from vcjax.data.source_counts import SourceCounts
from vcjax.plan import Plan, StageData, StagePlan
from vcjax.report import sources

DATA = StageData("r", None, 9, 90, 0, 900, 800, 0, 2)
COMMIT = "0123456789abcdef"
OWN = SourceCounts("/home/me/own.jsonl", "", 60, 600, 500, 6)
MIXED = SourceCounts("hub:org/mix@main", COMMIT, 30, 300, 300, 4)


def plan_of(*of_stages):
    """Of stages a, b, ... in this order; each: sources by seed."""
    stages = {}
    for name, seeds in zip("abc", of_stages, strict=False):
        for seed, of in enumerate(seeds):
            data = dataclasses.replace(DATA, sources=of)
            stages[f"{name}{seed}"] = StagePlan(
                f"{name}{seed}", name, "behavior", seed, None, {"epochs": 1}, data, 1, 9, 1
            )
    return Plan(stages, {})


def test_a_stage_with_several_sources_is_told_apart():
    more = dataclasses.replace(MIXED, tokens=310)
    plan = plan_of([{"file": OWN}] * 2, [{"file": OWN, "mix": MIXED}, {"file": OWN, "mix": more}])
    assert sources.lines(plan) == [
        "source   records      tokens  trained on  left out  of",
        "b: file       60         600         500         0  own.jsonl",
        "b: mix        30  300 to 310         300         0  hub:org/mix@main 01234567",
    ]
    table = sources.table(plan)
    assert len(table) == 4 and table["tokens"].tolist() == [600, 300, 600, 310]
    assert {*table["revision"]} == {"", COMMIT}


def test_a_data_set_and_records_that_are_left_out_are_always_shown():
    broken = dataclasses.replace(OWN, left_out=3, first_left_out="own.jsonl:3: blank")
    plan = plan_of([{"file": MIXED}], [{"file": broken}])
    assert [row["stage"] for row in sources.over_seeds(sources.table(plan))] == ["a", "b"]
    assert sources.warnings(plan) == [
        "stage b: 3 records of /home/me/own.jsonl cannot be used and are left out, as own.jsonl:3: "
        "blank"
    ]
    assert sources.lines(plan)[2] == "b: file       60     600         500         3  own.jsonl"


def test_stages_of_one_file_need_no_table_of_sources():
    plan = plan_of([{"file": OWN}], [{}])
    assert sources.lines(plan) == [] and sources.table(plan).empty
