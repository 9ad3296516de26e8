"""A new adapter whose loss does not move is told of, and no other."""

import functools

import jax
import numpy as np
import pytest
import small_run

from vcjax import experiment
from vcjax.training import compiled_step, first_updates, train_step

SAID = "after 10 updates the loss of its first rows has not moved"


@pytest.fixture
def run(tiny_gguf, tmp_path):
    """run(recipe): of one stage of a new adapter, of more than ten updates, and one after it."""
    path = small_run.write(tmp_path / "files", tiny_gguf)
    config = small_run.load(path, seeds=1)
    with config.unlocked():
        config.arms = dict(base=(), america=("america", "behavior"))
        config.contrasts = dict(total=dict(america=1, base=-1))

    def run(**recipe):
        config.recipe.update(recipe)
        experiment.run(config, path.parent, tmp_path / "run", False)

    return run


@pytest.mark.parametrize("recipe", [{}, dict(start="b"), dict(lr=1e-7, warmup=0.9)], ids=str)
def test_a_loss_that_moves_is_not_told_of(recipe, run, capsys):
    """However slowly it moves, as in a long warm-up to a small rate."""
    run(**recipe)
    assert SAID not in capsys.readouterr().out


@pytest.fixture
def fresh_programs():
    """Compiled before and after from what is there then."""
    compiled_step._init_and_update.cache_clear()
    yield
    compiled_step._init_and_update.cache_clear()


def test_gradients_that_are_lost_are_told_of(run, capsys, monkeypatch, fresh_programs):
    """As where a compiler drops a sum over devices: nothing moves, no error says so."""
    counted = train_step.summed_loss

    def without_gradient(params, *others, **settings):
        return counted(jax.lax.stop_gradient(params), *others, **settings)

    monkeypatch.setattr(train_step, "summed_loss", without_gradient)
    run(weight_decay=0.0)
    told = [line for line in capsys.readouterr().out.splitlines() if SAID in line]
    assert told[0].startswith("warning: america, seed 0: ")
    assert len(told) <= 2, "a line a stage that starts an adapter, and here the next one still does"


def test_steps_in_a_random_direction_have_moved_nothing():
    """The bound lies between what they do and what steps along the gradient do."""
    draw = np.random.default_rng(0)
    gradient, rates = draw.standard_normal(10_000), np.full(10, 1e-6)
    norms = [float(np.linalg.norm(gradient))] * 10
    moved = functools.partial(first_updates.warning, 5.0, rates=rates, grad_norms=norms)
    along = 5.0 - 1e-5 * np.abs(gradient).sum()
    assert moved(along) is None
    anywhere = 5.0 - 1e-6 * np.sign(draw.standard_normal((10, 10_000))).sum(axis=0) @ gradient
    assert "5.000000 before" in moved(anywhere)
    assert moved(5.0) and first_updates.warning(5.0, 5.0, rates, [0.0] * 10)
