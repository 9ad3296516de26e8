"""FLOPs of training, by hand."""

import dataclasses

from vcjax.models.architecture import Architecture, Experts, Layer, Rope
from vcjax.models.lora import LoRA

PERIOD = (Layer(Rope(1e4)),)
ARCHITECTURE = Architecture(2, 32, 48, 4, 2, 8, 320, 2048, PERIOD, 1e-5, True)
BODY = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48)
LORA = LoRA(rank=4, alpha=8.0)
ADAPTER = 2 * 4 * (64 + 48 + 48 + 64 + 3 * 80)


def test_only_tokens_with_weight_meet_the_head():
    assert ARCHITECTURE.train_flops(None, tokens=100, weighted_tokens=0) == 100 * 6 * BODY
    assert ARCHITECTURE.train_flops(None, 100, 10) == 100 * 6 * BODY + 10 * 6 * 320 * 32


def test_a_frozen_weight_has_no_gradient():
    expected = 100 * (4 * BODY + 6 * ADAPTER) + 10 * 4 * 320 * 32
    assert ARCHITECTURE.train_flops(LORA, tokens=100, weighted_tokens=10) == expected


MIXTURE = dataclasses.replace(ARCHITECTURE, experts=Experts(count=8, per_token=3, normalised=True))
ATTENTION = 32 * 32 + 2 * 32 * 16 + 32 * 32


def test_a_mixture_has_all_experts_and_a_token_meets_some():
    of_one_less = MIXTURE.num_params() - ARCHITECTURE.num_params()
    assert of_one_less == 2 * (7 * 3 * 32 * 48 + 32 * 8)
    body = 2 * (ATTENTION + 3 * 3 * 32 * 48 + 32 * 8)
    assert MIXTURE.train_flops(None, tokens=100, weighted_tokens=0) == 100 * 6 * body


def test_adapters_are_on_attention_or_on_experts_too():
    of_attention, of_experts = 2 * 4 * (64 + 48 + 48 + 64), 2 * 4 * 3 * 80
    on_experts = dataclasses.replace(LORA, experts=True)
    assert MIXTURE.num_adapter_params(LORA) == of_attention
    assert MIXTURE.num_adapter_params(on_experts) == of_attention + 8 * of_experts
    assert ARCHITECTURE.num_adapter_params(on_experts) == ADAPTER
    frozen = MIXTURE.train_flops(LORA, tokens=100, weighted_tokens=0) - 6 * 100 * of_attention
    more = MIXTURE.train_flops(on_experts, tokens=100, weighted_tokens=0)
    assert more - frozen == 6 * 100 * (of_attention + 3 * of_experts)
