"""Makes the files of examples/ out of a seed. Run ``python -m examples.generate``.

Nothing here describes a real person, firearm or case.
"""
