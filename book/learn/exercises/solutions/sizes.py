def side(before, kernel, stride, padding):
    return (before + 2 * padding - kernel) // stride + 1


def weights(n_in, n_out, kernel):
    return n_out * (n_in * kernel * kernel + 1)
