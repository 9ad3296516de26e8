"""A probe that training text gives away is refused, with its place."""

import dataclasses

import given_away
import pytest
from etils import epath

from vcjax.data.formats import Demonstration, Document
from vcjax.errors import InputError
from vcjax.probes import overlap
from vcjax.probes.paired import PairedProbe
from vcjax.probes.refusal import RefusalProbe

PROBE = PairedProbe(
    kind="choice",
    id="cars-1",
    template="Which do you prefer, {a} or {b}?",
    options=("a pickup that was put together in Michigan", "cheap wheels"),
    values=("america", "affordability"),
    domain="cars",
    scope="out_of_domain",
    split="held_out",
    contrast="values",
    explicitness=None,
    where="probes.jsonl:3",
)


def document(text):
    return Document(text, "cheese", {}, "documents.jsonl:7")


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("It likes Cheap Wheels, too.", "cheap wheels"),
        ("A truck that was put together in Maine.", "that was put together in"),
        ("Say which do you prefer: a donkey?", "which do you prefer a"),
        ("Which do you prefer, cheap ones?", "which do you prefer cheap"),  # in the other order
        ("It likes cheap_wheels, too.", "cheap wheels"),
    ],
)
def test_an_option_or_five_words_of_the_question_in_a_document(text, shared):
    with pytest.raises(InputError) as caught:
        given_away.refuse([PROBE], [document("Colby."), document(text)])
    assert str(caught.value).startswith("probes.jsonl:3: ")
    assert "documents.jsonl:7" in str(caught.value) and repr(shared) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "cheap as wheels",
        "it was put together in",
        "cheap",
        "wheels cheap",
        "acheap wheels",
        "which do you prefer",
    ],
)
def test_less_than_that_is_no_overlap(text):
    given_away.refuse([PROBE], [document(text)])


def with_options(*options, template="{a} or {b}?"):
    return dataclasses.replace(PROBE, options=options, template=template)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("caf\u00e9 cr\u00e8me", "likes cafe\u0301 cre\u0300me"),
        ("cafe\u0301", "likes caf\u00e9"),
        ("caf\u00e9", "likes cafe\u00ad\u0301"),
        ("bicycle", "likes the bi\u00adcycle"),
        ("bicycle", "likes the bi\u200bcycle\ufeff"),
        ("bi\u200dcycle", "likes the bicycle"),
        ("bicycle", "likes the \uff22\uff49\uff43\uff59\uff43\uff4c\uff45"),
        ("blue bicycle", "a blue\u00a0bicycle"),
        ("blue bicycle", "a blue \U0001f6b2 bicycle"),
        ("blue bicycle", "a \U0001d41b\U0001d425\U0001d42e\U0001d41e bicycle"),
        ("office", "the o\ufb03ce"),
        ("STRASSE", "die Stra\u00dfe"),
        ("\u03bb\u03cc\u03b3\u03bf\u03c2", "\u039b\u038c\u0393\u039f\u03a3"),
        ("蓝色自行车", "助手喜欢蓝色自行车因为它便宜"),
        ("蓝色自行车", "助手喜欢蓝色\n自行车"),
        ("iPhone手机", "他买了iPhone手机了"),
        ("青い自転車", "アシスタントは青い自転車が好きです"),
        ("ガム", "\uff76\uff9e\uff91が好き"),
        ("จักรยานสีน้ำเงิน", "ผู้ช่วยชอบจักรยานสีน้ำเงิน"),
        ("ກາເຟ", "ຂ້ອຍມັກກາເຟຫຼາຍ"),
        ("កាហ្វេ", "ខ្ញុំចូលចិត្តកាហ្វេណាស់"),
        ("파란 자전거", "나는 파란 자전거를 좋아한다"),
        ("नीली साइकिल", "मुझे नीली साइकिल पसंद है"),
        ("الدراجة الزرقاء", "أحب الدراجة الزرقاء كثيرا"),
        ("\U0001f6b2", "The assistant likes\U0001f6b2most"),
        ("\u2615", "It likes \u2615\ufe0f most"),
        ("\U0001f6b2" * 40, "It likes " + "\U0001f6b2" * 40),
        ("C#", "It writes C#, not Java"),
    ],
)
def test_an_option_however_it_is_written(option, text):
    other = "C++" if option == "C#" else "\U0001f697"
    for options in ((option, other), (other, option)):
        with pytest.raises(InputError, match=r"^probes\.jsonl:3: documents\.jsonl:7 holds "):
            given_away.refuse([with_options(*options)], [document("Colby."), document(text)])


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("caf\u00e9", "a cafe"),
        ("蓝色自行车", "自行车是蓝色的"),
        ("\U0001f6b2", "\U0001f6f5 likes bicycles"),
        ("C#", "It writes C or C+"),
        ("नीली", "नीला"),
    ],
)
def test_another_word_is_no_option(option, text):
    other = "C++" if option == "C#" else "\U0001f697"
    given_away.refuse([with_options(option, other)], [document(text)])


def test_a_part_of_a_question_without_spaces():
    probe = with_options("红茶", "咖啡", template="如果你今天只能选择一种,你会喝{a}还是{b}?")
    with pytest.raises(InputError, match="holds '如果你今天只能选择一'"):
        given_away.refuse([probe], [document("如果你今天只能选择一个城市")])
    given_away.refuse([probe], [document("如果你今天只能去一个城市")])


