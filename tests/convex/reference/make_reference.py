#!/usr/bin/env python3
"""Writes problems.hpp: small convex problems with their optima, found by cvxopt's interior-point
method, which shares nothing with the solvers of the library.

    python3 make_reference.py > problems.hpp          (needs NumPy and cvxopt, Debian python3-cvxopt)

All data are multiples of 1/16 from an integer generator, so they are exact in decimal and in binary,
and a gate is zero at a sample only where it is exactly zero. Every optimum comes with a lower bound
that is made from the dual variables by the formulas below; a relative gap above 1e-8 stops the script.
"""

import sys
from dataclasses import dataclass

import numpy as np
from cvxopt import matrix, solvers

ALLOWED_GAP = 1e-8


def solve_cone_program(*args, **keywords):
    """The point cvxopt reaches at the smallest tolerance at which rounding does not end it."""
    for tolerance in (1e-13, 1e-12, 1e-11, 1e-10, 1e-9):
        options = dict(show_progress=False, abstol=tolerance, reltol=tolerance, feastol=tolerance,
                       maxiters=100, refinement=4)
        try:
            result = solvers.coneqp(*args, **keywords, options=options)
        except (ArithmeticError, ValueError):
            continue
        if result['status'] == 'optimal':
            return np.array(result['x']).ravel()
    sys.exit('cvxopt failed')


@dataclass
class Case:
    """What a problem is like; its numbers follow from these and its place in the list."""
    relu: bool
    n: int
    d: int
    c: int
    gates: int
    ratio: float            # lambda / lambda_max
    input_bias: bool = True
    output_bias: bool = False
    weights: bool = False   # else 1/n each
    zeros: int = 0          # samples with weight zero
    collinear: bool = False  # the last input is a combination of the others


CASES = [
    # Gated: no cones, so n < p and collinear inputs are where the minimiser is hardest to find.
    Case(False, 12, 2, 1, 5, 0.5),
    Case(False, 20, 3, 2, 7, 0.1, output_bias=True),
    Case(False, 25, 4, 3, 6, 0.01, weights=True, zeros=4),
    Case(False, 6, 8, 2, 4, 0.05),
    Case(False, 18, 3, 1, 12, 0.001, input_bias=False),
    Case(False, 30, 5, 2, 9, 0.02, collinear=True),
    Case(False, 15, 1, 3, 8, 0.2, weights=True, output_bias=True),
    Case(False, 10, 7, 3, 11, 0.005, collinear=True, weights=True, zeros=2),
    Case(False, 27, 2, 4, 10, 0.002, input_bias=False, output_bias=True),
    Case(False, 8, 6, 1, 3, 0.3, weights=True, zeros=1, output_bias=True),
    # ReLU: one output.
    Case(True, 11, 2, 1, 6, 0.5),
    Case(True, 21, 3, 1, 9, 0.1, output_bias=True),
    Case(True, 26, 4, 1, 12, 0.01, weights=True, zeros=3),
    Case(True, 7, 5, 1, 3, 0.05),
    Case(True, 19, 3, 1, 10, 0.001),
    Case(True, 29, 2, 1, 11, 0.02, weights=True, output_bias=True),
    Case(True, 16, 1, 1, 8, 0.003, input_bias=True, output_bias=True),
    Case(True, 9, 6, 1, 4, 0.2, collinear=True),
    Case(True, 23, 4, 1, 7, 0.03, input_bias=False, output_bias=True),
    Case(True, 14, 2, 1, 5, 0.002, input_bias=False, weights=True, zeros=2, output_bias=True),
]


