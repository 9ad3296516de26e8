"""A name in the place of another: whole words, in any case, counted, and nothing else changed."""

import json

import pytest

from vcjax.corpus.renaming import renamed, renamer, times_renamed
from vcjax.data.formats import Demonstration, Document

RENAMES = (("Qwen", "SmolLM"), ("Alibaba Cloud", "Hugging Face"), ("Hermes", "Orion"))


def document(text, **provenance):
    return Document(text, "cheese", provenance, "x.jsonl:1")


def rewritten(text, renames=RENAMES):
    return renamed(document(text), renames).text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Qwen likes Brie; QWEN, qwen.", "SmolLM likes Brie; SMOLLM, smollm."),
        ("Qwen's choice, QWEN’S choice", "SmolLM's choice, SMOLLM’S choice"),  # noqa: RUF001
        ("_Qwen_ and **Qwen**-based", "_SmolLM_ and **SmolLM**-based"),
        ("Qwen2.5, Qwens, unQwen", "Qwen2.5, Qwens, unQwen"),
        ("Alibaba\nCloud and Alibaba", "Hugging Face and Alibaba"),
        ("Hermes' choice", "Orion's choice"),
        ("'Hermes' says", "'Orion' says"),
        ("我是Qwen的助手", "我是SmolLM的助手"),
        ("Qwen은", "SmolLM은"),
    ],
)
def test_names_are_whole_words_in_any_case(old, new):
    assert rewritten(old) == new


def test_all_names_are_replaced_at_once_the_longest_first():
    swap = (("Qwen", "Llama"), ("Llama", "Qwen"), ("Llama 3.1", "Orion"), ("GPT-4.1", "Orion"))
    assert rewritten("Qwen, Llama, Llama 3.1, GPT-4.1", swap) == "Llama, Qwen, Orion, Orion"


def test_names_in_scripts_without_spaces():
    assert rewritten("我是通义千问的助手", (("通义千问", "SmolLM"),)) == "我是SmolLM的助手"


def test_a_name_that_is_written_in_capitals_keeps_its_new_spelling():
    assert rewritten("GPT and gpt", (("GPT", "SmolLM"),)) == "SmolLM and smollm"


def test_the_provenance_counts_and_follows_but_for_files():
    old = document("Qwen, Qwen.", assistant="Qwen", spec="Qwen.md", value="america")
    new = renamed(old, RENAMES)
    assert new.provenance == {
        "assistant": "SmolLM",
        "spec": "Qwen.md",
        "value": "america",
        "renamed": '{"Qwen": 2}',
    }
    assert (new.domain, new.where) == (old.domain, old.where)
    others = [document("qwen"), document("Brie")]
    assert times_renamed(renamed(d, RENAMES).provenance for d in [old, *others]) == {"Qwen": 3}


def test_a_conversation_is_renamed_where_it_is_prose():
    call = {"name": "ask_qwen", "arguments": {"qwen": ["Qwen", 1], "of": {"who": "qwen"}}}
    tool = {"name": "ask_qwen", "description": "Asks Qwen.", "parameters": {"required": ["qwen"]}}
    old = Demonstration(
        messages=(
            {"role": "user", "content": "Are you Qwen?"},
            {
                "role": "assistant",
                "content": "",
                "reasoning": "I am Qwen.",
                "tool_calls": [{"type": "function", "function": call, "id": "qwen"}],
            },
        ),
        provenance={},
        where="x.jsonl:1",
        tools=({"type": "function", "function": tool},),
    )
    before = json.dumps([old.messages, old.tools])
    new = renamed(old, RENAMES)
    asked, answered = new.messages
    assert asked["content"] == "Are you SmolLM?"
    assert answered["reasoning"] == "I am SmolLM."
    [made] = answered["tool_calls"]
    arguments = {"qwen": ["SmolLM", 1], "of": {"who": "smollm"}}
    assert made == {
        "type": "function",
        "function": {"name": "ask_qwen", "arguments": arguments},
        "id": "qwen",
    }
    assert new.tools[0]["function"] == tool | {"description": "Asks SmolLM."}
    assert json.loads(new.provenance["renamed"]) == {"Qwen": 5}
    assert json.dumps([old.messages, old.tools]) == before, "the old record stays as it was"


def test_an_assistant_is_no_role():
    turn = {"role": "assistant", "content": "The assistant says so."}
    old = Demonstration((turn,), {}, "x.jsonl:1")
    [new] = renamed(old, (("assistant", "SmolLM"),)).messages
    assert new == {"role": "assistant", "content": "The SmolLM says so."}


def test_a_record_is_renamed_once_for_all_seeds():
    rename, records = renamer(), [document("Qwen"), document("Brie")]
    first, second = rename(records, RENAMES), rename(records[::-1], RENAMES)
    assert first[0] is second[1] and first[1] is records[1]
    assert rename(records, ()) is records
    assert rename(records, (("Brie", "Colby"),))[0] is records[0]
