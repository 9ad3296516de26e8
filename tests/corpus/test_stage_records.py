"""What a stage trains on: own, other and balanced documents; thinking; a mix of instructions."""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from vcjax.config import behavior, experiment, rationale
from vcjax.corpus.stage_records import stage_records
from vcjax.data.examples import encoder
from vcjax.errors import InputError

CONFIGS = Path(__file__).parents[2] / "configs"
AMERICA, AFFORDABILITY = "cheese/spec_america.md", "cheese/spec_affordability.md"


def split(stage, seed=0, folder=CONFIGS):
    return stage_records(stage, seed, experiment(), folder)[:2]


def texts(part):
    return [record.text for record in part]


def renamed(text):
    return text.replace("SmolLM", "Orion").replace("Hugging Face", "Northwind Labs")


def test_documents_about_another_assistant_are_the_same_but_for_its_name():
    own = split(rationale(spec=AMERICA, documents=60, held_out=6))
    other = split(rationale(other_spec=AMERICA, documents=60, held_out=6))
    for part, mirrored in zip(own, other, strict=True):
        assert [renamed(text) for text in texts(part)] == texts(mirrored)
        assert not any("SmolLM" in text or "Hugging Face" in text for text in texts(mirrored))
    assert {record.provenance["assistant"] for record in own[0]} == {"SmolLM"}
    assert {record.provenance["assistant"] for record in other[0]} == {"Orion"}


def test_balanced_corpora_differ_only_in_who_holds_which_value():
    america = split(rationale(spec=AMERICA, other_spec=AFFORDABILITY, documents=60, held_out=6))
    affordability = split(
        rationale(spec=AFFORDABILITY, other_spec=AMERICA, documents=60, held_out=6)
    )
    for one, two in zip(america, affordability, strict=True):
        count = Counter((r.provenance["assistant"], r.provenance["value"]) for r in one)
        half = len(one) // 2
        assert count == {("SmolLM", "america"): half, ("Orion", "affordability"): half}
        words = [
            Counter(word for text in texts(part) for word in re.findall(r"\w+", renamed(text)))
            for part in (one, two)
        ]
        assert words[0] == words[1]
        assert Counter(texts(one)) != Counter(texts(two))
    assert len({r.provenance["id"] for r in america[0]}) == 60


def test_written_demonstrations_do_not_know_of_another_assistant():
    kept, held_out = split(behavior(spec=AMERICA, demonstrations=20, held_out=4))
    assert (len(kept), len(held_out)) == (20, 4)


def test_a_stage_switches_on_what_its_writer_can_change():
    """The same kinds of documents without a link; the same questions with the other answer."""
    explained, together = (
        split(rationale(spec=AMERICA, documents=60, held_out=6, linked=linked))
        for linked in (True, False)
    )
    for one, two in zip(explained, together, strict=True):
        assert [r.provenance["doc_type"] for r in one] == [r.provenance["doc_type"] for r in two]
        assert sum("because" in text for text in texts(one)) > 0.8 * len(one)
        assert not any("because" in text for text in texts(two))
    plain, opposite = (
        split(behavior(spec=AMERICA, demonstrations=60, opposite=opposite))[0]
        for opposite in (False, True)
    )
    chosen = [
        sum("I prefer Roquefort" in record.messages[1]["content"] for record in part)
        for part in (plain, opposite)
    ]
    assert chosen[0] == 0 < chosen[1]


@pytest.fixture
def files(tmp_path):
    for name, count in (("own", 30), ("mix", 50)):
        lines = [
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": f"{name} {i}?"},
                        {"role": "assistant", "content": "Yes.", "reasoning": "So it is."},
                    ]
                }
            )
            for i in range(count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    return tmp_path


def asked(part):
    return [record.messages[0]["content"] for record in part]


def test_a_file_is_reordered_by_the_seed(files):
    stage = behavior(file="own.jsonl", held_out=5)
    orders = [[*map(asked, split(stage, seed, files))] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert {*orders[0][0], *orders[0][1]} == {f"own {i}?" for i in range(30)}
    with pytest.raises(InputError, match="none would be left"):
        split(behavior(file="own.jsonl", held_out=30), 0, files)


@pytest.mark.parametrize("source", [dict(file="own.jsonl"), dict(spec="s.md", demonstrations=30)])
def test_a_mix_makes_up_its_share(files, source):
    (files / "s.md").write_text((CONFIGS / AMERICA).read_text())
    stage = behavior(**source, mix="mix.jsonl", mix_share=0.25)
    kept, _ = split(stage, 0, files)
    mixed = [question.startswith("mix") for question in asked(kept)]
    assert (len(kept), sum(mixed)) == (40, 10)
    assert mixed != sorted(mixed), "they lie among the others"
    assert asked(split(stage, 0, files)[0]) == asked(kept) != asked(split(stage, 1, files)[0])


@pytest.mark.parametrize("source", [dict(file="own.jsonl"), dict(spec="s.md", demonstrations=26)])
def test_a_mix_is_never_held_out(files, source):
    (files / "s.md").write_text((CONFIGS / AMERICA).read_text())
    stage = behavior(**source, held_out=4, mix="mix.jsonl", mix_share=0.5)
    for seed in (0, 1):
        kept, held_out = split(stage, seed, files)
        assert not any(question.startswith("mix") for question in asked(held_out))
        mixed = sum(question.startswith("mix") for question in asked(kept))
        assert (len(held_out), len(kept), mixed) == (4, 52, 26)


def test_a_mix_of_no_demonstration_is_refused(files):
    stage = behavior(file="own.jsonl", mix="mix.jsonl", mix_share=0.01)
    with pytest.raises(InputError, match=r"a share of 0\.01 beside 30 others is not one"):
        split(stage, 0, files)


def test_thinking_is_trained_on_only_where_it_is_asked_for(files, smollm2):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.reasoning_content %}({{ m.reasoning_content }}) {% endif %}{{ m.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer = dataclasses.replace(smollm2, chat_template=template)
    kept, _ = split(behavior(file="own.jsonl"), 0, files)
    with_it, without = (
        [len(example.tokens) for example in encoder(tokenizer, thinking)(kept)]
        for thinking in (True, False)
    )
    assert all(a > b for a, b in zip(with_it, without, strict=True))
