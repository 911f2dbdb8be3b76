"""A data-generating process with its truth."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final

from kcm._options import did_you_mean, listed
from kcm.exceptions import OptionError

__all__ = ["Design", "as_design"]


@final
@dataclass(frozen=True, slots=True)
class Design:
    """A data-generating process, what a researcher fits to its data, and the truth.

    Parameters
    ----------
    name : str
    draw : callable
        From ``(rng, n_obs, **settings)`` to what a test takes: a fitted result, a
        `kcm.FittedMoment`, or a pair of a data frame and a formula, which is fitted by OLS. A bar
        in the formula, ``"y ~ x | z"``, names the variables to condition on.
    null : str, optional
        When the model is right, in words. Default "not stated".
    is_null : callable, optional
        From the settings to True where the model is right. Default: not known.
    truth : callable, optional
        From the settings to the parameters by their names in the fit. Default: not known.
    source : str, optional
        Where the process comes from.

    Examples
    --------
    >>> import numpy as np
    >>> from kcm.simulation import designs
    >>> design = designs.load("omitted-square")
    >>> design.settings
    mappingproxy({'size': 0.3, 'd': 1, 'errors': 'normal'})
    >>> design.null_is_true(size=0.0), design.null_is_true()
    (True, False)
    >>> int(design(np.random.default_rng(0), 50, size=0.5).nobs)
    50
    """

    name: str
    draw: Callable[..., Any]
    null: str = "not stated"
    is_null: Callable[..., bool] | None = None
    truth: Callable[..., Mapping[str, float]] | None = None
    source: str = ""
    settings: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(_defaults(self.draw)))

    def __reduce__(self) -> tuple[type["Design"], tuple[Any, ...]]:
        # rebuilt by the constructor, because a read-only mapping cannot be pickled
        parts = (self.name, self.draw, self.null, self.is_null, self.truth, self.source)
        return type(self), parts

    def __call__(self, rng: Any, n_obs: int, **settings: Any) -> Any:
        return self.draw(rng, n_obs, **settings)

    def null_is_true(self, **settings: Any) -> bool | None:
        """Tell whether the model is right under these settings, None where that is not known."""
        return None if self.is_null is None else bool(self.is_null(**self._with(settings)))

    def parameters(self, **settings: Any) -> dict[str, float]:
        """Return the true parameters that are known, by their names in the fit."""
        return {} if self.truth is None else dict(self.truth(**self._with(settings)))

    def check_settings(self, names: Any) -> None:
        """Refuse settings that the design does not take.

        Raises
        ------
        OptionError
        """
        kinds = [p.kind for p in inspect.signature(self.draw).parameters.values()]
        if inspect.Parameter.VAR_KEYWORD in kinds:
            return
        for name in names:
            if name not in self.settings:
                raise OptionError(
                    f"`settings`: the design {self.name!r} has no setting {name!r}"
                    f"{did_you_mean(str(name), self.settings)} "
                    f"Its settings are: {listed(self.settings) or 'none'}."
                )

    def _with(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.settings, **settings}


def as_design(value: Any) -> Design:
    """Return a design: one already, one by its name, or a function of one's own.

    Raises
    ------
    OptionError
        When it is none of these.
    """
    if isinstance(value, Design):
        return value
    if isinstance(value, str):
        from kcm.simulation.designs import load

        return load(value)
    if callable(value):
        return Design(getattr(value, "__name__", type(value).__name__), value)
    raise OptionError(
        "`design` must be the name of a design, a kcm.simulation.Design or a function of "
        f"(rng, n_obs, **settings); got {value!r}."
    )


def _defaults(draw: Callable[..., Any]) -> dict[str, Any]:
    parameters = list(inspect.signature(draw).parameters.values())
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default for p in parameters[2:] if p.kind in named}
