"""Tests of data and publish folders in object storage."""
