"""The dashboard as one page: its markup, style and scripts, and putting them together with the counts."""
