"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# How long one example takes depends on the machine and on what else runs there: no reason to call a property broken.
settings.register_profile("mdagent", deadline=None)
settings.load_profile("mdagent")
