def random_network(companies, seed=0):
    raise NotImplementedError
