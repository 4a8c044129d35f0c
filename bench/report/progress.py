"""The progress line: what is done of how much, and when it will be over. On a terminal it rewrites itself."""
import sys
import time


class Progress:
    """Counts steps of known expected cost; the estimate scales the expectation by what was seen so far."""

    QUIET_SECONDS = 10  # Between two lines where standard error is not a terminal.

    def __init__(self, expected_seconds, steps):
        self.expected = expected_seconds
        self.steps = steps
        self.done_steps = 0
        self.done_expected = 0.0
        self.start = time.monotonic()
        self.last_line = 0.0
        self.is_terminal = sys.stderr.isatty()

    def step(self, expected, what):
        """One step of that expected length is done; `what` names it."""
        self.done_steps += 1
        self.done_expected += expected
        now = time.monotonic()
        is_last = self.done_steps == self.steps
        if not self.is_terminal and not is_last and now - self.last_line < self.QUIET_SECONDS:
            return
        self.last_line = now
        elapsed = now - self.start
        left = elapsed * (self.expected - self.done_expected) / max(self.done_expected, 1e-9)
        line = f"[{self.done_steps}/{self.steps}] {elapsed:4.0f} s, about {max(left, 0):.0f} s left  {what}"
        if self.is_terminal:
            sys.stderr.write(f"\r\033[K{line[:110]}" + ("\n" if is_last else ""))
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()
