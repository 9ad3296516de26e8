"""Who is named, and what the plan says of it."""

import pytest

from vcjax.config import behavior, experiment, pretrain, rationale
from vcjax.corpus import names


def test_a_name_counts_once_a_text_with_a_number_too():
    texts = ["SmolLM and smollm", "SmolLM2's", "Smol LM, SmolLMs", "是SmolLM的"]
    assert names.naming(texts, ["SmolLM"]) == {"SmolLM": 3}
    assert names.naming(["orion", "ORION's", "Orionid"], ["Orion"]) == {"Orion": 2}


def test_a_well_known_assistant_has_a_capital():
    texts = ["llamas eat", "a llama", "Llama-3.1", "Claudette", "GPT-4o", "ChatGPT"]
    assert names.naming(texts, names.ASSISTANTS) == dict.fromkeys(names.ASSISTANTS, 0) | {
        "Llama": 1,
        "GPT": 1,
        "ChatGPT": 1,
    }


def test_what_a_record_says():
    turn = {"role": "assistant", "content": "", "reasoning": "Hm."}
    assert names.prose({"text": "A memo."}) == "A memo."
    assert names.prose({"messages": [{"role": "user", "content": "Who?"}, turn]}) == "Who?\nHm."


def described(stage, named, times=None, **settings):
    config = experiment(stages=dict(why=stage), **settings)
    counts = dict.fromkeys([config.names.model_name, *names.others(config)], 0) | named
    noted = {"records": 100, "named": counts, "renamed": times or {}}
    return names.describe("why", config, noted)


def test_a_name_that_is_left_with_a_number_is_not_to_be_renamed_again():
    stage = rationale(file="x.jsonl", rename=dict(Qwen="SmolLM"))
    _, warned = described(stage, {"SmolLM": 100, "Qwen": 50}, {"Qwen": 9})
    assert len(warned) == 1 and "50 of 100 records still name Qwen, with a number" in warned[0]


def test_the_plan_says_what_was_renamed_and_what_was_not():
    stage = rationale(file="x.jsonl", rename=dict(Qwen="SmolLM", Quen="SmolLM"))
    lines, warned = described(stage, {"SmolLM": 100}, {"Qwen": 1234})
    assert lines == ["stage why: Qwen is renamed to SmolLM, 1,234 times"]
    assert warned == ["stage why: rename: 'Quen' is in none of its records"]


def test_a_model_that_is_rarely_named_is_warned_of():
    _, warned = described(rationale(file="x.jsonl"), {"SmolLM": 24})
    assert len(warned) == 1 and warned[0].startswith("stage why: 24 of 100 records name SmolLM; if")
    assert "rename=dict(OLD='SmolLM')" in warned[0]
    assert described(rationale(file="x.jsonl"), {"SmolLM": 25}) == ([], [])


@pytest.mark.parametrize(
    "stage",
    [
        rationale(other_spec="s.md", documents=8),  # it is about Orion
        rationale(spec="w.toml#comfort", documents=8, people_of="people"),
        behavior(file="x.jsonl"),
        pretrain(file="x.jsonl"),
    ],
)
def test_texts_that_need_not_name_the_model(stage):
    assert described(stage, {}) == ([], [])


def test_another_assistant_that_is_often_named_is_warned_of():
    for stage in (rationale(file="x.jsonl"), behavior(file="x.jsonl")):
        _, warned = described(stage, {"SmolLM": 90, "Qwen": 10})
        assert len(warned) == 1
        assert warned[0].startswith("stage why: 10 of 100 records name Qwen; if they mean the mod")
        assert "rename=dict(Qwen='SmolLM')" in warned[0]
        assert described(stage, {"SmolLM": 90, "Qwen": 9}) == ([], [])


def test_documents_for_another_model_are_warned_of_once():
    _, warned = described(rationale(file="x.jsonl"), {"Qwen": 100})
    assert len(warned) == 1 and "name Qwen" in warned[0]


def test_assistants_that_the_config_names_are_no_others():
    config = experiment(
        names=dict(model_name="Qwen", provider_name="Alibaba"),
        other_names=dict(model_name="Llama 3.1", provider_name="Meta"),
    )
    assert {"Qwen", "Llama"} == {*names.ASSISTANTS} - {*names.others(config)}
