"""Inputs that look like agencies' own, and what makes them."""
