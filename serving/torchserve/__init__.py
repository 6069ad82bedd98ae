"""The same REST contract on TorchServe: its handler, its settings, and a start that waits until it can answer."""
