"""Every optimiser again, in NumPy and float64, written from the papers and not from our programs.

A rule takes one parameter w, its gradient g, its state s (a dict it keeps what it likes in), the step t from 1, the
rate of this step and the optimiser h for its settings, and returns the new w. What goes around an optimiser takes them
by name, all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from clearprop import optim

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


def sgd(w, g, s, t, rate, h):
    return w - rate * g


def heavy_ball(w, g, s, t, rate, h):
    if h.velocity == "step":
        s["v"] = h.momentum * s.get("v", 0) - rate * g
        return w + s["v"]
    share = 1 - h.momentum if h.velocity == "average" else 1.0
    s["v"] = h.momentum * s.get("v", 0) + share * g
    return w - rate * s["v"]


def nesterov(w, g, s, t, rate, h):
    if h.velocity == "step":  # as usually written: theta is w without the look-ahead, and g is the gradient ahead
        theta, v = s.get("theta", w), s.get("v", 0 * w)
        s["v"] = h.momentum * v - rate * g
        s["theta"] = theta + s["v"]
        return s["theta"] + h.momentum * s["v"]
    share = 1 - h.momentum if h.velocity == "average" else 1.0
    s["v"] = h.momentum * s.get("v", 0) + share * g
    return w - rate * (h.momentum * s["v"] + g)


def divisor(v, h):
    return np.sqrt(v + h.epsilon) if h.epsilon_form == "inside" else np.sqrt(v) + h.epsilon


def adagrad(w, g, s, t, rate, h):
    s["v"] = s.get("v", h.initial) + g**2
    return w - rate * g / divisor(s["v"], h)


def adadelta(w, g, s, t, rate, h):
    s["v"] = h.rho * s.get("v", 0) + (1 - h.rho) * g**2
    step = np.sqrt(s.get("u", 0) + h.epsilon) / np.sqrt(s["v"] + h.epsilon) * g
    s["u"] = h.rho * s.get("u", 0) + (1 - h.rho) * step**2
    return w - rate * step


def rmsprop(w, g, s, t, rate, h):
    s["v"] = h.rho * s.get("v", 0) + (1 - h.rho) * g**2
    s["mean"] = h.rho * s.get("mean", 0) + (1 - h.rho) * g
    spread = np.maximum(s["v"] - s["mean"] ** 2, 0) if h.centred else s["v"]
    s["b"] = h.momentum * s.get("b", 0) + g / divisor(spread, h)
    return w - rate * s["b"]


def moments(g, s, t, h):
    """Adam's m and v, and both corrected."""
    s["m"] = h.beta1 * s.get("m", 0) + (1 - h.beta1) * g
    s["v"] = h.beta2 * s.get("v", 0) + (1 - h.beta2) * g**2
    return s["m"] / (1 - h.beta1**t), s["v"] / (1 - h.beta2**t)


def below(v, t, h):
    """What Adam divides by: v is corrected; with epsilon beside the uncorrected root, that is put back."""
    if h.epsilon_form == "inside":
        return np.sqrt(v + h.epsilon)
    if h.epsilon_form == "uncorrected":
        return (np.sqrt(v * (1 - h.beta2**t)) + h.epsilon) / np.sqrt(1 - h.beta2**t)
    return np.sqrt(v) + h.epsilon


def adam(w, g, s, t, rate, h):
    m, v = moments(g, s, t, h)
    return w - rate * m / below(v, t, h)


def adamw(w, g, s, t, rate, h):
    return adam(w, g, s, t, rate, h) - rate * h.weight_decay * w


def amsgrad(w, g, s, t, rate, h):
    m, v = moments(g, s, t, h)
    if h.maximum == "corrected":
        s["u"] = np.maximum(s.get("u", 0), v)
        return w - rate * m / below(s["u"], t, h)
    s["u"] = np.maximum(s.get("u", 0), s["v"])
    return w - rate * m / below(s["u"] / (1 - h.beta2**t), t, h)


def adamax(w, g, s, t, rate, h):
    s["m"] = h.beta1 * s.get("m", 0) + (1 - h.beta1) * g
    beside = h.epsilon if h.epsilon_form == "gradient" else 0.0
    s["u"] = np.maximum(h.beta2 * s.get("u", 0), np.abs(g) + beside)
    return w - rate / (1 - h.beta1**t) * s["m"] / (s["u"] + h.epsilon - beside)


def nadam(w, g, s, t, rate, h):
    def mu(t):
        return h.beta1 if h.momentum_form == "constant" else h.beta1 * (1 - 0.96 ** (t * h.momentum_decay) / 2)

    _, v = moments(g, s, t, h)
    product = np.prod([mu(i) for i in range(1, t + 1)])
    ahead = mu(t + 1) * s["m"] / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    return w - rate * ahead / below(v, t, h)


