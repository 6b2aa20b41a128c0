"""Who checks the optimisers of all samples at once (tests/train/test_whole_batch.py, tests/nist)."""

SOURCES = {
    "lbfgs": ("SciPy",),  # the same path as on a network written by hand
    "conjugate_gradient": ("SciPy",),
    "newton_cg": ("SciPy",),
    "levenberg_marquardt": ("SciPy", "NumPy", "NIST"),  # least squares, a line in closed form, certified regressions
    "bayesian_regularization": ("scikit-learn",),  # the evidence of a line
}
