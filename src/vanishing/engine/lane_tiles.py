"""Tiles: rows of lanes in registers, to which products are added, for numba."""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import ROWS, Lanes, address_in, everywhere, multiply_add


@intrinsic(prefer_literal=True)
def load_rows(typing, array, at, apart, size, count):  # noqa: ARG001
    """As :func:`.lanes.load`, of ``count`` rows that are ``apart``, the first at ``at``."""
    lanes, number = Lanes(array.dtype, size.literal_value), count.literal_value
    rows = types.UniTuple(lanes, number)

    def code(context, builder, signature, arguments):
        source, begin, step = arguments[:3]
        kind = context.data_model_manager[lanes].get_value_type().as_pointer()
        made = []
        for n in range(number):
            index = builder.add(begin, builder.mul(step, step.type(n)))
            place = address_in(context, builder, signature.args[0], source, index)
            place = builder.bitcast(place, kind)
            made.append(builder.load(place, align=array.dtype.bitwidth // 8))
        return cgutils.pack_array(builder, made)

    return rows(array, types.intp, types.intp, size, count), code


@intrinsic(prefer_literal=True)
def repeat(typing, lanes, count):  # noqa: ARG001
    """``count`` rows that are all ``lanes``."""
    rows = types.UniTuple(lanes, count.literal_value)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        return cgutils.pack_array(builder, arguments[:1] * rows.count)

    return rows(lanes, count), code


@intrinsic(prefer_literal=True)
def steps(typing, start, apart, left, count):  # noqa: ARG001
    """start + n apart, n = 0, 1, ..., ``count`` - 1; where fewer are ``left``, the last of them."""
    rows = types.UniTuple(types.intp, count.literal_value)

    def code(context, builder, signature, arguments):  # noqa: ARG001
        first, step, number, _ = arguments
        last, made = builder.sub(number, number.type(1)), []
        for n in range(rows.count):
            here = number.type(n)
            here = builder.select(builder.icmp_signed("<", here, last), here, last)
            made.append(builder.add(first, builder.mul(step, here)))
        return cgutils.pack_array(builder, made)

    return rows(types.intp, types.intp, types.intp, count), code


@intrinsic
def take(typing, array, at):  # noqa: ARG001
    """ROWS numbers of an ``array`` of indices, from ``at`` on."""
    rows = types.UniTuple(array.dtype, ROWS)

    def code(context, builder, signature, arguments):
        source, begin = arguments
        made = []
        for n in range(ROWS):
            index = builder.add(begin, begin.type(n))
            made.append(
                builder.load(address_in(context, builder, signature.args[0], source, index))
            )
        return cgutils.pack_array(builder, made)

    return rows(array, types.intp), code


@intrinsic
def plus(typing, rows, array, starts, at, factors):  # noqa: ARG001
    """rows[n] + array[starts[n] + at] factors, each rounded once where the processor can."""

    def code(context, builder, signature, arguments):
        sums, source, begin, place, by = arguments
        kind, made = by.type, []
        for n in range(rows.count):
            index = builder.add(builder.extract_value(begin, n), place)
            number = builder.load(address_in(context, builder, signature.args[1], source, index))
            spread = everywhere(builder, number, kind)
            terms = [spread, by, builder.extract_value(sums, n)]
            made.append(builder.call(multiply_add(builder, kind), terms))
        return cgutils.pack_array(builder, made)

    return rows(rows, array, starts, at, factors), code


@intrinsic(prefer_literal=True)
def spread(typing, array, at, size):  # noqa: ARG001
    """ROWS + 2 rows, each full of one number of an ``array``, from ``at`` on."""
    lanes = Lanes(array.dtype, size.literal_value)
    rows = types.UniTuple(lanes, ROWS + 2)

    def code(context, builder, signature, arguments):
        kind, made = context.data_model_manager[lanes].get_value_type(), []
        first = address_in(context, builder, signature.args[0], *arguments[:2])
        for n in range(ROWS + 2):
            number = builder.load(builder.gep(first, [arguments[1].type(n)]))
            made.append(everywhere(builder, number, kind))
        return cgutils.pack_array(builder, made)

    return rows(array, types.intp, size), code


@intrinsic(prefer_literal=True)
def plus_spread(typing, rows, numbers, first, factors):  # noqa: ARG001
    """rows[n] + numbers[n + first] factors, each rounded once where the processor can."""

    def code(context, builder, signature, arguments):  # noqa: ARG001
        sums, of, _, by = arguments
        add, made = multiply_add(builder, by.type), []
        for n in range(rows.count):
            number = builder.extract_value(of, n + first.literal_value)
            made.append(builder.call(add, [number, by, builder.extract_value(sums, n)]))
        return cgutils.pack_array(builder, made)

    return rows(rows, numbers, first, factors), code


@intrinsic(prefer_literal=True)
def plus_windows(typing, rows, array, starts, at, w, from_, width, size):  # noqa: ARG001
    """ROWS steps of rows[3 n + k] + array[starts[n] + at + step + k] w[step], k = 0, 1, 2.

    Rows of ``w`` are ``width`` apart. A number of the ``array`` is loaded once for three steps.
    """
    lanes = Lanes(array.dtype, size.literal_value)

    def code(context, builder, signature, arguments):
        sums, source, begins, place, factors, begin, pitch, _ = arguments
        kind = context.data_model_manager[lanes].get_value_type()
        add = multiply_add(builder, kind)
        made = [builder.extract_value(sums, n) for n in range(rows.count)]
        firsts = []
        for n in range(starts.count):
            index = builder.add(builder.extract_value(begins, n), place)
            firsts.append(address_in(context, builder, signature.args[1], source, index))

        def number(n, k):
            return everywhere(builder, builder.load(builder.gep(firsts[n], [place.type(k)])), kind)

        windows = [[number(n, 0), number(n, 1)] for n in range(starts.count)]
        for m in range(ROWS):
            index = builder.add(begin, builder.mul(pitch, pitch.type(m)))
            where = address_in(context, builder, signature.args[4], factors, index)
            where = builder.bitcast(where, kind.as_pointer())
            by = builder.load(where, align=array.dtype.bitwidth // 8)
            for n, window in enumerate(windows):
                window.append(number(n, m + 2))
                for k in range(3):
                    made[3 * n + k] = builder.call(add, [window[k], by, made[3 * n + k]])
                window.pop(0)
        return cgutils.pack_array(builder, made)

    return rows(rows, array, starts, types.intp, w, types.intp, types.intp, size), code


@intrinsic
def store_rows(typing, array, at, apart, count, rows):  # noqa: ARG001
    """As :func:`.lanes.store`, of the first ``count`` of the rows, which are ``apart``."""

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
            factor = everywhere(builder, less, row.type)
            after = builder.call(multiply_add(builder, row.type), [factor, row, before])
            builder.store(after, place, align=align)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp, rows, array.dtype), code


def _rows_in(
    builder: ir.IRBuilder, context: object, kind: types.Array, array, at, apart, count, rows
) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Where each row lies, and the row: what is done with it is done for the first ``count``."""
    for n in range(rows.type.count):
        with builder.if_then(builder.icmp_signed(">", count, count.type(n))):
            index = builder.add(at, builder.mul(apart, apart.type(n)))
            row = builder.extract_value(rows, n)
            place = address_in(context, builder, kind, array, index)
            yield builder.bitcast(place, row.type.as_pointer()), row


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
