"""compose.yaml on a real Docker engine; run by make containers."""
