"""Tiny models as the families publish them on the hub, to be read by us and by `transformers`.

A tokenizer's vocabulary is learned here from a few lines; all that decides how text is cut and what
is put around it is as in the published tokenizer.json and tokenizer_config.json: normalizer,
pre-tokenizer, decoder, post-processor, model options, added tokens, settings, chat template.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import chats
import tiny
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXT = (  # with what pre-tokenizers cut differently: digits, spaces, lines, apostrophes, code
    tiny.TEXT,
    "In 1984 and 2024, 25% of 1,234,567 people didn't; they'll say they're ABOUT 300 or 1000.",
    "def answer(x):\n    return x  # the end\n\n\n    if x:\n        answer(x)\r\n\t\tanswer(12)\n",
    "Käse, naïve, Ελλάδα, Россия, 你好 奶酪 🧀, the  cheese   and    the    cheese.",
)

METASPACE = {"type": "Metaspace", "replacement": "▁", "split": False}
SPACES = {  # ways to put a space before a text
    "first": {"pre_tokenizer": METASPACE | {"prepend_scheme": "first"}},
    "always": {"pre_tokenizer": METASPACE | {"prepend_scheme": "always"}},
    "split": {"pre_tokenizer": METASPACE | {"prepend_scheme": "always", "split": True}},
    "never": {"pre_tokenizer": METASPACE | {"prepend_scheme": "never"}},
    "prepend": {
        "pre_tokenizer": None,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
    },
}

# What text is split by. TIKTOKEN is Llama 3's and, with single digits, Qwen's; TEKKEN is Nemo's.
TIKTOKEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SMOLLM2_TEMPLATE = (
    "{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_level(**options: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        **{"add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        **options,
    }


def split(pattern: str) -> dict[str, Any]:
    """As tiktoken: cut by the regular expression, then bytes."""
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [cut, byte_level()]}


@dataclasses.dataclass(frozen=True)
class Family:
    """What its published files say; pieces of tokenizer.json are named as there."""

    special: list[str]
    pre_tokenizer: dict[str, Any]
    config: dict[str, Any]
    markers: list[str] = dataclasses.field(default_factory=list)  # added tokens, not special
    added_first: bool = False  # they have the first ids and are in the vocabulary too
    normalizer: dict[str, Any] | None = None
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    bos: str | None = None  # what the post-processor puts before a text


MISTRAL_SPECIAL = [
    *["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]"],
    *["[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"],
]
QWEN2 = Family(
    special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    markers=["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"],
    normalizer={"type": "NFC"},
    pre_tokenizer=split(TIKTOKEN.replace("{1,3}", "")),
    config={
        "add_bos_token": False,
        "add_prefix_space": False,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": chats.template("qwen2_5"),
    },
)
FAMILIES = {
    "llama3": Family(
        special=[
            *["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>"],
            *["<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>"],
            *["<|eom_id|>", "<|eot_id|>", "<|python_tag|>"],
        ],
        pre_tokenizer=split(TIKTOKEN),
        model={"ignore_merges": True},
        bos="<|begin_of_text|>",
        config={
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|eot_id|>",
            "clean_up_tokenization_spaces": True,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": chats.template("llama3_2"),
        },
    ),
    "qwen2": QWEN2,
    "qwen3": dataclasses.replace(
        QWEN2,
        markers=[*QWEN2.markers, "<tool_response>", "</tool_response>", "<think>", "</think>"],
        config={**QWEN2.config, "chat_template": chats.template("qwen3")},
    ),
    "mistral": Family(
        special=MISTRAL_SPECIAL,
        added_first=True,
        pre_tokenizer={
            **{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"},
            "split": False,
        },
        model={"unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True},
        bos="<s>",
        config={
            "add_bos_token": True,
            "add_eos_token": False,
            "add_prefix_space": True,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": None,
            "unk_token": "<unk>",
            "legacy": False,
            "tokenizer_class": "LlamaTokenizer",
            "chat_template": chats.template("mistral_v3"),
        },
    ),
    "nemo": Family(
        special=[*MISTRAL_SPECIAL, "<pad>", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "<SPECIAL_14>"],
        added_first=True,
        pre_tokenizer=split(TEKKEN),
        model={"ignore_merges": True},
        bos="<s>",
        config={
            "add_bos_token": True,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": chats.template("mistral_nemo"),
        },
    ),
    "smollm2": Family(
        special=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"],
        added_first=True,
        pre_tokenizer={
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                byte_level(use_regex=True),
            ],
        },
        config={
            "add_prefix_space": False,
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "tokenizer_class": "GPT2Tokenizer",
            "chat_template": SMOLLM2_TEMPLATE,
        },
    ),
}


def write_tokenizer(folder: Path, family: str, vocab_size: int = tiny.VOCAB_SIZE) -> None:
    """Writes tokenizer.json and tokenizer_config.json; vocab_size counts added tokens too."""
    facts = FAMILIES[family]
    added = facts.special + facts.markers
    vocab, merges = _learn(facts, added, vocab_size)
    first = 0 if facts.added_first else len(vocab)
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    tokens = [
        {"id": first + i, "content": token, **plain, "special": token in facts.special}
        for i, token in enumerate(added)
    ]
    options = {
        **{"dropout": None, "unk_token": None, "fuse_unk": False},
        **{"continuing_subword_prefix": None, "end_of_word_suffix": None},
        **{"byte_fallback": False, "ignore_merges": False},
    }
    spec = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": tokens,
        "normalizer": facts.normalizer,
        "pre_tokenizer": facts.pre_tokenizer,
        "post_processor": _post_processor(facts, {t["content"]: t["id"] for t in tokens}),
        "decoder": SENTENCEPIECE_DECODER if _is_sentencepiece(facts) else byte_level(),
        "model": {"type": "BPE", **options, **facts.model, "vocab": vocab, "merges": merges},
    }
    decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in tokens}
    config = {**facts.config, "added_tokens_decoder": decoder}
    write_json(folder / "tokenizer.json", spec)
    write_json(folder / "tokenizer_config.json", config)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), encoding="utf-8")


SENTENCEPIECE_DECODER = {
    "type": "Sequence",
    "decoders": [
        {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
    ],
}


def _is_sentencepiece(facts: Family) -> bool:
    return facts.model.get("byte_fallback", False)


def _learn(
    facts: Family, added: list[str], vocab_size: int
) -> tuple[dict[str, int], list[list[str]]]:
    """Vocabulary and merges. Text is not cut before, so that where it is cut later decides ids; but
    SentencePiece's tokens have no space behind another character."""
    bpe = Tokenizer(models.BPE())
    if _is_sentencepiece(facts):
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
        reserved = [*added, *(f"<0x{byte:02X}>" for byte in range(256))]
        alphabet: dict[str, Any] = {"limit_alphabet": 40}
    else:
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        reserved = added if facts.added_first else []
        alphabet = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    size = vocab_size if facts.added_first else vocab_size - len(added)
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=reserved, show_progress=False, **alphabet
    )
    bpe.train_from_iterator(TEXT, trainer)
    model = json.loads(bpe.to_str())["model"]
    return model["vocab"], model["merges"]


def _post_processor(facts: Family, ids: dict[str, int]) -> dict[str, Any]:
    if facts.bos is None:
        return byte_level(trim_offsets=False)
    bos = {"SpecialToken": {"id": facts.bos, "type_id": 0}}
    text, second = ({"Sequence": {"id": name, "type_id": i}} for i, name in enumerate("AB"))
    return {
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, second],
        "special_tokens": {
            facts.bos: {"id": facts.bos, "ids": [ids[facts.bos]], "tokens": [facts.bos]}
        },
    }
