#!/usr/bin/env python3
"""Writes loss_problems.hpp: gated problems with Huber's loss and with that of a quantile, and their optima
by cvxopt, as make_reference.py does for the squared loss.

    python3 make_loss_reference.py > loss_problems.hpp
"""

import sys
from dataclasses import dataclass

import numpy as np
from cvxopt import matrix, solvers

from make_reference import ALLOWED_GAP, Case, Problem, numbers


@dataclass
class LossCase:
    huber: bool
    parameter: float  # delta or level
    case: Case


CASES = [
    LossCase(True, 0.3, Case(False, 14, 2, 1, 5, 0.3)),
    LossCase(True, 0.1, Case(False, 22, 3, 2, 7, 0.1, output_bias=True)),
    LossCase(True, 0.5, Case(False, 24, 4, 1, 6, 0.02, weights=True, zeros=3)),
    LossCase(True, 0.05, Case(False, 18, 3, 1, 9, 0.05, input_bias=False, output_bias=True)),
    LossCase(True, 0.2, Case(False, 9, 6, 3, 4, 0.1, collinear=True, weights=True, output_bias=True)),
    LossCase(False, 0.5, Case(False, 14, 2, 1, 5, 0.3)),
    LossCase(False, 0.9, Case(False, 23, 3, 2, 7, 0.1, output_bias=True)),
    LossCase(False, 0.25, Case(False, 24, 4, 1, 6, 0.05, weights=True, zeros=3)),
    LossCase(False, 0.1, Case(False, 19, 3, 1, 9, 0.1, input_bias=False, output_bias=True)),
    LossCase(False, 0.75, Case(False, 9, 6, 3, 4, 0.2, collinear=True, weights=True)),
    LossCase(True, 0.1, Case(False, 26, 2, 3, 8, 0.2, weights=True, output_bias=True)),
    LossCase(True, 1.5, Case(False, 12, 5, 2, 10, 0.01)),
    LossCase(True, 0.4, Case(False, 6, 8, 2, 4, 0.05)),
    LossCase(True, 0.3, Case(False, 27, 3, 4, 5, 0.1, weights=True, zeros=4)),
    LossCase(True, 0.25, Case(False, 16, 1, 1, 9, 0.01, output_bias=True)),
    LossCase(True, 0.6, Case(False, 20, 7, 2, 3, 0.4, input_bias=False, weights=True)),
    LossCase(True, 0.15, Case(False, 29, 4, 1, 11, 0.005, output_bias=True)),
    LossCase(True, 0.01, Case(False, 13, 3, 1, 6, 0.5, weights=True, zeros=2, output_bias=True)),
    LossCase(True, 0.35, Case(False, 10, 7, 3, 11, 0.02, collinear=True, weights=True, zeros=2)),
    LossCase(True, 0.9, Case(False, 21, 2, 1, 12, 0.001)),
    LossCase(False, 0.5, Case(False, 26, 2, 3, 8, 0.2, weights=True, output_bias=True)),
    LossCase(False, 0.95, Case(False, 28, 5, 2, 10, 0.02)),
    LossCase(False, 0.3, Case(False, 6, 8, 2, 4, 0.05)),
    LossCase(False, 0.6, Case(False, 27, 3, 4, 5, 0.15, weights=True, zeros=4)),
    LossCase(False, 0.2, Case(False, 17, 1, 1, 9, 0.01, output_bias=True)),
    LossCase(False, 0.4, Case(False, 20, 7, 2, 3, 0.4, input_bias=False, weights=True)),
    LossCase(False, 0.05, Case(False, 30, 4, 1, 11, 0.03, output_bias=True)),
    LossCase(False, 0.7, Case(False, 13, 3, 1, 6, 0.5, weights=True, zeros=2, output_bias=True)),
    LossCase(False, 0.85, Case(False, 11, 7, 3, 9, 0.1, collinear=True, weights=True, zeros=2)),
    LossCase(False, 0.5, Case(False, 22, 2, 1, 12, 0.004)),
]
FIRST_STREAM = 100


def solve(*args, **keywords):
    """The program's solution at the smallest tolerance at which rounding does not end it."""
    for tolerance in (1e-13, 1e-12, 1e-11, 1e-10, 1e-9):
        options = dict(show_progress=False, abstol=tolerance, reltol=tolerance, feastol=tolerance,
                       maxiters=200, refinement=4)
        try:
            result = solvers.coneqp(*args, **keywords, options=options)
        except (ArithmeticError, ValueError):
            continue
        if result['status'] == 'optimal':
            return result
    sys.exit('cvxopt failed')


