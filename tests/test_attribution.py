"""Attribution: closed forms, finite differences, completeness, words and records."""

import functools
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
from tokenizers import BertWordPieceTokenizer

from tests.helpers.commands import ROOT, tfmem_command
from tests.helpers.networks import attending, pictures
from tfmem.config import Config, EncoderSettings, TrainingSettings, TransformerSettings, from_yaml
from tfmem.encoders import as_arrays
from tfmem.encoders.activations import encode, through_frozen
from tfmem.encoders.pretrained import load_encoder
from tfmem.encoders.tokens import Tokens, Words, mask_number, tokenize, word_tokens
from tfmem.experiments.reduction_rate import ReductionRateSettings, reduction
from tfmem.influence_functions.attribution.integral import BlendInfluence, attributions, directions
from tfmem.influence_functions.attribution.patches import Patches
from tfmem.influence_functions.attribution.records import (
    chosen_examples,
    is_complete,
    read_attributions,
    top_share,
    write_attributions,
)
from tfmem.influence_functions.attribution.words import EncoderWords, TransformerWords
from tfmem.influence_functions.cg import ConjugateGradients
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import replace_scores
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.pipelines.runner import run_chain
from tfmem.pipelines.self_influence import attribution, self_influence


def bilinear(weights, shape):
    x = keras.Input(shape, dtype="float64")
    layer = keras.layers.Dense(weights.shape[1], use_bias=False)
    model = keras.Model(x, layer(keras.layers.Flatten()(x)))
    layer.set_weights([weights])
    return model


