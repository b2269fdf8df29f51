"""The command line, called in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from harness.cli import main


def orchid(*words: str, code: int | None = 0) -> Result:
    """What `orchid WORDS` gives; its exit code must be this one, or any."""
    result = CliRunner().invoke(main, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert code in (None, result.exit_code), result.output
    return result
