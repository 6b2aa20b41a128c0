"""Networks: layers, activations, initialisers and penalties. They write programs and never run them."""

from clearprop.nn.activations import (
    ACTIVATIONS,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    activation,
)
from clearprop.nn.composition import Parallel, Residual, Sequential
from clearprop.nn.context import (
    Context,
    add_penalty,
    applying,
    hyper,
    is_training,
    random_uniform,
)
from clearprop.nn.dense import Dense
from clearprop.nn.dropout import Dropout
from clearprop.nn.function import Function
from clearprop.nn.initializers import (
    INITIALIZERS,
    Initializer,
    Kaiming,
    Normal,
    Uniform,
    Xavier,
    Zeros,
    initializer,
)
from clearprop.nn.layer import Layer, apply_layer, init_layer, output_shape
from clearprop.nn.penalties import L1, L2, Penalty
from clearprop.nn.shape_layers import Flatten

__all__ = [
    "ACTIVATIONS",
    "INITIALIZERS",
    "L1",
    "L2",
    "Context",
    "Dense",
    "Dropout",
    "Flatten",
    "Function",
    "Identity",
    "Initializer",
    "Kaiming",
    "Layer",
    "LeakyReLU",
    "Normal",
    "Parallel",
    "Penalty",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Uniform",
    "Xavier",
    "Zeros",
    "activation",
    "add_penalty",
    "apply_layer",
    "applying",
    "hyper",
    "init_layer",
    "initializer",
    "is_training",
    "output_shape",
    "random_uniform",
]
