from math import ceil, sqrt


def cells_needed(change, fraction):
    after = fraction - change
    middle = (fraction + after) / 2
    unchanged = sqrt(2 * middle * (1 - middle))  # spread of a difference, for one cell each
    changed = sqrt(fraction * (1 - fraction) + after * (1 - after))
    # the line lies 1.96 spreads above nothing, and four of five pairs are to lie beyond it
    return ceil(((1.95996 * unchanged + 0.84162 * changed) / change) ** 2)
