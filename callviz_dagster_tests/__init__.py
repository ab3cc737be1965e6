"""Tests of callviz, one module for each of the package's."""
