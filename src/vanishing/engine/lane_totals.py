"""What is told of many lanes together, for numba: sums in float64, whatever their precision."""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lane_numbers import first_lanes
from .lanes import Lanes, everywhere


@intrinsic
def doubled(typing, lanes):  # noqa: ARG001
    """The same numbers in float64."""
    wide = Lanes(types.float64, 8 * lanes.count)

    def code(context, builder, signature, values):  # noqa: ARG001
        [value], kind = values, context.data_model_manager[wide].get_value_type()
        return value if value.type == kind else builder.fpext(value, kind)

    return wide(lanes), code


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
