"""The law of the statistic when the model is wrong, up to its third cumulant."""

from dataclasses import dataclass
from typing import final

from kcm.embedding.embedding import ConditionalMomentEmbedding
from kcm.embedding.projections import cluster_sums, projections
from kcm.gram import Execution, TiledGram
from kcm.moments import check_own_sample, group_codes
from kcm.statistic import StatisticName, apply_form, contract

__all__ = ["Alternative", "alternative"]


@final
@dataclass(frozen=True, slots=True)
class Alternative:
    """What the embedding mu adds to the cumulants of the statistic.

    With C the covariance of an observation's part of the embedding, sqrt(n) (mu_hat - mu) is
    normal with covariance C in large samples, and n ||mu_hat||^2 has the cumulants
    n ||mu||^2 + tr C, 4 n <mu, C mu> + 2 tr C^2 and 24 n <mu, C^2 mu> + 8 tr C^3.

    Attributes
    ----------
    square : float
        ||mu||^2 = M^2.
    variance : float
        <mu, C mu> = s^2, with the noise of mu_hat in it.
    third : float
        <mu, C^2 mu>, with the noise of mu_hat in it.
    """

    square: float
    variance: float
    third: float


def alternative(embedding: ConditionalMomentEmbedding, statistic: StatisticName) -> Alternative:
    """Estimate the three numbers: two passes over the pairs.

    Parameters
    ----------
    embedding : ConditionalMomentEmbedding
    statistic : {"U", "V"}

    Examples
    --------
    >>> import numpy as np
    >>> import kcm
    >>> x, e = np.random.default_rng(0).normal(size=(2, 200))
    >>> result = kcm.KCMTest().run(kcm.FittedMoment(x**2 - 1 + e, x))
    >>> round(alternative(result.embedding, "U").square, 3) == round(result.mmr, 3)
    True
    """
    check_own_sample(embedding.moment, "the planning of a sample size")
    moment, kernel, n = embedding.moment, embedding.kernel, embedding.moment.n_obs
    how = embedding.memory_limit, embedding.device, embedding.mesh, embedding.progress
    execution, codes = Execution(*how), group_codes(embedding.groups, n)
    with execution.on_device():
        found = projections(moment, kernel, codes, execution)
        gram = TiledGram(kernel, moment.conditioning, execution)
        form = contract(moment, gram, statistic, codes)
        sums = cluster_sums(found.errors, codes)
        image = apply_form(form, codes, sums[:, None])[:, 0]
    variance, third = float(sums @ sums) / n, float(sums @ image) / n
    return Alternative(found.norm(codes).value, variance, third)
