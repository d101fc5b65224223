"""Experiments from their files: what a config names is found, and errors begin with the file and the place in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kaizen_env import REGIMES, BatchEnv, DescriptionError, Regime, Scenario, load_regime, load_scenario, scenarios
from kaizen_env.errors import from_validation, near

from ..policy import PolicyError, Setting
from ..training import Learner
from ..window import Window
from .config import REFERENCE, BenchmarkConfig, CompareConfig, Config, Experiment, PolicyChoice, TrainConfig
from .reading import changed, read_yaml


def load_experiment(
    path: str | Path, kind: type[Config], changes: Sequence[str] = (), more: Sequence[str] = ()
) -> Experiment:
    """The experiment of a config file, with `changes` (`key.key=value`) and `more` policies (not of a training).

    Raises DescriptionError with one line per problem: file, place, what was got, what is allowed, the mend.
    """
    file = Path(path)
    data = read_yaml(file)
    for change in changes:
        data = changed(data, change)
    key = "rules" if kind is CompareConfig else "policies"
    if more and isinstance(data.get(key, []), list):
        data[key] = [*data.get(key, []), *map(_named_on_command_line, more)]
    try:
        config = kind.model_validate(data)
    except ValidationError as error:
        raise from_validation(error, str(file), kind) from None
    name = config.name or file.stem
    found, what = _asked(config, _Parts(file))
    windows = _windows(found["scenarios"], found.get("cases", {}), config)
    (window, *others) = windows.values()
    rest = {
        "seeds": config.seeds,
        "evaluation": config.evaluation.model_dump(),
        # Of several networks each has its own, unless the config gives one for all.
        "warm_up": config.warm_up if others else window.warm_up,
        "tail": config.tail if others else window.tail,
        "tensorboard": config.tensorboard,
    }
    return Experiment(
        name=name,
        kind=config.kind,
        **found,
        seeds=tuple(config.seeds),
        evaluation=config.evaluation,
        tensorboard=config.tensorboard,
        config={"name": name, **what, **rest},
        windows=windows,
    )


def _windows(scenarios: Mapping[str, Scenario], cases: Mapping[str, Scenario], config: Config) -> dict[str, Window]:
    """By scenario; where regimes change the network, long enough for each of them."""
    found = {}
    for name, scenario in scenarios.items():
        each = [Window.of(network, config.warm_up, config.tail) for network in (scenario, *cases.values())]
        found[name] = Window(scenario.periods, max(w.warm_up for w in each), max(w.tail for w in each))
    return found


def _asked(config: Config, parts: _Parts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scenarios, regimes and policies of an experiment by label; and the same as the complete config says it."""
    if isinstance(config, BenchmarkConfig):
        scenarios = parts.scenarios(config.scenarios, "scenarios[{}]")
        regimes = parts.regimes(config.regimes, "regimes[{}]")
        chosen = {f"policies[{i}]": choice for i, choice in enumerate(config.policies)}
        if not any(choice.called == REFERENCE for choice in config.policies):
            chosen["policies"] = PolicyChoice(name=REFERENCE)
        policies = parts.policies(chosen, scenarios, regimes)
        what = {"scenarios": config.scenarios, "regimes": _axes(regimes), "policies": _plain(policies)}
        what["foresight"] = config.foresight
    elif isinstance(config, CompareConfig):
        scenarios = parts.scenarios([config.scenario], "scenario")
        (scenario,) = scenarios.values()
        regimes, cases, changes = parts.cases(config.regimes, scenario)
        chosen = {"policy": config.policy} | {f"rules[{i}]": choice for i, choice in enumerate(config.rules)}
        policies = parts.policies(chosen, scenarios, regimes)
        parts.counted(config, regimes, cases)
        policy, *rules = policies.items()
        networks = {label: cases.get(label, scenario) for label in regimes}
        served = (parts.served(rule, networks, regimes, f"rules[{i}]") for i, (_, rule) in enumerate(rules))
        policies = dict([policy]) | {choice.called: choice for choice in served}
        policy_data, *rules_data = _plain(policies)
        axes = [of | changes.get(of["label"], {}) for of in _axes(regimes)]
        what = {"scenario": config.scenario, "regimes": axes, "policy": policy_data, "rules": rules_data}
        what |= {"baseline": config.baseline, "effects": config.effects, "foresight": config.foresight}
        return {"scenarios": scenarios, "regimes": regimes, "policies": policies, "cases": cases}, what
    else:
        assert isinstance(config, TrainConfig)
        scenarios = parts.scenarios([config.scenario], "scenario")
        regimes = parts.regimes([config.regime], "regime")
        policies = parts.policies({"policy": config.policy}, scenarios, regimes)
        what = {"scenario": config.scenario, "regime": _axes(regimes)[0], "policy": _plain(policies)[0]}
        what |= config.more()
    return {"scenarios": scenarios, "regimes": regimes, "policies": policies}, what


