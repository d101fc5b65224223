"""The tables that say what observations, actions and infos mean: complete, true, and those that the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from kaizen_env import BatchEnv, PlannerEnv, parallel_env, scenarios
from kaizen_env.envs import describe
from kaizen_env.envs.batch import INFO
from kaizen_env.regimes import TwinKind
from kaizen_env.twins import SHARED_BY_COMPANY

PAGE = Path(__file__).parents[2] / "docs" / "environments.md"


@pytest.mark.parametrize("kind", get_args(TwinKind))
@pytest.mark.parametrize("name", scenarios())
def test_the_table_of_features_knows_every_one(name: str, kind: str) -> None:
    """With its unit and its meaning. Seen to fail: without seasonal demand, and without the echelon twin."""
    batch = BatchEnv(name, "isolated", twin=kind)
    known = {row[0].strip("`"): row[1:4] for row in describe.every_feature().rows}
    wastes, link_wastes = batch.network.company_waste_names, batch.network.link_waste_names
    companies = "|".join(map(re.escape, batch.network.names))
    for feature in batch.twin.features:
        element = feature.name
        if kind in SHARED_BY_COMPANY:
            element = re.sub(rf"^({companies})\.(?!shown)", "", element)
            element = re.sub(rf"^({companies})\.shown", "COMPANY.shown", element)
        elif kind == "neighbours":
            side, dot, element = element.rpartition(".")
            assert not dot or f"{side}.FEATURE" in known
        for prefix, names in (("waste_", wastes), ("link_waste_", link_wastes)):
            if element in [prefix + waste for waste in names]:
                element = f"{prefix}NAME"
        unit, _, meaning = known[element]
        assert unit == feature.unit
        assert feature.meaning == meaning or feature.meaning.startswith(f"{meaning}; ")


@pytest.mark.parametrize("regime", ["static", "isolated", {"twin": "members"}])
@pytest.mark.parametrize("name", scenarios())
def test_the_table_of_actions_knows_every_one(name: str, regime: str) -> None:
    """Seen to fail: without `culture.innovation`, which brings training."""
    batch = BatchEnv(name, regime)
    known = {(row[0].strip("`"), row[1]) for row in describe.every_action().rows}
    wastes = batch.network.company_waste_names
    for action, unit in zip(batch.action_names, batch.actions.units, strict=True):
        kind = "effort_NAME" if action in [f"effort_{waste}" for waste in wastes] else action
        assert (kind, unit) in known


def test_every_info_has_a_meaning() -> None:
    """Seen to fail: with an info more in `INFO`."""
    assert tuple(describe.INFOS) == INFO
    env = parallel_env("serial")
    _, infos = env.reset(seed=1)
    assert {row[0].strip("`") for row in describe.info_table().rows} == set(infos["retailer"])


def test_normalised_elements_are_multiples_of_what_the_table_says() -> None:
    """Stock of throughput, profit of its cost, for every company. Seen to fail: with the columns exchanged."""
    batch = BatchEnv("cola", "isolated")
    batch.reset(seed=1)
    observations, *_ = batch.step(np.full((1, batch.companies, len(batch.action_names)), 0.1))
    on_hand, profit = (batch.feature_names.index(name) for name in ("on_hand", "profit"))
    assert batch.books is not None
    for i, (company, throughput, cost, _, _) in enumerate(describe.scale_table(batch).rows):
        assert company == batch.network.names[i]
        assert observations[0, i, on_hand] * float(throughput) == pytest.approx(batch.state.on_hand[i, 0], rel=1e-4)
        assert observations[0, i, profit] * float(cost) == pytest.approx(batch.books.profit[i, 0], rel=1e-4)


@pytest.mark.parametrize("replenishment", ["quantity", "order_up_to", "echelon_order_up_to"])
def test_orders_are_what_the_table_says(replenishment: str) -> None:
    """At −1 nothing, and at 0 and 1 the columns of the table. Seen to fail: with twice the level at 1."""
    batch = BatchEnv("serial", "isolated", twin="echelon", replenishment=replenishment)
    rows = describe.scale_table(batch).rows
    for action, column in ((0.0, 3), (1.0, 4)):
        decided = batch.actions.decisions(np.full((1, 3, 1), action), 0).order[:, 0]
        np.testing.assert_allclose(decided, [float(row[column]) for row in rows], rtol=1e-5)
    assert not batch.actions.decisions(np.full((1, 3, 1), -1.0), 0).order.any()


def test_describe_names_every_element_once_and_in_order() -> None:
    """Of a planner those of one company, as it sees the same of each. Seen to fail: with the shared part left out."""
    for env in (parallel_env("cola", "kaizen2"), PlannerEnv("cola")):
        names = [line.split()[1] for line in env.describe().splitlines() if re.match(r"\d+ ", line)]
        each = len(env.batch.twin.own) if isinstance(env, PlannerEnv) else len(env.feature_names)
        assert names == [*env.batch.feature_names[:each], *env.batch.action_names]


def test_what_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: with status 0."""
    assert describe.main(["cloa"]) == 2
    assert "did you mean 'cola'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        describe.main([])


def test_the_page_shows_what_the_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    """Seen to fail: with a number changed in the page."""
    blocks = re.findall(
        r"<!-- output of: python -m kaizen_env\.envs\.describe (.+?) -->\n(.*?)<!-- end of output -->",
        PAGE.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert len(blocks) == 8
    for arguments, shown in blocks:
        assert describe.main(arguments.split()) == 0
        printed = [line.rstrip() for line in capsys.readouterr().out.strip("\n").splitlines()]
        assert [line for line in shown.strip("\n").splitlines() if not line.startswith("```")] == printed
