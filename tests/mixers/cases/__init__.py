"""Mixers under test, by a short name: the CASES of every module here, one a mixer.

The contract tests run on every case, so that each mixer's options occur among its cases.
"""

import importlib
import pkgutil

CASES = {}
for _module in pkgutil.iter_modules(__path__):
    CASES |= importlib.import_module(f"{__name__}.{_module.name}").CASES
