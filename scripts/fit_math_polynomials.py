#!/usr/bin/env python3
"""Fits the polynomials of src/kernels/math/constants.h and prints them as C++ float literals.

Weighted minimax by Lawson's iteration on a dense grid; the coefficients are rounded to f32 one after the other, lowest
order first, and those left are fitted again each time. Needs numpy.
"""

import math

import numpy as np


def fit(x, basis, target, weight):
    """Coefficients c (as f32) that make max |weight * (sum c_i basis_i(x) - target)| small."""
    columns = np.stack([b(x) for b in basis], axis=1)
    fixed = []
    rest = np.arange(columns.shape[1])
    while True:
        residual = target - sum((c * columns[:, i] for i, c in enumerate(fixed)), np.zeros_like(x))
        lawson = np.ones_like(x)
        for _ in range(60):
            w = np.sqrt(lawson) * weight
            scale = np.abs(columns[:, rest]).max(axis=0)
            c, *_ = np.linalg.lstsq(columns[:, rest] / scale * w[:, None], residual * w, rcond=None)
            c = c / scale
            error = np.abs(weight * (columns[:, rest] @ c - residual))
            lawson *= error + 1e-3 * error.max()
            lawson /= lawson.sum()
        fixed.append(float(np.float32(c[0])))
        rest = rest[1:]
        if len(rest) == 0:
            break
    error = np.abs(weight * (columns @ np.array(fixed) - target)).max()
    return fixed, error


def power(n):
    return lambda x: x**n


def show(name, fitted):
    coefficients, error = fitted
    literals = ", ".join(float(np.float32(c)).hex().replace("0000000p", "p") + "F" for c in coefficients)
    print(f"// largest weighted error of the polynomial: {error:.2e} = 2^{math.log2(error):.1f}")
    print(f"constexpr float {name}[] = {{{literals}}};")


def main():
    # exp(r) = 1 + r + r^2 (c0 + c1 r + ...)
    r = np.linspace(-0.3467, 0.3467, 4001)
    r = r[np.abs(r) > 1e-4]
    show("kExpCoefficients", fit(r, [power(n) for n in range(2, 7)], np.expm1(r) - r, np.exp(-r)))

    # tanh(x) = x + x z (c0 + c1 z + ...), z = x^2
    x = np.linspace(0.01, 0.626, 4001)
    show("kTanhCoefficients",
         fit(x, [power(2 * n) for n in range(1, 6)], np.tanh(x) / x - 1, x / np.tanh(x)))

    # log(1 + f) = f - f^2 / 2 + f^3 (c0 + c1 f + ...)
    f = np.linspace(math.sqrt(0.5) - 1, math.sqrt(2) - 1, 4001)
    f = f[np.abs(f) > 0.01]
    show("kLogCoefficients",
         fit(f, [power(n) for n in range(3, 12)], np.log1p(f) - f + f * f / 2, 1 / np.abs(np.log1p(f))))

    # erf(x) = x + x (c0 + c1 z + ...), z = x^2, |x| < 0.92
    x = np.linspace(0.01, 0.93, 4001)
    erf = np.array([math.erf(v) for v in x])
    show("kErfCoefficients", fit(x, [power(2 * n) for n in range(0, 7)], erf / x - 1, x / erf))

    # erfc(t) = exp(-(c0 + c1 t + ...)), 0.92 <= t <= 4
    t = np.linspace(0.91, 4.01, 8001)
    erfc = np.array([math.erfc(v) for v in t])
    show("kErfcCoefficients", fit(t, [power(n) for n in range(0, 8)], np.log(erfc), erfc))


main()
