"""What a server stays up under: ``make overload`` and ``make soak``."""
