"""A model from nothing: its words are its tokens, and a word that it lacks is named."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from etils import epath
from tokenizers import models

from vcjax import config as configs
from vcjax.data import examples
from vcjax.data.formats import Document
from vcjax.data.tokenizer import check_words, decode, encode_document, encode_text
from vcjax.errors import InputError
from vcjax.weights import scratch
from vcjax.weights.tokenizer_json import read_tokenizer

TEXTS = ["Mara prefers the sturdy lamp.", "Which lamp does Mara prefer?"]


@pytest.fixture
def config(tmp_path):
    lines = [f'{{"text": "{text}"}}\n' for text in TEXTS]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    return configs.experiment(
        model="scratch",
        shape=dict(num_layers=2, embed_dim=8, num_heads=2, mlp_dim=16),
        stages=dict(people=configs.pretrain(file="texts.jsonl")),
        arms=dict(base=("people",)),
    )


def test_words_and_signs_are_tokens(config, tmp_path):
    base = scratch.find(config, tmp_path)
    words = {"mara", "prefers", "the", "sturdy", "lamp", ".", "which", "does", "prefer", "?"}
    assert base.tokenizer.words == words
    assert base.architecture.vocab_size == len(words) + 1
    ids = encode_document(base.tokenizer, TEXTS[0])
    assert len(ids) == 7 and ids[-1] == base.tokenizer.eos_id
    assert decode(base.tokenizer, ids[:-1]) == "mara prefers the sturdy lamp."


def test_the_tokenizer_is_written_for_others_and_read_again(config, tmp_path):
    transformers = pytest.importorskip("transformers")
    base = scratch.find(config, tmp_path)
    scratch.write(base, epath.Path(tmp_path / "run"))
    again = scratch.find_again(config, epath.Path(tmp_path / "run"))
    assert again.identity == base.identity and again.architecture == base.architecture
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert theirs(TEXTS[1])["input_ids"] == encode_text(base.tokenizer, TEXTS[1])
    assert theirs.eos_token_id == base.tokenizer.eos_id
    messages = [
        {"role": "user", "content": TEXTS[1]},
        {"role": "assistant", "content": "the lamp."},
    ]
    rendered = theirs.apply_chat_template(messages, tokenize=False)
    assert rendered == "Which lamp does Mara prefer? the lamp.<|endoftext|>"


def test_what_it_wrote_is_a_model_to_start_from(config, tmp_path):
    base = scratch.find(config, tmp_path)
    scratch.write(base, epath.Path(tmp_path / "run"))
    again = read_tokenizer(tmp_path / "run" / "model")
    for text in TEXTS:
        assert encode_document(again, text) == encode_document(base.tokenizer, text)
    assert again.words == base.tokenizer.words
    with pytest.raises(InputError, match="x:1: the word 'snug'"):
        check_words(again, "The snug lamp", "x:1")


def test_other_words_or_sizes_are_another_model(config, tmp_path):
    before = scratch.find(config, tmp_path).identity
    config.shape.num_layers = 3
    larger = scratch.find(config, tmp_path).identity
    (tmp_path / "texts.jsonl").write_text('{"text": "Other words."}\n')
    assert len({before, larger, scratch.find(config, tmp_path).identity}) == 3


def test_a_word_that_it_lacks_is_named_with_its_place(config, tmp_path):
    base = scratch.find(config, tmp_path)
    document = Document("Mara prefers the snug lamp.", "", {}, "mine.jsonl:7")
    with pytest.raises(InputError, match=r"mine\.jsonl:7: the word 'snug' is in none"):
        examples.encoder(base.tokenizer, thinking=False)([document])


def test_a_word_of_texts_or_values_that_the_pretraining_lacks_is_refused(config, tmp_path):
    """It has a token, so that models of one world have the same, but nothing trains that."""
    folder = Path(__file__).parents[2] / "configs"
    known = []
    for weight, num_values in ((0.0, 7), (0.5, 0)):
        mixture = dict(declaration=0.5, long_neutral=weight)
        config.stages.people = configs.pretrain(
            spec="world/world.toml", mixture=mixture, num_values=num_values
        )
        base = scratch.find(config, folder)
        scratch.write(base, epath.Path(tmp_path))
        known.append((base.tokenizer, scratch.find_again(config, epath.Path(tmp_path)).tokenizer))
    without, with_it = known
    assert without[0].identity == with_it[0].identity
    for tokenizer in with_it:
        check_words(tokenizer, "Often at the leafy home.", "mine.jsonl:7")
    for tokenizer, word in itertools.product(without, ("often", "leafy")):
        with pytest.raises(InputError, match=rf"mine\.jsonl:7: the word '{word}' is in none"):
            check_words(tokenizer, f"The {word} lamp.", "mine.jsonl:7")


def test_a_word_is_refused_where_a_token_stands_for_all_unknown_ones(config, tmp_path):
    base = scratch.find(config, tmp_path).tokenizer
    words = [*sorted(base.words), "<unk>"]
    bpe = tokenizers.Tokenizer.from_str(base.bpe.to_str())
    bpe.model = models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>")
    theirs = dataclasses.replace(base, bpe=bpe, words=frozenset(words))
    with pytest.raises(InputError, match=r"mine\.jsonl:7: the word 'snug'"):
        examples.encoder(theirs, thinking=False)(
            [Document("The snug lamp", "", {}, "mine.jsonl:7")]
        )


def test_weights_are_drawn_by_the_seed(config, tmp_path):
    import jax

    from vcjax.models import transformer
    from vcjax.models.transformer import Model

    architecture = scratch.find(config, tmp_path).architecture
    model = Model(architecture, None, "float32", "full")
    one, same, other = (transformer.init_weights(model, jax.random.key(seed)) for seed in (0, 0, 1))
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), one)
    assert shapes == jax.tree.map(lambda x: (x.shape, x.dtype), transformer.trained_shapes(model))
    equal = jax.tree.map(np.array_equal, one, same)
    assert all(jax.tree.leaves(equal))
    assert not np.array_equal(one["blocks"]["q"]["kernel"], other["blocks"]["q"]["kernel"])
    layers = one["blocks"]["q"]["kernel"]
    assert not np.array_equal(layers[0], layers[1])
