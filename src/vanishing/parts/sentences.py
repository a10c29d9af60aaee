"""Agreement over a distance, in sentences of a toy grammar, and their toy translation.

A proxy for what translation asks of a net, not translation: English words, a grammar of two lines,

    sentence = the NOUN filling VERB,    filling = (ADVERB | PREPOSITION the (ADJECTIVE) NOUN)*

in which the verb agrees with the first noun, its subject. Every noun is singular or plural at even
odds, independently of all others: those of the filling (attractors) tell nothing about the verb.
(After Linzen, Dupoux, Goldberg 2016.) The second language is made up.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from ..lazy import Lazy
from .data import UNASKED, Data
from .sequences import refuse_small

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

PAD, GO = ".", "?"
# Singular words and their translations. A plural noun is NOUN + s and its translation + j; a verb
# of English, in the past tense, has one form, and its translation has two: + n in the plural.
NOUNS = {
    "key": "klavo", "cabinet": "armo", "bird": "avo", "gate": "pordo",
    "signal": "segno", "layer": "strato", "player": "ludo", "sailor": "maro",
}  # fmt: skip
VERBS = {"vanished": "fadu", "returned": "revu", "waited": "atu", "slept": "dormu"}
PREPOSITIONS = {"near": "ce", "behind": "tra", "under": "sub", "without": "sen"}
ADJECTIVES = {"old": "velka", "red": "ruga", "small": "mika", "quiet": "tisha"}
ADVERBS = {"often": "ofte", "again": "denove", "slowly": "lante", "today": "nune"}
UNINFLECTED = PREPOSITIONS | ADJECTIVES | ADVERBS
# Tokens are places in SOURCE, classes are places in TARGET: there the singular at 2k, its plural
# at 2k + 1, as the scores that compare the two forms of a word want it.
SOURCE = (
    PAD, GO, "the", *(noun + s for noun in NOUNS for s in ("", "s")), *VERBS, *UNINFLECTED,
)  # fmt: skip
TARGET = (
    *(verb + n for verb in VERBS.values() for n in ("", "n")),
    *(noun + j for noun in ("lo", *NOUNS.values()) for j in ("", "j")),
    *UNINFLECTED.values(),
)
_TOKENS = {word: place for place, word in enumerate(SOURCE)}
_CLASSES = {word: place for place, word in enumerate(TARGET)}
_LEVELS = 6  # distances at most: a level of its own needs many samples
_PHRASES = (1, 3, 4)  # words: an adverb, a phrase of a preposition, one with an adjective


def agreement(length: int = 20, samples: int = 6000) -> Data:
    """Which form the verb takes: 0 where the subject is singular, 1 where it is plural.

    The tokens are padded in front to ``length``; the last step is the verb's place, and shows GO.
    ``level`` is the distance in steps from the subject to the verb, at up to six values from 1 to
    ``length`` - 2 that are spread evenly, with the same number of samples each and of each class.
    """
    refuse_small("agreement", length, samples)
    generator, fillings = np.random.RandomState(0), _spread(length - 3)
    sizes, plural = _designed(fillings, samples)
    sentences = [
        ["the", _noun(generator, number), *chain(*_filling(generator, size)), GO]
        for size, number in zip(sizes, plural, strict=True)
    ]
    return _data(_padded(sentences, length), plural, sizes + 1)


def transduction(length: int = 24, samples: int = 6000) -> Data:
    """A sentence to be translated: after the sentence and GO, its translation word by word.

    The source has its verb after the subject, in a tense with one form for both numbers; the
    translation has it at the end, in the subject's number, like the determiner's of each noun, and
    puts adjectives after their nouns. The verb is the last step's answer. All is padded in front to
    ``length``; while the net answers, its input is PAD: it is told neither its answers nor the
    right ones, so that the number has to come from the source.

    ``level`` is the distance in steps from the source's subject to the verb that is asked, at up to
    six values spread evenly. The score is taken of this verb alone, and of its number: is the right
    form rated above the other form of the same verb? Chance is one half, as in :func:`agreement`.
    """
    refuse_small("transduction", length, samples)
    generator, fillings = np.random.RandomState(0), _spread((length - 1) // 2 - 3)
    sizes, plural = _designed(fillings, samples)
    pairs = [
        _translated(generator, size, number) for size, number in zip(sizes, plural, strict=True)
    ]
    tokens = _padded([[*source, GO, *[PAD] * len(target)] for source, target in pairs], length)
    labels = np.full(tokens.shape, UNASKED)
    for row, (_, target) in zip(labels, pairs, strict=True):
        row[-len(target) :] = [_CLASSES[word] for word in target]
    return _data(tokens, labels, 2 * sizes + 5)


def _spread(longest: int) -> np.ndarray:
    """Up to _LEVELS sizes of the filling in words, from 0 to the ``longest`` that fits."""
    return np.unique(np.linspace(0, longest, _LEVELS).round().astype(int))


def _designed(fillings: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Filling and number (plural: 1) of every sample, each pair of them as often as any other."""
    place = np.arange(samples)
    return fillings[place % len(fillings)], place // len(fillings) % 2


