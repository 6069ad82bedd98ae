"""The REST contract on TorchServe: its handler, its configuration, and the command that starts it."""
