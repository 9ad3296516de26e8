"""Sampled text: what is cached is what is computed anew, and texts do not know each other.

The numbers of eight devices come from one process that has eight virtual CPU devices: this file,
run as a program.
"""

import json
import re

import eight_devices
import jax
import jax.numpy as jnp
import numpy as np
import peers
import pytest
import tiny

from vcjax import sharding
from vcjax.models import sampling, transformer
from vcjax.models.cache import empty
from vcjax.models.lora import LoRA
from vcjax.models.sampling import Choice
from vcjax.training.compiled_step import param_shardings

LORA = LoRA(rank=4, alpha=12)
LENGTH = 64
MESHES = {
    "fsdp": dict(replica=1, fsdp=8, tensor=1, sequence=1),
    "fsdp-tensor": dict(replica=1, fsdp=4, tensor=2, sequence=1),
    "all": dict(replica=2, fsdp=2, tensor=2, sequence=1),
}


def choice(texts, temperature=0.0, top_k=0, top_p=1.0):
    """The same settings for all texts, each with a seed of its own."""
    return Choice(
        np.full(texts, temperature, np.float32),
        np.full(texts, top_k, np.int32),
        np.full(texts, top_p, np.float32),
        np.arange(texts, dtype=np.uint32),
    )


def prompts_of(count, seed=0):
    draw = np.random.default_rng(seed)
    return [draw.integers(3, tiny.VOCAB_SIZE, n) for n in draw.integers(2, 20, count)]


def sample(adapters, base, model, prompts, steps, temperature=0.0):
    """(tokens, log-probabilities), [arm, prompt, steps] each: every arm answers every prompt."""
    stacked, model = sampling.stack_adapters(adapters, model)
    arms, slots = len(adapters) or 1, len(prompts)
    cache = empty(model, arms, slots, LENGTH)
    lengths = np.array([*map(len, prompts)], np.int32)
    padded = np.stack([np.pad(p, (0, 32 - len(p))) for p in prompts]).astype(np.int32)
    numbers = np.arange(slots, dtype=np.int32)
    places = numbers[::-1]  # a prompt's number is not its slot's
    for arm in range(arms):
        cache = sampling.read_prompts(
            stacked, base, cache, np.int32(arm), padded, numbers, places, model
        )
    seeds = np.tile(places.astype(np.uint32), arms)
    last = np.tile([prompt[-1] for prompt in prompts], (arms, 1))
    tokens, log_probs = np.zeros((2, arms, slots, steps))
    for step in range(steps):
        before = tokens[:, :, step - 1] if step else last
        cache, chosen = sampling.next_tokens(
            stacked,
            base,
            cache,
            before[:, ::-1].astype(np.int32),
            np.tile(lengths[::-1] + step - 1, (arms, 1)).astype(np.int32),
            choice(arms * slots, temperature)._replace(seed=seeds),
            model,
            LENGTH,
        )
        chosen = sharding.to_host(chosen)
        tokens[:, :, step] = chosen.token[:, ::-1]
        log_probs[:, :, step] = chosen.log_prob[:, ::-1]
    return tokens.astype(int), log_probs


def computed_anew(params, base, model, prompt, tokens):
    """The log-probabilities of the tokens after the prompt, from the whole text at once."""
    text = np.concatenate([prompt, tokens])[None]
    batch = dict(tokens=text, positions=np.arange(text.size)[None], segment_ids=np.ones_like(text))
    logits = tiny.logits(params, base, batch, model)[0, len(prompt) - 1 : -1]
    return np.asarray(jax.nn.log_softmax(logits))[np.arange(len(tokens)), tokens]


def trained_adapters(model, count):
    return [
        tiny.randomized(transformer.init_adapter(model, jax.random.key(seed)), seed)
        for seed in range(count)
    ]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_greedy_text_is_that_of_transformers(torch, family):
    architecture = tiny.FAMILIES[family]
    weights, model = tiny.weights(architecture), tiny.model(architecture)
    peer, prompts = peers.llama(weights, architecture, family), prompts_of(20)
    tokens, _ = sample([], weights, model, prompts, steps=8)
    assert len({tuple(text) for text in tokens[0]}) > 15
    for prompt, text in zip(prompts, tokens[0], strict=True):
        theirs = peer.generate(
            torch.from_numpy(prompt)[None],
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=-1,
            pad_token_id=0,
        )
        assert text.tolist() == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_cached_log_probabilities_are_those_of_the_whole_text(family):
    """Of tokens from all of the vocabulary: they are drawn at a high temperature."""
    architecture = tiny.FAMILIES[family]
    weights, model = tiny.weights(architecture), tiny.model(architecture)
    prompts = prompts_of(4)
    tokens, log_probs = sample([], weights, model, prompts, steps=12, temperature=3.0)
    assert len({*tokens.ravel()}) > 30
    for prompt, text, cached in zip(prompts, tokens[0], log_probs[0], strict=True):
        anew = computed_anew(weights, {}, model, prompt, text)
        np.testing.assert_allclose(cached, anew, atol=1e-4)


