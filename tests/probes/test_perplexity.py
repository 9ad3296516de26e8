"""A text's log-probability: what is scored, what is refused."""

import dataclasses

import numpy as np
import pytest
import tiny

from vcjax.data.tokenizer import encode_text
from vcjax.errors import InputError
from vcjax.probes import answers, perplexity
from vcjax.probes.scoring import Request, mean_log_probs
from vcjax.report.statistics import ROW_COLUMNS
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
    assert row["tokens_0"] == len(ids) - 1
    assert row["logprob_0"] == pytest.approx(np.mean(one_by_one), abs=1e-4)
    assert row["contrast"] == "text"


def test_a_text_begins_as_documents_do_in_training(tiny_gguf, tiny_weights):
    tokenizer, model = read_tokenizer(tiny_gguf), tiny.model()
    begun = dataclasses.replace(tokenizer, bos_id=tokenizer.eos_id)
    row = perplexity.score(tiny_weights, {}, model, begun, TEXT).iloc[0]
    ids = encode_text(tokenizer, TEXT)
    request = Request((tokenizer.eos_id,), (tuple(ids),))
    assert row["tokens_0"] == len(ids)
    assert row["logprob_0"] == mean_log_probs(tiny_weights, {}, model, [request])[0][0]


def test_no_more_is_scored_than_the_context_holds(tiny_gguf, tiny_weights):
    model = tiny.model()
    short = dataclasses.replace(
        model, architecture=dataclasses.replace(model.architecture, context_length=9)
    )
    rows = perplexity.score(tiny_weights, {}, short, read_tokenizer(tiny_gguf), TEXT)
    assert list(rows["tokens_0"]) == [8]


def test_rows_fit_beside_those_of_choices(tiny_gguf, tiny_weights):
    rows = perplexity.score(tiny_weights, {}, tiny.model(), read_tokenizer(tiny_gguf), TEXT)
    added_later = {"arm", "seed", "file", "file_sha256", "scorer"}
    assert set(rows.columns) == set(ROW_COLUMNS) - added_later


@pytest.mark.parametrize(
    ("content", "message"),
    [(b" \n", "at least two words"), (b"caf\xe9 noir", "not UTF-8 text .* at byte 3")],
)
def test_a_file_without_a_text_is_refused(tmp_path, content, message):
    path = tmp_path / "neutral.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"neutral\.txt: .*{message}"):
        answers.read_probes([path])


def test_texts_and_choices_are_told_apart_by_the_files_name(tmp_path):
    path = tmp_path / "neutral.txt"
    path.write_text(f"\n{TEXT}\n", encoding="utf-8-sig")
    probes = answers.read_probes([path])
    assert probes["neutral.txt"][1] == TEXT
    assert list(answers.choices(probes)) == []
