from math import ceil


def cells_needed(change, fraction):
    return ceil(2 * fraction * (1 - fraction) * (1.96 / change) ** 2)
