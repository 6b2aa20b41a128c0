"""Layers that are random in training: the noise's distribution, its gradient, and the identity in inference."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import scipy.stats
from noise_table import SOURCES

from clearprop import losses, nn
from clearprop.backends.reference import Reference
from clearprop.errors import SettingsError
from clearprop.ir import Batch, Type
from clearprop.model import Model
from clearprop.optim import SGD
from clearprop.randomness import Key
from clearprop.train import Signature, build_objective

ONES = np.ones((400, 250))
NOISY = {
    thing
    for name in nn.__all__
    if inspect.isclass(thing := getattr(nn, name)) and thing.__module__ == "clearprop.nn.noise"
}


def philox_uniform(seed: int, step: int, stream: int, count: int) -> np.ndarray:
    """The draws a mask is made of, by NumPy's own Philox bit generator of 32-bit words.

    NumPy's Philox is the 4x64 one, so the 4x32 rounds are written out here with Python's integers.
    """
    k0, k1 = (int(word) for word in Key(seed).words())
    draws = []
    for block in range(-(-count // 4)):
        c = [block, stream, step & 0xFFFFFFFF, step >> 32]
        a, b = k0, k1
        for _ in range(10):
            p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
            c = [(p1 >> 32) ^ c[1] ^ a, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ b, p0 & 0xFFFFFFFF]
            a, b = (a + 0x9E3779B9) & 0xFFFFFFFF, (b + 0xBB67AE85) & 0xFFFFFFFF
        draws += c
    return np.array([bits >> 8 for bits in draws[:count]]) * 2.0**-24


def dropped(apply, x=ONES, rate=0.3, step=0, seed=0):
    return apply(nn.Dropout(rate), x, training=True, step=step, seed=seed).outputs()["result"]


def test_every_kind_has_a_name():
    assert set(nn.NOISE.values()) == NOISY
    assert set(SOURCES) == set(nn.NOISE)


@pytest.mark.parametrize("name", nn.NOISE)
def test_inference_is_the_identity_and_draws_nothing(apply, name):
    applied = apply(nn.NOISE[name](), ONES)
    np.testing.assert_array_equal(applied.outputs()["result"], ONES)
    assert not applied.context.random


@pytest.mark.parametrize("name", [name for name in nn.NOISE if name != "mixup"])
def test_noise_is_new_at_every_step_and_the_same_when_asked_again(apply, name):
    layer = nn.NOISE[name]()
    first, again, second = (apply(layer, ONES, training=True, step=step).outputs()["result"] for step in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


@pytest.mark.parametrize("name", [name for name in nn.NOISE if name != "mixup"])
def test_the_mean_is_kept(apply, name):
    x = np.random.default_rng(0).normal(0, 1, ONES.shape) if name == "alpha_dropout" else ONES
    result = apply(nn.NOISE[name](), x, training=True).outputs()["result"]
    assert abs(result.mean() - x.mean()) < 0.02


@pytest.mark.parametrize(
    ("layer", "std"),
    [(nn.GaussianNoise(0.5), 0.5), (nn.GaussianNoise(3.0), 3.0), (nn.GaussianDropout(0.2), 0.5)],
    ids=str,
)
def test_gaussian_noise_is_normal(apply, layer, std):
    noise = apply(layer, ONES, training=True).outputs()["result"] - 1.0
    assert scipy.stats.kstest(noise.ravel(), scipy.stats.norm(0, std).cdf).pvalue > 1e-3
    flat = noise.ravel() / std
    for lag in (1, 2, 3, 4, 250):
        assert abs(np.corrcoef(flat[:-lag], flat[lag:])[0, 1]) < 4 / np.sqrt(flat.size)
    for axis in (0, 1):
        sums = flat.reshape(ONES.shape).sum(axis) / np.sqrt(ONES.shape[axis])
        assert scipy.stats.kstest(sums, "norm").pvalue > 1e-3


def test_gaussian_dropout_has_the_variance_of_dropout(apply):
    kept = apply(nn.Dropout(0.3), ONES, training=True).outputs()["result"]
    noisy = apply(nn.GaussianDropout(0.3), ONES, training=True).outputs()["result"]
    assert noisy.var() == pytest.approx(kept.var(), rel=0.02)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4])
def test_alpha_dropout_keeps_mean_and_variance_of_standard_numbers(apply, rate):
    x = np.random.default_rng(0).normal(size=ONES.shape)
    result = apply(nn.AlphaDropout(rate), x, training=True).outputs()["result"]
    assert abs(result.mean()) < 0.02
    assert abs(result.std() - 1) < 0.02
    lowest, count = np.unique(result, return_counts=True)
    dropped = count.max() if rate else 0
    assert abs(dropped / x.size - rate) < 0.01
    if rate:  # every dropped number is the same: SELU's lower end, brought along by the affine map
        q, low = 1 - rate, -1.7580993408473766
        scale = (q + low**2 * q * rate) ** -0.5
        assert lowest[count.argmax()] == pytest.approx(scale * low - scale * rate * low, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in nn.NOISE if name != "mixup"])
def test_the_gradient_passes_through_the_noise(apply, name):
    """Each is affine in x for fixed noise, so that differences are exact."""
    x = np.random.default_rng(0).normal(size=(6, 4))
    applied = apply(nn.NOISE[name](), x, training=True, step=9)
    weights = np.random.default_rng(1).normal(size=x.shape)
    slope = applied.outputs(x=x + 1.0)["result"] - applied.outputs(x=x)["result"]
    np.testing.assert_allclose(applied.gradients(weights, "x")["x"], weights * slope, rtol=1e-9, atol=1e-12)


class TestDropout:
    """More of the commonest kind: its masks' statistics, and what they are a function of."""

    @pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
    def test_kept_values_are_scaled_and_the_rest_is_zero(self, apply, rate):
        result = dropped(apply, rate=rate)
        np.testing.assert_allclose(np.unique(result), [1.0] if rate == 0 else [0.0, 1 / (1 - rate)], rtol=1e-15)
        count = int((result == 0).sum())
        if rate:
            assert scipy.stats.binomtest(count, ONES.size, rate).pvalue > 1e-3
        assert abs(result.mean() - 1) < 0.02 + 0.02 * rate

    @pytest.mark.parametrize("axis", [0, 1])
    def test_rows_and_columns_are_dropped_alike(self, apply, axis):
        zeros = (dropped(apply) == 0).sum(axis=axis)
        n = ONES.shape[axis]
        statistic = ((zeros - 0.3 * n) ** 2 / (n * 0.3 * 0.7)).sum()
        assert 1e-3 < scipy.stats.chi2.cdf(statistic, len(zeros)) < 1 - 1e-3

    def test_neighbours_are_independent(self, apply):
        mask = (dropped(apply) == 0).astype(float).ravel()
        for lag in (1, 2, 3, 4, 250):
            assert abs(np.corrcoef(mask[:-lag], mask[lag:])[0, 1]) < 4 / np.sqrt(mask.size)

    @pytest.mark.parametrize("step", [0, 1, 7, 2**32, 2**40 + 3])
    def test_the_mask_is_philox_of_key_step_and_stream(self, apply, step):
        expected = (philox_uniform(5, step, 1, 21) >= np.float32(0.3)).reshape(7, 3)
        result = dropped(apply, np.ones((7, 3)), step=step, seed=5)
        np.testing.assert_array_equal(result != 0, expected)

    def test_masks_are_equal_in_float32_and_float64(self, apply):
        wide, narrow = dropped(apply), dropped(apply, ONES.astype(np.float32))
        assert narrow.dtype == np.float32
        np.testing.assert_array_equal(wide != 0, narrow != 0)

    def test_a_mask_is_new_at_every_step_and_the_same_when_asked_again(self, apply):
        first, again, second = dropped(apply, step=3), dropped(apply, step=3), dropped(apply, step=4)
        np.testing.assert_array_equal(first, again)
        agreement = ((first == 0) == (second == 0)).mean()
        assert abs(agreement - (0.3**2 + 0.7**2)) < 0.01
        assert (dropped(apply, seed=1) != first).any()

    def test_two_dropouts_of_a_network_have_streams_of_their_own(self, apply):
        network = nn.Parallel(nn.Dropout(0.5), nn.Dropout(0.5))
        result = apply(network, ONES, training=True).outputs()["result"]
        left, right = np.split(result == 0, 2, axis=1)
        assert abs((left == right).mean() - 0.5) < 0.01
        np.testing.assert_array_equal(left[:2, :3].ravel()[:3], (philox_uniform(0, 0, 1, 3) < 0.5))
        np.testing.assert_array_equal(right[:2, :3].ravel()[:3], (philox_uniform(0, 0, 2, 3) < 0.5))

    def test_inference_is_the_identity_and_draws_nothing(self, apply):
        applied = apply(nn.Dropout(0.5), ONES)
        np.testing.assert_array_equal(applied.outputs()["result"], ONES)
        assert not applied.context.random
        assert not applied.context.hyper

    def test_the_rate_is_given_when_the_program_runs(self, apply):
        layer = nn.Sequential(nn.Dropout(0.5, name="drop"))
        applied = apply(layer, ONES, training=True)
        assert applied.context.hyper == {"drop.rate": 0.5}
        result = applied.outputs(**{"drop.rate": np.asarray(0.1)})["result"]
        assert abs((result == 0).mean() - 0.1) < 0.01


