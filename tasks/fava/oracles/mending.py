
    return lambda page: iter(())
