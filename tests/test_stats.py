"""stats: coverage by simulation and by the binomial distribution, strata and groups as they are drawn, SciPy."""

import re
from math import comb

import numpy as np
import pytest
import scipy.stats

from lnpoly_helpers import bootstrap_interval, mean_interval, median_interval, plus_minus, table

N_SAMPLES = 20_000
DRAWS = {  # samples, the true mean, the true median
    "normal": (lambda rng, shape: rng.normal(3, 2, size=shape), 3, 3),
    "exponential": (lambda rng, shape: rng.exponential(size=shape), 1, np.log(2)),
    "counts": (lambda rng, shape: rng.poisson(3, size=shape), 3, 3),
}


def error(share):
    """Four standard errors of a share found in N_SAMPLES."""
    return 4 * np.sqrt(share * (1 - share) / N_SAMPLES)


@pytest.mark.parametrize("n", [2, 9, 24, 96, 400])
@pytest.mark.parametrize("name", DRAWS)
def test_the_mean_lies_in_its_interval_in_95_percent(rng, name, n):
    draw, truth, _ = DRAWS[name]
    mean, half = mean_interval(draw(rng, (N_SAMPLES, n)))
    found = (np.abs(mean - truth) <= half).mean()
    if name == "normal":
        assert abs(found - 0.95) < error(0.95)
        few = {2: 0.86, 9: 0.92}.get(n, 0.945)  # what 1.96 would give: 70 % of pairs, 91 % of nine
        assert (np.abs(mean - truth) <= 1.96 * half / scipy.stats.t.ppf(0.975, n - 1)).mean() < max(few, found)
    elif n > 2:
        low = {"exponential": {9: 0.89, 24: 0.915, 96: 0.935, 400: 0.943}}.get(name, {9: 0.935, 24: 0.942})
        assert low.get(n, 0.945) - error(0.95) < found < 0.95 + error(0.95)
        assert (np.abs(mean - truth) <= half / 1.2).mean() < 0.93  # a shorter interval would be seen


@pytest.mark.parametrize("n", [24, 48, 97, 400])
@pytest.mark.parametrize("name", ["normal", "exponential"])
def test_the_median_lies_between_its_two_values_as_often_as_the_binomial_says(rng, name, n):
    draw, _, truth = DRAWS[name]
    median, low, high = median_interval(draw(rng, (N_SAMPLES, n)))
    k = 1 + int(n / 2 - 0.98 * np.sqrt(n))
    exact = 1 - 2 * sum(comb(n, i) for i in range(k)) / 2**n
    found = ((low <= truth) & (truth <= high)).mean()
    assert abs(found - exact) < error(exact) and 0.92 < exact < 0.98
    assert (low <= median).all() and (median <= high).all()


def test_ties_only_add_to_the_coverage_of_a_median(rng):
    draw, _, truth = DRAWS["counts"]
    for n in (24, 96):
        _, low, high = median_interval(draw(rng, (N_SAMPLES, n)))
        assert ((low <= truth) & (truth <= high)).mean() > 0.95
    coins = rng.integers(0, 2, size=(N_SAMPLES, 101))  # a median that hangs by a hair: half of its values are 0
    _, low, high = median_interval(coins)
    assert ((low <= 0.5) & (0.5 <= high)).mean() > 0.93


def test_the_coverage_that_the_docstring_states():
    exact = {n: 1 - 2 * scipy.stats.binom.cdf(int(n / 2 - 0.98 * np.sqrt(n)), n, 0.5) for n in range(6, 3000)}
    assert [round(100 * exact[n], 1) for n in (24, 48, 96)] == [93.6, 94.1, 94.8]
    assert 0.921 < min(exact.values()) and "92.1" in median_interval.__doc__


def test_the_coverage_of_skewed_means_that_the_docstring_states(rng):
    stated = re.findall(r"(\d+\.\d) % at(?:\s+n =)? (\d+)", mean_interval.__doc__)
    assert [int(n) for _, n in stated] == [9, 24, 48, 96]
    for percent, n in stated:
        mean, half = mean_interval(rng.exponential(size=(N_SAMPLES, int(n))))
        found = (np.abs(mean - 1) <= half).mean()
        assert abs(100 * found - float(percent)) < 100 * error(found)