def test_a_linear_model_has_its_closed_form(float64):
    x, y = pictures()
    w = np.random.default_rng(1).normal(size=(24, 3))
    objective = Objective(bilinear(w, x.shape[1:]), x, y, weight_decay=0.05)
    (found,) = attributions(
        ExactSolver(objective), Patches(objective.model, x, 2, "mean"), [7], 400
    )

    flat, base = x.reshape(12, 24), x.mean(axis=0).ravel()

    def residual(z):
        p = np.exp(z @ w)
        return p / p.sum(axis=-1, keepdims=True)

    p = residual(flat)
    covariance = np.einsum("nc,cd->ncd", p, np.eye(3)) - np.einsum("nc,nd->ncd", p, p)
    hessian = np.einsum("nf,ng,ncd->fcgd", flat, flat, covariance).reshape(72, 72) / 12
    gradient = np.outer(flat[7], p[7] - np.eye(3)[y[7]]).ravel()
    s = p[7, y[7]] * np.linalg.solve(hessian + 0.055 * np.eye(72), gradient).reshape(24, 3)
    total = np.zeros(24)  # of s . d(z (p(z) - e)^T) / dz, times what z changes by
    for a in (np.arange(400) + 0.5) / 400:
        z = base + a * (flat[7] - base)
        p = residual(z)
        total += s @ (p - np.eye(3)[y[7]]) + w @ ((np.diag(p) - np.outer(p, p)) @ (s.T @ z))
    pixels = (total / 400 * (flat[7] - base)).reshape(4, 6)
    patches = pixels.reshape(2, 2, 3, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(found.scores, patches.ravel(), rtol=1e-9)
    assert found.parts.shape == (2, 3)
    other = base.reshape(x.shape[1:])[None]
    expected = replace_scores(ExactSolver(objective), other, np.array([7])).values[0]
    np.testing.assert_allclose(found.replace, expected, rtol=1e-9)
    assert found.gap < 1e-4


def test_derivatives_agree_with_finite_differences(float64):
    x, y = pictures()
    objective = Objective(attending(), x, y)
    splitter = Patches(objective.model, x, 2)
    rng = np.random.default_rng(2)
    direction, weights = rng.normal(size=objective.num_parameters), rng.random((3, 6))
    influence, along = BlendInfluence(objective, splitter), (splitter.parts(4), y[4], direction)
    blends = x[4] * weights.reshape(3, 2, 3).repeat(2, 1).repeat(2, 2)[..., None]
    rows = np.concatenate([g for _, g in objective.loss_gradients(blends, y[[4, 4, 4]])])
    np.testing.assert_allclose(influence.values(weights, *along), rows @ direction, rtol=1e-9)
    steps = 1e-5 * np.eye(6)[:, None]
    ends = [influence.values((weights + side * steps).reshape(-1, 6), *along) for side in (1, -1)]
    numeric = ((ends[0] - ends[1]) / 2e-5).reshape(6, 3).T
    np.testing.assert_allclose(influence.slopes(weights, *along), numeric, rtol=1e-6, atol=1e-7)


def test_the_gap_falls_with_the_square_of_steps_in_the_middle_only(float64):
    x, y = pictures()
    objective = Objective(attending(), x, y, weight_decay=0.01)
    solver, splitter = ExactSolver(objective), Patches(objective.model, x, 3)

    @functools.cache
    def gap(steps, rule="midpoint"):
        return np.median([a.gap for a in attributions(solver, splitter, range(3), steps, rule)])

    assert gap(40) < gap(10) / 8
    assert gap(40, "left") > gap(10, "left") / 8
    assert gap(40) < 0.25 * min(gap(40, "left"), gap(40, "right"))


def test_the_fast_solver_lifts_what_it_projects(float64):
    x, y = pictures()
    objective = Objective(attending(), x, y, weight_decay=0.01)
    vectors = np.random.default_rng(0).normal(size=(2, 3, objective.num_parameters))
    for size in (64, 4096):  # sketched, and not
        solver = FastSolver(objective, damping=1.0, size=size)
        paired = solver.project(vectors[0])
        expected = paired @ solver.project(vectors[1]).T
        np.testing.assert_allclose(solver.lift(paired) @ vectors[1].T, expected, rtol=1e-4)


def test_one_row_of_gradients_is_that_of_many(preset, texts):
    objective, _, _ = encoded(preset, texts)
    inputs, labels = objective.take(np.arange(3))
    many = np.concatenate([g for _, g in objective.loss_gradients(inputs, labels)])
    ((_, one),) = objective.loss_gradients(inputs[:1], labels[:1])
    np.testing.assert_allclose(one, many[:1], rtol=1e-4, atol=1e-6)


def encoded(preset, texts, layers=1, length=12):
    model = EncoderSettings(preset=str(preset), trained_layers=layers, length=length)
    config = Config(model=model.model_copy(update={"digest": "x"}), training=TrainingSettings())
    arrays = as_arrays(config, texts)
    keras.utils.set_random_seed(0)
    model = build(config.model, arrays.input_shape, 2)
    inputs = arrays.train_images.astype(np.float32)
    objective = Objective(model, inputs, arrays.train_labels, weight_decay=0.01)
    return objective, EncoderWords(config.model, model, texts), config.model


@pytest.mark.parametrize(("layers", "length"), [(0, 12), (1, 7)])
def test_words_of_an_encoder_account_for_replacing_them(preset, texts, layers, length):
    objective, splitter, settings = encoded(preset, texts, layers, length)
    solver, chosen = ConjugateGradients(objective), np.arange(5)
    found = list(attributions(solver, splitter, chosen))
    assert np.median([a.gap for a in found]) < 1e-3
    for a in found:
        assert a.parts.words == tuple(str(texts.train_texts[a.index, 0]).split()[: length - 2])
    encoder = load_encoder(settings.preset)
    read = encode(encoder, texts.train_texts[chosen], settings)
    ids = read.ids.copy()
    inner = (np.arange(length) > 0) & (np.arange(length) < read.counts[:, None] - 1)
    ids[inner] = mask_number(encoder.tokenizer)
    masked = through_frozen(encoder, Tokens(ids, read.segments, read.counts, 0), settings)
    expected = replace_scores(solver, masked.astype(np.float32), chosen).values
    replaced = [a.replace for a in found]
    np.testing.assert_allclose(replaced, expected, rtol=5e-3, atol=2e-3 * np.abs(expected).max())


def test_a_trained_embedding_has_its_part(texts):
    settings = TransformerSettings(length=12, width=8, heads=2, vocabulary=30)
    arrays = as_arrays(Config(model=settings), texts)
    keras.utils.set_random_seed(0)
    model = build(settings, arrays.input_shape, 2)
    inputs = arrays.train_images.astype(np.float32)
    objective = Objective(model, inputs, arrays.train_labels, weight_decay=0.01)
    solver, chosen = ConjugateGradients(objective), np.arange(6)
    found = list(attributions(solver, TransformerWords(settings, model, texts), chosen))
    others = np.where(inputs[chosen] > 3, 1, inputs[chosen])
    expected = replace_scores(solver, others, chosen).values
    np.testing.assert_allclose([a.replace for a in found], expected, rtol=1e-3, atol=1e-6)
    assert max(a.gap for a in found if a.replace) < 0.01


def test_pieces_and_punctuation_become_words_of_their_sentence():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "well", ",", "no"]
    tokenizer = BertWordPieceTokenizer({piece: n for n, piece in enumerate(pieces)})
    pair = np.array(["Playing, no!", "well playing"], np.dtypes.StringDType())
    read = word_tokens(tokenizer, pair, 16)
    assert read.words == ("Playing", ",", "no", "!", "well", "playing")
    assert read.sentences == (0, 0, 0, 0, 1, 1)
    assert read.places.tolist() == [-1, 0, 0, 1, 2, 3, -1, 4, 5, 5, -1]
    np.testing.assert_array_equal(read.ids, tokenize(tokenizer, pair[None], 16).ids[0, :11])
    assert word_tokens(tokenizer, pair, 7).words == ("Playing", "well", "play")
    words = Words(pair[None], 20)
    read = words.word_tokens(pair, 7)
    assert read.words == ("playing", ",", "no", "!", "well")
    assert read.places.tolist() == [-1, 0, 1, 2, 3, -1, 4]
    np.testing.assert_array_equal(read.ids, words.tokenize(pair[None], 7).ids[0])


