"""Encodings computed by hand: each number is derived in a comment."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from clearprop.data import Encoding, Table, load
from clearprop.errors import DataError, SettingsError

LABELS = np.array(["no", "yes", "no", "yes"])


def fit(columns, target=LABELS, **options):
    return Encoding.fit(Table(columns), target, dtype="float64", **options)


def encode_one(training, later=None):
    encoding = fit({"c": training, "other": [1, 2, 3, 4]})
    later = training if later is None else later
    return encoding, encoding.features(Table({"c": later, "other": [2.5] * len(later)}))[:, :-1]


def test_numbers():
    # mean (1+2+3+6)/4 = 3; variance (4+1+0+9)/4 = 3.5
    _, encoded = encode_one([1, 2, 3, 6])
    assert encoded[:, 0] == pytest.approx(np.array([-2, -1, 0, 3]) / math.sqrt(3.5))


def test_numbers_with_gaps():
    # of 1, 3, 5: mean 3, variance (4+0+4)/3; the gap is the mean, and has its indicator
    _, encoded = encode_one([1, None, 3, 5])
    z = 2 / math.sqrt(8 / 3)
    assert encoded == pytest.approx(np.array([[-z, 0], [0, 1], [0, 0], [z, 0]]))


def test_booleans():
    assert encode_one([True, False, True, True])[1].tolist() == [[1], [0], [1], [1]]
    assert encode_one([True, None, False, True])[1].tolist() == [[1, 0], [1, 1], [0, 0], [1, 0]]


def test_categories():
    assert encode_one(["b", "a", "c", "a"])[1].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert encode_one(["b", "a", "b", "a"])[1].tolist() == [[1], [0], [1], [0]]
    assert encode_one(["b", "a", None, "a"])[1].tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert encode_one(["b", None, "b", "b"])[1].tolist() == [[0], [1], [0], [0]]


def test_dates():
    # Four days of one week of May 2024 at midnight: Monday 6 to Thursday 9, so only the day of the week varies.
    days = np.array(["2024-05-06", "2024-05-07", "2024-05-08", "2024-05-09"], dtype="datetime64[D]")
    encoding, encoded = encode_one(days)
    assert encoding.describe()[0].encoding == "days standardised, sin and cos of the day of the week"
    # days -1.5 -0.5 0.5 1.5 about their mean, variance (2.25+0.25)/2 = 1.25; Monday is 0 of 7 on the circle
    assert encoded[:, 0] == pytest.approx(np.array([-1.5, -0.5, 0.5, 1.5]) / math.sqrt(1.25))
    angles = 2 * np.pi * np.arange(4) / 7
    assert encoded[:, 1:] == pytest.approx(np.column_stack([np.sin(angles), np.cos(angles)]))


def test_months_and_times():
    moments = np.array(["2024-01-01T00", "2024-04-01T06", "2024-07-01T12", "2024-10-07T18"], dtype="datetime64[h]")
    encoding, encoded = encode_one(moments)  # all Mondays
    assert (
        encoding.describe()[0].encoding
        == "days standardised, sin and cos of the month, sin and cos of the time of the day"
    )
    quarters = [[0, 1], [1, 0], [0, -1], [-1, 0]]  # January, April, July, October; 0, 6, 12, 18 hours
    assert encoded[:, 1:3] == pytest.approx(np.array(quarters))
    assert encoded[:, 3:5] == pytest.approx(np.array(quarters))


def test_dropped_columns_say_why():
    n = 40
    encoding = Encoding.fit(
        Table(
            {
                "x": np.arange(n) % 7,
                "constant": [5] * n,
                "empty": [None] * n,
                "customer_id": np.arange(1000, 1000 + n),
                "comment": [f"text {i}" for i in range(n)],
                "word": ["same"] * n,
            }
        ),
        np.arange(n) % 2,
    )
    dropped = {report.name: report.dropped for report in encoding.describe()}
    assert dropped == {
        "x": None,
        "constant": "all values are 5",
        "empty": "all values are missing",
        "customer_id": "a different integer in every row, and named like an identifier",
        "comment": "40 different texts in 40 rows: an identifier or free text, not categories",
        "word": "all values are 'same'",
    }
    assert encoding.input_shape == (1,)
    assert "column 'constant' is dropped: all values are 5" in encoding.notes
    assert encoding.features(Table({"x": [1, 2]})).shape == (2, 1)  # a dropped column need not be there


def test_no_column_of_use():
    with pytest.raises(DataError, match=r"no column is of use.*'c': all values are 1"):
        fit({"c": [1, 1, 1, 1]})


TARGETS = [
    (["b", "a", "b", "a"], "classification", ["a", "b"], [1, 0, 1, 0]),
    ([3, 7, 3, 7], "classification", [3, 7], [0, 1, 0, 1]),
    ([1.0, 0.0, 1.0, 0.0], "classification", [0.0, 1.0], [1, 0, 1, 0]),
    ([True, False, False, True], "classification", [False, True], [1, 0, 0, 1]),
    ([1.5, 2.5, 1.5, 2.5], "regression", None, [[-1], [1], [-1], [1]]),  # mean 2, scale 0.5
    ([1, 2, 3, 6], "regression", None, None),  # four different whole numbers in four rows
]


@pytest.mark.parametrize(("target", "task", "classes", "codes"), TARGETS)
def test_tasks(target, task, classes, codes):
    encoding = fit({"c": [1, 2, 3, 4]}, np.array(target))
    assert encoding.task == task
    assert (None if encoding.classes is None else encoding.classes.tolist()) == classes
    assert codes is None or encoding.target(np.array(target)).tolist() == codes


def test_many_classes_is_regression_unless_said():
    target = np.arange(210) % 21
    assert Encoding.fit(target[:, None] * 1.0, target).task == "regression"
    assert Encoding.fit(target[:, None] * 1.0, target, task="classification").n_outputs == 21
    few = np.arange(200) % 20
    assert Encoding.fit(few[:, None] * 1.0, few).task == "classification"
    assert Encoding.fit(few[:, None] * 1.0, few, task="regression").n_outputs == 1


def test_decode_classes():
    encoding = fit({"c": [1, 2, 3, 4]})
    assert encoding.decode(np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])).tolist() == ["no", "yes", "no"]
    with pytest.raises(DataError, match=r"expected \(n, 2\)"):
        encoding.decode(np.zeros((3, 5)))


def test_decode_numbers():
    encoding = fit({"c": [1, 2, 3, 4]}, np.array([10.5, 20.5, 10.5, 20.5]))  # mean 15.5, scale 5
    assert encoding.decode(np.array([[0.0], [1.0], [-2.0]])).tolist() == [15.5, 20.5, 5.5]
    two = fit({"c": [1, 2, 3, 4]}, np.array([[10.5, 1], [20.5, 3], [10.5, 1], [20.5, 3]]))
    assert two.decode(np.array([[0.0, 1.0]])).tolist() == [[15.5, 3.0]]


def test_arrays_of_rank_2():
    # column 0 is constant; column 1: mean 2, scale 1; column 2: of 1 and 5 mean 3, scale 2, one gap
    array = np.array([[7, 1, 1], [7, 3, 5], [7, 1, np.nan], [7, 3, 3]])
    encoding = Encoding.fit(array, LABELS, dtype="float64")
    scale = math.sqrt(8 / 3)  # of 1, 5, 3 about 3
    expected = [[-1, -2 / scale, 0], [1, 2 / scale, 0], [-1, 0, 1], [1, 0, 0]]
    assert encoding.features(array) == pytest.approx(np.array(expected))
    assert encoding.notes[1] == "1 of 3 columns are dropped: they are constant or all missing"
    unusual = np.array([[7, np.nan, 1.0]])
    assert encoding.features(unusual)[0, 0] == 0
    assert encoding.inspect(unusual) == (
        "1 values are missing in columns '1', and none was in training: taken as the mean",
    )


def test_bytes_of_images():
    images = np.array([[[0, 255], [51, 102]]] * 4, dtype=np.uint8)
    encoding = Encoding.fit(images, LABELS)
    encoded = encoding.features(images)
    assert encoding.input_shape == (2, 2)
    assert encoded.dtype == np.float32
    assert encoded.flags.c_contiguous
    assert encoded[0] == pytest.approx(np.array([[0, 1], [0.2, 0.4]]))
    assert "look scaled already" in encoding.inspect(images / 255)[0]


def test_other_arrays_have_one_mean_and_scale():
    cube = np.arange(8.0).reshape(2, 2, 2)  # mean 3.5, variance (64 - 1) / 12 = 5.25
    encoding = Encoding.fit(cube, np.array([0.5, 1.5]), dtype="float64")
    assert encoding.features(cube) == pytest.approx((cube - 3.5) / math.sqrt(5.25))
    with pytest.raises(DataError, match=r"row 2: the feature at \(1, 1\) is missing"):
        encoding.features(np.where(cube == 7, np.nan, cube))


# What happens at prediction.


def test_new_category():
    encoding = fit({"c": ["a", "b", "c", "a"], "two": ["p", "q", "p", "q"]})
    later = Table({"c": ["b", "z", "z"], "two": ["q", "p", "r"]})
    assert encoding.features(later).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0.5]]
    assert encoding.inspect(later) == (
        "column 'c': 2 values are categories that training did not have ('z'): encoded as none of the known ones",
        "column 'two': 1 values are categories that training did not have ('r'): encoded as none of the known ones",
    )


def test_columns_by_name():
    encoding = fit({"a": [1, 2, 3, 4], "b": [5, 6, 8, 9]})
    one, two = Table({"a": [1], "b": [5]}), Table({"b": [5], "extra": ["?"], "a": [1]})
    assert encoding.features(one).tolist() == encoding.features(two).tolist()
    assert encoding.inspect(two) == ("columns that training did not have are ignored: 'extra'",)
    with pytest.raises(DataError, match=r"the column 'b' is missing: .* there are 'a', 'c'"):
        encoding.features(Table({"a": [1], "c": [2]}))


def test_columns_by_position():
    encoding = fit({"a": [1, 2, 3, 4], "b": [5, 6, 8, 9]})
    assert encoding.features(np.array([[1.0, 5.0]])).tolist() == encoding.features(Table({"a": [1], "b": [5]})).tolist()
    with pytest.raises(DataError, match=r"an array \(n, 2\)"):
        encoding.features(np.zeros((1, 3)))


def test_missing_values_where_training_had_none():
    encoding = fit({"x": [1, 2, 3, 6], "c": ["a", "b", "b", "c"], "t": [True, True, True, False]})
    later = Table({"x": [np.nan], "c": np.array([None], dtype=object), "t": np.array([None], dtype=object)})
    assert encoding.features(later).tolist() == [[0, 0, 1, 0, 1]]
    assert encoding.inspect(later) == (
        "column 'x': 1 values are missing, and none was in training: taken as the mean",
        "column 'c': 1 values are missing, and none was in training: taken as 'b', the most common category",
        "column 't': 1 values are missing, and none was in training: taken as true, the more common value",
    )


def test_types_that_changed():
    encoding = fit({"x": [1, 2, 3, 6], "c": ["1", "2", "x", "1"], "d": np.arange(4).astype("datetime64[D]")})
    good = Table({"x": [" 2 ", "3"], "c": [1, 2], "d": ["1970-01-02", "1970-01-03"]})
    same = Table({"x": [2, 3], "c": ["1", "2"], "d": np.array([1, 2]).astype("datetime64[D]")})
    assert encoding.features(good).tolist() == encoding.features(same).tolist()
    with pytest.raises(DataError, match="row 2, column 'x': 'tall' is not a number, and training had numbers there"):
        encoding.features(Table({"x": ["1", "tall"], "c": [1, 1], "d": ["1970-01-02"] * 2}))
    with pytest.raises(DataError, match="row 1, column 'd': 'soon' is not a date"):
        encoding.features(Table({"x": [1, 2], "c": [1, 1], "d": ["soon", "1970-01-02"]}))
    with pytest.raises(DataError, match=r"row 2, column 'x'.*infinite"):
        encoding.features(Table({"x": [1, np.inf], "c": [1, 1], "d": ["1970-01-02"] * 2}))
    with pytest.raises(DataError, match="row 1, column 't': 'maybe' is neither true nor false"):
        fit({"t": [True, False, True, True]}).features(Table({"t": ["maybe"]}))


def test_numbers_too_far_for_the_dtype():
    encoding = Encoding.fit(Table({"x": [1e-30, 2e-30, 3e-30, 4e-30]}), LABELS)
    with pytest.raises(DataError, match=r"row 2, column 'x': '1e\+30' is so far from .* float32"):
        encoding.features(Table({"x": [1e-30, 1e30]}))


def test_statistics_do_not_overflow():
    encoding = Encoding.fit(Table({"x": [1e308, -1e308, 1e308, -1e308]}), LABELS)
    assert encoding.features(Table({"x": [1e308, -1e308, 0.0]})).ravel().tolist() == [1, -1, 0]


def test_unknown_label():
    encoding = fit({"c": [1, 2, 3, 4]}, target_name="answer")
    with pytest.raises(DataError, match="the target 'answer', row 2: 'maybe' is not one of the classes 'no', 'yes'"):
        encoding.target(np.array(["no", "maybe"]))
    numbers = fit({"c": [1, 2, 3, 4]}, np.array([1, 2, 1, 2]))
    assert numbers.target(np.array(["2", "1"])).tolist() == [1, 0]
    with pytest.raises(DataError, match="row 1: 'x' is not a number"):
        numbers.target(np.array(["x"]))


BAD_FITS = [
    ({"target": ["a"] * 4}, "one class 'a'"),
    ({"target": ["a", "b", "c", "d"]}, "a class of its own"),
    ({"target": [1.5] * 4}, "all 4 values are 1.5"),
    ({"target": [1.5, np.nan, 2.5, 3.5]}, "missing in row 2"),
    ({"target": [1.5, np.inf, 2.5, 3.5]}, "row 2: infinity"),
    ({"target": ["a", "b"]}, "4 rows of features and a target of shape"),
    ({"target": ["a", "b", "c", "b"], "task": "regression"}, "row 1: 'a' is not a number"),
    ({"target": np.arange(4).astype("datetime64[D]")}, "dates"),
    ({"target": np.ones((4, 2)), "task": "classification"}, "target 1: all 4 rows have the one class"),
]


@pytest.mark.parametrize(("options", "expected"), BAD_FITS)
def test_targets_that_cannot_be_learned(options, expected):
    with pytest.raises(DataError, match=expected):
        Encoding.fit(Table({"c": [1, 2, 3, 4]}), np.array(options["target"]), task=options.get("task", "auto"))


def test_infinite_feature_names_the_row():
    with pytest.raises(DataError, match="row 3, column 'c': infinity"):
        fit({"c": [1, 2, np.inf, 4]})


@pytest.mark.parametrize("options", [{"task": "ranking"}, {"dtype": "int8"}])
def test_settings(options):
    with pytest.raises(SettingsError):
        Encoding.fit(np.arange(4.0)[:, None], LABELS, **options)


# Features of the other form, or of the wrong shape.


def test_a_table_of_numbers_where_training_had_an_array():
    encoding = Encoding.fit(np.array([[1.0, 5], [2, 7], [3, 6], [4, 5]]), LABELS)
    rows = np.array([[1.5, 5.5], [2.5, 6.5]])
    assert encoding.features(Table({"a": rows[:, 0], "b": rows[:, 1]})).tolist() == encoding.features(rows).tolist()
    with pytest.raises(DataError, match="the columns 'b' are not numbers"):
        encoding.features(Table({"a": [1], "b": ["x"]}))
    with pytest.raises(DataError, match=r"shape \(1, 3\): expected \(2,\) for each sample"):
        encoding.features(np.zeros((1, 3)))
    with pytest.raises(DataError, match=r"row 2: the feature at \(0,\) is infinite"):
        encoding.features(np.array([[1, 1], [np.inf, 1]]))


def test_one_column_as_a_flat_array():
    encoding = Encoding.fit(np.array([1.0, 2, 3, 6]), LABELS)
    assert encoding.input_shape == (1,)
    assert encoding.features(np.array([3.0])).tolist() == [[0]]


ARRAYS_OF_NO_USE = [
    (np.ones((4, 2)), "all 2 columns of the features are constant"),
    (np.full((4, 2), np.nan), "all 2 columns of the features are constant"),
    (np.ones((4, 2, 2)), "all values of the features are 1"),
    (np.array(["a", "b", "c", "d"]), "expected numbers of shape"),
    (np.ones((4, 0)), "expected numbers of shape"),
    (np.array([[1.0], [np.inf], [2.0], [3.0]]), "row 2: the feature at .* is infinite"),
]


@pytest.mark.parametrize(("features", "expected"), ARRAYS_OF_NO_USE)
def test_arrays_that_cannot_be_learned(features, expected):
    with pytest.raises(DataError, match=expected):
        Encoding.fit(features, LABELS)


def test_kinds_that_changed_altogether():
    days = np.arange(4).astype("datetime64[D]")
    encoding = fit({"x": [1, 2, 3, 6], "d": days})
    with pytest.raises(DataError, match="column 'x' holds dates, and training had numbers"):
        encoding.features(Table({"x": days, "d": days}))
    with pytest.raises(DataError, match="column 'd' holds a number in every row, and training had dates"):
        encoding.features(Table({"x": [1], "d": [5]}))
    absent = encoding.features(Table({"x": np.array([None], dtype=object), "d": [np.nan]}))
    assert absent.tolist() == [[0, 0, 0, 0]]


def test_regression_of_text_that_is_numbers():
    encoding = fit({"c": [1, 2, 3, 4]}, np.array(["1.5", "2.5", "1.5", "2.5"]), task="regression")
    assert encoding.target(np.array(["1.5", "2.5"])).tolist() == [[-1], [1]]
    assert fit({"c": [1, 2, 3, 4]}, np.array([True, False, True, True]), task="regression").n_outputs == 1
    with pytest.raises(DataError, match="2 numbers a row, expected 1"):
        encoding.target(np.ones((3, 2)))
    with pytest.raises(DataError, match=r"expected \(n, 1\)"):
        encoding.decode(np.ones((3, 2)))
    far = Encoding.fit(np.arange(4.0), np.array([1e-30, 2e-30, 3e-30, 5.5e-30]))
    with pytest.raises(DataError, match="row 2: the number is too large for float32"):
        far.target(np.array([1e-30, 1e30]))


def test_booleans_as_words():
    encoding = fit({"c": [1, 2, 3, 4]}, np.array([True, False, True, False]))
    assert encoding.target(np.array(["true", "False"])).tolist() == [1, 0]
    with pytest.raises(DataError, match="row 1: 'maybe' is not one of the classes 'false', 'true'"):
        encoding.target(np.array(["maybe", "true"]))


def test_data_frames_and_columns_by_name():
    """As `load` reads them: text that is numbers is numbers, in training and for new rows."""
    columns = {"size": ["1.5", "2", "4"], "city": ["Bonn", "Rome", "Bonn"]}
    frame = pd.DataFrame(columns)
    table = load(columns, require_target=False).features
    expected = Encoding.fit(table, np.array([0, 1, 0]))
    for features in (frame, columns, pl.DataFrame(columns)):
        encoding = Encoding.fit(features, pd.Series([0, 1, 0]))
        assert encoding.to_dict() == expected.to_dict()
        np.testing.assert_array_equal(encoding.features(features), expected.features(table))
        assert encoding.inspect(features) == ()
    np.testing.assert_array_equal(expected.features(frame[1:2]), expected.features(table)[1:2])