def _axes(regimes: Mapping[str, Regime]) -> list[dict[str, Any]]:
    return [{"label": label, **regime.model_dump()} for label, regime in regimes.items()]


def _plain(policies: Mapping[str, PolicyChoice]) -> list[dict[str, Any]]:
    return [choice.model_dump(mode="json", exclude_none=True) for choice in policies.values()]


def _named_on_command_line(text: str) -> dict[str, str]:
    """A policy given as a word: the folder of a saved one, or a name."""
    return {"saved": text} if (Path(text) / "policy.json").is_file() else {"name": text}


class _Parts:
    """Finds what a config file names; errors begin with the file and the place in it."""

    def __init__(self, file: Path) -> None:
        self.file, self.folder = file, file.resolve().parent

    def scenarios(self, given: Sequence[Any], place: str) -> dict[str, Scenario]:
        found: dict[str, Scenario] = {}
        for i, spec in enumerate(given):
            scenario = self._tried(place.format(i), lambda spec=spec: self._scenario(spec))
            self._new(found, scenario.name, place.format(i), f"{{scenario: {scenario.name}, name: another}}")
            found[scenario.name] = scenario
        return found

    def _scenario(self, spec: Any) -> Scenario:
        if isinstance(spec, str):
            return load_scenario(spec if spec in scenarios() else self.path(spec))
        if not isinstance(spec, Mapping):
            raise DescriptionError(f"got {spec!r}; allowed: a built-in name, the path of a YAML file, or a mapping")
        fields = dict(spec)
        for key in ("scenario", "willems"):
            if isinstance(fields.get(key), str) and fields[key] not in scenarios():
                fields[key] = self.path(fields[key])
        return load_scenario(fields, self.folder)

    def regimes(self, given: Sequence[Any], place: str) -> dict[str, Regime]:
        found: dict[str, Regime] = {}
        for i, spec in enumerate(given):
            label, regime = self._tried(place.format(i), lambda spec=spec: _regime(spec))
            self._new(found, label, place.format(i), "{regime: kaizen2, alignment: 0.5, label: half}")
            found[label] = regime
        return found

    def cases(
        self, given: Sequence[Any], scenario: Scenario
    ) -> tuple[dict[str, Regime], dict[str, Scenario], dict[str, dict[str, Any]]]:
        """Regimes by label; the networks of those that change `scenario`; and what these changed, as it was given."""
        plain, changes = [], []
        for spec in given:
            fields = dict(spec) if isinstance(spec, Mapping) else spec
            changes.append(fields.pop("scenario", None) if isinstance(fields, dict) else None)
            plain.append(fields)
        regimes, networks, said = self.regimes(plain, "regimes[{}]"), {}, {}
        for i, (label, change) in enumerate(zip(regimes, changes, strict=True)):
            if change is not None:
                where = f"regimes[{i}].scenario"
                networks[label] = self._tried(where, lambda change=change: self._case(scenario, change))
                said[label] = {"scenario": change}
        return regimes, networks, said

    def _case(self, scenario: Scenario, change: Any) -> Scenario:
        if not isinstance(change, Mapping) or {"name", "scenario"} & set(change):
            raise DescriptionError(f"got {change!r}; allowed: fields of the scenario but its name, e.g. {{groups: …}}")
        network = load_scenario({**change, "scenario": scenario}, self.folder)
        for what in ("companies", "markets"):
            now, then = ([part.name for part in getattr(of, what)] for of in (network, scenario))
            if now != then:
                raise DescriptionError(f"{what} are {', '.join(now)}; allowed: those of the scenario, in its order")
        if network.periods != scenario.periods:
            raise DescriptionError(f"periods: {network.periods}; an episode is as long under every regime")
        return network

    def counted(self, config: CompareConfig, regimes: Mapping[str, Any], cases: Mapping[str, Any]) -> None:
        """Raise DescriptionError where baseline, effects and foresight do not fit the regimes."""
        if config.foresight and REFERENCE not in regimes:
            raise DescriptionError(
                f"{self.file}: foresight: shares are counted from '{REFERENCE}', which is no regime here; add it"
            )
        if config.foresight and cases:
            raise DescriptionError(
                f"{self.file}: foresight: it is reached in one network, and {', '.join(cases)} change it; leave it out"
            )
        asked = {"baseline": [config.baseline] if config.baseline is not None else []}
        asked |= {f"effects.{name}": list(terms) for name, terms in (config.effects or {}).items()}
        for where, labels in asked.items():
            for label in labels:
                if label not in regimes:
                    raise DescriptionError(
                        f"{self.file}: {where}: there is no regime '{label}' here{near(label, regimes)}; allowed:"
                        f" {', '.join(regimes)}"
                    )
        for name, terms in (config.effects or {}).items():
            if abs(sum(terms.values())) > 1e-9 or not any(terms.values()):
                raise DescriptionError(
                    f"{self.file}: effects.{name}: weights add up to {sum(terms.values()):g}; an effect is a"
                    " difference: weights of both signs that add up to 0, e.g. {kinder: 1, harder: -1}"
                )

    def policies(
        self, given: Mapping[str, PolicyChoice], found: Mapping[str, Any], regimes: Mapping[str, Any]
    ) -> dict[str, PolicyChoice]:
        """By label, from those given by their place in the file."""
        chosen: dict[str, PolicyChoice] = {}
        for where, choice in given.items():
            label = choice.called
            self._new(chosen, label, where, f"{{name: {choice.name or 'another'}, label: another}}")
            for key, allowed in (("scenarios", found), ("regimes", regimes)):
                for name in getattr(choice, key) or ():
                    if name not in allowed:
                        raise DescriptionError(
                            f"{self.file}: {where}.{key}: there is no '{name}' here{near(name, allowed)}; allowed:"
                            f" {', '.join(allowed)}"
                        )
            changes: dict[str, Any] = {"label": label}
            if choice.saved is not None:
                changes["saved"] = self.path(choice.saved)
            elif choice.file is not None:
                changes["name"] = f"{self.path(str(choice.file))}:{str(choice.name).rpartition(':')[2]}"
            chosen[label] = choice.model_copy(update=changes)
        return chosen

    def served(
        self, choice: PolicyChoice, networks: Mapping[str, Scenario], regimes: Mapping[str, Regime], where: str
    ) -> PolicyChoice:
        """The same rule for the regimes alone that show it enough; `networks` are theirs."""
        asked = {label: regime for label, regime in regimes.items() if choice.takes_part(networks[label].name, label)}
        refused = {label: why for label, regime in asked.items() if (why := refusal(choice, networks[label], regime))}
        if len(refused) == len(asked):
            raise DescriptionError(f"{self.file}: {where}: no regime here will do: {next(iter(refused.values()))}")
        return choice.model_copy(update={"regimes": [label for label in asked if label not in refused]})

    def path(self, text: str) -> str:
        """Beside the config file, or else where the command is run; as it is where there is neither."""
        for start in (self.folder, Path.cwd()):
            if (start / Path(text).expanduser()).exists():
                return str((start / Path(text).expanduser()).resolve())
        return text

    def _new(self, found: Mapping[str, Any], label: str, where: str, example: str) -> None:
        if label in found:
            raise DescriptionError(
                f"{self.file}: {where}: '{label}' is there already; call one of them otherwise, e.g. {example}"
            )

    def _tried(self, where: str, find: Callable[[], Any]) -> Any:
        try:
            return find()
        except DescriptionError as error:
            lines = str(error).split("\n")
            raise DescriptionError("\n".join(f"{self.file}: {where}: {line}" for line in lines)) from None


