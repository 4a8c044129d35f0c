"""The one way in which a part of the benchmarks gives up: a line of text for the user, and exit code 1."""


class Failure(Exception):
    """Something that the user must mend before there is anything to measure."""
