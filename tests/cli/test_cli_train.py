"""`clearprop train`: data in, a run out."""

import json

import numpy as np
import pytest

from clearprop.cli.choices import TABLE_LOSSES, Choices
from clearprop.cli.defaults import complete
from clearprop.data import load as load_data
from clearprop.model import load
from clearprop.nn import ACTIVATIONS
from clearprop.optim import OPTIMIZERS, SCHEDULES, WHOLE_BATCH, Adam, ClipByNorm, ParameterGroups

SETS = ("iris", "wine", "breast-cancer", "digits", "diabetes")


def settings(run):
    return json.loads((run / "settings.json").read_text())["command"]["choices"]


@pytest.mark.parametrize("name", SETS)
def test_bundled_sets(call, tmp_path, name, quick):
    result = call("train", name, *quick)
    run = tmp_path / "runs" / f"{name}-1"
    assert f"run: runs/{name}-1 (2 epochs" in result.stdout
    figures = json.loads((run / "results.json").read_text())
    metric = "r2" if name == "diabetes" else "accuracy"
    assert np.isfinite(figures["test"][metric])
    assert load(run).encoding is not None
    assert sum(figures["samples"].values()) == {"iris": 150, "wine": 178, "digits": 1797}.get(
        name, sum(figures["samples"].values())
    )


def test_official_test_part_is_used(call, tmp_path, quick):
    folder = tmp_path / "fashion"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, rows in (("train", 60), ("t10k", 20)):
        images = rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = (np.arange(rows) % 10).astype(np.uint8)
        sizes = b"".join(size.to_bytes(4, "big") for size in (rows, 28, 28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + images.tobytes())
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + labels.tobytes())
    result = call("train", "fashion-mnist", "--data-dir", folder, *quick, "--validation", "0.1")
    assert "test (20 rows)" in result.stdout
    samples = json.loads((tmp_path / "runs/fashion-mnist-1/results.json").read_text())["samples"]
    assert samples == {"train": 54, "validation": 6, "test": 20}
    images = folder / "t10k-images-idx3-ubyte"
    assert len(call("predict", "runs/fashion-mnist-1", images).stdout.splitlines()) == 21


def test_table_with_everything(call, house_file, tmp_path, quick):
    result = call("train", house_file, "--target", "price", *quick[:-1], "plain")
    shown = result.stderr
    assert "dropped: " in shown
    assert "one-hot" in shown
    assert "missing" in shown
    assert "days" in shown
    assert "mean absolute error" in result.stdout
    assert (tmp_path / "runs" / "houses-1" / "model.safetensors").is_file()


def test_labels_with_control_codes_are_escaped(call, house_file, quick):
    result = call("train", house_file, "--target", "town", *quick[:-1], "plain")
    assert "B\\x1b[31math" in result.stderr
    call("evaluate", "runs/houses-1")


def test_long_tables_are_abbreviated(call, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "wide.csv"
    names = [f"c{i}" for i in range(50)]
    rows = [",".join([*names, "target"])]
    rows += [",".join([*(f"{v:.3f}" for v in rng.normal(size=50)), "ab"[i % 2]]) for i in range(40)]
    path.write_text("\n".join(rows))
    shown = call("train", path, "--epochs", "1", "--layers", "none", "--progress", "plain").stderr
    assert "and 30 columns more" in shown
    assert "c40" not in shown


def test_binary_cross_entropy_on_two_classes(call, quick):
    call("train", "breast-cancer", *quick, "--loss", "binary_cross_entropy", "--out", "two")
    text = call("predict", "two", "breast-cancer", "--probabilities").stdout.splitlines()
    assert text[0] == "prediction,probability_benign,probability_malignant"
    label, *probabilities = text[1].split(",")
    assert sum(map(float, probabilities)) == pytest.approx(1, abs=1e-6)
    assert (label == "malignant") == (float(probabilities[1]) > 0.5)
    assert "malignant" in call("evaluate", "two").stdout


def test_no_test_part_and_no_validation(call, tmp_path, quick):
    result = call("train", "iris", *quick, "--test", "0", "--validation", "0.2")
    assert result.stdout.startswith("validation")
    assert "--test 0" in call("evaluate", "runs/iris-1", status=2).stderr
    call("train", "iris", *quick, "--test", "0", "--validation", "0")
    assert settings(tmp_path / "runs/iris-2")["patience"] is None


def test_runs_are_counted_and_never_overwritten(call, tmp_path, quick):
    call("train", "iris", *quick)
    call("train", "iris", *quick)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["iris-1", "iris-2"]
    before = (tmp_path / "runs/iris-1/model.safetensors").read_bytes()
    assert "holds a run already" in call("train", "iris", *quick, "--out", "runs/iris-1", status=2).stderr
    assert (tmp_path / "runs/iris-1/model.safetensors").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    assert "other files" in call("train", "iris", *quick, "--out", "mine", status=2).stderr


def test_same_seed_same_bytes_and_another_seed_another(call, tmp_path, quick):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call("train", "iris", *quick, "--seed", seed, "--out", name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_config_gives_defaults_and_options_go_before_it(call, tmp_path):
    config = tmp_path / "run.toml"
    config.write_text('epochs = 1\nlayers = [6, 5]\nbatch-size = 50\nl2 = 0.5\nprogress = "quiet"\ndata = "iris"\n')
    call("train", "--config", config, "--epochs", "2", "--out", "out")
    chosen = settings(tmp_path / "out")
    assert (chosen["epochs"], chosen["layers"], chosen["batch_size"], chosen["l2"]) == (2, [6, 5], 50, 0.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "did you mean 'epochs'?"),
        ("epochs = 2.5", "run.toml: epochs: it is a whole number of at least 1, received '2.5'"),
        ("epochs = true", "run.toml: epochs: it is a whole number"),
        ("lr = 'fast'", "run.toml: lr: "),
        ("resume = 'x'", "run.toml: resume is for the command line alone: type --resume there"),
        ("[train]\nepochs = 2", "no option 'train'"),
        ("layers = {a = 1}", "write a number"),
        ("layers = [1.5]", "run.toml: layers is [1.5]; write a number, a text, or a list of texts or whole numbers"),
        ("network = 'missing.toml'", "run.toml: network: missing.toml"),
        ("epochs 3", "not a TOML file"),
    ],
)
def test_bad_config(call, tmp_path, text, words):
    (tmp_path / "run.toml").write_text(text)
    assert words in call("train", "iris", "--config", "run.toml", status=2).stderr
    assert not (tmp_path / "runs").exists()


