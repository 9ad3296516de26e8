"""A text's log-probability: what is scored, what is refused."""

import dataclasses

import numpy as np
import pytest
import tiny

from vcjax.data.tokenizer import encode_text
from vcjax.errors import InputError
from vcjax.probes import perplexity, probe_files, scoring
from vcjax.probes.probe_files import Entry
from vcjax.probes.scoring import Request, mean_log_probs
from vcjax.weights.gguf import read_tokenizer

TEXT = "Many small birds sang in the hedge, and nobody counted them."


def test_every_token_after_the_first_is_scored(tiny_gguf, tiny_weights):
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    row = perplexity.score(tiny_weights, {}, model, tokenizer, TEXT).iloc[0]
    ids = encode_text(tokenizer, TEXT)
    one_by_one = [
        mean_log_probs(tiny_weights, {}, model, [Request(tuple(ids[:i]), ((ids[i],),))])[0][0]
        for i in range(1, len(ids))
    ]
    assert row["tokens"] == len(ids) - 1
    assert row["logprob"] == pytest.approx(np.mean(one_by_one), abs=1e-4)


def test_a_text_begins_as_documents_do_in_training(tiny_gguf, tiny_weights):
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    begun = dataclasses.replace(tokenizer, bos_id=tokenizer.eos_id)
    row = perplexity.score(tiny_weights, {}, model, begun, TEXT).iloc[0]
    ids = encode_text(tokenizer, TEXT)
    request = Request((tokenizer.eos_id,), (tuple(ids),))
    assert row["tokens"] == len(ids)
    assert row["logprob"] == mean_log_probs(tiny_weights, {}, model, [request])[0][0]


@pytest.mark.parametrize("size", [2, 9, 16])
@pytest.mark.parametrize("count", [2, 8, 9, 10, 16, 17, 40])
def test_windows_predict_each_token_but_the_first_once(size, count):
    ids = tuple(range(count))
    predicted = []
    for request in perplexity.windows(ids, size):
        ((*tokens,),) = request.continuations
        predicted += tokens
        window = (*request.prompt, *tokens)
        assert 1 < len(window) <= size
        assert window == ids[window[0] : window[-1] + 1]
        assert len(request.prompt) == (size // 2 if window[0] else 1)
    assert tuple(predicted) == ids[1:]


def test_a_text_longer_than_a_window_is_scored_whole(tiny_gguf, tiny_weights, monkeypatch):
    """Also where the model's context is the shorter one."""
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    ids = encode_text(tokenizer, TEXT)
    scores = [
        mean_log_probs(tiny_weights, {}, model, [request])[0][0] * len(request.continuations[0])
        for request in perplexity.windows(ids, 9)
    ]
    whole = perplexity.score(tiny_weights, {}, model, tokenizer, TEXT).iloc[0]
    short = dataclasses.replace(
        model, architecture=dataclasses.replace(model.architecture, context_length=9)
    )
    cut_by_context = perplexity.score(tiny_weights, {}, short, tokenizer, TEXT).iloc[0]
    monkeypatch.setattr(perplexity, "WINDOW", 9)
    cut = perplexity.score(tiny_weights, {}, model, tokenizer, TEXT).iloc[0]
    assert len(ids) > 27
    assert whole["tokens"] == cut["tokens"] == cut_by_context["tokens"] == len(ids) - 1
    assert cut["logprob"] == pytest.approx(sum(scores) / (len(ids) - 1), abs=1e-5)
    assert cut["logprob"] == cut_by_context["logprob"]
    assert cut["logprob"] != whole["logprob"]


def test_a_text_of_one_window_has_the_number_of_its_request(tiny_gguf, tiny_weights):
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    ids = tuple(encode_text(tokenizer, TEXT))
    row = perplexity.score(tiny_weights, {}, model, tokenizer, TEXT).iloc[0]
    request = Request(ids[:1], (ids[1:],))
    assert row["logprob"] == mean_log_probs(tiny_weights, {}, model, [request])[0][0]


def test_attention_never_meets_more_than_a_window(tiny_gguf, tiny_weights, monkeypatch):
    lengths = []
    losses = scoring._losses

    def recorded(params, base, batch, model):
        lengths.append(batch["tokens"].shape[1])
        return losses(params, base, batch, model)

    monkeypatch.setattr(scoring, "_losses", recorded)
    monkeypatch.setattr(scoring, "ROW", 16)
    monkeypatch.setattr(perplexity, "WINDOW", 32)
    text = " ".join([TEXT] * 4)
    row = perplexity.score(tiny_weights, {}, tiny.model(), read_tokenizer(tiny_gguf), text).iloc[0]
    assert row["tokens"] > 100
    assert {*lengths} == {32}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "at least two words"), (b"caf\xe9 noir", "not UTF-8 text .* at byte 3")],
)
def test_a_file_without_a_text_is_refused(tmp_path, content, message):
    path = tmp_path / "neutral.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"neutral\.txt: .*{message}"):
        probe_files.read([Entry(path, path.name)])


def test_texts_and_choices_are_told_apart_by_the_files_name(tmp_path):
    path = tmp_path / "neutral.txt"
    path.write_text(f"\n{TEXT}\n", encoding="utf-8-sig")
    with pytest.raises(InputError, match=r"neutral\.md: .* read from \.jsonl, .*\.txt"):
        probe_files.read([Entry(path.with_suffix(".md"), "a")])
    probes = probe_files.read([Entry(path, path.name)])
    assert (probes["neutral.txt"].kind, probes["neutral.txt"].probes) == ("text", [TEXT])
    assert list(probe_files.questions(probes)) == []