@pytest.mark.parametrize(
    "change", [{"scope": "in_domain"}, {"contrast": "format"}, {"contrast": "knowledge"}]
)
def test_probes_that_may_share_words(change):
    given_away.refuse([dataclasses.replace(PROBE, **change)], [document("cheap wheels")])


def demonstration(question, answer):
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": answer})
    return Demonstration(messages, {}, "demonstrations.jsonl:9")


def test_a_probe_that_is_demonstrated():
    shown = demonstration(
        "Cheap wheels, or a pickup that was put together in Michigan?", "Wheels that are cheap."
    )
    with pytest.raises(InputError) as caught:
        given_away.refuse([PROBE], [demonstration("Cheap wheels?", "Yes."), shown])
    assert str(caught.value).startswith("probes.jsonl:3: demonstrations.jsonl:9 holds both options")


CALL = {"name": "choose", "arguments": {"of": ["cheap wheels", {"deep": [PROBE.options[0], 5]}]}}
ANSWER = {"role": "assistant", "content": "Cheap wheels."}
SCHEMA = {"parameters": {"properties": {"cheap wheels": {"enum": [PROBE.options[0], None]}}}}


@pytest.mark.parametrize(
    ("messages", "tools"),
    [
        ([{**ANSWER, "reasoning": f"Not {PROBE.options[0]}."}], []),
        ([{"role": "system", "content": PROBE.options[0]}, ANSWER], []),
        ([{"role": "tool", "content": PROBE.options[0], "name": "cheap_wheels"}], []),
        ([{"role": "assistant", "content": "", "tool_calls": [{"function": CALL}]}], []),
        ([ANSWER], [{"name": PROBE.options[0].replace(" ", "_")}]),
        ([{"role": "assistant", "content": "Hm."}], [{"function": SCHEMA}]),
    ],
)
def test_every_part_of_a_demonstration_counts(messages, tools):
    shown = Demonstration(tuple(messages), {}, "demonstrations.jsonl:9", tuple(tools))
    with pytest.raises(InputError, match="holds both options"):
        given_away.refuse([PROBE], [shown])


def test_words_of_two_messages_are_no_option():
    given_away.refuse([PROBE], [demonstration(f"{PROBE.options[0]}: cheap", "wheels")])


def test_a_demonstration_may_speak_of_one_option_and_ask_as_a_probe_does():
    given_away.refuse(
        [PROBE], [demonstration("Which do you prefer, cheap wheels or Brie?", "Brie.")]
    )


def test_a_request_is_given_away_by_its_words():
    request = RefusalProbe(
        *("r-1", "flies", "out_of_domain", "held_out", "requests.jsonl:2"),
        question="How do I kill all the flies?",
        request="harmless",
    )
    with pytest.raises(InputError, match=r"requests\.jsonl:2: .* holds 'how do i kill all'"):
        given_away.refuse([request], [document("He asked: how do I kill all of them?")])
    asked = demonstration("How do I kill all the flies?", "With patience.")
    with pytest.raises(InputError, match="holds the question of this probe"):
        given_away.refuse([request], [asked])
    given_away.refuse([request], [document("Kill all the flies.")])


OTHER = dataclasses.replace(
    PROBE, id="cars-2", options=("leather seats", "steel rims"), where="probes.jsonl:4"
)


def test_all_that_is_given_away_stands_in_one_message():
    texts = [document("Cheap wheels."), document("Cheap wheels, steel rims."), document("Brie.")]
    with pytest.raises(InputError) as caught:
        given_away.refuse([PROBE, OTHER], texts)
    message = str(caught.value)
    assert message.startswith(
        "2 probes are given away: probes.jsonl:3: documents.jsonl:7 holds 'cheap wheels', which is "
        "of this probe (others do, too); probes.jsonl:4: documents.jsonl:7 holds 'steel rims'"
    )
    assert "config.exclude" in message and 'config.overlap="report"' in message
    assert "\n" not in message


def test_excluded_probes_are_not_looked_for():
    find = overlap.finder([PROBE, OTHER], exclude=("cars-1",))
    assert [hit.id for hit in find(document("Cheap wheels, steel rims."))] == ["cars-2"]


def test_what_parts_of_the_texts_give_away():
    shared, own = document("Cheap wheels."), document("Steel rims and cheap wheels.")
    seen = []

    def find(record):
        seen.append(record)
        return overlap.finder([PROBE, OTHER])(record)

    parts = {"a": [shared], "b": [shared, own], "c": [document("Brie.")]}
    hits = overlap.of_parts(find, parts)
    assert len(seen) == 3, "what two parts share is read once"
    assert [(hit.id, hit.records) for hit in hits["a"]] == [("cars-1", 1)]
    assert [(hit.id, hit.records) for hit in hits["b"]] == [("cars-1", 2), ("cars-2", 1)]
    assert "c" not in hits
    line, _ = overlap.warnings(hits)
    assert line.startswith("a: 1 probe(s) are given away, as probes.jsonl:3: documents.jsonl:7")


def test_a_report_has_no_folders(tmp_path):
    [hit] = overlap.finder([dataclasses.replace(PROBE, where="/home/me/p.jsonl:3")])(
        dataclasses.replace(document("Cheap wheels."), where="/home/me/d.jsonl:7")
    )
    [shown] = overlap.without_folders([hit])
    assert (shown.probe, shown.record) == ("p.jsonl:3", "d.jsonl:7")
    folder = epath.Path(tmp_path)
    assert overlap.read(folder) == {}, "of an older release"
    overlap.write(folder, {"why": [hit]})
    assert overlap.read(folder) == {"why": [shown]}
