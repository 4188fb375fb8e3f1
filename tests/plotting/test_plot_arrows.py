"""Arrows: lengths and angles of the plane are those of the vectors in their own space."""

import numpy as np
import pytest
from artists import arrows, boxes, colliding, color_of, cut, text, texts
from matplotlib.patches import Circle
from matplotlib.quiver import Quiver

from lnpoly_helpers.plotting import new_figure, plot_arrows, plot_bundle
from lnpoly_helpers.plotting.style import INK, ROLES, SERIES


def two(rng, lengths, cosine, d=9):
    """Two vectors of R^d in a random plane, of these lengths and this cosine between them."""
    plane = np.linalg.qr(rng.normal(size=(d, 2)))[0].T
    first, second = lengths
    return first * plane[0], second * (cosine * plane[0] + np.sqrt(1 - cosine**2) * plane[1])


def cosine_of(a, b):
    return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))


# --- one change in two parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "cosine"), [((1.06, 0.49), -0.35), ((1.4, 0.9), -0.75), ((1, 2), 0.6), ((3e4, 1e4), 0), ((2, 2), -0.99)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_lengths_and_angles_are_those_of_the_vectors(rng, lengths, cosine, sign):
    tangent, rest = sign * np.array(two(rng, lengths, cosine))
    figure = plot_arrows({"tangent part": tangent, "rest": rest}, title="A change")
    (ax,) = figure.axes
    drawn = arrows(ax)
    tails, tips = (np.array([arrow[k] for arrow in drawn]) for k in (0, 1))
    vectors = [tangent, rest, tangent + rest]
    np.testing.assert_allclose(np.linalg.norm(tips - tails, axis=1), np.linalg.norm(vectors, axis=1), rtol=1e-12)
    for a in range(3):
        for b in range(a):
            found = cosine_of(tips[a] - tails[a], tips[b] - tails[b])
            assert found == pytest.approx(cosine_of(vectors[a], vectors[b]), abs=1e-12)
    np.testing.assert_array_equal(tails, [[0, 0], tips[0], [0, 0]])  # head to tail
    np.testing.assert_array_equal(tips[1], tips[2])
    assert tips[0][1] == 0 < tips[0][0] and tips[1][1] >= 0  # the first lies flat, the picture above it
    assert [arrow[2] for arrow in drawn] == [ROLES["tangent part"].light, ROLES["rest"].light, INK]
    assert ax.get_aspect() == 1 and not ax.axison and ax.get_title(loc="left") == "A change"


def test_names_lengths_and_the_angle_are_written_at_their_arrows(rng):
    tangent, rest = two(rng, (1.06, 0.49), -0.35)
    figure = plot_arrows({"tangent part": tangent, "rest": rest}, total="sum")
    (ax,) = figure.axes
    assert set(texts(ax)) == {"tangent part 1.06", "rest 0.49", "sum 1", "110°, cos −0.35"}
    assert (
        color_of(text(ax, "tangent part 1.06")) == ROLES["tangent part"].light
        and color_of(text(ax, "rest 0.49")) == ROLES["rest"].light
    )
    (_, _, tip), (tail, corner) = [arrow[1] for arrow in arrows(ax)], arrows(ax)[1][:2][::-1]
    np.testing.assert_allclose(texts(ax)["rest 0.49"], np.add(tail, corner) / 2)
    np.testing.assert_allclose(texts(ax)["sum 1"], np.array(tip) / 2)
    assert figure.alt == (
        "tangent part, of length 1.06, and rest, 0.49, head to tail, and their sum, the sum, 1; "
        "the angle between the parts is 110°, its cosine -0.35."
    )
    line, arc = ax.lines
    np.testing.assert_allclose(line.get_ydata(), 0)
    assert line.get_xdata()[0] == pytest.approx(1.06) and line.get_xdata()[1] > 1.06  # the first part's direction, on
    about = arc.get_xydata() - corner
    np.testing.assert_allclose(np.hypot(*about.T), np.hypot(*about[0]))  # about the corner, from that line to the rest
    ends = np.degrees(np.arctan2(*about[[0, -1]].T[::-1]))
    np.testing.assert_allclose(ends, [0, np.degrees(np.arccos(-0.35))], atol=1e-9)


