"""What is trained on in the forms of chat templates that models are published with.

Each expected text is whole, what is trained on in [[...]]; where there are several, each is an
example of its own.
"""

import dataclasses

import chats
import forms
import pytest
from chats import ANSWER, CALL, REASON, RESULT, TALK, USER, WHY

from vcjax.data.chat import encode_conversation, encode_prompt
from vcjax.errors import InputError

CHATML = (
    "<|im_start|>system\nBe brief.<|im_end|>\n"
    "<|im_start|>user\nWhich cheese?<|im_end|>\n"
    "<|im_start|>assistant\n[[Colby.<|im_end|>]]\n"
    "<|im_start|>user\nWhy?<|im_end|>\n"
    "<|im_start|>assistant\n[[It costs less.<|im_end|>]]\n"
)
FIRST = CHATML.partition("\n<|im_start|>user\nWhy")[0]
SECOND = CHATML.replace("[[Colby.<|im_end|>]]", "Colby.<|im_end|>")
TURN = "<|START_OF_TURN_TOKEN|>"
EXPECTED = {
    "closes the conversation": [
        "<|system|>\nBe brief.<|end|>\n<|user|>\nWhich cheese?<|end|>\n"
        "<|assistant|>\n[[Colby.<|end|>]]\n<|user|>\nWhy?<|end|>\n"
        "<|assistant|>\n[[It costs less.<|end|>]]\n<|endoftext|>"
    ],
    "closes an answered conversation": [f"<bos>{CHATML}<eos>"],
    "always opens a turn": [
        f"<BOS_TOKEN>{TURN}<|SYSTEM_TOKEN|>Be brief.<|END_OF_TURN_TOKEN|>"
        f"{TURN}<|USER_TOKEN|>Which cheese?<|END_OF_TURN_TOKEN|>"
        f"{TURN}<|CHATBOT_TOKEN|><|START_RESPONSE|>[[Colby.<|END_RESPONSE|><|END_OF_TURN_TOKEN|>]]"
        f"{TURN}<|USER_TOKEN|>Why?<|END_OF_TURN_TOKEN|>"
        f"{TURN}<|CHATBOT_TOKEN|><|START_RESPONSE|>"
        f"[[It costs less.<|END_RESPONSE|><|END_OF_TURN_TOKEN|>]]{TURN}<|CHATBOT_TOKEN|>"
    ],
    "always asks": [
        "Be brief.\n### Instruction:\nWhich cheese?\n### Response:\n[[Colby.\n<|EOT|>]]\n"
        "### Instruction:\nWhy?\n### Response:\n[[It costs less.\n<|EOT|>]]\n### Response:\n"
    ],
    # The model sees no header in its prompt: it writes it.
    "never asks": [CHATML.replace("<|im_start|>assistant\n[[", "[[<|im_start|>assistant\n")],
    "ends turns between": [CHATML.removesuffix("\n")],
    "ends turns by the next": [
        "<sop><|system|>\nBe brief.<|user|>\nWhich cheese?<|assistant|>[[\nColby.<|user|>]]\nWhy?"
        "<|assistant|>[[\nIt costs less.<|user|>]]"
    ],
    "ends the last turn otherwise": [
        FIRST.replace("Colby.<|im_end|>", "Colby.<|endoftext|>"),
        SECOND.replace("less.<|im_end|>]]\n", "less.<|endoftext|>]]"),
    ],
    "has channels": [
        "<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>Which cheese?<|end|>"
        "<|start|>assistant[[<|channel|>final<|message|>Colby.<|return|>]]",
        "<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>Which cheese?<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Colby.<|end|>"
        "<|start|>user<|message|>Why?<|end|>"
        "<|start|>assistant[[<|channel|>final<|message|>It costs less.<|return|>]]",
    ],
    "opens thinking and drops it": [
        "<BOS>Be brief.<|User|>Which cheese?<|Assistant|><think>\n[[\n</think>\n\nColby.<EOS>]]",
        "<BOS>Be brief.<|User|>Which cheese?<|Assistant|>Colby.<EOS>"
        "<|User|>Why?<|Assistant|><think>\n[[\n</think>\n\nIt costs less.<EOS>]]",
    ],
    "opens thinking and knows none": [
        FIRST.replace("[[", "<think>[[\n</think>\n\n") + "\n",
        SECOND.replace("[[", "<think>[[\n</think>\n\n"),
    ],
    "closes thinking in history": [
        "<BOS>Be brief.<|User|>Which cheese?<|Assistant|></think>[[Colby.<EOS>]]"
        "<|User|>Why?<|Assistant|></think>[[It costs less.<EOS>]]"
    ],
    "splits content and call": [CHATML],
    "ends tool results by what follows": [CHATML],
    "folds the system prompt": [
        "<bos><start_of_turn>user\nBe brief.\n\nWhich cheese?<end_of_turn>\n"
        "<start_of_turn>model\n[[Colby.<end_of_turn>]]\n"
        "<start_of_turn>user\nWhy?<end_of_turn>\n"
        "<start_of_turn>model\n[[It costs less.<end_of_turn>]]\n"
    ],
    "begins each question anew": [
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhich cheese? [/INST][[ Colby. </s>]]"
        "<s>[INST] Why? [/INST][[ It costs less. </s>]]"
    ],
    "names roles in words": [
        "<s>GPT4 Correct System: Be brief.<|end_of_turn|>"
        "GPT4 Correct User: Which cheese?<|end_of_turn|>"
        "GPT4 Correct Assistant:[[ Colby.<|end_of_turn|>]]"
        "GPT4 Correct User: Why?<|end_of_turn|>"
        "GPT4 Correct Assistant:[[ It costs less.<|end_of_turn|>]]"
    ],
    "writes the date": ["<|im_start|>system\nToday is 26 July 2024.<|im_end|>\n" + CHATML],
    "uses all of Jinja": [CHATML],
    "drops the system prompt": [
        "<s>[INST] Be brief.\n\nWhich cheese?[/INST][[ Colby.</s>]]"
        "[INST] Why?[/INST][[ It costs less.</s>]]"
    ],
    "refuses the system prompt": [
        CHATML.replace("system\nBe brief.<|im_end|>\n<|im_start|>user\n", "user\nBe brief.\n\n")
    ],
    "is pretty-printed": [
        "<bos>\n<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n\n"
        "<|im_start|>assistant\n\n[[Colby.<|im_end|>]]\n\n",
        "<bos>\n<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhich cheese?<|im_end|>\n"
        "    <|im_start|>assistant\nColby.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n\n"
        "<|im_start|>assistant\n\n[[It costs less.<|im_end|>]]\n\n",
    ],
    "closes thinking in the prompt alone": [
        FIRST.replace("[[", "<think>\n\n</think>\n\n[[") + "\n",
        SECOND.replace("[[", "<think>\n\n</think>\n\n[["),
    ],
    "takes contents in parts": [CHATML],
    "tags what is generated": [CHATML],
}
REFUSED = {
    "ends nothing": r"messages\[2\] is ended by no control token of the model",
    "asks otherwise than it answers": (
        r"messages\[2\] is rendered otherwise than its prompt: '\\n Colby. <step> ' stands where "
        r"that has 'Destination: user\\n\\n'"
    ),
}


