"""Lanes: numbers next to each other, which a processor multiplies and adds at once, for numba.

Loops that numba compiles load, add products to and store them, in some ROWS at a time; all arrays
are flat.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from .compiled import FEATURES, exact


def shape_of_tiles(features: str) -> tuple[int, int]:
    """Bytes of a row, and rows of an output, that are made at a time on a processor.

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


def _address(context: object, builder: ir.IRBuilder, kind: types.Array, array: object, at: object):
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@intrinsic(prefer_literal=True)
def load(typing, array, at, size):  # noqa: ARG001
    """The numbers of a flat ``array`` from index ``at`` on, ``size`` bytes."""
    lanes = Lanes(array.dtype, size.literal_value)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        kind = context.data_model_manager[lanes].get_value_type()
        place = _address(context, builder, array, *arguments[:2])
        return builder.load(
            builder.bitcast(place, kind.as_pointer()), align=array.dtype.bitwidth // 8
        )

    return lanes(array, at, size), code


@intrinsic
def store(typing, array, at, lanes):  # noqa: ARG001
    """Put numbers into a flat ``array`` from index ``at`` on."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        *where, values = arguments
        place = _address(context, builder, array, *where)
        place = builder.bitcast(place, values.type.as_pointer())
        builder.store(values, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, at, lanes), code


@intrinsic(prefer_literal=True)
def load_rows(typing, array, at, apart, size):  # noqa: ARG001
    """As :func:`load`, of ROWS rows that are ``apart``, the first at ``at``."""
    lanes = Lanes(array.dtype, size.literal_value)
    rows = types.UniTuple(lanes, ROWS)

    def code(context, builder, signature, arguments):
        source, begin, step, _ = arguments
        kind = context.data_model_manager[lanes].get_value_type().as_pointer()
        made = []
        for n in range(ROWS):
            index = builder.add(begin, builder.mul(step, step.type(n)))
            place = _address(context, builder, signature.args[0], source, index)
            place = builder.bitcast(place, kind)
            made.append(builder.load(place, align=array.dtype.bitwidth // 8))
        return cgutils.pack_array(builder, made)

    return rows(array, types.intp, types.intp, size), code


@intrinsic
def repeat(typing, lanes):  # noqa: ARG001
    """ROWS rows that are all ``lanes``."""
    rows = types.UniTuple(lanes, ROWS)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        return cgutils.pack_array(builder, arguments * ROWS)

    return rows(lanes), code


@intrinsic
def steps(typing, start, apart, count):  # noqa: ARG001
    """start + n apart of n = 0, 1, ..., ROWS - 1; where ``count`` are fewer, the last of them."""
    rows = types.UniTuple(types.intp, ROWS)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        first, step, number = arguments
        last, made = builder.sub(number, number.type(1)), []
        for n in range(ROWS):
            here = number.type(n)
            here = builder.select(builder.icmp_signed("<", here, last), here, last)
            made.append(builder.add(first, builder.mul(step, here)))
        return cgutils.pack_array(builder, made)

    return rows(types.intp, types.intp, types.intp), code


@intrinsic
def take(typing, array, at):  # noqa: ARG001
    """ROWS numbers of an ``array`` of indices, from ``at`` on."""
    rows = types.UniTuple(array.dtype, ROWS)

    def code(context, builder, signature, arguments):
        source, begin = arguments
        made = []
        for n in range(ROWS):
            index = builder.add(begin, begin.type(n))
            made.append(builder.load(_address(context, builder, signature.args[0], source, index)))
        return cgutils.pack_array(builder, made)

    return rows(array, types.intp), code


@intrinsic
def plus(typing, rows, array, starts, at, factors):  # noqa: ARG001
    """rows[n] + array[starts[n] + at] factors, each rounded once where the processor can."""

    def code(context, builder, signature, arguments):
        sums, source, begin, place, by = arguments
        kind, made = by.type, []
        for n in range(ROWS):
            index = builder.add(builder.extract_value(begin, n), place)
            number = builder.load(_address(context, builder, signature.args[1], source, index))
            spread = _everywhere(builder, number, kind)
            terms = [spread, by, builder.extract_value(sums, n)]
            made.append(builder.call(_fmuladd(builder, kind), terms))
        return cgutils.pack_array(builder, made)

    return rows(rows, array, starts, at, factors), code


def _fmuladd(builder: ir.IRBuilder, kind: ir.VectorType) -> ir.Function:
    """x y + z of vectors, rounded once where the processor can."""
    bits = {"float": 32, "double": 64}[str(kind.element)]
    add = ir.FunctionType(kind, [kind] * 3)
    return cgutils.get_or_insert_function(builder.module, add, f"llvm.fmuladd.v{kind.count}f{bits}")


def _everywhere(builder: ir.IRBuilder, number: ir.Value, kind: ir.VectorType) -> ir.Value:
    index, nothing = ir.IntType(32), ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, index(0))
    zeros = ir.Constant(ir.VectorType(index, kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, nothing, zeros)


@intrinsic
def fetch(typing, address):  # noqa: ARG001
    """Have the processor bring memory at an ``address`` into its caches, while it goes on."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        place = builder.inttoptr(arguments[0], pointer)
        builder.call(function, [place, number(0), number(2), number(1)])
        return context.get_dummy_value()

    return types.void(types.intp), code


