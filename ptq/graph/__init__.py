"""Any traceable module as layers, groups and activations."""
