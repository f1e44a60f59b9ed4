"""Evidence that a reward can be trusted: adversaries, and the audit of a task."""

from webgym.trust.adversaries import ADVERSARIES, Adversary, Reflex, adversary
from webgym.trust.auditing import Audit, Ledger, Trial, audit, audit_seeds

__all__ = ["ADVERSARIES", "Adversary", "Audit", "Ledger", "Reflex", "Trial", "adversary", "audit", "audit_seeds"]
