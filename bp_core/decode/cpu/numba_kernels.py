"""The products and the decode step of packed networks, compiled by numba for this processor.

Imported only where numba is installed (see `numba_layers`). Weights lie in tiles of 4 outputs by
16 or 32 inputs, one tile row after another, so that a product reads memory in one stream, which is
what a processor fetches ahead of; four streams, a row each, reach half of that. What an output's
sum is made of, and in which order, is the same however many rows there are: a candidate does not
depend on its neighbours.

`linear` and `advance` may be run by several threads at once, all with the same arguments: they
share out the work in chunks, so a thread that the system takes away delays one chunk, and one that
comes late finds nothing left to do. Arguments named as addresses are numbers: arrays of arrays, or
of types that numba lacks, would cost more to pass than a small step takes.

All of it is one file, longer than others: numba renews what it keeps of a function when the
function's own file changes, and not when that of something it calls does.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import math
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import __version__ as _version
from numba import njit, types
from numba.core import config
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

# What numba keeps on the disk names the module it comes from and imports that by its name, and
# hosts import us under names of their own.
_own, __name__ = sys.modules[__name__], "beautifulprompt_kernels"
sys.modules.setdefault(__name__, _own)

OUTPUTS = 16  # whole tiles of any kind
STAGES = 5  # of a layer, between which threads wait for each other

# What numba compiles for, which its settings may keep below what the processor has.
_asked = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
_features = {name[1:] for name in _asked.split(",") if name.startswith("+")}
_wide, _avx2 = "avx512bw" in _features, "avx2" in _features
_LANES = 16 if _wide else 8  # numbers of a sum that are added up at once
_ROWS = 8  # rows of activations that one tile is multiplied with before the next is read
# Products of 16-bit integers, added in pairs; None to multiply 8-bit weights as float32.
_PAIRS = "llvm.x86.avx512.pmaddw.d.512" if _wide else "llvm.x86.avx2.pmadd.wd" if _avx2 else None
# Activations of this size times 8-bit weights, of so many inputs shared by two lanes, fit sums of
# 32 bits.
_LARGEST, _CHUNK = 32767, 1024

# What follows a product. Of a type that numba does not compile anew for each number.
_NOTHING, _ADD, _GELU, _SWIGLU = np.arange(4)

_AHEAD = 3  # as `recall` has it
_SCANNED = 64  # logits that are looked at together

# Activations that stay in the second cache while weights pass by.
_BLOCK = 65536
# How far ahead weights are asked for: reading them takes longer than multiplying with some.
_BYTES_AHEAD = 8192
_SPINS = 2000  # looks at a counter before other threads of this core get their turn

_FLOAT, _INDEX, _LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)
_FASTER = {"nsz", "arcp", "contract", "reassoc"}  # sums may be reordered; inf and NaN stay

if sys.platform == "win32":
    _yield = ctypes.windll.kernel32.SwitchToThread
else:
    _yield = ctypes.CDLL(None).sched_yield
llvm.add_symbol("beautifulprompt_yield", ctypes.cast(_yield, ctypes.c_void_p).value)
_let_others = types.ExternalFunction("beautifulprompt_yield", types.int32())


@intrinsic
def _dot(typing, kind, weight, output, x, factors, rows, width, scale, bias, y, size):
    """Multiply the tiles of some outputs with some rows of activations.

    kind is HALF or INT8, output the first of a tile, rows 1 to the most of `ROWS`, width and size
    the inputs and outputs of a row; the others are addresses: of W in tiles, of activations as
    `_inputs` leaves them and each row's factor, of each output's scale and bias, and of y, of which
    y[:rows, output : output + OUTPUTS] is written, as many as a tile has.
    """
    arguments = kind, weight, output, x, factors, rows, width, scale, bias, y, size

    def generate(context, builder, signature, args):
        builder.call(_tile_function(builder.module, _tile_of(kind)), args[1:])
        return context.get_dummy_value()

    return types.void(*arguments), generate


@intrinsic
def _shape(typing, kind):
    """Of weights of a kind, the outputs of a tile and the rows that are multiplied at once."""
    result = types.UniTuple(types.int64, 2)

    def generate(context, builder, signature, args):
        tile = _tile_of(kind)
        return context.make_tuple(builder, result, [_INDEX(tile.outputs), _INDEX(tile.rows)])

    return result(kind), generate


def _tile_of(kind):
    """What multiplies weights of a kind."""
    if kind != types.int8:
        return _HalfTile
    return _Int8AsFloatTile if _PAIRS is None else _Int8Tile


def _tile_function(module: ir.Module, tile) -> ir.Function:
    """What `_dot` does, as a function that is compiled once, not wherever it is called."""
    name = f"beautifulprompt{tile.__name__}"
    if name in module.globals:
        return module.globals[name]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INDEX] * 10), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    builder = ir.IRBuilder(function.append_basic_block())
    cases = [function.append_basic_block() for _ in range(tile.rows)]
    switch = builder.switch(function.args[4], cases[-1])
    for rows, case in enumerate(cases[:-1], 1):
        switch.add_case(_INDEX(rows), case)
    for rows, case in enumerate(cases, 1):
        builder.position_at_end(case)
        _multiply_rows(builder, tile, rows, *function.args)
        builder.ret_void()
    return function


def _multiply_rows(
    builder: ir.IRBuilder, tile, rows: int, weight, output, x, factors, _, width, scale, bias, y,
    size,
) -> None:  # fmt: skip
    """`_dot` for so many rows."""
    start = builder.mul(output, width)
    weight = builder.gep(builder.inttoptr(weight, tile.weight.as_pointer()), [start])
    x = builder.inttoptr(x, tile.activation.as_pointer())
    y, scale, bias, factors = _floats(builder, y, scale, bias, factors)
    apart = _INDEX(tile.inputs) if tile.woven else width
    places = [builder.gep(x, [builder.mul(apart, _INDEX(r))]) for r in range(rows)]
    sums = _sums(builder, tile, weight, places, width)
    kind = ir.VectorType(_FLOAT, tile.outputs)
    scale, bias = (_load(builder, each, output, kind, 4) for each in (scale, bias))
    each = len(sums) // rows
    for row in range(rows):
        total = _sum_lanes(builder, sums[row * each : (row + 1) * each], tile.lanes())
        factor = _spread(builder, builder.gep(factors, [_INDEX(row)]), kind)
        total = builder.fmul(total, builder.fmul(scale, factor))
        total = builder.fadd(total, bias)
        place = builder.add(builder.mul(size, _INDEX(row)), output)
        place = builder.bitcast(builder.gep(y, [place]), kind.as_pointer())
        builder.store(total, place).align = 4


class _HalfTile:
    """float16 weights times float32 activations."""

    outputs, inputs = 4, 16  # of a tile
    rows = 4 if _wide else 2  # that are multiplied at once: all their sums stay in registers
    chunk = 2**40  # inputs that one sum has room for
    woven = False  # whether a tile's activations of all rows lie side by side
    numbers = _LANES  # of a vector of weights or activations
    weight, activation = ir.HalfType(), _FLOAT
    sum = ir.VectorType(_FLOAT, _LANES)

    @classmethod
    def bytes(cls) -> int:
        return cls.outputs * cls.inputs * (2 if cls.weight == ir.HalfType() else 1)

    @classmethod
    def lanes(cls) -> int:
        """How many lanes of a sum are one output's."""
        return _LANES * min(cls.inputs, cls.numbers) // cls.numbers

    @classmethod
    def weights(cls, builder, place) -> list:
        """A tile's weights, in vectors, as wide as the activations."""
        stored = ir.VectorType(cls.weight, cls.numbers)
        parts = range(0, cls.outputs * cls.inputs, cls.numbers)
        return [cls.widen(builder, _load(builder, place, _INDEX(p), stored, 1)) for p in parts]

    @classmethod
    def activations(cls, builder, place, at) -> list:
        """One row's activations from `at` on, as many as a tile has inputs, in vectors; for each
        output of a vector again."""
        numbers = min(cls.inputs, cls.numbers)
        kind = ir.VectorType(cls.activation, numbers)
        parts = range(0, cls.inputs, numbers)
        vectors = [_load(builder, place, builder.add(at, _INDEX(p)), kind, 2) for p in parts]
        lanes = _mask(list(range(numbers)) * (cls.numbers // numbers))
        return [builder.shuffle_vector(each, each, lanes) for each in vectors]

    @classmethod
    def widen(cls, builder, stored):
        return builder.fpext(stored, ir.VectorType(_FLOAT, cls.numbers))

    @classmethod
    def add(cls, builder, total, weights, activations):
        return _multiply_add(builder, weights, activations, total)

    @classmethod
    def floats(cls, builder, total):
        """A sum as float32."""
        return total


class _Int8AsFloatTile(_HalfTile):
    """8-bit weights times float32 activations, where we know of no integer products."""

    outputs, inputs = 8, 4
    weight = ir.IntType(8)

    @classmethod
    def widen(cls, builder, stored):
        return builder.sitofp(stored, ir.VectorType(_FLOAT, cls.numbers))


class _Int8Tile(_HalfTile):
    """8-bit weights times 16-bit activations, in integers: twice as fast as float32, and exact."""

    outputs, inputs = _LANES, 4
    rows = 8 if _wide else 4
    chunk, woven = _CHUNK, True
    numbers = 2 * _LANES
    weight, activation = ir.IntType(8), ir.IntType(16)
    sum = ir.VectorType(ir.IntType(32), _LANES)

    @classmethod
    def widen(cls, builder, stored):
        return builder.sext(stored, ir.VectorType(cls.activation, cls.numbers))

    @classmethod
    def add(cls, builder, total, weights, activations):
        kind = ir.FunctionType(cls.sum, [weights.type, activations.type])
        pairs = builder.module.globals.get(_PAIRS) or ir.Function(builder.module, kind, _PAIRS)
        # Where the processor adds these in the same instruction, LLVM makes it one.
        return builder.add(total, builder.call(pairs, [weights, activations]))

    @classmethod
    def floats(cls, builder, total):
        return builder.sitofp(total, ir.VectorType(_FLOAT, _LANES))


def _sums(builder: ir.IRBuilder, tile, weight, places: list, width) -> list:
    """The products of a row of tiles; of each row of activations the vectors of its sums."""
    # Vectors of weights that share a sum, because an output has more inputs than one holds.
    shared = max(1, tile.inputs // tile.numbers)
    vectors = tile.outputs * tile.inputs // tile.numbers // shared
    count = len(places) * vectors

    def multiply(at, totals):
        first = builder.gep(weight, [builder.mul(at, _INDEX(tile.outputs))])
        _fetch_ahead(builder, first, tile.bytes())
        weights = tile.weights(builder, first)
        reached = builder.mul(at, _INDEX(len(places))) if tile.woven else at
        added = []
        for row, place in enumerate(places):
            activations = tile.activations(builder, place, reached)
            for i in range(vectors):
                total = totals[row * vectors + i]
                some = weights[i * shared : (i + 1) * shared]
                for one, other in zip(some, activations, strict=True):
                    total = tile.add(builder, total, one, other)
                added.append(total)
        return added

    def chunk(start, totals):
        end = builder.add(start, _INDEX(tile.chunk))
        end = builder.select(builder.icmp_signed("<", end, width), end, width)
        nothing = [ir.Constant(tile.sum, None)] * count
        parts = _loop(builder, start, end, tile.inputs, nothing, multiply)
        return [
            builder.fadd(total, tile.floats(builder, part))
            for total, part in zip(totals, parts, strict=True)
        ]

    nothing = [ir.Constant(ir.VectorType(_FLOAT, _LANES), None)] * count
    return _loop(builder, _INDEX(0), width, tile.chunk, nothing, chunk)


def _loop(builder: ir.IRBuilder, first, end, step: int, start: list, body) -> list:
    """`values = body(at, values)` for at = first, first + step, … before end, at least once."""
    before, loop = builder.block, builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    at = builder.phi(_INDEX)
    values = [builder.phi(each.type) for each in start]
    results = body(at, values)
    following = builder.add(at, _INDEX(step))
    last, after = builder.block, builder.append_basic_block()  # the body may have had its own loop
    for phi, one, other in zip([at, *values], [first, *start], [following, *results], strict=True):
        phi.add_incoming(one, before)
        phi.add_incoming(other, last)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
    builder.position_at_end(after)
    return results


def _multiply_add(builder: ir.IRBuilder, one, other, total):
    product = builder.fmul(one, other, flags=("contract",))
    return builder.fadd(total, product, flags=("contract",))


def _fetch_ahead(builder: ir.IRBuilder, place, size: int) -> None:
    """Ask for as many bytes that come some time after a place, and may be in no cache yet."""
    address = builder.bitcast(place, ir.IntType(8).as_pointer())
    name = "llvm.prefetch.p0"
    kind = ir.FunctionType(ir.VoidType(), [address.type, _LANE, _LANE, _LANE])
    prefetch = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    for line in range(0, size, 64):
        line = builder.gep(address, [_INDEX(_BYTES_AHEAD + line)])
        builder.call(prefetch, [line, _LANE(0), _LANE(2), _LANE(1)])


def _floats(builder: ir.IRBuilder, *addresses) -> list:
    return [builder.inttoptr(address, _FLOAT.as_pointer()) for address in addresses]


def _spread(builder: ir.IRBuilder, place, kind):
    """A vector of one number."""
    number = builder.load(place)
    vector = builder.insert_element(ir.Constant(kind, ir.Undefined), number, _LANE(0))
    return builder.shuffle_vector(vector, vector, _mask([0] * kind.count))


def _load(builder: ir.IRBuilder, start, index, kind, align: int):
    loaded = builder.load(builder.bitcast(builder.gep(start, [index]), kind.as_pointer()))
    loaded.align = align
    return loaded


def _mask(lanes: list[int]):
    return ir.Constant(ir.VectorType(_LANE, len(lanes)), lanes)


def _sum_lanes(builder: ir.IRBuilder, vectors: list, lanes: int):
    """One vector of the sums of each `lanes` lanes, of one, two, four … vectors one after another:
    halves are added to halves."""
    while lanes > 1:
        lanes //= 2
        joined = []
        for i in range(0, len(vectors), 2):
            first, second = vectors[i], vectors[min(i + 1, len(vectors) - 1)]
            length = first.type.count + (second.type.count if len(vectors) > 1 else 0)
            low = [j for j in range(length) if j // lanes % 2 == 0]
            high = [j + lanes for j in low]
            halves = [builder.shuffle_vector(first, second, _mask(half)) for half in (low, high)]
            joined.append(builder.fadd(*halves))
        vectors = joined
    [total] = vectors
    return total


# Weights' kinds, as `linear` and `advance` take them: of the weights' type (float16 stands as
# uint16), 1 where products are of integers.
HALF, INT8 = np.uint16(0), np.int8(_PAIRS is not None)
_tiles = {kind.dtype: _tile_of(of) for kind, of in ((HALF, types.uint16), (INT8, types.int8))}
TILES = {kind: (tile.outputs, tile.inputs) for kind, tile in _tiles.items()}


def _inner(count: int):
    """An intrinsic of `count` inner products of a vector of `width` numbers, a multiple of 16, with
    vectors that stand `step` numbers apart. All but step and width are addresses of float32."""
    lanes, result = ir.VectorType(_FLOAT, _LANES), ir.VectorType(_FLOAT, count)

    @intrinsic
    def inner(typing, one, others, step, width, out):
        def generate(context, builder, signature, args):
            one, others, step, width, out = args
            one, others, out = _floats(builder, one, others, out)
            others = [builder.gep(others, [builder.mul(step, _INDEX(i))]) for i in range(count)]

            def multiply(at, totals):
                part = _load(builder, one, at, lanes, 4)
                return [
                    _multiply_add(builder, part, _load(builder, other, at, lanes, 4), total)
                    for other, total in zip(others, totals, strict=True)
                ]

            nothing = [ir.Constant(lanes, None)] * count
            totals = _loop(builder, _INDEX(0), width, _LANES, nothing, multiply)
            total = _sum_lanes(builder, totals, _LANES)
            builder.store(total, builder.bitcast(out, result.as_pointer())).align = 4
            return context.get_dummy_value()

        return types.void(one, others, step, width, out), generate

    return inner


def _mix(parts: int):
    """An intrinsic: 16 `parts` numbers of `out` are the sum of `count` vectors, `step` numbers
    apart, each times its share. All but step and count are addresses of float32."""
    lanes = ir.VectorType(_FLOAT, 16)

    @intrinsic
    def mix(typing, shares, vectors, step, count, out):
        def generate(context, builder, signature, args):
            shares, vectors, step, count, out = args
            shares, vectors, out = _floats(builder, shares, vectors, out)

            def add(at, totals):
                share = _spread(builder, builder.gep(shares, [at]), lanes)
                vector = builder.gep(vectors, [builder.mul(at, step)])
                return [
                    _multiply_add(
                        builder, share, _load(builder, vector, _INDEX(16 * i), lanes, 4), total
                    )
                    for i, total in enumerate(totals)
                ]

            nothing = [ir.Constant(lanes, None)] * parts
            for i, total in enumerate(_loop(builder, _INDEX(0), count, 1, nothing, add)):
                place = builder.gep(out, [_INDEX(16 * i)])
                builder.store(total, builder.bitcast(place, lanes.as_pointer())).align = 4
            return context.get_dummy_value()

        return types.void(shares, vectors, step, count, out), generate

    return mix


_inner_1, _inner_4 = _inner(1), _inner(4)
_mix_1, _mix_4 = _mix(1), _mix(4)


@intrinsic
def _claim(typing, counters, index):
    """Add one to a counter that threads share; what it was before."""

    def generate(context, builder, signature, args):
        place = _element(context, builder, signature, args)
        return builder.atomic_rmw("add", place, _INDEX(1), "seq_cst")

    return types.int64(counters, index), generate


@intrinsic
def _look(typing, counters, index):
    """A counter that threads share, and all that they wrote before they raised it."""

    def generate(context, builder, signature, args):
        place = _element(context, builder, signature, args)
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(counters, index), generate


def _element(context, builder, signature, args):
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


@intrinsic
def _as_float(typing, bits):
    """The float32 of an int32's bits."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], _FLOAT)

    return types.float32(types.int32), generate


_CONTENT = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _compiled(function):
    """Compiled at the first call, and kept on the disk for the next process."""
    dispatcher = njit(nogil=True, cache=True, fastmath=_FASTER, error_model="numpy")(function)
    # numba tells by this file's time and size whether what it keeps is of today. Copying the file
    # anew, as hosts' updates do, changes the one, and an edit need not change the other.
    with contextlib.suppress(AttributeError):
        dispatcher._cache._cache_file._source_stamp = _CONTENT
    return dispatcher


@_compiled
def _exp(x):
    """e to the x within 2e-7 of it, in operations that a loop can do for many at once (Cephes)."""
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    whole = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    x = x - whole * np.float32(0.693359375)
    x = x - whole * np.float32(-2.12194440e-4)
    y = np.float32(1.9875691500e-4)
    y = y * x + np.float32(1.3981999507e-3)
    y = y * x + np.float32(8.3334519073e-3)
    y = y * x + np.float32(4.1665795894e-2)
    y = y * x + np.float32(1.6666665459e-1)
    y = y * x + np.float32(5.0000001201e-1)
    y = y * x * x + x + np.float32(1.0)
    return y * _as_float((np.int32(whole) + np.int32(127)) << np.int32(23))


@_compiled
def _normalise(x, weight, bias, epsilon, out):
    """Layer norm of each row of x (n, hidden) into out."""
    n, hidden = x.shape
    for row in range(n):
        total = np.float32(0.0)
        for i in range(hidden):
            total += x[row, i]
        mean = total / np.float32(hidden)
        total = np.float32(0.0)
        for i in range(hidden):
            total += (x[row, i] - mean) * (x[row, i] - mean)
        factor = np.float32(1.0) / math.sqrt(total / np.float32(hidden) + np.float32(epsilon))
        for i in range(hidden):
            out[row, i] = (x[row, i] - mean) * factor * weight[i] + bias[i]


@_compiled
def _normalise_rms(x, weight, epsilon, out):
    """RMS norm of each row of x (n, hidden) into out."""
    n, hidden = x.shape
    for row in range(n):
        total = np.float32(0.0)
        for i in range(hidden):
            total += x[row, i] * x[row, i]
        factor = np.float32(1.0) / math.sqrt(total / np.float32(hidden) + np.float32(epsilon))
        for i in range(hidden):
            out[row, i] = x[row, i] * factor * weight[i]


@_compiled
def _norm(rms, x, weight, bias, epsilon, out):
    if rms:
        _normalise_rms(x, weight, epsilon, out)
    else:
        _normalise(x, weight, bias, epsilon, out)


@_compiled
def _inputs(kind, x, integers, factors):
    """Make x (n, inputs) ready for `_multiply`; the address of what is ready.

    Args:
        integers: (n + 1, inputs) int16, for products in integers. Four inputs of all rows that are
            multiplied at once lie side by side: eight streams would cost twice what one does.
        factors: (n,) float32, what the products are to be multiplied by.
    """
    n, width = x.shape
    if kind == 0:
        factors[:] = np.float32(1.0)
        return x.ctypes.data
    most = _shape(kind)[1]
    row_of, woven, fours = integers[n], integers.view(np.int64).reshape(-1), width // 4
    for row in range(n):
        # Numbers without their signs are in the order of their bits.
        bits = x[row].view(np.int32)
        most_bits = np.int32(0)
        for i in range(width):
            most_bits = max(most_bits, bits[i] & np.int32(0x7FFFFFFF))
        largest = max(_as_float(most_bits), np.float32(1e-12))
        factors[row] = largest / np.float32(_LARGEST)
        inverse = np.float32(_LARGEST) / largest
        for i in range(width):
            row_of[i] = np.int16(np.int32(np.rint(x[row, i] * inverse)))
        first = row // most * most
        together, at = min(most, n - first), first * fours + row - first
        quads = row_of.view(np.int64)
        for i in range(fours):
            woven[at + i * together] = quads[i]
    return integers.ctypes.data


@_compiled
def _multiply(kind, weight, scale, bias, x, width, factors, y, first, last):
    """y[:, first:last] = x Wᵀ scale + bias; first and last are multiples of OUTPUTS.

    Args:
        weight: address of W in tiles.
        x: address of what `_inputs` made ready of `width` inputs a row, and their factors.
    """
    n, size = y.shape
    bytes_of_x = 4 if kind == 0 else 2
    block = max(_ROWS, _BLOCK // width // _ROWS * _ROWS)
    to_scale, to_bias = scale.ctypes.data, bias.ctypes.data
    outputs, most = _shape(kind)
    for start in range(0, n, block):
        end = min(n, start + block)
        for output in range(first, last, outputs):
            for row in range(start, end, most):
                _dot(kind, weight, output, x + row * width * bytes_of_x,
                     factors.ctypes.data + row * 4, min(most, end - row), width, to_scale, to_bias,
                     y.ctypes.data + row * size * 4, size)  # fmt: skip


@_compiled
def _place(
    qkv, slot, which, head, dim, norms, epsilon, cos, sin, rows, lengths, keys, offset, of_row,
    of_head, of_values, of_token,
):  # fmt: skip
    """One head's queries, keys or values: normed, turned to their positions, put in the cache.

    Args:
        qkv: (n, slots dim); those of `slot` are changed.
        which: 0 for queries, 1 for keys, 2 for values.
        norms: (2, dim) weights of the RMS norms of queries and keys; (2, 0) for none.
        cos, sin: (n, dim / 2); (n, 0) for none.
        keys: the whole cache, flat; the layer's begin at `offset`.
    """
    first, half = slot * dim, cos.shape[1]
    for row in range(len(qkv)):
        part = qkv[row, first : first + dim]
        if which < 2 and norms.shape[1]:
            total = np.float32(0.0)
            for i in range(dim):
                total += part[i] * part[i]
            factor = np.float32(1.0) / math.sqrt(total / np.float32(dim) + np.float32(epsilon))
            for i in range(dim):
                part[i] = part[i] * factor * norms[which, i]
        if which < 2 and half:
            for i in range(half):
                one, other = part[i], part[half + i]
                part[i] = one * cos[row, i] - other * sin[row, i]
                part[half + i] = other * cos[row, i] + one * sin[row, i]
        if which:
            new = offset + rows[row] * of_row + head * of_head + (lengths[row] - 1) * of_token
            new += (which - 1) * of_values
            for i in range(dim):
                keys[new + i] = part[i]


@_compiled
def _attend(
    qkv, slot, rows, begins, lengths, head, dim, keys, offset, of_row, of_token, of_values, bias,
    out, scores,
):  # fmt: skip
    """One head: each token's query over the keys before it and its own.

    Args:
        qkv: (n, slots dim), with this head's queries in `slot`.
        rows, begins, lengths: (n,) each token's row in the cache, where that begins behind its
            padding, and the token's place plus one. A sum leaves padding out rather than add
            zeros, which would change the order of its parts.
        keys: the whole cache, flat; the keys of this head in row 0 begin at `offset`, its values
            `of_values` behind, the next row's `of_row`, the next token's `of_token`.
        bias: (1 or the cache's rows, 1 or n_head, longest).
        out: (n, n_head dim).
        scores: (longest,) to work in.
    """
    n = len(qkv)
    shrink = np.float32(1.0 / math.sqrt(dim))
    for row in range(n):
        begin = begins[row]
        length = lengths[row] - begin
        if length <= 0:  # padding
            out[row, head * dim : (head + 1) * dim] = np.float32(0.0)
            continue
        # ALiBi of the last token serves all: a query's softmax does not see what shifts all keys.
        shift = bias[rows[row] if len(bias) > 1 else 0, head if bias.shape[1] > 1 else 0]
        query = qkv.ctypes.data + (row * qkv.shape[1] + slot * dim) * 4
        key = keys.ctypes.data + (offset + rows[row] * of_row + begin * of_token) * 4
        to_scores, fours = scores.ctypes.data, length // 4 * 4
        for token in range(0, fours, 4):
            _inner_4(query, key + token * of_token * 4, of_token, dim, to_scores + token * 4)
        for token in range(fours, length):
            _inner_1(query, key + token * of_token * 4, of_token, dim, to_scores + token * 4)
        largest = np.float32(-np.inf)
        for token in range(length):
            scores[token] = scores[token] * shrink + shift[begin + token]
            largest = max(largest, scores[token])
        total = np.float32(0.0)
        for token in range(length):
            scores[token] = _exp(scores[token] - largest)
            total += scores[token]
        for token in range(length):
            scores[token] /= total
        value, target = key + of_values * 4, out.ctypes.data + (row * out.shape[1] + head * dim) * 4
        whole = dim // 64 * 64
        for i in range(0, whole, 64):
            _mix_4(to_scores, value + i * 4, of_token, length, target + i * 4)
        for i in range(whole, dim, 16):
            _mix_1(to_scores, value + i * 4, of_token, length, target + i * 4)


@_compiled
def _gelu(y, first, last):
    """The tanh approximation, in place: x sigmoid(2u), which is x (1 + tanh u) / 2."""
    for row in range(len(y)):
        part = y[row, first:last]
        for i in range(last - first):
            x = part[i]
            u = np.float32(0.79788456) * x * (np.float32(1.0) + np.float32(0.044715) * x * x)
            part[i] = x / (np.float32(1.0) + _exp(np.float32(-2.0) * u))


@_compiled
def _swiglu(y, inner, first, last, out):
    """out[:, first:last] = silu(gate) times what it gates, which stands `inner` behind it in y."""
    for row in range(len(y)):
        gate, gated = y[row, first:last], y[row, inner + first : inner + last]
        part = out[row, first:last]
        for i in range(last - first):
            part[i] = gate[i] / (np.float32(1.0) + _exp(-gate[i])) * gated[i]


@_compiled
def _wait(counters, stage, chunks):
    """Until all chunks of a stage are done."""
    spins = 0
    while _look(counters, 2 * stage + 1) < chunks:
        spins += 1
        if spins > _SPINS:
            _let_others()
            spins = 0


@_compiled
def _lines(n, width):
    """An empty array (n, width) float32 that begins where a line of the cache does."""
    data = np.empty(n * width + 16, np.float32)
    first = -(data.ctypes.data // 4) % 16
    return data[first : first + n * width].reshape(n, width)


@_compiled
def _share(kind, weight, scale, bias, ready, width, factors, y, then, x, threads, counters, stage):
    """One product, `_multiply`'s, shared by threads; returns when all of it is done.

    Args:
        then: what to do with y: nothing, add it to x (n, outputs), GELU, or SwiGLU of its two
            halves into x (n, outputs / 2).
        counters: of all stages, two each.
    """
    outputs = y.shape[1] // 2 if then == _SWIGLU else y.shape[1]
    portions = 1 if threads == 1 else 4 * threads
    size = -(-outputs // (portions * OUTPUTS)) * OUTPUTS
    chunks = -(-outputs // size)
    while True:
        chunk = _claim(counters, 2 * stage)
        if chunk >= chunks:
            break
        first, last = chunk * size, min(outputs, (chunk + 1) * size)
        _multiply(kind, weight, scale, bias, ready, width, factors, y, first, last)
        if then == _ADD:
            x[:, first:last] += y[:, first:last]
        elif then == _GELU:
            _gelu(y, first, last)
        elif then == _SWIGLU:
            _multiply(kind, weight, scale, bias, ready, width, factors, y, outputs + first,
                      outputs + last)  # fmt: skip
            _swiglu(y, outputs, first, last, x)
        _claim(counters, 2 * stage + 1)
    _wait(counters, stage, chunks)


@_compiled
def linear(kind, weight, scale, bias, x, y, threads, counters):
    """y (n, outputs) = x (n, inputs) Wᵀ scale + bias.

    Args:
        kind: HALF or INT8.
        weight: address of W in tiles.
        threads: how many share the work.
        counters: of one stage.
    """
    n, width = x.shape
    integers, factors = _lines(n + 1, width // 2).view(np.int16), np.empty(n, np.float32)
    ready = _inputs(kind, x, integers, factors)
    _share(kind, weight, scale, bias, ready, width, factors, y, _NOTHING, y, threads,
           counters, 0)  # fmt: skip


@_compiled
def advance(
    kind, weights, scales, biases, norms, last_norm, epsilon, rms, gated, dim, inner, slots, heads,
    head_norms, rotated, x, cos, sin, rows, begins, lengths, keys, strides, bias, work, out,
    threads, counters,
):  # fmt: skip
    """Tokens through all layers: `Transformer.advance`.

    Args:
        kind: HALF or INT8.
        weights: (n_layer, 4) addresses of the products: queries, keys and values; out; up; down.
        scales, biases: (n_layer, …), of the four one after another.
        norms: (n_layer, 4, hidden) weight and bias of the two norms.
        last_norm: (2, hidden), of the norm behind all layers.
        rms, gated: whether norms are RMS norms, and whether the feed-forward is SwiGLU, not GELU.
        dim, inner: of a head, and of the feed-forward.
        slots: (slots, 2) which of queries, keys and values (0, 1, 2), and of which of their heads,
            each `dim` outputs of the first product are.
        heads: (n_head, 2) each head's slot of queries, and its head of keys.
        head_norms: (n_layer, 2, dim) of queries and keys; (n_layer, 2, 0) for none.
        rotated: (n_layer,) whether queries and keys are turned to their positions.
        x: (n, hidden) the embedded tokens; overwritten.
        cos, sin: (n, dim / 2) of the tokens' positions; (n, 0) for none.
        rows, begins, lengths: (n,) each token's row in the cache, where that begins behind its
            padding, and the token's place there plus one.
        keys: the cache's storage, flat; its place for the new tokens is filled.
        strides: where the cache begins, and its strides (layer, row, head, key or value, token).
        bias: (1 or the cache's rows, 1 or n_head, longest) ALiBi of the last token.
        work: to work in, shared: n times the outputs of the first product, those of all heads, of
            the third product and, if gated, the fourth's inputs.
        out: (n, hidden), the normed output.
        counters: of STAGES n_layer stages.
    """
    n, hidden = x.shape
    start, of_layer, of_row, of_head, of_values, of_token = strides
    n_slots, n_head = len(slots), len(heads)
    wide = inner * 2 if gated else inner
    qkv = work[: n * n_slots * dim].reshape(n, n_slots * dim)
    done = n * n_slots * dim
    context = work[done : done + n * n_head * dim].reshape(n, n_head * dim)
    done += n * n_head * dim
    third = work[done : done + n * wide].reshape(n, wide)
    done += n * wide
    fourth = work[done : done + n * inner].reshape(n, inner) if gated else third
    a, b = n_slots * dim, n_slots * dim + hidden
    c = b + wide
    per = 1 if threads > 1 else n_slots
    if threads > 1:
        per = -(-n_slots // (4 * threads))
    portions = -(-n_slots // per)
    unturned = cos[:, :0]
    # What follows is each thread's own.
    normed, scores = _lines(n, hidden), np.empty(bias.shape[2], np.float32)
    integers, factors = _lines(n + 1, hidden // 2).view(np.int16), np.empty(n, np.float32)
    of_context = _lines(n + 1, n_head * dim // 2).view(np.int16)
    of_inner = _lines(n + 1, inner // 2).view(np.int16)
    for layer in range(len(weights)):
        weight, scale, shift = weights[layer], scales[layer], biases[layer]
        stage, offset = STAGES * layer, start + layer * of_layer
        turns = cos if rotated[layer] else unturned

        _norm(rms, x, norms[layer, 0], norms[layer, 1], epsilon, normed)
        ready = _inputs(kind, normed, integers, factors)
        while True:
            portion = _claim(counters, 2 * stage)
            if portion >= portions:
                break
            first, last = portion * per, min(n_slots, (portion + 1) * per)
            _multiply(kind, weight[0], scale[:a], shift[:a], ready, hidden, factors, qkv,
                      first * dim, last * dim)  # fmt: skip
            for slot in range(first, last):
                _place(qkv, slot, slots[slot, 0], slots[slot, 1], dim, head_norms[layer], epsilon,
                       turns, sin, rows, lengths, keys, offset, of_row, of_head, of_values,
                       of_token)  # fmt: skip
            _claim(counters, 2 * stage + 1)
        _wait(counters, stage, portions)

        while True:
            head = _claim(counters, 2 * stage + 2)
            if head >= n_head:
                break
            _attend(qkv, heads[head, 0], rows, begins, lengths, head, dim, keys,
                    offset + heads[head, 1] * of_head, of_row, of_token, of_values, bias, context,
                    scores)  # fmt: skip
            _claim(counters, 2 * stage + 3)
        _wait(counters, stage + 1, n_head)

        ready = _inputs(kind, context, of_context, factors)
        _share(kind, weight[1], scale[a:b], shift[a:b], ready, n_head * dim, factors, out, _ADD, x,
               threads, counters, stage + 2)  # fmt: skip

        _norm(rms, x, norms[layer, 2], norms[layer, 3], epsilon, normed)
        ready = _inputs(kind, normed, integers, factors)
        _share(kind, weight[2], scale[b:c], shift[b:c], ready, hidden, factors, third,
               _SWIGLU if gated else _GELU, fourth, threads, counters, stage + 3)  # fmt: skip

        ready = _inputs(kind, fourth, of_inner, factors)
        _share(kind, weight[3], scale[c:], shift[c:], ready, inner, factors, out, _ADD, x,
               threads, counters, stage + 4)  # fmt: skip
    _norm(rms, x, last_norm[0], last_norm[1], epsilon, out)


@_compiled
def _largest(scores):
    lanes = np.full(_SCANNED, -np.inf, np.float32)
    whole = len(scores) // _SCANNED * _SCANNED
    for start in range(0, whole, _SCANNED):
        part = scores[start : start + _SCANNED]
        for i in range(_SCANNED):
            lanes[i] = part[i] if part[i] > lanes[i] else lanes[i]
    largest = np.float32(-np.inf)
    for i in range(_SCANNED):
        largest = max(largest, lanes[i])
    for i in range(whole, len(scores)):
        largest = max(largest, scores[i])
    return largest


@_compiled
def _sift(best, which, at, size):
    """Put the number at `at` in its place in the heap of `size`, whose least is on top."""
    score, index = best[at], which[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and best[child + 1] < best[child]:
            child += 1
        if not best[child] < score:
            break
        best[at], which[at] = best[child], which[child]
        at = child
    best[at], which[at] = score, index


@_compiled
def _draw(scores, temperature, top_p, uniform, best, which):
    """Invert the CDF over the tokens that top-k and top-p leave, most likely first.

    Args:
        best, which: (top_k,) to work in; top_k at least 1.
    """
    size = len(scores)
    kept = min(len(best), size)
    for i in range(kept):
        best[i], which[i] = scores[i], i
    for at in range(kept // 2 - 1, -1, -1):
        _sift(best, which, at, kept)
    for start in range(kept, size, _SCANNED):
        part = scores[start : min(size, start + _SCANNED)]
        better = 0
        for i in range(len(part)):  # in a loop that compares many at once
            better += part[i] > best[0]
        if better:
            for i in range(len(part)):
                if part[i] > best[0]:
                    best[0], which[0] = part[i], start + i
                    _sift(best, which, 0, kept)
    for last in range(kept - 1, 0, -1):
        best[0], best[last] = best[last], best[0]
        which[0], which[last] = which[last], which[0]
        _sift(best, which, 0, last)
    if temperature == 0.0:
        return which[0]
    total = np.float32(0.0)
    largest = best[0]
    for i in range(kept):
        share = np.float32(0.0)
        if best[i] > -np.inf:
            share = _exp(np.float32((best[i] - largest) / temperature))
        total += share
        best[i] = total
    # The nucleus ends with the first token at which the sum reaches top_p: its mass is there.
    last = 0
    while last < kept - 1 and best[last] / total < top_p:
        last += 1
    target = np.float32(uniform * (best[last] / total))
    at = 0
    while at < last and best[at] / total < target:
        at += 1
    return which[at]


@_compiled
def choose(
    logits, rows, step, end, least, temperature, top_k, top_p, penalty, single, heads, lasts,
    leaned, extra, said, history, length, recent, chance, tokens, logprobs, counters,
):  # fmt: skip
    """The next token of each row, as `generate.decode` and `sampling.Sampler` choose it.

    Args:
        logits: (n, vocab_size) float32; overwritten.
        rows: (n,) int64, which rows of all that follows these are.
        step: how many tokens were written before.
        end, least: the end token, and how many others come before it.
        temperature: 0 for the likeliest token.
        top_k: at least 1; more than some hundreds take long.
        single: (s,) tokens that must not come; heads, lasts: (b, window), (b,) sequences that must
            not, as `Sampler` keeps them.
        leaned, extra, said: a `Recall`'s; leaned has no columns when there is none.
        history, recent, chance: as of `generate.Start`; length of history are filled.
        tokens, logprobs: (rows, steps), of which a column is written.
        counters: of one stage.
    """
    n, size = logits.shape
    words = length + step
    best, which = np.empty(top_k, np.float32), np.empty(top_k, np.int64)
    # Logits that are overwritten, oldest first: the chosen token's own may be among them.
    touched, before = np.empty(words + 2, np.int64), np.empty(words + 2, np.float32)
    while True:
        index = _claim(counters, 0)
        if index >= n:
            break
        scores, row = logits[index], rows[index]
        largest = _largest(scores)
        total = np.float32(0.0)
        for i in range(size):
            total += _exp(scores[i] - largest)
        normaliser = largest + np.float32(np.log(total))

        count = 0
        if step < least and end >= 0:
            touched[count], before[count] = end, scores[end]
            scores[end] = -np.inf
            count += 1
        if leaned.shape[1]:
            word = max(leaned[row, said[row]], 0)
            touched[count], before[count] = word, scores[word]
            scores[word] += extra[row, said[row]]
            count += 1
        if penalty != 1.0:
            for i in range(words):
                word = history[row, i]
                touched[count + i], before[count + i] = word, scores[word]
            for i in range(count, count + words):
                score = before[i]
                score = score * penalty if score < 0.0 else score / penalty
                scores[touched[i]] = np.float32(score)
            count += words
        for word in single:
            scores[word] = -np.inf
        for i in range(len(lasts)):
            fits = True
            for j in range(heads.shape[1]):
                fits = fits and (heads[i, j] == -2 or heads[i, j] == recent[row, j])
            if fits:
                scores[lasts[i]] = -np.inf

        chosen = _draw(scores, temperature, top_p, chance[row, step], best, which)
        own = scores[chosen]
        for i in range(count):
            if touched[i] == chosen:
                own = before[i]
                break
        tokens[row, step], logprobs[row, step] = chosen, own - normaliser
        history[row, words] = chosen
        for j in range(recent.shape[1]):
            recent[row, j] = recent[row, j + 1] if j + 1 < recent.shape[1] else chosen
        if leaned.shape[1]:
            for ahead in range(_AHEAD):
                if leaned[row, said[row] + ahead] == chosen:
                    said[row] += ahead + 1
                    break
        _claim(counters, 1)
    _wait(counters, 0, n)


def counters(stages: int) -> np.ndarray:
    """Zeros with which threads count the chunks of each stage: those taken, and those done."""
    return np.zeros(2 * stages, np.int64)


def note(kind: str) -> Path:
    """A file beside what numba keeps of this module, for this code, numba, processor and Python;
    for `self_check` to write there whether weights of a kind can be multiplied."""
    asked = llvm.get_host_cpu_name(), config.CPU_NAME, _asked
    parts = repr((kind, _CONTENT, _version, llvm.llvm_version_info, sys.version, *asked))
    digest = hashlib.sha256(parts.encode()).hexdigest()[:16]
    return Path(linear.stats.cache_path) / f"numba_kernels.{digest}.{kind}"
