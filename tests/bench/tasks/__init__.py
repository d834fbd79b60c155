"""`make bench-tasks`: what the tasks reach on real data, some of it beside transformers' Trainer."""
