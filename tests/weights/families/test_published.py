"""Published config.json files are read as `transformers` reads them, whatever they leave out."""

import json

import pytest

from vcjax.models.architecture import known_architecture
from vcjax.weights import huggingface

SCALED = dict(factor=8.0, rope_type="linear")
GEMMA = dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", vocab_size=262144)
IN_GEMMA = dict(model_type="gemma3_text", rope_scaling=SCALED, sliding_window=1024)
YARN = dict(
    rope_type="yarn",
    factor=8.0,
    original_max_position_embeddings=8192,
    attention_factor=1.2079441541679836,
    beta_fast=32,
    beta_slow=1,
)
LLAMA3 = dict(
    rope_type="llama3",
    factor=32.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=8192,
)


def multimodal(**text):
    return dict(
        architectures=["Gemma3ForConditionalGeneration"],
        model_type="gemma3",
        boi_token_index=255999,
        eoi_token_index=256000,
        eos_token_id=[1, 106],
        image_token_index=262144,
        mm_tokens_per_image=256,
        text_config=IN_GEMMA | text,
        vision_config=dict(
            hidden_size=1152,
            image_size=896,
            intermediate_size=4304,
            model_type="siglip_vision_model",
            num_attention_heads=16,
            num_hidden_layers=27,
            patch_size=14,
            vision_use_head=False,
        ),
    )


def shape(class_name, model_type, sizes, **others):
    """sizes: embed, MLP, layers, heads, heads of keys, vocabulary, context."""
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names += ("num_key_value_heads", "vocab_size", "max_position_embeddings")
    named = dict(zip(names, sizes, strict=True))
    return (
        dict(architectures=[class_name], model_type=model_type, hidden_act="silu") | named | others
    )


def olmo2(*sizes):
    return shape(
        "Olmo2ForCausalLM",
        "olmo2",
        (*sizes, 100352, 4096),
        rms_norm_eps=1e-6,
        rope_theta=500000,
        rope_scaling=None,
        tie_word_embeddings=False,
        attention_bias=False,
    )


def olmo3(*sizes):
    return shape(
        "Olmo3ForCausalLM",
        "olmo3",
        (*sizes, 100278, 65536),
        rms_norm_eps=1e-6,
        rope_theta=500000,
        rope_scaling=YARN,
        sliding_window=4096,
        layer_types=([*["sliding_attention"] * 3, "full_attention"] * 16)[: sizes[2]],
        tie_word_embeddings=False,
        attention_bias=False,
    )


def granite(*sizes, attention_multiplier, logits_scaling):
    return shape(
        "GraniteForCausalLM",
        "granite",
        (*sizes, 49159, 131072),
        attention_multiplier=attention_multiplier,
        logits_scaling=logits_scaling,
        embedding_multiplier=12.0,
        residual_multiplier=0.22,
        rms_norm_eps=1e-5,
        rope_theta=10000000.0,
        rope_scaling=None,
        tie_word_embeddings=True,
        mlp_bias=False,
        attention_bias=False,
    )


def mistral(vocab_size, context, **others):
    sizes = (4096, 14336, 32, 32, 8, vocab_size, context)
    return shape("MistralForCausalLM", "mistral", sizes, rms_norm_eps=1e-5, **others)


