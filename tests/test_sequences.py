"""Generated sequences: each answer is the one that its inputs give, read by another hand."""

import re

import numpy as np
import pytest

from vanishing.errors import UserError
from vanishing.parts import sentences, sequences
from vanishing.parts.data import UNASKED
from vanishing.parts.sentences import NOUNS, SOURCE, TARGET, VERBS, agreement, transduction
from vanishing.parts.sequences import (
    adding,
    copy_memory,
    noisy_majority,
    pixel_digits,
    temporal_order,
)
from vanishing.parts.tasks import digits

LEAST = {
    adding: 2, temporal_order: 10, copy_memory: 11, noisy_majority: 2, agreement: 6,
    transduction: 13,
}  # fmt: skip


@pytest.mark.parametrize("task", LEAST, ids=lambda task: task.__name__)
def test_a_task_has_the_length_that_is_asked_and_the_same_bytes_each_time(task):
    for length in (LEAST[task], LEAST[task] + 1, 31):
        data, again = task(length=length, samples=60), task(length=length, samples=60)
        assert data.sequence[0] == length
        if data.vocabulary:
            assert data.inputs.shape == (60, length)
            assert data.inputs.dtype == np.int64
            assert 0 <= data.inputs.min() <= data.inputs.max() < data.vocabulary
            assert data.sequence[1] == data.vocabulary
        else:
            assert data.inputs.shape == (60, length * data.sequence[1])
            assert data.inputs.dtype == np.float32
        assert data.inputs.tobytes() == again.inputs.tobytes()
        assert data.labels.tobytes() == again.labels.tobytes()


@pytest.mark.parametrize("task", LEAST, ids=lambda task: task.__name__)
def test_a_task_refuses_what_is_too_short_with_the_least_that_it_takes(task):
    message = f"length of {task.__name__} must be {LEAST[task]} or more, and {LEAST[task] - 1} came"
    with pytest.raises(UserError, match=message):
        task(length=LEAST[task] - 1)
    with pytest.raises(UserError, match=f"samples of {task.__name__} must be 10 or more"):
        task(samples=9)


def test_the_adding_problem_asks_for_the_sum_of_two_marked_values():
    data = adding(length=51, samples=500)
    steps = data.inputs.reshape(500, 51, 2)
    values, markers = steps[..., 0].astype(np.float64), steps[..., 1]
    np.testing.assert_allclose(data.labels[:, 0], (values * markers).sum(1), rtol=1e-6)
    assert set(np.unique(markers)) == {0, 1}
    np.testing.assert_array_equal(markers[:, :25].sum(1), 1)
    np.testing.assert_array_equal(markers[:, 25:].sum(1), 1)
    assert set(markers.argmax(1)) == set(range(25))  # every step is marked somewhere
    assert data.labels.shape == (500, 1)
    assert data.labels.dtype == np.float32


def test_the_mean_answer_to_the_adding_problem_is_off_by_a_sixth():
    labels = adding().labels.astype(np.float64)
    assert labels.mean() == pytest.approx(1, abs=0.03)
    assert labels.var() == pytest.approx(1 / 6, rel=0.1)


@pytest.mark.parametrize("length", [10, 23, 50])
def test_the_temporal_order_is_that_of_the_only_two_symbols(length):
    data = temporal_order(length, samples=400)
    for tokens, label in zip(data.inputs, data.labels, strict=True):
        [first, second] = np.flatnonzero(tokens < 2)
        assert 0.1 * length <= first <= 0.2 * length
        assert 0.5 * length <= second <= 0.6 * length
        assert label == 2 * tokens[first] + tokens[second]
    assert np.bincount(data.labels).tolist() == [100] * 4
    assert set(np.unique(data.inputs)) == set(range(6))


@pytest.mark.parametrize("length", [11, 30])
def test_copy_memory_asks_at_the_end_for_the_five_symbols_of_the_start(length):
    data = copy_memory(length, samples=300)
    np.testing.assert_array_equal(data.labels[:, -5:], data.inputs[:, :5])
    np.testing.assert_array_equal(data.labels[:, :-5], UNASKED)
    assert set(np.unique(data.inputs[:, :5])) == set(range(8))
    rest = data.inputs[:, 5:]
    np.testing.assert_array_equal(rest[:, -6], 9)
    np.testing.assert_array_equal(np.delete(rest, -6, axis=1), 8)
    assert data.outputs == 8


@pytest.mark.parametrize("length", [2, 3, 50, 51])
def test_the_majority_is_the_sign_of_the_sum_without_noise(length):
    data = noisy_majority(length, noise=0)
    assert set(np.unique(data.inputs)) == {-1, 1}
    sums = data.inputs.sum(1)
    assert np.abs(sums).min() > 0
    np.testing.assert_array_equal(data.labels, sums > 0)
    assert data.labels.mean() == pytest.approx(0.5, abs=0.04)  # 5 standard errors


def test_the_noisy_majority_has_mean_0_and_mean_square_1_and_misleads_a_sum_as_often_as_it_says():
    data = noisy_majority(length=101, noise=0.5)
    inputs = data.inputs.astype(np.float64)
    assert inputs.mean() == pytest.approx(0, abs=0.01)
    assert np.square(inputs).mean() == pytest.approx(1, abs=0.01)
    wrong = ((inputs.sum(1) > 0) != data.labels).mean()
    assert wrong == pytest.approx(np.arctan(0.5) / np.pi, abs=0.03)
    with pytest.raises(UserError, match="noise of noisy_majority must be 0 or more"):
        noisy_majority(noise=-0.1)


