"""Who is who: links between traders, and the owners behind them."""

from models.identity.book import Identity, IdentityBook, resolve
from models.identity.facts import IdentityFacts
from models.identity.reasons import path
from models.identity.terms import DEFAULT_TERMS, IdentityTerms

__all__ = ["DEFAULT_TERMS", "Identity", "IdentityBook", "IdentityFacts", "IdentityTerms", "path", "resolve"]
