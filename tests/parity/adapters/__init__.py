"""One adapter an original: how its files are recognised, expressed by our mixers and compared.

An adapter module has
    recognises(config) -> bool       whether a file with this configuration is of this original
    unsupported(config) -> str       what we lack for it, or ""
    evaluate(config, data, dtype)    {name: (ours, theirs)} for what is compared
    KEYS                             the options that it knows
`config["case"]` is the file's name without its ending.
"""

import importlib
import pkgutil

ADAPTERS = {
    module.name: importlib.import_module(f"{__name__}.{module.name}")
    for module in pkgutil.iter_modules(__path__)
}
