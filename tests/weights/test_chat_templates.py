"""Named chat templates go in and out as in `transformers`."""

import dataclasses
import json

import hub
import peers
import pytest

from vcjax.errors import InputError
from vcjax.weights import huggingface_out
from vcjax.weights.chat_templates import read
from vcjax.weights.tokenizer_json import read_tokenizer

NAMED = {"default": "D", "tool_use": "T", "rag": "R"}
FOLDER = "additional_chat_templates"


def as_list(folder):
    return {"chat_template": [{"name": n, "template": t} for n, t in NAMED.items()]}


def as_object(folder):
    return {"chat_template": NAMED}


def as_files(folder):
    """Which go before those of the config."""
    (folder / FOLDER).mkdir()
    for name, template in NAMED.items():
        place = f"{FOLDER}/{name}.jinja" if name != "default" else "chat_template.jinja"
        (folder / place).write_text(template)
    return {"chat_template": "other"}


@pytest.fixture(params=[as_list, as_object, as_files])
def folder(request, tmp_path):
    hub.write_tokenizer(tmp_path, "llama3", 600)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    hub.write_json(tmp_path / "tokenizer_config.json", config | request.param(tmp_path))
    return tmp_path


def test_they_are_read_and_written_out_again(folder, tmp_path_factory):
    tokenizer = read_tokenizer(folder)
    assert tokenizer.chat_template == "D"
    assert tokenizer.named_templates == {"tool_use": "T", "rag": "R"}
    out = tmp_path_factory.mktemp("out")
    huggingface_out.write_tokenizer(out, folder, tokenizer)
    again = read_tokenizer(out)
    assert (again.chat_template, again.named_templates) == ("D", {"tool_use": "T", "rag": "R"})
    assert again.identity == tokenizer.identity


def test_transformers_reads_what_is_written(folder, tmp_path_factory):
    peers.require_torch()
    from transformers import PreTrainedTokenizerFast

    out = tmp_path_factory.mktemp("out")
    huggingface_out.write_tokenizer(out, folder, read_tokenizer(folder))
    for place in (folder, out):
        assert PreTrainedTokenizerFast.from_pretrained(place).chat_template == NAMED


def test_a_template_of_the_config_stands_for_all(folder, tmp_path_factory):
    tokenizer = dataclasses.replace(read_tokenizer(folder), chat_template="own", named_templates={})
    out = tmp_path_factory.mktemp("out")
    huggingface_out.write_tokenizer(out, folder, tokenizer)
    assert read(out, json.loads((out / "tokenizer_config.json").read_text())) == {"default": "own"}


def test_the_identity_is_of_all_of_them(folder):
    before = read_tokenizer(folder).identity
    (folder / FOLDER).mkdir(exist_ok=True)
    (folder / "chat_template.jinja").write_text("D")
    (folder / FOLDER / "tool_use.jinja").write_text("other")
    assert read_tokenizer(folder).identity != before


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"tool_use": "T"}, "chat_template: none is named 'default', only tool_use"),
        (5, "chat_template: expected text, or texts by their names"),
        ({"default": None}, "chat_template: expected text, or texts by their names"),
        ([{"name": "default"}], "chat_template: expected text, or texts by their names"),
        (["D"], "chat_template: expected text, or texts by their names"),
        ({"default": "D", "../x": "X"}, "chat_template: expected text, or texts by their names"),
    ],
)
def test_what_is_no_template_is_refused(given, complaint, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"chat_template": given})
    assert str(caught.value).startswith(f"{tmp_path / 'tokenizer_config.json'}: {complaint}")


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "chat_template.jinja").write_bytes(b"\xe9")
    with pytest.raises(InputError, match=r"chat_template\.jinja: not UTF-8"):
        read(tmp_path, {})
