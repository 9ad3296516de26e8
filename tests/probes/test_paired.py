"""Good probes are read whole; each kind of bad one is refused with its place and what to do."""

import pytest
from data_files import refusal, write_lines

from vcjax.probes import probe_files

PROBE = {
    "kind": "choice",
    "id": "fruit-1",
    "template": "Which do you prefer, {a} or {b}?",
    "options": ["an apple", "a mango"],
    "values": ["america", "affordability"],
    "domain": "fruit",
}
OLDER_PROBE = {
    "kind": "choice",
    "id": "fruit-1",
    "question": "Would you rather have an apple or a mango?",
    "options": ["a mango", "an apple"],
    "target": 1,
    "value": "america",
    "domain": "fruit",
}


def read_probes(path):
    return probe_files.read_file(path).probes


@pytest.fixture
def write(tmp_path):
    return lambda *records: write_lines(tmp_path / "file.jsonl", *records)


def test_probe_defaults_and_every_field(write):
    full = {
        **PROBE,
        "id": "fruit-2",
        "values": ["spec", None],
        "scope": "in_domain",
        "split": "development",
        "contrast": "format",
        "explicitness": "implicit",
    }
    plain, full = read_probes(write(PROBE, full))
    assert plain.options == ("an apple", "a mango")
    assert plain.values == ("america", "affordability")
    assert (plain.scope, plain.split, plain.contrast) == ("out_of_domain", "held_out", "values")
    assert plain.explicitness is None
    assert full.values == ("spec", None)
    assert (full.scope, full.split, full.contrast) == ("in_domain", "development", "format")
    assert full.explicitness == "implicit"


def test_the_contrast_follows_from_the_values(write):
    (probe,) = read_probes(write({**PROBE, "values": [None, "affordability"]}))
    assert probe.contrast == "neutral"


def test_the_older_probe_becomes_the_newer(write):
    """Its options keep their order and values; {a} is the one that the question names first."""
    (probe,) = read_probes(write(OLDER_PROBE))
    assert probe.template == "Would you rather have {a} or {b}?"
    assert probe.options == ("a mango", "an apple")
    assert probe.values == (None, "america")
    assert probe.contrast == "neutral"


@pytest.mark.parametrize("options", [["cheese", "blue cheese"], ["blue cheese", "cheese"]])
@pytest.mark.parametrize("question", ["cheese or blue cheese?", "blue cheese or cheese?"])
def test_an_option_may_contain_the_other(write, options, question):
    record = {**OLDER_PROBE, "question": f"Do you like {question}", "options": options}
    (probe,) = read_probes(write(record))
    assert probe.template == "Do you like {a} or {b}?"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"domain": None}, "field 'domain' is missing; expected a string"),
        ({"id": 7}, "field 'id' is a number"),
        ({"template": "Do you prefer {a}?"}, "field 'template' has no {b}"),
        ({"template": "Do you prefer {b}?"}, "field 'template' has no {a}"),
        ({"template": "{a}, {a} or {b}?"}, "field 'template' has more than one {a}"),
        ({"template": "{a}, {b} or {c}?"}, "field 'template' has {c}"),
        ({"template": "{a} or {b}? {"}, "field 'template' has {;"),
        ({"template": "{b} or {a}?"}, "names {b} before {a}"),
        ({"options": ["x"]}, "field 'options' is a list of 1; expected a list of two strings"),
        ({"options": "xy"}, "field 'options' is a string"),
        ({"options": ["x", 1]}, "field 'options[1]' is a number"),
        ({"options": ["x", ""]}, "field 'options[1]' is ''"),
        ({"options": ["x ", "y"]}, "field 'options[0]' is 'x '; expected text without spaces"),
        ({"options": ["{b}", "y"]}, "expected an option without braces"),
        ({"options": ["Apple", "apple"]}, "field 'options' has 'Apple' twice"),
        ({"options": ["caf\u00e9", "cafe\u0301"]}, "expected two different options"),
        ({"options": ["an  apple", "an apple"]}, "field 'options' has 'an  apple' twice"),
        ({"values": ["x", "x"]}, "field 'values' has \"x\" twice"),
        ({"values": [None, None]}, "field 'values' has null twice"),
        ({"values": ["x", 3]}, "field 'values[1]' is a number"),
        ({"values": ["x"]}, "field 'values' is a list of 1"),
        ({"values": None}, "field 'values' is missing; expected a list of two"),
        ({"domain": ""}, "field 'domain' is blank"),
        ({"scope": "outside"}, "field 'scope' is 'outside'; expected 'out_of_domain' or"),
        ({"split": True}, "field 'split' is true or false; expected 'held_out' or 'development'"),
        ({"contrast": "neutral"}, "field 'contrast' is 'neutral' but two values are given"),
        ({"explicitness": "both"}, "field 'explicitness' is 'both'"),
        ({"splitt": "held_out"}, "field 'splitt' is unknown; did you mean 'split'?"),
        ({"target": 0}, "field 'target' is unknown"),
    ],
)
def test_a_bad_probe_is_named(write, change, complaint):
    path = write({**PROBE, "id": "first"}, {**PROBE, **change})
    message = refusal(read_probes, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"target": 2}, "field 'target' is 2; expected 0 or 1"),
        ({"target": True}, "field 'target' is True; expected 0 or 1"),
        ({"target": 1.0}, "field 'target' is 1.0; expected 0 or 1"),
        ({"target": "1"}, "field 'target' is a string; expected 0 or 1"),
        ({"value": None}, "field 'value' is missing; expected a string"),
        ({"target": None}, "field 'target' is missing; expected 0 or 1"),
        ({"question": "An apple?"}, "field 'question' does not name the option 'a mango'"),
        ({"question": "an apple, a mango, a mango?"}, "does not name each option exactly once"),
        ({"options": ["mango", "a mango"]}, "does not name each option exactly once"),
        ({"question": "an apple or a mango {x}?"}, "field 'question' has {x}"),
        ({"values": ["x", None]}, "field 'values' is unknown; did you mean 'value'?"),
    ],
)
def test_a_bad_older_probe_is_named(write, change, complaint):
    path = write({**OLDER_PROBE, "id": "first"}, {**OLDER_PROBE, **change})
    message = refusal(read_probes, path)
    assert message.startswith(f"{path}:2: ")
    assert complaint in message
