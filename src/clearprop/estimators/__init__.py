"""scikit-learn's face: estimators whose arithmetic is clearprop's programs."""

from clearprop.estimators.perceptron import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
