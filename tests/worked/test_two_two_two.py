"""The well-known 2-2-2 network, number by number, as one does it by hand.

    x1 = 0.05 --w1, w3-->  h1, h2  --w5, w7-->  o1   target 0.01
    x2 = 0.10 --w2, w4-->          --w6, w8-->  o2   target 0.99

    w1 .15 (x1 to h1)   w2 .20 (x2 to h1)   w3 .25 (x1 to h2)   w4 .30 (x2 to h2)   b1 .35 (held)
    w5 .40 (h1 to o1)   w6 .45 (h2 to o1)   w7 .50 (h1 to o2)   w8 .55 (h2 to o2)   b2 .60 (held)

Sigmoid throughout, half squared error, summed over the outputs; gradient descent with the rate 0.5. Published copies
of this example give 0.291027924 for the error after one step. That comes from updating the hidden layer with output
weights that were already updated; with the gradient at one point it is 0.291027774.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clearprop import losses, nn, optim
from clearprop.compile import value_and_gradient
from clearprop.ir import Type
from clearprop.model import Model

X, Y = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
PARAMETERS = {
    "hidden.W": [[0.15, 0.25], [0.20, 0.30]],  # W[in, out]: [[w1, w3], [w2, w4]]
    "hidden.b": [0.35, 0.35],
    "output.W": [[0.40, 0.50], [0.45, 0.55]],  # [[w5, w7], [w6, w8]]
    "output.b": [0.60, 0.60],
}


@pytest.fixture
def model() -> Model:
    network = [nn.Dense(2, "sigmoid", name="hidden"), nn.Dense(2, "sigmoid", name="output")]
    loss = losses.SquaredError(scale=0.5, over="sum")
    made = Model(network, loss, optim.SGD(0.5), dtype="float64", frozen="*.b")
    made.init((2,))
    made.set_parameters(PARAMETERS)
    return made


@pytest.fixture
def values(model: Model) -> dict[str, Any]:
    """Every value of the forward and the backward pass, by its name."""
    programs = model.step_programs(Type("float64", model.output_type().shape), weighted=False)
    run: Any = value_and_gradient(programs.objective, model.trainable, of="objective", backend="reference")
    values: dict[str, Any] = run.inspect({"x": X, "y": Y} | model.parameters)
    return values | {key: values[value.name] for key, value in run.program.outputs}


def test_forward(values):
    # z_h1 = .15 * .05 + .20 * .10 + .35 = 0.3775
    # z_h2 = .25 * .05 + .30 * .10 + .35 = 0.3925
    np.testing.assert_allclose(values["hidden.z"], [[0.3775, 0.3925]], rtol=1e-15)
    # a_h1 = 1 / (1 + e^-0.3775) = 0.59326999;  a_h2 = 1 / (1 + e^-0.3925) = 0.59688438
    np.testing.assert_allclose(values["hidden.a"], [[0.5932699921, 0.5968843783]], rtol=1e-9)
    # z_o1 = .40 * 0.59326999 + .45 * 0.59688438 + .60 = 1.10590597
    # z_o2 = .50 * 0.59326999 + .55 * 0.59688438 + .60 = 1.22492140
    np.testing.assert_allclose(values["output.z"], [[1.1059059671, 1.2249214041]], rtol=1e-9)
    # a_o1 = 0.75136507;  a_o2 = 0.77292847
    np.testing.assert_allclose(values["output.a"], [[0.7513650696, 0.7729284653]], rtol=1e-9)


def test_error(values):
    # E_o1 = 1/2 (0.01 - 0.75136507)^2 = 0.274811083;  E_o2 = 1/2 (0.99 - 0.77292847)^2 = 0.023560026
    each = 0.5 * (values["output.a"] - Y) ** 2
    np.testing.assert_allclose(each, [[0.274811083, 0.023560026]], rtol=2e-8)
    # E = 0.274811083 + 0.023560026 = 0.298371109
    np.testing.assert_allclose(values["loss"], [0.298371109], rtol=1e-8)
    assert values["cost"] == pytest.approx(0.2983711087600027, rel=1e-14)


def test_backward_through_the_output_layer(values):
    # dE/da_o1 = 0.75136507 - 0.01 = 0.74136507;  dE/da_o2 = 0.77292847 - 0.99 = -0.21707153
    np.testing.assert_allclose(values["output.da"], [[0.7413650696, -0.2170715347]], rtol=1e-9)
    # da/dz = a (1 - a): 0.75136507 * 0.24863493 = 0.18681560;  0.77292847 * 0.22707153 = 0.17551005
    # delta_o1 = 0.74136507 * 0.18681560 = 0.13849856;  delta_o2 = -0.21707153 * 0.17551005 = -0.03809824
    np.testing.assert_allclose(values["output.delta"], [[0.1384985616, -0.0380982365]], rtol=1e-9)
    # dE/dw5 = delta_o1 a_h1 = 0.13849856 * 0.59326999 = 0.08216704;  dE/dw7 = delta_o2 a_h1 = -0.02260254
    # dE/dw6 = delta_o1 a_h2 = 0.13849856 * 0.59688438 = 0.08266763;  dE/dw8 = delta_o2 a_h2 = -0.02274024
    expected = [[0.0821670406, -0.0226025405], [0.0826676278, -0.0227402422]]
    np.testing.assert_allclose(values["grad.output.W"], expected, rtol=2e-9)


def test_backward_through_the_hidden_layer(values):
    # dE/da_h1 = delta_o1 w5 + delta_o2 w7 = 0.13849856 * .40 - 0.03809824 * .50 = 0.05539942 - 0.01904912 = 0.03635031
    # dE/da_h2 = delta_o1 w6 + delta_o2 w8 = 0.13849856 * .45 - 0.03809824 * .55 = 0.06232435 - 0.02095403 = 0.04137032
    np.testing.assert_allclose(values["hidden.da"], [[0.0363503064, 0.0413703226]], rtol=2e-9)
    # a_h1 (1 - a_h1) = 0.24130071;  a_h2 (1 - a_h2) = 0.24061342
    # delta_h1 = 0.03635031 * 0.24130071 = 0.00877135;  delta_h2 = 0.04137032 * 0.24061342 = 0.00995425
    np.testing.assert_allclose(values["hidden.delta"], [[0.0087713547, 0.0099542547]], rtol=2e-8)
    # dE/dw1 = delta_h1 x1 = 0.000438568;  dE/dw3 = delta_h2 x1 = 0.000497713
    # dE/dw2 = delta_h1 x2 = 0.000877135;  dE/dw4 = delta_h2 x2 = 0.000995425
    expected = [[0.000438567735, 0.000497712735], [0.00087713547, 0.00099542547]]
    np.testing.assert_allclose(values["grad.hidden.W"], expected, rtol=2e-8)


def test_one_step(model):
    assert model.evaluate(X, Y)["loss"] == pytest.approx(0.298371109, abs=5e-10)
    model.fit(X, Y, epochs=1, progress=False)
    # w5 = .40 - 0.5 * 0.08216704 = 0.35891648;  w7 = .50 + 0.5 * 0.02260254 = 0.51130127
    # w6 = .45 - 0.5 * 0.08266763 = 0.40866619;  w8 = .55 + 0.5 * 0.02274024 = 0.56137012
    np.testing.assert_allclose(
        model.parameters["output.W"], [[0.35891648, 0.51130127], [0.40866619, 0.56137012]], atol=5e-9
    )
    # w1 = .15 - 0.5 * 0.00043857 = 0.14978072;  w3 = .25 - 0.5 * 0.00049771 = 0.24975114
    # w2 = .20 - 0.5 * 0.00087714 = 0.19956143;  w4 = .30 - 0.5 * 0.00099543 = 0.29950229
    np.testing.assert_allclose(
        model.parameters["hidden.W"], [[0.14978072, 0.24975114], [0.19956143, 0.29950229]], atol=5e-9
    )
    # the biases are held
    np.testing.assert_array_equal(model.parameters["hidden.b"], [0.35, 0.35])
    np.testing.assert_array_equal(model.parameters["output.b"], [0.60, 0.60])
    assert model.evaluate(X, Y)["loss"] == pytest.approx(0.29102777369359933, rel=1e-14)


def test_the_published_figure_comes_from_weights_updated_too_early(model):
    """0.291027924, if the hidden layer's gradient goes through the new output weights."""
    model.fit(X, Y, epochs=1, progress=False)
    new_output = model.parameters["output.W"]
    model.set_parameters({"hidden.W": PARAMETERS["hidden.W"]})
    hidden = 1 / (1 + np.exp(-(X @ model.parameters["hidden.W"] + 0.35)))
    output = 1 / (1 + np.exp(-(hidden @ np.array(PARAMETERS["output.W"]) + 0.60)))
    delta = (output - Y) * output * (1 - output)
    wrong = X.T @ (delta @ new_output.T * hidden * (1 - hidden))
    model.set_parameters({"hidden.W": np.array(PARAMETERS["hidden.W"]) - 0.5 * wrong})
    assert model.evaluate(X, Y)["loss"] == pytest.approx(0.291027924, abs=5e-10)


def test_ten_thousand_steps(model):
    # the printed step, called 10,000 times; the engine goes the same way for the first 200
    namespace: dict[str, Any] = {}
    exec(model.source(), namespace)
    weights = dict(model.parameters)
    errors = []
    for step in range(10_000):
        new = namespace["training_step"](X, Y, *weights.values(), learning_rate=0.5, step=step)
        weights |= {name: new[name] for name in weights if name in new}
        errors.append(float(new["cost"]))
    # copies of the sample, one a step: the same steps as epochs of one, but without a record of each
    model.fit(np.repeat(X, 200, axis=0), np.repeat(Y, 200, axis=0), epochs=1, batch_size=1, progress=False)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(errors[200], rel=1e-13)
    model.set_parameters(weights)
    assert model.evaluate(X, Y)["loss"] == pytest.approx(3.510187782978859e-05, rel=1e-11)
    np.testing.assert_allclose(model.predict(X), [[0.01591362, 0.98406427]], atol=5e-9)
    assert errors == sorted(errors, reverse=True)
