"""Planted skews, each of which must be refused with its stage named: ``python -m mutants``."""
