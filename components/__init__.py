"""Typed steps on artifact directories, one file a step."""