def test_patience_needs_something_to_watch(call):
    message = " ".join(call("train", "iris", "--patience", "3", status=2).stderr.split())
    assert "--patience watches a validation part, and there is none: add --validation 0.1" in message


def test_divergence_is_status_1_and_keeps_the_last_weights(call, tmp_path):
    options = ("--optimizer", "sgd", "--lr", "1e30", "--epochs", "3", "--progress", "quiet")
    with np.errstate(all="ignore"):
        result = call("train", "diabetes", *options, "--out", "out", status=1)
    assert "diverged" in result.stderr
    assert "last good weights" in result.stderr
    assert all(np.isfinite(array).all() for array in load(tmp_path / "out").parameters.values())
    assert "would again" in call("train", "--resume", "out", status=2).stderr


def test_metrics_are_recorded_and_measured(call, tmp_path, quick):
    result = call("train", "iris", *quick, "--metrics", "f1_macro,matthews_corrcoef", "--out", "out")
    assert "matthews corrcoef" in result.stdout
    record = json.loads((tmp_path / "out" / "history.json").read_text())["epochs"][-1]
    assert {"f1_macro", "matthews_corrcoef"} <= set(record)


def test_a_metric_that_fails_in_training_leaves_no_run(call, tmp_path, monkeypatch):
    path = tmp_path / "one.csv"
    path.write_text("a,target\n" + "".join(f"{i},{'x' if i < 28 else 'y'}\n" for i in range(30)))
    result = call("train", path, "--target", "a", "--metrics", "accuracy", status=2)
    assert "regression" in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("name", "loss", "activation"),
    [("diabetes", "huber", "mish"), ("breast-cancer", "hinge", "prelu"), ("iris", "focal", "elu")],
)
def test_losses_and_activations_of_the_catalogue(call, tmp_path, quick, name, loss, activation):
    call("train", name, *quick, "--loss", loss, "--activation", activation, "--out", "run")
    model = load(tmp_path / "run")
    assert type(model.loss).__name__.lower() == loss
    assert model.network.layers[0].activation == activation


def test_initialisers_of_the_catalogue_see_the_training_part(call, tmp_path):
    """At a rate of next to nothing the parameters are those that training starts from."""
    still = ("--optimizer", "sgd", "--lr", "1e-30", "--l2", "0", "--epochs", "1", "--test", "0")
    call("train", "breast-cancer", *still, "--weights", "lsuv", "--output-bias", "class_prior", "--out", "run")
    model, data = load(tmp_path / "run"), load_data("breast-cancer")
    z = model.encoding.features(data.features) @ model.parameters["dense1.W"]
    assert z.std() == pytest.approx(1.0, rel=1e-5)
    counts = np.unique(data.target, return_counts=True)[1] + 1
    np.testing.assert_allclose(model.parameters["dense2.b"], np.log(counts / counts.sum()), rtol=1e-5)
    refused = call("train", "diabetes", *still, "--output-bias", "class_prior", status=2)
    assert "--output-bias class_prior" in refused.stderr


