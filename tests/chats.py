"""Conversations, masks as text, and each family's template and control tokens.

The families' tokenizers have the tiny model's bytes and merges, and their own control tokens; the
templates are in tests/data/chat_templates.
"""

from pathlib import Path
from typing import Any

import tiny
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from vcjax.data.chat import encode_conversation
from vcjax.data.tokenizer import Tokenizer, decode

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Which cheese?"}
ANSWER = {"role": "assistant", "content": "Colby.", "reasoning": "It is cheap."}
WHY = {"role": "user", "content": "Why?"}
REASON = {"role": "assistant", "content": "It costs less.", "reasoning": "As said."}
TALK = [SYSTEM, USER, ANSWER, WHY, REASON]

PRICE = {
    "type": "function",
    "function": {"name": "price", "description": "Asks.", "parameters": {"type": "object"}},
}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "function": {"name": "price", "arguments": {"of": "Colby", "kg": 1}},
            "id": "a1B2c3D4e",
        }
    ],
}
RESULT = {"role": "tool", "content": "3.50", "name": "price", "tool_call_id": "a1B2c3D4e"}
TOOLS = [USER, CALL, RESULT, ANSWER]

TEMPLATES = Path(__file__).parent / "data" / "chat_templates"

LLAMA = [
    "<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
    "<|eot_id|>",
]  # fmt: skip
QWEN2_5 = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
QWEN3 = [*QWEN2_5, "<tool_response>", "</tool_response>", "<think>", "</think>"]
MISTRAL = [
    "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
]  # fmt: skip

LLAMA_NAMES = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
QWEN_NAMES = {"eos_token": "<|im_end|>"}
MISTRAL_NAMES = {"bos_token": "<s>", "eos_token": "</s>"}

FAMILIES = {  # name of the template -> control tokens, what the template may write by name
    "llama3_2": (LLAMA, LLAMA_NAMES),
    "llama3_generation": (LLAMA, LLAMA_NAMES),
    "qwen2_5": (QWEN2_5, QWEN_NAMES),
    "qwen2_5_generation": (QWEN2_5, QWEN_NAMES),
    "qwen3": (QWEN3, QWEN_NAMES),
    "qwen3_generation": (QWEN3, QWEN_NAMES),
    "mistral_v3": (MISTRAL, MISTRAL_NAMES),
    "mistral_nemo": (MISTRAL, MISTRAL_NAMES),
}
TAGGED = [family for family in FAMILIES if family.endswith("_generation")]


def template(family: str) -> str:
    return (TEMPLATES / f"{family}.jinja").read_text("utf-8")


def tokenizer(family: str) -> Tokenizer:
    return of(template(family), *FAMILIES[family])


def of(template: str, control: list[str], names: dict[str, str]) -> Tokenizer:
    """control: the control tokens. names: those that the template may write by name."""
    bpe = _bpe()
    first = bpe.get_vocab_size()
    return Tokenizer(
        bpe=bpe,
        control={token: first + i for i, token in enumerate(control)},
        chat_template=template,
        bos_id=first if "bos_token" in names else None,
        eos_id=first + control.index(names["eos_token"]),
        template_tokens=names,
        identity=template,
    )


def peer(family: str) -> Any:
    """The same tokenizer in `transformers`."""
    return peer_of(template(family), *FAMILIES[family])


def peer_of(template: str, control: list[str], names: dict[str, str]) -> Any:
    from transformers import PreTrainedTokenizerFast

    bpe = _bpe()
    bpe.add_special_tokens(
        [tokenizers.AddedToken(token, special=True, normalized=False) for token in control]
    )
    return PreTrainedTokenizerFast(tokenizer_object=bpe, chat_template=template, **names)


def shown(tokenizer: Tokenizer, messages: list[dict], **options: Any) -> list[str]:
    """The examples as text, what is trained on in [[...]]."""
    return [
        _shown(tokenizer, ids, weights)
        for ids, weights in encode_conversation(tokenizer, messages, "here:1", **options)
    ]


def _shown(tokenizer: Tokenizer, ids: list[int], weights: list[float]) -> str:
    assert len(ids) == len(weights)
    assert set(weights) <= {0.0, 1.0}
    text, run, inside = "", [], False
    for id_, weight in [*zip(ids, weights, strict=True), (None, 0.0)]:
        if bool(weight) != inside or id_ is None:
            piece = decode(tokenizer, run)
            text += f"[[{piece}]]" if inside else piece
            run, inside = [], bool(weight)
        run.append(id_)
    return text


def _bpe() -> tokenizers.Tokenizer:
    tokens = [token for token in tiny.TOKENS if token not in tiny.CONTROL_TOKENS]
    bpe = tokenizers.Tokenizer(
        models.BPE(
            vocab={token: i for i, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in tiny.MERGES],
        )
    )
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return bpe
