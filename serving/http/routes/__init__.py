"""The routes, one module for each group of paths, and their OpenAPI descriptions."""