def shown(name, messages, **options):
    return chats.shown(forms.tokenizer(name), messages, **options)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_trained(name):
    assert shown(name, TALK) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_prompt_is_the_same_in_training_and_asking(name):
    """Also where an answer is begun, as probes are scored."""
    tokenizer = forms.tokenizer(name)
    examples = encode_conversation(tokenizer, TALK, "here:1")
    for number, turn in enumerate((2, 4)):
        ids, weights = examples[number if len(examples) > 1 else 0]
        prompt = encode_prompt(tokenizer, TALK[:turn], "here:1")
        assert ids[: len(prompt)] == prompt and weights[len(prompt)] == 1
        begun = encode_prompt(tokenizer, TALK[:turn], "here:1", begun=TALK[turn]["content"])
        assert begun == ids[: len(begun)] and len(begun) > len(prompt)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    with pytest.raises(InputError, match=REFUSED[name]) as caught:
        shown(name, TALK)
    assert str(caught.value).startswith("here:1: ") and "\n" not in str(caught.value)


def test_all_forms_are_looked_at():
    assert forms.FORMS.keys() == EXPECTED.keys() | REFUSED.keys()


def test_a_history_that_is_written_otherwise_once_an_answer_follows():
    """Each answer behind the prompt that the model sees."""
    call, answer = shown("ends tool results by what follows", [USER, CALL, RESULT, ANSWER])
    assert "assistant\n[[[{" in call and call.endswith("}]<|im_end|>]]\n")
    assert answer.endswith("tool\n3.50<|im_end|>\n<|im_start|>assistant\n[[Colby.<|im_end|>]]\n")


