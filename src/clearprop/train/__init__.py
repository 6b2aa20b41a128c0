"""Training: the step's programs, the one loop, its events, its checkpoints."""

from clearprop.train.continuation import build_continuation
from clearprop.train.events import (
    CheckpointWritten,
    Diverged,
    EpochEnded,
    Event,
    FitEnded,
    FitStarted,
    Listener,
    Progressed,
    StopTraining,
)
from clearprop.train.fit import CheckpointFile, Fit, Samples, evaluate, evaluated, measure, slices_at_once
from clearprop.train.lanes import lanes_to_measure, lanes_to_train
from clearprop.train.loop import Compiled, Training
from clearprop.train.metrics import METRICS, compute
from clearprop.train.parameters import PARAMETERS
from clearprop.train.settings import EarlyStopping, FitSettings, History
from clearprop.train.state import FitState, copies, read_checkpoint, write_checkpoint
from clearprop.train.statistics import Statistics
from clearprop.train.step import (
    Lanes,
    Signature,
    StepPrograms,
    build_evaluation,
    build_objective,
    build_prediction,
    build_step,
    output_type,
    running_averages,
)
from clearprop.train.whole_batch import Task, whole_batch_fit

__all__ = [
    "METRICS",
    "PARAMETERS",
    "CheckpointFile",
    "CheckpointWritten",
    "Compiled",
    "Diverged",
    "EarlyStopping",
    "EpochEnded",
    "Event",
    "Fit",
    "FitEnded",
    "FitSettings",
    "FitStarted",
    "FitState",
    "History",
    "Lanes",
    "Listener",
    "Progressed",
    "Samples",
    "Signature",
    "Statistics",
    "StepPrograms",
    "StopTraining",
    "Task",
    "Training",
    "build_continuation",
    "build_evaluation",
    "build_objective",
    "build_prediction",
    "build_step",
    "compute",
    "copies",
    "evaluate",
    "evaluated",
    "lanes_to_measure",
    "lanes_to_train",
    "measure",
    "output_type",
    "read_checkpoint",
    "running_averages",
    "slices_at_once",
    "whole_batch_fit",
    "write_checkpoint",
]
