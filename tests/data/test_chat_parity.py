"""Ids and masks are those of `transformers`.

It reads SmolLM2's GGUF file on its own; the other families have the tokenizers of `chats.py`.
"""

import chats
import forms
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
    ((ids, _),) = encode_conversation(smollm2, messages, "here:1")
    assert ids == peer.apply_chat_template(messages, return_dict=False)
    prompt = encode_prompt(smollm2, messages[:-1], "here:1")
    assert prompt == peer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, return_dict=False
    )


def in_family(family):
    """What its template takes of CONVERSATIONS and of the families' own, with the tools."""
    talks = [*CONVERSATIONS[:2], chats.TALK]
    if family.startswith("mistral"):  # its system prompts are in tests/data/test_chat_families.py
        talks = [[message for message in talk if message["role"] != "system"] for talk in talks]
    yield from ((talk, None) for talk in talks)
    if family != "llama3_generation":
        yield chats.TOOLS, [chats.PRICE]
        yield [*chats.TOOLS, chats.WHY, chats.REASON], [chats.PRICE]


def without_reasoning(messages):
    return [{k: v for k, v in message.items() if k != "reasoning"} for message in messages]


@pytest.fixture(scope="module")
def peer_of():
    peers.require_torch()
    return {family: chats.peer(family) for family in chats.FAMILIES}


CASES = [
    (family, thinking)
    for family in chats.FAMILIES
    for thinking in (False, True)[: 1 + family.startswith("qwen3")]
]


@pytest.mark.parametrize(("family", "thinking"), CASES)
def test_families(peer_of, family, thinking):
    """Every example is what `transformers` makes of the conversation up to its last message."""
    tokenizer = chats.tokenizer(family)
    for messages, tools in in_family(family):
        messages = messages if thinking else without_reasoning(messages)
        options = dict(thinking=thinking, tools=tools or ())
        theirs = dict(
            tools=tools, enable_thinking=thinking, date_string="26 Jul 2024", return_dict=False
        )
        examples = encode_conversation(tokenizer, messages, "here:1", **options)
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        ends = [turn + 1 for turn in turns] if len(examples) > 1 else [len(messages)]
        for (ids, _), end in zip(examples, ends, strict=True):
            assert ids == peer_of[family].apply_chat_template(messages[:end], **theirs)
        for turn in turns:
            prompt = encode_prompt(tokenizer, messages[:turn], "here:1", **options)
            assert prompt == peer_of[family].apply_chat_template(
                messages[:turn], add_generation_prompt=True, **theirs
            )


@pytest.mark.parametrize("family", ["mistral_v3", "mistral_nemo"])
def test_mistral_s_system_prompt(peer_of, family):
    """Prompt and answer, each as `transformers` writes it: its whole conversation lacks it."""
    tokenizer = chats.tokenizer(family)
    messages = without_reasoning(chats.TALK)

    def theirs(messages):
        return peer_of[family].apply_chat_template(messages, return_dict=False)

    for (ids, weights), turn in zip(
        encode_conversation(tokenizer, messages, "here:1"), (2, 4), strict=True
    ):
        prompt, bare = theirs(messages[:turn]), theirs(messages[1:turn])
        answer = theirs(messages[1 : turn + 1])[len(bare) :]
        assert ids == prompt + answer
        assert weights == [0.0] * len(prompt) + [1.0] * len(answer)


@pytest.mark.parametrize(("family", "thinking"), [c for c in CASES if c[0] in chats.TAGGED])
def test_masks_of_the_generation_tag(peer_of, family, thinking):
    tokenizer = chats.tokenizer(family)
    for messages, tools in in_family(family):
        messages = messages if thinking else without_reasoning(messages)
        ((ids, weights),) = encode_conversation(
            tokenizer, messages, "here:1", thinking=thinking, tools=tools or ()
        )
        theirs = peer_of[family].apply_chat_template(
            messages, tools=tools, enable_thinking=thinking, return_assistant_tokens_mask=True
        )
        assert ids == theirs["input_ids"]
        assert weights == theirs["assistant_masks"]
        assert 0 < sum(weights) < len(weights)


# Without the date, which `transformers` says is today's, and two that are refused altogether.
FORMS = sorted(
    forms.FORMS.keys() - {"writes the date", "ends nothing", "asks otherwise than it answers"}
)
# What ends a turn, and is written only once more follows.
ENDS = {"ends turns between": "<|im_end|>", "ends turns by the next": "<|user|>"}
# A thought, or white space.
IN_THE_PROMPT_ALONE = [
    *("opens thinking and drops it", "opens thinking and knows none"),
    *("closes thinking in the prompt alone", "is pretty-printed"),
]


@pytest.mark.parametrize("name", FORMS)
def test_forms(name):
    """Prompts, and examples but for what a template writes in the prompt alone."""
    peers.require_torch()
    tokenizer, peer = forms.tokenizer(name), chats.peer_of(*forms.FORMS[name])
    talk = without_reasoning(chats.TALK)

    def theirs(messages, **options):
        if name in ("drops the system prompt", "refuses the system prompt"):
            both = {"role": "user", "content": "Be brief.\n\nWhich cheese?"}
            messages = [both, *messages[2:]]
        if name == "takes contents in parts":
            messages = [m | {"content": [{"type": "text", "text": m["content"]}]} for m in messages]
        options |= {"enable_thinking": False, "thinking": False, "return_dict": False}
        return peer.apply_chat_template(messages, **options)

    turns = [i for i, message in enumerate(talk) if message["role"] == "assistant"]
    for turn in turns:
        prompt = encode_prompt(tokenizer, talk[:turn], "here:1")
        assert prompt == theirs(talk[:turn], add_generation_prompt=True)
    if name in IN_THE_PROMPT_ALONE:
        return
    examples = encode_conversation(tokenizer, talk, "here:1")
    ends = [turn + 1 for turn in turns] if len(examples) > 1 else [len(talk)]
    for (ids, _), end in zip(examples, ends, strict=True):
        rest = [tokenizer.control[ENDS[name]]] if name in ENDS else []
        assert ids == theirs(talk[:end]) + rest


def test_the_mask_of_a_form_with_the_generation_tag():
    peers.require_torch()
    name = "tags what is generated"
    ((ids, weights),) = encode_conversation(forms.tokenizer(name), chats.TALK, "here:1")
    theirs = chats.peer_of(*forms.FORMS[name]).apply_chat_template(
        without_reasoning(chats.TALK), return_assistant_tokens_mask=True, return_dict=True
    )
    assert (ids, weights) == (theirs["input_ids"], theirs["assistant_masks"])
