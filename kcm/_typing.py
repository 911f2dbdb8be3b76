"""Array aliases used in annotations; they are executed in the tests only."""

from jaxtyping import Array, Float

__all__ = ["Columns", "Point", "Value"]

Point = Float[Array, " d"]
Value = Float[Array, ""]
Columns = Float[Array, "n d"]