def test_rare_classes_count_as_much_as_frequent_ones(call, tmp_path):
    """Of two classes that overlap, the one of a sample in ten is found more often."""
    rng = np.random.default_rng(0)
    rare = np.arange(600) % 10 == 0
    x = rng.normal(size=600) + 1.5 * rare
    rows = [f"{number:.4f},{'yes' if each else 'no'}" for number, each in zip(x, rare, strict=True)]
    (tmp_path / "rare.csv").write_text("\n".join(["x,class", *rows]), encoding="utf-8")
    found = []
    for weight in ("none", "balanced"):
        call("train", "rare.csv", "--layers", "none", "--epochs", "30", "--class-weight", weight, "--out", weight)
        model = load(tmp_path / weight)
        found.append((model.predict_classes({"x": x})[rare] == "yes").mean())
    assert found[0] < 0.4
    assert found[1] > 0.6
    refused = call("train", "diabetes", "--class-weight", "balanced", status=2)
    assert "--class-weight balanced goes by how frequent each class is, and regression has none" in refused.stderr


def test_gradients_are_clipped(call, tmp_path, quick):
    call("train", "iris", *quick, "--clip-norm", "0.25", "--lr", "0.5", "--rates", "*.b=0.1", "--out", "run")
    groups = ParameterGroups(Adam(0.5), (("*.b", Adam(0.1)),))
    assert load(tmp_path / "run").optimizer == ClipByNorm(groups, 0.25)
    refused = call("train", "iris", "--clip-norm", "0.25", "--optimizer", "lbfgs", status=2)
    assert "leave out --clip-norm" in refused.stderr
    refused = call("train", "iris", "--clip-norm", "0.25", "--rates", "*.c=0.1", status=2)
    assert "the group '*.c' matches none" in refused.stderr


@pytest.mark.parametrize(
    ("optimizer", "schedule", "activation"),
    [("adamw", "cosine", "gelu"), ("lion", "reduce_on_plateau", "maxout"), ("muon", "one_cycle", "prelu")],
)
def test_optimizers_and_schedules_of_the_catalogue(call, tmp_path, quick, optimizer, schedule, activation):
    """iris has no validation part: a plateau is that of the training loss."""
    chosen = ("--optimizer", optimizer, "--schedule", schedule, "--activation", activation)
    call("train", "iris", *quick, *chosen, "--out", "run")
    model = load(tmp_path / "run")
    assert type(model.optimizer) is OPTIMIZERS[optimizer]
    assert type(model.schedule) is SCHEDULES[schedule]


@pytest.mark.parametrize("optimizer", WHOLE_BATCH)
def test_optimizers_of_all_samples_at_once(call, tmp_path, optimizer):
    chosen = ("--optimizer", optimizer, "--epochs", "5", "--layers", "4", "--out", "run")
    shown = call("train", "diabetes", *chosen)
    assert f"{optimizer} on all rows at once" in shown.stderr
    assert "clearprop source" not in shown.stderr
    assert type(load(tmp_path / "run").optimizer) is WHOLE_BATCH[optimizer]
    assert "has ended already" in call("train", "--resume", "run").stderr


@pytest.mark.parametrize(
    ("optimizer", "options", "words"),
    [
        ("lbfgs", ["--lr", "0.1", "--batch-size", "8"], "leave out --lr, --batch-size"),
        ("newton_cg", ["--schedule", "cosine", "--dropout", "0.5"], "leave out --schedule, --dropout"),
        ("lbfgs", ["--augment", "flip,shift"], "leave out --augment"),
        ("levenberg_marquardt", ["--l2", "0.1"], "with no penalty: leave out --l2"),
        ("bayesian_regularization", ["--loss", "huber"], "sum of squares small, as squared_error of numbers is"),
        ("levenberg_marquardt", ["--task", "classification"], "and not cross_entropy"),
    ],
)
def test_what_such_optimizers_have_no_use_for_is_refused(call, tmp_path, optimizer, options, words):
    assert words in call("train", "diabetes", "--optimizer", optimizer, *options, status=2).stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["optimizer", "schedule", "activation", "loss"])
def test_a_wrong_name_lists_the_known_ones(call, option):
    tables = {"activation": ACTIVATIONS, "loss": TABLE_LOSSES, "schedule": SCHEDULES}
    known = (tables | {"optimizer": OPTIMIZERS | WHOLE_BATCH})[option]
    message = call("train", "iris", f"--{option}", "nosuch", status=2).stderr
    assert "'nosuch' is not one of" in message
    assert all(f"'{name}'" in message for name in known)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_suits_the_optimizer(name):
    """By size on Adam's scale; an optimiser on another scale keeps its own."""
    lr = complete(Choices(optimizer=name), "regression", 1000).lr
    own = OPTIMIZERS[name]().learning_rate
    assert lr == (0.002 if own == 0.001 else own)


@pytest.mark.parametrize("loss", ["triplet", "poisson", "kl_divergence"])
def test_losses_that_a_table_does_not_fit_are_not_offered(call, quick, loss):
    assert f"'{loss}' is not one of" in call("train", "diabetes", *quick, "--loss", loss, status=2).stderr
