"""Signals: classes of time series, and electrocardiograms without their noise."""
