"""Vectors of 16 float32 for code that numba compiles: which numbers are added up in which order is written, not chosen
by a compiler.

An array of bfloat16 is seen as uint16: `load` widens it, and `store` rounds to nearest even, as torch does. On a
processor with narrower registers LLVM takes several for a vector. Python itself cannot call these functions.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 16
"""Numbers in a vector."""

_FLOAT, _HALF, _WORD, _FLAG = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(1)
_BYTE, _INDEX = ir.IntType(8), ir.IntType(64)
_TWO = (types.intp, types.intp)
_ARRAYS_OF_A_TILE = (0, 3, 6)
"""Of its arguments."""
_FLOATS, _HALVES, _WORDS, _FLAGS = (ir.VectorType(one, LANES) for one in (_FLOAT, _HALF, _WORD, _FLAG))
_NAN = 0x7FC0
"""In bfloat16."""
_MAGIC = 12582912.0
"""1.5 * 2^23: a sum with it holds the nearest whole number in its last bits."""
_LOWEST, _HIGHEST = -87.0, 88.0
"""e to these is a normal float32."""
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.44269504, 0.693359375, -2.12194440e-4
_EXP_TERMS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Of Cephes's expf, from the highest power to the square: within 2e-7 of e^x, relatively."""


_COARSE_LOWEST = -87.3365
_COARSE_TERMS = (-0.079204240219773236, -0.22433836478672356, 0.30354260500649682, 0.00010703434948458272)
"""What 2^x - 1 falls short of x in [0, 1), from the cube to the constant: Malossi and others, 2015, as torch has it."""


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Vector16")


VECTOR = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@intrinsic
def zeros(typing: Any) -> Any:
    """A vector of zeros."""
    return VECTOR(), lambda context, builder, signature, arguments: _filled(_FLOATS, 0.0)


@intrinsic
def filled(typing: Any, number: Any) -> Any:
    """16 times a float32."""
    return VECTOR(types.float32), lambda context, builder, signature, arguments: _spread(builder, arguments[0])


