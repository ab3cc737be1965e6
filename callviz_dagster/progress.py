"""Telling how far a long piece of work is, in one log line every few seconds."""

from __future__ import annotations

import logging
import re
import time

PROGRESS_LINE = re.compile(r"[\w. ]+: [\d,]+ of about [\d,]+ documents, .* left$")
"""What `Progress` logs, at the end of a line."""


class Progress:
    """Logs how many of about how many documents are done, at what rate, and how long the rest will take."""

    every_seconds = 5.0

    def __init__(self, log: logging.Logger, doing: str, total: int) -> None:
        self._log = log
        self._doing = doing
        self._total = total
        self._began = self._told = time.monotonic()
        self.done = 0

    def add(self, documents: int) -> None:
        """Count documents; log the progress when it is due."""
        self.done += documents
        now = time.monotonic()
        if now - self._told >= self.every_seconds:
            self._told = now
            seconds_left = max(self._total - self.done, 0) / self.rate
            self._log.info(
                f"{self._doing}: {self.done:,} of about {self._total:,} documents, {self.rate:,.0f} a second, "
                f"about {seconds_left:,.0f} s left"
            )

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Documents per second so far."""
        return self.done / max(self.seconds, 1e-9)
