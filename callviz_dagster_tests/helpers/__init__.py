"""What several test modules share. No tests here; pytest collects `test_*.py` one folder up."""
