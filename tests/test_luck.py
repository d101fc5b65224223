"""Luck is an argument: one stream per cause and world, drawn before anybody decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import random_scenario

from kaizen_env import DescriptionError, build, draw
from kaizen_env.demand import Ar1, Gamma, Normal, Poisson, Seasonal, Step, Trace
from kaizen_env.luck import from_demand, stream


def test_the_same_seed_and_world_have_the_same_luck_whatever_else_is_drawn() -> None:
    """Seen to fail: with streams taken in turn from one generator instead of by name."""
    scenario = random_scenario(10, 4)
    more = scenario.changed(
        markets=[{"name": "new", "demand": {"process": "poisson", "mean": 3}}, *scenario.markets],
        market_links=[*scenario.market_links, {"seller": scenario.companies[0].name, "market": "new"}],
        disruptions=[
            {"name": "other", "company": scenario.companies[1].name, "probability": 0.5, "duration": 2},
            *scenario.disruptions,
        ],
    )
    a, b = draw(build(scenario), 7, 3, 40), draw(build(more), 7, 3, 40)
    np.testing.assert_array_equal(a.demand, b.demand[:, 1:])
    if a.capacity is not None and b.capacity is not None:
        np.testing.assert_array_equal(a.capacity[:, 0], b.capacity[:, 0])


def test_a_longer_episode_begins_as_a_shorter_one() -> None:
    """Seen to fail: with the two draws of an outage taken from one stream one after the other."""
    disrupted = 0
    for seed in range(6):
        network = build(random_scenario(6, seed))
        short, long = draw(network, 2, 2, 10), draw(network, 2, 2, 50)
        np.testing.assert_array_equal(short.demand, long.demand[:11])
        for name in ("capacity", "passage"):
            if getattr(short, name) is not None:
                disrupted += 1
                np.testing.assert_array_equal(getattr(short, name), getattr(long, name)[:10])
    assert disrupted


def test_worlds_seeds_and_causes_differ() -> None:
    draws = {stream(*key).random() for key in [(1, 0, "a"), (1, 1, "a"), (2, 0, "a"), (1, 0, "b"), (11, 0, "a")]}
    assert len(draws) == 5


def test_processes_have_the_moments_they_name() -> None:
    """Means and deviations per period of 4 days. Seen to fail: with the deviation scaled by days, not by √days."""
    n, days = 200_000, 4.0

    def moments(process: object) -> tuple[float, float]:
        x = process.draw(stream(1, 0, "test"), n, days)  # type: ignore[attr-defined]
        return float(x.mean()), float(x.std())

    assert moments(Normal(mean=10, sd=2)) == pytest.approx((40, 4), rel=0.01)
    assert moments(Gamma(mean=10, sd=20)) == pytest.approx((40, 40), rel=0.01)
    assert moments(Poisson(mean=2.5)) == pytest.approx((10, np.sqrt(10)), rel=0.01)
    assert moments(Ar1(mean=10, sd=2, correlation=0.8)) == pytest.approx((40, 4), rel=0.02)
    assert moments(Seasonal(mean=10, amplitude=0.5, cycle=28)) == pytest.approx((40, 20 / np.sqrt(2)), rel=0.03)
    for process in (Normal(mean=1, sd=3), Ar1(mean=1, sd=3, correlation=0.5), Gamma(mean=1, sd=3), Poisson(mean=1)):
        assert moments(process)[0] == pytest.approx(process.mean_of_period(days), rel=0.02)
    x = Ar1(mean=10, sd=2, correlation=0.8).draw(stream(1, 0, "test"), n, days)
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(0.8, abs=0.01)


def test_a_step_falls_on_its_day() -> None:
    step = Step(before=4, after=8, at=4)
    assert step.draw(stream(1, 0, ""), 6, 1.0).tolist() == [4, 4, 4, 4, 8, 8]
    assert step.draw(stream(1, 0, ""), 2, 3.0).tolist() == [12, 4 + 8 + 8]


def trace(folder: Path, **options: object) -> Trace:
    return Trace.model_validate({"file": "demand.csv", **options}, context={"folder": str(folder)})


def test_a_trace_is_replayed_or_bootstrapped_in_blocks(tmp_path: Path) -> None:
    """Seen to fail: with blocks that do not wrap around at the end of the file."""
    rows = np.arange(20)
    (tmp_path / "demand.csv").write_text("day,demand\n" + "".join(f"{i},{v}\n" for i, v in enumerate(rows)))
    replay = trace(tmp_path)
    assert replay.mean_of_period(1.0) == 9.5
    assert replay.draw(stream(1, 0, ""), 25, 1.0).tolist() == [*range(20), 0, 1, 2, 3, 4]
    assert replay.draw(stream(1, 0, ""), 3, 7.0).tolist() == [21, 70, 21]
    drawn = trace(tmp_path, use="bootstrap", block=5).draw(stream(1, 0, ""), 5000, 1.0)
    within = np.diff(drawn.reshape(-1, 5), axis=1)
    assert set(np.unique(within)) == {-19.0, 1.0}
    assert set(drawn) == set(rows.astype(float))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("demand\n", "column 'demand' is empty"),
        ("demnd\n1\n", "no column 'demand'; did you mean 'demnd'"),
        ("day,demand\n1,5\n2,\n3,4\n", "row 3, column 'demand': found a gap"),
        ("day,demand\n1,5\n2\n3,4\n", "row 3, column 'demand': found a gap"),
        ("demand\n1\nmany\n", "row 3, column 'demand': found 'many'"),
        ("demand\n1\n-2\n", "row 3, column 'demand': found -2; demand must be finite and >= 0"),
        ("demand\n1\ninf\n", "row 3, column 'demand': found inf"),
    ],
)
def test_bad_demand_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "demand.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        trace(tmp_path)


def test_a_period_must_be_whole_rows_of_a_trace(tmp_path: Path) -> None:
    (tmp_path / "demand.csv").write_text("demand\n1\n2\n3\n")
    with pytest.raises(DescriptionError, match="not a whole number of rows"):
        trace(tmp_path, row_days=2).draw(stream(1, 0, ""), 2, 3.0)
    with pytest.raises(DescriptionError, match="do not fill one period"):
        trace(tmp_path).draw(stream(1, 0, ""), 2, 7.0)
    with pytest.raises(ValueError, match="no such demand file"):
        trace(tmp_path / "elsewhere")


def test_a_trace_is_read_from_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'kaizen-env[data]'")
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table({"demand": [1.0, 2.0, 3.0]}), tmp_path / "demand.parquet")
    process = Trace.model_validate({"file": "demand.parquet"}, context={"folder": str(tmp_path)})
    assert process.draw(stream(1, 0, ""), 3, 1.0).tolist() == [1, 2, 3]
    (tmp_path / "demand.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="not a readable Parquet file"):
        Trace.model_validate({"file": "demand.parquet"}, context={"folder": str(tmp_path)})


def test_bad_seeds_worlds_and_tapes_are_refused() -> None:
    network = build(random_scenario(2, 0))
    for seed in ("1", 1.5, True, None):
        with pytest.raises(ValueError, match="is not a whole number"):
            draw(network, seed)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least one of each"):
        draw(network, 1, 0)
    with pytest.raises(ValueError, match=r"allowed: \(periods \+ 1, "):
        from_demand(network, np.ones((5, 9, 1)))
    with pytest.raises(ValueError, match="finite and >= 0"):
        from_demand(network, -np.ones((5, len(network.scenario.markets), 1)))
