"""Loops use the registers that a processor has, and a training has the same bits with all."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vanishing.engine.compiled import FEATURES
from vanishing.engine.lanes import LANE_BYTES, shape_of_tiles
from vanishing.engine.product_kernels import TILES

ROOT = Path(__file__).parents[1]

MADE = """
import sys
import numpy as np
import torch
from vanishing.engine import chain, layer_kernels
from vanishing.engine.convolution import convolved
from vanishing.engine.lanes import LANE_BYTES
from vanishing.engine.network import flat
from vanishing.engine.products import loops
from tests.test_chain import net_of, samples

draw = np.random.default_rng(0).standard_normal
made = {"lane_bytes": np.array(LANE_BYTES)}
for dtype in (np.float32, np.float64):
    for rows, terms, units in [(1, 1, 1), (5, 3, 16), (13, 40, 47), (64, 64, 64), (9, 7, 90)]:
        x, w = draw((2, rows, terms)).astype(dtype), draw((2, terms, units)).astype(dtype)
        b, out = draw((2, units)).astype(dtype), np.empty((2, rows, units), dtype)
        of_x, of_w = (rows * terms, terms, 1), (terms * units, units, 1)
        loops.multiply(
            x.ctypes.data, *of_x, w.ctypes.data, *of_w, b.ctypes.data, units, 1, out, terms
        )
        made[f"{out.dtype} {rows} {terms} {units}"] = out
    for channels, units, side in [(1, 8, 5), (3, 20, 5), (16, 33, 5), (16, 16, 8), (8, 32, 8)]:
        a = torch.from_numpy(draw((2, 3, channels, side, side)).astype(dtype)).requires_grad_()
        weight = torch.from_numpy(draw((2, channels * 9, units)).astype(dtype)).requires_grad_()
        bias = torch.from_numpy(draw((2, 1, units)).astype(dtype)).requires_grad_()
        z = convolved(a, weight, bias, 1, False)
        z.square().sum().backward()
        found = {"z": z.detach(), "a": a.grad, "weight": weight.grad, "bias": bias.grad}
        size = f"{z.dtype} {channels} {units} {side}"
        made |= {f"{size} {name}": t.numpy() for name, t in found.items()}
for dtype in (np.float32, np.float64):
    for units in (5, 32, 64, 100):
        z, gain, bias = (draw(n).astype(dtype) for n in (9 * units, units, units))
        m, s, h, of_gain, of_bias = (np.empty(len(of), dtype) for of in (z, z, z, gain, bias))
        layer_kernels.norm(z, gain, bias, m, s, h, layer_kernels.LAYER, dtype(1e-5))
        g = h**3
        layer_kernels.norm_back(g, z, gain, m, s, of_gain, of_bias, layer_kernels.LAYER)
        made |= {f"layer norm {g.dtype} {units}": h, f"its gradient {g.dtype} {units}": g}
rates = torch.tensor([0.001, 0.01, 0.02])
for norm in ("none", "batch", "layer"):
    net, drawn, _ = net_of(torch.float32, 40, norm=norm)
    parameters = {name: [t.detach() for t in of] for name, of in drawn.items()}
    for _ in range(3):
        x = samples(dtype=torch.float32)
        one = chain.passed(net, parameters, {}, x, lambda outputs: outputs.square().sum((1, 2)))
        one.chain.descend(one.d_outputs, parameters, rates)
    made |= {f"{norm} {n}": t.numpy() for n, t in enumerate(flat(parameters))}
np.savez(sys.argv[1], **made)
"""


def test_a_tile_takes_the_registers_that_there_are():
    assert shape_of_tiles("+avx2,+avx512f,+fma") == (128, 8)
    assert shape_of_tiles("+avx2,-avx512f,+fma") == shape_of_tiles("+neon") == (64, 6)
    register, most = (64, 24) if LANE_BYTES == 128 else (32, 12)  # others hold w and a number of x
    assert all(register * most >= size * rows for size, rows in TILES)


@pytest.mark.skipif("+avx512f" not in FEATURES.split(","), reason="this processor has no AVX-512")
def test_loops_that_train_have_the_same_bits_with_short_and_wide_registers(tmp_path):
    narrow = ",".join(f.replace("+avx512", "-avx512") for f in FEATURES.split(","))
    made = {}
    for name, features in {"wide": FEATURES, "narrow": narrow}.items():
        env = os.environ | {"NUMBA_CPU_FEATURES": features}
        told = [sys.executable, "-c", MADE, tmp_path / f"{name}.npz"]
        subprocess.run(told, env=env, cwd=ROOT, check=True)
        made[name] = dict(np.load(tmp_path / f"{name}.npz"))
    assert made["wide"].pop("lane_bytes") == 128
    assert made["narrow"].pop("lane_bytes") == 64
    for name, values in made["wide"].items():
        np.testing.assert_array_equal(values, made["narrow"][name], err_msg=name)
