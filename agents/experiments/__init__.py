"""Experiments: a config in, a run folder out. What the scripts share.

`config` says what a file may hold, `folder` is where a run lives, `unit` trains and evaluates one policy, `jobs` runs
many of them, `statistics` sums them up, `command` is the command line they have in common.
"""
