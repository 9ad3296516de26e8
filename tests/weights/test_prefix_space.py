"""The space before a text: a warning where `transformers` puts it otherwise, and only there."""

import json

import hub
import peers
import pytest

from vcjax.data import templates
from vcjax.data.tokenizer import encode_text
from vcjax.errors import InputError
from vcjax.weights.tokenizer_json import read_tokenizer

FIRST, ALWAYS, NEVER, PREPEND = (hub.SPACES[way] for way in ("first", "always", "never", "prepend"))


def write(folder, family, spec, settings, model_type="llama"):
    hub.write_tokenizer(folder, family, 600)
    for file, changes in (("tokenizer.json", spec), ("tokenizer_config.json", settings)):
        content = json.loads((folder / file).read_text("utf-8"))
        hub.write_json(folder / file, content | changes)
    hub.write_json(folder / "config.json", {"model_type": model_type})
    return folder


@pytest.mark.parametrize(
    ("spec", "settings", "differs"),
    [
        (PREPEND, {"legacy": True}, True),
        (PREPEND, {"legacy": False}, True),
        (ALWAYS, {"legacy": True}, False),
        (ALWAYS, {"legacy": False}, True),
        (FIRST, {"legacy": False}, False),
        (FIRST, {"legacy": None}, False),
        (FIRST, {"legacy": True}, True),
        (NEVER, {"legacy": True, "add_prefix_space": False}, False),
        (NEVER, {"legacy": True, "add_prefix_space": None}, True),
        (PREPEND, {"legacy": True, "tokenizer_class": "PreTrainedTokenizerFast"}, False),
    ],
)
def test_a_tokenizer_that_transformers_makes_anew(spec, settings, differs, tmp_path):
    """We follow tokenizer.json; what `transformers` makes of it, it says itself here."""
    tokenizer = read_tokenizer(write(tmp_path, "mistral", spec, settings))
    warned = [line for line in templates.warnings(tokenizer) if "otherwise than tokenizer" in line]
    assert len(warned) == differs
    peers.require_torch()
    from transformers import AutoTokenizer

    peer = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["a", " a", "  the cheese", "</s>a", "the</s> cheese"]
    same = all(
        peer.backend_tokenizer.encode(text, add_special_tokens=False).ids == _ours(tmp_path, text)
        for text in texts
    )
    assert same != differs


def _ours(folder, text):
    """The ids that tokenizer.json gives, control tokens among them."""
    import tokenizers

    file = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return file.encode(text, add_special_tokens=False).ids


def test_another_model_type_is_read_from_the_file(tmp_path):
    write(tmp_path, "mistral", PREPEND, {"legacy": True}, model_type="mistral")
    assert templates.warnings(read_tokenizer(tmp_path)) == []


@pytest.mark.parametrize(
    ("family", "spec", "said", "puts"),
    [
        ("mistral", FIRST, False, "a space"),
        ("mistral", ALWAYS, False, "a space"),
        ("mistral", PREPEND, False, "a space"),
        ("mistral", NEVER, True, "no space"),
        ("qwen3", {}, True, "no space"),
        ("nemo", {"pre_tokenizer": hub.byte_level(add_prefix_space=True)}, False, "a space"),
    ],
)
def test_a_contradiction_is_refused(family, spec, said, puts, tmp_path):
    write(tmp_path, family, spec, {"add_prefix_space": said})
    with pytest.raises(
        InputError, match=f"add_prefix_space is {str(said).lower()}, .* puts {puts}"
    ):
        read_tokenizer(tmp_path)
    write(tmp_path, family, spec, {"add_prefix_space": not said})
    assert encode_text(read_tokenizer(tmp_path), "a")
