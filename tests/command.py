"""The command line, called in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from harness.cli import main


def orchid(*words: str, code: int = 0) -> Result:
    """What `orchid WORDS` gives; its exit code must be this one."""
    result = CliRunner().invoke(main, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result