@pytest.mark.parametrize("lengths", [(1.06, 0.49), (1, 0.1), (1, 2), (1, 1), (1, 5)])
@pytest.mark.parametrize("cosine", [-0.95, -0.6, -0.35, 0, 0.5])
def test_no_text_is_cut_or_lies_upon_another(rng, lengths, cosine):
    parts = dict(zip(["tangent part", "rest"], two(rng, lengths, cosine), strict=True))
    figure = plot_arrows(parts, title="A change of the layer's output")
    assert cut(figure) == [] and colliding(figure) == [] and len(boxes(figure)) == 5


@pytest.mark.parametrize("lengths", [(1.06, 0.49), (15.2, 10.3), (1, 2)])
@pytest.mark.parametrize("cosine", [-0.99, -0.956, -0.88, -0.6, 0.3, 0.9])
def test_no_arrow_runs_through_a_name(rng, lengths, cosine):
    parts = dict(zip(["tangent part", "rest"], two(rng, lengths, cosine), strict=True))
    figure, axes = new_figure(5.3, 4.0, nrows=2, sharex=True, sharey=True)
    plot_arrows(parts, ax=axes[0])
    plot_arrows(parts, ax=axes[1])
    words = boxes(figure)
    for tail, tip, *_ in arrows(axes[0]):
        along = axes[0].transData.transform(np.linspace(tail, tip, 200))
        assert not [name for name, box in words if any(box.contains(*point) for point in along)]


def test_panels_that_share_their_axes_have_one_scale(rng):
    figure, axes = new_figure(6.4, 2.6, ncols=2, sharex=True, sharey=True)
    for ax, size in zip(axes, (1, 2), strict=True):
        assert plot_arrows(dict(zip("ab", two(rng, (size, size), -0.3), strict=True)), ax=ax) is figure
    figure.draw_without_rendering()
    scales = [np.diff(ax.transData.transform([(0, 0), (1, 0), (1, 1)]), axis=0) for ax in axes]
    np.testing.assert_allclose(scales[0], scales[1])
    assert scales[0][0, 0] == pytest.approx(scales[0][1, 1])  # equal aspect
    assert cut(figure) == [] and len(figure.alt) < 400


@pytest.mark.parametrize(("first", "second"), [([2.0, 0], [0.0, 0]), ([0.0, 0], [0.0, 1]), ([3.0], [-1.0])])
def test_parts_that_span_no_plane_are_drawn_too(first, second):
    figure = plot_arrows({"a": first, "b": second})
    tails, tips = (np.array([arrow[k] for arrow in arrows(figure.axes[0])]) for k in (0, 1))
    vectors = [first, second, np.add(first, second)]
    np.testing.assert_allclose(np.linalg.norm(tips - tails, axis=1), np.linalg.norm(vectors, axis=1))


def test_what_is_not_two_vectors_of_one_space_is_refused():
    with pytest.raises(ValueError, match=r"^parts: expected two vectors, which span a plane, got 3 \(a, b, c\)\.$"):
        plot_arrows(dict.fromkeys("abc", [1, 0]))
    with pytest.raises(ValueError, match=r"^parts\['b'\]: expected shape \[2\], got \[3\]\.$"):
        plot_arrows({"a": [1, 0], "b": [1, 0, 0]})
    with pytest.raises(ValueError, match=r"^parts\['b'\]: expected finite numbers"):
        plot_arrows({"a": [1, 0], "b": [1, np.nan]})


# --- many changes ------------------------------------------------------------------------------------------------


def bundle(rng, n=40, d=9):
    """Vectors with a common part, which differ most along one direction."""
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    spread = np.r_[0.3, 2.0, np.full(d - 2, 0.2)]
    return (np.r_[1.5, np.zeros(d - 1)] + spread * rng.normal(size=(n, d))) @ turn


