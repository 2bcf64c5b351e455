"""The payout desk's judgement: what was checked for each request, what it is worth and what is recommended.

checks.py         what a check is, and how checks become a recommendation
facts.py          requests with their windows, terms, verdicts and surroundings
eligibility.py    conditions of the terms bought
conduct.py        data, rules, signals, identity, payee and transfers
amounts.py        profit, caps, strips, split
spells.py         how accounts are split, from each change on
spoken_for.py     profit that is promised or void, from when to when
standing.py       reviews as cases stand since the run
policy.toml       thresholds of review, screening and approval, versioned
"""

from models.payouts.review import Reviewed, desk_of, published, review

__all__ = ["Reviewed", "desk_of", "published", "review"]
