"""What is told of many lanes together, for numba: sums in float64, whatever their precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lane_numbers import all_or_first, first_lanes
from .lanes import HALF, LANE_BYTES, Lanes, address_in, everywhere


@intrinsic
def doubled(typing, lanes):  # noqa: ARG001
    """The same numbers in float64."""
    wide = Lanes(types.float64, 8 * lanes.count)

    def code(context, builder, signature, values):  # noqa: ARG001
        [value], kind = values, context.data_model_manager[wide].get_value_type()
        return value if value.type == kind else builder.fpext(value, kind)

    return wide(lanes), code


@intrinsic
def load_doubled(typing, array, at):  # noqa: ARG001
    """LANE_BYTES of a flat ``array`` from index ``at`` on, in float64.

    They are read once more even where they were read before, as they are: a register of them would
    have to be taken apart first.
    """
    lanes = _wide_lanes(array)

    def code(context, builder, signature, arguments):
        place = address_in(context, builder, signature.args[0], *arguments)
        return _widened(builder, place, lanes.count)

    return lanes(array, types.intp), code


@intrinsic
def read_doubled(typing, array, at, count):  # noqa: ARG001
    """The same; behind the first ``count`` numbers 0."""
    lanes = _wide_lanes(array)

    def code(context, builder, signature, arguments):
        place = address_in(context, builder, signature.args[0], *arguments[:2])
        kind = ir.VectorType(place.type.pointee, lanes.count)
        full = partial(_widened, builder, place, lanes.count)
        first, align = builder.bitcast(place, kind.as_pointer()), array.dtype.bitwidth // 8
        return all_or_first(builder, kind, arguments[2], full, first, align)

    return lanes(array, types.intp, types.intp), code


def _wide_lanes(array: types.Array) -> Lanes:
    """Lanes in float64 of as many numbers as LANE_BYTES of an ``array`` are."""
    return Lanes(types.float64, LANE_BYTES * 64 // array.dtype.bitwidth)


def _widened(builder: ir.IRBuilder, place: ir.Value, count: int) -> ir.Value:
    """So many numbers from a ``place`` on, in float64: a register at a time, then together."""
    scalar, wide, register = place.type.pointee, ir.DoubleType(), HALF // 8
    align, kind = (8 if scalar == wide else 4), ir.VectorType(scalar, register)
    # Of a place that it does not know a compiler cannot say that it was read before.
    unknown = ir.FunctionType(place.type, [place.type])
    place, parts = builder.asm(unknown, "", "=r,0", [place], side_effect=False), []
    for first in range(0, count, register):
        at = builder.gep(place, [ir.IntType(64)(first)])
        part = builder.load(builder.bitcast(at, kind.as_pointer()), align=align)
        parts.append(part if scalar == wide else builder.fpext(part, ir.VectorType(wide, register)))
    while len(parts) > 1:
        places = list(range(2 * parts[0].type.count))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [builder.shuffle_vector(*pair, mask) for pair in pairs]
    return parts[0]


@intrinsic
def filled(typing, number, lanes):  # noqa: ARG001
    """Lanes like ``lanes``, which all are a ``number``."""

    def code(context, builder, signature, values):
        number = context.cast(builder, values[0], signature.args[0], lanes.scalar)
        return everywhere(builder, number, values[1].type)

    return lanes(number, lanes), code


@intrinsic
def ones_of(typing, count, lanes):  # noqa: ARG001
    """Lanes like ``lanes``: 1 in the first ``count``, 0 in the rest."""

    def code(context, builder, signature, values):  # noqa: ARG001
        count, kind = values[0], values[1].type
        ones = ir.Constant(kind, [1.0] * kind.count)
        return builder.select(first_lanes(builder, kind, count), ones, ir.Constant(kind, None))

    return lanes(types.intp, lanes), code


def _of_all(combine: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]) -> Callable:
    """One number of all lanes: halves are combined, and halves of what they give."""

    @intrinsic
    def found(typing, lanes):  # noqa: ARG001
        def code(context, builder, signature, values):  # noqa: ARG001
            [value], index, count = values, ir.IntType(32), lanes.count
            while count > 1:
                count //= 2
                halves = []
                for first in (0, count):
                    places = list(range(first, first + count))
                    mask = ir.Constant(ir.VectorType(index, count), places)
                    halves.append(builder.shuffle_vector(value, value, mask))
                value = combine(builder, *halves)
            return builder.extract_element(value, index(0))

        return lanes.scalar(lanes), code

    return found


def _larger(builder: ir.IRBuilder, one: ir.Value, other: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered("<", one, other), other, one)


total_of = _of_all(lambda builder, one, other: builder.fadd(one, other))
largest_of = _of_all(_larger)  # of numbers without a NaN
