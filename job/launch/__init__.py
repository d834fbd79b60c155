"""In the cluster: whether to train, as what, and how what was launched is followed to its end."""
