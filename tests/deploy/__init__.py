"""What the deployments are made of, as far as it can be looked at without an engine."""
