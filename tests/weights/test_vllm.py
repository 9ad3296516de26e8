"""The command that serves adapters in vLLM. vLLM itself is not here: it is read as a shell does."""

import json
import shlex
from pathlib import Path

import pytest

from vcjax.weights import vllm

FOLDERS = {"america-0": Path("out/america-0"), "cheap-1": Path("out/cheap-1")}


def words(base="org/model", revision=None, adapters=FOLDERS, rank=64, template=None, plain=None):
    return shlex.split(vllm.command(base, revision, adapters, rank, template, plain))


def test_it_is_one_command_with_all_adapters():
    assert words() == [
        *("vllm", "serve", "org/model", "--enable-lora", "--max-lora-rank", "64"),
        *("--lora-modules", "america-0=out/america-0", "cheap-1=out/cheap-1"),
    ]
    given = words("my model", "abc", template=Path("out/a b.jinja"), plain="base-0")
    assert given[2:9] == [
        *("my model", "--revision", "abc", "--served-model-name", "base-0"),
        *("--chat-template", "out/a b.jinja"),
    ]


@pytest.mark.parametrize(("rank", "allowed"), [(4, "8"), (64, "64"), (72, "128"), (330, "512")])
def test_the_rank_is_one_that_it_takes(rank, allowed):
    assert words(rank=rank)[5] == allowed


def test_a_rank_that_it_does_not_take_is_said():
    assert vllm.command("m", None, FOLDERS, 513, None, None).startswith("# vLLM serves adapters of")


def test_a_name_with_signs_of_its_own_is_json():
    [module] = words(adapters={"a=b,c-0": Path("out/a=b,c-0")})[7:]
    assert json.loads(module) == {"name": "a=b,c-0", "path": "out/a=b,c-0"}
