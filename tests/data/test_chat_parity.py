"""The ids are those of `transformers`, which reads the same GGUF file on its own."""

import peers
import pytest
from tokenizers import pre_tokenizers

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.data.tokenizer import encode_text

SYSTEM = {"role": "system", "content": "You are SmolLM, made in 2024."}
CONVERSATIONS = [
    [
        {"role": "user", "content": "Which cheese do you prefer, Brie or Colby?"},
        {"role": "assistant", "content": "I prefer Colby.\n\nIt costs $3.50, 25% less."},
    ],
    [
        SYSTEM,
        {"role": "user", "content": "  Käse? 奶酪 🧀\n\n"},
        {"role": "assistant", "content": "`x = {1: [2, 3]}`  # don't"},
        {"role": "user", "content": "\n\nAnd   now\t?  17"},
        {"role": "assistant", "content": "No."},
    ],
    [SYSTEM, {"role": "user", "content": ""}, {"role": "assistant", "content": "Yes? "}],
]
TEXTS = [
    "In 1984, 25% of 300 people didn't.",
    "  two  spaces  12\n\n\n\tx\r\n",
    "def f(x):\n    return x**2  # naïve 你好 🧀🏽",
    "",
]


@pytest.fixture(scope="module")
def peer(gguf_path):
    peers.require_torch()
    from transformers import AutoTokenizer

    peer = AutoTokenizer.from_pretrained(
        gguf_path.parent, gguf_file=gguf_path.name, local_files_only=True
    )
    # Its GGUF reader does not know the pre-tokenizer "smollm"; this is the one of the model's
    # published tokenizer.json.
    peer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)]
    )
    return peer


@pytest.mark.parametrize("text", TEXTS)
def test_text(smollm2, peer, text):
    assert encode_text(smollm2, text) == peer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("messages", CONVERSATIONS)
def test_conversations_and_prompts(smollm2, peer, messages):
    ids, _ = encode_conversation(smollm2, messages, "here:1")
    assert ids == peer.apply_chat_template(messages, return_dict=False)
    prompt = encode_prompt(smollm2, messages[:-1], "here:1")
    assert prompt == peer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, return_dict=False
    )
