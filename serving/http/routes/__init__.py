"""One module for each kind of path that the server answers."""
