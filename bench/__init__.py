"""The benchmark of ``make bench``: old stacks' hello worlds beside forgo's predictions."""