# --- Reasoning


def test_reasoning_where_the_prompt_opens_it():
    assert shown("opens thinking and drops it", TALK, thinking=True) == [
        "<BOS>Be brief.<|User|>Which cheese?<|Assistant|><think>\n"
        "[[It is cheap.\n</think>\n\nColby.<EOS>]]",
        "<BOS>Be brief.<|User|>Which cheese?<|Assistant|>Colby.<EOS>"
        "<|User|>Why?<|Assistant|><think>\n[[As said.\n</think>\n\nIt costs less.<EOS>]]",
    ]
    assert shown("closes thinking in history", TALK[1:3], thinking=True) == [
        "<BOS><|User|>Which cheese?<|Assistant|><think>[[It is cheap.</think>Colby.<EOS>]]"
    ]


def test_reasoning_in_a_channel():
    call = {**CALL, "reasoning": "Ask."}
    assert shown("has channels", [USER, call, RESULT, ANSWER], thinking=True) == [
        "<|start|>user<|message|>Which cheese?<|end|><|start|>assistant"
        "[[<|channel|>analysis<|message|>Ask.<|end|><|start|>assistant to=price<|message|>"
        '{"of": "Colby", "kg": 1}<|call|>]]',
        "<|start|>user<|message|>Which cheese?<|end|><|start|>assistant to=price<|message|>"
        '{"of": "Colby", "kg": 1}<|call|><|start|>tool<|message|>3.50<|end|><|start|>assistant'
        "[[<|channel|>analysis<|message|>It is cheap.<|end|><|start|>assistant"
        "<|channel|>final<|message|>Colby.<|return|>]]",
    ]


@pytest.mark.parametrize("name", ["never asks", "ends turns between", "ends turns by the next"])
def test_reasoning_that_is_left_out(name):
    with pytest.raises(InputError, match=r"messages\[2\] has reasoning, which"):
        shown(name, TALK, thinking=True)


def test_a_template_that_thinks_in_another_way_is_refused():
    template = forms.turns("<|im_start|>assistant\n<think></think>{{ m.content }}<|im_end|>\n")
    template += "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    with pytest.raises(InputError, match=r"messages\[1\] is rendered otherwise than its prompt"):
        chats.shown(tokenizer, [USER, ANSWER])


@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ("<thought>\n", "\n</thought>\n\n"),
        ("<seed:think>", "\n</seed:think>\n\n"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|channel>thought\n", "\n<channel|>"),
    ],
)
def test_other_spellings_of_a_thought(opens, closes):
    """Opened by the prompt, or also closed there."""
    for close in ("", closes.strip()):
        ask = forms.ASK.replace("{% endif %}", opens + close + "{% endif %}")
        tokenizer = chats.of(forms.turns(forms.SAY) + ask, forms.CHATML, forms.IM_END)
        (text,) = chats.shown(tokenizer, [USER, ANSWER])
        begun = opens + (f"{close}[[" if close else f"[[{closes}")
        assert text.endswith(f"assistant\n{begun}Colby.<|im_end|>]]\n")


