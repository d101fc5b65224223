"""The twin is the only door: element by element of the state, regime by regime, and never the future.

What each twin shows to whom is written down here a second time, from the description, as sets of companies and links.
Every world of a batch is the same but for one element of its state; the observations that differ from world 0 must be
those of the companies that are shown this element, all of them and no others.
"""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import pytest
from walks import AXES, all_scenarios, random_actions

from kaizen_env import BatchEnv, Network, Scenario, build, load_scenario
from kaizen_env.dynamics import State
from kaizen_env.luck import Luck

pytestmark = pytest.mark.filterwarnings("error")

SCENARIOS = {name: load_scenario(scenario) for name, scenario in all_scenarios().items()}
TWINS = ("own", "neighbours", "group", "network", "echelon", "members")
BY_COMPANY = ("on_hand", "work_in_process", "waste", "skill", "culture", "open_twin", "cash", "alive")
BY_PURCHASE = ("inputs", "in_transit", "link_waste")
SWITCHES = ("open_twin", "alive")  # 0 or 1


def rows(index: np.ndarray | None, count: int) -> np.ndarray:
    return np.arange(count) if index is None else index


def knows(scenario: Scenario, kind: str, open_twin: np.ndarray) -> np.ndarray:
    """Whether company i (axis 0) is shown the own twin of company j (axis 1): itself always."""
    names = [c.name for c in scenario.companies]
    known = np.eye(len(names), dtype=bool)
    if kind == "neighbours":
        for link in scenario.trade_links:
            a, b = names.index(link.seller), names.index(link.buyer)
            known[a, b] = known[b, a] = True
    elif kind == "group":
        owner = [c.group or c.name for c in scenario.companies]
        known |= np.array([[a == b for a in owner] for b in owner])
    elif kind == "network":
        known[:] = True
    elif kind == "members":
        known |= (open_twin[:, None] * open_twin[None]) == 1
    return known


def shown(network: Network, kind: str, open_twin: np.ndarray) -> dict[str, np.ndarray]:
    """Whether each row of a field (axis 0) is shown to each company (axis 1)."""
    scenario, n = network.scenario, network.companies
    known = knows(scenario, kind, open_twin)
    buyer, seller = network.purchase.buyer, network.sale.seller
    traded, placed = rows(network.trade.sale, network.sales), rows(network.purchase.trade, network.purchases)
    found = {field: known.T.copy() for field in (*BY_COMPANY, "profit")}
    for field in BY_PURCHASE:
        found[field] = known.T[buyer]
    found["orders_in_mail"] = known.T[network.trade.buyer]  # who ordered knows; the seller has not seen it yet
    found["backlog"] = known.T[seller]
    found["backlog"][traded] |= known.T[network.trade.buyer]  # both sides know what is owed
    for field in ("forecast", "arrivals"):
        found[field] = known.T[seller]
    found["experience"] = np.zeros((network.market_links, n), dtype=bool)  # nobody sees into the end customer
    if kind == "members":
        found["open_twin"] |= open_twin == 1  # a member sees who else is one
    if kind == "echelon":
        _echelon(network, found, buyer, seller, traded, placed)
    _unused(network, found)
    return found


