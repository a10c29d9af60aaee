"""What is made small: known values, steps where nothing is asked, and the best constant answer."""

import math

import numpy as np
import pytest
import torch

from vanishing.parts.data import UNASKED, Data
from vanishing.parts.losses import LOSSES, NEAR, chance

from .small import normal

CROSS, SQUARED = LOSSES["cross_entropy"], LOSSES["squared_error"]


def test_cross_entropy_is_the_negative_log_share_of_the_right_class():
    logits, labels = normal(3, 7, 5), torch.randint(5, (3, 7))
    expected = -logits.softmax(-1).log().gather(2, labels[..., None])[..., 0]
    torch.testing.assert_close(CROSS.per_sample(logits, labels), expected)


def test_steps_where_nothing_is_asked_count_neither_in_the_loss_nor_in_the_accuracy():
    logits, labels = normal(2, 3, 6, 4), torch.randint(4, (2, 3, 6))
    some = labels.clone()
    some[:, :, :4] = UNASKED
    torch.testing.assert_close(
        CROSS.per_sample(logits, some), CROSS.per_sample(logits[:, :, 4:], labels[:, :, 4:])
    )
    torch.testing.assert_close(
        CROSS.right(logits, some), CROSS.right(logits[:, :, 4:], labels[:, :, 4:])
    )
    changed = logits.clone()
    changed[:, :, :4] += 3
    assert torch.equal(CROSS.per_sample(changed, some), CROSS.per_sample(logits, some))


def test_squared_error_is_the_mean_over_values_and_right_is_near():
    outputs = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])
    labels = torch.tensor([[[1.0, 4.0], [NEAR / 2, -NEAR / 2]]])
    assert SQUARED.per_sample(outputs, labels).tolist() == [[2.0, pytest.approx(NEAR**2 / 4)]]
    assert SQUARED.right(outputs, labels).tolist() == [[0.0, 1.0]]


def test_chance_is_the_entropy_and_the_share_of_the_commonest_class():
    data = Data(np.zeros((10, 2), np.float32), np.array([0] * 7 + [1] * 2 + [2]))
    p = np.array([0.7, 0.2, 0.1])
    found = chance(CROSS, data)
    assert found.loss == pytest.approx(-(p * np.log(p)).sum())
    assert found.accuracy == pytest.approx(0.7)


def test_chance_of_balanced_classes_is_the_logarithm_of_their_number():
    data = Data(np.zeros((10, 2), np.float32), np.repeat(np.arange(5), 2))
    assert chance(CROSS, data).loss == pytest.approx(math.log(5))


def test_chance_counts_only_the_answers_that_are_asked():
    labels = np.array([[UNASKED, 0], [UNASKED, 1], [UNASKED, 1], [UNASKED, 1]])
    found = chance(CROSS, Data(np.zeros((4, 2), np.float32), labels))
    assert found.accuracy == pytest.approx(0.75)
    assert found.loss == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))


def test_chance_of_values_is_their_variance():
    values = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    found = chance(SQUARED, Data(np.zeros((50, 2), np.float32), values))
    assert found.loss == pytest.approx(values.var())
    assert found.accuracy == pytest.approx((abs(values - values.mean()) <= NEAR).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_no_constant_answer_is_better_than_chance(name):
    loss, generator = LOSSES[name], np.random.default_rng(1)
    labels = generator.choice(3, 40, p=[0.6, 0.3, 0.1])
    data = Data(
        np.zeros((40, 2), np.float32),
        labels[:, None].astype(np.float32) if loss.of_values else labels,
    )
    known = chance(loss, data)
    for seed in range(5):
        other = loss.constant(torch.from_numpy(data.labels)) + 0.1 * normal(data.outputs, seed=seed)
        value = loss.per_sample(other.expand(1, 40, -1), torch.from_numpy(data.labels)[None]).mean()
        assert value >= known.loss
