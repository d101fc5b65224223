"""A page that tells what a run has found and replays it: one HTML file that needs no server and no network.

`replay` records one world, `page` puts texts, data and libraries into one file, `sections` writes the tables of a
comparison and `comparison_page` gathers all of it from a run; `replay_page` shows replays alone.
"""
