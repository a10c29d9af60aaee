"""Lanes: numbers next to each other, which a processor multiplies and adds at once, for numba.

Loops that numba compiles load and store them; all arrays are flat. What they make of them is in
:mod:`.lane_tiles` and :mod:`.lane_numbers`.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .compiled import FEATURES, exact


def shape_of_tiles(features: str) -> tuple[int, int]:
    """Bytes that are read at a time on a processor, and rows of a convolution that are made.

    All sums of them stay in registers: 16 of AVX-512's 32, of 64 bytes, or 12 of AVX2's 16, of 32.
    The order of each sum, and so its last bit, does not depend on it.
    """
    return (128, 8) if "+avx512f" in features.split(",") else (64, 6)


LANE_BYTES, ROWS = shape_of_tiles(FEATURES)
HALF = LANE_BYTES // 2  # what is left of a row may be as short
SHORT = 32  # or as this


class Lanes(types.Type):
    """Some numbers next to each other, which the processor multiplies and adds at once."""

    def __init__(self, scalar: types.Float, size: int) -> None:
        self.scalar, self.count = scalar, size * 8 // scalar.bitwidth
        super().__init__(name=f"Lanes({scalar}, {self.count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: object, lanes: Lanes) -> None:
        scalar = manager.lookup(lanes.scalar).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(scalar, lanes.count))


def address_in(
    context: object, builder: ir.IRBuilder, kind: types.Array, array: object, at: object
) -> ir.Value:
    """Where the number of an ``array`` with the index ``at`` lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


def everywhere(builder: ir.IRBuilder, number: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A ``number`` in all lanes of a ``kind``."""
    index, nothing = ir.IntType(32), ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, index(0))
    zeros = ir.Constant(ir.VectorType(index, kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, nothing, zeros)


def multiply_add(builder: ir.IRBuilder, kind: ir.VectorType) -> ir.Function:
    """x y + z of vectors, rounded once where the processor can."""
    bits = {"float": 32, "double": 64}[str(kind.element)]
    add = ir.FunctionType(kind, [kind] * 3)
    return cgutils.get_or_insert_function(builder.module, add, f"llvm.fmuladd.v{kind.count}f{bits}")


@intrinsic(prefer_literal=True)
def load_as(typing, array, at, size, like):  # noqa: ARG001
    """Numbers of a flat ``array`` from ``at`` on, which in the precision of ``like`` have ``size``.

    That is the array's own, or a longer one.
    """
    lanes = Lanes(like.dtype, size.literal_value)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        kind, scalar = (context.get_value_type(of) for of in (lanes, array.dtype))
        place = address_in(context, builder, array, *arguments[:2])
        place = builder.bitcast(place, ir.VectorType(scalar, lanes.count).as_pointer())
        made = builder.load(place, align=array.dtype.bitwidth // 8)
        return made if made.type == kind else builder.fpext(made, kind)

    return lanes(array, types.intp, size, like), code


@intrinsic(prefer_literal=True)
def load(typing, array, at, size):  # noqa: ARG001
    """The numbers of a flat ``array`` from index ``at`` on, ``size`` bytes."""
    lanes = Lanes(array.dtype, size.literal_value)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        kind = context.data_model_manager[lanes].get_value_type()
        place = address_in(context, builder, array, *arguments[:2])
        return builder.load(
            builder.bitcast(place, kind.as_pointer()), align=array.dtype.bitwidth // 8
        )

    return lanes(array, at, size), code


@intrinsic
def store(typing, array, at, lanes):  # noqa: ARG001
    """Put numbers into a flat ``array`` from index ``at`` on."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        *where, values = arguments
        place = address_in(context, builder, array, *where)
        place = builder.bitcast(place, values.type.as_pointer())
        builder.store(values, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, at, lanes), code


@intrinsic(prefer_literal=True)
def turn(typing, array, at, by_row, out, to, by_line, size):  # noqa: ARG001
    """Transpose a square of ``array``, from ``at`` on, into ``out``, where a side has ``size``.

    Rows are ``by_row`` numbers apart, and lines of ``out``, which were columns, ``by_line``. The
    precision of ``out`` is that of ``array``, or a longer one.
    """
    side = size.literal_value * 8 // out.dtype.bitwidth

    def code(context, builder, signature, arguments):  # noqa: ARG001
        (source, begin, step, made, end, stride, _), align = arguments, array.dtype.bitwidth // 8
        given, wanted = (
            ir.VectorType(context.get_value_type(kind.dtype), side) for kind in (array, out)
        )

        def place(kind, vector, where, start, apart, n):
            index = builder.add(start, builder.mul(apart, apart.type(n)))
            address = address_in(context, builder, kind, where, index)
            return builder.bitcast(address, vector.as_pointer())

        rows = [
            builder.load(place(array, given, source, begin, step, n), align=align)
            for n in range(side)
        ]
        for n, line in enumerate(_transposed(builder, rows)):
            line = line if given == wanted else builder.fpext(line, wanted)
            where = place(out, wanted, made, end, stride, n)
            builder.store(line, where, align=out.dtype.bitwidth // 8)
        return context.get_dummy_value()

    numbers = [types.intp] * 2
    return types.void(array, *numbers, out, *numbers, size), code


def _transposed(builder: ir.IRBuilder, rows: list) -> list:
    """Vectors of the columns of ``rows``: each shuffle of the two halves moves a bit of n."""
    side, index = len(rows), ir.IntType(32)
    for _ in range(side.bit_length() - 1):
        pairs = zip(rows[: side // 2], rows[side // 2 :], strict=True)
        rows = []
        for first, second in pairs:
            for half in (range(side // 2), range(side // 2, side)):
                order = [n for lane in half for n in (lane, side + lane)]
                mask = ir.Constant(ir.VectorType(index, side), order)
                rows.append(builder.shuffle_vector(first, second, mask))
    return rows


@intrinsic
def memory(typing, address, like):  # noqa: ARG001
    """A pointer to the number of the type of ``like`` at an ``address``, for ``numba.carray``."""
    pointer = types.CPointer(like)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        return builder.inttoptr(arguments[0], context.get_value_type(pointer))

    return pointer(address, like), code


@exact
def of_run(address: int, run: int, size: int, like: float) -> np.ndarray:
    """The ``size`` numbers of a ``run`` of a tensor at an ``address``, of the type of ``like``."""
    return carray(memory(address, like), (run + 1) * size)[run * size :]