def radam(w, g, s, t, rate, h):
    m, v = moments(g, s, t, h)
    limit = 2 / (1 - h.beta2) - 1
    rho = limit - 2 * t * h.beta2**t / (1 - h.beta2**t)
    if rho <= 5:
        return w - rate * m
    r = np.sqrt((rho - 4) * (rho - 2) * limit / (limit - 4) / (limit - 2) / rho)
    return w - rate * r * m / below(v, t, h)


def adabelief(w, g, s, t, rate, h):
    s["m"] = h.beta1 * s.get("m", 0) + (1 - h.beta1) * g
    s["s"] = h.beta2 * s.get("s", 0) + (1 - h.beta2) * (g - s["m"]) ** 2 + h.epsilon
    return w - rate * s["m"] / (1 - h.beta1**t) / below(s["s"] / (1 - h.beta2**t), t, h)


def adafactor(w, g, s, t, rate, h):
    beta = 1 - t**-h.decay
    squares = g**2 + h.tiny
    if w.ndim < 2:
        s["v"] = beta * s.get("v", 0) + (1 - beta) * squares
        v = s["v"]
    else:  # sums, as in the paper's Algorithm 4
        s["r"] = beta * s.get("r", 0) + (1 - beta) * squares.sum(axis=-1)
        s["c"] = beta * s.get("c", 0) + (1 - beta) * squares.sum(axis=-2)
        v = s["r"][..., :, None] * s["c"][..., None, :] / s["r"].sum(axis=-1)[..., None, None]
    u = g / np.sqrt(v)
    u = u / max(1.0, np.sqrt(np.mean(u**2)) / h.clip)
    size = max(h.smallest, np.sqrt(np.mean(w**2))) * min(rate, t**-0.5) if h.relative else rate
    return w - rate * h.weight_decay * w - size * u


def lion(w, g, s, t, rate, h):
    m = s.get("m", 0 * w)
    s["m"] = h.beta2 * m + (1 - h.beta2) * g
    return w - rate * (np.sign(h.beta1 * m + (1 - h.beta1) * g) + h.weight_decay * w)


def rprop(w, g, s, t, rate, h):
    size, before = s.setdefault("size", np.full_like(w, h.learning_rate)), s.setdefault("g", 0 * w)
    g, w = g.copy(), w.copy()
    for i in np.ndindex(w.shape):
        if g[i] * before[i] > 0:
            size[i] = min(size[i] * h.grow, h.largest)
        elif g[i] * before[i] < 0:
            size[i], g[i] = max(size[i] * h.shrink, h.smallest), 0.0
        w[i] -= np.sign(g[i]) * size[i]
    s["g"] = g
    return w


def trust(of, over):
    return of / over if of > 0 and over > 0 else 1.0


def lars(w, g, s, t, rate, h):
    step = g
    if h.vectors or w.ndim > 1:
        size = np.linalg.norm(w)
        local = trust(h.trust * size, np.linalg.norm(g) + h.weight_decay * size)
        step = local * (g + h.weight_decay * w)
    s["v"] = h.momentum * s.get("v", 0) + rate * step
    return w - s["v"]


def lamb(w, g, s, t, rate, h):
    m, v = moments(g, s, t, h)
    u = m / below(v, t, h)
    if h.vectors or w.ndim > 1:
        u = u + h.weight_decay * w
        u = u * trust(np.linalg.norm(w), np.linalg.norm(u))
    return w - rate * u


def muon(w, g, s, t, rate, h):
    """By singular values: Newton-Schulz maps each by x <- a x + b x^3 + c x^5 and leaves the vectors as they are."""
    s["v"] = h.momentum * s.get("v", 0) + (1 - h.momentum) * g
    u = h.momentum * s["v"] + (1 - h.momentum) * g if h.nesterov else s["v"]
    inputs, outputs = u.size // u.shape[-1], u.shape[-1]
    left, x, right = np.linalg.svd(u.reshape(inputs, outputs), full_matrices=False)
    x = x / max(np.sqrt((x**2).sum()), h.epsilon)
    for _ in range(h.iterations):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    scale = max(1, outputs / inputs) ** 0.5 if h.adjust == "shape" else 0.2 * max(inputs, outputs) ** 0.5
    return w - rate * (h.weight_decay * w + scale * ((left * x) @ right).reshape(w.shape))


RULES: dict[type[optim.Optimizer], Callable[..., Array]] = {
    optim.SGD: sgd,
    optim.Momentum: heavy_ball,
    optim.Nesterov: nesterov,
    optim.AdaGrad: adagrad,
    optim.AdaDelta: adadelta,
    optim.RMSprop: rmsprop,
    optim.Adam: adam,
    optim.AdamW: adamw,
    optim.AMSGrad: amsgrad,
    optim.AdaMax: adamax,
    optim.Nadam: nadam,
    optim.RAdam: radam,
    optim.AdaBelief: adabelief,
    optim.Adafactor: adafactor,
    optim.Lion: lion,
    optim.Rprop: rprop,
    optim.LARS: lars,
    optim.LAMB: lamb,
    optim.Muon: muon,
}


