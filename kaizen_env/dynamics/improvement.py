"""What waste does to a process, and what kaizen does to waste, skill, culture and open twins (model, section 5)."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import Array, gather, segment_sum, slot_sum
from ..network import Network, Wastes, split
from .state import State

TINY = 1e-30  # below it two joint efforts count as none: the slope of a square root at 0 is infinite


class Effects(NamedTuple):
    """Process parameters at the wastes of this period; where no waste moves one, it keeps one world."""

    defect_rate: Array  # (companies, worlds)
    motion: Array  # (companies, worlds) excess conversion cost per unit
    over_processing: Array  # (companies, worlds) excess conversion cost per unit
    process_time: Array  # (companies, worlds) periods
    capacity: Array  # (companies, worlds) units per period
    hurdle: Array  # (companies, worlds) money of the end customer per unit shipped
    freight: Array  # (purchases, worlds) money per unit
    transit_time: Array  # (purchases, worlds) periods

    process_split: Array  # (process slots + 1, companies, worlds) shares of a start by periods in process


def effects(network: Network, state: State) -> Effects:
    """Process parameters at the wastes of `state`."""
    waste, link_waste = network.waste, network.link_waste
    process_time = _parameter(waste, state.waste, "process_time")
    fixed = network.process_split
    transit_time = _parameter(link_waste, state.link_waste, "transit_time")
    if network.transit_split is None:
        transit_time = network.xp.maximum(transit_time, network.purchase.least_lead_time)
    return Effects(
        defect_rate=_parameter(waste, state.waste, "yield"),
        motion=_parameter(waste, state.waste, "motion"),
        over_processing=_parameter(waste, state.waste, "over_processing"),
        process_time=process_time,
        capacity=_parameter(waste, state.waste, "capacity"),
        hurdle=_parameter(waste, state.waste, "hurdle"),
        freight=_parameter(link_waste, state.link_waste, "freight"),
        transit_time=transit_time,
        process_split=split(process_time, network.process_places, network.xp) if fixed is None else fixed,
    )


def _parameter(wastes: Wastes, level: Array, channel: str) -> Array:
    """The parameter of a channel: its value at zero waste plus slope · level of each of its wastes."""
    base = wastes.base[channel]
    if channel not in wastes.channels:
        return base
    first, last = wastes.channels[channel]
    if last - first == 1:
        return base + wastes.slope[channel][0] * level[first]
    return base + slot_sum(wastes.slope[channel] * level[first:last])


def team(network: Network, state: State, effort: Array) -> tuple[Array, Array]:
    """Efforts as shares of one team, scaled down when they sum to more than 1; and their sum (companies, worlds)."""
    total = slot_sum(effort)
    scale = state.alive / network.xp.maximum(total, 1.0)
    return effort * scale, total * scale


def improve(network: Network, state: State, effort: Array, total: Array, openness: Array) -> State:
    """Wastes, skill, culture and open twins after one period of `effort` (efforts, companies, worlds)."""
    xp, wastes = network.xp, network.waste
    power = state.skill * state.culture
    waste, link_waste, skill = state.waste, state.link_waste, state.skill
    if waste.shape[0]:
        waste = _improved(wastes, waste, effort[:-2] * power, network)
    if link_waste.shape[0]:
        joint = effort[-2] * power / network.links_per_company
        both = gather(joint, network.purchase.partner) * gather(joint, network.purchase.buyer)
        # One side alone achieves nothing; the slope is taken as 0 there, not as infinite.
        together = xp.sqrt(xp.maximum(both, TINY)) * (both > TINY)
        link_waste = _improved(network.link_waste, link_waste, together, network)
    if network.learning or network.forgetting:
        learnt = network.learning * total * (network.skill_max - skill)
        skill = skill + learnt - network.forgetting * (skill - 1.0)
    culture = state.culture
    if network.cultural:
        seen = neighbours_mean(network, state.open_twin * culture)
        spread = network.innovation * effort[-1] + network.imitation * seen
        culture = culture + spread * (1.0 - culture) - network.erosion * (culture - network.company.initial_culture)
    # The twin that is open next period was decided on with today's culture.
    willing = (openness > 0.5) & (state.culture >= network.openness_threshold)
    open_twin = state.alive * willing
    return state._replace(waste=waste, link_waste=link_waste, skill=skill, culture=culture, open_twin=open_twin)


def held(before: State, after: State) -> State:
    """`after` a period, with the wastes, skill and culture of `before`: a warm-up moves goods and money alone."""
    return after._replace(waste=before.waste, link_waste=before.link_waste, skill=before.skill, culture=before.culture)


def _improved(wastes: Wastes, level: Array, power: Array, network: Network) -> Array:
    """floor + (w − floor) · 2^(−power / half-life) + backsliding · (1 − w), Schneiderman (1988).

    Written as w · (r − backsliding) + (floor + backsliding − floor · r), with r = 2^(−power / half-life): the
    arrays of waste are the largest of the period, and this passes over them least often.
    """
    remaining = network.xp.exp(wastes.rate * power)
    settled = wastes.backsliding
    if wastes.floored:
        settled = settled + wastes.floor - wastes.floor * remaining
    return level * (remaining - wastes.backsliding) + settled


def neighbours_mean(network: Network, values: Array) -> Array:
    """Mean of `values` (companies, worlds) over each company's trade partners, or over all with full mixing."""
    if network.scenario.culture.mixing == "full":
        return network.xp.mean(values, axis=0, keepdims=True)
    return segment_sum(gather(values, network.neighbour_company), network.neighbour) * network.neighbour_weight
