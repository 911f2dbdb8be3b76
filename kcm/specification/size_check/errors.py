"""Errors of right models: as the residuals show them, of equal size, growing, or from a family."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
from jaxtyping import Float, Int

from kcm.moments import FittedMoment, Outcomes, TwoStages, leverage_scale

__all__ = ["Errors", "error_laws", "residual_errors"]

Draw = Callable[[np.random.Generator], Float[np.ndarray, "n k"]]
Factor = Callable[[np.random.Generator], Float[np.ndarray, " n"]]

# Variances that grow with a variable z of mean 0 and variance 1: .1 + .9 z^2.
LEAST_VARIANCE = 0.1
# Variables that errors grow with: those whose squares differ most.
MOST_GROWING = 3
# Largest correlation of the errors of a cluster that is simulated.
MOST_CORRELATED = 0.95


@final
@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """A law of errors.

    Attributes
    ----------
    name : str
    draw : callable
        Generator to errors, one column per component, and per endogenous regressor after them.
    """

    name: str
    draw: Draw


def error_laws(
    moment: FittedMoment, shown: Float[np.ndarray, "n k"], codes: Int[np.ndarray, " n"] | None
) -> tuple[Errors, ...]:
    """Return the laws that are tried on a moment, the one that the residuals show first.

    Parameters
    ----------
    moment : FittedMoment
    shown : ndarray of shape (n, k)
        `residual_errors` of its rows.
    codes : ndarray of int, shape (n,), or None
        Cluster numbers.
    """
    outcomes = moment.outcomes
    correlation = _correlation(shown[:, : moment.n_components], codes)
    as_shown = Errors("as large as the residuals", partial(_signed, shown, codes))
    # clusters have a correlation that the families lack
    if isinstance(outcomes, Outcomes) and codes is None:
        family = _of_family(outcomes)
        return family if outcomes.variance_known else (as_shown, *family)
    rows = np.arange(moment.n_obs) if codes is None else codes
    mix = partial(_mixed, rows, correlation)
    laws = [as_shown, Errors("normal, of equal variance", partial(_normal, shown, None, mix))]
    if moment.variance is not None and np.ptp(moment.variance) > 0:
        sizes = np.sqrt(moment.variance.mean(axis=1) / moment.variance.mean())
        weighted = partial(_normal, shown, sizes, mix)
        laws.append(Errors("normal, variances as the weights say", weighted))
    for name, sizes in _growing(moment):
        laws.append(Errors(f"normal, growing with {name}", partial(_normal, shown, sizes, mix)))
    return tuple(laws)


def residual_errors(moment: FittedMoment) -> Float[np.ndarray, "n k"]:
    """Return the residuals that each row has when it is left out, those of the first stage beside.

    They are psi_i / s_i^2 to first order, as in HC3. HC4 makes them too large at leverage points,
    and the rates of a law that does not hold too high: .41 for .24 on lognormal regressors.
    """
    errors = moment.residuals
    if moment.jacobian is not None and moment.gain is not None:
        how = moment.jacobian, moment.gain, moment.variance
        errors = errors / leverage_scale(*how, correction="HC2") ** 2
    if not isinstance(moment.outcomes, TwoStages) or moment.jacobian is None:
        return errors
    instruments, regressors = moment.outcomes.instruments, -moment.jacobian[:, 0]
    basis = np.linalg.qr(instruments)[0]
    left = np.maximum(1 - np.sum(basis**2, axis=1), 1 / len(basis))
    first = (regressors - basis @ (basis.T @ regressors)) / left[:, None]
    return np.hstack([errors, first])


def _of_family(outcomes: Outcomes) -> tuple[Errors, ...]:
    wider = outcomes.overdispersed()
    laws = (outcomes,) if wider is None else (outcomes, wider)
    return tuple(Errors(f"{law.describe()} outcomes", partial(_column, law)) for law in laws)


def _column(outcomes: Outcomes, rng: np.random.Generator) -> Float[np.ndarray, "n 1"]:
    return outcomes.errors(rng)[:, None]


def _signed(
    shown: Float[np.ndarray, "n k"],
    codes: Int[np.ndarray, " n"] | None,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    """Return the residuals with random signs, one for each row or cluster."""
    count = len(shown) if codes is None else int(codes.max()) + 1
    signs = rng.choice([-1.0, 1.0], count)
    return shown * (signs if codes is None else signs[codes])[:, None]


def _normal(
    shown: Float[np.ndarray, "n k"],
    sizes: Float[np.ndarray, " n"] | None,
    mix: Factor,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n k"]:
    """Return normal errors with the covariance of the residuals' columns, times `sizes`."""
    values, vectors = np.linalg.eigh(shown.T @ shown / len(shown))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn = np.column_stack([mix(rng) for _ in values]) @ root.T
    return drawn if sizes is None else drawn * sizes[:, None]


def _mixed(
    codes: Int[np.ndarray, " n"], correlation: float, rng: np.random.Generator
) -> Float[np.ndarray, " n"]:
    """Return standard normal numbers, correlated within clusters."""
    shared = rng.standard_normal(int(codes.max()) + 1)[codes]
    own = rng.standard_normal(len(codes))
    return np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def _correlation(shown: Float[np.ndarray, "n q"], codes: Int[np.ndarray, " n"] | None) -> float:
    """Return the correlation of errors within clusters, all components together."""
    if codes is None:
        return 0.0
    sizes = np.bincount(codes)
    n_pairs = float(np.sum(sizes * (sizes - 1.0)))
    squares = float(np.sum(shown**2))
    sums = [np.bincount(codes, column) for column in shown.T]
    products = float(np.sum(np.square(sums))) - squares
    if not n_pairs > 0:
        return 0.0
    return float(np.clip(products / n_pairs / (squares / len(shown)), 0.0, MOST_CORRELATED))


def _growing(moment: FittedMoment) -> list[tuple[str, Float[np.ndarray, " n"]]]:
    """Return standard deviations that grow with a variable, for those with the longest tails."""
    numbers = [j for j, kind in enumerate(moment.labels.kinds) if kind != "unordered"]
    points = moment.conditioning[:, numbers]
    z = (points - points.mean(axis=0)) / points.std(axis=0)
    tails = np.mean(z**4, axis=0)
    chosen = np.argsort(-tails, kind="stable")[:MOST_GROWING]
    names = moment.labels.conditioning
    sizes = np.sqrt(LEAST_VARIANCE + (1 - LEAST_VARIANCE) * z**2)
    return [(names[numbers[j]], sizes[:, j]) for j in chosen]