def test_each_arm_speaks_with_its_own_adapter():
    model, base = tiny.model(lora=LORA), tiny.weights()
    adapters, prompts = trained_adapters(model, 3), prompts_of(2)
    tokens, log_probs = sample(adapters, base, model, prompts, steps=8, temperature=1.0)
    assert len({tuple(text) for text in tokens[:, 0]}) == 3
    for adapter, of_arm, cached in zip(adapters, tokens, log_probs, strict=True):
        alone, _ = sample([adapter], base, model, prompts, steps=8, temperature=1.0)
        np.testing.assert_array_equal(alone[0], of_arm)
        anew = computed_anew(adapter, base, model, prompts[0], of_arm[0])
        np.testing.assert_allclose(cached[0], anew, atol=1e-4)


def test_each_arm_speaks_with_its_own_experts():
    """With adapters on experts, too."""
    architecture = tiny.FAMILIES["qwen3_moe"]
    model = tiny.model(architecture, LoRA(4, 8, experts=True))
    base, prompts = tiny.weights(architecture), prompts_of(2)
    adapters = trained_adapters(model, 2)
    tokens, log_probs = sample(adapters, base, model, prompts, steps=6, temperature=1.0)
    assert len({tuple(text) for text in tokens[:, 0]}) == 2
    for adapter, of_arm, cached in zip(adapters, tokens, log_probs, strict=True):
        anew = computed_anew(adapter, base, model, prompts[0], of_arm[0])
        np.testing.assert_allclose(cached[0], anew, atol=1e-4)


def test_in_bfloat16_the_cache_is_close_to_the_whole_text():
    model, base = tiny.model(lora=LORA, compute_dtype="bfloat16"), tiny.weights()
    (adapter,), prompts = trained_adapters(model, 1), prompts_of(3)
    tokens, log_probs = sample([adapter], base, model, prompts, steps=8)
    exact = tiny.model(lora=LORA)
    for prompt, text, cached in zip(prompts, tokens[0], log_probs[0], strict=True):
        anew = computed_anew(adapter, base, exact, prompt, text)
        np.testing.assert_allclose(cached, anew, atol=0.3)


def test_log_probabilities_of_given_texts():
    model, base = tiny.model(lora=LORA), tiny.weights()
    adapters = trained_adapters(model, 2)
    stacked, stacked_model = sampling.stack_adapters(adapters, model)
    texts = np.random.default_rng(0).integers(3, tiny.VOCAB_SIZE, (3, 20)).astype(np.int32)
    said = sampling.log_probs(stacked, base, np.int32(1), texts, stacked_model, top=2)
    np.testing.assert_array_equal(said.token, texts[:, 1:])
    for row, text in enumerate(texts):
        anew = computed_anew(adapters[1], base, model, text[:1], text[1:])
        np.testing.assert_allclose(said.log_prob[row], anew, atol=1e-4)
    best = said.likeliest_log_probs[..., 0]
    assert (best >= said.likeliest_log_probs[..., 1]).all()
    assert ((said.likeliest[..., 0] == said.token) == (best == said.log_prob)).all()


# --- The choice of a token


def drawn(logits, count=4000, **settings):
    """How often each token is drawn, with seeds 0, 1, ..."""
    repeated = jnp.broadcast_to(jnp.asarray(logits), (count, len(logits)))
    chosen = sampling.choose(repeated, choice(count, **settings), jnp.full(count, 7))
    return np.bincount(chosen.token, minlength=len(logits)) / count


LOGITS = np.array([2.0, 1.5, -1.0, 0.5, 3.0, -30.0, 0.4, 0.0], np.float32)