@intrinsic
def spread(typing: Any, array: Any, index: Any) -> Any:
    """16 times the number at an index of a flat array of float32."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return _spread(builder, builder.load(builder.gep(data, [arguments[1]])))

    return VECTOR(array, types.intp), emit


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """16 numbers of a flat array of float32, or of bfloat16 seen as uint16."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature, arguments)
        return _widened(builder, builder.load(pointer, align=array.dtype.bitwidth // 8))

    return VECTOR(array, types.intp), emit


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write 16 numbers, rounded if the array is bfloat16."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[2] if array.dtype == types.float32 else _narrowed(builder, arguments[2])
        pointer = _pointer(context, builder, signature, arguments)
        builder.store(value, pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), emit


@intrinsic
def rounded(typing: Any, vector: Any, array: Any) -> Any:
    """As it would be read from the array if it were stored there."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if array.dtype == types.float32:
            return arguments[0]
        return _widened(builder, _narrowed(builder, arguments[0]))

    return VECTOR(VECTOR, array), emit


@intrinsic
def put(typing: Any, array: Any, index: Any, number: Any) -> Any:
    """Write one float32, which `rounded` gave for this array."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = arguments[2]
        if array.dtype != types.float32:
            value = builder.trunc(builder.lshr(builder.bitcast(value, _WORD), ir.Constant(_WORD, 16)), _HALF)
        data = context.make_array(array)(context, builder, arguments[0]).data
        builder.store(value, builder.gep(data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float32), emit


@intrinsic
def fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor can."""
    return VECTOR(VECTOR, VECTOR, VECTOR), lambda context, builder, signature, arguments: _fused(builder, *arguments)


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return VECTOR(VECTOR, VECTOR), lambda context, builder, signature, arguments: builder.fadd(*arguments)


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a * b."""
    return VECTOR(VECTOR, VECTOR), lambda context, builder, signature, arguments: builder.fmul(*arguments)


@intrinsic
def over(typing: Any, a: Any, b: Any) -> Any:
    """a / b."""
    return VECTOR(VECTOR, VECTOR), lambda context, builder, signature, arguments: builder.fdiv(*arguments)


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger of each two; b where one is NaN."""
    return VECTOR(VECTOR, VECTOR), lambda context, builder, signature, arguments: _larger(builder, *arguments)


@intrinsic
def unless_below(typing: Any, vector: Any, measure: Any, limit: Any) -> Any:
    """The vector, but 0 where its measure is below a limit; where that is NaN, the vector."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, measure, limit = arguments
        below = builder.fcmp_ordered("<", measure, _spread(builder, limit))
        return builder.select(below, _filled(_FLOATS, 0.0), vector)

    return VECTOR(VECTOR, VECTOR, types.float32), emit


@intrinsic
def first_lanes(typing: Any, vector: Any, count: Any, other: Any) -> Any:
    """So many lanes of a vector, and a float32 in the others."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        last = builder.trunc(arguments[1], _WORD)
        inside = builder.icmp_signed("<", ir.Constant(_WORDS, list(range(LANES))), _spread(builder, last))
        return builder.select(inside, arguments[0], _spread(builder, arguments[2]))

    return VECTOR(VECTOR, types.intp, types.float32), emit


@intrinsic
def evens(typing: Any, a: Any, b: Any) -> Any:
    """Lanes 0, 2, 4 ... of a and then of b."""
    return _picked(range(0, 2 * LANES, 2))


@intrinsic
def odds(typing: Any, a: Any, b: Any) -> Any:
    """Lanes 1, 3, 5 ... of a and then of b."""
    return _picked(range(1, 2 * LANES, 2))


@intrinsic
def low_pairs(typing: Any, a: Any, b: Any) -> Any:
    """a0, b0, a1, b1 ... a7, b7: with `high_pairs` it undoes `evens` and `odds`."""
    return _picked([lane + side for lane in range(LANES // 2) for side in (0, LANES)])


@intrinsic
def high_pairs(typing: Any, a: Any, b: Any) -> Any:
    """a8, b8, a9, b9 ... a15, b15."""
    return _picked([lane + side for lane in range(LANES // 2, LANES) for side in (0, LANES)])


@intrinsic
def total(typing: Any, vector: Any) -> Any:
    """The sum of the lanes, in pairs."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _folded(builder, arguments[0], lambda a, b: builder.fadd(a, b))

    return types.float32(VECTOR), emit


@intrinsic
def largest(typing: Any, vector: Any) -> Any:
    """The largest lane."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _folded(builder, arguments[0], lambda a, b: _larger(builder, a, b))

    return types.float32(VECTOR), emit


@intrinsic
def exp(typing: Any, vector: Any) -> Any:
    """e to each number, which is kept between -87 and 88; NaN stays NaN."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x = _larger(builder, _filled(_FLOATS, _LOWEST), arguments[0])
        x = builder.select(builder.fcmp_ordered(">", x, _filled(_FLOATS, _HIGHEST)), _filled(_FLOATS, _HIGHEST), x)
        magic = _filled(_FLOATS, _MAGIC)
        marked = _fused(builder, x, _filled(_FLOATS, _LOG2_E), magic)
        power = builder.fsub(marked, magic)
        rest = _fused(builder, power, _filled(_FLOATS, -_LN2_HIGH), x)
        rest = _fused(builder, power, _filled(_FLOATS, -_LN2_LOW), rest)
        series = _filled(_FLOATS, _EXP_TERMS[0])
        for term in _EXP_TERMS[1:]:
            series = _fused(builder, series, rest, _filled(_FLOATS, term))
        series = _fused(builder, builder.fmul(series, rest), rest, builder.fadd(rest, _filled(_FLOATS, 1.0)))
        exponent = builder.shl(builder.bitcast(marked, _WORDS), _filled(_WORDS, 23))
        scaled = builder.bitcast(builder.add(builder.bitcast(series, _WORDS), exponent), _FLOATS)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, scaled)

    return VECTOR(VECTOR), emit


@intrinsic
def coarse_exp(typing: Any, vector: Any) -> Any:
    """e to each number up to 88, within 2e-4, as torch's attention in 16 bits takes it with AVX2 or AVX-512."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (x,) = arguments
        power = builder.fmul(x, _filled(_FLOATS, _LOG2_E))
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_FLOATS, (_FLOATS,)), "llvm.floor.v16f32"
        )
        inside = builder.fsub(power, builder.call(floor, (power,)))
        short = _filled(_FLOATS, _COARSE_TERMS[0])
        for term in _COARSE_TERMS[1:]:
            short = _fused(builder, inside, short, _filled(_FLOATS, term))
        bits = _fused(builder, _filled(_FLOATS, 2.0**23), builder.fsub(power, short), _filled(_FLOATS, 127 * 2.0**23))
        made = builder.bitcast(builder.fptosi(bits, _WORDS), _FLOATS)
        low = builder.fcmp_ordered("<", x, _filled(_FLOATS, _COARSE_LOWEST))
        made = builder.select(low, _filled(_FLOATS, 0.0), made)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, made)

    return VECTOR(VECTOR), emit


def tile_of(rows: int) -> Any:
    """A function of a tile of a matrix product, so many rows and 32 columns, in registers from first to last product.

    Its numbers are sums of products in their order, each rounded once where the processor can, so they have the same
    bits in a tile of any height. 12 rows take 24 of the 32 registers of AVX-512.
    """

    @intrinsic
    def tile(
        typing: Any, out: Any, to: Any, outputs: Any, left: Any, a: Any, inputs: Any,
        right: Any, b: Any, next_right: Any, step: Any,
    ) -> Any:  # fmt: skip
        """Arrays are flat float32. left: rows of `inputs` numbers, from a on. right: `inputs` rows of 32, from b on.
        out: rows of `outputs`, from `to` on. Meanwhile what comes next in `right` is prefetched, from `next_right`
        on, `step` numbers further with each product."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kinds = signature.args
            data = [context.make_array(kinds[at])(context, builder, arguments[at]).data for at in _ARRAYS_OF_A_TILE]
            _emit_tile(builder, rows, *data, *(arguments[at] for at in (1, 2, 4, 5, 7, 8, 9)))
            return context.get_dummy_value()

        return types.void(out, *_TWO, left, *_TWO, right, *_TWO, types.intp), emit

    return tile


def _emit_tile(
    builder: Any, rows: int, out: Any, left: Any, right: Any,
    to: Any, outputs: Any, a: Any, inputs: Any, b: Any, next_right: Any, step: Any,
) -> None:  # fmt: skip
    sums = [[cgutils.alloca_once_value(builder, _filled(_FLOATS, 0.0)) for _ in range(2)] for _ in range(rows)]
    firsts = [builder.gep(left, [_further(builder, a, row, inputs)]) for row in range(rows)]
    with cgutils.for_range(builder, inputs, intp=_INDEX) as loop:
        at = _further(builder, b, 2 * LANES, loop.index)
        weights = [_loaded(builder, right, builder.add(at, _number(lane))) for lane in (0, LANES)]
        _prefetch(builder, builder.gep(right, [builder.add(next_right, builder.mul(loop.index, step))]))
        for row, first in zip(sums, firsts, strict=True):
            factor = _spread(builder, builder.load(builder.gep(first, [loop.index])))
            for one, weight in zip(row, weights, strict=True):
                builder.store(_fused(builder, factor, weight, builder.load(one)), one)
    for number, row in enumerate(sums):
        at = _further(builder, to, number, outputs)
        for one, lane in zip(row, (0, LANES), strict=True):
            place = builder.gep(out, [builder.add(at, _number(lane))])
            builder.store(builder.load(one), builder.bitcast(place, _FLOATS.as_pointer()), align=4)


@intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """Fetch the cache line of this number into L2."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        _prefetch(builder, builder.gep(data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp), emit


def _prefetch(builder: Any, pointer: Any) -> None:
    byte = _BYTE.as_pointer()
    signature = ir.FunctionType(ir.VoidType(), (byte, _WORD, _WORD, _WORD))
    prefetch = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    to_read, into_l2, data = (ir.Constant(_WORD, number) for number in (0, 2, 1))
    builder.call(prefetch, (builder.bitcast(pointer, byte), to_read, into_l2, data))


def _number(value: int) -> ir.Constant:
    return ir.Constant(_INDEX, value)


def _further(builder: Any, first: Any, count: int, size: Any) -> Any:
    """first + count * size."""
    return builder.add(first, builder.mul(_number(count), size))


def _loaded(builder: Any, data: Any, index: Any) -> Any:
    return builder.load(builder.bitcast(builder.gep(data, [index]), _FLOATS.as_pointer()), align=4)


def _picked(lanes: Iterable[int]) -> Any:
    """Of two vectors that stand one after the other."""
    places = ir.Constant(_WORDS, list(lanes))
    return VECTOR(VECTOR, VECTOR), lambda context, builder, signature, arguments: builder.shuffle_vector(
        *arguments, places
    )


def _filled(kind: ir.VectorType, value: float) -> ir.Constant:
    return ir.Constant(kind, [value] * LANES)


def _spread(builder: Any, number: Any) -> Any:
    kind = ir.VectorType(number.type, LANES)
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), _filled(_WORDS, 0))


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """To a vector at an index of a flat array, the first two arguments."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    kind = _FLOATS if signature.args[0].dtype == types.float32 else _HALVES
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), kind.as_pointer())


