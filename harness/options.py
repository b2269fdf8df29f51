"""Options that several verbs of the command line share."""

from __future__ import annotations

from pathlib import Path

import click

SCALE = click.option("--scale", default="smoke", show_default=True, help="smoke, laptop or paper")
OUT = click.option("--out", type=click.Path(path_type=Path), help="output folder [runs/NAME-SCALE]")
SET = click.option("--set", "overrides", multiple=True, metavar="a.b=c", help="set a field of base")
PLUGIN = click.option("--plugin", "plugins", multiple=True, help="Python file with own components")
MULTIVERSE = click.option(
    "--multiverse", is_flag=True, help="the claims under every protocol of `multiverse`"
)
JSON = click.option("--json", "as_json", is_flag=True, help="machine-readable output")
