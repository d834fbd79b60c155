"""Faults on purpose: processes killed at any moment, and a store that answers badly."""
