"""Faults that are injected on purpose: what can go wrong between mdagent and its providers, when, and how likely.

What is known of each kind stands in `KINDS`; `Plan` says which faults are on at a moment; `FaultTransport` brings those of the
network about, in front of any other transport.
"""

from mdagent.wire.faults.kinds import KINDS, Fault, Kind, Setting, Where, completed
from mdagent.wire.faults.plan import Injected, Plan
from mdagent.wire.faults.transport import FaultTransport

__all__ = ["KINDS", "Fault", "FaultTransport", "Injected", "Kind", "Plan", "Setting", "Where", "completed"]
