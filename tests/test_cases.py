"""Stand-ins for real cases, and a real table: what is in them, and what can be found."""

import numpy as np
import pytest
import torch

from vanishing.errors import UserError
from vanishing.parts.cases import BLOB, CONTRASTS, SIDE, breast_cancer, faint_blob, fine_and_coarse
from vanishing.parts.scores import SCORES
from vanishing.parts.tasks import digits


def test_fine_and_coarse_are_the_digits_0_1_3_8_with_the_fine_pair_last():
    data, whole = fine_and_coarse(), digits()
    for label, digit in enumerate((0, 1, 3, 8)):
        np.testing.assert_array_equal(
            data.inputs[data.labels == label], whole.inputs[whole.labels == digit]
        )
    np.testing.assert_array_equal(data.level, np.isin(data.labels, (2, 3)))
    assert data.image == (1, 8, 8)
    assert data.outputs == 4


def test_the_fine_pair_is_more_alike_than_the_coarse_one():
    data = fine_and_coarse()
    means = [data.inputs[data.labels == label].mean(0) for label in range(4)]
    cosine = [
        np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) for a, b in (means[:2], means[2:])
    ]
    assert cosine[1] > cosine[0] + 0.3


def test_half_of_the_images_hold_a_blob_and_contrasts_are_spread_evenly():
    data = faint_blob()
    assert data.image == (1, SIDE, SIDE)
    assert data.labels.mean() == 0.5
    np.testing.assert_array_equal(data.level > 0, data.labels == 1)
    levels, counts = np.unique(data.level[data.labels == 1], return_counts=True)
    assert levels.tolist() == list(CONTRASTS)
    assert counts.tolist() == [500] * len(CONTRASTS)


def test_an_image_without_a_blob_is_white_noise_of_unit_variance():
    noise = faint_blob().inputs[faint_blob().labels == 0].astype(np.float64)
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert noise.var() == pytest.approx(1, abs=0.01)
    neighbours = (noise[:, :-1] * noise[:, 1:]).mean()
    assert neighbours == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_blob_adds_the_light_of_its_gaussian(contrast):
    data = faint_blob()
    light = data.inputs[data.level == np.float32(contrast)].sum(1).mean()
    error = SIDE / np.sqrt(500)  # of a mean over 500 sums of 256 unit pixels
    assert light == pytest.approx(2 * np.pi * BLOB**2 * contrast, abs=4 * error)


def test_blobs_lie_everywhere_but_at_the_border():
    data = faint_blob()
    clear = data.inputs[data.level == CONTRASTS[-1]].reshape(-1, SIDE, SIDE).mean(0)
    for border in (clear[0], clear[-1], clear[:, 0], clear[:, -1]):
        assert clear[5:11, 5:11].min() > 5 * np.abs(border.mean())
    assert clear[4:12, 4:12].std() < 0.3 * clear[4:12, 4:12].mean()


def test_a_matched_filter_finds_clear_blobs_and_misses_faint_ones():
    data = faint_blob()
    images = torch.tensor(data.inputs).view(-1, 1, SIDE, SIDE)
    place = torch.arange(-5.0, 6)
    profile = torch.exp(-(place**2) / (2 * BLOB**2))
    blob = (profile[:, None] * profile)[None, None]
    found = torch.conv2d(images, blob, padding=5).amax((1, 2, 3))
    logits = torch.stack([torch.zeros_like(found), found], 1)[None]
    labels, level = torch.tensor(data.labels)[None], torch.tensor(data.level)[None]
    score = SCORES[data.score](logits, labels, level)
    values = [value.item() for value in score.values()]
    assert values == sorted(values)
    assert values[0] < 0.15
    assert values[-1] > 0.95


def test_the_breast_cancer_table_is_that_of_scikit_learn_with_malignant_as_1():
    from sklearn.datasets import load_breast_cancer

    features, benign = load_breast_cancer(return_X_y=True)
    data = breast_cancer()
    np.testing.assert_array_equal(data.labels, 1 - benign)
    expected = (features - features.mean(0)) / features.std(0)
    np.testing.assert_allclose(data.inputs, expected, rtol=1e-4, atol=1e-5)
    assert data.labels.sum() == 212
    np.testing.assert_array_equal(data.level, data.labels)


def test_the_cases_are_the_same_each_time_and_too_few_blobs_are_refused():
    assert faint_blob(60).inputs.tobytes() == faint_blob(60).inputs.tobytes()
    assert fine_and_coarse().inputs.tobytes() == fine_and_coarse().inputs.tobytes()
    with pytest.raises(UserError, match="samples of faint_blob must be 12 or more, and 11 came"):
        faint_blob(11)