class Unsolved:
    """A solver that converges for some examples only."""

    name, curvature, damping, at_once = "cg", "hessian", 0.1, 4

    def __init__(self, objective, converged):
        self.objective, self._converged, self._solver = objective, converged, None

    def solve(self, vectors):
        found = ConjugateGradients(self.objective).solve(vectors)
        return replace(found, converged=self._converged[: len(vectors)])

    def project(self, vectors):
        return vectors

    def lift(self, paired):
        return paired


def test_what_has_not_converged_is_not_attributed(float64):
    x, y = pictures()
    objective = Objective(attending(), x, y, weight_decay=0.01)
    splitter = Patches(objective.model, x, 3)
    some = Unsolved(objective, np.array([True, False]))
    with pytest.warns(UserWarning, match="has not converged for 1 of 2 examples"):
        first, second = attributions(some, splitter, [3, 4], 5)
    assert np.isfinite(first.scores).all()
    assert np.isnan([*second.scores, second.replace, second.gap, second.memorization]).all()
    # As if a call was stopped at the last example: the others may have converged before.
    with pytest.warns(UserWarning, match="has not converged for 1 of 1 examples"):
        (only,) = attributions(Unsolved(objective, np.zeros(1, bool)), splitter, [4], 5)
    assert np.isnan(only.replace)


def test_records_are_continued_and_made_anew_with_other_settings(float64, tmp_path):
    x, y = pictures(40)
    objective = Objective(attending(), x, y, weight_decay=0.01)
    solver, splitter = ExactSolver(objective), Patches(objective.model, x, 3)
    asked, told = [], []

    def attribute(examples):
        asked.append(examples.tolist())
        return attributions(solver, splitter, examples, 3)

    def write(settings):
        write_attributions(attribute, np.arange(39, -1, -1), settings, tmp_path, told.append)

    write({"steps": 3})
    found = read_attributions(tmp_path)
    assert found.index.tolist() == list(range(39, -1, -1))
    assert sum(told) == 40
    (expected,) = attributions(solver, splitter, [5], 3)
    np.testing.assert_allclose(found["scores"][5].ravel(), expected.scores, rtol=1e-5)
    assert found["scores"][5].shape == (2, 2)
    np.testing.assert_allclose(found["memorization"][5], expected.memorization, rtol=1e-6)
    first, last = sorted(tmp_path.glob("*.tfrecord"))
    assert is_complete(tmp_path)
    last.unlink()
    assert not is_complete(tmp_path)
    with pytest.raises(InputError, match="found 1 of 2"):
        read_attributions(tmp_path)
    written = first.stat().st_mtime_ns
    write({"steps": 3})
    assert asked[1:] == [list(range(7, -1, -1))]
    assert first.stat().st_mtime_ns == written
    np.testing.assert_allclose(read_attributions(tmp_path)["replace"], found["replace"], rtol=1e-5)
    write({"steps": 3})
    assert len(asked) == 2
    write({"steps": 4})
    assert asked[2] == list(range(39, -1, -1))


