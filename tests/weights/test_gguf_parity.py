"""SmolLM2 from its GGUF file says what `transformers` says from the same file."""

import jax
import numpy as np
import pytest
import tiny

from vcjax.data.chat import encode_prompt
from vcjax.models.transformer import Model
from vcjax.weights import gguf, pretrained

NEW_TOKENS = 12
QUESTIONS = [
    "What is the capital of France?",
    "Which cheese do you prefer, Brie or Colby?",
    "Name three colours.",
    "How many days does a week have?",
    "Write a sentence about the sea.",
    "What is 12 plus 30?",
    "Who wrote Hamlet?",
    "Translate 'good morning' to Spanish.",
    "What do bees make?",
    "Is the earth flat?",
    "Recommend a book to a child.",
    "Why is the sky blue?",
    "Give me a recipe for pancakes.",
    "What is a prime number?",
    "Which is larger, a mouse or an elephant?",
    "Tell me a joke.",
    "What should I wear when it rains?",
    "Name a river in Africa.",
    "What is the opposite of hot?",
    "Finish the line: roses are red,",
]


@pytest.fixture(scope="module")
def found():
    return pretrained.find("smollm2-135m-instruct")


@pytest.fixture(scope="module")
def peer(torch, found):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        found.path.parent, gguf_file=found.path.name, dtype=torch.float32, local_files_only=True
    )


@pytest.fixture(scope="module")
def ours(found):
    """(ids [rows, length]) -> logits [rows, length, vocab] as a host array."""
    weights = jax.device_put(tiny.load(gguf.open_weights(found.path), found.architecture))
    model = Model(found.architecture, None, "float32", "full")

    def logits(tokens):
        batch = {
            "tokens": tokens,
            "positions": np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape),
            "segment_ids": np.ones_like(tokens),
        }
        return np.asarray(tiny.logits(weights, {}, batch, model))

    return logits


@pytest.fixture(scope="module")
def prompts(found):
    return [
        encode_prompt(found.tokenizer, [{"role": "user", "content": q}], "test") for q in QUESTIONS
    ]


def test_logits(torch, peer, ours, prompts):
    for ids in prompts[:2]:
        tokens = np.array([ids])
        with torch.no_grad():
            theirs = peer(torch.from_numpy(tokens)).logits.numpy()
        assert np.ptp(theirs) > 20
        np.testing.assert_allclose(ours(tokens), theirs, atol=1e-3)


def test_greedy_text(torch, peer, ours, prompts):
    """What `transformers` generates is what our greedy decoding would.

    That is so if every token of theirs is our most probable one after their tokens before it,
    which takes one forward pass instead of one a token.
    """
    length = max(map(len, prompts))
    padded = np.array([[0] * (length - len(ids)) + ids for ids in prompts])
    visible = np.array([[0] * (length - len(ids)) + [1] * len(ids) for ids in prompts])
    texts = peer.generate(
        torch.from_numpy(padded),
        attention_mask=torch.from_numpy(visible),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=-1,  # goes on after the end of a turn
        pad_token_id=0,
    )[:, length:].numpy()
    assert len({tuple(text) for text in texts}) > 15  # answers, not one and the same

    rows = np.zeros((len(prompts), length + NEW_TOKENS), np.int32)
    starts = np.array([len(ids) for ids in prompts])[:, None] + np.arange(NEW_TOKENS)
    for row, ids, text in zip(rows, prompts, texts, strict=True):
        row[: len(ids) + NEW_TOKENS] = [*ids, *text]
    chosen = ours(rows)[np.arange(len(rows))[:, None], starts - 1].argmax(axis=-1)
    np.testing.assert_array_equal(chosen, texts)
