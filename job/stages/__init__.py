"""The six stages of a run, in order: fetch, clean, encode, train, evaluate, publish."""
