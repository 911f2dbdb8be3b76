"""Clusters in every form. Referee: codes as an array."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import statsmodels.formula.api as smf

import kcm

from .case import Case
from .options import value_of
from .samples import choose, sample

__all__ = ["cluster_case"]


def cluster_case(rng: np.random.Generator) -> Case:
    """Labels of clusters by name, by index, as words, dates, codes, in any container."""
    data = sample(rng)
    codes = data.firm.to_numpy()
    words = np.array([f"firm {code}" for code in codes], object)
    order = rng.permutation(len(data))
    forms: dict[str, Any] = {
        "name": "firm",
        "words": words,
        "floats": codes / 7,
        "series": pd.Series(codes),
        "shuffled series": pd.Series(codes).iloc[order],
        "category": pd.Series(pd.Categorical(words)),
        "list": codes.tolist(),
        "dates": pd.Timestamp("2020-01-01") + pd.to_timedelta(codes, unit="D"),
        "polars": pl.Series("firm", codes),
        "arrow": pa.array(codes),
        "arrow dictionary": pa.array(words.tolist()).dictionary_encode(),
        "nullable": pd.array(codes, "Int64"),
        "huge": codes.astype(np.int64) + 2**60,
    }
    form = str(choose(rng, [*forms, "covariance"]))
    is_law = bool(rng.random() < 0.7)
    kernel = kcm.kernels.Gaussian()

    def test(groups: Any, by_fit: bool = False) -> Any:
        how = {"cov_type": "cluster", "cov_kwds": {"groups": codes}} if by_fit else {}
        fit = smf.ols("y ~ x + w", data).fit(**how)
        law = kcm.Asymptotic(groups=groups)
        if not is_law:
            law = kcm.MultiplierBootstrap(99, groups=groups)
        return value_of(kcm.specification_test(fit, kernel=kernel, null=law, rng=1))

    return Case(
        "clusters",
        f"{form}, {'Asymptotic' if is_law else 'bootstrap'}",
        lambda: test(None, True) if form == "covariance" else test(forms[form]),
        lambda: test(codes),
    )
