"""What a load refuses with."""


class LoadError(Exception):
    """The load was refused; nothing in the shop has changed."""
