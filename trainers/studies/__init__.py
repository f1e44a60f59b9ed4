"""The laboratory: learning curves, estimators and critics measured against exact values. Grids lie beside the code."""
