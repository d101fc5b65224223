"""Regimes: what a company sees, what it is paid for, and who acts, as three axes that know nothing of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from .description import Amount, Part, Share
from .errors import DescriptionError, from_validation, near

TwinKind = Literal["own", "neighbours", "group", "network", "echelon", "members"]


class Regime(Part):
    """A point on the three axes, and the quality of the twins."""

    twin: TwinKind = "own"  # what an agent sees
    objective: Literal["own", "group", "network"] = "own"  # what it is paid for
    control: Literal["company", "planner"] = "company"  # who acts
    alignment: Share = 1.0  # α: reward = (1 − α) · own profit + α · the shared objective
    kaizen: bool = True  # whether companies may improve
    # Periods at the start in which goods and money alone move: no company improves or opens its twin, whatever is
    # decided, and wastes, skill and culture stay as they are.
    warm_up: Annotated[int, Field(ge=0)] = 0
    kaizen_delay: Annotated[int, Field(ge=0)] = 0  # periods after it in which no company improves, whatever is decided
    # Whoever runs the shared twin is an agent too, and sets the fee per open twin and day, at most this; without it the
    # fee is the scenario's.
    platform: Annotated[float, Field(gt=0)] | None = None
    twin_lag: Annotated[int, Field(ge=0)] = 0  # periods by which the own twin is behind
    twin_noise: Amount = 0.0  # relative standard deviation of what the own twin shows
    shared_twin_lag: Annotated[int, Field(ge=0)] = 0  # the same of the shared twin
    shared_twin_noise: Amount = 0.0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.platform is not None and self.control == "planner":
            raise ValueError(
                "platform: a planner decides for all and pays nobody; use control: company, or leave it out"
            )
        return self

    @property
    def shared_weight(self) -> float:
        """α, or 0 where each company is paid for its own profit alone."""
        return 0.0 if self.objective == "own" else self.alignment


REGIMES: dict[str, Regime] = {
    "static": Regime(kaizen=False),
    "isolated": Regime(),
    "transparent": Regime(twin="network"),
    "aligned": Regime(objective="network"),
    "kaizen2": Regime(twin="network", objective="network"),
    "super_enterprise": Regime(twin="network", objective="network", control="planner"),
}


def load_regime(spec: str | Mapping[str, Any] | Regime, **axes: Any) -> Regime:
    """A regime by name, by its axes, or as it is; `axes` change some of them.

    Raises `DescriptionError` with the place, what was got, what is allowed, and a near name.
    """
    if isinstance(spec, str):
        if spec not in REGIMES:
            raise DescriptionError(
                f"regime: there is no regime '{spec}'{near(spec, REGIMES)}; named: {', '.join(REGIMES)};"
                " or give its axes, e.g. {twin: network, objective: own}"
            )
        fields = REGIMES[spec].model_dump()
    else:
        if not isinstance(spec, (Regime, Mapping)):
            raise DescriptionError(
                f"regime: got {spec!r}; allowed: a name ({', '.join(REGIMES)}), or axes, e.g."
                " {twin: network, objective: own}"
            )
        fields = spec.model_dump() if isinstance(spec, Regime) else dict(spec)
    try:
        return Regime.model_validate(fields | axes)
    except ValidationError as error:
        raise from_validation(error, "regime", Regime) from None