def drawn_bundle(figure):
    (quiver,) = [artist for artist in figure.axes[0].collections if isinstance(artist, Quiver)]
    assert quiver.angles == "xy" and quiver.scale_units == "xy" and quiver.scale == 1  # in the data's own units
    np.testing.assert_array_equal(quiver.get_offsets(), 0)
    return np.c_[quiver.U, quiver.V]


def test_a_bundle_shows_every_vector_along_the_mean_and_across_it(rng):
    changes = bundle(rng)
    figure = plot_bundle(changes, title="A push")
    flat, mean = drawn_bundle(figure), changes.mean(axis=0)
    length = np.linalg.norm(mean)
    np.testing.assert_allclose(flat[:, 0], changes @ mean / length, rtol=1e-12)
    np.testing.assert_allclose(flat.mean(axis=0), [length, 0], atol=1e-12)
    # across: one direction, orthogonal to the mean, and of all of those the one along which they differ most
    across = np.linalg.lstsq(changes - np.outer(flat[:, 0], mean) / length, flat[:, 1], rcond=None)[0]
    assert np.linalg.norm(across) == pytest.approx(1) and across @ mean == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(changes @ across, flat[:, 1], atol=1e-9)
    projector = np.eye(9) - np.outer(mean, mean) / length**2
    assert np.sum(flat[:, 1] ** 2) == pytest.approx(np.linalg.eigvalsh(projector @ changes.T @ changes @ projector)[-1])
    ax = figure.axes[0]
    ((tail, tip, color, _),) = arrows(ax)
    assert tail == (0, 0) and tip == pytest.approx((length, 0)) and color == SERIES[1][0]
    assert ax.get_aspect() == 1 and ax.get_title(loc="left") == "A push"


def test_its_circle_is_the_root_mean_square_of_the_lengths(rng):
    changes = bundle(rng)
    figure = plot_bundle(changes, name="change of the output")
    (ax,) = figure.axes
    (circle,) = [patch for patch in ax.patches if isinstance(patch, Circle)]
    squares = np.linalg.norm(changes, axis=1) ** 2
    assert circle.get_radius() == pytest.approx(np.sqrt(squares.mean())) and circle.center == (0, 0)
    share, length = np.sum(changes.mean(axis=0) ** 2) / squares.mean(), np.linalg.norm(changes.mean(axis=0))
    assert set(texts(ax)) == {
        f"mean {length:.3g}",
        f"root mean square {circle.get_radius():.3g}\n|mean|² is {share:.3g} of its square",
    }
    assert figure.alt == (
        f"40 vectors, each a change of the output, as thin arrows, and their mean, of length {length:.3g}, a share of "
        f"{share:.3g} of their mean square, whose root, {circle.get_radius():.3g}, is the radius of a circle."
    )
    assert cut(figure) == [] and colliding(figure) == []


def test_a_bundle_turned_in_its_space_is_the_same_picture(rng):
    changes = bundle(rng)
    turned = changes @ np.linalg.qr(rng.normal(size=(9, 9)))[0]
    np.testing.assert_allclose(drawn_bundle(plot_bundle(turned)), drawn_bundle(plot_bundle(changes)), atol=1e-9)


def test_vectors_that_are_all_alike_or_cancel_are_drawn_too():
    alike = plot_bundle([[0.0, 3, 4]] * 5)
    np.testing.assert_allclose(drawn_bundle(alike), [[5, 0]] * 5)
    assert "a share of 1 of their mean square" in alike.alt
    opposite = plot_bundle([[1.0, 2.0], [-1.0, -2.0]])
    np.testing.assert_allclose(np.sort(drawn_bundle(opposite), axis=0), [[0, -np.sqrt(5)], [0, np.sqrt(5)]])
    assert "a share of 0 of their mean square" in opposite.alt
