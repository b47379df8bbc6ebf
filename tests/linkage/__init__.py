"""Tests of the room `linkage`."""
