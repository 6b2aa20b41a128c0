"""Train on digits with clearprop; print the test accuracy."""

import sys

import numpy as np

import clearprop as cp

x, y, test_x, test_y = np.load(sys.argv[1]).values()
model = cp.Model([cp.Dense(64, "relu"), cp.Dense(10)], "cross_entropy", cp.Adam(0.01), backend=sys.argv[2])
model.fit(x, y, epochs=15, progress="quiet")
print((model.predict(test_x).argmax(axis=1) == test_y).mean())