def test_pixel_digits_are_the_digits_one_pixel_a_step():
    data, whole = pixel_digits(), digits()
    assert data.sequence == (64, 1)
    assert data.image is None
    order = np.lexsort(data.inputs.T), np.lexsort(whole.inputs.T)
    np.testing.assert_array_equal(data.inputs[order[0]], whole.inputs[order[1]])
    np.testing.assert_array_equal(data.labels[order[0]], whole.labels[order[1]])
    few = pixel_digits(samples=100)
    np.testing.assert_array_equal(few.inputs, data.inputs[:100])
    assert set(few.labels) == set(range(10))
    with pytest.raises(UserError, match="holds 1797 samples, and samples: 1798 came"):
        pixel_digits(samples=1798)


# The grammar a second time, as a regular expression over the words.
NOUN = f"(?:{'|'.join(NOUNS)})"
PHRASE = (
    r"(?: (?:often|again|slowly|today)"
    rf"| (?:near|behind|under|without) the(?: (?:old|red|small|quiet))? {NOUN}s?)"
)
QUESTION = re.compile(rf"(?:\. )*the {NOUN}(s?)({PHRASE}*) \?")
STATEMENT = re.compile(rf"((?:\. )*)the ({NOUN})(s?) (\w+)({PHRASE}*) \?((?: \.)+)")


def words(tokens):
    return " ".join(SOURCE[token] for token in tokens)


@pytest.mark.parametrize("length", [6, 20, 40])
def test_the_verb_agrees_with_the_first_noun_at_the_distance_that_level_says(length):
    data = agreement(length, samples=600)
    for tokens, label, level in zip(data.inputs, data.labels, data.level, strict=True):
        sentence = QUESTION.fullmatch(words(tokens))
        assert sentence, words(tokens)
        assert label == (sentence[1] == "s")
        assert level == len(sentence[2].split()) + 1
    assert data.inputs.shape == (600, length)
    assert data.score == "error_by_level"


@pytest.mark.parametrize("task", [agreement, transduction])
def test_distances_and_numbers_are_spread_evenly(task):
    data = task(samples=6000)
    plural = data.labels if data.labels.ndim == 1 else data.labels[:, -1] % 2
    levels, counts = np.unique(data.level, return_counts=True)
    assert counts.tolist() == [1000] * 6
    assert np.ptp(np.diff(levels)) <= 2  # whole numbers as evenly as they can be
    for level in levels:
        assert plural[data.level == level].mean() == 0.5
    assert agreement(length=20).level.max() == 18
    assert agreement(length=20).level.min() == 1


def test_the_last_noun_before_the_verb_tells_nothing_about_it():
    data = agreement(samples=6000)
    far = data.level >= 11
    nouns = [
        [w for w in words(t).split() if w.removesuffix("s") in NOUNS] for t in data.inputs[far]
    ]
    last = np.array([found[-1] in NOUNS for found in nouns])
    several = np.array([len(found) > 1 for found in nouns])
    assert several.mean() > 0.95
    same = (last[several] != data.labels[far][several]).mean()
    assert same == pytest.approx(0.5, abs=0.05)


WORD_LIST = {
    "near": "ce", "behind": "tra", "under": "sub", "without": "sen",
    "old": "velka", "red": "ruga", "small": "mika", "quiet": "tisha",
    "often": "ofte", "again": "denove", "slowly": "lante", "today": "nune",
}  # fmt: skip


def translated(sentence):
    """The translation by replacement in the whole sentence, then word by word."""
    _, noun, s, verb, phrases, _ = sentence.groups()
    text = f"the {noun}{s}{phrases}"
    text = re.sub(rf"the ((?:old|red|small|quiet) )?({NOUN})(s?)", r"lo\3 \2\3 \1", text)
    result = []
    for word in text.split():
        if word in WORD_LIST:
            result.append(WORD_LIST[word])
        elif word in ("lo", "los"):
            result.append(word.replace("s", "j"))
        else:
            stem = word.removesuffix("s")
            result.append(NOUNS[stem] + ("j" if word != stem else ""))
    return [*result, VERBS[verb] + ("n" if s else "")]


@pytest.mark.parametrize("length", [13, 24])
def test_the_translation_follows_its_rules_word_by_word(length):
    data = transduction(length, samples=600)
    for tokens, labels, level in zip(data.inputs, data.labels, data.level, strict=True):
        sentence = STATEMENT.fullmatch(words(tokens))
        assert sentence, words(tokens)
        asked = [TARGET[label] for label in labels if label != UNASKED]
        assert asked == translated(sentence)
        assert len(sentence[6].split()) == len(asked)  # its answers are not shown to the net
        np.testing.assert_array_equal(labels[: -len(asked)], UNASKED)
        subject = len(sentence[1].split()) + 1
        assert level == length - 1 - subject


def test_the_two_numbers_of_a_word_are_a_pair_of_classes():
    inflected = len(TARGET) - len(sentences.UNINFLECTED)
    assert len(set(TARGET)) == len(TARGET)
    assert len(set(SOURCE)) == len(SOURCE)
    for singular, plural in zip(TARGET[:inflected:2], TARGET[1:inflected:2], strict=True):
        assert plural in (singular + "n", singular + "j")


def test_generating_leaves_the_global_generator_as_it_was():
    state = np.random.get_state()[1].copy()
    sequences.adding(samples=20)
    sentences.agreement(samples=20)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