class LossProblem(Problem):
    def __init__(self, index, loss):
        super().__init__(FIRST_STREAM + index, loss.case)
        self.huber, self.parameter = loss.huber, loss.parameter

    def value(self, residual):
        size = np.abs(residual)
        d = self.parameter
        if self.huber:
            return np.where(size <= d, residual**2 / 2, d * (size - d / 2))
        return np.maximum(d * residual, (d - 1) * residual)

    def lambda_max(self):
        """From the constant of least loss, which is sought by ternary search."""
        N = np.zeros_like(self.Y)
        for o in range(self.Y.shape[1]):
            y, w, b = self.Y[:, o], self.w, 0.0
            if self.case.output_bias and self.huber:
                low, high = y.min(), y.max()
                for _ in range(300):
                    a, c = low + (high - low) / 3, high - (high - low) / 3
                    slope = lambda t: np.sum(w * np.clip(y - t, -self.parameter, self.parameter))
                    low, high = (a, high) if slope(a) > 0 else (low, a)
                b = (low + high) / 2
            elif self.case.output_bias:
                b = min(y, key=lambda t: np.sum(w * self.value(y - t)))
            r = y - b
            if self.huber:
                N[:, o] = w * np.clip(r, -self.parameter, self.parameter)
            else:
                slopes = np.where(r > 0, self.parameter, np.where(r < 0, self.parameter - 1, 0.0))
                if self.case.output_bias:
                    slopes[r == 0] = -np.sum(w * slopes) / np.sum(w[r == 0])
                N[:, o] = w * slopes
        return max(np.linalg.norm(A) for A in self.correlations(N))

    def solve(self, lam):
        """Optimal value and lower bound. Unknowns: the blocks, the output bias, one norm a block, and
        the positive and negative part of what the loss counts by its absolute value."""
        case = self.case
        n, c, p, P = case.n, case.c, self.rows.shape[1], case.gates
        size, bias, m = p * c, c if case.output_bias else 0, n * c
        norms = P * size + bias
        plus, minus = norms + P, norms + P + m
        total = minus + m
        fit = np.zeros((m, total))
        for k in range(P):
            fit[:, k * size:(k + 1) * size] = np.kron(self.designs[k], np.eye(c))
        if bias:
            fit[:, P * size:norms] = np.kron(np.ones((n, 1)), np.eye(c))
        w, y = np.repeat(self.w, c), self.Y.ravel()
        full = fit.copy()
        full[:, plus:minus] = np.eye(m)
        full[:, minus:] = -np.eye(m)
        linear = np.zeros(total)
        linear[norms:plus] = lam
        keywords = {}
        if self.huber:
            quadratic = full.T @ (w[:, None] * full)
            linear -= full.T @ (w * y)
            linear[plus:] += self.parameter * np.concatenate([w, w])
        else:
            quadratic = np.zeros((total, total))
            linear[plus:minus] = self.parameter * w
            linear[minus:] = (1 - self.parameter) * w
            keep = w > 0
            keywords = dict(A=matrix(full[keep]), b=matrix(y[keep]))
        rows = [np.hstack([np.zeros((2 * m, plus)), -np.eye(2 * m)])]
        for k in range(P):
            block = np.zeros((1 + size, total))
            block[0, norms + k] = -1
            block[1:, k * size:(k + 1) * size] = -np.eye(size)
            rows.append(block)
        G = np.vstack(rows)
        unit = 1 / lam  # of the objective, in which the norms count 1
        result = solve(matrix(unit * quadratic), matrix(unit * linear), matrix(G), matrix(np.zeros(len(G))),
                       dims={'l': 2 * m, 'q': [1 + size] * P, 's': []}, kktsolver='ldl', **keywords)
        x = np.array(result['x']).ravel()
        residual = (y - fit[:, :norms] @ x[:norms]).reshape(n, c)
        blocks = x[:P * size].reshape(P, size)
        primal = (np.sum(self.w[:, None] * self.value(residual))
                  + lam * np.linalg.norm(blocks, axis=1).sum())
        if self.huber:
            N = self.w[:, None] * np.clip(residual, -self.parameter, self.parameter)
        else:
            N = np.zeros(m)
            N[keep] = -np.array(result['y']).ravel() / unit
            N = np.clip(N, (self.parameter - 1) * w, self.parameter * w).reshape(n, c)
        largest = max(np.linalg.norm(A) for A in self.correlations(N))
        s = min(1, lam / largest)
        with np.errstate(divide='ignore', invalid='ignore'):
            square = np.sum(np.where(N != 0, N**2 / self.w[:, None], 0)) if self.huber else 0
        return primal, s * np.sum(N * self.Y) - s * s / 2 * square


def text_of(index, loss):
    problem = LossProblem(index, loss)
    case = loss.case
    lam = case.ratio * problem.lambda_max()
    primal, dual = problem.solve(lam)
    gap = (primal - dual) / primal
    print(f'{index:2d} {"huber" if loss.huber else "quantile"} n={case.n} ratio={case.ratio} '
          f'optimum={primal:.12g} gap={gap:.1e}', file=sys.stderr)
    if not abs(gap) <= ALLOWED_GAP:
        sys.exit(f'problem {index}: relative gap {gap}')
    flags = ', '.join(str(v).lower() for v in (case.relu, case.input_bias, case.output_bias))
    name = 'huber' if loss.huber else 'quantile'
    return f'''      {{Loss::{name}({loss.parameter!r}),
       {{{flags}, {case.n}, {case.d}, {case.c}, {case.gates},
        {numbers(problem.X)},
        {numbers(problem.Y)},
        {numbers(problem.weights)},
        {numbers(problem.gates)},
        {case.ratio!r}, {float(lam)!r}, {float(primal)!r}, {float(dual)!r}}}}},
'''


def main():
    entries = ''.join(text_of(index, loss) for index, loss in enumerate(CASES))
    print(f'''#pragma once

// Made by make_loss_reference.py; do not edit.

#include <vector>

#include "mgdl/convex/loss.hpp"
#include "problems.hpp"

namespace mgdl::test {{

/// A gated problem with another loss than the squared one.
struct LossReference {{
  Loss loss;
  ReferenceProblem problem;
}};

// clang-format off
inline const std::vector<LossReference>& loss_references() {{
  static const std::vector<LossReference> problems{{
{entries}  }};
  return problems;
}}
// clang-format on

}}  // namespace mgdl::test''')


if __name__ == '__main__':
    main()
