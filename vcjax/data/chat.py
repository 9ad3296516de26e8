"""Conversations to token ids through the model's chat template, with exact assistant masks.

The assistant's text is located by rendering prefixes of the conversation, or by the template's own
`{% generation %}`, never by searching for a string (turns.py). The text is split where a turn
starts and each part is tokenised alone, so that a prompt has the same tokens in training and in
sampling. It is not split where a `{% generation %}` tag begins or ends: a token that is partly
inside the tag is trained on, as in `transformers`.
"""

from collections.abc import Sequence
from functools import partial

from vcjax.data import jinja
from vcjax.data.jinja import Span
from vcjax.data.marking import encode_marked
from vcjax.data.rendering import Conversation, prepare
from vcjax.data.tokenizer import Tokenizer
from vcjax.data.turns import Turn, answered, check_said, fail, find_turns
from vcjax.errors import InputError

Encoded = tuple[list[int], list[float]]  # ids, the weight of each as a prediction target


def encode_conversation(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool = False,
    tools: Sequence[dict] = (),
) -> list[Encoded]:
    """Training examples: ids, and the weight of each as a prediction target.

    The weight is 1 for the assistant's text and the token that ends its turn, 0 for all else. Most
    templates only append to what they rendered before: then there is one example. Some change a
    turn once more follows (Qwen3 drops earlier reasoning): then there is one example for each turn
    of the assistant, the conversation as the model sees it when it answers, with only that turn
    trained on. So it is where the prompt opens a <think> that the template leaves out of all turns
    (R1, QwQ): the turn is then closed as Qwen3 does, with its reasoning or none. Where the template
    has `{% generation %}`, the text inside the tags is trained on.

    Args:
        where: the conversation's place, for errors.
        thinking: whether the template gets the messages' `reasoning`, and `enable_thinking` as
            true; else both are left out.
        tools: JSON schemas for the template.

    Raises:
        InputError: if the template raises, leaves out a part of a turn or a message that no prompt
            holds, or renders a turn so that it does not begin with its prompt (then no mask would
            be exact).
    """
    conversation = prepare(tokenizer, messages, where, thinking, tools)
    turns = find_turns(tokenizer, conversation, before=len(messages))
    indices = [turn.index for turn in turns]
    check_said(conversation, before=max(indices, default=0), prompts=indices)
    text, tagged = conversation.render(conversation.messages)
    if turns and turns[-1].text.startswith(text):  # its end is written only where more follows
        text = turns[-1].text
    changed = [turn for turn in turns if not text.startswith(turn.text)]
    encode = partial(_encode, tokenizer, conversation.mark, turns)
    trained = [[turn.span] for turn in turns]
    if jinja.has_generation_tag(conversation.template):
        trained = [_tagged_of(conversation, turn) if changed else tagged for turn in turns]
        _check_tagged(conversation, turns, trained)
    if not changed:
        return [encode(text, list({span for spans in trained for span in spans}))]
    return [
        encode(turn.text + turn.rest, spans)
        for turn, spans in zip(turns, trained, strict=True)
        if spans
    ]


def encode_prompt(
    tokenizer: Tokenizer,
    messages: Sequence[dict],
    where: str,
    thinking: bool = False,
    tools: Sequence[dict] = (),
    begun: str = "",
) -> list[int]:
    """Ids of a prompt: the conversation, the opening of the assistant's next turn, and `begun`.

    begun: the beginning of the answer. For the same messages and an answer, encode_conversation
    returns an example that begins with the ids before `begun`. Arguments and errors as there.
    """
    count = len(messages)
    answer = {"role": "assistant", "content": begun}
    conversation = prepare(tokenizer, [*messages, answer], where, thinking, tools)
    turns = find_turns(tokenizer, conversation, before=count)
    check_said(conversation, count - 1, [*(turn.index for turn in turns), count])
    given = conversation.messages[:count]
    text = conversation.prompt(given)
    if begun:
        _, end = conversation.spare[count]
        last = conversation.messages[count]
        text, appended = answered(conversation, [*given, last | {"content": last["content"] + end}])
        appended, has_end, _ = appended.partition(end)
        if not has_end:
            fail(conversation, count, "is rendered otherwise than its prompt")
        turns.append(Turn(count, text, appended))
        text += appended
    return _encode(tokenizer, conversation.mark, turns, text, [])[0]


def _encode(
    tokenizer: Tokenizer, mark: str, turns: list[Turn], text: str, trained: list[Span]
) -> Encoded:
    """Ids of the text, and weights: 1 where a token overlaps a span of `trained`, else 0."""
    starts = [len(turn.prompt) for turn in turns if text.startswith(turn.text)]
    tokens = encode_marked(tokenizer, text, starts, mark)
    weights = [float(any(a < end and begin < b for a, b in trained)) for _, begin, end in tokens]
    return [id_ for id_, _, _ in tokens], weights


def _tagged_of(conversation: Conversation, turn: Turn) -> list[Span]:
    """Where what the turn says in `{% generation %}` stands in an example of its own.

    Raises InputError where the turn closes a thought of its prompt, which no tag can hold.
    """
    messages = conversation.messages[: turn.index + 1]
    text, tagged = conversation.render(messages)
    prompt, appended = answered(conversation, messages)
    if not text.endswith(appended):
        problem = "is rendered without the thought that its prompt opens, and has {% generation %}"
        fail(conversation, turn.index, problem)
    moved, start = len(prompt + appended) - len(text), len(prompt)
    return [(max(a + moved, start), b + moved) for a, b in tagged if b + moved > start]


def _check_tagged(conversation: Conversation, turns: list[Turn], trained: list[list[Span]]) -> None:
    """Raises InputError if no token that ends a turn is inside the turn's `{% generation %}`."""
    ends = [turn.span[1] for turn in turns]
    if not any(a < end <= b for end, spans in zip(ends, trained, strict=True) for a, b in spans):
        raise InputError(
            f"{conversation.where}: the chat template's {{% generation %}} leaves out the token "
            "that ends the assistant's turn, so that the model would never stop; write the tag "
            "around it"
        )
