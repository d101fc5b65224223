"""Deviations as an experiment: contracts × companies × training seeds, and what leaving pays.

For every contract a cooperative policy is trained with every seed, as any learner is. Then each company in turn is
trained on for its own profit from every one of those (`agents.deviation`), and what it gains is measured in the luck in
which the cooperative policy was evaluated, world by world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from kaizen_env import BatchEnv, DescriptionError, Regime, Scenario
from kaizen_env.description import Contracts, Name, Share
from kaizen_env.errors import near

from ..deviation import own
from ..policy import PolicyError
from .comparison import finite
from .config import Experiment, PolicyChoice, TrainConfig
from .folder import file_name
from .statistics import Interval, Resampled, mean
from .unit import Outcome, Unit, read_evaluation, units

CLOSED = ", twin closed"
FOR_ALL = ", for all"
NONE = "none"  # the contract of no contract


class DeviateConfig(TrainConfig):
    """A network under several contracts, in which every company in turn is tried by leaving the others."""

    kind: ClassVar[str] = "deviate"
    regime: Any = "kaizen2"  # of the cooperation
    contracts: Annotated[dict[Name, Contracts], Field(min_length=1, default_factory=lambda: {NONE: Contracts()})]
    companies: list[Name] | None = None  # who is tried; by default all
    closing: bool = False  # whether each is also tried with its twin closed
    # Whether under the first contract each also learns on for the network, for as long: what it then has more is not
    # for leaving.
    control: bool = False
    deviation: dict[str, Any] = Field(default_factory=dict)  # options of the deviator's training, where they differ
    material: Share = 0.001  # a gain counts from this share of the network's value per company on

    def more(self) -> dict[str, Any]:
        keys = {"contracts", "companies", "closing", "control", "deviation", "material"}
        return self.model_dump(mode="json", include=keys)


def stages(experiment: Experiment, folder: Path) -> list[list[Unit]]:
    """First the cooperative trainings, then the deviators, which begin with what those have saved.

    Raises DescriptionError for contracts and companies that are not possible in the scenario, PolicyError for a policy
    that is no `pathwise` with a network per company.
    """
    (scenario,), (regime,) = experiment.scenarios.values(), experiment.regimes.values()
    (choice,) = experiment.policies.values()
    if choice.name != "pathwise" or choice.options.get("shared"):
        raise PolicyError(
            f"policy: got {choice.called}{' with shared: true' * (choice.name == 'pathwise')}; whoever leaves follows a"
            " gradient by weights of its own: pathwise, with shared: false"
        )
    names, config = [company.name for company in scenario.companies], experiment.config
    tried = config["companies"] or names
    for name in tried:
        if name not in names:
            raise DescriptionError(
                f"companies: there is no company '{name}'{near(name, names)}; allowed: {', '.join(names)}"
            )
    if config["closing"] and "openness" not in BatchEnv(scenario, regime, 1).action_names:
        raise DescriptionError("closing: there is no twin to close in this scenario and regime; leave it out")
    regime = experiment.windows[scenario.name].waiting(regime)
    together: list[Unit] = []
    alone: list[Unit] = []
    for place, (label, contract) in enumerate(config["contracts"].items()):
        under = _under(scenario, label, contract)
        cooperating = units(changed(experiment, scenarios={scenario.name: under}), folder / file_name(label))
        together += [changed(unit, regime_label=label) for unit in cooperating]
        for unit in cooperating:
            alone += _deviators(unit, label, tried, config, own(regime))
            if config["control"] and place == 0:
                alone += [_deviator(unit, label, company, FOR_ALL, config, regime) for company in tried]
    return [together, alone]


def _under(scenario: Scenario, label: str, contract: Mapping[str, Any]) -> Scenario:
    try:
        return scenario.changed(contracts=contract)
    except ValueError as error:  # the scenario's own words, with the place in this config
        said = [str(part["ctx"]["error"]) if "error" in part.get("ctx", {}) else part["msg"] for part in error.errors()]  # type: ignore[attr-defined]
        raise DescriptionError(
            "\n".join(f"contracts.{label}: {line}" for text in said for line in text.split("\n"))
        ) from None


def _deviators(
    start: Unit, label: str, tried: Sequence[str], config: Mapping[str, Any], regime: Regime
) -> Iterator[Unit]:
    for company in tried:
        for how in ("", CLOSED) if config["closing"] else ("",):
            yield _deviator(start, label, company, how, config, regime)


def _deviator(start: Unit, label: str, company: str, how: str, config: Mapping[str, Any], regime: Regime) -> Unit:
    called = company + how
    options: dict[str, Any] = {
        **start.policy.options,
        **config["deviation"],
        "company": company,
        "start": str((start.folder / "policy").resolve()),
        "closed": how == CLOSED,
        "for_all": how == FOR_ALL,
    }
    return changed(
        start,
        folder=start.folder.parent.parent / file_name(f"without {called}") / start.folder.name,
        regime=regime,
        regime_label=label,
        policy=PolicyChoice(name="agents.deviation:Deviator", options=options, label=called),
    )


def deviations(experiment: Experiment, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All that is said, as in `summary.json`: by contract, by company, what leaving pays and what it costs the network.

    Money per period, means over training seeds and worlds of paired differences, with 95 % intervals. A deviation pays
    where the whole interval of its gain is above what counts as material.
    """
    (scenario,), config = experiment.scenarios.values(), experiment.config
    cooperative = next(iter(experiment.policies))
    tables: dict[tuple[str, str, int], dict[str, np.ndarray]] = {}
    for outcome in outcomes:
        if outcome.values is not None:
            unit = outcome.unit
            key = unit.regime_label, unit.policy.called, unit.seed
            tables[key] = read_evaluation(unit.folder / "evaluation.csv")
    found: dict[str, Any] = {}
    for label in config["contracts"]:
        seeds = [seed for seed in experiment.seeds if (label, cooperative, seed) in tables]
        if not seeds:
            continue
        together = {seed: tables[label, cooperative, seed] for seed in seeds}
        value = _interval([together[seed]["end_customer_value"] for seed in seeds])
        threshold = config["material"] * abs(value.value) / len(scenario.companies)
        rows = []
        for company in config["companies"] or [c.name for c in scenario.companies]:
            for called in (company, company + CLOSED, company + FOR_ALL):
                pairs = [(tables[label, called, s], together[s]) for s in seeds if (label, called, s) in tables]
                if not pairs:
                    continue
                gain = _interval([after[f"profit of {company}"] - now[f"profit of {company}"] for after, now in pairs])
                loss = _interval([now["end_customer_value"] - after["end_customer_value"] for after, now in pairs])
                profit = float(np.mean([now[f"profit of {company}"] for _, now in pairs]))
                rows.append(
                    {
                        "company": called,
                        "profit": profit,
                        "gain": gain._asdict(),
                        "network_loss": loss._asdict(),
                        "pays": gain.low > threshold and not called.endswith(FOR_ALL),
                        "beyond_learning_on": _beyond(tables, label, company, called, seeds),
                        "seeds": len(pairs),
                    }
                )
        found[label] = {
            "value": value._asdict(),
            "customer_surplus": float(np.mean([table["customer_surplus"] for table in together.values()])),
            "material": threshold,
            "companies": rows,
            "pays_for": [row["company"] for row in rows if row["pays"]],
            # Without the second it may be that the cooperation was not learnt out, and who learns on does all a favour.
            "at_a_loss_for_all": [r["company"] for r in rows if r["pays"] and r["network_loss"]["low"] > 0.0],
        }
    return finite(
        {
            "name": experiment.name,
            "scenario": scenario.name,
            "policy": cooperative,
            "seeds": list(experiment.seeds),
            "worlds": experiment.evaluation.worlds,
            "contracts": found,
            "failed": [{"unit": o.unit.name, "error": o.error} for o in outcomes if o.error],
        }
    )


def _beyond(tables: Any, label: str, company: str, called: str, seeds: Sequence[int]) -> dict[str, float] | None:
    """What leaving gains a company beyond what learning on for the network does; None where that was not tried."""
    pairs = [(tables.get((label, called, s)), tables.get((label, company + FOR_ALL, s))) for s in seeds]
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    if called != company or not both:
        return None
    column = f"profit of {company}"
    return _interval([one[column] - other[column] for one, other in both])._asdict()


def _interval(values: Sequence[np.ndarray]) -> Interval:
    """Mean of (seeds, worlds) with its interval."""
    return Resampled({"": np.stack(values)}, mean).interval("")


def verdict(said: Mapping[str, Any]) -> str:
    """Of one contract, in a line."""
    if said["pays_for"]:
        shown = f"shown to cost the network: {', '.join(said['at_a_loss_for_all']) or 'none of these'}"
        return f"leaving pays for {', '.join(said['pays_for'])}; {shown}"
    return "no deviation shown to pay"
