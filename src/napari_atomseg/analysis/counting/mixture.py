"""Mixtures of normal distributions over cross-sections, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.progress import CancelToken, Progress, report

ROUNDS = 300
"""Most rounds of expectation and maximization."""
FIRST_ROUNDS = 15
"""From every start, of which the best goes on."""
TOLERANCE = 1e-6
"""Gain in mean log likelihood of a round, below which no more follow."""
PATIENCE = 8
"""Components more than the best number so far, after which no more are tried."""
FINALISTS = 5
"""Scales of a library that rounds go on from."""
EVIDENCE = 6.0
"""Difference of criteria that is strong evidence for the smaller one."""
HELD = 0.5
"""A component that holds fewer values is empty."""
FILLED = 0.75
"""Share of the numbers between the least and the largest that columns of a specimen have."""
BINS = 512
"""Bins of the values, from which the rounds start."""
NARROWEST = 1e-4
"""Deviation of a component, as a share of that of all values: what holds for values without noise.
"""


@dataclass(frozen=True)
class Mixture:
    """Normal distributions in order of their means, of one width or one that grows with the mean.

    Attributes
    ----------
    means, weights : (G,) of the components; the weights add up to 1.
    sigma : their common standard deviation, beside the values' own errors.
    relative : standard deviation in proportion to the mean, which adds to it in square.
    posterior : (N, G) probability that a value is of a component.
    log_likelihood : log-likelihood of all values.
    growing : whether `relative` was free.
    """

    means: Array
    weights: Array
    sigma: float
    relative: float
    posterior: Array
    log_likelihood: float
    growing: bool

    @property
    def variances(self) -> Array:
        """(G,) of the components, beside the values' own errors."""
        return np.asarray(self.sigma**2 + (self.relative * self.means) ** 2)

    @property
    def icl(self) -> float:
        """Integrated classification likelihood, the smaller the better.

        -2 log L + 2 EN + d log N: the entropy EN = -Σ τ log τ of the posterior τ punishes
        components that overlap, and d counts the means, the weights and the widths (McLachlan and
        Peel, Finite Mixture Models, 2000; for atoms De Backer et al., Ultramicroscopy 134, 23,
        2013). Components that hold less than half a value do not count.
        """
        known = self.posterior[self.posterior > 0]
        entropy = -float(np.sum(known * np.log(known)))
        parameters = 2 * int(np.sum(self.weights * len(self.posterior) >= HELD)) + self.growing
        penalty = parameters * float(np.log(len(self.posterior)))
        return -2 * self.log_likelihood + 2 * entropy + penalty


def fit_scaled(
    values: Array,
    errors: Array,
    library: Array,
    *,
    free: bool,
    growing: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Mixture, float, tuple[float, float]]:
    """The mixture with means in given proportions, and their scale.

    Parameters
    ----------
    values, errors : (N,) cross-sections and their standard errors.
    library : (G,) means of the components at scale 1.
    free : whether the scale is fitted; else it is 1. Of scales that explain the values about
        equally well, the largest is taken, which means the fewest atoms.
    growing : whether the width may grow with the mean.

    Returns
    -------
    The mixture, its scale, and the smallest and largest scale of those that explain the values
    about equally well.
    """
    if not free:
        return (
            _climb(values, errors, library, library, fixed=True, growing=growing),
            1.0,
            (1.0, 1.0),
        )
    ends = library[np.unique(np.linspace(0, len(library) - 1, 40).astype(int))]
    scales = values.max() / ends
    climb = partial(_climb, values, errors, library=library, growing=growing)
    work = len(scales) + FINALISTS
    tried = []
    for done, scale in enumerate(scales):
        report(progress, cancel, done, work, "Trying scales")
        tried.append(climb(means=library * scale, rounds=FIRST_ROUNDS))
    tried.sort(key=lambda mixture: mixture.icl)
    climbs = []
    for done, mixture in enumerate(tried[:FINALISTS], start=len(scales)):
        report(progress, cancel, done, work, "Trying scales")
        climbs.append(climb(means=mixture.means))
    least = min(mixture.icl for mixture in climbs)
    equal = [mixture for mixture in climbs if mixture.icl < least + EVIDENCE]
    best = max(equal, key=lambda mixture: float(mixture.means[-1]))
    # Half the scale explains as much by every second number alone, which no specimen has.
    likely = [mixture for mixture in equal if mixture is best or _filled(mixture) > FILLED]
    alike = [float(mixture.means[-1] / library[-1]) for mixture in likely]
    return best, float(best.means[-1] / library[-1]), (min(alike), max(alike))


