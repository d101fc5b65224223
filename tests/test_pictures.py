"""The drawing of a network: it shows the state, all of it legibly, from one company to hundreds."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from networks import random_scenario
from rendered import WILLEMS, changed, mortal, played, share_of_colour

from kaizen_env import build, load_scenario, scenarios
from kaizen_env.envs.render import render
from kaizen_env.pictures import glyphs, picture
from kaizen_env.pictures.placement import Area, place
from kaizen_env.pictures.snapshot import number, snapshot


@pytest.mark.parametrize("name", [*scenarios(), "random 40"])
def test_picture_is_an_array_of_the_state(name: str) -> None:
    """(height, width, 3) uint8, not blank; the same for the same state, another one period later, of constant size.

    Seen to fail: a blank figure; the first picture kept for later periods.
    """
    spec = {"random": {"companies": 40, "seed": 1}} if name == "random 40" else name
    batch = played(spec, steps=0)
    first = render(batch, "rgb_array")
    assert isinstance(first, np.ndarray)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert first.shape[2] == 3
    assert min(first.shape[:2]) >= 300
    assert max(first.shape[:2]) <= 1600
    assert len(np.unique(first @ np.array([65536, 256, 1]))) > 20  # colours
    assert 0.005 < (first != 255).any(axis=-1).mean() < 0.6
    np.testing.assert_array_equal(render(played(spec, steps=0), "rgb_array"), first)
    batch.step(np.full((1, batch.companies, len(batch.action_names)), 0.3))
    second = render(batch, "rgb_array")
    assert isinstance(second, np.ndarray)
    assert second.shape == first.shape
    body = slice(picture.HEAD, -picture.FOOT)  # without title and legend
    assert (second[body] != first[body]).any()


def test_picture_shows_stocks_backlogs_wastes_and_transit() -> None:
    """More of each paints more of its colour, and nothing of it none.

    Seen to fail: stocks drawn half full; no late orders; no dots; the ring drawn for 1 − waste.
    """
    batch = played("cola", steps=3)
    state, none = batch.state, np.zeros_like
    late = np.where(np.arange(len(state.backlog))[:, None] == 4, 1e5, 0.0)  # owed by one company to another
    cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        (glyphs.STOCK, {"on_hand": none(state.on_hand)}, {"on_hand": state.on_hand * 5 + 1}),
        (glyphs.LATE, {"backlog": none(state.backlog)}, {"backlog": state.backlog + late}),
        (glyphs.MOVING, {"in_transit": none(state.in_transit)}, {"in_transit": state.in_transit}),
    ]
    for colour, fewer, more in cases:
        less, much = share_of_colour(changed(batch, **fewer), colour), share_of_colour(changed(batch, **more), colour)
        assert much > less + 2e-4
        if colour != glyphs.STOCK:  # numbers are written in it
            assert less == 0.0

    rings = []
    for level in (0.0, 0.25, 0.5, 1.0):
        wastes = {"waste": none(state.waste) + level, "link_waste": none(state.link_waste) + level}
        rings.append(share_of_colour(changed(batch, **wastes), glyphs.WASTE))
    assert rings[0] == 0.0
    np.testing.assert_allclose(np.array(rings[1:3]) / rings[3], [0.25, 0.5], atol=0.05)


def test_picture_shows_who_is_bankrupt_open_and_served() -> None:
    """The dead are grey, without stock; an open twin is a filled badge; a market is green as far as it was served.

    Seen to fail: the dead drawn as the living; the badge always open; the diamond filled for the rest.
    """
    batch = played(mortal(), steps=3)
    state = batch.state
    alive = share_of_colour(changed(batch, alive=np.ones_like(state.alive)), glyphs.DEAD)
    dead = share_of_colour(changed(batch, alive=np.zeros_like(state.alive)), glyphs.DEAD)
    assert dead > 0.01 > 10 * alive  # the legend shows what the dead look like, outside the body
    gone = {"alive": np.zeros_like(state.alive), "in_transit": np.zeros_like(state.in_transit)}
    assert share_of_colour(changed(batch, **gone), glyphs.STOCK) == 0.0
    opened, shut = (
        share_of_colour(changed(batch, open_twin=np.full_like(state.open_twin, x)), glyphs.OPEN) for x in (1.0, 0.0)
    )
    assert opened > 2 * shut > 0.0

    greens = []
    for share in (0.0, 0.3, 1.0):
        figure = Figure(figsize=(1, 1), dpi=100)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 100), ylim=(0, 100))
        axes.set_axis_off()
        glyphs.draw_markets(axes, np.array([[50.0, 50.0]]), 40.0, np.array([share]), np.array([True]))
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
        greens.append((share_of_colour(pixels, glyphs.SERVED), share_of_colour(pixels, glyphs.LATE)))
    assert greens[0][0] == 0.0
    assert greens[2][1] < 0.01  # no red where everybody was served
    assert greens[1][0] / greens[2][0] == pytest.approx(2 * 0.3**2, abs=0.03)  # a triangle of 0.3 of the height


def test_links_are_as_wide_as_what_was_sent() -> None:
    """A link that carries more is wider, and dashed where nothing was sent.

    Seen to fail: width by what is in transit; all links alike.
    """
    batch = played("electric_car", steps=4)
    assert batch.flows is not None
    links = picture._links(
        batch.network, snapshot(batch), place(batch.network, Area(0, 0, 1000, 600)), r=20.0, stub=2.0
    )
    sent = np.concatenate((batch.flows.dispatched[:, 0], batch.flows.shipped[:, 0]))
    for purchase, load in zip(links.purchase, links.load, strict=True):
        if purchase >= 0:
            assert load == pytest.approx(sent[purchase] / batch.network.purchase.flow[purchase, 0])
    batch.flows = batch.flows._replace(dispatched=batch.flows.dispatched * 0.0)
    figure = Figure()
    FigureCanvasAgg(figure)
    picture.draw(figure, batch.network, snapshot(batch))
    lines: Any = figure.axes[0].collections[0]
    widths, dashes = lines.get_linewidths(), [d for _, d in lines.get_linestyles()]
    assert np.ptp(widths[:-1]) == 0.0
    assert widths[-1] > widths[0]
    assert all(dashes[:-1])
    assert not dashes[-1]


@pytest.mark.parametrize("steps", [0, 20])
@pytest.mark.parametrize("name", scenarios())
def test_words_of_the_picture_neither_overlap_nor_leave_it(name: str, steps: int) -> None:
    """In every built-in scenario all names and numbers are there, inside the picture, and on no other text.

    Seen to fail: numbers left out; rows of 150 pixels, too few for them; a supplier's name not cut; amounts in transit
    40 pixels off their links.
    """
    batch = played(name, "kaizen2", steps)
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    picture.draw(figure, batch.network, snapshot(batch))
    canvas.draw()
    width, height = picture.size(batch.network)
    texts = [t for t in figure.axes[0].texts if t.get_text()]
    written = [t.get_text().replace("\n", "") for t in texts]
    for i, company in enumerate(batch.network.names):
        assert company in written
        assert f"on hand {number(batch.state.on_hand[i, 0])}" in written
    assert {m.name for m in batch.scenario.markets} < set(written)
    boxes = np.array([t.get_window_extent(canvas.get_renderer()).extents for t in texts])
    assert boxes[:, :2].min() >= 0
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    shrunk = boxes + np.array([1.0, 2.5, -1.0, -2.5])  # a box holds the room of letters that reach lower
    for i in range(len(texts)):
        over = (shrunk[i, :2] < shrunk[i + 1 :, 2:]).all(axis=1) & (shrunk[i + 1 :, :2] < shrunk[i, 2:]).all(axis=1)
        assert not over.any(), [texts[i].get_text(), *(texts[i + 1 + k].get_text() for k in np.flatnonzero(over))]


@pytest.mark.parametrize("seed", range(8))
def test_layers_run_from_suppliers_to_markets(seed: int) -> None:
    """Without positions every link runs to the right, everything is inside the area, and nothing on anything else.

    Seen to fail: two layers for all; a crowded layer not folded.
    """
    network = build(random_scenario(3 + 9 * seed, seed))
    area = Area(20.0, 50.0, 1000.0, 600.0)
    places = place(network, area)
    for company, other in zip(network.trade.seller, network.trade.buyer, strict=True):
        assert places.company[company, 0] < places.company[other, 0]
    for company, market in zip(network.market.seller, network.market.market, strict=True):
        assert places.company[company, 0] < places.market[market, 0]
    both = np.concatenate(places)
    assert (both > np.array(area[:2])).all()
    assert (both < np.array(area[:2]) + np.array(area[2:])).all()
    gaps = np.hypot(*np.moveaxis(both[:, None] - both, -1, 0)) + 1e9 * np.eye(len(both))
    assert gaps.min() > 0.35 * np.sqrt(area.width * area.height / len(both))


def test_positions_are_kept_unless_companies_would_cover_each_other() -> None:
    """Companies stand as described, y downwards; where two coincide or one has no position, in layers.

    Seen to fail: y upwards; coinciding positions kept.
    """
    scenario = load_scenario("electric_car")
    area = Area(0.0, 0.0, 1000.0, 600.0)
    given = np.array([c.position for c in scenario.companies])
    places = place(build(scenario), area).company
    for axis, sign in ((0, 1.0), (1, -1.0)):
        scale = np.ptp(places[:, axis]) / np.ptp(given[:, axis])
        np.testing.assert_allclose(
            places[:, axis] - places[0, axis], sign * scale * (given[:, axis] - given[0, axis]), atol=1e-6
        )
    for position in (scenario.companies[1].position, None):
        first = scenario.companies[0].model_copy(update={"position": position})
        moved = place(build(scenario.changed(companies=[first, *scenario.companies[1:]])), area).company
        assert np.hypot(*(moved[0] - moved[1])) > 50
        assert not np.allclose(moved, places)


@pytest.mark.skipif(not WILLEMS.is_dir(), reason="the data of Willems (2008) are not in ../shared/willems")
@pytest.mark.parametrize("chain", [1, 5, 24])
def test_real_chains_can_be_seen(chain: int) -> None:
    """From 8 to 334 companies, with positions that are usable, coincide, or would lie on each other.

    Seen to fail: positions kept where companies are a pixel apart, as in chain 24.
    """
    batch = played({"willems": WILLEMS, "chain": chain}, {"twin": "echelon"}, 2)
    pixels = render(batch, "rgb_array")
    assert isinstance(pixels, np.ndarray)
    assert share_of_colour(pixels, glyphs.STOCK) > 3e-4
    width, height = picture.size(batch.network)
    places = place(batch.network, Area(24.0, picture.FOOT, width - 48.0, height - picture.HEAD - picture.FOOT))
    gaps = np.hypot(*np.moveaxis(places.company[:, None] - places.company, -1, 0))
    assert (gaps + 1e9 * np.eye(batch.companies)).min() >= 14.0


def test_ten_companies_take_less_than_half_a_second() -> None:
    """Time of the processor for a picture of the largest built-in scenario.

    Seen to fail: each shape drawn as a patch of its own, ten times over.
    """
    batch = played("cola")
    render(batch, "rgb_array")
    took = []
    for _ in range(3):
        start = time.process_time()
        render(batch, "rgb_array")
        took.append(time.process_time() - start)
    assert min(took) < 0.5
