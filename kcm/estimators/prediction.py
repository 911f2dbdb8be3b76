"""Predictions of models by formula."""

from typing import Any

import pandas as pd

from kcm.data import as_table
from kcm.exceptions import UnsupportedModelError
from kcm.moments import LinearMoment, Moment

__all__ = ["predicted"]


def predicted(
    moment: Moment, params: pd.Series, rows: pd.DataFrame, data: Any
) -> pd.Series | pd.DataFrame:
    """Predict the outcomes of a linear moment on new rows.

    Parameters
    ----------
    moment : Moment
    params : pandas.Series
    rows : pandas.DataFrame
        The rows of the estimate.
    data : data frame or mapping
        New rows.

    Returns
    -------
    pandas.Series or pandas.DataFrame
        One column per equation of a system.

    Raises
    ------
    UnsupportedModelError
        When the moment is a residual function.
    """
    if not isinstance(moment, LinearMoment):
        raise UnsupportedModelError(
            "`predict` is defined for a model by formula; a residual function of your own does not "
            "say what it predicts."
        )
    new, index = as_table(data, "data")
    values = moment.predict(params.to_numpy(), rows, new)
    frame = pd.DataFrame(values, index=index, columns=list(moment.names))
    return frame.iloc[:, 0] if values.shape[1] == 1 else frame
