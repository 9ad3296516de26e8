"""Published config.json files are read as `transformers` reads them, whatever they leave out.

published.json has them by their name on the hub, as far as they say something of the model; those
that a later version of `transformers` saved are named so.
"""

import json
from pathlib import Path

import pytest

from vcjax.models.architecture import KNOWN
from vcjax.weights import huggingface

PUBLISHED = json.loads(Path(__file__).with_name("published.json").read_text())


@pytest.fixture
def written(tmp_path):
    def write(config):
        (tmp_path / "config.json").write_text(json.dumps(config))
        return tmp_path

    return write


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_read_as_by_transformers(torch, written, name):
    from transformers import AutoConfig

    folder = written(PUBLISHED[name])
    ours = huggingface.read_architecture(folder)
    outer = AutoConfig.from_pretrained(folder)
    theirs = outer.get_text_config()
    heads = theirs.num_attention_heads
    assert (ours.num_layers, ours.embed_dim, ours.mlp_dim, ours.num_heads) == (
        theirs.num_hidden_layers,
        theirs.hidden_size,
        getattr(theirs, "moe_intermediate_size", theirs.intermediate_size),
        heads,
    )
    if ours.experts is not None:
        assert (ours.experts.count, ours.experts.per_token, ours.experts.normalised) == (
            theirs.num_experts,
            theirs.num_experts_per_tok,
            theirs.norm_topk_prob,
        )
    assert ours.num_kv_heads == theirs.num_key_value_heads
    assert ours.head_dim == (getattr(theirs, "head_dim", None) or theirs.hidden_size // heads)
    assert (ours.vocab_size, ours.context_length, ours.norm_eps, ours.tied_embeddings) == (
        theirs.vocab_size,
        theirs.max_position_embeddings,
        theirs.rms_norm_eps,
        outer.tie_word_embeddings,
    )
    for number in range(ours.num_layers):
        assert of_ours(ours, number) == of_theirs(theirs, number), number
    assert multipliers_of_ours(ours) == pytest.approx(multipliers_of_theirs(theirs))


@pytest.mark.parametrize("name", KNOWN)
def test_a_model_that_is_planned_without_its_files_is_the_published_one(written, name):
    assert KNOWN[name] == huggingface.read_architecture(written(PUBLISHED[name]))


def of_ours(architecture, number):
    """Window and RoPE of a layer; RoPE as (theta, factor, context before scaling), or None."""
    layer = architecture.period[number % len(architecture.period)]
    if layer.rope is None:
        return layer.window, None
    scaling = layer.rope.scaling
    context = getattr(scaling, "original_max_position_embeddings", None)
    return layer.window, (layer.rope.theta, getattr(scaling, "factor", None), context)


def of_theirs(config, number):
    types = getattr(config, "layer_types", None)
    slides = config.model_type == "mistral" or (types and types[number] == "sliding_attention")
    window = config.sliding_window if slides else None
    if not getattr(config, "no_rope_layers", [1] * 99)[number]:
        return window, None
    rope = config.rope_parameters
    rope = rope.get(types[number], rope) if types else rope
    if rope["rope_type"] == "dynamic":  # no scaling up to max_position_embeddings
        return window, (rope["rope_theta"], None, None)
    context = rope.get("original_max_position_embeddings")
    return window, (rope["rope_theta"], rope.get("factor"), context)


def multipliers_of_ours(architecture):
    return (
        architecture.embedding_multiplier,
        architecture.attention_scale or architecture.head_dim**-0.5,
        architecture.residual_multiplier,
        architecture.logit_divisor,
    )


def multipliers_of_theirs(config):
    if config.model_type == "granite":
        return (
            config.embedding_multiplier,
            config.attention_multiplier,
            config.residual_multiplier,
            config.logits_scaling,
        )
    if config.model_type == "gemma3_text":
        return config.hidden_size**0.5, config.query_pre_attn_scalar**-0.5, 1, 1
    head_dim = getattr(config, "head_dim", None)
    return 1, (head_dim or config.hidden_size // config.num_attention_heads) ** -0.5, 1, 1
