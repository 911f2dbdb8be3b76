"""One measurement in a process of its own: seconds of calls after the first, and memory.

    python tests/performance/scaling.py ROAD N

ROAD: exact, low-rank or auto (kcm's test of OLS on five regressors, asymptotic null), statistic
(the exact v'Kv alone), dense (scikit-learn's Gram matrix, NumPy's form and eigenvalues), or
prototype (the least that a low-rank test can do). Prints
one JSON object; growth is the peak of the process's memory beyond what it held, data and imports,
before the call. Linux only.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from memory import memory
from timing import ols_data, seconds

ROUNDS = 3


def test_of(method: str, n: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import kcm

    def test(n: int) -> Callable[[], Any]:
        data = ols_data(n)
        moment = kcm.FittedMoment(data["psi"], data["x"], data["jacobian"], data["influence"])
        return lambda: kcm.KCMTest(method=method, progress=False).run(moment)

    return test(300), test(n)


def statistic_of(n: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from kcm import gram
    from kcm.kernels import Gaussian

    def statistic(n: int) -> Callable[[], Any]:
        data = ols_data(n)
        call = gram.quadratic_form
        return lambda: call(Gaussian(2.0), data["x"], data["psi"], precision="single")

    return statistic(300), statistic(n)


def dense_of(n: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from sklearn.metrics.pairwise import rbf_kernel

    def test(n: int) -> Callable[[], Any]:
        data = ols_data(n)
        return lambda: dense(data, rbf_kernel)

    return test(300), test(n)


def prototype_of(n: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from prototype import TILE, prototype

    small, large = ols_data(TILE * 2), ols_data(n)
    return lambda: prototype(small), lambda: prototype(large)


def dense(data: dict[str, np.ndarray], rbf_kernel: Callable[..., np.ndarray]) -> float:
    """Return the statistic and the eigenvalues of its null law with the whole matrix in memory."""
    psi, jacobian, influence = data["psi"], data["jacobian"], data["influence"]
    n = len(psi)
    gram = rbf_kernel(data["x"], gamma=1 / 8)
    np.fill_diagonal(gram, 0.0)
    smoothed = gram @ jacobian / n
    projection = psi[:, None] * smoothed + influence @ (jacobian.T @ smoothed / n) / 2
    form = gram * np.outer(psi, psi) + projection @ influence.T + influence @ projection.T
    np.fill_diagonal(form, 0.0)
    return float(psi @ gram @ psi / n + np.linalg.eigvalsh(form / n)[-1])


def main(road: str, n: int) -> None:
    makers = {"statistic": statistic_of, "dense": dense_of, "prototype": prototype_of}
    small, large = makers[road](n) if road in makers else test_of(road, n)
    small()
    before = memory("VmRSS")
    compiling = seconds(large)
    rounds = 1 if compiling > 20 else ROUNDS
    found = {"first": compiling, "seconds": min(seconds(large) for _ in range(rounds))}
    found |= {"growth": memory("VmHWM") - before, "peak": memory("VmHWM")}
    if road not in makers:
        result = large()
        certificate = result.certificate
        found |= {"pvalue": result.pvalue, "interval": certificate.pvalue_interval}
        found |= {"share": certificate.residual_share, "rank": certificate.rank}
        found |= {"method": certificate.method, "exact statistic": certificate.statistic_exact}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