@intrinsic
def store_rows(typing, array, at, apart, count, rows):  # noqa: ARG001
    """As :func:`store`, of the first ``count`` of the rows, which are ``apart``."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        align = array.dtype.bitwidth // 8
        for place, row in _rows_in(builder, context, array, *arguments):
            builder.store(row, place, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp, rows), code


@intrinsic
def descend_rows(typing, array, at, apart, count, rows, rate):  # noqa: ARG001
    """What :func:`store_rows` would overwrite, less ``rate`` times the rows, each rounded once."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        *where, by = arguments
        align, less = array.dtype.bitwidth // 8, builder.fneg(by)
        for place, row in _rows_in(builder, context, array, *where):
            before = builder.load(place, align=align)
            factor = _everywhere(builder, less, row.type)
            after = builder.call(_fmuladd(builder, row.type), [factor, row, before])
            builder.store(after, place, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp, rows, array.dtype), code


def _rows_in(
    builder: ir.IRBuilder, context: object, kind: types.Array, array, at, apart, count, rows
) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Where each row lies, and the row: what is done with it is done for the first ``count``."""
    for n in range(ROWS):
        with builder.if_then(builder.icmp_signed(">", count, count.type(n))):
            index = builder.add(at, builder.mul(apart, apart.type(n)))
            row = builder.extract_value(rows, n)
            place = _address(context, builder, kind, array, index)
            yield builder.bitcast(place, row.type.as_pointer()), row


@intrinsic
def turn(typing, array, at, by_row, out, to, by_line):  # noqa: ARG001
    """Transpose a square of SHORT bytes a side of ``array``, from ``at`` on, into ``out``.

    Rows are ``by_row`` numbers apart, and lines of ``out``, which were columns, ``by_line``.
    """
    side = SHORT * 8 // array.dtype.bitwidth

    def code(context, builder, signature, arguments):
        source, begin, step, made, end, stride = arguments
        kinds, align = signature.args, array.dtype.bitwidth // 8
        vector = ir.VectorType(context.get_value_type(array.dtype), side)

        def place(kind, where, start, apart, n):
            index = builder.add(start, builder.mul(apart, apart.type(n)))
            address = _address(context, builder, kind, where, index)
            return builder.bitcast(address, vector.as_pointer())

        rows = [
            builder.load(place(kinds[0], source, begin, step, n), align=align) for n in range(side)
        ]
        for n, line in enumerate(_transposed(builder, rows)):
            builder.store(line, place(kinds[3], made, end, stride, n), align=align)
        return context.get_dummy_value()

    return types.void(array, at, by_row, out, to, by_line), code


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
