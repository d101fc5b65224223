"""The network as data: what a scenario file may say, with the unit of every number.

Durations are in days, rates and costs per day, amounts per unit of the company's own product.
`network.build` converts them to periods once; nothing after it knows of days.
A default stands here and nowhere else. Unknown keys and impossible numbers are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .demand import Demand

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\s/\\.][^/\\\n]*$")]

COMPANY_CHANNELS = ("yield", "unit_cost", "process_time", "capacity", "hurdle")
LINK_CHANNELS = ("freight", "transit_time")
Channel = Literal["yield", "unit_cost", "process_time", "capacity", "hurdle", "freight", "transit_time"]
# Channels in which waste adds to (or takes from) a lean parameter, so that its size must be given;
# in the others the parameter given is today's, and waste is by default all of it.
SIZED_CHANNELS = ("unit_cost", "capacity")


class Part(BaseModel):
    """A piece of a description: immutable, and with no keys but its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Waste(Part):
    """A process parameter that is worse than it need be, and that kaizen can improve (muda).

    With level w (1 = today, 0 = none) and `size` s the parameter p of the channel becomes, s summed over the
    channel's wastes: defect rate, process time, hurdle, freight, transit time p·(1 − s·(1 − w));
    unit cost p·(1 + s·w); capacity p·(1 − s·w).
    """

    name: Name
    channel: Channel
    initial: Share = 1.0  # level at the start
    half_life: Annotated[float, Field(gt=0)] = 91.0  # days of the whole team's effort; Schneiderman (1988)
    backsliding: Share = 0.0  # share of the way back to 1 that is lost per day without effort
    floor: Share = 0.0  # level that kaizen cannot go below
    size: Amount | None = None  # see above; required for unit_cost and capacity, elsewhere 1
    booked_as: Literal["motion", "over_processing"] = "over_processing"  # muda of an excess unit cost

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.size is None and self.channel in SIZED_CHANNELS:
            raise ValueError(
                f"waste '{self.name}' on channel {self.channel} needs a size: what it adds at level 1, as a share"
                " of the lean parameter, e.g. size: 0.2"
            )
        if self.size is not None and self.channel != "unit_cost" and self.size > 1:
            raise ValueError(
                f"waste '{self.name}': size {self.size:g} on channel {self.channel}; allowed: 0 to 1,"
                " it is a share of the parameter"
            )
        if self.floor > self.initial:
            raise ValueError(
                f"waste '{self.name}': floor {self.floor:g} is above initial {self.initial:g}; kaizen could only make"
                " it worse; lower the floor"
            )
        return self

    @property
    def share(self) -> float:
        return 1.0 if self.size is None else self.size


class WasteChange(Part):
    """What one company or link has otherwise than the scenario's waste of that name."""

    initial: Share | None = None
    half_life: Annotated[float, Field(gt=0)] | None = None
    backsliding: Share | None = None
    floor: Share | None = None
    size: Amount | None = None


class Company(Part):
    """A node that turns inputs into one product; an agent."""

    name: Name
    group: Name | None = None  # owner; by default the company itself
    capacity: Annotated[float, Field(gt=0)] | None = None  # units started per day; none = unlimited
    unit_cost: Amount = 0.0  # lean conversion cost per unit started
    holding_cost: Amount = 0.0  # per finished unit and day
    work_in_process_holding_cost: Amount = 0.0  # per unit in process and day
    process_time: Amount = 0.0  # days
    defect_rate: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of what is started that is scrapped, today
    spoilage: Share = 0.0  # share of the finished stock that is written off per day
    hurdle: Amount = 0.0  # what the end customer bears per unit that this company ships, today
    credit_limit: Amount | None = None  # bankrupt when cash falls below minus this; none = never
    initial_on_hand: Amount | None = None  # units
    initial_on_hand_days: Amount | None = None  # the same in days of mean throughput
    initial_culture: Share | None = None  # by default the scenario's
    wage: Amount | None = None  # by default the scenario's
    curvature: Amount | None = None  # by default the scenario's
    wastes: dict[str, WasteChange] = {}
    position: tuple[Number, Number] | None = None  # where to draw it

    @model_validator(mode="after")
    def _one_stock(self) -> Self:
        if self.initial_on_hand is not None and self.initial_on_hand_days is not None:
            raise ValueError("give initial_on_hand (units) or initial_on_hand_days, not both")
        return self


