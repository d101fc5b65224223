def load_willems(path, chain=None, period_days=7.0):
    raise NotImplementedError