class TestDropConnect:
    def test_weights_are_dropped_in_training_only(self, apply):
        layer = nn.Dense(300, bias=False, weights=nn.Fill(1.0), weight_noise=nn.Dropout(0.4))
        x = np.eye(200)
        trained = apply(layer, x, training=True)
        W = trained.outputs()["result"]
        np.testing.assert_allclose(np.unique(W), [0.0, 1 / 0.6], rtol=1e-15)
        assert scipy.stats.binomtest(int((W == 0).sum()), W.size, 0.4).pvalue > 1e-3
        np.testing.assert_array_equal(apply(layer, x).outputs()["result"], np.ones((200, 300)))
        assert list(trained.context.hyper) == ["weight_noise.rate"]

    def test_penalties_see_the_weights_without_noise(self, apply):
        layer = nn.Dense(30, weights=nn.Fill(1.0), penalty=nn.L2(2.0), weight_noise=nn.GaussianNoise(1.0))
        outputs = apply(layer, np.ones((2, 20)), training=True).outputs()
        assert outputs["penalty0"] == pytest.approx(600.0, rel=1e-12)

    def test_by_name_it_is_the_noise_with_its_defaults(self, apply):
        named, made = (nn.Dense(3, weights=nn.Fill(1.0), weight_noise=noise) for noise in ("dropout", nn.Dropout()))
        results = [apply(layer, np.ones((2, 20)), training=True).outputs()["result"] for layer in (named, made)]
        np.testing.assert_array_equal(*results)

    def test_what_is_no_layer_is_refused(self):
        with pytest.raises(SettingsError, match=r"no noise 0.5; choose one of dropout, .* or give a Layer"):
            nn.Dense(3, weight_noise=0.5)