@pytest.mark.parametrize(
    "settings",
    [
        dict(temperature=1.0),
        dict(temperature=0.5),
        dict(temperature=1.0, top_k=3),
        dict(temperature=2.0, top_k=100),
        dict(temperature=1.0, top_p=0.9),
        dict(temperature=2.0, top_p=0.5),
        dict(temperature=1.0, top_p=0.01),
        dict(temperature=1.5, top_k=5, top_p=0.8),
    ],
    ids=str,
)
def test_tokens_are_drawn_as_by_transformers(torch, settings):
    """By its own processors, in its order: temperature, top-k, top-p."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(settings["temperature"])(None, torch.from_numpy(LOGITS)[None])
    if "top_k" in settings:
        scores = TopKLogitsWarper(settings["top_k"])(None, scores)
    if "top_p" in settings:
        scores = TopPLogitsWarper(settings["top_p"])(None, scores)
    expected = torch.softmax(scores, dim=-1)[0].numpy()
    found = drawn(LOGITS, **settings)
    assert not found[expected == 0].any()
    # Five standard deviations of 4,000 draws.
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected * (1 - expected) / 4000) + 1e-6).all()


def test_at_temperature_zero_the_likeliest_token_is_chosen():
    chosen = sampling.choose(jnp.asarray(LOGITS)[None], choice(1), jnp.array([7]))
    assert chosen.token.tolist() == [4]
    np.testing.assert_allclose(chosen.log_prob, jax.nn.log_softmax(LOGITS)[4:5], rtol=1e-5)


def test_the_likeliest_tokens_are_told_with_their_log_probabilities():
    hot = choice(1, temperature=5.0)
    chosen = sampling.choose(jnp.asarray(LOGITS)[None], hot, jnp.array([7]), top=3)
    assert chosen.likeliest.tolist() == [[4, 0, 1]]
    expected = jax.nn.log_softmax(LOGITS)
    np.testing.assert_allclose(chosen.likeliest_log_probs[0], expected[jnp.array([4, 0, 1])])
    np.testing.assert_allclose(chosen.log_prob, expected[chosen.token])


def test_each_text_has_its_own_settings():
    settings = Choice(
        np.array([0, 1, 1, 1], np.float32),
        np.array([0, 1, 0, 0], np.int32),
        np.array([1, 1, 0.01, 1], np.float32),
        np.full(4, 3, np.uint32),
    )
    logits = jnp.stack([jnp.asarray(LOGITS)] * 3 + [jnp.arange(8.0) * 0])
    chosen = sampling.choose(logits, settings, jnp.full(4, 5))
    np.testing.assert_array_equal(chosen.token[:3], [4, 4, 4])
    np.testing.assert_allclose(chosen.log_prob[3], -np.log(8), rtol=1e-5)


def test_a_draw_belongs_to_its_seed_and_place():
    logits = jnp.zeros((6, 1000))
    settings = choice(6, temperature=1.0)._replace(seed=np.array([1, 1, 1, 2, 2, 2], np.uint32))
    tokens = sampling.choose(logits, settings, jnp.array([5, 5, 6, 5, 6, 6])).token
    assert tokens[0] == tokens[1]
    assert tokens[4] == tokens[5]
    assert len({*np.asarray(tokens).tolist()}) == 4


# --- Several devices


@pytest.fixture(scope="module")
def measured():
    """What `main` below prints, from its own process."""
    return eight_devices.said_by(__file__)


@pytest.mark.parametrize("mesh", MESHES)
def test_texts_of_eight_devices_are_those_of_one(measured, mesh):
    assert len({tuple(text) for arm in measured["one"]["tokens"] for text in arm}) == 16
    assert measured[mesh]["tokens"] == measured["one"]["tokens"]
    np.testing.assert_allclose(measured[mesh]["log_probs"], measured["one"]["log_probs"], atol=1e-4)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_step_gathers_no_weight_whole(measured, mesh):
    """Activations of the few tokens travel."""
    gathered = [{*sizes} for sizes in measured[mesh]["gathered"]]
    assert gathered
    embed, mlp, vocab = tiny.UNTIED.embed_dim, tiny.UNTIED.mlp_dim, tiny.UNTIED.vocab_size
    assert not any({embed, mlp} <= sizes or {embed, vocab} <= sizes for sizes in gathered)


def on_devices():
    """(adapters, base, model, prompts)."""
    model = tiny.model(tiny.UNTIED, LORA)
    return trained_adapters(model, 2), tiny.weights(tiny.UNTIED), model, prompts_of(8)


def gathered(adapters, base, model):
    """The sizes of what a step's all-gathers make."""
    stacked, model = sampling.stack_adapters(adapters, model)
    cache = empty(model, 2, 8, LENGTH)
    ones = np.ones((2, 8), np.int32)
    lowered = sampling.next_tokens.lower(
        stacked, base, cache, ones, ones, choice(16, 1.0), model, LENGTH
    )
    made = re.findall(r"= \w+\[([\d,]+)\]\S* all-gather\(", lowered.compile().as_text())
    return [[*map(int, sizes.split(","))] for sizes in made]


def main():
    adapters, base, model, prompts = on_devices()
    results = {}
    for name, sizes in {"one": None, **MESHES}.items():
        mesh = sharding.make_mesh(
            sizes or dict(replica=1, fsdp=1, tensor=1, sequence=1),
            jax.devices() if sizes else jax.devices()[:1],
        )
        with jax.set_mesh(mesh):
            placed_adapters = [jax.device_put(a, param_shardings(a, model, mesh)) for a in adapters]
            placed = jax.device_put(base, param_shardings(base, model, mesh))
            tokens, log_probs = sample(
                placed_adapters, placed, model, prompts, steps=6, temperature=1.0
            )
            results[name] = {"tokens": tokens.tolist(), "log_probs": log_probs.tolist()}
            results[name]["gathered"] = gathered(placed_adapters, placed, model)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
