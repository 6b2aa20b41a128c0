"""Several answers a row: their values as 0 and 1 and back, what is guessed, what is refused, and the file."""

import json

import numpy as np
import pytest

from clearprop.data import Encoding, Table
from clearprop.data.labels_target import LabelsTarget
from clearprop.errors import DataError, FileFormatError

X = Table({"x": [1.0, 2.0, 3.0, 4.0]})
BITS = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])
WORDS = np.array([["no", "wet"], ["yes", "wet"], ["no", "dry"], ["yes", "dry"]])


@pytest.mark.parametrize("target", [BITS, BITS.astype(bool), BITS.astype(float), WORDS], ids=lambda y: y.dtype.kind)
def test_values_become_0_and_1_and_come_back(target):
    encoding = Encoding.fit(X, target, target_name=("rain", "ground"))
    assert encoding.task == "multilabel"
    assert encoding.classes is None
    assert encoding.n_outputs == 2
    encoded = encoding.target(target)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, BITS)
    decoded = encoding.decode(np.array([[0.4, 0.9], [0.6, 0.51], [0.5, 0.0], [1.0, 0.2]]))
    np.testing.assert_array_equal(decoded, target)
    assert decoded.dtype == target.dtype
    again = Encoding.from_dict(json.loads(json.dumps(encoding.to_dict())))
    np.testing.assert_array_equal(again.decode(encoded), target)


def test_classification_of_several_targets_is_this_too():
    numbers = np.array([[3, 5], [7, 5], [3, 9], [7, 9]])
    assert Encoding.fit(X, numbers).task == "regression"
    encoding = Encoding.fit(X, numbers, task="classification")
    np.testing.assert_array_equal(encoding.target(numbers), [[0, 0], [1, 0], [0, 1], [1, 1]])
    assert Encoding.fit(X, BITS, task="regression").task == "regression"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.array([[0, 1], [1, 2], [0, 0], [1, 1]]), "target 2: it has 3 different values"),
        (np.array([[0, 1], [0, 1], [0, 0], [0, 0]]), "target 1: all 4 rows have the one class"),
        (np.array([0, 1, 0, 1]), r"multilabel takes several columns, \(n, k\)"),
    ],
)
def test_what_is_no_answer_is_refused(target, message):
    with pytest.raises(DataError, match=message):
        Encoding.fit(X, target, task="multilabel")


def test_later_values_must_be_those_of_training():
    encoding = Encoding.fit(X, WORDS, target_name=("rain", "ground"))
    with pytest.raises(DataError, match="target 2, row 1: 'moist' is not one of the classes 'dry', 'wet'"):
        encoding.target(np.array([["no", "moist"]]))
    with pytest.raises(DataError, match="expected 2 answers a row"):
        encoding.target(np.array(["no"]))
    with pytest.raises(DataError, match=r"expected \(n, 2\)"):
        encoding.decode(np.zeros((3, 1)))


def test_a_damaged_file_is_refused():
    content = LabelsTarget.fit(BITS, "y").to_dict()
    content["columns"][1]["classes"] = [0, 1, 2]
    with pytest.raises(FileFormatError, match="columns of two values"):
        LabelsTarget.from_dict(content)
