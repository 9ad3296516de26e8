"""Requests in slots: every answer is that of its request alone, whatever lies beside it."""

import jax
import numpy as np
import peers
import pytest
import tiny

from vcjax.errors import InputError
from vcjax.generation.sampler import Request, Sampler, answers_to
from vcjax.models import sampling, transformer
from vcjax.models.lora import LoRA
from vcjax.weights.gguf import read_tokenizer

LORA = LoRA(rank=4, alpha=12)
LENGTH = 128


@pytest.fixture(scope="module")
def tokenizer(tiny_gguf):
    return read_tokenizer(tiny_gguf)


def sampler(tokenizer, slots=4, arms=0, stop_ids=(), length=LENGTH):
    """arms: 0 for the model alone."""
    model = tiny.model(lora=LORA if arms else None)
    adapters = [
        tiny.randomized(transformer.init_adapter(model, jax.random.key(arm)), arm)
        for arm in range(arms)
    ]
    return Sampler(
        adapters,
        tiny.weights(),
        model,
        tokenizer,
        frozenset(stop_ids),
        slots,
        length,
    )


def prompts(count, longest=60):
    draw = np.random.default_rng(0)
    sizes = draw.integers(1, longest, count)
    return [tuple(draw.integers(3, tiny.VOCAB_SIZE, size).tolist()) for size in sizes]


def answered(sampler, requests):
    """{request: (tokens, text, finish)}"""
    return {
        answer.request: (tuple(answer.tokens), answer.text.value, answer.finish)
        for answer in answers_to(sampler, requests)
    }


def test_greedy_text_is_that_of_transformers(torch, tokenizer):
    peer = peers.llama(tiny.weights(), tiny.ARCHITECTURE)
    requests = [Request(p, max_tokens=6 + i % 3) for i, p in enumerate(prompts(20))]
    found = answered(sampler(tokenizer, slots=8), requests)
    assert len({tokens for tokens, _, _ in found.values()}) > 15
    for request, (tokens, _, finish) in found.items():
        theirs = peer.generate(
            torch.tensor([request.prompt]),
            max_new_tokens=request.max_tokens,
            do_sample=False,
            eos_token_id=-1,
            pad_token_id=0,
        )
        assert list(tokens) == theirs[0, len(request.prompt) :].tolist()
        assert finish == "length"


def test_an_answer_does_not_depend_on_what_lies_beside_it(tokenizer):
    requests = [
        Request(p, max_tokens=4 + i, temperature=i % 3 / 2, top_p=0.95, seed=i)
        for i, p in enumerate(prompts(12))
    ]
    alone = answered(sampler(tokenizer, slots=1), requests)
    assert len(alone) == 12
    assert answered(sampler(tokenizer, slots=5), requests) == alone
    assert answered(sampler(tokenizer, slots=12, length=200), requests[::-1]) == alone


def test_arms_are_asked_together(tokenizer):
    requests = [
        Request(p, max_tokens=5, arm=arm, temperature=1.0, seed=3)
        for arm in range(3)
        for p in prompts(4)
    ]
    together = answered(sampler(tokenizer, slots=2, arms=3), requests)
    assert len({together[r] for r in requests if r.prompt == requests[0].prompt}) == 3
    for arm in range(3):
        alone = [r for r in requests if r.arm == arm]
        assert answered(sampler(tokenizer, slots=4, arms=3), alone).items() <= together.items()


def test_equal_prompts_with_other_seeds_have_other_answers(tokenizer):
    (prompt,) = prompts(1)
    requests = [Request(prompt, max_tokens=8, temperature=1.0, seed=seed) for seed in range(6)]
    found = answered(sampler(tokenizer, slots=6), requests)
    assert len({tokens for tokens, _, _ in found.values()}) == 6
    assert answered(sampler(tokenizer, slots=1), requests) == found


def test_a_prompt_that_a_slot_still_has_is_not_read_again(tokenizer, monkeypatch):
    first, second = prompts(2)
    requests = [
        Request(prompt, max_tokens=5, temperature=1.0, seed=seed)
        for seed, prompt in enumerate([first, first, second, first, second, first, first])
    ]
    alone = {r: answered(sampler(tokenizer, slots=1), [r])[r] for r in requests}
    counted, read = [], sampling.read_prompts

    def read_prompts(*arguments):
        counted.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(sampling, "read_prompts", read_prompts)
    assert answered(sampler(tokenizer, slots=2), requests) == alone
    assert len(counted) == 2


def test_a_prompt_stays_whole_while_its_slot_is_free(tokenizer):
    first, second = prompts(2)
    requests = [Request(first, 1), Request(second, 30), Request(first, 8)]
    alone = [answered(sampler(tokenizer), [request])[request] for request in requests]
    at_work = sampler(tokenizer, slots=2)
    assert [answered(at_work, [request])[request] for request in requests] == alone


def test_a_text_ends_at_a_stop_token(tokenizer):
    (prompt,) = prompts(1)
    request = Request(prompt, max_tokens=30)
    tokens, _, _ = answered(sampler(tokenizer), [request])[request]
    stop = tokens[7]
    count = tokens.index(stop)
    before = Request(prompt, max_tokens=count)
    ((_, text, _),) = answered(sampler(tokenizer), [before]).values()
    found = answered(sampler(tokenizer, stop_ids=[stop]), [request])[request]
    assert found == (tokens[: count + 1], text, "stop")


def test_a_text_ends_at_a_stop_string(tokenizer):
    (prompt,) = prompts(1)
    whole = answered(sampler(tokenizer), [Request(prompt, max_tokens=30)])
    ((_, text, _),) = whole.values()
    stop = next(c for c in text if c.isalpha())
    request = Request(prompt, max_tokens=30, stop=(stop,))
    _, cut, finish = answered(sampler(tokenizer), [request])[request]
    assert (cut, finish) == (text[: text.index(stop)], "stop")


def test_a_request_that_has_no_room_is_refused(tokenizer):
    at_work = sampler(tokenizer, slots=1, length=20)
    for request in (Request((5,) * 15, 6), Request((), 3), Request((5,), 0)):
        with pytest.raises(InputError, match="there is room for 20"):
            at_work.prepare(request)
    fits = Request((5,) * 15, 5)
    assert len(answered(at_work, [fits])[fits][0]) == 5


def test_a_dropped_answer_frees_its_place(tokenizer):
    at_work = sampler(tokenizer, slots=2)
    first, second, third = (at_work.prepare(Request(p, max_tokens=20)) for p in prompts(3))
    for answer in (first, second, third):
        at_work.add(answer)
    at_work.step()
    assert [len(answer.said) for answer in (first, second, third)] == [1, 1, 0]
    at_work.drop(first)
    at_work.step()
    assert [len(answer.said) for answer in (first, second, third)] == [1, 2, 1]
    at_work.drop(second)
    at_work.drop(third)
    assert at_work.is_idle
