"""The effort game: N companies, each of which can improve, and all of which share what the improvement is worth.

Team production with quadratic cost of effort (Holmstrom 1982), as a scenario of the ordinary model.
"""

from __future__ import annotations

import math
from typing import Any

from ..description import Scenario
from ..errors import DescriptionError

VALUE_OF_EFFORT = 1.0  # v, money per period of full effort of one company
COST_OF_EFFORT = 2.0  # c: effort e costs c·e²/2 per period; v/c = ½ keeps the social optimum inside one team
RATE = 0.001  # share of a waste that full effort removes in a period; small, so that value is linear in effort


def team(companies: int = 4) -> Scenario:
    """The effort game of so many companies, with equal shares.

    Effort of one period takes `RATE` off a company's hurdle in the next and has slid back the period after, so a
    period's efforts e are worth v·Σe; each company receives 1/N of that and bears c·e²/2 of its own. In closed
    form effort is v/(N·c) when each plays for itself, v/c for all together, and the first is worth (2N−1)/N² of
    the second. Raises `DescriptionError` for a number of companies below 1.
    """
    if isinstance(companies, bool) or not isinstance(companies, int) or companies < 1:
        raise DescriptionError(f"team: companies: got {companies!r}; allowed: a whole number from 1 on, e.g. 4")
    width = len(str(companies))
    names = [f"company_{i + 1:0{width}d}" for i in range(companies)]
    hurdle = VALUE_OF_EFFORT / RATE
    fields: dict[str, Any] = {
        "name": "team",
        "title": "Team production (the effort game)",
        "description": (
            f"{companies} companies side by side serve one market; each can take hassle off its customers at a cost"
            " that is its own, and all share equally in what that is worth. The price of isolation on the side of"
            " incentives, in closed form."
        ),
        "sources": ["Holmstrom (1982), Moral hazard in teams, Bell Journal of Economics 13(2), 324-340"],
        "periods": 50,
        "companies": [
            {"name": name, "hurdle": hurdle, "initial_on_hand": 1000.0, "position": (0.0, float(i))}
            for i, name in enumerate(names)
        ],
        "supply_links": [{"buyer": name, "lead_time": 0.0} for name in names],
        "market_links": [{"seller": name, "market": "customers", "value": hurdle} for name in names],
        "markets": [{"name": "customers", "demand": {"process": "constant", "mean": float(companies)}}],
        "wastes": [
            {
                "name": "hassle",
                "channel": "hurdle",
                "half_life": math.log(2.0) / RATE,
                "backsliding": 1.0,
            }
        ],
        "improvement": {"curvature": COST_OF_EFFORT},
        "contracts": {"gain_share": [{"shares": dict.fromkeys(names, 1.0 / companies)}]},
    }
    return Scenario.model_validate(fields)