class TestMixup:
    def draw(self, apply, alpha: float, step: int, n: int = 5) -> tuple[float, int]:
        """The weight and the shift of one step, read off the mixed identity matrix."""
        x = np.eye(n)
        mixed = apply(nn.Mixup(alpha), x, training=True, step=step).outputs()["result"]
        weight = mixed[0, 0]
        shift = int(np.argmax(np.where(np.arange(n) == 0, -1.0, mixed[0])))
        np.testing.assert_allclose(mixed, weight * x + (1 - weight) * np.roll(x, -shift, axis=0), rtol=1e-6, atol=1e-9)
        return weight, shift

    @pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0, 5.0])
    def test_weights_are_beta_and_partners_uniform(self, apply, alpha):
        applied = apply(nn.Mixup(alpha), np.eye(5), training=True)
        weights, shifts = [], np.zeros(5)
        for step in range(1000):
            mixed = applied.outputs(step=np.asarray(step, np.int64))["result"]
            weights.append(mixed[0, 0])
            shifts[1 + int(np.argmax(mixed[0, 1:]))] += 1
        assert scipy.stats.kstest(weights, scipy.stats.beta(alpha, alpha).cdf).pvalue > 1e-3
        if alpha >= 1.0:  # a weight of almost 1 hides the partner
            assert scipy.stats.chisquare(shifts[1:]).pvalue > 1e-3

    def test_every_sample_meets_the_same_neighbour(self, apply):
        for step in range(20):
            weight, shift = self.draw(apply, 1.0, step)
            assert 0 <= weight <= 1
            assert 1 <= shift < 5

    @pytest.mark.parametrize("n", [1, 2])
    def test_small_batches(self, apply, n):
        x = np.arange(3.0 * n).reshape(n, 3)
        result = apply(nn.Mixup(1.0), x, training=True).outputs()["result"]
        assert np.isfinite(result).all()
        np.testing.assert_allclose(result.sum(axis=0), x.sum(axis=0), rtol=1e-6)

    @pytest.mark.parametrize("hard", [True, False])
    def test_cross_entropy_is_that_of_the_mixed_target(self, hard):
        """Against the paper's formula: x and the one-hot target mixed alike, then the plain loss."""
        rng = np.random.default_rng(0)
        x, y, W = rng.normal(size=(6, 3)), np.array([0, 1, 2, 3, 1, 0]), rng.normal(size=(3, 4))
        target = y if hard else np.eye(4)[y]
        types = {"dense1.W": Type("float64", (3, 4))}
        y_type = Type(str(target.dtype), (Batch(), *target.shape[1:]))
        signature = Signature(types, ("dense1.W",), Type("float64", (Batch(), 3)), y_type)
        network = nn.Sequential(nn.Mixup(1.0), nn.Dense(4, bias=False))
        program, hyper = build_objective(network, losses.CrossEntropy(), signature)
        run = Reference().compile(program)
        for step in range(5):
            key = {"key": Key(3).words(), "step": np.asarray(step)}
            values = run.inspect({"x": x, "y": target, "dense1.W": W} | hyper | key)
            weight, partner = values["mixup1.weight"], values["mixup1.partner"]
            mixed_x = weight * x + (1 - weight) * x[partner]
            t = np.eye(4)[y]
            mixed_t = weight * t + (1 - weight) * t[partner]
            z = mixed_x @ W
            log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(values["cost"], -(mixed_t * log_p).sum(axis=1).mean(), rtol=1e-9)

    def test_a_model_learns_with_it(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 4))
        y = (x[:, 0] > 0).astype(np.int64)
        network = [nn.Mixup(0.4), nn.Dense(16, "tanh"), nn.Dense(2)]
        model = Model(network, "cross_entropy", SGD(0.3), backend="reference")
        model.fit(x, y, epochs=20, progress=False)
        assert (model.predict_classes(x) == y).mean() > 0.9

    def test_once_is_enough(self):
        model = Model([nn.Mixup(), nn.Dense(2), nn.Mixup()], backend="reference")
        with pytest.raises(SettingsError, match="mixes its samples once"):
            model.fit(np.zeros((4, 2)), np.zeros((4, 2)), epochs=1, progress=False)
