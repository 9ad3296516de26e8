"""Reads an answer: its reasoning, its tool calls in XML, and the text around them.

Small faults of form are forgiven: other quotes, a missing comma, another case, a closing tag of
another name or none. What a call needs has to be there: an address and a body, an address and the
number of an e-mail, or a code.
"""

import dataclasses
import re

FIELDS = {
    "email": ("to", "cc", "bcc", "subject", "body"),
    "forward": ("email_id", "to", "cc", "bcc", "subject", "body"),
    "cancel_alert": ("code",),
}
_REASONING = r"(?:scratchpad_reasoning|scratchpad|thinking|think|reasoning)"
_OPEN = re.compile(rf"<\s*{_REASONING}\s*>", re.IGNORECASE)
_CLOSE = re.compile(rf"<\s*/\s*{_REASONING}\s*>", re.IGNORECASE)
_CALL = re.compile(
    r"<\s*tool_use\s*:\s*(\w+)\s*>(.*?)(<\s*/\s*tool_use[^>]*>|(?=<\s*tool_use\s*:)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_TAGGED = re.compile(r"<(to|cc|bcc|subject|body|email_id|code)>\s*(.*?)\s*</\1>", re.I | re.DOTALL)
_KEY = re.compile(
    r"(^|[\n,{])[ \t]*[\"'*]*(to|cc|bcc|subject|body|email_id|code)[\"'*]*[ \t]*[:=][ \t]*",
    re.IGNORECASE,
)
_DRAFT = re.compile(r"^\W*to\W*:.*@.*$", re.IGNORECASE | re.MULTILINE)  # no XML around it
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclasses.dataclass(frozen=True)
class Call:
    """A well-formed tool call."""

    name: str  # one of FIELDS
    to: tuple[str, ...] = ()  # addresses, also of copies, in lower case
    text: str = ""  # subject and body
    email_ids: tuple[int, ...] = ()
    code: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model answered, in its parts."""

    reasoning: str
    text: str  # neither reasoning nor calls
    calls: tuple[Call, ...]
    malformed: tuple[str, ...]  # what tried to be a call, or an e-mail without the XML
    cut: bool


def read(answer: str, reasoning: str = "", cut: bool = False) -> Answer:
    """reasoning: what the model's server took out of the answer already. cut: whether it ended at
    the most tokens that it may have; then a call without an end was not made."""
    thought, said = _split(answer)
    calls, malformed = [], []
    for found in _CALL.finditer(said):
        call = _call(found[1].lower(), found[2])
        ended = bool(found[3]) or found.end() < len(said) or not cut
        if call and ended:
            calls.append(call)
        else:
            malformed.append(found[0])
    text = _CALL.sub("\n", said).strip()
    if draft := _DRAFT.search(text):
        malformed.append(text[draft.start() :])
    reasoned = f"{reasoning}\n{thought}".strip()
    return Answer(reasoned, text, tuple(calls), tuple(malformed), cut)


def addresses(text: str) -> tuple[str, ...]:
    """The e-mail addresses in a text, in lower case."""
    return tuple(_ADDRESS.findall(text.lower()))


def _split(answer: str) -> tuple[str, str]:
    """(reasoning, the rest). A call in the reasoning is only thought of.

    Reasoning that is not closed ends where the first call begins: models forget the tag.
    """
    thoughts, rest = [], ""
    first, closed = _OPEN.search(answer), _CLOSE.search(answer)
    if closed and (first is None or closed.start() < first.start()):  # the prompt opened it
        thoughts.append(answer[: closed.start()])
        answer = answer[closed.end() :]
    while opened := _OPEN.search(answer):
        rest += answer[: opened.start()]
        answer = answer[opened.end() :]
        if closed := _CLOSE.search(answer):
            thoughts.append(answer[: closed.start()])
            answer = answer[closed.end() :]
        else:
            call = _CALL.search(answer)
            end = call.start() if call else len(answer)
            thoughts.append(answer[:end])
            answer = answer[end:]
    return "\n".join(thoughts), rest + answer


def _call(name: str, block: str) -> Call | None:
    """None where something is missing."""
    if name not in FIELDS:
        return None
    fields = _fields(_TAGGED.sub(r"\n\1: \2\n", block), FIELDS[name])
    copies = " ".join(fields.get(key, "") for key in ("to", "cc", "bcc"))
    text = f"{fields.get('subject', '')}\n{fields.get('body', '')}".strip()
    call = Call(
        name,
        addresses(copies),
        text,
        _numbers(fields.get("email_id", "")),
        fields.get("code", ""),
    )
    whole = {
        "email": call.to and fields.get("body"),
        "forward": call.to and call.email_ids,
        "cancel_alert": call.code and "{" not in call.code,
    }
    return call if whole[name] else None


def _fields(block: str, keys: tuple[str, ...]) -> dict[str, str]:
    """Key -> value. A body ends only where a key begins that the call still needs."""
    starts: list[tuple[str, int, int]] = []  # key, where it begins, where its value begins
    needed = {"to", "email_id", "body"}
    for found in _KEY.finditer(block):
        key, seen = found[2].lower(), {start[0] for start in starts}
        if key not in keys or key in seen:
            continue
        if "body" in seen and (found[1] == "," or key not in needed):
            continue
        starts.append((key, found.start(), found.end()))
    ends = [*(begin for _, begin, _ in starts[1:]), len(block)]
    return {
        key: _plain(block[begin:end]) for (key, _, begin), end in zip(starts, ends, strict=False)
    }


def _numbers(value: str) -> tuple[int, ...]:
    """ "2, 3 and 5 (the roadmap v4)": those of the list that it begins with."""
    listed = re.match(r"\D*(\d+(?:\s*(?:,|and|&)\s*\d+)*)", value)
    return tuple(map(int, re.findall(r"\d+", listed[1]))) if listed else ()


def _plain(value: str) -> str:
    return value.strip().strip("}").strip().rstrip(",").strip().strip("\"'").strip()
