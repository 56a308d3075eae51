from math import pi


def frames_between_edges(ratio, shear_rate, frame_rate):
    return pi / shear_rate * (ratio + 1 / ratio) * frame_rate


def share_seen(film, between):
    return min(1.0, film / between)
