"""What a gateway has done, for the log, the summary and the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class GatewayCounters:
    """Counts since the gateway was opened; bad answers and cures by kind (`answer_checks.Problem`)."""

    calls_received: int = 0
    calls_refused: int = 0
    errors_passed: int = 0
    log_ranges_halved: int = 0
    bad_answers: Counter[str] = field(default_factory=Counter)
    cured: Counter[str] = field(default_factory=Counter)

    def summary(self) -> dict[str, object]:
        """Return the counts for a log event; those by kind only if there are any."""
        counts: dict[str, object] = {
            "calls_received": self.calls_received,
            "errors_passed": self.errors_passed,
        }
        optional = {
            "calls_refused": self.calls_refused,
            "log_ranges_halved": self.log_ranges_halved,
            "bad_answers": dict(self.bad_answers),
            "cured": dict(self.cured),
        }
        return counts | {name: value for name, value in optional.items() if value}
