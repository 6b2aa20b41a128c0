"""Pictures of what a model learnt and sees, drawn with matplotlib: figures to be shown or saved.

They need `clearprop[plots]`; without it each function raises `SettingsError`.
"""

from clearprop.pictures.canvas import save
from clearprop.pictures.first_batch import augmented, first_batch
from clearprop.pictures.learnt import feature_maps, filters
from clearprop.pictures.mistaken import confusion, most_confused, worst_mistakes

__all__ = [
    "augmented",
    "confusion",
    "feature_maps",
    "filters",
    "first_batch",
    "most_confused",
    "save",
    "worst_mistakes",
]
