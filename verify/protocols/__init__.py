"""As much of each network protocol as a check needs to tell that the right server answers."""