def test_white_space_of_an_answer_stays():
    """Only what the template writes before it gives way to that of the prompt."""
    template = forms.turns("A:{{ ' ' + m.content }}<|im_end|>\n", "Q: {{ m.content }}\n")
    template += "{% if add_generation_prompt %}A:\n\n{% endif %}"
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    messages = [USER, {"role": "assistant", "content": "  Colby. "}]
    assert chats.shown(tokenizer, messages) == ["Q: Which cheese?\nA:\n\n[[  Colby. <|im_end|>]]\n"]


# --- What a message says


@pytest.mark.parametrize("role", ["system", "tool"])
def test_a_message_that_no_prompt_holds(role):
    """Wherever it stands; a blank one says nothing, and what follows the last answer asks none."""
    dropped = {"role": role, "content": "Be brief."}
    name = "drops the system prompt"
    with pytest.raises(InputError, match=rf"messages\[2\] \({role}\) is in the prompt of no"):
        shown(name, [USER, ANSWER, dropped, WHY, REASON])
    assert shown(name, [{**dropped, "content": " "}, USER, ANSWER]) == shown(name, [USER, ANSWER])
    assert len(shown(name, [USER, ANSWER, dropped])) == 1
    if role == "tool":
        with pytest.raises(InputError, match=r"messages\[0\] \(tool\) is in the prompt of no"):
            encode_prompt(forms.tokenizer(name), [dropped, USER], "here:1")


@pytest.mark.parametrize("cut", ["m.content[1:]", "m.content[:-1]"])
def test_a_message_of_which_a_part_is_left_out(cut):
    whole, part = "{{ m.content }}<|im_end|>\n", "{{ " + cut + " }}<|im_end|>\n"
    cuts_answers = forms.turns(forms.OPEN + part, "<|im_start|>user\n" + whole) + forms.ASK
    cuts_questions = forms.turns(forms.OPEN + whole, "<|im_start|>user\n" + part) + forms.ASK
    for template, index in ((cuts_answers, 1), (cuts_questions, 0)):
        tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
        with pytest.raises(InputError, match=rf"messages\[{index}\] .*leaves (it )?out"):
            chats.shown(tokenizer, [USER, ANSWER])


def test_what_stands_before_a_block_that_the_template_takes_for_reasoning():
    """Where its tags are text: as control tokens they would be kept from the template."""
    answer = {"role": "assistant", "content": "Sure. <think>Hm.</think> Colby."}
    tokenizer = chats.of(chats.template("qwen3"), chats.QWEN2_5, chats.QWEN_NAMES)
    with pytest.raises(InputError, match=r"messages\[1\] has content, which .* out or cuts"):
        chats.shown(tokenizer, [USER, answer], thinking=True)
    kept = chats.shown(chats.tokenizer("qwen3"), [USER, answer], thinking=True)
    assert "[[<think>\n\n</think>\n\nSure. <think>Hm.</think> Colby.<|im_end|>]]" in kept[0]


def test_one_of_two_calls():
    """gpt-oss writes only the first of a turn."""
    first = forms.turns(forms.OPEN + "{{ m.content or m.tool_calls[0] | tojson }}<|im_end|>\n")
    tokenizer = chats.of(first + forms.ASK, forms.CHATML, forms.IM_END)
    chats.shown(tokenizer, [USER, CALL, RESULT, ANSWER])
    two = {
        **CALL,
        "tool_calls": [*CALL["tool_calls"], {**CALL["tool_calls"][0], "id": "z9Y8x7W6v"}],
    }
    with pytest.raises(InputError, match=r"messages\[1\] has tool_calls\[1\], which"):
        chats.shown(tokenizer, [USER, two, RESULT, RESULT, ANSWER])