def _filled(mixture: Mixture) -> float:
    """Share of the components, from the first to the last with a value, that have one."""
    used = np.flatnonzero(mixture.weights * len(mixture.posterior) >= HELD)
    return len(used) / (used[-1] - used[0] + 1) if len(used) else 0.0


def fit_every_number(
    values: Array,
    errors: Array,
    largest: int,
    *,
    patient: bool = False,
    growing: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Mixture]:
    """The mixtures of 1, 2, … up to `largest` components.

    Each is the likeliest that expectation and conditional maximization reach from the best
    partition of the values into intervals, from means at equal distances and from the mixture
    before it with a component more; the values' errors widen each component (Bovy, Hogg and
    Roweis, Ann. Appl. Stat. 5, 1657, 2011, in one dimension).

    Parameters
    ----------
    values, errors : (N,) cross-sections and their standard errors; zeros where those are not known.
    patient : go on to `largest` where more components have long been worse.
    growing : whether the width may grow with the mean.
    """
    climb = partial(_climb, values, errors, library=None, growing=growing)
    mixtures: list[Mixture] = []
    best = 0
    low, high = np.quantile(values, [0.005, 0.995])
    for number, partition in enumerate(best_partitions(values, largest), start=1):
        report(progress, cancel, number - 1, largest, f"Trying {number} classes")
        starts = [partition, np.linspace(low, high, number + 2)[1:-1]]
        if mixtures:
            starts.append(np.linspace(low, high, number))
            starts.append(np.append(mixtures[-1].means, _strangest(values, errors, mixtures[-1])))
        tried = [climb(means=np.sort(start), rounds=FIRST_ROUNDS) for start in starts]
        ahead = max(tried, key=lambda mixture: mixture.log_likelihood)
        mixtures.append(climb(means=ahead.means, start=ahead))
        if mixtures[-1].icl < mixtures[best].icl:
            best = number - 1
        if not patient and best and number - 1 - best >= PATIENCE:
            break
    return mixtures


