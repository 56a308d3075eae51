"""From the authors' files to sequences: fetch, unpack, recognise the layout, read, check beside the
paper.
"""
