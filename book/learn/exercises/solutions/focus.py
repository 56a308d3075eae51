from scipy import ndimage


def sharpness(frames):
    picture = frames.mean(axis=0)  # less noise; light and contrast of the movie cancel in the ratio
    edges = ndimage.laplace(ndimage.gaussian_filter(picture, 1))
    return edges.var() / picture.var()