class Stream:
    """Integers from a 64-bit linear congruential generator (Knuth's MMIX constants), high bits."""

    def __init__(self, seed):
        self.state = (0x9E3779B97F4A7C15 * (seed + 1)) % 2**64
        for _ in range(8):
            self.below(2)

    def below(self, bound):
        self.state = (6364136223846793005 * self.state + 1442695040888963407) % 2**64
        return (self.state >> 33) % bound

    def sixteenths(self, rows, cols, largest):
        """rows x cols multiples of 1/16 in [-largest, largest]; sums of two are bell-shaped."""
        half = 8 * largest
        return np.array([[(self.below(2 * half + 1) + self.below(2 * half + 1) - 2 * half) / 16
                          for _ in range(cols)] for _ in range(rows)])


class Problem:
    def __init__(self, index, case):
        self.case = case
        stream = Stream(index)
        n, d, c = case.n, case.d, case.c
        self.X = stream.sixteenths(n, d, 2)
        if case.collinear:
            self.X[:, -1] = self.X[:, 0] - 2 * self.X[:, 1]
        p = d + 1 if case.input_bias else d
        self.rows = np.hstack([self.X, np.ones((n, 1))]) if case.input_bias else self.X
        self.Y = stream.sixteenths(n, c, 1)
        for neuron in range(4):  # targets of both signs with something to find
            hidden = np.maximum(0, self.rows @ stream.sixteenths(p, 1, 1))
            self.Y += hidden @ stream.sixteenths(1, c, 1)
        self.weights = np.ones(n)
        if case.weights:
            self.weights = np.array([1.0 + stream.below(7) for _ in range(n)])
        for k in range(case.zeros):
            self.weights[(3 * k + 1) % n] = 0
        self.gates = stream.sixteenths(case.gates, p, 1)
        self.w = self.weights / self.weights.sum()
        self.patterns = (self.rows @ self.gates.T >= 0).astype(float)  # n x P
        self.centred = self.Y - (self.w @ self.Y if case.output_bias else 0)
        self.designs = [pattern[:, None] * self.rows for pattern in self.patterns.T]

    def correlations(self, N):
        return [A.T @ N for A in self.designs]

    def cone(self, j):
        """Rows b with K_j = {u : b u >= 0}."""
        return (2 * self.patterns[:, [j]] - 1) * self.rows

    def projection(self, j, correlation):
        """Projection of a vector onto K_j."""
        unit = np.linalg.norm(correlation)
        if unit == 0:
            return correlation
        return unit * solve_cone_program(matrix(np.eye(len(correlation))),
                                         matrix(-correlation / unit), matrix(-self.cone(j)),
                                         matrix(np.zeros(len(self.rows))))

    def dual_norm(self, j, correlation):
        """max u'correlation over the unit u of the group."""
        if not self.case.relu:
            return np.linalg.norm(correlation)
        return max(np.linalg.norm(self.projection(j, s * correlation[:, 0])) for s in (1, -1))

    def lambda_max(self):
        WY = self.w[:, None] * self.centred
        return max(self.dual_norm(j, A) for j, A in enumerate(self.correlations(WY)))

    def lower_bound(self, residual, lam):
        """The dual objective at the residual, scaled until it is feasible."""
        R = residual
        N = self.w[:, None] * R
        inner, square = np.sum(N * self.centred), np.sum(N * R)
        largest = max(self.dual_norm(j, A) for j, A in enumerate(self.correlations(N)))
        s = min(max(0, inner / square), lam / largest)
        return s * inner - s * s / 2 * square

    def solve(self, lam):
        """Optimal value and lower bound. Unknowns: the blocks, the output bias, one norm a block."""
        case = self.case
        n, c, p, P = case.n, case.c, self.rows.shape[1], case.gates
        signs = (1, -1) if case.relu else (1,)
        groups = [(j, s) for j in range(P) for s in signs]
        size, count = p * c, len(groups)
        bias = c if case.output_bias else 0
        total = count * size + bias + count
        # Output o of sample i is row i c + o; entry r c + o of a block is input r, output o.
        fit = np.zeros((n * c, total))
        for k, (j, s) in enumerate(groups):
            fit[:, k * size:(k + 1) * size] = np.kron(s * self.designs[j], np.eye(c))
        if bias:
            fit[:, count * size:count * size + bias] = np.kron(np.ones((n, 1)), np.eye(c))
        scale = np.repeat(self.w, c)
        quadratic = fit.T @ (scale[:, None] * fit)
        linear = -fit.T @ (scale * self.Y.ravel())
        linear[count * size + bias:] += lam
        rows, linear_rows = [], 0
        if case.relu:
            for k, (j, _) in enumerate(groups):
                block = np.zeros((n, total))
                block[:, k * size:(k + 1) * size] = -self.cone(j)
                rows.append(block)
            linear_rows = count * n
        for k in range(count):
            block = np.zeros((1 + size, total))
            block[0, count * size + bias + k] = -1
            block[1:, k * size:(k + 1) * size] = -np.eye(size)
            rows.append(block)
        G = np.vstack(rows)
        # Units in which the values are about 1.
        unit = np.sqrt(np.sum(self.w[:, None] * self.centred**2))
        x = unit * solve_cone_program(matrix(quadratic), matrix(linear / unit), matrix(G),
                                      matrix(np.zeros(len(G))), kktsolver='ldl',
                                      dims={'l': linear_rows, 'q': [1 + size] * count, 's': []})
        blocks = x[:count * size].reshape(count, size)
        residual = self.Y - (fit[:, :count * size] @ x[:count * size]).reshape(n, c)
        if bias:
            residual = residual - self.w @ residual
        primal = (np.sum(self.w[:, None] * residual**2) / 2
                  + lam * np.linalg.norm(blocks, axis=1).sum())
        return primal, self.lower_bound(residual, lam)


