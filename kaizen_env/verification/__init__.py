"""Known results that the model must reproduce, each a special case reached by configuration alone."""
