"""Text from a decoder: a prompt is read at once, then each step gives one token of every text.

Texts lie in slots. What a step attends to are the keys and values of the tokens before, in a cache.
Several adapters over one base sample together: each arm has slots of its own, and the matmuls of
the base run once over the slots of all arms.

A text depends on its prompt, its seed and its settings, not on what lies in other slots.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vcjax import sharding
from vcjax.models import kernels, transformer
from vcjax.models.bits import to_bits
from vcjax.models.cache import Cache, Places, of_layer, write
from vcjax.models.einsum import dot
from vcjax.models.transformer import Model

PyTree = Any

BLOCK = 128  # tokens of the vocabulary, in `_draw`
PART = 16  # places of a text whose logits are there at once, in `log_probs`


class Choice(NamedTuple):
    """How the next token of each text is chosen; each of shape [texts]."""

    temperature: Any  # float32; 0: the likeliest token
    top_k: Any  # int32; among so many of the likeliest, 0: all
    top_p: Any  # float32; among the fewest likeliest that have this probability together, 1: all
    seed: Any  # uint32


class Chosen(NamedTuple):
    """Tokens, and what the model says of them: each of shape [...], the last two [..., top].

    log_prob: of the token by the model, at temperature 1. likeliest: the tokens that would have
    been likeliest, with their log-probabilities.
    """

    token: jax.Array  # int32
    log_prob: jax.Array  # float32
    likeliest: jax.Array  # int32
    likeliest_log_probs: jax.Array  # float32


def stack_adapters(adapters: Sequence[PyTree], model: Model) -> tuple[PyTree, Model]:
    """(Adapters as a step reads them, the model that they belong to).

    adapters: of each arm, as in `transformer.init_adapter`. They are stacked [layer, arm, ...] in
    the compute type, A times the scale: what training makes of them in each step, once for all.
    """
    if model.lora is None:
        return {}, model

    @jax.jit
    def stack(adapters):
        def leaf(path, *of_arms):
            scale = model.lora.scale if path[-1].key == "a" else 1
            return to_bits((scale * jnp.stack(of_arms, axis=1)).astype(model.compute_dtype))

        return jax.tree_util.tree_map_with_path(leaf, *(x["adapter"] for x in adapters))

    unscaled = dataclasses.replace(model.lora, alpha=model.lora.rank)
    return stack(adapters), dataclasses.replace(model, lora=unscaled)


@functools.partial(jax.jit, static_argnames="model", donate_argnames="cache")
def read_prompts(
    adapters: PyTree,
    base: PyTree,
    cache: Cache,
    arm: jax.Array,
    tokens: jax.Array,
    prompt_of: jax.Array,
    slots: jax.Array,
    model: Model,
) -> Cache:
    """Reads prompts of one arm into its slots.

    adapters: of all arms, from `stack_adapters`; arm: int32[]. tokens: int32[prompts, length], each
    prompt followed by any tokens. prompt_of, slots: int32[texts], the number of a text's prompt,
    and where it goes; a slot that does not exist takes nothing.
    """
    params = {"adapter": jax.tree.map(lambda x: x[:, arm], adapters)}
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)

    def attend(q, k, v, window, _):
        return kernels.attend_in_texts(q, k, v, model.attention, window), Cache(k, v)

    _, kept = transformer.through_layers(params, base, tokens, positions, model, attend)
    return write(cache, kept, prompt_of, _beginnings(arm, slots))


@functools.partial(jax.jit, static_argnames="length", donate_argnames="cache")
def copy_prompt(
    cache: Cache, arm: jax.Array, source: jax.Array, slot: jax.Array, length: int
) -> Cache:
    """The first `length` tokens of a slot in another one of its arm; arm, source, slot: int32[]."""

    def of_source(cached):  # [layer, 1, kv_head, length, head_dim]
        of_slot = jax.lax.dynamic_slice_in_dim(cached[arm], source, 1, axis=1)
        return of_slot[:, :, :, :length]

    only = jnp.zeros(1, jnp.int32)
    return write(cache, Cache(*map(of_source, cache)), only, _beginnings(arm, slot[None]))


def _beginnings(arm: jax.Array, slots: jax.Array) -> Places:
    return Places(jnp.full_like(slots, arm), slots, jnp.zeros_like(slots))


@functools.partial(jax.jit, static_argnames=("model", "seen", "top"), donate_argnames="cache")
def next_tokens(
    adapters: PyTree,
    base: PyTree,
    cache: Cache,
    tokens: jax.Array,
    positions: jax.Array,
    choice: Choice,
    model: Model,
    seen: int,
    top: int = 0,
) -> tuple[Cache, Chosen]:
    """One more token of every text, of a prompt that was just read the first.

    tokens, positions: int32[arm, slot], the last token of each text and its place in it; the cache
    has those before it. choice: [arm x slot]. seen: tokens of the cache that are read; as many as
    the largest position of a text that matters. Returns (cache, the tokens: [arm, slot]).
    """
    of_arms = jax.vmap(functools.partial(_next_logits, model=model, seen=seen), (1, None, 0, 0, 0))
    logits, kept = of_arms(adapters, base, cache, tokens, positions)
    layers, heads, size = kept.k.shape[1], kept.k.shape[2], kept.k.shape[4]
    # [arm, layer, kv_head, slot, head_dim] -> [layer, arm x slot, kv_head, 1, head_dim]
    kept = Cache(*(x.transpose(1, 0, 3, 2, 4).reshape(layers, -1, heads, 1, size) for x in kept))
    places = Places(*(x.ravel() for x in (*jnp.indices(tokens.shape), positions)))
    cache = write(cache, kept, jnp.arange(tokens.size), places)
    chosen = choose(logits.reshape(tokens.size, -1), choice, positions.ravel() + 1, top)
    return cache, Chosen(*(x.reshape(*tokens.shape, *x.shape[1:]) for x in chosen))


@functools.partial(jax.jit, static_argnames=("model", "top"))
def log_probs(
    adapters: PyTree, base: PyTree, arm: jax.Array, tokens: jax.Array, model: Model, top: int
) -> Chosen:
    """What the model says of given texts, each token after those before it: [texts, length - 1].

    tokens: int32[texts, length]; other arguments as of `read_prompts`.
    """
    params = {"adapter": jax.tree.map(lambda x: x[:, arm], adapters)}
    batch = {
        "tokens": tokens,
        "positions": jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape),
        "segment_ids": jnp.ones_like(tokens),
    }
    x = transformer.hidden(params, base, batch, model)
    # In parts: all logits at once would take much memory.
    rows, length = tokens.shape
    part = math.gcd(length, PART)

    def in_parts(y):  # [texts, length, ...] -> [parts, texts x part, ...]
        y = y.reshape(rows, length // part, part, *y.shape[2:]).swapaxes(0, 1)
        return y.reshape(length // part, rows * part, *y.shape[3:])

    def predicted(place):
        x, following = place
        return _what_is_said(_logits(params, base, x[None], model)[0], following, top)

    said = jax.lax.map(predicted, (in_parts(x), in_parts(jnp.roll(tokens, -1, axis=1))))

    def whole(y):
        y = y.reshape(length // part, rows, part, *y.shape[2:]).swapaxes(0, 1)
        return y.reshape(rows, length, *y.shape[3:])[:, :-1]

    return Chosen(*map(whole, said))


def _next_logits(adapter, base, cache, tokens, positions, model, seen):
    """Of one arm: float32[slot, vocab], and the keys and values of the tokens.

    A step has one token of each text. They go through the layers as one row of that length: so its
    matmuls are those of a row, and on a mesh weights stay where they are while activations travel.
    """

    def attend(q, k, v, window, layer):  # [1, kv_head, (group,) slot, head_dim]
        before = (of_layer(x, layer, seen) for x in cache)
        out = _attend_before(q[0], k[0], v[0], *before, positions, window)
        return out[None], Cache(k[0], v[0])

    params = {"adapter": adapter}
    x, kept = transformer.through_layers(params, base, tokens[None], positions[None], model, attend)
    return _logits(params, base, x, model)[0], kept


def _attend_before(q, k, v, keys, values, positions, window):
    """Of one token a text: to the tokens before it, in the cache, and to itself.

    q: [kv_head, group, slot, head_dim]; k, v: [kv_head, slot, head_dim]; keys, values: [slot,
    kv_head, seen, head_dim]. window: of how many tokens it sees the keys, its own among them; None:
    of all. Softmax in float32; returns the shape of q.
    """
    scale = q.shape[-1] ** -0.5
    q = q.transpose(2, 0, 1, 3)
    k, v = (x.swapaxes(0, 1)[:, :, None] for x in (k, v))
    # Keys first: a CPU would turn them round to have them second.
    before = dot("skth,skgh->sktg", keys, q).swapaxes(2, 3) * scale
    places, own_place = jnp.arange(keys.shape[2]), positions[:, None, None, None]
    there = places < own_place
    if window is not None and window <= keys.shape[2]:
        there &= own_place - places < window
    before = jnp.where(there, before, -jnp.inf)
    own = (q.astype(jnp.float32) * k).sum(axis=-1, keepdims=True) * scale
    highest = jnp.maximum(before.max(axis=-1, keepdims=True), own)
    odds, own_odds = jnp.exp(before - highest), jnp.exp(own - highest)
    total = odds.sum(axis=-1, keepdims=True) + own_odds
    out = dot("skgt,skth->skgh", odds.astype(q.dtype), values) + own_odds * v.astype(jnp.float32)
    return (out / total).astype(q.dtype).transpose(1, 2, 0, 3)


def _logits(params, base, x, model):
    """float32[batch, length, vocab]; x: [batch, length, embed]."""
    head = transformer.head_weight(params, base).astype(model.compute_dtype)
    return sharding.constrain(dot("bld,vd->blv", x, head), None, None, "classes")


def choose(logits: jax.Array, choice: Choice, positions: jax.Array, top: int = 0) -> Chosen:
    """A token of each text: [texts].

    logits: float32[texts, vocab]. positions: int32[texts], the place of the token in its text: with
    the seed it decides the draw. Of the likeliest top_k tokens those are kept that are among top_p,
    as in `transformers`; equal ones stay or go together.
    """
    likeliest = _likeliest(logits)

    def draw():
        scaled = logits / jnp.where(choice.temperature > 0, choice.temperature, 1)[:, None]
        scaled = jax.lax.cond((choice.top_k > 0).any(), _keep_top_k, _keep_all, scaled, choice)
        scaled = jax.lax.cond((choice.top_p < 1).any(), _keep_top_p, _keep_all, scaled, choice)
        return jnp.where(choice.temperature > 0, _draw(scaled, choice.seed, positions), likeliest)

    tokens = jax.lax.cond((choice.temperature > 0).any(), draw, lambda: likeliest)
    return _what_is_said(logits, tokens.astype(jnp.int32), top)


def _draw(logits, seeds, positions):
    """int32[texts]: the token at which the sum of all before it passes a part of the whole.

    One random number a text: noise for each token (Gumbel's trick) takes a CPU 28 times as long.
    Sums are taken in blocks, then in one block.
    """
    texts, vocab = logits.shape
    odds = jnp.exp(logits - logits.max(axis=-1, keepdims=True))
    blocks = jnp.pad(odds, ((0, 0), (0, -vocab % BLOCK))).reshape(texts, -1, BLOCK)
    sums = blocks.sum(axis=-1)
    ends = sums.cumsum(axis=-1)

    def part(seed, position):
        return jax.random.uniform(jax.random.fold_in(jax.random.key(seed), position))

    passed = jax.vmap(part)(seeds, positions)[:, None] * ends[:, -1:]
    block = _first(ends > passed, sums)[:, None]
    inside = jnp.take_along_axis(blocks, block[..., None], axis=1)[:, 0]
    passed -= jnp.take_along_axis(ends - sums, block, axis=1)
    return BLOCK * block[:, 0] + _first(inside.cumsum(axis=-1) > passed, inside)


def _first(flags, odds):
    """The first that is true; where none is, by rounding, that with the largest odds."""
    return jnp.where(flags.any(axis=-1), flags.argmax(axis=-1), odds.argmax(axis=-1))


def _what_is_said(logits, tokens, top):
    """Chosen of logits [texts, vocab] and tokens [texts]."""
    total = jax.nn.logsumexp(logits, axis=-1, keepdims=True)
    picked = jnp.take_along_axis(logits, tokens[:, None], axis=1)
    highest, likeliest = jax.lax.top_k(logits, top)
    return Chosen(tokens, (picked - total)[:, 0], likeliest, highest - total)


def _likeliest(logits):
    """int32[texts]: as `argmax`, which takes a CPU three times as long."""
    vocab = logits.shape[-1]
    best = logits == logits.max(axis=-1, keepdims=True)
    return jnp.where(best, jnp.arange(vocab), vocab - 1).min(axis=-1)


def _keep_all(logits, _):
    return logits


def _keep_top_k(logits, choice):
    vocab = logits.shape[1]
    wanted = jnp.where(choice.top_k > 0, jnp.minimum(choice.top_k, vocab), vocab)
    least = _largest(lambda bound: (logits >= bound).sum(axis=-1) >= wanted, len(logits))
    return jnp.where(logits >= least, logits, -jnp.inf)


def _keep_top_p(logits, choice):
    odds = jax.nn.softmax(logits, axis=-1)

    def enough(bound):
        return jnp.where(odds >= bound, odds, 0).sum(axis=-1) >= choice.top_p

    kept = (odds >= _largest(enough, len(logits))) | (choice.top_p >= 1)[:, None]
    return jnp.where(kept, logits, -jnp.inf)


def _largest(holds, texts):
    """The largest bound for which `holds`, of each text: float32[texts, 1].

    holds: float32[texts, 1] -> bool[texts]; it holds for small bounds. A search among all floats in
    their order, by halves; to sort a vocabulary takes a CPU thirty times as long.
    """

    def as_float(number):
        ordered = jnp.where(number >= 0, number, number ^ 0x7FFFFFFF)
        return jax.lax.bitcast_convert_type(ordered, jnp.float32)

    def halve(_, ends):
        low, high = ends
        middle = (low & high) + ((low ^ high) >> 1)
        here = holds(as_float(middle))[:, None]
        return jnp.where(here, middle, low), jnp.where(here, high, middle)

    infinity = jnp.full((texts, 1), 0x7F800000, jnp.int32)
    return as_float(jax.lax.fori_loop(0, 32, halve, (~infinity, infinity))[0])