def test_strata_of_equal_weight_are_their_own_simulation(rng):
    """Five groups with their own means and spreads: the interval of the mean of means covers it, and is no wider."""
    centres, spreads = rng.normal(size=5) * 9, np.array([0.1, 1, 2, 3, 9])
    values = centres[:, None] + spreads[:, None] * rng.normal(size=(N_SAMPLES, 5, 60))
    mean, half = mean_interval(values, strata=1)
    assert mean.shape == half.shape == (N_SAMPLES,)
    found = (np.abs(mean - centres.mean()) <= half).mean()
    assert abs(found - 0.95) < error(0.95) + 0.002
    _, pooled = mean_interval(values.reshape(N_SAMPLES, -1))
    assert (half < pooled).all()


def test_a_batch_is_its_samples_along_any_axis(rng):
    values = rng.normal(size=(4, 5, 30))
    mean, half = mean_interval(values)
    median, low, high = median_interval(values)
    for k in np.ndindex(4, 5):
        np.testing.assert_allclose(mean_interval(values[k]), [mean[k], half[k]], rtol=1e-13)
        assert (median[k], low[k], high[k]) == median_interval(values[k])
        exact = scipy.stats.ttest_1samp(values[k], 0).confidence_interval()
        np.testing.assert_allclose([mean[k] - half[k], mean[k] + half[k]], exact, rtol=1e-9)
    other = np.moveaxis(values, -1, 0)
    np.testing.assert_allclose(mean_interval(other, axis=0), [mean, half], rtol=1e-13)
    np.testing.assert_array_equal(median_interval(other, axis=0), [median, low, high])
    np.testing.assert_array_equal(median_interval(values, axis=None), median_interval(values.ravel()))
    for axis, strata in ((0, 1), (2, 0), (-1, -3)):
        means, halves = mean_interval(values, axis=axis)
        left = [k for k in range(3) if k != axis % 3].index(strata % 3)
        together, half = mean_interval(values, axis=axis, strata=strata)
        np.testing.assert_allclose(together, means.mean(axis=left), rtol=1e-12)
        K, n = halves.shape[left], values.shape[axis]
        v = values.var(axis=axis, ddof=1) / n
        degrees = (n - 1) * v.sum(axis=left) ** 2 / (v**2).sum(axis=left)
        assert (degrees > n - 1).all() and (degrees < K * (n - 1)).all()
        exact = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(v.sum(axis=left)) / K
        np.testing.assert_allclose(half, exact, rtol=1e-9)


def test_few_samples_in_strata_and_samples_that_do_not_vary(rng):
    """Three seeds of two layers, where degrees of freedom count; nothing that varies has an interval of length 0."""
    values = rng.normal(size=(N_SAMPLES, 2, 3)) * [[1.0], [2.0]]
    mean, half = mean_interval(values, strata=1)
    assert 0.94 < (np.abs(mean) <= half).mean() < 0.97
    assert mean_interval(np.full((4, 3), 2.0), strata=0) == (2.0, 0.0) and mean_interval([1.0, 1.0]) == (1.0, 0.0)


def grouped(rng, n_groups):
    """Values of groups of 1 to 19 that have a mean of their own, around 0."""
    groups = np.repeat(np.arange(n_groups), rng.integers(1, 20, size=n_groups))
    return rng.normal(size=n_groups)[groups] + rng.normal(size=len(groups)), groups


def test_the_bootstrap_over_groups_holds_the_mean_and_one_over_values_does_not(rng):
    hits, naive, n = 0, 0, 400
    for _ in range(n):
        values, groups = grouped(rng, 40)
        mean, low, high = bootstrap_interval(values, groups, n_resamples=499)
        assert mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-14) and low < mean < high
        middle, half = mean_interval(values)
        hits, naive = hits + (low <= 0 <= high), naive + (abs(middle) <= half)
    assert 0.93 - 3 * np.sqrt(0.93 * 0.07 / n) < hits / n < 0.98
    assert naive / n < 0.6  # as if the values of a group were independent


