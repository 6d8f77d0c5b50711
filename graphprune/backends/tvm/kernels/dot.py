"""Products of integers in words of 32 bits, each of which holds neighbouring input channels at one position.

The words of activations and of weights are multiplied channel by channel, and the products added to a sum, by the
instruction that a processor has for this. Sums are exact: none of these instructions saturates. TVM sees an operator of
ours until it has made vectors; then the instruction of their length takes its place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tvm import tirx
from tvm.ir import Call, Op, PrimType
from tvm.ir.op import register_op_attr
from tvm.tirx.op import call_llvm_pure_intrin

from graphprune.backends.tvm.kernels.builder import Expr
from graphprune.backends.tvm.kernels.elements import Elements

_PREFIX = "graphprune.dot."
WORD_BITS = 32


@dataclass(frozen=True)
class Dot:
    """An instruction, and what the channels of a word are.

    Attributes:
        names: LLVM's, by words of a vector.
        x: The type of a channel of the activations.
        weight: The type of a channel of the weights.
        adds: Whether it adds to the sums as well.
        halves: Those that add neighbouring halves of words, where the products are such; by words of a vector.
    """

    names: Mapping[int, str]
    x: str
    weight: str
    adds: bool
    halves: Mapping[int, str] | None = None

    @property
    def channels(self) -> int:
        """Of a word."""
        return WORD_BITS // bits_of(self.x)

    def lower(self, total: Expr, weight: Expr, x: Expr) -> Expr:
        """The sums in terms of LLVM."""
        lanes = total.ty.dtype.lanes
        if lanes not in self.names:
            return self._channel_by_channel(total, weight, x)
        width, result = self.channels * lanes, f"int32x{lanes}"
        operands = [tirx.reinterpret(f"{self.x}x{width}", x), tirx.reinterpret(f"{self.weight}x{width}", weight)]
        if self.adds:
            return call_llvm_pure_intrin(result, self.names[lanes], total, *operands)
        if self.halves is None:
            return tirx.Add(total, call_llvm_pure_intrin(result, self.names[lanes], *operands))
        sums = call_llvm_pure_intrin(f"int16x{2 * lanes}", self.names[lanes], *operands)
        ones = tirx.Broadcast(tirx.const(1, "int16"), 2 * lanes)
        return tirx.Add(total, call_llvm_pure_intrin(result, self.halves[lanes], sums, ones))

    def _channel_by_channel(self, total: Expr, weight: Expr, x: Expr) -> Expr:
        """For what is no vector, or one of another length."""
        for number in range(self.channels):
            total = tirx.Add(total, tirx.Mul(_channel(x, number, self.x), _channel(weight, number, self.weight)))
        return total


def bits_of(dtype: str) -> int:
    """Bits of an integer type."""
    return int(dtype.removeprefix("u").removeprefix("int"))


def _channel(word: Expr, number: int, dtype: str) -> Expr:
    """One channel of words, as int32."""
    bits, lanes = bits_of(dtype), word.ty.dtype.lanes
    if dtype.startswith("u"):
        shifted = tirx.shift_right(word, _constant(bits * number, lanes))
        return tirx.bitwise_and(shifted, _constant((1 << bits) - 1, lanes))
    first = tirx.shift_left(word, _constant(WORD_BITS - bits * (number + 1), lanes))
    return tirx.shift_right(first, _constant(WORD_BITS - bits, lanes))


def _constant(value: int, lanes: int) -> Expr:
    number = tirx.const(value, "int32")
    return number if lanes == 1 else tirx.Broadcast(number, lanes)


_HALVES = {4: "llvm.x86.sse2.pmadd.wd", 8: "llvm.x86.avx2.pmadd.wd", 16: "llvm.x86.avx512.pmaddw.d.512"}

DOTS = {
    "pairs": Dot(_HALVES, "int16", "int16", adds=False),
    "quads": Dot(
        {lanes: f"llvm.x86.avx512.vpdpbusd.{WORD_BITS * lanes}" for lanes in (4, 8, 16)},
        *("uint8", "int8"),
        adds=True,
    ),
    "small_quads": Dot(
        {
            4: "llvm.x86.ssse3.pmadd.ub.sw.128",
            8: "llvm.x86.avx2.pmadd.ub.sw",
            16: "llvm.x86.avx512.pmaddubs.w.512",
        },
        *("uint8", "int8"),
        adds=False,
        halves=_HALVES,
    ),
}
"""Two channels, which AVX2 and AVX-512 multiply; four, which VNNI does; four without it.

The last adds two products in 16 bits, so no two weights of a half may have magnitudes above 128 together.
"""

PAIRS, QUADS, SMALL_QUADS = (Elements("int32", "int32", "int32", dot.channels, name) for name, dot in DOTS.items())
_VNNI = frozenset({"avx_vnni", "avx512_vnni"})


def integers_of(features: Collection[str]) -> Elements:
    """The words that a processor of these instruction sets multiplies fastest."""
    return PAIRS if _VNNI.isdisjoint(features) else QUADS


def adds_products(elements: Elements) -> bool:
    """Whether one instruction multiplies and adds; else products take a register of their own."""
    return not elements.dot or DOTS[elements.dot].adds


def multiply_and_add(elements: Elements, total: Expr, weight: Expr, x: Expr) -> Expr:
    """The total plus weight times x; of words, for each of their channels."""
    if not elements.dot:
        return total + weight * x
    return Call(Op.get(f"{_PREFIX}{elements.dot}"), [total, weight, x], ret_ty=PrimType("int32"))


def _register(name: str, dot: Dot) -> None:
    register_op_attr(name, "TCallEffectKind", tirx.CallEffectKind.Pure.value)
    register_op_attr(name, "TVectorizable", value=True)
    register_op_attr(name, "TScriptPrinterName", name)
    tirx.register_intrin_lowering(name, target="default", f=lambda call: dot.lower(*call.args))


for _name, _dot in DOTS.items():
    _register(f"{_PREFIX}{_name}", _dot)