def test_reduction_is_all_when_all_is_masked_and_attribution_beats_chance(float64, tmp_path):
    x, y = pictures(20)
    model = attending()
    objective = Objective(model, x, y, weight_decay=0.01)
    solver, splitter = ExactSolver(objective), Patches(model, x, 1)
    removed = pd.Series([r for _, _, r in directions(solver, np.arange(20))])
    chosen = removed.nlargest(10).index
    made = {a.index: a.scores for a in attributions(solver, splitter, chosen.to_numpy(), 8)}
    config, settings = from_yaml(""), ReductionRateSettings(repeats=2)
    found = reduction(config, settings, lambda: (solver, splitter), pd.Series(made), tmp_path)
    table = found.table.set_index("percent")
    assert table.index.tolist() == list(range(10, 100, 10))
    assert (table["difference"].loc[:80] > 0).all()
    rates = []
    for example, direction, _ in directions(solver, chosen):
        kept = np.argsort(np.argsort(-made[example])) >= np.ceil(0.3 * 24)
        blend = x[[example]] * kept.reshape(4, 6, 1)
        (g, h) = (
            next(objective.loss_gradients(z, y[[example]]))[1][0] @ direction
            for z in (x[[example]], blend)
        )
        rates.append((g - h) / g)
    np.testing.assert_allclose(table["attributed"][30], np.mean(rates), rtol=1e-5)
    again = reduction(
        config, settings, lambda: pytest.fail("all is done"), pd.Series(made), tmp_path
    )
    pd.testing.assert_frame_equal(again.table, found.table)


def test_mistakes_are_named():
    x, _ = pictures()
    with pytest.raises(InputError, match="patch: expected from 1 to 5 pixels"):
        Patches(None, x, 6)
    with pytest.raises(InputError, match="expected texts or images"):
        Patches(None, x[..., 0], 2)
    with pytest.raises(InputError, match="share: expected above 0"):
        top_share(pd.Series([1.0]), 0)
    with pytest.raises(InputError, match="steps: expected at least 1"):
        next(attributions(None, None, [0], 0))
    assert chosen_examples(pd.Series(np.zeros(9)), 0.1, [5, 2, 5]).tolist() == [5, 2]


def test_the_command_continues_from_the_kept_model(tmp_path):
    settings = [
        "training.epochs=2",
        "self_influence.solver=exact",
        "self_influence.layers=[logits]",
    ]
    run = ["configs/digits.yaml", "--out", tmp_path]
    for setting in settings:
        run += ["--set", setting]
    done = tfmem_command("attribute", *run, "--share", "0.01", "--patch", "4")
    folder = tmp_path / "attribution"
    assert done.stdout.splitlines()[-1].startswith(f"Results: {folder}")
    found = read_attributions(folder)
    assert len(found) == 14
    assert found["scores"].iloc[0].shape == (2, 2)
    assert found["gap"].median() < 0.02  # the head's gradient has no jumps, though ReLU is below
    again = [*settings, "attribution.examples=[1437]"]
    config = from_yaml((ROOT / "configs/digits.yaml").read_text(), again)
    said = []
    with pytest.raises(InputError, match=r"attribution.examples: expected numbers from 0 to 1436"):
        run_chain([*self_influence(config), *attribution(config)], tmp_path, said.append)
    assert said[1] == "[2/3] self-influence-exact: unchanged, skipped"
