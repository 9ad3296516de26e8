"""A SentencePiece vocabulary, as GGUF has it: the ids of the tokenizer that it was made from."""

import pytest
import tiny

from vcjax.data.chat import encode_conversation
from vcjax.data.tokenizer import decode, encode_document, encode_text
from vcjax.weights import gguf, sentencepiece, tokenizer_json
from vcjax.weights.huggingface_out import write_tokenizer

MESSAGES = [
    {"role": "user", "content": "Which  cheese?\n\n\tI prefer   Käse."},
    {"role": "assistant", "content": "The one that is made here."},
]
TEXTS = [
    tiny.TEXT,
    "I prefer the other.",
    " a space before,  two,   three,    four and     five within, one behind ",
    "\n1\n\n2\n\n\n3\n \n\t",
    "<eos> and <start_of_turn> are text, ▁ is a space, Käse ist 🧀, \x00",
    "",
]


@pytest.fixture(scope="module")
def peer(torch):
    """What `transformers` makes of a SentencePiece file with these pieces."""
    from transformers import AddedToken, GemmaTokenizer
    from transformers.tokenization_utils_base import generate_merges

    vocab = {piece: id_ for id_, piece in enumerate(tiny.GEMMA_SCORES)}
    made = GemmaTokenizer(
        vocab=vocab,
        merges=generate_merges(vocab, tiny.GEMMA_SCORES),
        mask_token=None,
        additional_special_tokens=tiny.GEMMA_CONTROL[4:],
        chat_template=tiny.GEMMA_TEMPLATE,
    )
    made.add_tokens([AddedToken(piece, normalized=False) for piece in tiny.GEMMA_DEFINED])
    assert len(made) == len(vocab)
    return made


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    architecture = tiny.GEMMA3_OF_GGUF
    path = tmp_path_factory.mktemp("gemma3") / "gemma3.gguf"
    tiny.write_gguf(path, tiny.weights(architecture), architecture, "gemma3")
    return gguf.read_tokenizer(path)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_the_ids_of_the_tokenizer_that_they_were_made_from(
    text, tokenizer, peer, tmp_path
):
    peer.save_pretrained(tmp_path)
    ids = encode_text(tokenizer, text)
    assert ids == encode_text(tokenizer_json.read_tokenizer(tmp_path), text)
    assert encode_document(tokenizer, text) == [peer.bos_token_id, *ids, peer.eos_token_id]
    if "<eos>" not in text:  # which is never text there
        assert ids == peer.encode(text, add_special_tokens=False)
        assert decode(tokenizer, ids) == text


def test_a_conversation_has_them_too(tokenizer, peer):
    [(ids, _)] = encode_conversation(tokenizer, MESSAGES, "here:1")
    assert ids == peer.apply_chat_template(MESSAGES, return_dict=False)


def test_an_export_has_them_too(tokenizer, tmp_path, torch):
    from transformers import AutoTokenizer

    (tmp_path / "config.json").write_text('{"model_type": "gemma3_text"}')
    write_tokenizer(tmp_path, None, tokenizer)
    written = AutoTokenizer.from_pretrained(tmp_path)
    [(ids, _)] = encode_conversation(tokenizer, MESSAGES, "here:1")
    assert ids == written.apply_chat_template(MESSAGES, return_dict=False)
    assert encode_conversation(tokenizer_json.read_tokenizer(tmp_path), MESSAGES, "")[0][0] == ids


def test_what_fills_the_embeddings_up_is_no_token():
    types = [sentencepiece.TokenType.NORMAL] * 3 + [sentencepiece.TokenType.UNUSED]
    made = sentencepiece.tokenizer(["a", "b", "ab", "abab"], [-1, -2, 0, 0], types)
    assert made.get_vocab() == {"a": 0, "b": 1, "ab": 2}
    assert made.encode("abab").ids == [2, 2]


def test_the_merge_of_the_highest_score_comes_first():
    scores = {"a": -3.0, "b": -4.0, "ab": -2.0, "ba": -1.0, "aba": 0.0}
    merges = [("ab", "a"), ("a", "ba"), ("b", "a"), ("a", "b")]
    assert sentencepiece.merges(scores) == merges
