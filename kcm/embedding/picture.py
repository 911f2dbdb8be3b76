"""The witness of an embedding as a picture of one or two variables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from kcm.embedding.band import WitnessBand
from kcm.exceptions import OptionError
from kcm.moments import MomentLabels
from kcm.reporting import Scatter, draw_bars, draw_line, draw_map, draw_sentence, residual_words

if TYPE_CHECKING:
    from kcm.embedding.embedding import ConditionalMomentEmbedding

__all__ = ["chosen_variables", "witness_picture"]

# Points of a line, and of each side of a map.
LINE_POINTS = 101
MAP_POINTS = 25
# Multiplier draws for a map, whose points are many.
MAP_DRAWS = 499
# Residuals that are shown at most, and the seed that chooses them.
SHOWN = 2_000
SEED = 20_200_722
# Share of the sample that each end of the axis of a variable leaves out.
TAIL = 0.01
# A map shows points whose density is at least this quantile of that of the sample.
SPARSE = 0.02


def witness_picture(
    embedding: "ConditionalMomentEmbedding", component: int, level: float, rng: Any, ax: Any
) -> Any:
    """Draw the local mean of an embedding given one or two variables.

    Raises
    ------
    OptionError
        When there are more variables, or two that are not both numbers, or no such component.
    """
    moment = embedding.moment
    if not 0 <= component < moment.n_components:
        raise OptionError(
            f"`component` must be a position from 0 to {moment.n_components - 1}; got {component}."
        )
    kinds = moment.labels.kinds
    if len(kinds) > 2 or (len(kinds) == 2 and set(kinds) != {"continuous"}):
        raise OptionError(
            "`variables` must be one variable, or two that hold numbers; got "
            f"{', '.join(moment.labels.conditioning)}."
        )
    if len(kinds) == 2:
        return _draw_map(embedding, component, level, rng, ax)
    draw = _draw_line if kinds[0] == "continuous" else _draw_bars
    return draw(embedding, component, level, rng, ax)


def _draw_line(
    embedding: "ConditionalMomentEmbedding", component: int, level: float, rng: Any, ax: Any
) -> Any:
    moment = embedding.moment
    points, shown = _axis(moment.conditioning[:, 0], LINE_POINTS), _shown(moment.n_obs)
    band = embedding.band(points, level, rng).over_density()
    words = _words(labels := moment.labels, component, moment.n_components)
    if band.fitted_exactly[:, component].all():
        return draw_sentence(_exactly(labels), words[2], ax)
    values, ends = _of_component(band, component)
    told = "residuals" if len(shown) == moment.n_obs else f"{len(shown):,} of the residuals"
    scatter = Scatter(moment.conditioning[shown, 0], moment.residuals[shown, component], told)
    return draw_line(points, values, ends, scatter, words, level, ax)


def _draw_bars(
    embedding: "ConditionalMomentEmbedding", component: int, level: float, rng: Any, ax: Any
) -> Any:
    moment, labels = embedding.moment, embedding.moment.labels
    codes = np.unique(moment.conditioning[:, 0])
    band = embedding.band(codes, level, rng).over_density()
    words = _words(labels, component, moment.n_components)
    if band.fitted_exactly[:, component].all():
        return draw_sentence(_exactly(labels), words[2], ax)
    names = [labels.levels[0][int(c)] if labels.levels[0] else f"{c:g}" for c in codes]
    return draw_bars(names, *_of_component(band, component), words, level, ax)


def _draw_map(
    embedding: "ConditionalMomentEmbedding", component: int, level: float, rng: Any, ax: Any
) -> Any:
    moment = embedding.moment
    grid = tuple(_axis(column, MAP_POINTS) for column in moment.conditioning.T)
    points = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
    shown = _shown(moment.n_obs)
    data = moment.conditioning[shown]
    near = embedding.density(points) >= np.quantile(embedding.density(data), SPARSE)
    band = embedding.band(points[near], level, rng, MAP_DRAWS).over_density()
    residual, title = _words(moment.labels, component, moment.n_components)[1:]
    if band.fitted_exactly[:, component].all():
        return draw_sentence(_exactly(moment.labels), title, ax)
    values, excludes = np.full(len(points), np.nan), np.zeros(len(points), bool)
    values[near], excludes[near] = band.values[:, component], band.excludes_zero[:, component]
    shape = (MAP_POINTS, MAP_POINTS)
    first, second = moment.labels.conditioning
    words = first, second, residual, title
    surface = values.reshape(shape), excludes.reshape(shape)
    return draw_map((grid[0], grid[1]), *surface, (data[:, 0], data[:, 1]), words, level, ax)


def _of_component(
    band: WitnessBand, component: int
) -> tuple[Float[np.ndarray, " m"], tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]]:
    values, lower, upper = (a[:, component] for a in (band.values, band.lower, band.upper))
    return values, (lower, upper)


def _axis(column: Float[np.ndarray, " n"], n_points: int) -> Float[np.ndarray, " m"]:
    low, high = np.quantile(column, [TAIL, 1 - TAIL])
    if low == high:
        low, high = column.min(), column.max()
    return np.linspace(low, high, n_points)


def _shown(n: int) -> Int[np.ndarray, " k"]:
    if n <= SHOWN:
        return np.arange(n)
    return np.sort(np.random.default_rng(SEED).choice(n, SHOWN, replace=False))


def _words(labels: MomentLabels, component: int, n_components: int) -> tuple[str, str, str]:
    """Return the first variable, the residual and the title."""
    residual, names = residual_words(labels.moment, component, n_components), labels.conditioning
    return names[0], residual, f"Mean {residual} given {' and '.join(names)}"


def _exactly(labels: MomentLabels) -> str:
    whose = "this variable's" if len(labels.conditioning) == 1 else "these variables'"
    return f"{whose} cells are fitted exactly"


def chosen_variables(variables: str | Sequence[str] | None, labels: MomentLabels) -> list[str]:
    """Return the variables of a picture; by default all, if they are one or two.

    Raises
    ------
    OptionError
        When there are more and none is chosen.
    """
    if variables is not None:
        return [variables] if isinstance(variables, str) else list(variables)
    if len(labels.conditioning) > 2:
        raise OptionError(
            "`variables` must name one or two of the conditioning variables, "
            f"{', '.join(labels.conditioning)}; plot_contributions() tells which matter."
        )
    return list(labels.conditioning)