def test_the_bootstrap_is_that_of_the_mean_where_each_value_is_a_group(rng):
    values = rng.exponential(size=50)
    exact = scipy.stats.bootstrap((values,), np.mean, random_state=np.random.default_rng(1)).confidence_interval
    mean, low, high = bootstrap_interval(values, [f"text {k}" for k in range(50)])
    np.testing.assert_allclose([low, high], exact, atol=0.02)
    order = rng.permutation(50)  # neither the order of the values nor the names of their groups count
    np.testing.assert_allclose(bootstrap_interval(values[order], np.arange(50)[order]), (mean, low, high), rtol=1e-12)
    assert bootstrap_interval([1.0, 2.0, 1.0, 2.0], [0, 0, 1, 1]) == (1.5, 1.5, 1.5)


def test_one_sample_gives_numbers_and_not_arrays(rng):
    values = rng.normal(size=20)
    for number in (*mean_interval(values), *median_interval(values), *mean_interval(values[None], strata=0)):
        assert isinstance(number, float)


def test_infinite_values_count_as_large():
    values = np.r_[np.arange(12.0), 8 * [np.inf]]
    median, low, high = median_interval(values)
    assert (median, low) == (9.5, 5) and high == np.inf


def test_plus_minus_writes_what_format_writes():
    assert plus_minus(1.234, 0.056) == "1.23±0.06"
    assert plus_minus(48.4, 1.6, ".0f", sign=" ± ") == "48 ± 2"
    assert plus_minus((1, 2), np.array([0.1, np.nan]), ".1f") == ["1.0±0.1", "2.0±nan"]
    assert plus_minus([[1.0], [2.0]], [[3.0], [4.0]], ".0f") == [["1±3"], ["2±4"]]


def test_a_table_has_every_cell_under_its_column_and_flush_right():
    rows = {
        "this layer": {"on": 0.131, "crossed": (45.2, 1.3), "off": (1.2, 1.1, 1.34)},
        "law": {"crossed": 85, "said": "confirmed", "on": (0.5, None)},
        "nothing": {},
    }
    assert table(rows, {"crossed": ".0f"}).splitlines() == [
        "              on  crossed                  off       said",
        "this layer  0.13     45±1  1.20 (1.10 to 1.34)",
        "law         0.50       85                       confirmed",
        "nothing",
    ]
    assert table({"a": {"b": np.array([1.0, 2.0, 3.0])}}, ".0f") == "            b\na  1 (2 to 3)"
    assert table({"a": {"b": (-1e-9, -1e-9, 0.5)}}, ".1f").splitlines()[1] == "a  0.0 (0.0 to 0.5)"  # no -0.0
    assert table({"a": {"b": -0.004}}).endswith(" 0.00") and table({"a": {"b": -0.005001}}).endswith("-0.01")
    assert plus_minus(-0.001, 0.004, ".2%") == "-0.10%±0.40%" and plus_minus(-1e-9, 0.2, ".0f") == "0±0"
    assert table({}) == ""


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: table({"a": {"b": [1, 2, 3, 4]}}), r"a, b: expected a number, \(middle, half\), .* got 4 numbers"),
        (lambda: mean_interval([1.0]), "values: expected at least 2 along axis -1, got 1"),
        (lambda: mean_interval([1.0, np.inf]), "values: expected finite numbers, got 1 NaN or infinite"),
        (lambda: mean_interval(3.0), r"values: expected shape \[..., n\], got \[\]"),
        (lambda: mean_interval(np.ones((3, 4)), axis=1, strata=-1), "strata: expected another axis"),
        (lambda: bootstrap_interval([1.0, 2.0], [1]), r"groups: expected one for each value, \[2\], got \[1\]"),
        (lambda: bootstrap_interval([1.0, 2.0], [1, 1]), "groups: expected at least 2 different ones, got 1"),
        (lambda: bootstrap_interval([1.0, np.nan], [1, 2]), "values: expected finite numbers"),
        (lambda: median_interval(np.ones((9, 5))), "values: expected at least 6 along axis -1, got 5"),
        (lambda: median_interval([1, 2, 3, 4, 5, np.nan]), "values: expected numbers, got 1 NaN, the first at index"),
        (lambda: plus_minus([1.0, 2.0], [1.0]), r"middle and half: expected the same shape, got \[2\] and \[1\]"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
