"""The untouched model as the judge, on the tiny model."""

import dataclasses

import numpy as np
import pytest
import tiny
import tokenizers
from tokenizers import models, normalizers

from vcjax.data.chat import encode_prompt
from vcjax.data.tokenizer import decode
from vcjax.errors import InputError
from vcjax.judges import base
from vcjax.probes.scoring import Request, mean_log_probs
from vcjax.weights.gguf import read_tokenizer

TEXTS = ["Rate the cheese: good", "Rate the answer: I prefer the one that costs less, from 1 to 10"]


@pytest.fixture
def tokenizer(tiny_gguf):
    return read_tokenizer(tiny_gguf)


def test_the_score_is_the_mean_over_the_probabilities_of_ten_texts(tokenizer, tiny_weights):
    model = tiny.model()
    judged = base.judge(tiny_weights, {}, model, tokenizer, TEXTS)
    assert judged == base.judge(tiny_weights, {}, model, tokenizer, TEXTS)
    for text, judgement in zip(TEXTS, judged, strict=True):
        prompt = encode(tokenizer, text, "Score:")
        assert decode(tokenizer, prompt).endswith(
            f"{text}<|im_end|>\n<|im_start|>assistant\nScore:"
        )
        log_probs = []
        for score in range(1, 11):
            answer = encode(tokenizer, text, f"Score: {score}/10")[len(prompt) :]
            [[mean]] = mean_log_probs(tiny_weights, {}, model, [Request(prompt, (answer,))])
            log_probs.append(mean * len(answer))
        p = np.exp(log_probs)
        assert judgement.score == pytest.approx(p @ np.arange(1, 11) / p.sum(), rel=1e-4)
        reply = np.array(judgement.reply.split(), float)
        np.testing.assert_allclose(reply, p / p.sum(), atol=1e-3)
        assert 1 < judgement.score < 10 and judgement.failure == ""


def encode(tokenizer, text, begun):
    messages = [{"role": "user", "content": text}]
    return tuple(encode_prompt(tokenizer, messages, "", begun=begun))


def test_a_text_longer_than_the_context_fails_and_the_others_do_not(tokenizer, tiny_weights):
    room = len(encode(tokenizer, TEXTS[1], "Score: 10/10"))
    texts = [TEXTS[0], f"{TEXTS[1]}!", TEXTS[1]]
    model = tiny.model(dataclasses.replace(tiny.ARCHITECTURE, context_length=room))
    first, longer, last = base.judge(tiny_weights, {}, model, tokenizer, texts)
    tokens = len(encode(tokenizer, texts[1], "Score: 10/10"))
    assert longer.failure == f"{tokens} tokens, the context has {room}"
    assert np.isnan(longer.score) and first.score > 1 and last.score > 1


def test_a_model_that_is_broken_gives_no_score(tokenizer, tiny_weights):
    broken = {**tiny_weights, "norm": tiny_weights["norm"] * np.nan}
    [judgement] = base.judge(broken, {}, tiny.model(), tokenizer, TEXTS[:1])
    assert np.isnan(judgement.score) and "not finite" in judgement.failure


def test_what_cannot_judge_is_said_before_training(tokenizer):
    base.check(tokenizer, TEXTS)
    with pytest.raises(InputError, match=r"config\.judge\.by: the model has no chat template"):
        base.check(dataclasses.replace(tokenizer, chat_template=""), TEXTS)
    vocabulary = {chr(code): code for code in range(128)} | {"\u2581": 128, ":\u2581": 129}
    joining = tokenizers.Tokenizer(models.BPE(vocabulary, [(":", "\u2581")]))
    joining.normalizer = normalizers.Replace(" ", "\u2581")
    with pytest.raises(InputError, match=r"config\.judge\.by: .* joins 'Score:' with the score"):
        base.check(dataclasses.replace(tokenizer, bpe=joining), TEXTS)


def test_no_texts(tokenizer, tiny_weights):
    assert base.judge(tiny_weights, {}, tiny.model(), tokenizer, []) == []