def _noun(generator: np.random.RandomState, plural: int) -> str:
    return _drawn(generator, NOUNS) + "s" * plural


def _drawn(generator: np.random.RandomState, words: dict[str, str]) -> str:
    return tuple(words)[generator.randint(len(words))]


def _filling(generator: np.random.RandomState, size: int) -> list[list[str]]:
    """Phrases of ``size`` words together, each next one as long as chance says among what fits."""
    phrases = []
    while size:
        fitting = [words for words in _PHRASES if words <= size]
        words = fitting[generator.randint(len(fitting))]
        phrases.append(_phrase(generator, words))
        size -= words
    return phrases


def _phrase(generator: np.random.RandomState, words: int) -> list[str]:
    if words == 1:
        return [_drawn(generator, ADVERBS)]
    adjective = [_drawn(generator, ADJECTIVES)] if words == 4 else []
    noun = _noun(generator, generator.randint(2))
    return [_drawn(generator, PREPOSITIONS), "the", *adjective, noun]


def _translated(
    generator: np.random.RandomState, size: int, plural: int
) -> tuple[list[str], list[str]]:
    """A sentence and its translation."""
    subject, verb = ["the", _noun(generator, plural)], _drawn(generator, VERBS)
    phrases = _filling(generator, size)
    translations = map(_translation, [subject, *phrases])
    return [*subject, verb, *chain(*phrases)], [*chain(*translations), VERBS[verb] + "n" * plural]


def _translation(phrase: list[str]) -> list[str]:
    """A phrase in the second language; its noun, if it has one, is its last word."""
    if "the" not in phrase:
        return [UNINFLECTED[word] for word in phrase]
    place, noun = phrase.index("the"), phrase[-1]
    plural = "j" * (noun not in NOUNS)
    before = [UNINFLECTED[word] for word in phrase[:place]]
    adjectives = [UNINFLECTED[word] for word in phrase[place + 1 : -1]]
    return [*before, "lo" + plural, NOUNS[noun.removesuffix("s")] + plural, *adjectives]


def _padded(sentences: list[list[str]], length: int) -> np.ndarray:
    tokens = np.full((len(sentences), length), _TOKENS[PAD])
    for row, words in zip(tokens, sentences, strict=True):
        row[-len(words) :] = [_TOKENS[word] for word in words]
    return tokens


def _data(tokens: np.ndarray, labels: np.ndarray, level: np.ndarray) -> Data:
    return Data(
        tokens.astype(np.int64),
        labels.astype(np.int64),
        sequence=(tokens.shape[1], len(SOURCE)),
        vocabulary=len(SOURCE),
        level=level.astype(np.float32),
        score="error_by_level",
    )
