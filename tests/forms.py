"""Forms of the chat templates that models are published with, in our words and as small as may be.

Each does the one thing that its name says. FORMS: name -> template, control tokens, what it may
write by name. A form stands for the families in its comment.
"""

import chats

from vcjax.data.tokenizer import Tokenizer

CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
IM_END = {"eos_token": "<|im_end|>"}
ENDOFTEXT = {"eos_token": "<|endoftext|>"}
SENTENCES = ["<s>", "</s>"]
S_NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
DEEPSEEK = ["<BOS>", "<EOS>", "<|User|>", "<|Assistant|>", "<think>", "</think>"]
DEEPSEEK_NAMES = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
COHERE = [
    "<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>",
    "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>",
]  # fmt: skip
HARMONY = ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>"]


def turns(assistant: str, others: str = "") -> str:
    """A loop over the messages m: `assistant` writes its turns, `others` (or ChatML) all others."""
    others = others or "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    return (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        + assistant
        + "{% else %}"
        + others
        + "{% endif %}{% endfor %}"
    )


OPEN = "<|im_start|>assistant\n"
ASK = "{% if add_generation_prompt %}" + OPEN + "{% endif %}"
SAY = OPEN + "{{ m.content }}<|im_end|>\n"

FORMS: dict[str, tuple[str, list[str], dict[str, str]]] = {
    # Phi-3, Phi-3.5
    "closes the conversation": (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{{ '<|assistant|>\n' if add_generation_prompt else eos_token }}",
        ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
        ENDOFTEXT,
    ),
    # zephyr-gemma, InternLM 2
    "closes an answered conversation": (
        "{{ bos_token }}"
        + turns(SAY)
        + "{% if add_generation_prompt %}"
        + OPEN
        + "{% elif messages[-1].role == 'assistant' %}{{ eos_token }}{% endif %}",
        ["<bos>", "<eos>", *CHATML],
        {"bos_token": "<bos>", "eos_token": "<eos>"},
    ),
    # Command-A
    "always opens a turn": (
        "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>"
        "{% if m.role == 'assistant' %}<|CHATBOT_TOKEN|><|START_RESPONSE|>{{ m.content }}"
        "<|END_RESPONSE|>{% else %}{{ '<|' + m.role | upper + '_TOKEN|>' + m.content }}{% endif %}"
        "<|END_OF_TURN_TOKEN|>{% endfor %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"
        "{% if add_generation_prompt %}<|START_RESPONSE|>{% endif %}",
        COHERE,
        {"bos_token": "<BOS_TOKEN>", "eos_token": "<|END_OF_TURN_TOKEN|>"},
    ),
    # DeepSeek Coder
    "always asks": (
        turns(
            "### Response:\n{{ m.content }}\n<|EOT|>\n",
            "{% if m.role == 'system' %}{{ m.content }}\n{% else %}"
            "### Instruction:\n{{ m.content }}\n{% endif %}",
        )
        + "{{ '### Response:\n' }}",
        ["<|EOT|>"],
        {"eos_token": "<|EOT|>"},
    ),
    # older Mistral, Dolphin, many fine-tunes
    "never asks": (turns(SAY), CHATML, IM_END),
    # Qwen1.5
    "ends turns between": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{% if add_generation_prompt or not loop.last %}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt and messages[-1].role != 'assistant' %}"
        + OPEN
        + "{% endif %}",
        CHATML,
        IM_END,
    ),
    # GLM-4, ChatGLM
    "ends turns by the next": (
        "<sop>{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}"
        "{{ '<|assistant|>' if add_generation_prompt }}",
        ["<sop>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"],
        ENDOFTEXT,
    ),
    # OLMo 2 and 3
    "ends the last turn otherwise": (
        turns(
            OPEN + "{{ m.content }}"
            "{% if loop.last %}{{ eos_token }}{% else %}<|im_end|>\n{% endif %}"
        )
        + ASK,
        CHATML,
        ENDOFTEXT,
    ),
    # gpt-oss
    "has channels": (
        "{% for m in messages %}{% if m.role == 'assistant' %}"
        "{% if m.thinking and loop.last %}<|start|>assistant<|channel|>analysis<|message|>"
        "{{ m.thinking }}<|end|>{% endif %}"
        "{% if m.tool_calls %}<|start|>assistant to={{ m.tool_calls[0].function.name }}<|message|>"
        "{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% else %}"
        "<|start|>assistant<|channel|>final<|message|>{{ m.content }}"
        "{% if loop.last %}<|return|>{% else %}<|end|>{% endif %}{% endif %}"
        "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}",
        HARMONY,
        {"eos_token": "<|return|>"},
    ),
    # DeepSeek-R1, its distills, QwQ
    "opens thinking and drops it": (
        "{{ bos_token }}"
        + turns(
            "<|Assistant|>{{ m.content.split('</think>')[-1] }}{{ eos_token }}",
            "{{ ('<|User|>' if m.role == 'user' else '') + m.content }}",
        )
        + "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}",
        DEEPSEEK,
        DEEPSEEK_NAMES,
    ),
    # OLMo 3 Think
    "opens thinking and knows none": (
        turns(SAY) + "{% if add_generation_prompt %}" + OPEN + "<think>{% endif %}",
        CHATML,
        IM_END,
    ),
    # DeepSeek V3.1
    "closes thinking in history": (
        "{{ bos_token }}"
        + turns(
            "<|Assistant|></think>{{ m.content }}{{ eos_token }}",
            "{{ ('<|User|>' if m.role == 'user' else '') + m.content }}",
        )
        + "{% if add_generation_prompt %}<|Assistant|>"
        "{{ '<think>' if thinking else '</think>' }}{% endif %}",
        DEEPSEEK,
        DEEPSEEK_NAMES,
    ),
    # Nemotron Nano v2
    "splits content and call": (
        turns(
            OPEN + "{{ m.content }}<|im_end|>\n"
            "{% if m.tool_calls %}" + OPEN + "{{ m.tool_calls | tojson }}<|im_end|>\n{% endif %}"
        )
        + ASK,
        CHATML,
        IM_END,
    ),
    # Hermes
    "ends tool results by what follows": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
        "{{ m.tool_calls | tojson if m.tool_calls }}"
        "{{ '\n' if m.role == 'tool' and not loop.last }}<|im_end|>\n{% endfor %}" + ASK,
        CHATML,
        IM_END,
    ),
    # Gemma 3: the system prompt stands in the first question
    "folds the system prompt": (
        "{{ bos_token }}{% set first = '' %}{% set rest = messages %}"
        "{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
        "{% set rest = messages[1:] %}{% endif %}{% for m in rest %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate') }}{% endif %}"
        "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ (first if loop.first else '') + m.content | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"],
        {"bos_token": "<bos>", "eos_token": "<eos>"},
    ),
    # Llama 2
    "begins each question anew": (
        "{% set start = 1 if messages[0].role == 'system' else 0 %}{% for m in messages[start:] %}"
        "{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}{% if loop.first and start %}"
        "{{ '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' }}{% endif %}"
        "{{ m.content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
        SENTENCES,
        S_NAMES,
    ),
    # OpenChat, Starling
    "names roles in words": (
        "{{ bos_token }}{% for m in messages %}"
        "{{ 'GPT4 Correct ' + m.role.title() + ': ' + m.content + '<|end_of_turn|>' }}{% endfor %}"
        "{{ 'GPT4 Correct Assistant:' if add_generation_prompt }}",
        [*SENTENCES, "<|end_of_turn|>"],
        {"bos_token": "<s>", "eos_token": "<|end_of_turn|>"},
    ),
    # Mistral 7B v0.3, the older one; Phi-3
    "drops the system prompt": (
        "{{ bos_token }}{% for m in messages %}"
        "{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
        "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
        [*SENTENCES, "[INST]", "[/INST]"],
        S_NAMES,
    ),
    # Gemma 1 and 2, Mistral 7B v0.1, Mixtral
    "refuses the system prompt": (
        turns(
            SAY,
            "{{ raise_exception('No system role') if m.role == 'system' }}"
            "<|im_start|>user\n{{ m.content }}<|im_end|>\n",
        )
        + ASK,
        CHATML,
        IM_END,
    ),
    # Falcon, SOLAR
    "ends nothing": (
        "{% for m in messages %}{{ m.role.title() + ': ' + m.content + '\n\n' }}{% endfor %}"
        "{{ 'Assistant:' if add_generation_prompt }}",
        ["<|endoftext|>"],
        ENDOFTEXT,
    ),
    # CodeLlama 70B
    "asks otherwise than it answers": (
        "{% for m in messages %}Source: {{ m.role }}\n\n {{ m.content }} <step> {% endfor %}"
        "{% if add_generation_prompt %}Source: assistant\nDestination: user\n\n {% endif %}",
        ["<step>"],
        {"eos_token": "<step>"},
    ),
    # Mistral Small 3.2, SmolLM3, Granite 3.3
    "writes the date": (
        "<|im_start|>system\nToday is {{ strftime_now('%d %B %Y') }}.<|im_end|>\n"
        + turns(SAY)
        + ASK,
        CHATML,
        IM_END,
    ),
    # Llama 3.3, Qwen3-Coder and others: namespaces, loop controls, macros, filters
    "uses all of Jinja": (
        "{%- macro turn(m) %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m['content'] ~ '<|im_end|>\n' }}"
        "{% endmacro %}{%- set ns = namespace(seen=0) %}{%- for m in messages %}"
        "{%- if m.content is not string %}{%- continue %}{%- endif %}"
        "{%- set ns.seen = ns.seen + 1 %}{%- if ns.seen > 99 %}{%- break %}{%- endif %}"
        "{{- turn(m) }}{%- endfor %}"
        "{%- set asked = messages | selectattr('role', 'equalto', 'user') | list %}"
        "{%- if add_generation_prompt and asked %}{{- '<|im_start|>assistant\n' }}{%- endif %}",
        CHATML,
        IM_END,
    ),
    # Templates as people write them into files: other white space behind a prompt
    "is pretty-printed": (
        "{{ bos_token }}\n{% for m in messages %}\n  {% if m.role == 'assistant' %}\n"
        "    {{ '<|im_start|>assistant\n' + m.content + '<|im_end|>' }}\n  {% else %}\n"
        "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}\n  {% endif %}\n"
        "{% endfor %}\n\n"
        "{% if add_generation_prompt %}\n{{ '<|im_start|>assistant' }}\n\n{% endif %}\n",
        ["<bos>", *CHATML],
        {"bos_token": "<bos>", "eos_token": "<|im_end|>"},
    ),
    # Gemma 4, Qwen3.5's variants, QwQ without thinking
    "closes thinking in the prompt alone": (
        turns(SAY)
        + "{% if add_generation_prompt %}"
        + OPEN
        + "{{ '<think>\n\n</think>\n\n' if not enable_thinking }}{% endif %}",
        CHATML,
        IM_END,
    ),
    # Idefics, SmolVLM
    "takes contents in parts": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}"
        "{{ part.text if part.type == 'text' }}{% endfor %}<|im_end|>\n{% endfor %}" + ASK,
        CHATML,
        IM_END,
    ),
    # TRL's training templates
    "tags what is generated": (
        turns(OPEN + "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{{ '\n' }}")
        + ASK,
        CHATML,
        IM_END,
    ),
}


def tokenizer(name: str) -> Tokenizer:
    return chats.of(*FORMS[name])
