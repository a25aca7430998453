"""Rounding and functions of a float."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

from inferflux.codegen.targets.words.tir import Expr, Words

_ERF_ABOVE = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


class Numbers(Words):
    """Functions of 16 floats, without a table and without libm."""

    def rounded(self, x: Expr) -> Expr:
        """To int32, halves to even, for |x| < 2**22.

        Beside 1.5 * 2**23 only whole numbers fit, so the adder rounds; the bits hold the integer.
        """
        shifted = x + self._float(12582912.0)
        return self._t.reinterpret(shifted, dtype="int32x16") - self._integer(0x4B400000)

    def fma(self, x: Expr, y: Expr, z: Expr) -> Expr:
        """x * y + z, rounded once where the machine fuses them, else twice; wherever it stands.

        A product and a sum that are written apart may be fused in one place and not in another.
        """
        return self._call("llvm.fmuladd", x, y, z, dtype="float32x16")

    def exp(self, x: Expr) -> Expr:
        """e**x, 0 below -87.  x = n ln 2 + r; Cephes' polynomial of r; 2**n by the exponent."""
        power = self.rounded(self._t.min(x, self._float(88.0)) * self._float(1.44269504088896341))
        n = self._t.cast(power, "float32x16")
        r = self._t.min(x, self._float(88.0)) - n * self._float(0.693359375)
        r = r - n * self._float(-2.12194440e-4)
        polynomial = self._float(1.9875691500e-4)
        for coefficient in (
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ):
            polynomial = polynomial * r + self._float(coefficient)
        exponent = self._t.shift_left(power + self._integer(127), self._integer(23))
        scale = self._t.reinterpret(exponent, dtype="float32x16")
        value = (polynomial * r * r + r + self._float(1.0)) * scale
        return self._t.Select(x < self._float(-87.0), self._float(0.0), value)

    def log(self, x: Expr) -> Expr:
        """ln of one positive normal float.  x = 2**n (1 + r), sqrt(1/2) <= 1 + r < sqrt(2).

        n ln 2 + Cephes' polynomial of r. Less the bits of sqrt(1/2), the exponent field is n.
        """
        float32, int32 = self._t.float32, self._t.int32
        bits = self._t.reinterpret(x, dtype="int32")
        power = self._t.shift_right(bits - int32(0x3F3504F3), int32(23))
        mantissa = self._t.reinterpret(bits - self._t.shift_left(power, int32(23)), dtype="float32")
        n, r = self._t.cast(power, "float32"), self._as_written(mantissa - float32(1))
        polynomial = float32(7.0376836292e-2)
        for coefficient in (
            -1.1514610310e-1,
            1.1676998740e-1,
            -1.2420140846e-1,
            1.4249322787e-1,
            -1.6668057665e-1,
            2.0000714765e-1,
            -2.4999993993e-1,
            3.3333331174e-1,
        ):
            polynomial = polynomial * r + float32(coefficient)
        small = polynomial * r * r * r - n * float32(2.12194440e-4) - float32(0.5) * r * r
        return self._as_written(small) + r + n * float32(0.693359375)

    def silu(self, x: Expr) -> Expr:
        return x / (self._float(1.0) + self.exp(self._float(0.0) - x))

    def gelu(self, x: Expr) -> Expr:
        half = self._float(0.5)
        return x * (half + half * self._erf(x * self._float(sqrt(0.5))))

    def gelu_tanh(self, x: Expr) -> Expr:
        """(1 + tanh(u)) / 2 is 1 / (1 + exp(-2u))."""
        cubic = self._float(0.044715) * x * x * x
        twice = self._float(-2 * sqrt(2 / pi)) * (x + cubic)
        return x / (self._float(1.0) + self.exp(twice))

    def tanh(self, x: Expr) -> Expr:
        """1 - 2 / (exp(2x) + 1), and x * (1 - x**2 / 3) where the difference would cancel."""
        two, square = self._float(2.0), x * x
        wide = self._float(1.0) - two / (self.exp(two * x) + self._float(1.0))
        small = x * (self._float(1.0) - square * self._float(1 / 3))
        return self._t.Select(square < self._float(4e-4), small, wide)

    def _erf(self, x: Expr) -> Expr:
        """x P(x**2) / Q(x**2), with Eigen's coefficients: within 1e-7; past 4 it is 1."""
        four = self._float(4.0)
        x = self._t.min(self._t.max(x, self._float(-4.0)), four)
        return x * self._polynomial(_ERF_ABOVE, x * x) / self._polynomial(_ERF_BELOW, x * x)

    def _polynomial(self, coefficients: Sequence[float], x: Expr) -> Expr:
        """The highest power's coefficient first."""
        value = self._float(coefficients[0])
        for coefficient in coefficients[1:]:
            value = value * x + self._float(coefficient)
        return value

    def _as_written(self, x: Expr) -> Expr:
        """x, by way of its bits: TVM's simplifier reorders sums as if floats were reals."""
        return self._t.reinterpret(self._t.reinterpret(x, dtype="int32"), dtype="float32")
