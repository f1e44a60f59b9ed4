"""The file in which a run finds the addresses of its collectors, one a line; it may change while the run goes on."""

from dataclasses import dataclass
from pathlib import Path

from webgym.errors import ConfigError
from webgym.nodes import wire


@dataclass(frozen=True, slots=True)
class NodesFile:
    """A file of addresses. With `away_cannot`, only collectors of this machine may be listed: it says what those of others cannot do."""

    path: Path
    away_cannot: str = ""

    def addresses(self) -> tuple[str, ...]:
        """The addresses that it lists now, each once. Raises ConfigError."""
        try:
            lines = [line.strip() for line in self.path.read_text("utf-8").splitlines()]
            listed = [wire.address(line) for line in lines if line and not line.startswith("#")]
        except (OSError, UnicodeDecodeError, ConfigError) as error:
            raise ConfigError(f"expected a file with the address of a collector on each line: {self.path}: {error}") from error
        away = [address for address in listed if not wire.is_here(address)]
        if away and self.away_cannot:
            raise ConfigError(f"{self.path}: the collector {away[0]} {self.away_cannot}")
        return tuple(dict.fromkeys(listed))
