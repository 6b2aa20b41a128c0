"""How fast training is on this machine: workloads, the protocol of who trains them, and a fair way of timing them.

The sides that come with the package are `clearprop.bench.ours` and `clearprop.bench.scikit`; what is here imports
neither, so that a process can measure one side alone.
"""

from clearprop.bench.images import IMAGES, ImageWorkload
from clearprop.bench.machine import cores, count_of, cpu_name, load
from clearprop.bench.rounds import seconds_a_step
from clearprop.bench.sequences import SEQUENCES, SequenceWorkload
from clearprop.bench.sides import Predict, Side, Train, Unavailable
from clearprop.bench.workloads import WORKLOADS, Data, Workload

__all__ = [
    "IMAGES",
    "SEQUENCES",
    "WORKLOADS",
    "Data",
    "ImageWorkload",
    "Predict",
    "SequenceWorkload",
    "Side",
    "Train",
    "Unavailable",
    "Workload",
    "cores",
    "count_of",
    "cpu_name",
    "load",
    "seconds_a_step",
]
