"""Arithmetic of lanes, for numba: formulas that hold for a number hold for many next to each other.

Where a loop has many arrays a compiler cannot see that none of them overlap, and makes no vectors
of it; here they are written down. Operators take lanes, or lanes and a number; what else there is
takes numbers alone as well, and gives the same bits.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from .lanes import LANE_BYTES, Lanes, address_in, everywhere, multiply_add


def _lanes_among(kinds: tuple[types.Type, ...]) -> Lanes | None:
    return next((kind for kind in kinds if isinstance(kind, Lanes)), None)


def _alike(context, builder, kind: types.Type, kinds: tuple, values: tuple) -> list[ir.Value]:
    """The ``values`` as ``kind`` has them: a number in all lanes, of their precision."""
    scalar, made = getattr(kind, "scalar", kind), []
    for one, value in zip(kinds, values, strict=True):
        if isinstance(one, Lanes):
            made.append(value)
            continue
        number = context.cast(builder, value, one, scalar)
        wide = context.data_model_manager[kind].get_value_type()
        made.append(everywhere(builder, number, wide) if isinstance(kind, Lanes) else number)
    return made


def _add_operator(symbol: Callable, name: str) -> None:
    """Let compiled code write ``symbol`` between lanes, or lanes and a number."""

    @infer_global(symbol)
    class OfLanes(AbstractTemplate):
        def generic(self, given: tuple, names: dict) -> object:  # noqa: ARG002
            kind = _lanes_among(given)
            return signature(kind, *given) if kind else None

    def code(context, builder, signature, arguments):
        values = _alike(context, builder, signature.return_type, signature.args, arguments)
        return getattr(builder, name)(*values)

    for kinds in ((Lanes, Lanes), (Lanes, types.Float), (types.Float, Lanes)):
        lower_builtin(symbol, *kinds)(code)


for symbol, name in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _add_operator(getattr(operator, symbol), name)


def _of_number(make: Callable) -> Callable:
    """Compiled code for ``make(builder, value)``, of a number or lanes."""

    @intrinsic
    def made(typing, x):  # noqa: ARG001
        return x(x), lambda context, builder, signature, values: make(builder, values[0])

    return made


def _call(name: str, count: int = 1) -> Callable:
    """LLVM's own function of ``count`` values."""

    def make(builder: ir.IRBuilder, *values: ir.Value) -> ir.Value:
        kind = values[0].type
        lanes = isinstance(kind, ir.VectorType)
        scalar = {"float": "f32", "double": "f64"}[str(kind.element if lanes else kind)]
        whole = f"llvm.{name}.v{kind.count}{scalar}" if lanes else f"llvm.{name}.{scalar}"
        function = ir.FunctionType(kind, [kind] * count)
        return builder.call(cgutils.get_or_insert_function(builder.module, function, whole), values)

    return make


size_of = _of_number(_call("fabs"))
nearest = _of_number(_call("rint"))
minus = _of_number(lambda builder, value: builder.fneg(value))


@intrinsic
def with_sign(typing, x, of):  # noqa: ARG001
    """The size of ``x`` with the sign ``of`` another."""

    def code(context, builder, signature, values):  # noqa: ARG001
        return _call("copysign", 2)(builder, *values)

    return x(x, of), code


def _chosen(symbol: str) -> Callable:
    @intrinsic
    def chosen(typing, a, b, then, otherwise):  # noqa: ARG001
        kinds = (a, b, then, otherwise)
        kind = _lanes_among(kinds) or max(kinds, key=lambda one: one.bitwidth)

        def code(context, builder, signature, values):
            first, second, *both = _alike(context, builder, kind, signature.args, values)
            return builder.select(builder.fcmp_ordered(symbol, first, second), *both)

        return kind(*kinds), code

    return chosen


if_less, if_at_most = _chosen("<"), _chosen("<=")  # then, where a < b; otherwise: a NaN is neither


@intrinsic
def less_product(typing, x, y, factor):  # noqa: ARG001
    """x - factor y of lanes and a number, rounded once where the processor can."""

    def code(context, builder, signature, values):
        x, y, factor = _alike(context, builder, signature.return_type, signature.args, values)
        return builder.call(multiply_add(builder, x.type), [builder.fneg(factor), y, x])

    return x(x, y, factor), code


