def spread(fraction, cells):
    return (fraction * (1 - fraction) / cells) ** 0.5
