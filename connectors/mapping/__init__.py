"""Mapping profiles: how an agency's own columns become events. Used by the CSV and the folder connector."""
