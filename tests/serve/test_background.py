"""A server in a thread: it answers whoever has its key, and is gone afterwards."""

import jax
import openai
import pytest
import tiny

from vcjax import sharding
from vcjax.generation.sampler import Sampler
from vcjax.models import transformer
from vcjax.models.lora import LoRA
from vcjax.serve.background import serving
from vcjax.training.samplers import Speaker
from vcjax.weights.gguf import read_tokenizer

MODEL = tiny.model(lora=LoRA(rank=4, alpha=12))


class Loaded:
    """What a server needs of `LoadedModel`."""

    def __init__(self, tokenizer):
        self.mesh = sharding.make_mesh(
            dict(replica=1, fsdp=1, tensor=1, sequence=1), jax.devices()[:1]
        )
        self.pretrained = type("Pretrained", (), {"tokenizer": tokenizer})


def ask(client):
    return client.completions.create(model="america-0", prompt="I", max_tokens=4, temperature=0)


def test_it_answers_with_its_key_while_it_is_there(tiny_gguf):
    tokenizer = read_tokenizer(tiny_gguf)
    loaded = Loaded(tokenizer)
    with jax.set_mesh(loaded.mesh):
        adapter = transformer.init_adapter(MODEL, jax.random.key(0))
        sampler = Sampler([adapter], tiny.weights(), MODEL, tokenizer, frozenset(), 2, 64)
    with serving(loaded, {"america-0": Speaker(sampler, 0)}) as address:
        client = openai.OpenAI(base_url=address.url, api_key=address.key, max_retries=0)
        first = ask(client)
        assert ask(client).choices[0].text == first.choices[0].text
        stranger = openai.OpenAI(base_url=address.url, api_key="another", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            ask(stranger)
    with pytest.raises(openai.APIConnectionError):
        ask(client)
