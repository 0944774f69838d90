"""Text: baselines beside networks, what filters look for, text from manual pages."""
