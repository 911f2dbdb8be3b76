"""Studies written down in TOML files."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, final

import numpy as np

from kcm._options import (
    MOST_REPETITIONS,
    check_int,
    check_level,
    check_option,
    did_you_mean,
    listed,
)
from kcm.exceptions import DataError, OptionError
from kcm.kernels import Gaussian, InverseMultiquadric, Laplace
from kcm.null import Asymptotic, MultiplierBootstrap, Null, StudentizedNormal
from kcm.simulation.procedures import ThetaKnown
from kcm.simulation.study import SimulationStudy
from kcm.specification import KCMTest

__all__ = ["StudyFile", "read_study", "the_fit"]

_TABLES = ("study", "settings", "procedures")
_STUDY = ("design", "n_obs", "n_replications", "rng", "level")
_TEST = ("kernel", "statistic", "null", "projection", "theta")
_BOOTSTRAP = ("n_resamples", "weights", "stop", "studentize")
_KERNELS: MappingProxyType[str, Callable[[], Any]] = MappingProxyType(
    {
        "gaussian": Gaussian,
        "laplace": Laplace,
        "imq": InverseMultiquadric,
        "adaptive": lambda: "adaptive",
    }
)
_NULLS = ("asymptotic", "cumulants", "bootstrap", "studentized-normal")


@final
@dataclass(frozen=True, slots=True)
class StudyFile:
    """A study, and how it is run and shown.

    Parameters
    ----------
    study : SimulationStudy
    rng : int
        Seed. Default 0.
    level : float
        Of the table of rejection rates. Default 0.05.
    """

    study: SimulationStudy
    rng: int
    level: float


def the_fit(fit: Any, rng: np.random.Generator) -> Any:
    """Return the fit itself: the procedure that studies estimates."""
    return fit


def read_study(path: Any, *, allow_code: bool = False) -> StudyFile:
    """Read a study from a TOML file.

    Parameters
    ----------
    path : str or Path
    allow_code : bool
        Whether the design may be ``package.module:function``, which is imported and run. All else
        in the file is data. Default False.

    Returns
    -------
    StudyFile

    Raises
    ------
    DataError
        When there is no such file, or it is no TOML.
    OptionError
        When a key is not known, lacking, or has a value that is not allowed.
    """
    contents = _parsed(Path(path))
    _check_keys(contents, _TABLES, "the file")
    study = _table(contents, "study", required=True)
    _check_keys(study, _STUDY, "[study]")
    _check_present(study, ("design", "n_obs"), "[study]")
    given = _table(contents, "procedures", required=True)
    procedures = {name: _procedure(name, _table(given, name, True)) for name in given}
    n_replications, level = study.get("n_replications", 1_000), study.get("level", 0.05)
    settings = _table(contents, "settings") or None
    check_int(n_replications, "n_replications", most=MOST_REPETITIONS)
    check_int(study.get("rng", 0), "rng", 0)
    check_level(level)
    made = SimulationStudy(
        _design(study["design"], allow_code), procedures, study["n_obs"], settings, n_replications
    )
    return StudyFile(made, study.get("rng", 0), level)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"there is no study {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise DataError(f"{path} is no TOML file: {error}.") from error


def _table(contents: Mapping[str, Any], name: str, required: bool = False) -> dict[str, Any]:
    value = contents.get(name, None if required else {})
    if isinstance(value, dict):
        return value
    if value is None:
        raise OptionError(f"the study lacks the table [{name}]; see the page on simulation.")
    raise OptionError(f"`{name}` must be a table, [{name}], with keys of its own; got {value!r}.")


def _check_keys(given: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    for key in given:
        if key not in known:
            raise OptionError(
                f"{place} has the key {key!r}, which is not known{did_you_mean(key, known)} "
                f"Known are {listed(known)}."
            )


def _check_present(given: Mapping[str, Any], needed: Iterable[str], place: str) -> None:
    for key in needed:
        if key not in given:
            raise OptionError(f"{place} lacks the key {key!r}.")


def _design(value: Any, allow_code: bool) -> Any:
    """Return a design: a name, or ``package.module:function`` of one's own."""
    if not isinstance(value, str):
        raise OptionError(f"`design` must be a name in quotes; got {value!r}.")
    if ":" not in value:
        return value
    if not allow_code:
        raise OptionError(
            f"`design` {value!r} is code: the file asks to import a module and run a function of "
            "it. Add `--allow-code` if you trust both."
        )
    try:
        return resolve_name(value)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(f"`design` {value!r} cannot be imported: {error}.") from error


def _procedure(name: str, given: Mapping[str, Any]) -> Any:
    place = f"[procedures.{name}]"
    if "test" in given:
        _check_keys(given, ("test",), f"{place} with `test`")
        return the_fit if given["test"] == "estimates" else given["test"]
    _check_keys(given, ("test", *_TEST, *_BOOTSTRAP), place)
    kernel = given.get("kernel")
    projection = given.get("projection", "estimator")
    test = KCMTest(
        None if kernel is None else _KERNELS[check_option(kernel, tuple(_KERNELS), "kernel")](),
        given.get("statistic", "U"),
        _null(given, place),
        projection=projection,
    )
    theta = check_option(given.get("theta", "estimated"), ("estimated", "known"), "theta")
    return ThetaKnown(test) if theta == "known" else test


def _null(given: Mapping[str, Any], place: str) -> Null:
    null = check_option(given.get("null", "asymptotic"), _NULLS, "null")
    options = {key: given[key] for key in _BOOTSTRAP if key in given}
    if null == "bootstrap":
        return MultiplierBootstrap(**options)
    if options:
        raise OptionError(
            f'{place}: {listed(options)} belong to the bootstrap; add `null = "bootstrap"` or '
            "leave them out."
        )
    if null == "studentized-normal":
        return StudentizedNormal()
    return Asymptotic("cumulants" if null == "cumulants" else "auto")