def _regime(spec: Any) -> tuple[str, Regime]:
    """Label and regime of a name, of axes, or of a named regime with some axes changed."""
    if not isinstance(spec, Mapping):
        regime = load_regime(spec)
        return str(spec), regime
    axes = dict(spec)
    label, base = axes.pop("label", None), axes.pop("regime", None)
    regime = load_regime(axes) if base is None else load_regime(base, **axes)
    if label is None:
        label = next((name for name, named in REGIMES.items() if named == regime), None) or _axes_in_words(regime)
    if not isinstance(label, str) or not label:
        raise DescriptionError(f"label: got {label!r}; a word is needed")
    return label, regime


def _axes_in_words(regime: Regime) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in regime.model_dump(exclude_defaults=True).items())


def refusal(choice: PolicyChoice, scenario: Scenario, regime: Regime) -> str | None:
    """Why a rule does not run under a regime that shows it too little; None where it runs, or fails otherwise."""
    env = BatchEnv(scenario, regime, 1, auto_reset=False)
    try:
        policy = choice.make()
    except PolicyError:
        return None  # it is made again when it is run, and fails there with its trace
    if isinstance(policy, Learner) and choice.saved is None:
        return None  # it cannot say before it is trained
    try:
        if choice.saved is not None:
            policy = choice.make(env)
        policy.reset(Setting.of(env, 0))
    except PolicyError as error:
        return " ".join(str(error).split())
    except Exception:
        return None
    return None