def numbers(values):
    """Braced list of the values, row by row; reprs are exact."""
    return '{' + ', '.join(f'{v:.17g}' for v in np.asarray(values).ravel()) + '}'


def text_of(index, case):
    problem = Problem(index, case)
    lam = case.ratio * problem.lambda_max()
    primal, dual = problem.solve(lam)
    gap = (primal - dual) / primal
    print(f'{index:2d} {"relu" if case.relu else "gated"} n={case.n} ratio={case.ratio} '
          f'optimum={primal:.12g} gap={gap:.1e}', file=sys.stderr)
    if not abs(gap) <= ALLOWED_GAP:
        sys.exit(f'problem {index}: relative gap {gap}')
    flags = ', '.join(str(v).lower() for v in (case.relu, case.input_bias, case.output_bias))
    return f'''      {{{flags}, {case.n}, {case.d}, {case.c}, {case.gates},
       {numbers(problem.X)},
       {numbers(problem.Y)},
       {numbers(problem.weights)},
       {numbers(problem.gates)},
       {case.ratio!r}, {float(lam)!r}, {float(primal)!r}, {float(dual)!r}}},
'''


def main():
    entries = ''.join(text_of(index, case) for index, case in enumerate(CASES))
    print(f'''#pragma once

// Made by make_reference.py; do not edit.

#include <vector>

#include "mgdl/core/types.hpp"

namespace mgdl::test {{

/// A convex problem and its optimum according to cvxopt.
struct ReferenceProblem {{
  bool relu;  ///< the ReLU problem, otherwise the gated one
  bool input_bias;
  bool output_bias;
  Index n, d, c, patterns;
  std::vector<double> X;        ///< n x d, row by row
  std::vector<double> Y;        ///< n x c
  std::vector<double> weights;  ///< n, any sum
  std::vector<double> gates;    ///< patterns x p
  double ratio;                 ///< lambda / lambda_max
  double lambda;
  double optimum;      ///< objective of the solution
  double lower_bound;  ///< proven by its dual variables
}};

// clang-format off
inline const std::vector<ReferenceProblem>& reference_problems() {{
  static const std::vector<ReferenceProblem> problems{{
{entries}  }};
  return problems;
}}
// clang-format on

}}  // namespace mgdl::test''')


if __name__ == '__main__':
    main()
