"""The conditional moment embedding: where a model fails, and by how much."""

from kcm.embedding.band import WitnessBand
from kcm.embedding.contributions import Contributions
from kcm.embedding.distance import EmbeddingDistance
from kcm.embedding.embedding import ConditionalMomentEmbedding
from kcm.embedding.estimate import InnerEstimate, NormEstimate

__all__ = [
    "ConditionalMomentEmbedding",
    "Contributions",
    "EmbeddingDistance",
    "InnerEstimate",
    "NormEstimate",
    "WitnessBand",
]

# for the other rooms
from kcm.embedding.alternative import Alternative as Alternative
from kcm.embedding.alternative import alternative as alternative
