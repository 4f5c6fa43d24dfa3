"""Figures, plots and HTML pages of measurements."""
