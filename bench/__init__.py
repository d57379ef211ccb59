"""The benchmark: the embedded store and its neighbours, on the same data, in the same run."""
