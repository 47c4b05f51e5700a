"""Faults of the machine itself: pressure from its neighbours, limits on one mdagent, files that were damaged or edited badly.

Nothing outside the folder that is named is touched, whatever presses ends with who started it, and all is as it was afterwards.
"""

from mdagent.wire.faults.host.child import Child
from mdagent.wire.faults.host.edits import BAD, GOOD, edits
from mdagent.wire.faults.host.nearby import NEARBY, Site, nearby

__all__ = ["BAD", "GOOD", "NEARBY", "Child", "Site", "edits", "nearby"]
