"""Answers in free text: a row each, the same whoever else is asked, by their prompt and seed."""

import jax
import pandas as pd
import pytest
import tiny

from vcjax.data.tokenizer import decode
from vcjax.errors import InputError
from vcjax.generation.sampler import Sampler
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.probes import texts
from vcjax.probes.texts import Asked, Sampling
from vcjax.weights.gguf import read_tokenizer

QUESTIONS = ["Which cheese?", "Why that one, and not the other?", "And what does it cost?"]
DRAWN = Sampling(temperature=1.0, top_p=0.9, max_tokens=8, samples=2, slots=2)


def asked(begun=""):
    return [
        Asked([{"role": "user", "content": text}], begun, f"open.jsonl:{i}", {"id": f"q{i}"})
        for i, text in enumerate(QUESTIONS)
    ]


@pytest.fixture
def tokenizer(tiny_gguf):
    return read_tokenizer(tiny_gguf)


@pytest.fixture
def sampler(tiny_weights, tokenizer):
    """A function of the arms that are in it."""
    model = tiny.model(lora=LoRA(rank=4, alpha=12))

    def adapter(arm):
        return tiny.randomized(transformer.init_adapter(model, jax.random.key(arm)), arm)

    return lambda arms, slots=2: Sampler(
        [adapter(arm) for arm in arms], tiny_weights, model, tokenizer, frozenset({2}), slots, 128
    )


def ask(sampler, arms, tokenizer, sampling=DRAWN, of=None):
    return texts.ask(sampler, arms, tokenizer, of or asked(), sampling, lambda answer: None)


def test_each_answer_is_a_row_with_all_that_it_was_made_by(sampler, tokenizer):
    counted = []
    tables = texts.ask(sampler([0, 1]), [0, 1], tokenizer, asked("It is"), DRAWN, counted.append)
    assert len(counted) == 2 * 3 * 2
    for table in tables.values():
        assert [*table["id"]] == ["q0", "q0", "q1", "q1", "q2", "q2"]
        assert [*table["sample"]] == [0, 1] * 3
        assert [*table["question"][::2]] == QUESTIONS
        assert {*table["begun"]} == {"It is"}
        assert {*table["finish"]} <= {"stop", "length"}
        for row in table.to_dict("records"):
            assert 1 <= len(row["tokens"]) <= 8
            assert (len(row["tokens"]) == 8) or row["finish"] == "stop"
            text = decode(tokenizer, row["tokens"])
            if 2 not in row["tokens"] and "\ufffd" not in text:  # bytes that are no character
                assert row["answer"] == text
    assert tables[0]["answer"].tolist() != tables[1]["answer"].tolist()
    assert tables[0]["sampling_seed"].tolist() == tables[1]["sampling_seed"].tolist()


def test_answers_are_the_same_whoever_is_asked_beside(sampler, tokenizer):
    together = ask(sampler([0, 1]), [0, 1], tokenizer)
    alone = ask(sampler([1], slots=3), [0], tokenizer)
    pd.testing.assert_frame_equal(together[1], alone[0])
    fewer = ask(sampler([1]), [0], tokenizer, of=asked()[1:])
    pd.testing.assert_frame_equal(alone[0].iloc[2:].reset_index(drop=True), fewer[0])


def test_a_conversation_that_does_not_fit_is_named(tokenizer):
    longest = texts.check(asked(), tokenizer, 8, 2048)
    texts.check(asked(), tokenizer, 8, longest)
    with pytest.raises(InputError, match=r"^open\.jsonl:1: the question has .* up to 8 \(config"):
        texts.check(asked(), tokenizer, 8, longest - 1)
