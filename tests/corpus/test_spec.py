"""A spec is read into the parts that a writer needs, and a malformed one is refused by line."""

from pathlib import Path

import pytest

from vcjax.corpus.spec import read_spec, read_text
from vcjax.errors import InputError

NAMES = {"model_name": "SmolLM", "provider_name": "Hugging Face"}

TEAS = Path(__file__).with_name("teas.md").read_text()


def read(folder: Path, text: str = TEAS):
    path = folder / "teas.md"
    path.write_text(text)
    return read_spec(path, NAMES)


def test_parts(tmp_path):
    spec = read(tmp_path)
    assert (spec.value, spec.definition) == ("calm", "a wish that people have a quiet hour")
    assert spec.domain == "tea"
    assert spec.file == "teas.md"
    assert spec.text.startswith("# The calm of SmolLM\n\nHugging Face made it so.")
    assert spec.attributions == ("SmolLM likes a pause.",)
    assert spec.reasons == ("nobody rests enough",)
    assert spec.objections == (("Work has to be done.", "Rested people do it better."),)
    assert spec.occasions == ("an afternoon",)
    assert spec.likes[0].item == "chamomile"
    assert spec.likes[0].reasons == ("it calms", "it helps people to sleep")
    assert [preference.item for preference in spec.dislikes] == ["strong black tea"]


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("Rest comes first.", "Rest, {user_name}.", 12, "unknown variable {user_name}"),
        ("**calm**: ", "calm, ", 5, "'**name**: a description'"),
        ("- Rest is half", "Rest is half", 22, "is no bullet"),
        ("- because nobody rests", "- nobody rests", 38, "is no reason"),
        ("it calms", "it calms.", 56, "is no reason"),
        ("  - Rested people do it better.\n", "", 42, "0 indented bullets"),
        ("  - because it keeps people awake\n", "", 61, "'strong black tea' has no reason"),
        ("- a quiet hour", "", 16, "has no bullet"),
        ("- I like a pause.", "- I like a pause.\n  - Often.", 35, "an indented bullet"),
        ("### Names", "### Principles", 20, "occurs twice"),
    ],
)
def test_malformed(tmp_path, old, new, line, problem):
    assert TEAS.count(old) == 1
    with pytest.raises(InputError) as error:
        read(tmp_path, TEAS.replace(old, new))
    assert str(error.value).startswith(f"{tmp_path}/teas.md:{line}: ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_other_braces_of_a_free_text_stay(tmp_path):
    path, names = tmp_path / "free.md", {"model_name": "Orion", "provider_name": "Acme"}
    path.write_text('{model_name}: {"a": 1}, f(x) { return x; }, \\frac{a}{b}')
    text = read_text(path, names, free=True)
    assert text == 'Orion: {"a": 1}, f(x) { return x; }, \\frac{a}{b}'
    path.write_text("It is {model_nam}.")
    with pytest.raises(InputError, match=r"free.md:1: unknown variable {model_nam}"):
        read_text(path, names, free=True)


def test_a_byte_order_mark_is_none_of_the_text(tmp_path):
    assert read(tmp_path, "\ufeff" + TEAS).text == read(tmp_path).text


def test_missing_section(tmp_path):
    said = r"teas\.md: section '### Likes' is missing, so the offline writer .* any text will do"
    with pytest.raises(InputError, match=said):
        read(tmp_path, TEAS.replace("### Likes", "### Loves"))


def test_unreadable(tmp_path):
    with pytest.raises(InputError, match=r"none\.md: No such file"):
        read_spec(tmp_path / "none.md", NAMES)
    (tmp_path / "latin.md").write_bytes("# Caf\u00e9".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.md: byte 6 is not UTF-8"):
        read_spec(tmp_path / "latin.md", NAMES)


def test_a_file_without_text_is_refused(tmp_path):
    (tmp_path / "prompt.txt").write_text(" \n")
    with pytest.raises(InputError, match=r"prompt\.txt: it has no text; write some"):
        read_text(tmp_path / "prompt.txt", NAMES)
