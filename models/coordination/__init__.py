"""Who trades together: copying, mirroring, rings and shared strategies, told apart from chance."""

from models.coordination.evidence import PairEvidence, pair_evidence
from models.coordination.ruled_out import ruled_out
from models.coordination.search import Coordination, find_coordination
from models.coordination.terms import CoordinationTerms

__all__ = ["Coordination", "CoordinationTerms", "PairEvidence", "find_coordination", "pair_evidence", "ruled_out"]
