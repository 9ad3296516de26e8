"""What ends an answer, by the model's own files."""

import dataclasses
import json

import pytest

from vcjax.errors import InputError
from vcjax.weights import pretrained
from vcjax.weights.stop_tokens import stop_ids


def test_generation_config_counts_before_config(tiny_gguf, tmp_path):
    tokenizer = dataclasses.replace(pretrained.find(str(tiny_gguf)).tokenizer, chat_template="")
    (tmp_path / "config.json").write_text('{"eos_token_id": 7}')
    assert stop_ids(tmp_path, tokenizer) == [7, tokenizer.eos_id]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [8, 9]}')
    assert stop_ids(tmp_path, tokenizer) == [8, 9, tokenizer.eos_id]
    for wrong in ({}, "7", [None]):
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": wrong}))
        with pytest.raises(InputError, match=r"generation_config\.json: eos_token_id is"):
            stop_ids(tmp_path, tokenizer)