@intrinsic
def power_of_two(typing, whole):  # noqa: ARG001
    """2^n: in float32 of n itself, in float64 of n + 1.5 2^52, whose last bits are n.

    No processor with AVX2 makes integers of several float64 at a time.
    """
    scalar = getattr(whole, "scalar", whole)
    bits, digits, offset = scalar.bitwidth, *((23, 127) if scalar.bitwidth == 32 else (52, 1023))

    def code(context, builder, signature, values):  # noqa: ARG001
        [value] = values
        kind, integer = value.type, ir.IntType(bits)
        lanes = isinstance(kind, ir.VectorType)
        integers = ir.VectorType(integer, kind.count) if lanes else integer

        def constant(number: int) -> ir.Constant:
            return ir.Constant(integers, [number] * kind.count if lanes else number)

        n = builder.fptosi(value, integers) if bits == 32 else builder.bitcast(value, integers)
        power = builder.shl(builder.add(n, constant(offset)), constant(digits))
        return builder.bitcast(power, kind)

    return whole(whole), code


@intrinsic
def read(typing, array, at, count):  # noqa: ARG001
    """LANE_BYTES of a flat ``array`` from index ``at`` on; behind its first ``count`` numbers 0."""
    lanes = Lanes(array.dtype, LANE_BYTES)

    def code(context, builder, signature, arguments):
        kind = context.data_model_manager[lanes].get_value_type()
        place = address_in(context, builder, signature.args[0], *arguments[:2])
        place, align = builder.bitcast(place, kind.as_pointer()), array.dtype.bitwidth // 8
        full = partial(builder.load, place, align=align)
        return all_or_first(builder, kind, arguments[2], full, place, align)

    return lanes(array, types.intp, types.intp), code


def all_or_first(
    builder: ir.IRBuilder,
    kind: ir.VectorType,
    count: ir.Value,
    full: Callable[[], ir.Value],
    place: ir.Value,
    align: int,
) -> ir.Value:
    """What ``full`` gives, where there are as many as ``kind`` has, else the first at a ``place``.

    The latter are as precise as ``full`` has them, with zeros behind.
    """
    with builder.if_else(_are_all(builder, kind, count)) as (whole, part):
        with whole:
            found, ends = full(), [builder.block]
        with part:
            mask, zeros = first_lanes(builder, kind, count), ir.Constant(kind, None)
            some = _masked(builder, "load", kind, [place, mask, zeros], align)
            some = some if some.type == found.type else builder.fpext(some, found.type)
            ends.append(builder.block)
    made = builder.phi(found.type)
    for value, block in zip((found, some), ends, strict=True):
        made.add_incoming(value, block)
    return made


@intrinsic
def write(typing, array, at, count, lanes):  # noqa: ARG001
    """Put the first ``count`` of the ``lanes`` into a flat ``array`` from index ``at`` on."""

    def code(context, builder, signature, arguments):
        *where, number, values = arguments
        kind, align = values.type, array.dtype.bitwidth // 8
        place = address_in(context, builder, signature.args[0], *where)
        place = builder.bitcast(place, kind.as_pointer())
        with builder.if_else(_are_all(builder, kind, number)) as (whole, part):
            with whole:
                builder.store(values, place, align=align)
            with part:
                _masked(
                    builder,
                    "store",
                    kind,
                    [values, place, first_lanes(builder, kind, number)],
                    align,
                )
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, lanes), code


def _are_all(builder: ir.IRBuilder, kind: ir.VectorType, count: ir.Value) -> ir.Value:
    return builder.icmp_signed(">=", count, count.type(kind.count))


def first_lanes(builder: ir.IRBuilder, kind: ir.VectorType, count: ir.Value) -> ir.Value:
    """Which lanes are among the first ``count``."""
    places = ir.VectorType(count.type, kind.count)
    order = ir.Constant(places, list(range(kind.count)))
    return builder.icmp_signed("<", order, everywhere(builder, count, places))


def _masked(
    builder: ir.IRBuilder, name: str, kind: ir.VectorType, values: list[ir.Value], align: int
) -> ir.Value:
    """LLVM's masked load or store of ``values``, without the alignment, which follows the place."""
    scalar = {"float": "f32", "double": "f64"}[str(kind.element)]
    after = [value.type for value in values].index(kind.as_pointer()) + 1
    values = [*values[:after], ir.IntType(32)(align), *values[after:]]
    made = kind if name == "load" else ir.VoidType()
    function = ir.FunctionType(made, [value.type for value in values])
    whole = f"llvm.masked.{name}.v{kind.count}{scalar}.p0v{kind.count}{scalar}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, whole), values)
