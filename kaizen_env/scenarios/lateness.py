"""What companies pay each other for being late: a scenario with another contract on all its trade links."""

from __future__ import annotations

import numpy as np

from ..arrays import segment_sum
from ..build import build
from ..description import PenaltyShare, Scenario, TradeLink
from ..errors import DescriptionError, near

CONTRACTS = {
    "neutral": "no trade link pays its buyer more for being served late than waiting costs it",
    "none": "no penalties on trade links",
    "shared": "no penalties on trade links; all share the end customers' penalties, by the cost that each adds",
    "paid": "waiting costs a buyer nothing, so that the penalty pays it for being served late",
}
"""Names of contracts, and what they say."""


def with_lateness(scenario: Scenario, contract: str) -> Scenario:
    """`scenario` under one of `CONTRACTS`, and nothing else changed.

    Where a trade link states a waiting cost, that is a real cost and stays, but where `neutral` has to mend it; a
    waiting cost that stands for the penalty goes with it. `shared` takes the place of other shares of the end
    customers' penalties; the other contracts leave these. Only links whose orders wait have penalties.

    Raises `DescriptionError` for an unknown contract, and for `shared` where no end customer is paid a penalty.
    """
    if not isinstance(contract, str) or contract not in CONTRACTS:
        raise DescriptionError(
            f"{scenario.name}: lateness: got {contract!r}{near(contract, CONTRACTS)}; allowed: {', '.join(CONTRACTS)}"
        )
    links = [_changed(link, contract) if link.unfilled == "backlog" else link for link in scenario.trade_links]
    contracts = scenario.contracts
    if contract == "shared":
        contracts = contracts.model_copy(update={"penalty_share": _shared(scenario)})
    return scenario.changed(trade_links=links, contracts=contracts)


def _changed(link: TradeLink, contract: str) -> TradeLink:
    if contract == "neutral":
        return link.model_copy(update={"waiting_cost": None}) if link.penalty > link.cost_of_waiting else link
    if contract == "paid":
        return link.model_copy(update={"waiting_cost": 0.0}) if link.waiting_cost is None else link
    return link.model_copy(update={"penalty": 0.0})


def _shared(scenario: Scenario) -> list[PenaltyShare]:
    """The penalty of every market link, borne by all companies in proportion to the cost added per period."""
    paying = [link for link in scenario.market_links if link.penalty > 0]
    if not paying:
        raise DescriptionError(
            f"{scenario.name}: lateness: shared: no market link pays a penalty that companies could share; give one"
        )
    network = build(scenario)
    company, purchase = network.company, network.purchase
    added = (company.added_cost * company.throughput)[:, 0]
    if added.sum() == 0.0:  # a textbook without costs per unit: by the holding cost that each adds
        bought = purchase.bom * purchase.is_trade * company.holding_cost[purchase.partner]
        added = np.maximum(company.holding_cost - segment_sum(bought, purchase.by_buyer), 0.0)[:, 0]
    if added.sum() == 0.0:
        added = np.ones(network.companies)
    shares = {c.name: float(part) for c, part in zip(scenario.companies, added / added.sum(), strict=True)}
    return [PenaltyShare(seller=link.seller, market=link.market, shares=shares) for link in paying]
