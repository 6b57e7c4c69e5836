"""carbon-verify: checks what a Carbon workspace promises. Python 3.9+, standard library only."""
