"""Sums over lanes, in float64, for numba: of all that is asked of numbers, taken as they go by."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .lane_numbers import first_lanes
from .lanes import Lanes, everywhere


@intrinsic
def doubled(typing, lanes):  # noqa: ARG001
    """The numbers in float64."""
    made = Lanes(types.float64, lanes.count * 8)

    def code(context, builder, signature, values):  # noqa: ARG001
        kind = context.data_model_manager[made].get_value_type()
        return values[0] if lanes.scalar == types.float64 else builder.fpext(values[0], kind)

    return made(lanes), code


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


@intrinsic
def added(typing, lanes):  # noqa: ARG001
    """The sum of all lanes: of the first half and the second, and so on."""

    def code(context, builder, signature, values):  # noqa: ARG001
        [rest], index = values, ir.IntType(32)
        while rest.type.count > 1:
            half = rest.type.count // 2
            parts = [
                builder.shuffle_vector(
                    rest, rest, ir.Constant(ir.VectorType(index, half), list(places))
                )
                for places in (range(half), range(half, 2 * half))
            ]
            rest = builder.fadd(*parts)
        return builder.extract_element(rest, index(0))

    return lanes.scalar(lanes), code