def _echelon(
    network: Network,
    found: dict[str, np.ndarray],
    buyer: np.ndarray,
    seller: np.ndarray,
    traded: np.ndarray,
    placed: np.ndarray,
) -> None:
    """Stocks and wastes up- and downstream, end customers downstream, orders that wait upstream."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(network.companies))
    graph.add_edges_from(zip(network.trade.seller.tolist(), network.trade.buyer.tolist(), strict=True))
    end = rows(network.sale.market, network.sales)
    for i in range(network.companies):
        below, above = networkx.descendants(graph, i), networkx.ancestors(graph, i)
        for field in ("on_hand", "work_in_process", "waste"):
            found[field][[*below, *above], i] = True
        for field in ("inputs", "in_transit"):
            found[field][placed, i] |= np.isin(network.trade.seller, [i, *below])
        for field in ("backlog", "arrivals"):
            found[field][end, i] |= np.isin(seller[end], [i, *below])
        found["backlog"][:, i] |= np.isin(seller, [*above])


def _unused(network: Network, found: dict[str, np.ndarray]) -> None:
    """What a scenario makes no use of is shown to nobody."""
    scenario = network.scenario
    limited = np.array([(c.credit_limit or 0.0) > 0 for c in scenario.companies])
    found["cash"][~limited] = False
    if not any(c.credit_limit is not None for c in scenario.companies):
        found["alive"][:] = False
    if not (scenario.improvement.learning or scenario.improvement.forgetting):
        found["skill"][:] = False
    culture = scenario.culture
    if not (culture.innovation or culture.imitation or culture.erosion or culture.openness_threshold):
        assert culture.initial == 1  # or it is a number worth seeing
        found["culture"][:] = False


def one_changed(
    record: Any, fields: tuple[str, ...], first: int
) -> tuple[dict[str, np.ndarray], list[tuple[str, int]]]:
    """Fields (…, rows, worlds) in which world `first` + k has its k-th element changed; and which row that is."""
    changed, places = {}, []
    for field in fields:
        values = getattr(record, field).copy()
        for element in np.ndindex(values.shape[:-1]):
            place = (*element, first + len(places))
            values[place] = 1.0 - values[place] if field in SWITCHES else 0.05 * values[place]
            places.append((field, element[-1]))
        changed[field] = values
    return changed, places


def spread(record: Any, rng: np.random.Generator, worlds: int) -> Any:
    """A record whose fields are random, positive and alike in all worlds, so that every element can matter."""
    fields = {}
    for field, value in zip(record._fields, record, strict=True):
        draws = rng.uniform(0.5, 1.0, value.shape[:-1])
        if field in SWITCHES:
            draws = (np.arange(draws.size) % 3 != 1).astype(float)
        fields[field] = np.repeat(draws[..., None], worlds, axis=-1)
    return record._replace(**fields)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_twin_is_the_only_door(name: str, axes: str) -> None:
    """A changed element of state, orders received or profit changes the observations of those who are shown it.

    Seen to fail: `members` seen whatever one's own twin; the whole `group` mask 1; `experience` among the own features;
    backlog of all sellers in `on_order`; the neighbours' neighbours; upstream stock of siblings; the mail of suppliers.
    """
    regime = {key: value for key, value in AXES[axes].items() if "lag" not in key and "noise" not in key}
    network = build(SCENARIOS[name])
    state, rng = State._fields, np.random.default_rng(5)
    one = BatchEnv(SCENARIOS[name], regime)
    one.reset(seed=1)
    one.step(random_actions(one, rng))
    count = 1 + sum(int(np.prod(getattr(one.state, field).shape[:-1])) for field in state)
    count += network.sales + network.companies
    batch = BatchEnv(SCENARIOS[name], regime, worlds=count)
    batch.reset(seeds=[1] * count)
    batch.step(np.repeat(random_actions(one, rng), count, axis=0))
    assert batch.flows is not None
    assert batch.books is not None
    base = spread(batch.state, rng, count)
    changed, places = one_changed(base, state, 1)
    flows, books = spread(batch.flows, rng, count), spread(batch.books, rng, count)
    received, links = one_changed(flows, ("arrivals",), 1 + len(places))
    earned, companies = one_changed(books, ("profit",), 1 + len(places) + len(links))
    batch.state = base._replace(**changed)
    batch.flows, batch.books = flows._replace(**received), books._replace(**earned)
    observations = batch._observe()

    allowed = shown(network, batch.regime.twin, base.open_twin[:, 0])
    seen = (observations[1:] != observations[0]).any(axis=-1)
    assert len(seen) == len(places + links + companies)
    wanted = np.stack([allowed[field][row] for field, row in places + links + companies])
    wrong = [
        f"{field}[{row}] {'hidden from' if wanted[w, i] else 'shown to'} {network.names[i]}"
        for (w, i), (field, row) in ((at, (places + links + companies)[at[0]]) for at in np.argwhere(seen != wanted))
    ]
    assert not wrong
    assert wanted.any()
    assert not wanted.all()


@pytest.mark.parametrize("axes", AXES)
def test_no_observation_contains_the_future(axes: str) -> None:
    """Demand and disruptions of later periods changed on the tape change nothing that is seen before, and then do.

    Seen to fail: `forecast` that looks one period ahead on the tape.
    """
    known = 4  # observations, from that at reset on
    histories = []
    for later in (False, True):
        batch = BatchEnv(SCENARIOS["everything"], AXES[axes], worlds=2)
        rng = np.random.default_rng(2)
        observed = [batch.reset(seed=3)[0]]
        luck = batch.luck
        assert luck is not None
        assert luck.capacity is not None
        assert luck.passage is not None
        if later:
            late = (np.arange(len(luck.demand)) >= known)[:, None, None]
            stopped = [np.where(late[:-1], 0.0, tape) for tape in (luck.capacity, luck.passage)]
            batch.luck = Luck(luck.demand + 5.0 * late, *stopped)
        for _ in range(2 * known - 1):
            observed.append(batch.step(random_actions(batch, rng))[0])
        histories.append(np.stack(observed))
    before, after = histories
    lag = batch.regime.twin_lag
    assert np.array_equal(before[:known], after[:known])
    assert (before[known + lag] != after[known + lag]).any()


def test_the_state_for_critics_is_the_true_one() -> None:
    """Everybody's own features, exact and in time, whatever the twins show.

    Seen to fail: critics given the late features.
    """
    clear = BatchEnv(SCENARIOS["everything"], "isolated", worlds=2)
    blurred = BatchEnv(SCENARIOS["everything"], "isolated", worlds=2, twin_lag=2, twin_noise=0.5)
    rng = np.random.default_rng(0)
    observed, _ = clear.reset(seed=1)
    blurred.reset(seed=1)
    for _ in range(5):
        assert np.array_equal(clear.global_state(), observed.reshape(2, -1))
        assert np.array_equal(blurred.global_state(), clear.global_state())
        actions = random_actions(clear, rng)
        observed = clear.step(actions)[0]
        blurred.step(actions)


@pytest.mark.parametrize("kind", TWINS)
def test_the_size_of_a_twin_is_the_same_for_all_and_as_documented(kind: str) -> None:
    """Seen to fail: a block of `members` without its `shown`."""
    batch = BatchEnv(SCENARIOS["everything"], {"twin": kind})
    own, companies = len(batch.twin.own), batch.companies
    by_company = companies * (1 + own)
    extra = {"own": 0, "neighbours": 2 * own, "echelon": 8, "network": 1 + by_company}.get(kind, by_company)
    assert batch.single_observation_space.shape == (own + extra,) == (len(batch.feature_names),)
    assert batch.reset(seed=0)[0].shape == (1, companies, own + extra)


def test_what_a_shared_twin_shows_is_what_the_company_itself_sees() -> None:
    """A network twin holds every own twin in order; neighbours are their mean; what is closed is 0 with `shown` 0.

    Seen to fail: blocks in order of owners; the echelon position of another company; means over
    suppliers and customers swapped.
    """
    twins = {kind: BatchEnv(SCENARIOS["everything"], {"twin": kind}) for kind in TWINS}
    seen, rng = {}, np.random.default_rng(1)
    for batch in twins.values():
        batch.reset(seed=2)
    for _ in range(4):
        names = list(twins["members"].action_names)
        actions = random_actions(twins["members"], rng)
        actions[..., names.index("openness")] = [1.0, -1.0, 1.0, 1.0, -1.0, 1.0]
        seen = {kind: batch.step(actions)[0][0] for kind, batch in twins.items()}
    own, companies = seen["own"], twins["own"].companies
    features = own.shape[1]
    for kind, observation in seen.items():
        assert np.array_equal(observation[:, :features], own), kind
    everyone = np.concatenate((np.ones((companies, 1)), own), axis=1).astype(np.float32)
    assert np.array_equal(seen["network"][:, features], seen["echelon"][:, features])
    assert twins["network"].feature_names[features] == twins["echelon"].feature_names[features] == "echelon_position"
    begins = {"network": features + 1, "group": features, "members": features}
    blocks = {k: seen[k][:, i:].reshape(companies, companies, -1) for k, i in begins.items()}
    assert np.array_equal(blocks["network"], np.broadcast_to(everyone, blocks["network"].shape))
    assert twins["members"].state.open_twin[:, 0].tolist() == [1.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    for kind in ("group", "members"):
        known = knows(SCENARIOS["everything"], kind, twins["members"].state.open_twin[:, 0])
        if kind == "members":  # who is closed is not even shown its own twin a second time
            known &= (twins["members"].state.open_twin[:, 0] == 1)[:, None]
        assert np.array_equal(blocks[kind], known[:, :, None] * everyone[None])
    graph = networkx.DiGraph([(link.seller, link.buyer) for link in SCENARIOS["everything"].trade_links])
    names = twins["own"].network.names
    graph.add_nodes_from(names)
    for i, name in enumerate(names):
        for side, partners in enumerate((graph.predecessors(name), graph.successors(name))):
            rows_of = [names.index(partner) for partner in partners]
            mean = own[rows_of].mean(axis=0) if rows_of else np.zeros(features)
            got = seen["neighbours"][i, features * (1 + side) : features * (2 + side)]
            np.testing.assert_allclose(got, mean, rtol=1e-5, atol=1e-5)


def test_the_echelon_twin_counts_everything_downstream() -> None:
    """In a chain, added up by hand: stock held and under way, customers waiting, positions; and mean wastes.

    Seen to fail: the buyer's stock counted twice; the last link of the way left out; bom of the wrong link.
    """
    batch = BatchEnv(load_scenario("serial"), {"twin": "echelon"})
    observed, rng = batch.reset(seed=3)[0][0], np.random.default_rng(0)
    for _ in range(6):
        observed = batch.step(random_actions(batch, rng))[0][0]
    state, network = batch.state, batch.network
    names = batch.feature_names
    held = state.on_hand[:, 0]
    on_way = (state.inputs + state.in_transit.sum(axis=0))[:, 0]  # one purchase link each: of company i
    waiting, owed = state.backlog[2, 0], state.backlog[:, 0]
    beyond = np.array([on_way[1] + held[1] + on_way[2] + held[2], on_way[2] + held[2], 0.0])
    ordered = np.array([0.0, owed[0], owed[1]])
    position = held + beyond - waiting + on_way + ordered
    per = 1.0 / network.company.throughput[:, 0]

    def got(name: str) -> np.ndarray:
        return observed[:, names.index(name)]

    np.testing.assert_allclose(got("downstream.stock"), beyond * per, rtol=1e-5)
    np.testing.assert_allclose(got("downstream.owed_to_markets"), waiting * per, rtol=1e-5)
    assert batch.flows is not None
    np.testing.assert_allclose(got("downstream.end_demand"), batch.flows.arrivals[2, 0] * per, rtol=1e-5)
    np.testing.assert_allclose(got("echelon_position"), position * per, rtol=1e-5)
    np.testing.assert_allclose(got("upstream.stock"), np.array([0.0, held[0], held[0] + held[1]]) * per, rtol=1e-5)
    np.testing.assert_allclose(got("upstream.owed"), np.array([0.0, owed[0], owed[0] + owed[1]]) * per, rtol=1e-5)
