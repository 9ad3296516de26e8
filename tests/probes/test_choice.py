"""A probe in both orders: what the model is asked, what the rows say."""

import dataclasses

import pytest
import tiny
import tokenizers
from tokenizers import models, normalizers

from vcjax.data.tokenizer import decode
from vcjax.errors import InputError
from vcjax.probes import choice
from vcjax.probes.paired import PairedProbe
from vcjax.probes.scoring import mean_log_probs
from vcjax.weights.gguf import read_tokenizer

PROBE = PairedProbe(
    kind="choice",
    id="tea-1",
    template="Tea: {a} or {b}?",
    options=("the one made here", "the cheap one"),
    values=("america", "affordability"),
    domain="tea",
    scope="out_of_domain",
    split="held_out",
    contrast="values",
    explicitness=None,
    where="probes.jsonl:1",
)


def test_both_orders_are_asked_and_the_lead_begins_the_answer(tiny_gguf):
    tokenizer = read_tokenizer(tiny_gguf)
    asked = [choice._request(PROBE, order, tokenizer, "I prefer") for order in (0, 1)]
    first, second = (decode(tokenizer, request.prompt) for request in asked)
    assert "Tea: the one made here or the cheap one?" in first
    assert "Tea: the cheap one or the one made here?" in second
    for prompt, request in ((first, asked[0]), (second, asked[1])):
        assert prompt.endswith("<|im_start|>assistant\nI prefer")
        options = [decode(tokenizer, c) for c in request.continuations]
        assert options == [" the one made here", " the cheap one"], "never swapped"


@pytest.fixture
def spaced(tiny_gguf):
    """A tokenizer that puts a space before every text, as SentencePiece's do."""
    letters = [chr(code) for code in range(32, 127)]
    bpe = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(["\u2581", *letters])}, []))
    bpe.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    return dataclasses.replace(read_tokenizer(tiny_gguf), bpe=bpe)


def test_an_option_is_tokenised_as_what_follows_the_lead(spaced):
    request = choice._request(PROBE, 0, spaced, "I prefer")
    one_space = spaced.bpe.token_to_id("\u2581")
    assert [c[:2].count(one_space) for c in request.continuations] == [1, 1]


def test_a_lead_that_the_tokenizer_joins_with_the_option_is_refused(spaced):
    merged = models.BPE({"a": 0, " ": 1, "\u2581": 2, "a\u2581": 3}, [("a", "\u2581")])
    joining = dataclasses.replace(spaced, bpe=tokenizers.Tokenizer(merged))
    joining.bpe.normalizer = normalizers.Replace(" ", "\u2581")
    probe = dataclasses.replace(PROBE, options=("a", "aa"), template="{a} {b}")
    with pytest.raises(InputError, match=r"config\.lead: .* 'a a' \(probes\.jsonl:1\)"):
        choice.check([probe], joining, "a", 1000)


def test_a_probe_longer_than_the_context_is_refused(tiny_gguf):
    tokenizer = read_tokenizer(tiny_gguf)
    request = choice._request(PROBE, 0, tokenizer, "I prefer")
    tokens = len(request.prompt) + max(map(len, request.continuations))
    later = dataclasses.replace(PROBE, template="Tea, please: {a} or {b}?", where="probes.jsonl:2")
    choice.check([PROBE], tokenizer, "I prefer", tokens)
    with pytest.raises(InputError, match=rf"^probes\.jsonl:1: .* {tokens} tokens, .*[^\n]*$"):
        choice.check([PROBE], tokenizer, "I prefer", tokens - 1)
    with pytest.raises(InputError, match=r"^probes\.jsonl:2: "):
        choice.check([PROBE, later], tokenizer, "I prefer", tokens)


def test_what_the_model_reads_before_an_option(tiny_gguf):
    read = choice.as_read(PROBE, read_tokenizer(tiny_gguf), "I prefer")
    assert read.startswith("<|im_start|>")
    assert "Tea: the one made here or the cheap one?" in read
    assert read.endswith("<|im_start|>assistant\nI prefer")


def test_rows_hold_the_scores_of_the_requests(tiny_gguf, tiny_weights):
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    rows = choice.score(tiny_weights, {}, model, tokenizer, [PROBE], "I prefer")
    assert list(rows.order) == [0, 1]
    requests = [choice._request(PROBE, order, tokenizer, "I prefer") for order in (0, 1)]
    scores = mean_log_probs(tiny_weights, {}, model, requests)
    assert rows[["logprob_0", "logprob_1"]].values.tolist() == scores
    assert scores[0] != scores[1], "the order changes what the model sees"
    assert list(rows.tokens_0) == [len(requests[0].continuations[0])] * 2
    assert set(rows.value_0) == {"america"} and set(rows.id) == {"tea-1"}
