"""Go: networks that learn moves from games, and play."""
