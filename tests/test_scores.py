"""Scores by level: perfect, blind and contrary answers, and what 95 % specificity is."""

import pytest
import torch

from vanishing.parts.cases import breast_cancer, faint_blob, fine_and_coarse
from vanishing.parts.scores import (
    SCORES,
    accuracy_by_level,
    error_by_level,
    sensitivity_by_level,
)
from vanishing.parts.sentences import agreement, transduction

RUNS = 3


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def stacked(data):
    labels, level = torch.tensor(data.labels), torch.tensor(data.level)
    return labels.expand(RUNS, *labels.shape), level.expand(RUNS, *level.shape)


def answered(labels, classes):
    """Logits that are highest at the label."""
    return torch.nn.functional.one_hot(labels.clamp_min(0), classes).float()


TASKS = [agreement, transduction, fine_and_coarse, faint_blob, breast_cancer]
BEST = {"error_by_level": 0.0, "accuracy_by_level": 1.0, "sensitivity_by_level": 1.0}
BLIND = {"error_by_level": 0.5, "accuracy_by_level": 0.5, "sensitivity_by_level": 0.0}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.__name__)
def test_perfect_and_blind_nets_get_the_scores_that_they_must_at_every_level(task):
    data = task()
    labels, level = stacked(data)
    perfect = answered(labels, data.outputs)
    for logits, expected in ((perfect, BEST), (torch.zeros_like(perfect), BLIND)):
        score = SCORES[data.score](logits, labels, level)
        of_positives = data.score == "sensitivity_by_level"
        wanted = set(data.level[data.labels == 1] if of_positives else data.level)
        assert set(score) == {(data.score, each) for each in wanted}
        for value in score.values():
            assert value.tolist() == [expected[data.score]] * RUNS


def test_a_pair_is_judged_by_itself_and_runs_and_levels_apart():
    labels = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]])
    level = torch.tensor([[5.0, 5.0, 7.0, 7.0], [5.0, 7.0, 7.0, 7.0]])
    logits = torch.tensor(
        [
            [[2, 1, 9, 9], [3, 1, 0, 0], [9, 9, 1, 0], [9, 9, 0, 1]],
            [[0, 1, 9, 9], [0, 1, 9, 9], [9, 9, 1, 0], [9, 9, 1, 0]],
        ]
    ).float()
    score = accuracy_by_level(logits, labels, level)
    assert score["accuracy_by_level", 5.0].tolist() == [0.5, 0.0]
    assert score["accuracy_by_level", 7.0].tolist() == [1.0, pytest.approx(2 / 3)]
    for (_, each), value in error_by_level(logits, labels, level).items():
        torch.testing.assert_close(1 - value, score["accuracy_by_level", each])


def test_only_the_last_of_many_steps_counts():
    data = transduction(samples=120)
    labels, level = stacked(data)
    perfect = answered(labels, data.outputs)
    wrong_before, wrong_last = perfect.clone(), perfect.clone()
    wrong_before[:, :, :-1] *= -1
    wrong_last[:, :, -1] *= -1
    assert all(v.eq(0).all() for v in error_by_level(wrong_before, labels, level).values())
    assert all(v.eq(1).all() for v in error_by_level(wrong_last, labels, level).values())


def test_the_verb_s_number_counts_and_the_choice_of_verb_does_not():
    data = transduction(samples=120)
    labels, level = stacked(data)
    number = torch.zeros(*labels.shape, data.outputs)
    number[..., 0:8:2] = (labels % 2 == 0)[..., None].float()
    number[..., 1:8:2] = (labels % 2 == 1)[..., None].float()
    assert all(v.eq(0).all() for v in error_by_level(number, labels, level).values())


@pytest.mark.parametrize("negatives", [20, 37, 60, 1000])
def test_specificity_is_95_percent_and_as_little_above_as_can_be(negatives, generator):
    positives = 400
    labels = torch.cat([torch.zeros(negatives), torch.ones(positives)]).long().expand(RUNS, -1)
    rating = torch.randn(RUNS, negatives + positives, generator=generator)
    logits = torch.stack([-rating, rating], -1)
    level = labels.float()
    [found] = sensitivity_by_level(logits, labels, level).values()
    for run in range(RUNS):
        no, yes = rating[run, :negatives].sort().values, rating[run, negatives:]
        specificities = [(share := (no <= bar).double().mean().item(), bar) for bar in no]
        share, bar = min(pair for pair in specificities if pair[0] >= 0.95 - 1e-12)
        assert share < 0.95 + 1 / negatives
        assert found[run].item() == pytest.approx((yes > bar).double().mean().item())


def test_sensitivity_to_signals_in_unit_noise_is_that_of_the_normal_distribution(generator):
    normal = torch.distributions.Normal(0.0, 1.0)
    labels = (torch.arange(200_000) % 2).expand(1, -1)
    level = labels * (1.0 + torch.arange(200_000) // 2 % 3)
    rating = level + torch.randn(1, 200_000, generator=generator)
    score = sensitivity_by_level(torch.stack([0 * rating, rating], -1), labels, level)
    assert [each for _, each in score] == [1.0, 2.0, 3.0]
    for (_, each), value in score.items():
        expected = normal.cdf(each - normal.icdf(torch.tensor(0.95))).item()
        assert value.item() == pytest.approx(expected, abs=0.015)


def test_a_run_without_a_level_has_no_value_there():
    labels, logits = torch.tensor([[0, 1], [0, 1]]), torch.zeros(2, 2, 2)
    score = error_by_level(logits, labels, torch.tensor([[1.0, 1.0], [1.0, 2.0]]))
    assert score["error_by_level", 1.0].tolist() == [0.5, 0.5]
    assert score["error_by_level", 2.0][0].isnan()
    assert score["error_by_level", 2.0][1] == 0.5


def test_logits_that_are_no_numbers_count_as_wrong():
    labels = torch.tensor([[0, 1, 0, 1]])
    logits = torch.full((1, 4, 2), torch.nan)
    for score, value in ((error_by_level, 1), (accuracy_by_level, 0), (sensitivity_by_level, 0)):
        [got] = score(logits, labels, labels.float() * 0).values()
        assert got.tolist() == [value]
