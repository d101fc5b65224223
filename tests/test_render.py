"""Pictures of a running network: they show the state, all of it legibly, and leave it alone."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from networks import random_scenario
from rendered import LONG_REGIME, mortal, played, rows_of, share_of_colour, value
from rich.cells import cell_len

from kaizen_env import BatchEnv, DescriptionError, PlannerEnv, Scenario, load_scenario, parallel_env, scenarios
from kaizen_env.envs.render import MOST_ROWS, WIDTH, close, render
from kaizen_env.pictures import glyphs, picture
from kaizen_env.pictures.snapshot import number, regime_name, snapshot
from kaizen_env.regimes import REGIMES, load_regime

# --- the table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", ["isolated", "kaizen2", LONG_REGIME], ids=["isolated", "kaizen2", "long"])
@pytest.mark.parametrize("name", scenarios())
def test_table_fits_a_terminal(name: str, regime: Any) -> None:
    """No line is longer than 100 columns, at the start and later, and every company has its row.

    Seen to fail: names of 22 columns instead of 20; the head line not cut.
    """
    for steps in (0, 6):
        batch = played(name, regime, steps)
        text = render(batch, "ansi")
        assert isinstance(text, str)
        assert max(cell_len(line) for line in text.split("\n")) <= WIDTH == 100
        assert set(rows_of(text)) == {*batch.network.names, "network"}
        assert name in text.split("\n")[0]


def test_table_of_a_large_network_shows_the_latest_and_says_what_is_left_out() -> None:
    """334 companies give 24 rows: whoever is left out has no later orders, at standard cost, than those shown.

    Seen to fail: rows in the order of the description; the number left out not said.
    """
    batch = played({"random": {"companies": 334, "seed": 2}}, {"twin": "echelon"}, 12)
    text = render(batch, "ansi")
    assert isinstance(text, str)
    assert max(cell_len(line) for line in text.split("\n")) <= WIDTH
    shown = set(rows_of(text)) - {"network"}
    assert len(shown) == MOST_ROWS
    assert f"{334 - MOST_ROWS} of 334 companies are left out" in text
    late = snapshot(batch).late * batch.network.company.standard_cost[:, 0]
    inside = np.array([name in shown for name in batch.network.names])
    assert late[inside].min() >= late[~inside].max()
    assert late[inside].max() > 0


def test_table_takes_names_as_they_are() -> None:
    """Long names, wide letters and $ neither break the table nor the picture.

    Seen to fail: `len` instead of the width in a terminal; names read as formulas.
    """
    scenario = load_scenario("serial")
    names = ["製造業者の会社の名前はとても長いので切る", "a$b_{c$ %s", "x" * 80]
    renamed = scenario.model_dump()
    old = {c["name"]: new for c, new in zip(renamed["companies"], names, strict=True)}
    for company in renamed["companies"]:
        company["name"] = old[company["name"]]
    for link in [*renamed["supply_links"], *renamed["trade_links"], *renamed["market_links"]]:
        link.update({key: old[link[key]] for key in ("seller", "buyer") if link.get(key) in old})
    renamed["contracts"] = {}
    batch = played(Scenario.model_validate(renamed))
    text = render(batch, "ansi")
    assert isinstance(text, str)
    assert {cell_len(line) for line in text.split("\n")[3:8]} == {77}  # the head, three companies, the network
    picture_of = Figure()
    FigureCanvasAgg(picture_of)
    picture.draw(picture_of, batch.network, snapshot(batch))
    assert "a$b_{c$ %s" in [t.get_text() for t in picture_of.axes[0].texts]
    assert not any(t.get_parse_math() for t in picture_of.axes[0].texts)


@pytest.mark.parametrize("world", [0, 2])
@pytest.mark.parametrize("name", ["cola", "electric_car", "beer_game", "airline"])
def test_numbers_of_the_table_are_those_of_the_state(name: str, world: int) -> None:
    """Each cell is the state's number of that company in that world, summed link by link, to the digits shown.

    Seen to fail: the backlog before the period; inputs of the first purchase link only; another world's profit.
    """
    batch = played(name, "kaizen2", 7, worlds=3)
    text = render(batch, "ansi", world=world)
    assert isinstance(text, str)
    rows = rows_of(text)
    network, state = batch.network, batch.state
    assert batch.flows is not None
    assert batch.books is not None
    for i, company in enumerate(network.names):
        purchases = [p for p in range(network.purchases) if network.purchase.buyer[p] == i]
        sales = [s for s in range(network.sales) if network.sale.seller[s] == i]
        bom = {p: network.purchase.bom[p, 0] for p in purchases}
        expected = {
            "on hand": state.on_hand[i, world],
            "inputs": min(state.inputs[p, world] / bom[p] for p in purchases),
            "in transit": np.mean([state.in_transit[:, p, world].sum() / bom[p] for p in purchases]),
            "backlog": sum(state.backlog[s, world] for s in sales),
            "orders": sum(batch.flows.arrivals[s, world] for s in sales),
            "profit": batch.books.profit[i, world],
        }
        for column, number_expected in expected.items():
            shown = value(rows[company][column])
            assert shown == pytest.approx(number_expected, rel=6e-4, abs=0.005), (company, column)
        assert rows[company]["alive"] == "yes"
        if "culture" in rows[company]:
            assert float(rows[company]["culture"][:-2]) == pytest.approx(100 * state.culture[i, world], abs=0.51)
            assert rows[company]["twin"] == ("open" if state.open_twin[i, world] else "closed")
        if "waste" in rows[company]:
            levels = [*state.waste[:, i, world], *(x for p in purchases for x in state.link_waste[:, p, world])]
            assert float(rows[company]["waste"][:-2]) == pytest.approx(100 * np.mean(levels), abs=0.51)


def test_head_says_where_the_episode_stands() -> None:
    """Scenario, regime, day, end-customer value so far (the sum of the infos) and share served (that of the infos).

    Seen to fail: the value so far not kept over periods; the period instead of the day.
    """
    batch = BatchEnv("electric_car", "aligned", auto_reset=False)
    batch.reset(seed=3)
    assert "day 0 of 1092" in str(render(batch, "ansi"))
    total, infos, rng = 0.0, {}, np.random.default_rng(0)
    for _ in range(9):
        infos = batch.step(rng.uniform(-1, -0.5, (1, batch.companies, len(batch.action_names))))[-1]
        total += infos["end_customer_value"][0]
    head = "\n".join(str(render(batch, "ansi")).split("\n")[:2])
    assert "electric_car · regime aligned · day 63 of 1092, period 9 of 156" in head
    assert f"so far {number(total)}," in head
    assert f"last period {number(infos['end_customer_value'][0])} " in head
    assert 0.0 < infos["served"][0] < 0.99
    assert f"· {100 * infos['served'][0]:.0f} % of its" in head
    batch.reset(seed=3)
    assert batch.value_so_far[0] == 0.0


@pytest.mark.parametrize("seed", range(12))
def test_late_orders_are_those_that_the_last_period_did_not_serve(seed: int) -> None:
    """What is late on a link = what waited before + orders seen at once − shipped − lost, whatever the order lead time.

    Seen to fail: the whole backlog taken as late; orders placed in this period taken as not due; no lost ones.
    """
    batch = BatchEnv(random_scenario(6, seed), "transparent", auto_reset=False)
    batch.reset(seed=1)
    rng = np.random.default_rng(seed)
    network = batch.network
    for _ in range(6):
        before = batch.state.backlog
        batch.step(rng.uniform(-1, 1, (1, batch.companies, len(batch.action_names))))
        assert batch.flows is not None
        at_once = np.zeros((network.sales, 1))
        for k, link in enumerate(network.scenario.trade_links):
            if link.order_lead_time == 0:
                seller, buyer = network.names.index(link.seller), network.names.index(link.buyer)
                rows = [
                    t
                    for t in range(network.trades)
                    if network.trade.seller[t] == seller and network.trade.buyer[t] == buyer
                ]
                assert len(rows) == 1, k
                sale = rows[0] if network.trade.sale is None else network.trade.sale[rows[0]]
                at_once[sale] = batch.flows.placed[rows[0]]
        late = (before + at_once - batch.flows.shipped - batch.flows.lost)[:, 0]
        by_company = np.bincount(network.sale.seller, late, minlength=network.companies)
        np.testing.assert_allclose(snapshot(batch).late, by_company, atol=1e-9)
    served = batch._infos()["served"][0]
    now = snapshot(batch)
    assert now.served.sum() == pytest.approx(served * (now.served.sum() + now.unserved.sum()))


def test_number_has_about_four_digits_and_at_most_seven_characters() -> None:
    """Every size and sign: within half a digit of the last of four, and narrow.

    Seen to fail: two decimals up to 10 000, so that -9999.99 takes eight.
    """
    rng = np.random.default_rng(0)
    for x in [0.0, 0.004, 99.995, 999.95, 99999.5, 999950.0, *(10 ** rng.uniform(-4, 14, 3000))]:
        for signed in (x, -x):
            assert len(number(signed)) <= 7
            assert value(number(signed)) == pytest.approx(signed, rel=6e-4, abs=0.006)


def test_regimes_are_named_or_told_by_their_axes() -> None:
    """A regime that has a name is called so; another says every axis that is not the usual.

    Seen to fail: the first name for all; alignment left out.
    """
    for name, regime in REGIMES.items():
        assert regime_name(regime) == name
    told = regime_name(load_regime(LONG_REGIME))
    for part in ("members", "group", "alignment 0.25", "twin lag 3", "shared twin noise 0.1"):
        assert part in told
    assert "no kaizen" in regime_name(load_regime({"twin": "echelon", "kaizen": False}))


# --- the environment stays as it is -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_rendering_leaves_the_environment_as_it_was(mode: str) -> None:
    """An episode with noisy twins is the same whether it is looked at or not, also in copies made after looking.

    Seen to fail: observing anew for the picture, which draws noise; sorting the state's backlog in place.
    """
    regime = {"twin": "network", "twin_noise": 0.2, "shared_twin_noise": 0.1, "twin_lag": 1}
    plain, looked = (parallel_env("airline", regime, render_mode=mode, periods=12) for _ in range(2))
    plain.reset(seed=4)
    looked.reset(seed=4)
    rng = np.random.default_rng(2)
    for t in range(6):
        if t != 1:
            looked.render()
        if t == 2:
            looked = copy.deepcopy(looked)
        if t == 4:
            looked = pickle.loads(pickle.dumps(looked))
        actions = {a: rng.uniform(-1, 1, len(plain.action_names)) for a in plain.agents}
        one, other = plain.step(actions), looked.step(actions)
        for agent in plain.possible_agents:
            np.testing.assert_array_equal(one[0][agent], other[0][agent])
            assert one[1][agent] == other[1][agent]
    for field, same in zip(plain.batch.state, looked.batch.state, strict=True):
        np.testing.assert_array_equal(field, same)


def test_a_users_style_has_no_effect_and_stays() -> None:
    """Pictures are the same under any matplotlib style, which is afterwards as it was.

    Seen to fail: drawing without the defaults; the defaults left behind.
    """
    batch = played("serial")
    usual = render(batch, "rgb_array")
    style: Any = {"font.size": 30.0, "font.family": "monospace", "axes.facecolor": "red"}
    with mpl.rc_context(style | {f"{x}.antialiased": False for x in ("lines", "text", "patch")}):
        before = dict(mpl.rcParams)
        np.testing.assert_array_equal(render(batch, "rgb_array"), usual)
        assert dict(mpl.rcParams) == before


def test_matplotlib_is_imported_late_and_pyplot_not_at_all() -> None:
    """Importing the package and a table need no matplotlib, an array of pixels no pyplot.

    Seen to fail: `from ..pictures.picture import draw` at the top of render.py; a figure made by pyplot.
    """
    code = (
        "import sys, kaizen_env as k\n"
        "e = k.parallel_env('serial', render_mode='ansi'); e.reset(seed=1); e.render()\n"
        "assert 'matplotlib' not in sys.modules\n"
        "e = k.parallel_env('serial', render_mode='rgb_array'); e.reset(seed=1); e.render(); e.close()\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pictures_without_matplotlib_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command; the table still works.

    Seen to fail: the bare ImportError of Python.
    """
    batch = played("serial")
    for module in [m for m in sys.modules if m.startswith("kaizen_env.pictures") and not m.endswith("snapshot")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for mode in ("rgb_array", "human"):
        with pytest.raises(ImportError, match=r"pip install 'kaizen-env\[pictures\]'"):
            render(batch, mode)
    assert isinstance(render(batch, "ansi"), str)


# --- when, and how ------------------------------------------------------------------------------------------------


def test_render_works_after_the_end() -> None:
    """After bankruptcies and at the horizon, table and picture show the last state; who is bankrupt is named.

    Seen to fail: refusing to render where no agent is left; "yes" for every company.
    """
    env = parallel_env(mortal(1e5), render_mode="ansi", periods=60)
    env.reset(seed=2)
    rng = np.random.default_rng(3)
    while env.agents:
        env.step({a: rng.uniform(-1, 1, len(env.action_names)) for a in env.agents})
    text = env.render()
    rows = rows_of(text)
    dead = {name for i, name in enumerate(env.batch.network.names) if env.batch.state.alive[i, 0] == 0}
    assert dead
    assert {name for name, row in rows.items() if row["alive"] == "no"} == dead
    assert rows["network"]["alive"] == str(env.batch.companies - len(dead))
    assert "period 60 of 60" in text or len(dead) == env.batch.companies
    pixels = render(env.batch, "rgb_array")
    assert isinstance(pixels, np.ndarray)
    assert share_of_colour(pixels, glyphs.DEAD) > 1e-3
    env.close()


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", "human"])
def test_render_before_reset_is_a_clear_error(mode: str) -> None:
    """All modes, all environments: say that there is nothing to show yet.

    Seen to fail: the AttributeError of a state that is not there.
    """
    for env in (parallel_env("serial", render_mode=mode), PlannerEnv("serial", render_mode=mode)):
        with pytest.raises(RuntimeError, match="render before reset; call reset"):
            env.render()
        env.close()


def test_modes_that_do_not_exist() -> None:
    """No mode warns and gives None; an unknown one is refused; so is a world that is not there.

    Seen to fail: None treated as ansi; an unknown mode as human; world −1 as the last; the warning put on our own line.
    """
    env = parallel_env("serial")
    env.reset(seed=1)
    with pytest.warns(UserWarning, match="no render_mode was given") as caught:
        assert env.render() is None
    assert caught[0].filename == __file__
    with pytest.raises(DescriptionError, match="did you mean 'rgb_array'"):
        parallel_env("serial", render_mode="rgb_aray")
    with pytest.raises(ValueError, match="allowed: ansi, rgb_array, human"):
        render(env.batch, "text")
    for world in (-1, 1):
        with pytest.raises(IndexError, match="allowed: 0 to 0"):
            render(env.batch, "ansi", world=world)


class _Canvas(FigureCanvasAgg):
    """A canvas of a toolkit that needs no display."""


class _Manager(FigureManagerBase):
    shown = 0

    def show(self) -> None:
        type(self).shown += 1


_Canvas.manager_class = _Manager  # type: ignore[assignment]


@pytest.fixture
def toolkit(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A matplotlib backend with windows that can be counted; and the old one again afterwards."""
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    module: Any = types.ModuleType("windows_for_a_test")
    module.FigureCanvas, module.FigureManager = _Canvas, _Manager
    monkeypatch.setitem(sys.modules, module.__name__, module)
    _Manager.shown = 0
    plt.switch_backend(f"module://{module.__name__}")
    yield plt
    plt.close("all")
    plt.switch_backend(before)


def test_human_shows_a_window_and_close_closes_it(toolkit: Any) -> None:
    """One window per environment, drawn anew at each call with the same picture as the array; never pickled.

    Seen to fail: a window per call; `close` that leaves it open; the figure kept in the environment too.
    """
    env, other = (parallel_env("serial", render_mode="human") for _ in range(2))
    for each in (env, other):
        each.reset(seed=1)
    mine = toolkit.figure()  # the user's own figure is left alone
    assert env.render() is None
    env.step({a: np.zeros(len(env.action_names)) for a in env.agents})
    env.render()
    other.render()
    assert len(toolkit.get_fignums()) == 3
    assert _Manager.shown == 2
    window = toolkit.figure(toolkit.get_fignums()[1])
    window.canvas.draw()
    pixels = np.asarray(window.canvas.buffer_rgba())[..., :3]
    np.testing.assert_array_equal(pixels, render(env.batch, "rgb_array"))
    again = pickle.loads(pickle.dumps(env))
    assert again.batch.t == 1
    copy.deepcopy(env)
    env.close()
    env.close()
    close(other.batch)
    assert toolkit.get_fignums() == [mine.number]
    env.render()  # a window that was closed opens anew
    assert len(toolkit.get_fignums()) == 2


def test_human_without_a_window_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where matplotlib can only write files, one warning tells what to do, and nothing is left open.

    Seen to fail: no warning, with an invisible figure per call.
    """
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    plt.switch_backend("agg")
    env = parallel_env("serial", render_mode="human")
    env.reset(seed=1)
    with pytest.warns(UserWarning, match=r"needs a window.*'agg'.*rgb_array") as caught:
        assert env.render() is None
    assert [w.filename for w in caught] == [__file__]
    assert plt.get_fignums() == []
    env.close()
    plt.switch_backend(before)
