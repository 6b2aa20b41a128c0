"""scikit-learn's face: estimators whose arithmetic is clearprop's programs."""

from clearprop.estimators.files import load, save
from clearprop.estimators.perceptron import MLPClassifier, MLPRegressor
from clearprop.estimators.supervised import NeuralClassifier, NeuralRegressor
from clearprop.estimators.transformer import NeuralTransformer

__all__ = ["MLPClassifier", "MLPRegressor", "NeuralClassifier", "NeuralRegressor", "NeuralTransformer", "load", "save"]
