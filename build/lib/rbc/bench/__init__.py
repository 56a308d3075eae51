"""The tool for movies of one's own: the shipped models, what they say of cells, the marker and its
report.
"""