def best_partitions(values: Array, largest: int) -> list[Array]:
    """Means of the intervals that divide values with the least sum of squares, for 1, 2, … of them.

    Exact but for the bins, by dynamic programming (Fisher, J. Am. Stat. Assoc. 53, 789, 1958).

    Returns
    -------
    Sorted means, as many each time, up to `largest` or the number of occupied bins.
    """
    counts, edges = np.histogram(values, BINS)
    sums = np.histogram(values, edges, weights=values)[0]
    there = counts > 0
    counts, middles = counts[there].astype(np.float64), sums[there] / counts[there]
    middles -= (centre := float(np.mean(values)))
    size = np.concatenate([[0.0], np.cumsum(counts)])
    first = np.concatenate([[0.0], np.cumsum(counts * middles)])
    second = np.concatenate([[0.0], np.cumsum(counts * middles**2)])
    held = size[None, :] - size[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = second[None, :] - second[:, None] - (first[None, :] - first[:, None]) ** 2 / held
    cost = np.where(held > 0, cost, np.inf)
    best, cuts, partitions = cost[0], [], []
    for number in range(1, min(largest, len(counts)) + 1):
        if number > 1:
            total = best[:, None] + cost
            cuts.append(np.argmin(total, axis=0))
            best = np.min(total, axis=0)
        borders = [len(counts)]
        for cut in reversed(cuts):
            borders.append(int(cut[borders[-1]]))
        ends = np.array([*borders, 0][::-1])
        partitions.append(np.diff(first[ends]) / np.diff(size[ends]) + centre)
    return partitions


def _climb(
    values: Array,
    errors: Array,
    means: Array,
    library: Array | None,
    start: Mixture | None = None,
    *,
    fixed: bool = False,
    growing: bool = False,
    rounds: int = ROUNDS,
) -> Mixture:
    """Rounds until the likelihood rises no more; the means stay in the proportions of a library."""
    spread = max(float(values.std()), 1e-9 * float(np.abs(values).max()), 1e-100)
    narrowest = (NARROWEST * spread) ** 2
    gap = float(np.diff(means).min()) if len(means) > 1 else spread
    common, relative = max(min((0.3 * gap) ** 2, spread**2), narrowest), 0.0
    weights = np.full(len(means), 1.0 / len(means))
    if start is not None:
        common, relative, weights = start.sigma**2, start.relative**2, start.weights
    own = errors[:, None] ** 2
    variance = common + relative * means**2
    posterior, likelihood = _expected(values, variance + own, means, weights)
    for _ in range(rounds):
        width = variance + own
        weights = posterior.mean(axis=0)
        share = posterior / width
        if library is None:
            held = share.sum(axis=0)
            means = np.divide(values @ share, held, out=means.copy(), where=held > 1e-300)
        elif not fixed:
            means = library * float(values @ share @ library / (share.sum(axis=0) @ library**2))
        shrink = variance / width
        away = shrink**2 * (values[:, None] - means) ** 2 + variance * (1 - shrink)
        square = np.einsum("ng,ng->g", posterior, away)
        common = max(float(square.sum()) / len(values), narrowest)
        if growing:
            common, relative = _widths(square, posterior.sum(axis=0), means, variance, narrowest)
        variance = common + relative * means**2
        before = likelihood
        posterior, likelihood = _expected(values, variance + own, means, weights)
        if likelihood - before < TOLERANCE * len(values):
            break
    order = np.argsort(means)
    return Mixture(
        means[order],
        weights[order],
        float(np.sqrt(common)),
        float(np.sqrt(relative)),
        posterior[:, order],
        likelihood,
        growing,
    )


def _widths(
    square: Array, held: Array, means: Array, variance: Array, narrowest: float
) -> tuple[float, float]:
    """Common variance and the share of the mean's square in it, a step of Fisher scoring.

    Parameters
    ----------
    square : (G,) sum of squares of each component of as many values as `held` (G,).
    variance : (G,) from the round before.
    """
    weight = 1.0 / variance**2
    ones, line = held * weight, held * weight * means**2
    normal = np.array([[ones.sum(), line.sum()], [line.sum(), line @ means**2]])
    right = np.array([square @ weight, square @ (weight * means**2)])
    if np.linalg.det(normal) > 1e-9 * normal[0, 0] * normal[1, 1]:
        common, relative = np.linalg.solve(normal, right)
        if common >= narrowest and relative >= 0:
            return float(common), float(relative)
        if common < narrowest:
            rest = right[1] - narrowest * normal[0, 1]
            return narrowest, max(float(rest / normal[1, 1]), 0.0)
    return max(float(right[0] / normal[0, 0]), narrowest), 0.0


def _expected(values: Array, width: Array, means: Array, weights: Array) -> tuple[Array, float]:
    """Posterior (N, G) and log likelihood; `width` (N, G) are variances."""
    with np.errstate(divide="ignore"):
        logarithm = np.log(weights) - 0.5 * (values[:, None] - means) ** 2 / width
    logarithm -= 0.5 * np.log(2 * np.pi * width)
    top = logarithm.max(axis=1, keepdims=True)
    share = np.exp(logarithm - top)
    total = share.sum(axis=1, keepdims=True)
    return share / total, float(np.sum(top[:, 0] + np.log(total[:, 0])))


def _strangest(values: Array, errors: Array, mixture: Mixture) -> float:
    """The value that lies farthest from all components, in units of their width."""
    width = mixture.variances + errors[:, None] ** 2
    square = (values[:, None] - mixture.means) ** 2 / width
    return float(values[np.argmax(square.min(axis=1))])


def component_errors(mixture: Mixture, errors: Array) -> Array:
    """(G,) standard errors of the means, given what each value is."""
    held = (mixture.posterior / (mixture.variances + errors[:, None] ** 2)).sum(axis=0)
    return np.asarray(1.0 / np.sqrt(np.maximum(held, 1e-300)))


def likeliest(mixture: Mixture) -> Indices:
    """(N,) component of the greatest posterior of each value."""
    return np.asarray(np.argmax(mixture.posterior, axis=1), dtype=np.int64)
