"""OAuth, sans-IO, a module per topic, named as its RFC names it."""
