"""Who checks the layers that are random in training (tests/nn/test_noise.py)."""

SOURCES = {
    "dropout": "SciPy",  # the binomial test of what is dropped
    "spatial_dropout": "SciPy",  # the binomial test of the channels that are dropped
    "alpha_dropout": "NumPy",  # mean, variance and the value of what is dropped
    "gaussian_noise": "SciPy",  # the normal distribution
    "gaussian_dropout": "SciPy",  # the normal distribution
    "mixup": "SciPy",  # the beta distribution of the weights
}
