"""Writing text: the same probabilities as reading it at once, draws by the seed, what cannot write."""

import itertools

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.data import TextEncoding
from clearprop.errors import SettingsError
from clearprop.model import TextGenerator, generate

TEXT = "namaskar"
CELLS = [
    nn.SimpleRNN(5, outputs="all"),
    nn.SimpleRNN(5, outputs="all", memory=3, start="learnt"),
    nn.LSTM(5, outputs="all", start="learnt"),
    nn.GRU(5, outputs="all"),
    nn.GRU(5, outputs="all", reset="before"),
]


BLOCK = (nn.PositionEncoding("learnt"), nn.TransformerBlock(2, 6, causal=True))


def known(probability, temperature=1.0):
    """The probabilities of the tokens that may be written, in float64: softmax(log p / T) without token 0."""
    z = np.log(np.asarray(probability, np.float64)[..., 1:])
    share = np.exp((z - z.max(axis=-1, keepdims=True)) / temperature)
    share = share / share.sum(axis=-1, keepdims=True)
    return np.concatenate([np.zeros((*share.shape[:-1], 1)), share], axis=-1)


def model_of(*layers, seed=0, backend="auto", loss="cross_entropy", dtype="float32"):
    encoding = TextEncoding.fit(TEXT, dtype=dtype)
    network = [nn.Embedding(encoding.n_outputs, 4), *layers, cp.Dense(encoding.n_outputs)]
    model = cp.Model(network, loss=loss, seed=seed, backend=backend, dtype=dtype)
    model.encoding = encoding
    model.init((len(TEXT),))
    rng = np.random.default_rng(seed)  # also what starts at zero, such as biases and learnt states
    model.set_parameters({name: rng.normal(size=array.shape) for name, array in model.parameters.items()})
    return model


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("layers", [*[(cell,) for cell in CELLS], tuple(CELLS)], ids=repr)
def test_step_by_step_is_as_at_once(layers, backend):
    model = model_of(*layers, backend=backend)
    expected = known(model.predict([TEXT])[0])
    generator = TextGenerator(model)
    for place, token in enumerate(model.encoding.tokens(TEXT)):
        np.testing.assert_allclose(generator.read([token]), expected[place], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_attention_reads_a_window_again(backend):
    model = model_of(*BLOCK, backend=backend)
    expected = known(model.predict([TEXT])[0])
    generator = TextGenerator(model)
    tokens = model.encoding.tokens(TEXT)
    for place, token in enumerate(tokens):
        np.testing.assert_allclose(generator.read([token]), expected[place], rtol=2e-5, atol=1e-6)
    later = known(model.predict([TEXT[2:] + TEXT[:2]])[0, -1])
    np.testing.assert_allclose(generator.read(tokens[:2]), later, rtol=2e-5, atol=1e-6)
    cold = TextGenerator(model)
    cold.read(tokens)
    np.testing.assert_allclose(cold.read(tokens[:2], 0.5), later**2 / (later**2).sum(), rtol=1e-4)
    assert len("".join(generate(model, "na", 12, top_k=3, seed=1))) == 12


def test_temperature():
    model = model_of(CELLS[2])
    usual = TextGenerator(model).read([1, 2]).astype(np.float64)
    cold = TextGenerator(model).read([1, 2], 0.5)
    np.testing.assert_allclose(cold, usual**2 / (usual**2).sum(), rtol=1e-4)


@pytest.mark.parametrize("backend", ["reference", "native"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [CELLS[3:4], BLOCK], ids=["steps", "window"])
def test_the_unknown_token_however_likely_takes_nothing_from_the_others(layers, dtype, backend):
    model = model_of(*layers, dtype=dtype, backend=backend)
    usual = model.predict([TEXT])[0, :3]
    bias = model.parameters["dense1.b"]
    model.set_parameters({"dense1.b": np.concatenate([bias[:1] + 3000, bias[1:]])})
    assert np.isclose(model.predict([TEXT])[0, 0, 0], 1)
    tokens = model.encoding.tokens(TEXT)[:3]
    for temperature in (1e-300, 1e-44, 1e-4, 0.02, 0.5, 1.0, 30.0, 1e44, 1e300):
        read = TextGenerator(model).read(tokens, temperature)
        np.testing.assert_allclose(read, known(usual[-1], temperature), rtol=2e-3, atol=1e-6)
        assert read[0] == 0


@pytest.mark.parametrize("layers", [CELLS[2:3], BLOCK], ids=["steps", "window"])
def test_what_is_written_where_the_unknown_token_is_the_likeliest(layers):
    model = model_of(*layers)
    usual = "".join(generate(model, "nam", 12, temperature=0))
    model.set_parameters({"dense1.b": model.parameters["dense1.b"] + 3000 * (np.arange(len(set(TEXT)) + 1) == 0)})
    for temperature, top_k in itertools.product((0, 1e-300, 1e-6, 1e-3), (None, 1, 3)):
        assert "".join(generate(model, "nam", 12, temperature=temperature, top_k=top_k)) == usual
    hot = "".join(generate(model, "nam", 300, temperature=1e300, seed=4))
    assert set(hot) == set(TEXT)


def test_before_anything_is_read_all_tokens_are_as_likely():
    generator = TextGenerator(model_of(CELLS[0]))
    assert generator.probability.tolist() == pytest.approx([0] + [1 / len(set(TEXT))] * len(set(TEXT)))
    assert len(list(generator.write(3))) == 3


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_not_finite(temperature):
    model = model_of(CELLS[0])
    model.set_parameters({"dense1.b": np.full(len(set(TEXT)) + 1, np.nan)})
    with pytest.raises(SettingsError, match="not finite"):
        list(generate(model, "n", 3, temperature=temperature))


def test_draws_follow_the_probabilities():
    model = model_of()  # without a state, so that every draw after the same token is from the same probabilities
    written = model.encoding.tokens("".join(generate(model, "n", 4000, seed=5)))
    for token in np.unique(written):
        expected = TextGenerator(model).read([token]).astype(np.float64)
        counts = np.bincount(written[1:][written[:-1] == token], minlength=len(expected))
        spread = np.sqrt(counts.sum() * expected * (1 - expected))
        assert (np.abs(counts - counts.sum() * expected) < 5 * spread + 1).all()


def test_the_likeliest():
    model = model_of()
    likeliest = {token: np.argsort(-TextGenerator(model).read([token])[1:])[:2] + 1 for token in range(1, 7)}
    written = model.encoding.tokens("".join(generate(model, "n", 200, top_k=2, seed=5)))
    assert all(after in likeliest[before] for before, after in itertools.pairwise(written))
    assert len(set(written.tolist())) > 1
    greedy = model.encoding.tokens("".join(generate(model, "n", 10, temperature=0)))
    assert all(after == likeliest[before][0] for before, after in itertools.pairwise(greedy))


def test_the_seed_decides():
    model = model_of(CELLS[3])
    first, again, other = ("".join(generate(model, "nam", 40, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 40
    assert "\ufffd" not in first


def test_without_a_prompt():
    assert len(list(generate(model_of(CELLS[0]), length=3))) == 3
    assert list(generate(model_of(CELLS[0]), length=0)) == []


def test_saved_with_its_vocabulary(tmp_path):
    model = model_of(CELLS[2])
    model.save(tmp_path / "m.safetensors")
    again = cp.load(tmp_path / "m.safetensors")
    assert again.encoding == model.encoding
    assert list(generate(again, "nam", 20)) == list(generate(model, "nam", 20))


def test_the_last_letter():
    encoding = TextEncoding.fit(TEXT)
    model = cp.Model(
        [nn.Embedding(encoding.n_outputs, 8), nn.SimpleRNN(16), cp.Dense(encoding.n_outputs)],
        loss="cross_entropy",
        optimizer=cp.Adam(0.02),
    )
    model.encoding = encoding
    model.fit([TEXT[:-1]], [TEXT[-1]], epochs=40, progress="quiet")
    assert model.predict_classes([TEXT[:-1]]).tolist() == ["r"]
    assert next(generate(model, TEXT[:-1], 1, temperature=0)) == "r"


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Bidirectional(nn.GRU(5, outputs="all")),),
        (nn.GRU(5, outputs="all", reverse=True),),
        (nn.EncoderDecoder(nn.GRU(5), nn.GRU(5), 3),),
        (nn.TransformerBlock(2, 6),),
    ],
    ids=repr,
)
def test_other_memory_is_refused(layers):
    with pytest.raises(SettingsError, match="time steps"):
        TextGenerator(model_of(*layers))


def test_no_text_model():
    model = cp.Model([cp.Dense(2)], loss="cross_entropy")
    model.init((3,))
    with pytest.raises(SettingsError, match="not trained on text"):
        generate(model, "a")
    with pytest.raises(SettingsError, match="logits"):
        generate(model_of(CELLS[0], loss="negative_log_likelihood"), "a")


@pytest.mark.parametrize("wrong", [{"length": -1}, {"temperature": -0.1}, {"top_k": 0}, {"length": 1.5}])
def test_wrong_settings(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        generate(model_of(CELLS[0]), "a", **wrong)