class PurchaseLink(Part):
    """What supply and trade links share: a flow of one input to a buyer."""

    buyer: Name
    bom: Annotated[float, Field(gt=0)] = 1.0  # units of this input per unit made by the buyer
    price: Number = 0.0  # per unit
    freight: Amount = 0.0  # per unit, paid by the buyer, today
    initial_inputs: Amount | None = None  # units held by the buyer
    initial_inputs_days: Amount | None = None  # the same in days of mean use
    initial_in_transit: Amount | None = None  # units per period already under way; by default the mean flow
    wastes: dict[str, WasteChange] = {}

    @model_validator(mode="after")
    def _one_stock(self) -> Self:
        if self.initial_inputs is not None and self.initial_inputs_days is not None:
            raise ValueError("give initial_inputs (units) or initial_inputs_days, not both")
        return self


class SupplyLink(PurchaseLink):
    """External supplier to company; unlimited supply at a real resource price."""

    supplier: Name = "external"
    lead_time: Amount = 1.0  # days
    input_holding_cost: Amount = 0.0  # per unit held by the buyer and day
    transit_holding_cost: Amount = 0.0  # per unit under way and day


class TradeLink(PurchaseLink):
    """Company to company: transfer price, freight, transit time."""

    seller: Name
    transit_time: Amount | None = None  # days; by default, and at least, one period
    order_lead_time: Amount = 0.0  # days until the seller sees an order; whole periods
    penalty: Amount = 0.0  # per unit of backlog and day, paid by the seller to the buyer
    # What waiting costs the buyer per unit of backlog and day; by default the penalty, which then makes good what
    # lateness costs and pays no buyer for being served late.
    waiting_cost: Amount | None = None
    unfilled: Literal["backlog", "lost"] = "backlog"
    lost_sale_cost: Amount = 0.0  # to the seller, per unit that does not wait; with unfilled: lost
    customer_lost_sale_cost: Amount = 0.0  # to the buyer, per unit that it does not get; with unfilled: lost
    input_holding_cost: Amount | None = None  # per unit held by the buyer and day; by default the seller's rate
    transit_holding_cost: Amount | None = None  # per unit under way and day; by default the seller's rate
    initial_orders: Amount | None = None  # units per period in the mail; by default the mean flow

    @property
    def cost_of_waiting(self) -> float:
        """Money per unit of backlog and day that waiting costs the buyer."""
        return self.penalty if self.waiting_cost is None else self.waiting_cost


class MarketLink(Part):
    """Company to market: end customers."""

    seller: Name
    market: Name
    share: Share | None = None  # of the market's demand; by default what the others leave, evenly
    price: Number = 0.0  # per unit
    value: Number | None = None  # what a unit is worth to the end customer; by default the price
    penalty: Amount = 0.0  # per unit of backlog and day, paid by the seller to the end customer
    waiting_cost: Amount = 0.0  # what waiting costs the end customer per unit of backlog and day
    unfilled: Literal["backlog", "lost"] = "backlog"
    lost_sale_cost: Amount = 0.0  # to the seller, per unit that does not wait; with unfilled: lost
    customer_lost_sale_cost: Amount = 0.0  # to the end customer, per unit that it does not get; with unfilled: lost

    @property
    def cost_of_waiting(self) -> float:
        """Money per unit of backlog and day that waiting costs the end customer."""
        return self.waiting_cost


class Market(Part):
    """A stream of end-customer demand, served by one or more market links."""

    name: Name
    demand: Demand
    choice: Literal["fixed", "logit"] = "fixed"  # how demand splits over several market links
    choice_sensitivity: Amount = 0.0  # logit: per unit of money of experience
    goodwill: Amount = 0.0  # relative change of demand per relative change of experience (to value)
    experience_smoothing: Share = 0.1  # per day


class Improvement(Part):
    """Cost of kaizen, and how improving makes better improvers."""

    wage: Amount = 0.0  # of a whole improvement team per day
    curvature: Amount = 0.0  # effort costs wage·Σe + ½·curvature·Σe² per day
    learning: Amount = 0.0  # per day of full effort
    skill_max: Annotated[float, Field(ge=1)] = 1.0
    forgetting: Share = 0.0  # per day


class Culture(Part):
    """Readiness for transparency, 0…1, and how it spreads."""

    initial: Share = 1.0
    innovation: Amount = 0.0  # per day of full training
    imitation: Amount = 0.0  # per day, when every neighbour's twin is open
    erosion: Share = 0.0  # per day, back to the initial level
    mixing: Literal["neighbours", "full"] = "neighbours"  # whom a company can imitate: trade partners, or all
    openness_threshold: Share = 0.0  # culture that a company needs before it may publish its twin
    initially_open: bool = False