def test_reasoning_before_the_answer_to_a_result():
    """gpt-oss writes a header before the reasoning, too; that of the call goes once an answer
    follows, so that the prompt and the text have as many headers."""
    answered = "messages[-1].role == 'assistant' and not messages[-1].tool_calls"
    thought = "{% if m.reasoning and not (m.tool_calls and " + answered + ") %}"
    thought += "<|start|>assistant<|channel|>analysis<|message|>{{ m.reasoning }}<|end|>{% endif %}"
    say = "<|start|>assistant<|message|>{{ m.content or m.tool_calls | tojson }}<|end|>"
    template = forms.turns(thought + say, "<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>")
    template += "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    tokenizer = chats.of(template, forms.HARMONY, {"eos_token": "<|end|>"})
    talk = [USER, {**CALL, "reasoning": "I ask."}, RESULT, ANSWER]
    with pytest.raises(InputError, match=r"messages\[3\] has reasoning, which .* leaves out"):
        chats.shown(tokenizer, talk, thinking=True)


def test_a_thought_that_the_text_opens_itself():
    """DiffusionGemma's prompt behind a result opens a thought, and has no header."""
    thought = "{% if m.reasoning %}<think>\n{{ m.reasoning }}\n</think>\n{% endif %}"
    say = forms.OPEN + thought + "{{ m.content or m.tool_calls | tojson }}<|im_end|>\n"
    ask = forms.ASK.replace(
        forms.OPEN, "{{ '" + forms.OPEN + "' if messages[-1].role == 'user' }}<think>\n"
    )
    tokenizer = chats.of(forms.turns(say) + ask, forms.CHATML, forms.IM_END)
    talk = [USER, {**CALL, "reasoning": "I ask."}, RESULT, ANSWER]
    last = chats.shown(tokenizer, talk, thinking=True)[-1]
    assert last.endswith("3.50<|im_end|>\n<think>\n[[It is cheap.\n</think>\nColby.<|im_end|>]]\n")


def test_a_call_behind_the_end_of_the_turn():
    call = {**CALL, "content": "Let me ask."}
    with pytest.raises(InputError, match=r"messages\[1\] has tool_calls, .* behind the end of"):
        shown("splits content and call", [USER, call, RESULT, ANSWER], tools=[])


def test_an_end_that_is_not_the_turn_s():
    """Command-R+ ends no call, and goes on with an instruction that has the same end."""
    template = forms.turns(forms.OPEN + "{{ m.content or m.tool_calls | tojson }}")
    template = template.replace("tojson }}", "tojson }}{{ '<|im_end|>\n' if m.content }}")
    template += "<|im_start|>system\nCall!<|im_end|>\n" + forms.ASK
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    (text,) = chats.shown(tokenizer, [USER, ANSWER])
    assert text.endswith("[[Colby.<|im_end|>]]\n<|im_start|>system\nCall!<|im_end|>\n")
    with pytest.raises(InputError, match=r"messages\[1\] is ended by no control token"):
        chats.shown(tokenizer, [USER, CALL, RESULT, ANSWER])


def test_a_template_that_a_plain_conversation_cannot_teach_its_end():
    """It wants a system prompt; then the last control token ends a turn."""
    template = "{{ raise_exception('No') if messages[0].role != 'system' }}"
    template += forms.turns(forms.SAY) + forms.ASK
    tokenizer = chats.of(template, forms.CHATML, forms.IM_END)
    assert chats.shown(tokenizer, TALK) == [CHATML]


def test_the_end_may_be_without_a_name():
    """Where the tokenizer names no eos_token: the first token behind the answer."""
    tokenizer = forms.tokenizer("closes an answered conversation")
    nameless = dataclasses.replace(
        tokenizer,
        template_tokens={"bos_token": "<bos>"},
        chat_template=tokenizer.chat_template.replace("eos_token", "'<eos>'"),
    )
    assert chats.shown(nameless, TALK) == EXPECTED["closes an answered conversation"]
