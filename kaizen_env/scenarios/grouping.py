"""Who owns whom: a scenario with other ownership groups, and nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from ..description import Company, Scenario
from ..errors import DescriptionError, near


def grouped(scenario: Scenario, groups: Mapping[str, str]) -> Scenario:
    """`scenario` with the companies named in `groups` (company → owner) owned by these; the others stay as they are.

    Companies with one owner form a group; an owner may be a company (`{cells: assembly}`: the assembler bought it).
    Raises `DescriptionError` with one line per unknown company or impossible owner.
    """
    names = [c.name for c in scenario.companies]
    if not isinstance(groups, Mapping):
        raise DescriptionError(
            f"{scenario.name}: groups: got {type(groups).__name__}; allowed: a mapping of companies to owners, e.g."
            f" {{{names[0]}: maker}}"
        )
    wrong = [
        f"{scenario.name}: groups: there is no company '{name}'{near(name, names)}; known: {', '.join(names[:8])}"
        + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        for name in groups
        if name not in set(names)
    ]
    companies: list[Company] = []
    for company in scenario.companies:
        if company.name not in groups:
            companies.append(company)
            continue
        fields = {field: getattr(company, field) for field in company.model_fields_set}
        try:
            companies.append(Company.model_validate(fields | {"group": groups[company.name]}))
        except ValidationError as error:
            owner, reason = groups[company.name], error.errors(include_url=False)[0]["msg"]
            wrong.append(f"{scenario.name}: groups.{company.name}: got {owner!r}; {reason[0].lower()}{reason[1:]}")
    if wrong:
        raise DescriptionError("\n".join(wrong))
    return scenario.changed(companies=companies)
