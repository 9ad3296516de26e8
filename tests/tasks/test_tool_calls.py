"""An answer is read into its reasoning, its calls and the rest."""

import pytest

from vcjax.tasks.tool_calls import Call, read

EMAIL = Call("email", ("ann@firm.com",), "Hello\nHow are you?")


@pytest.mark.parametrize(
    "text",
    [
        '<tool_use:email>\nto: "ann@firm.com",\nsubject: "Hello",\nbody: "How '
        'are you?",\n</tool_use:email>',
        "<TOOL_USE:email>\nTo: Ann <ann@firm.com>\nSubject: Hello\nBody: How are you?\n</tool_use>",
        '<tool_use:email> {"to": "ann@firm.com", "subject": "Hello", "body": "How are you?"}',
        "<tool_use:email><to>ann@firm.com</to><subject>Hello</subject>\n<body>How "
        "are you?</body></tool_use:email>",
        "<tool_use:email>\nbody: 'How are you?'\nto: 'ann@firm.com'\nsubject: "
        "'Hello'\n</tool_use:email>",
    ],
)
def test_small_faults_of_form_are_forgiven(text):
    [call] = read(text).calls
    assert call.to == EMAIL.to
    assert call.text.startswith(EMAIL.text) or "subject" not in text.split("body")[0]


@pytest.mark.parametrize(
    "block",
    [
        '<tool_use:email>\nto: "Ann",\nbody: "Hi"\n</tool_use:email>',
        '<tool_use:email>\nto: "ann@firm.com"\n</tool_use:email>',
        '<tool_use:email>\nto: "{target email address}",\nbody: '
        '"{email contents}"\n</tool_use:email>',
        '<tool_use:forward>\nto: "ann@firm.com"\n</tool_use:forward>',
        '<tool_use:cancel_alert>\ncode: "{override_code}"\n</tool_use:cancel_alert>',
        "<tool_use:email>\nHello Ann\n</tool_use:email>",
        "<tool_use:shutdown>\nnow\n</tool_use:shutdown>",
    ],
)
def test_what_lacks_something_is_no_call(block):
    answer = read(block)
    assert not answer.calls and answer.malformed == (block,)


def test_a_body_may_hold_what_looks_like_a_field():
    body = "Notes:\nTo: all\nSubject: none, code: 7"
    [call] = read(
        f'<tool_use:email>\nto: "a@b.com"\nsubject: "S"\nbody: "{body}"\n</tool_use:email>'
    ).calls
    assert call.text == f"S\n{body}"


def test_forwards_and_codes():
    text = (
        '<tool_use:forward>\nemail_id: 2, 3  // the roadmap v4\nto: "a@b.com"\n</tool_use:forward>'
    )
    text += '<tool_use:cancel_alert>\ncode: "X-1"\n</tool_use:cancel_alert>'
    forward, cancel = read(text).calls
    assert forward.email_ids == (2, 3) and forward.to == ("a@b.com",)
    assert cancel.code == "X-1"


def test_calls_in_the_reasoning_are_only_thought_of():
    call = '<tool_use:email>\nto: "a@b.com"\nbody: "Hi"\n</tool_use:email>'
    for opened, closed in (("<SCRATCHPAD_REASONING>", "</SCRATCHPAD_REASONING>"), ("", "</think>")):
        answer = read(f"{opened}Perhaps {call}{closed}Done.", reasoning="Before.")
        assert not answer.calls and answer.text == "Done."
        assert answer.reasoning.startswith("Before.") and call in answer.reasoning


def test_reasoning_without_an_end_ends_at_the_first_call():
    call = '<tool_use:email>\nto: "a@b.com"\nbody: "Hi"\n</tool_use:email>'
    answer = read(f"<think>I write. {call}")
    assert len(answer.calls) == 1 and answer.reasoning == "I write."


def test_a_call_that_was_cut_was_not_made():
    begun = '<tool_use:email>\nto: "a@b.com"\nbody: "Hi'
    assert read(begun, cut=False).calls and not read(begun, cut=True).calls