def clip_by_value(w, g, s, t, factor, h):
    return follow(h.optimizer, w, {k: np.clip(a, -h.limit, h.limit) for k, a in g.items()}, s, t, factor)


def clip_by_norm(w, g, s, t, factor, h):
    norm = np.linalg.norm(np.concatenate([a.ravel() for a in g.values()]))
    shrink = min(1.0, h.limit / (norm + h.epsilon))
    return follow(h.optimizer, w, {k: a * shrink for k, a in g.items()}, s, t, factor)


def accumulation(w, g, s, t, factor, h):
    s.setdefault("all", []).append(g)
    if len(s["all"]) < h.every:
        return w
    mean = {k: np.mean([one[k] for one in s["all"]], axis=0) for k in g}
    s["all"] = []
    return follow(h.optimizer, w, mean, s, t // h.every, factor)


def exponential_average(w, g, s, t, factor, h):
    w = follow(h.optimizer, w, g, s, t, factor)
    value = s.pop("shown", w)
    decay = min(h.decay, (1 + t) / (10 + t)) if h.start == "warm" else h.decay
    before = s.get("ema", value if h.start == "copy" else s["start"])
    s["ema"] = {k: decay * before[k] + (1 - decay) * value[k] for k in w}
    s["shown"] = s["ema"]
    return w


def weight_average(w, g, s, t, factor, h):
    w = follow(h.optimizer, w, g, s, t, factor)
    value = s.pop("shown", w)
    if t >= h.start and (t - h.start) % h.every == 0:
        s.setdefault("kept", []).append(value)
    kept = s.get("kept", [value])
    s["shown"] = {k: np.mean([one[k] for one in kept], axis=0) for k in w}
    return w


def lookahead(w, g, s, t, factor, h):
    slow = s.setdefault("slow", w)
    w = follow(h.optimizer, w, g, s, t, factor)
    if t % h.every == 0:
        w = s["slow"] = {k: (1 - h.pull) * slow[k] + h.pull * w[k] for k in w}
    s["shown"] = s["slow"]
    return w


def weight_decay(w, g, s, t, factor, h):
    mask = {k: float(any(fnmatchcase(k, pattern) for pattern in h.parameters)) for k in w}
    if h.form == "gradient":
        return follow(h.optimizer, w, {k: g[k] + mask[k] * h.decay * w[k] for k in w}, s, t, factor)
    shrink = {k: 1 - mask[k] * h.decay * h.optimizer.learning_rate * factor for k in w}
    return follow(h.optimizer, {k: w[k] * shrink[k] for k in w}, g, s, t, factor)


def parameter_groups(w, g, s, t, factor, h):
    new, rest, shown = {}, list(w), {}
    for pattern, optimizer in [*h.groups, ("*", h.optimizer)]:
        own = [k for k in rest if fnmatchcase(k, pattern)]
        rest = [k for k in rest if k not in own]
        state = s.setdefault(pattern, {"start": {k: s["start"][k] for k in own}})
        moved = follow(optimizer, {k: w[k] for k in own}, {k: g[k] for k in own}, state, t, factor)
        new |= moved
        shown |= state.pop("shown", moved)
    s["shown"] = {k: shown[k] for k in w}
    return {k: new[k] for k in w}


def schedule_free(y, g, s, t, factor, h):
    x, z = s.get("x", s["start"]), s.get("z", s["start"])
    s["z"] = z = follow(h.optimizer, z, g, s, t, factor)
    s["rates"] = [*s.get("rates", []), h.learning_rate * factor]
    weights = [max(s["rates"][: i + 1]) ** h.power for i in range(t)]
    c = weights[-1] / sum(weights)
    s["x"] = s["shown"] = {k: (1 - c) * x[k] + c * z[k] for k in z}
    return {k: (1 - h.beta) * z[k] + h.beta * s["x"][k] for k in z}


WRAPPERS: dict[type[optim.Optimizer], Callable[..., Arrays]] = {
    optim.ClipByValue: clip_by_value,
    optim.ClipByNorm: clip_by_norm,
    optim.Accumulation: accumulation,
    optim.ExponentialAverage: exponential_average,
    optim.WeightAverage: weight_average,
    optim.Lookahead: lookahead,
    optim.WeightDecay: weight_decay,
    optim.ParameterGroups: parameter_groups,
    optim.ScheduleFree: schedule_free,
}


def follow(h: optim.Optimizer, w: Arrays, g: Arrays, s: dict[str, Any], t: int, factor: float) -> Arrays:
    """One step of any optimiser; `factor` is the schedule's, and `s["shown"]` what is evaluated, where it differs."""
    if type(h) in WRAPPERS:
        return WRAPPERS[type(h)](w, g, s, t, factor, h)
    new = {}
    for name, array in w.items():
        rule = h.other if isinstance(h, optim.Muon) and array.ndim < 2 else h
        state = s.setdefault(f"of {name}", {})
        new[name] = RULES[type(rule)](array, g[name], state, t, rule.learning_rate * factor, rule)
    return new
