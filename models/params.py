"""conf/models.toml as one frozen value; each part is explained beside the code that it tunes."""

from dataclasses import dataclass

from models.als import AlsParams
from models.content import ContentParams
from models.ease import EaseParams
from models.neighbours import NeighbourParams
from models.ranker import RankerParams
from models.recommender import BlendParams
from models.similar import ListParams
from models.tuning import TuningParams


@dataclass(frozen=True, slots=True)
class ModelParams:
    """conf/models.toml."""

    seed: int
    als: AlsParams
    ease: EaseParams
    habit: EaseParams
    neighbours: NeighbourParams
    content: ContentParams
    blend: BlendParams
    tuning: TuningParams
    ranker: RankerParams
    lists: ListParams
