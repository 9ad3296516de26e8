"""FLOPs of training, by hand."""

from vcjax.models.architecture import Architecture, Layer, Rope

PERIOD = (Layer(Rope(1e4)),)
ARCHITECTURE = Architecture(2, 32, 48, 4, 2, 8, 320, 2048, PERIOD, 1e-5, True)
BODY = 2 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48)
ADAPTER = 2 * 4 * (64 + 48 + 48 + 64 + 3 * 80)


def test_only_tokens_with_weight_meet_the_head():
    assert ARCHITECTURE.train_flops(None, tokens=100, weighted_tokens=0) == 100 * 6 * BODY
    assert ARCHITECTURE.train_flops(None, 100, 10) == 100 * 6 * BODY + 10 * 6 * 320 * 32


def test_a_frozen_weight_has_no_gradient():
    expected = 100 * (4 * BODY + 6 * ADAPTER) + 10 * 4 * 320 * 32
    assert ARCHITECTURE.train_flops(4, tokens=100, weighted_tokens=10) == expected