class PenaltyShare(Part):
    """A market link's penalty is borne by several companies in given shares that sum to 1."""

    seller: Name
    market: Name
    shares: dict[Name, Share]


class GainShare(Part):
    """A share of the value created over a reference is paid out by given shares that sum to 1.

    Value created = end-customer value before improvement effort and twin fees.
    `paid_by` names companies, or `customers` for the end customers, with shares that sum to 1.
    """

    share: Share = 1.0
    reference: Number = 0.0  # money per day
    shares: dict[Name, Share]
    paid_by: dict[Name, Share] = {"customers": 1.0}


class Contracts(Part):
    penalty_share: list[PenaltyShare] = []
    gain_share: list[GainShare] = []


class Disruption(Part):
    """Capacity of a company, or what a trade link lets through, falls to a share for some periods."""

    name: Name
    company: Name | None = None
    seller: Name | None = None  # with buyer: a trade link
    buyer: Name | None = None
    probability: Share  # that one begins, per day
    duration: Annotated[float, Field(gt=0)]  # days; geometric with this mean, at least one period
    remaining: Share = 0.0  # what is left of the capacity

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.company is None) == (self.seller is None and self.buyer is None):
            raise ValueError("a disruption hits either a company, or the trade link of a seller and a buyer")
        if (self.seller is None) != (self.buyer is None):
            raise ValueError("a trade link is named by both its seller and its buyer")
        return self


class Scenario(Part):
    """A value network and the rules it runs by."""

    name: Name
    title: str = ""
    description: str = ""
    sources: list[str] = []
    period_days: Annotated[float, Field(gt=0)] = 1.0
    periods: Annotated[int, Field(ge=1)] = 100  # an episode; in an experiment, what of it is counted
    # Days that an experiment simulates before and after what it counts; by default one and a half times the longest way
    # from supplier to customer (`agents/window.py`). A bare environment has `periods` and nothing else.
    warm_up_days: Amount | None = None
    tail_days: Amount | None = None
    ordering: Literal["simultaneous", "cascade"] = "simultaneous"
    replenishment: Literal["quantity", "order_up_to", "echelon_order_up_to"] = "order_up_to"
    allocation: Literal["proportional", "priority"] = "proportional"
    transit_holding: Literal["buyer", "seller"] = "buyer"
    # Profit and end-customer value: cash flow and the change of stock at book cost, or (textbooks that count cost per
    # period) cash flow alone.
    accounting: Literal["accrual", "cash"] = "accrual"
    initial_pipelines: Literal["mean_flow", "empty"] = "mean_flow"
    forecast_smoothing: Share = 0.3  # per period
    order_max: Annotated[float, Field(gt=0)] = 4.0  # largest order, in periods of mean throughput
    # Periods at the start in which, in environments, every company orders its mean throughput whatever it decides
    # (Sterman's benchmark of the beer game forces four weeks); with replenishment: quantity only.
    forced_periods: Annotated[int, Field(ge=0)] = 0
    companies: Annotated[list[Company], Field(min_length=1)]
    supply_links: list[SupplyLink] = []
    trade_links: list[TradeLink] = []
    market_links: Annotated[list[MarketLink], Field(min_length=1)]
    markets: Annotated[list[Market], Field(min_length=1)]
    wastes: list[Waste] = []
    improvement: Improvement = Improvement()
    culture: Culture = Culture()
    platform_fee: Amount = 0.0  # per open twin and day
    contracts: Contracts = Contracts()
    disruptions: list[Disruption] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        from .checks import problems

        found = problems(self)
        if found:
            raise ValueError("\n".join(found))
        return self

    def company_wastes(self) -> list[Waste]:
        """The wastes of companies, grouped by channel; this order is the order of the state's `waste`."""
        own = [w for w in self.wastes if w.channel in COMPANY_CHANNELS]
        return sorted(own, key=lambda w: (COMPANY_CHANNELS.index(w.channel), w.booked_as))

    def link_wastes(self) -> list[Waste]:
        """The wastes of purchase links, grouped by channel; this order is the order of `link_waste`."""
        return [w for channel in LINK_CHANNELS for w in self.wastes if w.channel == channel]

    def changed(self, **changes: Any) -> Scenario:
        """A copy with other top-level fields, validated again."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**(fields | changes))
