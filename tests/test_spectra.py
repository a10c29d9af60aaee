"""Largest eigenvalues and singular values of a stack's matrices, as LAPACK finds them."""

from functools import partial

import numpy as np
import pytest
import torch

from vanishing.engine.spectra import spectral_norm, spectral_radius

COUNT = 12


def _drawn(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def _turned(n):
    """Matrices that only turn: all eigenvalues are of size 1."""
    return np.linalg.qr(_drawn(COUNT, n, n))[0]


def _of_rank_1(n):
    columns, rows = _drawn(2, COUNT, n)
    return columns[:, :, None] * rows[:, None]


def _of_values(values, n, basis):
    """Symmetric matrices with the eigenvalues 1, ... and smaller ones; each another basis."""
    return basis * np.resize([*values, *np.linspace(0.4, -0.4, n)], n) @ basis.transpose(0, 2, 1)


def _from_the_start(n, turned=0.0):
    """Bases whose first vector, ``turned`` a bit, is the one with which all powers are asked."""
    drawn = _drawn(COUNT, n, n)
    drawn[:, :, 0] = np.cos(1.0 + np.arange(n) ** 2)
    basis = np.linalg.qr(drawn)[0]
    if n > 1:
        basis[:, :, 0], basis[:, :, 1] = (
            basis[:, :, 0] + turned * basis[:, :, 1],
            basis[:, :, 1] - turned * basis[:, :, 0],
        )
    return basis


KINDS = {
    "normal": lambda n: _drawn(COUNT, n, n) / n**0.5,
    "nearly turned": lambda n: _turned(n) + 1e-3 * _drawn(COUNT, n, n)[::-1],
    "turned": _turned,
    "of rank 1": _of_rank_1,
    "both signs": lambda n: np.tile(np.diag(np.resize([3.0, -3.0, 1.0], n)), (COUNT, 1, 1)),
    "tiny": lambda n: 1e-200 * _drawn(COUNT, n, n),
    "huge": lambda n: 1e200 * _drawn(COUNT, n, n),
    "zero": lambda n: np.zeros((COUNT, n, n)),
    "top values nearly equal": lambda n: _of_values([1.0, -0.99999, 0.999], n, _turned(n)),
    "of one pair": lambda n: _of_values([1.0, 1 - 1e-9, 0.5], n, _turned(n)),
    "begun beside the top": lambda n: _of_values([0.75, 1.0, 0.5], n, _from_the_start(n)),
    "begun near another": lambda n: _of_values([0.97, 1.0, 0.5], n, _from_the_start(n, 1e-14)),
    "at the end of all numbers": lambda n: np.tile(9e307 * np.eye(n), (COUNT, 1, 1)),
    "graded": lambda n: _drawn(COUNT, n, n) * np.divide.outer(g := np.geomspace(1, 1e12, n), g),
    "mostly of rank 1": lambda n: _drawn(COUNT, n, n) + 1e6 * _of_rank_1(n) @ np.eye(n, k=1),
    "nilpotent": lambda n: np.tile(np.eye(n, k=1), (COUNT, 1, 1)),
}


@pytest.fixture
def solved(monkeypatch):
    """How many matrices the general solvers were given."""
    counts = []

    def counted(solver, matrices, *order):
        counts.append(len(matrices))
        return solver(matrices, *order)

    for name in ("eigvals", "matrix_norm"):
        solver = getattr(torch.linalg, name)
        monkeypatch.setattr(torch.linalg, name, partial(counted, solver))
    return counts


@pytest.mark.parametrize("n", [1, 2, 3, 5, 32, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_both_are_those_of_the_general_solvers(kind, n):
    matrices = KINDS[kind](n)
    radius, norm = (of(torch.from_numpy(matrices)) for of in (spectral_radius, spectral_norm))
    expected = np.abs(np.linalg.eigvals(matrices)).max(1)
    np.testing.assert_allclose(radius, expected, rtol=1e-10)
    np.testing.assert_allclose(norm, np.linalg.norm(matrices, 2, axis=(1, 2)), rtol=1e-10)


def test_nearly_all_matrices_need_no_general_solver(solved):
    drawn = torch.from_numpy(_drawn(200, 32, 32))
    spectral_radius(drawn)
    spectral_norm(drawn)
    assert sum(solved) < 20


def test_a_matrix_without_an_answer_goes_to_the_general_solver_alone(solved):
    matrices = torch.from_numpy(KINDS["normal"](32))
    matrices[3] = torch.from_numpy(_turned(32)[0])
    assert spectral_radius(matrices)[3] == pytest.approx(1.0, rel=1e-12)
    assert solved[0] == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_matrix_that_is_not_finite_has_neither_and_spoils_no_other(value):
    matrices = torch.from_numpy(KINDS["normal"](32))
    for of in (spectral_radius, spectral_norm):
        finite, spoiled = matrices.clone(), matrices.clone()
        spoiled[2, 5, 7] = value
        expected = of(finite)
        expected[2] = torch.nan
        assert torch.equal(of(spoiled).nan_to_num(), expected.nan_to_num())
        assert of(spoiled)[2].isnan()


def test_columns_far_below_the_others_do_not_hide_an_answer():
    matrices = KINDS["normal"](32)
    matrices[:, :, 16:] *= 1e-200
    radius, norm = (of(torch.from_numpy(matrices)) for of in (spectral_radius, spectral_norm))
    square, tall = matrices[:, :16, :16], matrices[:, :, :16]
    np.testing.assert_allclose(radius, np.abs(np.linalg.eigvals(square)).max(1), rtol=1e-10)
    np.testing.assert_allclose(norm, np.linalg.norm(tall, 2, axis=(1, 2)), rtol=1e-10)


def test_a_matrix_alone_has_the_bits_that_it_has_among_others():
    matrices = torch.from_numpy(KINDS["normal"](32))
    for of in (spectral_radius, spectral_norm):
        alone = torch.cat([of(one[None]) for one in matrices])
        assert torch.equal(alone, of(matrices))