PUBLISHED = {
    "gemma-3-270m": GEMMA
    | dict(
        _sliding_window_pattern=6,
        attn_logit_softcapping=None,
        final_logit_softcapping=None,
        head_dim=256,
        hidden_activation="gelu_pytorch_tanh",
        hidden_size=640,
        intermediate_size=2048,
        layer_types=[*["sliding_attention"] * 5, "full_attention"] * 3,
        max_position_embeddings=32768,
        num_attention_heads=4,
        num_hidden_layers=18,
        num_key_value_heads=1,
        query_pre_attn_scalar=256,
        rms_norm_eps=1e-6,
        rope_local_base_freq=10000.0,
        rope_scaling=None,
        rope_theta=1000000.0,
        sliding_window=512,
        use_bidirectional_attention=False,
    ),
    "gemma-3-1b-it": GEMMA
    | dict(
        attn_logit_softcapping=None,
        cache_implementation="hybrid",
        final_logit_softcapping=None,
        head_dim=256,
        hidden_activation="gelu_pytorch_tanh",
        hidden_size=1152,
        intermediate_size=6912,
        max_position_embeddings=32768,
        num_attention_heads=4,
        num_hidden_layers=26,
        num_key_value_heads=1,
        query_pre_attn_scalar=256,
        rms_norm_eps=1e-6,
        rope_local_base_freq=10000,
        rope_scaling=None,
        rope_theta=1000000,
        sliding_window=512,
        sliding_window_pattern=6,
    ),
    "gemma-3-4b-it": multimodal(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34),
    "gemma-3-12b-it": multimodal(
        hidden_size=3840,
        intermediate_size=15360,
        num_attention_heads=16,
        num_hidden_layers=48,
        num_key_value_heads=8,
    ),
    "gemma-3-27b-it": multimodal(
        head_dim=128,
        hidden_size=5376,
        intermediate_size=21504,
        num_attention_heads=32,
        num_hidden_layers=62,
        num_key_value_heads=16,
        query_pre_attn_scalar=168,
    ),
    "OLMo-2-0425-1B": olmo2(2048, 8192, 16, 16, 16),
    "OLMo-2-1124-7B": olmo2(4096, 11008, 32, 32, 32),
    "OLMo-2-1124-13B": olmo2(5120, 13824, 40, 40, 40),
    "OLMo-2-0325-32B": olmo2(5120, 27648, 64, 40, 8),
    "Olmo-3-7B-Instruct": olmo3(4096, 11008, 32, 32, 32),
    "Olmo-3-32B-Think": olmo3(5120, 27648, 64, 40, 8),
    "granite-3.3-2b-instruct": granite(
        2048, 8192, 40, 32, 8, attention_multiplier=0.015625, logits_scaling=8.0
    ),
    "granite-3.3-8b-instruct": granite(
        4096, 12800, 40, 32, 8, attention_multiplier=0.0078125, logits_scaling=16.0
    ),
    "SmolLM3-3B": shape(
        "SmolLM3ForCausalLM",
        "smollm3",
        (2048, 11008, 36, 16, 4, 128256, 65536),
        layer_types=["full_attention"] * 36,
        max_window_layers=28,
        mlp_bias=False,
        no_rope_layer_interval=4,
        no_rope_layers=[1, 1, 1, 0] * 9,
        rms_norm_eps=1e-6,
        rope_scaling=None,
        rope_theta=5000000.0,
        sliding_window=None,
        use_sliding_window=False,
    ),
    "Mistral-7B-v0.1": mistral(
        32000, 32768, rope_theta=10000.0, sliding_window=4096, tie_word_embeddings=False
    ),
    "Mistral-7B-v0.3": mistral(
        32768, 32768, rope_theta=1000000.0, sliding_window=None, tie_word_embeddings=False
    ),
    "Mistral, without the key": mistral(32000, 32768, rope_theta=10000.0),
    "Mistral, with Qwen's switch": mistral(
        32000, 32768, sliding_window=16, use_sliding_window=False
    ),
    "Mistral-Nemo-2407": shape(
        "MistralForCausalLM",
        "mistral",
        (5120, 14336, 40, 32, 8, 131072, 1024000),
        head_dim=128,
        rms_norm_eps=1e-5,
        rope_theta=1000000.0,
        sliding_window=None,
    ),
    "Llama-2-7b": shape(
        "LlamaForCausalLM",
        "llama",
        (4096, 11008, 32, 32, 32, 32000, 4096),
        pretraining_tp=1,
        rms_norm_eps=1e-5,
        rope_scaling=None,
        tie_word_embeddings=False,
    ),
    "Llama-3.2-1B": shape(
        "LlamaForCausalLM",
        "llama",
        (2048, 8192, 16, 32, 8, 128256, 131072),
        head_dim=64,
        rms_norm_eps=1e-5,
        rope_scaling=LLAMA3,
        rope_theta=500000.0,
        tie_word_embeddings=True,
        attention_bias=False,
        mlp_bias=False,
    ),
    "Qwen2.5-7B-Instruct": shape(
        "Qwen2ForCausalLM",
        "qwen2",
        (3584, 18944, 28, 28, 4, 152064, 32768),
        max_window_layers=28,
        rms_norm_eps=1e-6,
        rope_theta=1000000.0,
        sliding_window=131072,
        use_mrope=False,
        use_sliding_window=False,
        tie_word_embeddings=False,
    ),
    "Qwen2, the upper layers with a window": shape(
        "Qwen2ForCausalLM",
        "qwen2",
        (896, 4864, 24, 14, 2, 151936, 32768),
        max_window_layers=21,
        rope_theta=1000000.0,
        sliding_window=4096,
        use_sliding_window=True,
    ),
    "Qwen3-8B": shape(
        "Qwen3ForCausalLM",
        "qwen3",
        (4096, 12288, 36, 32, 8, 151936, 40960),
        attention_bias=False,
        head_dim=128,
        max_window_layers=36,
        rms_norm_eps=1e-6,
        rope_scaling=None,
        rope_theta=1000000,
        sliding_window=None,
        use_sliding_window=False,
        tie_word_embeddings=False,
    ),
    "Qwen3-30B-A3B": shape(
        "Qwen3MoeForCausalLM",
        "qwen3_moe",
        (2048, 6144, 48, 32, 4, 151936, 40960),
        attention_bias=False,
        decoder_sparse_step=1,
        head_dim=128,
        max_window_layers=48,
        mlp_only_layers=[],
        moe_intermediate_size=768,
        norm_topk_prob=True,
        num_experts=128,
        num_experts_per_tok=8,
        output_router_logits=False,
        rms_norm_eps=1e-6,
        rope_scaling=None,
        rope_theta=1000000.0,
        router_aux_loss_coef=0.001,
        sliding_window=None,
        use_sliding_window=False,
        tie_word_embeddings=False,
    ),
}


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


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gemma-3-4b-it", "google/gemma-3-4b-it"),
        ("Olmo-3-7B-Instruct", "allenai/Olmo-3-7B-Instruct"),
        ("Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B"),
    ],
)
def test_a_model_that_is_planned_without_its_files_is_the_published_one(written, name, known):
    assert known_architecture(known) == huggingface.read_architecture(written(PUBLISHED[name]))


def of_ours(architecture, number):
    """(window, RoPE) of a layer; RoPE as (theta, factor), None for a layer without."""
    layer = architecture.period[number % len(architecture.period)]
    if layer.rope is None:
        return layer.window, None
    return layer.window, (layer.rope.theta, getattr(layer.rope.scaling, "factor", None))


def of_theirs(config, number):
    types = getattr(config, "layer_types", None)
    slides = config.model_type == "mistral" or (types and types[number] == "sliding_attention")
    window = config.sliding_window if slides else None
    if not getattr(config, "no_rope_layers", [1] * 99)[number]:
        return window, None
    rope = config.rope_parameters
    rope = rope.get(types[number], rope) if types else rope
    factor = None if rope["rope_type"] == "default" else rope["factor"]
    return window, (rope["rope_theta"], factor)


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