def _widened(builder: Any, vector: Any) -> Any:
    if vector.type == _FLOATS:
        return vector
    return builder.bitcast(builder.shl(builder.zext(vector, _WORDS), _filled(_WORDS, 16)), _FLOATS)


def _narrowed(builder: Any, vector: Any) -> Any:
    """To bfloat16, the nearest, of two the even one."""
    bits = builder.bitcast(vector, _WORDS)
    odd = builder.and_(builder.lshr(bits, _filled(_WORDS, 16)), _filled(_WORDS, 1))
    bits = builder.lshr(builder.add(builder.add(bits, odd), _filled(_WORDS, 0x7FFF)), _filled(_WORDS, 16))
    return builder.trunc(
        builder.select(builder.fcmp_unordered("uno", vector, vector), _filled(_WORDS, _NAN), bits), _HALVES
    )


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    signature = ir.FunctionType(_FLOATS, (_FLOATS,) * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, "llvm.fmuladd.v16f32"), (a, b, c))


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _folded(builder: Any, vector: Any, combine: Any) -> Any:
    """Halves combined until one number is left."""
    width = LANES
    while width > 1:
        width //= 2
        nothing = ir.Constant(vector.type, ir.Undefined)
        halves = [
            builder.shuffle_vector(
                vector, nothing, ir.Constant(ir.VectorType(_WORD, width), list(range(at, at + width)))
            )
            for at in (0, width)
        ]
        vector = combine(*halves)
    return builder.extract_element(vector, ir.Constant(_WORD, 0))
