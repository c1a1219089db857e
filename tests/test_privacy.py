"""The membership attack: closed forms, a plain loop, false alarms, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from tests.helpers.commands import tfmem_command
from tests.helpers.oracle import FINGERPRINT, record
from tests.helpers.runs import write_run
from tfmem.config import from_yaml
from tfmem.estimation.membership import FIXED, LIRA, THRESHOLD, Shadows, log_ratios
from tfmem.estimation.roc import Roc, RocCounts, codes_of
from tfmem.experiments.membership import EXPOSED, RATES, Attacked, attack
from tfmem.experiments.privacy import _attacks
from tfmem.messages.errors import InputError
from tfmem.store.confidence import to_bytes
from tfmem.store.labels import Labels


def gaussian(seed, trials, examples, effect, alike=False):
    """Subsets, and margins that are higher by `effect` standard deviations inside."""
    rng = np.random.default_rng(seed)
    masks = rng.random((trials, examples)) < 0.5
    level, spread = 3 * rng.standard_normal(examples), rng.uniform(0.5, 2, examples)
    spread = np.ones(examples) if alike else spread
    noise = rng.standard_normal((trials, examples))
    margins = level + spread * (noise + effect * masks)
    return masks, margins.astype(np.float16).astype(float)


def folder_of(tmp_path, masks, margins, shards=1, **changes):
    def of_trial(margin):
        return {"train_margin": to_bytes(margin), **changes}

    return folder_with(tmp_path, masks, margins, of_trial, shards)


def folder_with(tmp_path, masks, margins, features, shards=1):
    """A folder of records with the features that are made from the margins of each trial."""
    labels = Labels(np.arange(masks.shape[1]) % 2, np.arange(2), ("a", "b"), FINGERPRINT)
    tests = np.ones(2, bool)
    records = [
        replace(record(k, mask, margin > 0, tests), **features(margin))
        for k, (mask, margin) in enumerate(zip(masks, margins, strict=True))
    ]
    return write_run(tmp_path, records, labels, shards)


def plain_loop(masks, margins, fixed):
    """The attack as the paper words it: fits normal distributions to the other trials."""
    found = np.empty(margins.shape)
    for k in range(len(masks)):
        others = np.arange(len(masks)) != k
        fits = []
        for side in (masks, ~masks):
            chosen = [margins[others & side[:, i], i] for i in range(masks.shape[1])]
            spread = np.array([values.std(ddof=1) for values in chosen])
            if fixed:
                freedom = np.array([len(values) - 1 for values in chosen])
                spread[:] = np.sqrt((freedom * spread**2).sum() / freedom.sum())
            fits.append((np.array([values.mean() for values in chosen]), spread))
        inside, outside = (norm.logpdf(margins[k], *fit) for fit in fits)
        found[k] = inside - outside
    return found


def ratios(masks, margins):
    shadows = Shadows(masks.shape[1])
    for mask, margin in zip(masks, margins, strict=True):
        shadows.add(mask, margin)
    pairs = zip(masks, margins, strict=True)
    found = [log_ratios(shadows, mask, margin[None]) for mask, margin in pairs]
    return [{name: values[0] for name, values in each.items()} for each in found]


def test_sums_give_what_a_plain_loop_over_the_other_trials_gives():
    masks, margins = gaussian(0, 40, 30, 1.0)
    margins[:, 3] += 40  # where squares cancel most
    found = ratios(masks, margins)
    for name, fixed in ((LIRA, False), (FIXED, True)):
        expected = plain_loop(masks, margins, fixed)
        np.testing.assert_allclose(np.stack([each[name] for each in found]), expected, rtol=1e-6)
    assert np.array_equal(np.stack([each[THRESHOLD] for each in found]), margins)


def test_digits_real_records_agree_with_a_plain_loop_and_scikit_learn(tmp_path, digits):
    """The margins are those of a linear learner on real images, fitted for each trial."""
    rng = np.random.default_rng(0)
    x = digits.train_images.reshape(len(digits.train_labels), -1) / 16.0
    x, y = x[:90], np.where(digits.train_labels[:90] % 2, 1.0, -1.0)
    masks = rng.random((60, 90)) < 0.5
    fits = [np.linalg.solve(x[m].T @ x[m] + 0.1 * np.eye(64), x[m].T @ y[m]) for m in masks]
    margins = np.stack([4 * y * (x @ fit) for fit in fits]).astype(np.float16).astype(float)
    found = attack(folder_of(tmp_path, masks, margins))
    for name, fixed in ((LIRA, False), (FIXED, True)):
        expected = plain_loop(masks, margins, fixed)
        roc = found.rocs[name]
        assert roc.auc[1] == pytest.approx(roc_auc_score(masks.ravel(), expected.ravel()), abs=1e-4)
        fpr, tpr, _ = roc_curve(masks.ravel(), expected.ravel(), drop_intermediate=False)
        np.testing.assert_allclose(roc.tpr[:, 1], np.interp(roc.rates, fpr, tpr), atol=2e-3)
        low, middle, high = roc.at(0.01)
        assert low <= middle <= high
    assert found.chosen == FIXED  # fewer than 64 trials
    assert found.rocs[LIRA].auc[0] > 0.6


@pytest.mark.parametrize(("name", "alike", "points"), [(FIXED, True, 0.35), (LIRA, False, 1.2)])
def test_a_gaussian_learner_has_the_roc_of_its_closed_form(name, alike, points):
    """The statistic is N(± d² / 2, d²) for effects of d standard deviations.

    With 1.2 million pairs, five times the standard error of a rate is below 0.3 points. That 300
    shadow models estimate the variance of each example costs up to a point.
    """
    effect = 1.5
    counts, made = RocCounts(), gaussian(1, 300, 4000, effect, alike)
    for mask, statistics in zip(made[0], ratios(*made), strict=True):
        counts.add(mask, statistics[name])
    rates = np.array([0.001, 0.01, 0.1])
    area, *found = counts.estimates(rates)
    truth = norm.cdf(norm.ppf(rates) + effect)
    np.testing.assert_allclose(found, truth, atol=points / 100)
    assert area == pytest.approx(norm.cdf(effect / np.sqrt(2)), abs=points / 300)


def test_without_memorization_nobody_is_found_out(tmp_path):
    """No effect: in 20 runs, the mean rate is the false-positive rate within 4 standard errors.

    The false alarm rate is below 1e-3, of a t test with 19 degrees of freedom.
    """
    found = []
    for seed in range(20):
        counts, made = RocCounts(), gaussian(seed, 24, 400, 0.0)
        for mask, statistics in zip(made[0], ratios(*made), strict=True):
            counts.add(mask, statistics[FIXED])
        found.append(counts.estimates(np.array(RATES)) - [0.5, *RATES])
    error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0)) < 4 * error + 1e-4).all()


def test_models_of_the_same_subset_are_no_shadow_models(tmp_path):
    """Margins that only the subset decides give nobody away, though its other models know them.

    With the others of its subset as shadows, the area under the curve is 0.69. It has the errors of
    12 subsets of 100 examples, 0.017: four of them are exceeded once in 10,000 times.
    """
    masks, margins = gaussian(3, 12, 100, 0.0)
    noise = 0.01 * np.random.default_rng(4).standard_normal((4, *margins.shape))
    every = np.repeat(masks, 4, axis=0)
    signals = np.swapaxes(margins + noise, 0, 1).reshape(every.shape).astype(np.float16)
    areas, intervals = [], []
    for repeats in (4, 1):
        predictions = folder_of(tmp_path / str(repeats), every, signals.astype(float))
        sets = [f"training.trials={len(every)}", f"training.repeats={repeats}"]
        (predictions / "config.yaml").write_text(from_yaml("", sets).to_yaml())
        found = attack(predictions)
        areas.append(found.rocs[LIRA].auc[1])
        intervals.append(found.exposure)
    assert abs(areas[0] - 0.5) < 0.07
    assert areas[1] > 0.6
    for models, table in zip((4, 1), intervals, strict=True):  # Wilson's, of as many subsets
        share, count = table["tpr_0.01"], table["n_in"] / models
        spread = 1.959964 * np.sqrt(share * (1 - share) / count + (1.959964 / count / 2) ** 2)
        middle, scale = share + 1.959964**2 / count / 2, 1 + 1.959964**2 / count
        for side, sign in (("low", -1), ("high", 1)):
            expected = (middle + sign * spread) / scale
            np.testing.assert_allclose(table[f"tpr_0.01_{side}"], expected, atol=1e-6)


def test_codes_keep_the_order_and_thresholds_keep_the_rate():
    values = np.array([-np.inf, -1e9, -3.5, -0.0, 0.0, 1e-9, 2.25, 1e9, np.inf])
    codes = codes_of(values)
    assert (np.diff(codes) >= 0).all()
    assert codes[3] == codes[4] == codes[5] < codes[6] < codes[7] == codes[8]
    counts, rng = RocCounts(), np.random.default_rng(0)
    statistics, mask = rng.standard_normal(3000), np.arange(3000) < 2000
    counts.add(mask, np.where(np.arange(3000) % 7, statistics, np.nan))
    for rate in (0.001, 0.01, 0.5):
        reached = codes_of(statistics[~mask & (np.arange(3000) % 7 > 0)]) >= counts.threshold(rate)
        assert rate - 0.002 < reached.mean() <= rate


@pytest.fixture
def known(tmp_path):
    """A folder in which examples 0 to 9 are memorized, and what the attack finds."""
    masks, margins = gaussian(3, 80, 60, 0.0)
    margins[:, :10] += 8 * masks[:, :10]
    masks[:, 59] = True
    return masks, margins, folder_of(tmp_path, masks, margins, shards=3)


def test_memorized_examples_are_those_that_are_found_out(known):
    masks, _, predictions = known
    found = attack(predictions)
    assert found.chosen == LIRA
    table = found.exposure
    assert (table[EXPOSED][:10] > 0.8).all()
    assert (table[EXPOSED][10:59] < 0.1).all()
    assert (table["separation"][:10] > 2).all()
    assert np.isnan(table[EXPOSED][59])
    assert table["n_out"][59] == 0
    times = table["fpr_0.01"][:59] * table["n_out"][:59]
    assert times.sum() <= 0.01 * (~masks[:, :59]).sum()
    left = np.arange(60) >= 10
    others = attack(predictions, left)
    assert others.rocs[LIRA].at(0.01)[1] < 0.1 < found.rocs[LIRA].at(0.01)[1]


@pytest.mark.parametrize(("others", "said"), [(9_000, 2), (11_000, 1)])
def test_a_rate_of_few_false_positives_is_said_to_be_hardly_known(others, said):
    roc = Roc(np.array(RATES), np.zeros((2, 3)), np.zeros(3), 10, others)
    found = Attacked("margin", {LIRA: roc}, LIRA, None, 20)
    sentences = _attacks(found)
    assert len(sentences) == 1 + said
    assert ("are only 9, so" in sentences[1]) == (said == 2)


def test_the_order_of_trials_does_not_matter(known, tmp_path):
    masks, margins, predictions = known
    order = np.random.default_rng(1).permutation(80)
    other = folder_of(tmp_path / "other", masks[order], margins[order])
    one, two = attack(predictions), attack(other)
    assert one.exposure.equals(two.exposure)
    assert one.rocs[LIRA].auc[1] == two.rocs[LIRA].auc[1]


def test_probabilities_of_earlier_versions_and_scores_do_as_well(known, tmp_path):
    masks, margins, predictions = known
    margin = attack(predictions).exposure[EXPOSED].to_numpy()

    def probability(row):
        return {"train_prob": expit(row).astype(np.float16).tobytes()}

    def score(row):
        scores = {"train_score": row, "test_score": np.zeros(2)}
        return {name: each.astype("<f4").tobytes() for name, each in scores.items()} | {
            "score": b"mine"
        }

    old = attack(folder_with(tmp_path / "old", masks, margins, probability))
    assert np.nanmax(np.abs(old.exposure[EXPOSED] - margin)) < 0.3
    scored = attack(folder_with(tmp_path / "scored", masks, margins, score))
    assert scored.signal == "mine"
    np.testing.assert_array_equal(scored.exposure[EXPOSED], margin)


@pytest.mark.parametrize(("trials", "always", "words"), [
    (3, False, "at least 3 trials .* received 3 trials.*training.trials=NUMBER"),
    (40, True, "received 40 trials, of which examples are in 40 to 40.*training.fraction"),
])  # fmt: skip
def test_too_few_models_with_or_without_an_example(tmp_path, trials, always, words):
    masks, margins = gaussian(0, trials, 20, 0.0)
    with pytest.raises(InputError, match=words):
        attack(folder_of(tmp_path, masks | always, margins))


def test_trials_without_margins_are_told_how_to_get_them(tmp_path):
    masks, margins = gaussian(0, 10, 20, 0.0)
    with pytest.raises(InputError, match=r"record 0.*trial 0: .*training.probabilities: true"):
        attack(folder_of(tmp_path, masks, margins, train_margin=b""))


def test_a_folder_without_a_run_is_refused(tmp_path):
    assert "no such run folder" in tfmem_command("privacy", tmp_path / "nowhere", code=1).stderr
