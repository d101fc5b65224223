"""Pictures of a running network: what is shown (`snapshot`), where it stands (`placement`), and how it is drawn.

Only `picture`, `captions` and `glyphs` need matplotlib; import them where they are used.
"""
